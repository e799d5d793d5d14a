import contextlib
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from api import clock
from api.actors import SYSTEM
from api.errors import Busy
from api.idempotency import Answered, Key, KeyReused
from api.ids import uuid7
from inventory.models import Action, Product, StockTransaction
from inventory.services import products
from inventory.services import stock as inventory
from orders.errors import (
    InsufficientStock,
    NotPutBack,
    OrderNotCancellable,
    OrderNotFound,
    OrderNotShippable,
    PaymentUnderWay,
    ShipNotUndoable,
)
from orders.models import Order, OrderItem
from orders.services import carts, orders
from payments.errors import (
    AmountRefused,
    GatewayNotEnabled,
    GatewayNotFound,
    GatewayRefused,
    ManualNotForShoppers,
    ManualNotVoidable,
    NotCapturable,
    NotRefundable,
    NotVoidable,
    OrderNotPayable,
    PaymentDeclined,
    PaymentNotFound,
    PaymentReturned,
    RestIsPending,
)
from payments.gateways.base import UNKNOWN, Answer
from payments.models import Attempt, Payment
from payments.services import payments, recovery, settling
from payments.services.payments import PaymentRequest
from tests.concurrency import run_together
from tests.factories import BUYER, MERCHANT, paid_order, product, stock_of, unpaid_order
from tests.fake_gateway import DECLINED, OK, FakeGateway
from tests.orders.statements import statements_of, transactions

pytestmark = pytest.mark.django_db

AUTHORIZE, PURCHASE = Payment.Method.AUTHORIZE, Payment.Method.PURCHASE


def pay(
    order: Order,
    amount: int | None = None,
    *,
    gateway: str = "fake",
    method: Payment.Method = PURCHASE,
    **more: Any,
) -> Payment:
    request = PaymentRequest(gateway, method, amount)
    return payments.pay(order.pk, request, actor=MERCHANT, **more)


def declined(order: Order, amount: int | None = None, **more: Any) -> Payment:
    """Pay where the gateway is about to decline."""
    with pytest.raises(PaymentDeclined):
        pay(order, amount, **more)
    return order.payments.latest("pk")


def states(order: Order) -> tuple[str, str]:
    order.refresh_from_db()
    return order.status, order.payment


def money(order: Order) -> dict[str, int]:
    """What the order says of its money, without the zeros."""
    order.refresh_from_db()
    names = ("captured", "authorized", "pending", "refunded", "attempts_open", "refunds_open")
    return {name: getattr(order, name) for name in names if getattr(order, name)}


def numbers(wanted: Product) -> tuple[int, int, int]:
    """Total, available and allocated."""
    stock = stock_of(wanted)
    return stock.total, stock.available, stock.allocated


def entries(wanted: Product) -> list[tuple[str, int, str]]:
    """What the log says after the initial stock."""
    log = StockTransaction.objects.filter(stock__product=wanted).order_by("sequence")
    return list(log.exclude(reason="initial stock").values_list("action", "quantity", "reason"))


def key(name: str = "k", body: str = "body") -> Key:
    return Key("client", "POST", "/v2/orders/1/payments", name, body, uuid7())


def in_a_minute() -> Any:
    """The time when nobody waits for a gateway any more."""
    moment = clock.now() + timedelta(minutes=1)
    return clock.replaced(lambda: moment)


@pytest.fixture
def shirt() -> Product:
    return product(stock=10, price=1000)


@pytest.fixture
def order(shirt: Product) -> Order:
    """An unpaid order of one shirt, worth 1000."""
    return unpaid_order({shirt: 1})


# Paying.


def test_pay_takes_the_units_and_the_money(gateway, shirt):
    order = unpaid_order({shirt: 4})

    payment = pay(order)

    assert (payment.status, payment.amount, payment.captured_amount) == ("complete", 4000, 4000)
    assert (payment.reference, payment.currency) == ("ch_1", "USD")
    assert gateway.charged == [payment.pk]
    assert states(order) == ("complete", "paid")
    assert money(order) == {"captured": 4000}
    assert order.fully_paid_at is not None
    assert numbers(shirt) == (10, 6, 4)
    assert entries(shirt) == [("allocate", 4, "payment started")]


def test_the_log_knows_the_order_and_who_paid(order, shirt):
    pay(order, gateway="manual")

    entry = StockTransaction.objects.latest("id")
    assert (entry.order_id, entry.by_order) == (order.pk, True)
    assert (entry.actor_kind, entry.actor_id, entry.actor_name) == ("user", "7", "clerk")


def test_short_stock_refuses_and_the_gateway_is_never_asked(gateway, shirt):
    order = unpaid_order({shirt: 4})
    pay(unpaid_order({shirt: 7}), gateway="manual")

    with pytest.raises(InsufficientStock) as refused:
        pay(order)

    assert gateway.charged == []
    assert not order.payments.exists()
    assert states(order) == ("incomplete", "unpaid")
    assert money(order) == {}
    assert numbers(shirt) == (10, 3, 7)
    assert shirt.name not in refused.value.detail
    assert refused.value.meta is None


def test_f04_of_two_lines_all_are_allocated_or_none(gateway, shirt):
    mug = product(stock=5)
    order = unpaid_order({shirt: 2, mug: 5})
    pay(unpaid_order({mug: 1}), gateway="manual")

    with pytest.raises(InsufficientStock):
        pay(order)

    assert gateway.charged == []
    assert numbers(shirt) == (10, 10, 0)
    assert entries(shirt) == []


def test_f03_two_lines_of_one_product_are_allocated_together(gateway):
    mug = product(stock=6)
    for text in ("Hi", "Ho"):
        carts.add_item(
            "ada", product_id=mug.pk, quantity=3, custom_inputs={"text": text}, currency="USD"
        )
    first, _ = orders.checkout("ada", BUYER)
    second, _ = orders.checkout("ada", BUYER)

    pay(first)

    assert numbers(mug) == (6, 0, 6)
    assert entries(mug) == [("allocate", 6, "payment started")]
    with pytest.raises(InsufficientStock):
        pay(second)
    assert len(gateway.charged) == 1


def test_unmanaged_lines_are_paid_without_stock(gateway):
    download = product(managed=False)

    pay(unpaid_order({download: 5}))

    assert not StockTransaction.objects.exists()


@pytest.mark.parametrize("unmake", [products.archive, products.stop_managing])
def test_a_product_that_lost_its_stock_after_checkout(gateway, shirt, order, unmake):
    """Deleted: nothing to sell any more. Only no longer managed: no longer counted."""
    unmake(shirt.pk, actor=MERCHANT)

    if unmake is products.archive:
        with pytest.raises(InsufficientStock):
            pay(order)
        assert gateway.charged == []
    else:
        assert pay(order).status == "complete"


@pytest.mark.parametrize("amount", [1001, 0, -1, 2**53])
def test_an_amount_that_is_not_payable_is_refused(gateway, shirt, order, amount):
    with pytest.raises(AmountRefused):
        pay(order, amount)

    assert gateway.charged == []
    assert numbers(shirt) == (10, 10, 0)


def test_an_unknown_order_cannot_be_paid(gateway):
    with pytest.raises(OrderNotFound):
        payments.pay(uuid.uuid4(), PaymentRequest("fake"), actor=MERCHANT)

    assert gateway.charged == []


def test_a_paid_order_cannot_be_paid_again(gateway, order):
    pay(order)

    with pytest.raises(OrderNotPayable):
        pay(order, 1)

    assert len(gateway.charged) == 1


def test_an_authorized_order_cannot_be_paid_again(gateway, order):
    pay(order, method=AUTHORIZE)

    with pytest.raises(OrderNotPayable):
        pay(order)


def test_a_cancelled_order_cannot_be_paid(gateway, order, shirt):
    payments.cancel(order.pk, actor=MERCHANT)

    with pytest.raises(OrderNotPayable):
        pay(order)

    assert gateway.charged == []
    assert entries(shirt) == []


def test_a_refund_does_not_reopen_what_is_payable(gateway, order):
    payment = pay(order)
    payments.refund(order.pk, payment.pk, 1000, actor=MERCHANT)

    with pytest.raises(OrderNotPayable):
        pay(order)


def test_pending_parts_that_cover_the_rest_ask_to_wait(gateway, order):
    gateway.on_charge = lambda payment: UNKNOWN
    pay(order, 400)
    pay(order, 600)

    with pytest.raises(RestIsPending):
        pay(order)

    with pytest.raises(RestIsPending):
        pay(order, 1)
    assert len(gateway.charged) == 2


def test_no_more_than_pending_parts_leave_can_be_paid(gateway, order):
    gateway.on_charge = lambda payment: UNKNOWN
    pay(order, 400)

    with pytest.raises(AmountRefused):
        pay(order, 601)

    assert pay(order).amount == 600


def test_a_free_order_is_paid_with_nothing_by_hand(gateway, settings):
    settings.MANUAL_GATEWAY_FOR_SHOPPERS = False
    poster = product(stock=3, price=0)
    order = unpaid_order({poster: 1})

    with pytest.raises(AmountRefused):
        pay(order, gateway="fake")
    with pytest.raises(AmountRefused):
        pay(order, 1, gateway="manual")
    pay(order, gateway="manual", by_shopper=True)

    assert states(order) == ("complete", "paid")
    assert numbers(poster) == (3, 2, 1)
    with pytest.raises(OrderNotPayable):
        pay(order, gateway="manual")
    orders.ship(order.pk, actor=MERCHANT)
    assert numbers(poster) == (2, 2, 0)


def test_a_free_order_is_paid_by_authorizing_nothing_too():
    poster = product(stock=3, price=0)
    order = unpaid_order({poster: 1})

    pay(order, gateway="manual", method=AUTHORIZE)

    assert states(order) == ("complete", "paid")
    payments.cancel(order.pk, actor=MERCHANT)
    assert states(order) == ("cancelled", "paid")
    assert numbers(poster) == (3, 3, 0)


def test_shoppers_use_the_manual_gateway_only_where_the_store_says_so(shirt, order, settings):
    settings.MANUAL_GATEWAY_FOR_SHOPPERS = False

    with pytest.raises(ManualNotForShoppers):
        pay(order, gateway="manual", by_shopper=True)

    assert numbers(shirt) == (10, 10, 0)
    settings.MANUAL_GATEWAY_FOR_SHOPPERS = True
    assert pay(order, gateway="manual", by_shopper=True).status == "complete"


def test_a_disabled_or_unknown_gateway_is_refused(gateway, shirt, order):
    payments.set_gateway("fake", enabled=False)

    for slug in ("fake", "nobody"):
        with pytest.raises(GatewayNotEnabled):
            pay(order, gateway=slug)

    assert gateway.charged == []
    assert numbers(shirt) == (10, 10, 0)


def test_gateways_are_switched_and_named(gateway):
    payments.set_gateway("fake", enabled=False, name="Cards")

    found = payments.gateway_named("fake")
    assert (found.enabled, found.name) == (False, "Cards")
    with pytest.raises(GatewayNotFound):
        payments.set_gateway("nobody", enabled=True)


# Declined, and unknown.


def test_f17_a_decline_gives_the_units_back_and_a_new_attempt_works(gateway, shirt):
    order = unpaid_order({shirt: 4})
    gateway.on_charge = lambda payment: DECLINED

    failed = declined(order)

    assert (failed.status, failed.failure) == ("failed", "The card was declined.")
    assert (failed.captured_amount, order.payments.count()) == (0, 1)
    assert states(order) == ("incomplete", "unpaid")
    assert money(order) == {}
    assert numbers(shirt) == (10, 10, 0)
    assert entries(shirt) == [
        ("allocate", 4, "payment started"),
        ("deallocate", 4, "payment failed"),
    ]
    gateway.on_charge = lambda payment: OK
    pay(order)
    assert states(order) == ("complete", "paid")
    assert numbers(shirt) == (10, 6, 4)


def test_an_unknown_outcome_keeps_the_units(gateway, shirt, order):
    gateway.on_charge = lambda payment: UNKNOWN

    payment = pay(order)

    assert payment.status == "pending"
    assert payment.charging_until is None
    assert states(order) == ("incomplete", "unpaid")
    assert money(order) == {"pending": 1000, "attempts_open": 1}
    assert numbers(shirt) == (10, 9, 1)


def test_f16_an_unknown_outcome_is_settled_as_paid(gateway, shirt, order):
    gateway.on_charge = lambda payment: UNKNOWN
    payment = pay(order)
    gateway.on_find_charge = lambda payment: OK

    settled = recovery.settle_pending()

    assert settled == 1
    payment.refresh_from_db()
    assert (payment.status, payment.reference) == ("complete", "ch_1")
    assert states(order) == ("complete", "paid")
    assert entries(shirt) == [("allocate", 1, "payment started")]


def test_f16_an_unknown_outcome_is_settled_as_failed(gateway, shirt, order):
    gateway.on_charge = lambda payment: UNKNOWN
    payment = pay(order)
    gateway.on_find_charge = lambda payment: DECLINED

    recovery.settle_pending()

    payment.refresh_from_db()
    assert payment.status == "failed"
    assert money(order) == {}
    assert entries(shirt) == [
        ("allocate", 1, "payment started"),
        ("deallocate", 1, "payment failed"),
    ]


def test_what_is_still_unknown_stays_pending(gateway, shirt, order):
    gateway.on_charge = lambda payment: UNKNOWN
    pay(order)

    settled = recovery.settle_pending()

    assert settled == 0
    assert money(order) == {"pending": 1000, "attempts_open": 1}
    assert numbers(shirt) == (10, 9, 1)


def test_a_gateway_that_breaks_leaves_the_payment_pending(gateway, shirt, order):
    def break_off(payment: Payment) -> Answer:
        raise ConnectionResetError

    gateway.on_charge = break_off

    payment = pay(order)

    assert payment.status == "pending"
    assert numbers(shirt) == (10, 9, 1)


def test_f14_a_charge_that_never_happened_gives_the_units_back(gateway, shirt, order):
    payments.begin(order.pk, PaymentRequest("fake"), actor=MERCHANT)
    gateway.on_find_charge = lambda payment: DECLINED

    too_early = recovery.settle_pending()
    with in_a_minute():
        later = recovery.settle_pending()

    assert (too_early, later) == (0, 1)
    assert gateway.charged == []
    assert states(order) == ("incomplete", "unpaid")
    assert numbers(shirt) == (10, 10, 0)


def test_a_payment_by_hand_asks_nobody_and_is_never_left_open(shirt, order):
    payments.begin(order.pk, PaymentRequest("manual"), actor=MERCHANT)

    assert order.payments.get().status == "complete"
    assert states(order) == ("complete", "paid")
    assert numbers(shirt) == (10, 9, 1)


def test_f15_a_charge_whose_answer_was_lost_is_found(gateway, shirt, order, monkeypatch):
    def die(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(payments, "settle", die)
        with pytest.raises(KeyboardInterrupt):
            pay(order)
    gateway.on_find_charge = lambda payment: OK

    with in_a_minute():
        recovery.settle_pending()

    assert len(gateway.charged) == 1
    assert states(order) == ("complete", "paid")
    assert numbers(shirt) == (10, 9, 1)


def test_an_answer_that_cannot_be_written_down_leaves_the_payment_pending(
    gateway, shirt, order, monkeypatch
):
    def busy(*args: Any) -> None:
        raise Busy

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(settling, "_settle", busy)
        payment = pay(order)
    gateway.on_find_charge = lambda payment: OK

    assert payment.status == "pending"
    with in_a_minute():
        recovery.settle_pending()
    assert states(order) == ("complete", "paid")


def test_f18_a_refund_whose_answer_cannot_be_written_down_stays_on_its_way(
    gateway, order, monkeypatch
):
    payment = pay(order)

    def busy(*args: Any) -> None:
        raise Busy

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(payments, "settle_attempt", busy)
        attempt = payments.refund(order.pk, payment.pk, 300, actor=MERCHANT)
    gateway.on_find = lambda attempt: OK

    assert attempt.is_pending
    with in_a_minute():
        recovery.settle_pending()
    assert payments.payment_of(order.pk, payment.pk).refunded_amount == 300
    assert gateway.performed == [("refund", 300)]


def test_one_payment_that_stays_unknown_does_not_hold_up_the_others(gateway, shirt):
    gateway.on_charge = lambda payment: UNKNOWN
    stuck, other = pay(unpaid_order({shirt: 1})), pay(unpaid_order({shirt: 1}))
    gateway.on_find_charge = lambda payment: UNKNOWN if payment.pk == stuck.pk else OK

    settled = [recovery.settle_pending(limit=1) for _ in range(2)]

    assert sum(settled) == 1
    other.refresh_from_db()
    assert other.status == "complete"


@pytest.mark.parametrize("limit", [1, 100])
def test_one_payment_that_cannot_be_settled_does_not_hold_up_the_others(gateway, shirt, limit):
    gateway.on_charge = lambda payment: UNKNOWN
    broken, other = pay(unpaid_order({shirt: 1})), pay(unpaid_order({shirt: 1}))
    Payment.objects.filter(pk=broken.pk).update(gateway="gone")
    gateway.on_find_charge = lambda payment: OK

    for _ in range(2):
        recovery.settle_pending(limit=limit)

    other.refresh_from_db()
    broken.refresh_from_db()
    assert (other.status, broken.status) == ("complete", "pending")


# Money that comes late.


def test_late_money_is_accepted_if_the_order_can_take_it(gateway, shirt, order):
    gateway.on_charge = lambda payment: DECLINED
    payment = declined(order)

    settling.settle(payment, OK)

    payment.refresh_from_db()
    assert (payment.status, payment.late, payment.failure) == ("complete", False, "")
    assert states(order) == ("complete", "paid")
    assert numbers(shirt) == (10, 9, 1)
    assert entries(shirt)[-1] == ("allocate", 1, "payment started")


def test_late_money_is_accepted_beside_another_part(gateway, shirt, order):
    gateway.on_charge = lambda payment: DECLINED
    late = declined(order, 400)
    gateway.on_charge = lambda payment: OK
    pay(order, 600)

    settling.settle(late, OK)

    assert states(order) == ("complete", "paid")
    assert numbers(shirt) == (10, 9, 1)


def make_it_paid(order: Order, wanted: Product) -> None:
    pay(order, gateway="manual")


def make_it_cancelled(order: Order, wanted: Product) -> None:
    payments.cancel(order.pk, actor=MERCHANT)


def sell_the_stock(order: Order, wanted: Product) -> None:
    stock = stock_of(wanted)
    pay(unpaid_order({wanted: stock.available}), gateway="manual")


def ship_it(order: Order, wanted: Product) -> None:
    pay(order, gateway="manual")
    orders.ship(order.pk, actor=MERCHANT)


TOO_LATE = [make_it_paid, make_it_cancelled, sell_the_stock, ship_it]


@pytest.mark.parametrize("meanwhile", TOO_LATE)
def test_late_money_that_the_order_cannot_take_goes_back(gateway, shirt, order, meanwhile):
    gateway.on_charge = lambda payment: DECLINED
    late = declined(order)
    meanwhile(order, shirt)
    before, stock_before = states(order), numbers(shirt)
    captured = order.captured

    settling.settle(late, OK)

    late.refresh_from_db()
    assert (late.status, late.late, late.captured_amount) == ("complete", True, 1000)
    attempt = late.attempts.get()
    assert (attempt.kind, attempt.status, attempt.amount) == ("refund", "pending", 1000)
    assert states(order) == before
    assert money(order) == {
        **({"captured": captured} if captured else {}),
        "refunds_open": 1,
    }
    assert numbers(shirt) == stock_before


@pytest.mark.parametrize("meanwhile", TOO_LATE)
def test_the_way_back_of_late_money_is_taken(gateway, shirt, order, meanwhile):
    gateway.on_charge = lambda payment: DECLINED
    late = declined(order)
    meanwhile(order, shirt)
    before = states(order)
    settling.settle(late, OK)

    with in_a_minute():
        recovery.settle_pending()

    assert gateway.performed == [("refund", 1000)]
    late.refresh_from_db()
    assert (late.refunded_amount, late.refundable_amount) == (1000, 0)
    assert states(order) == before
    assert order.refunded == 0


@pytest.mark.parametrize("meanwhile", TOO_LATE)
def test_a_late_authorization_that_the_order_cannot_take_is_voided(
    gateway, shirt, order, meanwhile
):
    gateway.on_charge = lambda payment: DECLINED
    late = declined(order, method=AUTHORIZE)
    meanwhile(order, shirt)
    before, stock_before = states(order), numbers(shirt)
    settling.settle(late, OK)
    attempt = late.attempts.get()

    with in_a_minute():
        recovery.settle_pending()

    assert (attempt.kind, attempt.status) == ("void", "pending")
    assert gateway.performed == [("void", 1000)]
    late.refresh_from_db()
    assert late.status == "cancelled"
    assert states(order) == before
    assert order.authorized == order.attempts_open == 0
    assert numbers(shirt) == stock_before


def late_payment(gateway: FakeGateway, order: Order, wanted: Product, **more: Any) -> Payment:
    """Money that came when the stock was gone, and whose way back failed."""
    gateway.on_charge = lambda payment: DECLINED
    late = declined(order, **more)
    sell_the_stock(order, wanted)
    settling.settle(late, OK)
    settling.settle_attempt(late.attempts.get(), DECLINED)
    return late


def test_late_money_whose_way_back_failed_can_still_be_refunded(gateway, shirt, order):
    late = late_payment(gateway, order, shirt)

    payments.refund(order.pk, late.pk, 1000, actor=MERCHANT)

    late.refresh_from_db()
    assert late.refunded_amount == 1000
    assert money(order) == {}


def test_a_late_authorization_is_never_captured(gateway, shirt, order):
    late = late_payment(gateway, order, shirt, method=AUTHORIZE)

    with pytest.raises(NotCapturable):
        payments.capture(order.pk, late.pk, actor=MERCHANT)

    payments.void(order.pk, late.pk, actor=MERCHANT)
    assert gateway.performed == [("void", 1000)]
    assert money(order) == {}


def test_what_a_cancelled_order_could_not_let_go_is_not_captured_either(gateway, order):
    payment = pay(order, method=AUTHORIZE)
    gateway.on_perform = lambda attempt: DECLINED
    payments.cancel(order.pk, actor=MERCHANT)

    with pytest.raises(NotCapturable):
        payments.capture(order.pk, payment.pk, actor=MERCHANT)

    gateway.on_perform = lambda attempt: OK
    payments.void(order.pk, payment.pk, actor=MERCHANT)
    assert [kind for kind, _ in gateway.performed] == ["void", "void"]


def test_the_buyer_does_not_read_complete_for_money_that_goes_back(gateway, shirt, order):
    def fail_meanwhile(payment: Payment) -> Answer:
        settling.settle(payment, DECLINED)
        payments.cancel(order.pk, actor=MERCHANT)
        return OK

    gateway.on_charge = fail_meanwhile

    with pytest.raises(PaymentReturned):
        pay(order)

    assert order.payments.get().late
    assert states(order) == ("cancelled", "unpaid")


# In parts.


def test_parts_pay_an_order_together_and_the_first_takes_the_units(gateway, shirt):
    order = unpaid_order({shirt: 4})

    pay(order, 1)
    after_first = (states(order), numbers(shirt))
    pay(order, 3000)
    pay(order)

    assert after_first == (("incomplete", "partially_paid"), (10, 6, 4))
    assert states(order) == ("complete", "paid")
    assert [payment.amount for payment in payments.payments_of(order.pk)] == [1, 3000, 999]
    assert entries(shirt) == [("allocate", 4, "payment started")]


def test_f21_the_first_part_fails_and_the_units_are_given_back(gateway, shirt, order):
    gateway.on_charge = lambda payment: DECLINED

    declined(order, 400)

    assert states(order) == ("incomplete", "unpaid")
    assert numbers(shirt) == (10, 10, 0)


def test_f21_the_second_part_fails_and_the_first_keeps_the_units(gateway, shirt, order):
    pay(order, 400)
    gateway.on_charge = lambda payment: DECLINED

    declined(order, 600)

    assert states(order) == ("incomplete", "partially_paid")
    assert money(order) == {"captured": 400}
    assert entries(shirt) == [("allocate", 1, "payment started")]


def test_f21_the_first_part_fails_while_the_second_is_pending(gateway, shirt, order):
    gateway.on_charge = lambda payment: UNKNOWN
    first, second = pay(order, 400), pay(order, 600)

    settling.settle(first, DECLINED)
    after_first = numbers(shirt)
    settling.settle(second, DECLINED)

    assert after_first == (10, 9, 1)
    assert entries(shirt) == [
        ("allocate", 1, "payment started"),
        ("deallocate", 1, "payment failed"),
    ]


def test_f21_cancelling_gives_the_units_back_once_and_voids_every_authorized_part(
    gateway, shirt, order
):
    pay(order, 300)
    voided = [pay(order, 200, method=AUTHORIZE), pay(order, 100, method=AUTHORIZE)]

    payments.cancel(order.pk, actor=MERCHANT)

    assert sorted(gateway.performed) == [("void", 100), ("void", 200)]
    assert {payments.payment_of(order.pk, part.pk).status for part in voided} == {"cancelled"}
    assert states(order) == ("cancelled", "partially_paid")
    assert money(order) == {"captured": 300}
    assert entries(shirt)[1:] == [("deallocate", 1, "order cancelled")]


def test_f21_every_captured_part_of_a_cancelled_order_can_be_refunded(gateway, order):
    parts = [pay(order, 400), pay(order, 600)]
    payments.cancel(order.pk, actor=MERCHANT)

    for part in parts:
        payments.refund(order.pk, part.pk, part.amount, actor=MERCHANT)

    assert states(order) == ("cancelled", "refunded")
    assert gateway.performed == [("refund", 400), ("refund", 600)]


def test_mixed_parts_count_as_partly_paid_and_then_as_authorized(gateway, order):
    seen = []
    for amount, method in ((100, AUTHORIZE), (100, PURCHASE), (800, PURCHASE)):
        pay(order, amount, method=method)
        seen.append(states(order))

    assert seen == [
        ("incomplete", "partially_authorized"),
        ("incomplete", "partially_paid"),
        ("processing", "authorized"),
    ]
    assert money(order) == {"captured": 900, "authorized": 100}


# Authorize, capture, void.


def test_authorize_takes_the_units_and_capture_the_money(gateway, shirt, order):
    payment = pay(order, method=AUTHORIZE)
    authorized = (states(order), money(order), numbers(shirt), payment.transaction_type)

    attempt = payments.capture(order.pk, payment.pk, actor=MERCHANT)

    assert authorized == (
        ("processing", "authorized"),
        {"authorized": 1000},
        (10, 9, 1),
        "authorize",
    )
    assert attempt.status == "succeeded"
    assert states(order) == ("complete", "paid")
    assert money(order) == {"captured": 1000}
    assert order.fully_paid_at is not None
    payment.refresh_from_db()
    assert (payment.captured_amount, payment.transaction_type) == (1000, "capture")
    assert entries(shirt) == [("allocate", 1, "payment started")]


def test_what_cannot_be_captured_is_refused(gateway, order, shirt):
    purchased = pay(order)
    authorized_order = unpaid_order({shirt: 1})
    captured = pay(authorized_order, method=AUTHORIZE)
    payments.capture(authorized_order.pk, captured.pk, actor=MERCHANT)
    gateway.on_charge = lambda payment: UNKNOWN
    pending = pay(unpaid_order({shirt: 1}), method=AUTHORIZE)
    gateway.performed.clear()

    for payment in (purchased, captured, pending):
        with pytest.raises(NotCapturable):
            payments.capture(payment.order_id, payment.pk, actor=MERCHANT)

    with pytest.raises(PaymentNotFound):
        payments.capture(order.pk, captured.pk, actor=MERCHANT)
    with pytest.raises(OrderNotFound):
        payments.capture(uuid.uuid4(), captured.pk, actor=MERCHANT)
    assert gateway.performed == []


def test_a_refused_capture_leaves_the_authorization(gateway, shirt, order):
    payment = pay(order, method=AUTHORIZE)
    gateway.on_perform = lambda attempt: DECLINED

    with pytest.raises(GatewayRefused):
        payments.capture(order.pk, payment.pk, actor=MERCHANT)

    assert money(order) == {"authorized": 1000}
    gateway.on_perform = lambda attempt: OK
    payments.capture(order.pk, payment.pk, actor=MERCHANT)
    assert money(order) == {"captured": 1000}
    assert numbers(shirt) == (10, 9, 1)


def test_a_capture_without_an_answer_is_settled_later(gateway, order):
    payment = pay(order, method=AUTHORIZE)
    gateway.on_perform = lambda attempt: UNKNOWN
    attempt = payments.capture(order.pk, payment.pk, actor=MERCHANT)
    pending = money(order)

    with pytest.raises(NotCapturable):
        payments.capture(order.pk, payment.pk, actor=MERCHANT)
    with pytest.raises(NotVoidable):
        payments.void(order.pk, payment.pk, actor=MERCHANT)
    gateway.on_perform = gateway.on_find = lambda attempt: OK
    with in_a_minute():
        recovery.settle_pending()

    assert attempt.is_pending
    assert pending == {"authorized": 1000, "attempts_open": 1}
    assert money(order) == {"captured": 1000}
    assert states(order) == ("complete", "paid")


def test_a_void_lets_the_money_and_the_units_go(gateway, shirt, order):
    payment = pay(order, method=AUTHORIZE)

    payments.void(order.pk, payment.pk, actor=MERCHANT, reason="asked by phone")

    payment.refresh_from_db()
    assert payment.status == "cancelled"
    assert payment.attempts.get().reason == "asked by phone"
    assert states(order) == ("incomplete", "unpaid")
    assert money(order) == {}
    assert entries(shirt)[1:] == [("deallocate", 1, "payment voided")]
    pay(order)
    assert states(order) == ("complete", "paid")


def test_a_void_of_one_part_leaves_the_units_to_the_other(gateway, shirt, order):
    pay(order, 400)
    payment = pay(order, method=AUTHORIZE)

    payments.void(order.pk, payment.pk, actor=MERCHANT)

    assert states(order) == ("incomplete", "partially_paid")
    assert numbers(shirt) == (10, 9, 1)


def test_what_cannot_be_voided_is_refused(gateway, shirt, order):
    purchased = pay(order)
    voided = pay(unpaid_order({shirt: 1}), method=AUTHORIZE)
    payments.void(voided.order_id, voided.pk, actor=MERCHANT)
    by_hand = pay(unpaid_order({shirt: 1}), method=AUTHORIZE, gateway="manual")

    for payment in (purchased, voided):
        with pytest.raises(NotVoidable):
            payments.void(payment.order_id, payment.pk, actor=MERCHANT)

    with pytest.raises(ManualNotVoidable):
        payments.void(by_hand.order_id, by_hand.pk, actor=MERCHANT)


def test_a_refused_void_leaves_money_and_units(gateway, shirt, order):
    payment = pay(order, method=AUTHORIZE)
    gateway.on_perform = lambda attempt: DECLINED

    with pytest.raises(GatewayRefused):
        payments.void(order.pk, payment.pk, actor=MERCHANT)

    assert states(order) == ("processing", "authorized")
    assert money(order) == {"authorized": 1000}
    assert numbers(shirt) == (10, 9, 1)


# Refunds.


def test_refunds_move_money_and_no_stock(gateway, shirt, order):
    payment = pay(order)

    payments.refund(order.pk, payment.pk, 300, actor=MERCHANT, reason="stain")
    partly = (states(order), money(order))
    payments.refund(order.pk, payment.pk, 700, actor=MERCHANT)

    assert partly == (("complete", "paid"), {"captured": 1000, "refunded": 300})
    assert states(order) == ("complete", "refunded")
    assert gateway.performed == [("refund", 300), ("refund", 700)]
    payment.refresh_from_db()
    assert (payment.refunded_amount, payment.transaction_type) == (1000, "refund")
    assert numbers(shirt) == (10, 9, 1)


def test_marking_as_refunded_asks_nobody(gateway, order):
    payment = pay(order)
    payments.refund(order.pk, payment.pk, 300, actor=MERCHANT)
    gateway.performed.clear()

    attempt = payments.refund(order.pk, payment.pk, None, actor=MERCHANT)

    assert (attempt.status, attempt.amount) == ("succeeded", 700)
    assert gateway.performed == []
    assert states(order) == ("complete", "refunded")


def test_marking_as_refunded_leaves_nothing_for_recovery_to_send(gateway, order, monkeypatch):
    payment = pay(order)

    def die(*args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(payments, "settle_attempt", die)
        with contextlib.suppress(KeyboardInterrupt):
            payments.refund(order.pk, payment.pk, None, actor=MERCHANT)
    with in_a_minute():
        recovery.settle_pending()

    assert gateway.performed == []


@pytest.mark.parametrize("amount", [1001, 0, -1])
def test_a_refund_beyond_what_was_captured_is_refused(gateway, order, amount):
    payment = pay(order)

    with pytest.raises(NotRefundable):
        payments.refund(order.pk, payment.pk, amount, actor=MERCHANT)

    assert gateway.performed == []
    assert money(order) == {"captured": 1000}


def test_pending_refunds_count(gateway, order):
    payment = pay(order)
    gateway.on_perform = lambda attempt: UNKNOWN
    payments.refund(order.pk, payment.pk, 600, actor=MERCHANT)

    with pytest.raises(NotRefundable):
        payments.refund(order.pk, payment.pk, 401, actor=MERCHANT)

    attempt = payments.refund(order.pk, payment.pk, None, actor=MERCHANT)
    assert attempt.amount == 400
    assert money(order) == {"captured": 1000, "refunded": 400, "refunds_open": 1}


def test_a_refused_refund_can_be_tried_again(gateway, order):
    payment = pay(order)
    gateway.on_perform = lambda attempt: DECLINED

    with pytest.raises(GatewayRefused):
        payments.refund(order.pk, payment.pk, 1000, actor=MERCHANT)

    assert money(order) == {"captured": 1000}
    gateway.on_perform = lambda attempt: OK
    payments.refund(order.pk, payment.pk, 1000, actor=MERCHANT)
    assert states(order) == ("complete", "refunded")


def test_a_refund_without_an_answer_is_settled_later(gateway, order):
    payment = pay(order)
    gateway.on_perform = lambda attempt: UNKNOWN
    attempt = payments.refund(order.pk, payment.pk, 1000, actor=MERCHANT)
    gateway.on_perform = gateway.on_find = lambda attempt: OK

    with in_a_minute():
        recovery.settle_pending()

    assert attempt.is_pending
    assert states(order) == ("complete", "refunded")
    assert money(order) == {"captured": 1000, "refunded": 1000}


def test_what_is_not_paid_in_full_is_not_refunded(gateway, shirt, order):
    part = pay(order, 400)
    authorized = pay(unpaid_order({shirt: 1}), method=AUTHORIZE)

    for payment in (part, authorized):
        with pytest.raises(NotRefundable):
            payments.refund(payment.order_id, payment.pk, 100, actor=MERCHANT)
        with pytest.raises(NotRefundable):
            payments.refund(payment.order_id, payment.pk, None, actor=MERCHANT)

    assert gateway.performed == []


def test_a_failed_payment_is_not_refunded(gateway, shirt, order):
    gateway.on_charge = lambda payment: DECLINED
    failed = declined(order)
    pay(order, gateway="manual")

    with pytest.raises(NotRefundable):
        payments.refund(order.pk, failed.pk, 1000, actor=MERCHANT)


def test_the_captured_part_of_a_cancelled_order_can_be_refunded(gateway, order):
    part = pay(order, 400)
    payments.cancel(order.pk, actor=MERCHANT)

    payments.refund(order.pk, part.pk, 400, actor=MERCHANT)

    assert states(order) == ("cancelled", "refunded")


def test_a_shipped_order_can_be_refunded_and_its_goods_stay_gone(gateway, shirt, order):
    payment = pay(order)
    orders.ship(order.pk, actor=MERCHANT)

    payments.refund(order.pk, payment.pk, None, actor=MERCHANT)

    assert states(order) == ("complete", "refunded")
    assert numbers(shirt) == (9, 9, 0)


def shipped_order(shirt: Product, units: int) -> tuple[Order, OrderItem]:
    order = paid_order({shirt: units})
    orders.ship(order.pk, actor=MERCHANT)
    return order, order.items.get()


def refund_and_put_back(order: Order, line: OrderItem, units: int) -> Attempt:
    return payments.refund(
        order.pk,
        order.payments.get().pk,
        1,
        actor=MERCHANT,
        reason="did not fit",
        put_back={line.pk: units},
    )


def test_units_that_came_back_are_available_again_with_the_refund(shirt):
    order, line = shipped_order(shirt, 3)
    before = numbers(shirt)

    refund_and_put_back(order, line, 2)

    line.refresh_from_db()
    assert (line.shipped, line.returned) == (3, 2)
    assert numbers(shirt) == (before[0] + 2, before[1] + 2, 0)
    assert entries(shirt)[-1] == ("increment", 2, "did not fit")
    assert money(order)["refunded"] == 1


def test_no_more_comes_back_than_left_and_then_no_money_goes_back_either(shirt):
    order, line = shipped_order(shirt, 3)
    refund_and_put_back(order, line, 2)
    before = numbers(shirt)

    with pytest.raises(NotPutBack, match="Only 1 of"):
        refund_and_put_back(order, line, 2)

    assert numbers(shirt) == before
    assert money(order)["refunded"] == 1


def test_nothing_comes_back_of_what_is_still_here(shirt):
    order = paid_order({shirt: 3})

    with pytest.raises(NotPutBack):
        refund_and_put_back(order, order.items.get(), 1)

    assert not Attempt.objects.exists()


def test_what_came_back_stays_back_when_the_gateway_refuses_the_refund(gateway, shirt, order):
    payment = pay(order)
    orders.ship(order.pk, actor=MERCHANT)
    before = numbers(shirt)
    gateway.on_perform = lambda attempt: DECLINED

    with pytest.raises(GatewayRefused):
        payments.refund(
            order.pk, payment.pk, 100, actor=MERCHANT, put_back={order.items.get().pk: 1}
        )

    assert numbers(shirt) == (before[0] + 1, before[1] + 1, before[2])
    assert "refunded" not in money(order)


def test_f31_ship_is_not_undone_once_units_came_back(shirt):
    order, line = shipped_order(shirt, 3)
    refund_and_put_back(order, line, 1)
    before = numbers(shirt)

    with pytest.raises(ShipNotUndoable):
        orders.undo_ship(order.pk, actor=MERCHANT, reason="mistake")

    assert numbers(shirt) == before


# Cancelling.


def test_cancelling_a_paid_order_gives_its_units_back_and_keeps_the_money(gateway, shirt):
    order = unpaid_order({shirt: 4})
    pay(order)

    payments.cancel(order.pk, actor=MERCHANT)

    assert states(order) == ("cancelled", "paid")
    assert order.cancelled_at is not None
    assert money(order) == {"captured": 4000}
    assert numbers(shirt) == (10, 10, 0)
    assert entries(shirt)[1:] == [("deallocate", 4, "order cancelled")]
    assert gateway.performed == []
    with pytest.raises(OrderNotCancellable):
        payments.cancel(order.pk, actor=MERCHANT)
    assert numbers(shirt) == (10, 10, 0)


def test_f29_cancelling_an_order_that_never_allocated_moves_nothing(shirt, order):
    payments.cancel(order.pk, actor=MERCHANT)

    assert states(order) == ("cancelled", "unpaid")
    assert entries(shirt) == []


def test_f29_cancelling_after_a_decline_moves_nothing_more(gateway, shirt, order):
    gateway.on_charge = lambda payment: DECLINED
    declined(order)

    payments.cancel(order.pk, actor=MERCHANT)

    assert [action for action, _, _ in entries(shirt)] == ["allocate", "deallocate"]


def test_a_shipped_order_cannot_be_cancelled(shirt):
    order = paid_order({shirt: 1})
    orders.ship(order.pk, actor=MERCHANT)

    with pytest.raises(OrderNotCancellable):
        payments.cancel(order.pk, actor=MERCHANT)

    assert numbers(shirt) == (9, 9, 0)


def test_an_unknown_order_cannot_be_cancelled():
    with pytest.raises(OrderNotFound):
        payments.cancel(uuid.uuid4(), actor=MERCHANT)


@pytest.mark.parametrize("act", [payments.capture, payments.void])
def test_an_order_is_not_cancelled_while_its_money_is_on_its_way(gateway, shirt, order, act):
    payment = pay(order, method=AUTHORIZE)
    gateway.on_perform = lambda attempt: UNKNOWN
    act(order.pk, payment.pk, actor=MERCHANT)

    with pytest.raises(PaymentUnderWay):
        payments.cancel(order.pk, actor=MERCHANT)
    with pytest.raises(PaymentUnderWay):
        orders.ship(order.pk, actor=MERCHANT)

    assert numbers(shirt) == (10, 9, 1)


@pytest.mark.parametrize("method", [PURCHASE, AUTHORIZE])
def test_an_order_is_not_cancelled_while_it_is_being_paid(gateway, shirt, order, method):
    gateway.on_charge = lambda payment: UNKNOWN
    pay(order, method=method)

    with pytest.raises(PaymentUnderWay):
        payments.cancel(order.pk, actor=MERCHANT)

    assert states(order) == ("incomplete", "unpaid")
    assert numbers(shirt) == (10, 9, 1)


def test_a_pending_refund_does_not_block_cancelling(gateway, shirt, order):
    payment = pay(order)
    gateway.on_perform = lambda attempt: UNKNOWN
    payments.refund(order.pk, payment.pk, 1000, actor=MERCHANT)

    payments.cancel(order.pk, actor=MERCHANT)

    assert states(order) == ("cancelled", "paid")
    assert numbers(shirt) == (10, 10, 0)


@pytest.mark.parametrize("slug", ["fake", "manual"])
def test_cancelling_voids_the_authorization(gateway, shirt, order, slug):
    payment = pay(order, method=AUTHORIZE, gateway=slug)

    payments.cancel(order.pk, actor=MERCHANT)

    payment.refresh_from_db()
    assert payment.status == "cancelled"
    assert states(order) == ("cancelled", "unpaid")
    assert money(order) == {}
    assert entries(shirt)[1:] == [("deallocate", 1, "order cancelled")]
    with pytest.raises(OrderNotShippable):
        orders.ship(order.pk, actor=MERCHANT)


@pytest.mark.parametrize("answer", [DECLINED, UNKNOWN])
def test_an_order_is_cancelled_even_if_the_void_fails(gateway, shirt, order, answer):
    payment = pay(order, method=AUTHORIZE)
    gateway.on_perform = lambda attempt: answer

    payments.cancel(order.pk, actor=MERCHANT)

    assert order.payments.get().status == "complete"
    assert states(order)[0] == "cancelled"
    assert numbers(shirt) == (10, 10, 0)
    gateway.on_perform = lambda attempt: OK
    with in_a_minute():
        recovery.settle_pending()
    if answer is DECLINED:
        payments.void(order.pk, payment.pk, actor=MERCHANT)
    assert states(order) == ("cancelled", "unpaid")
    assert money(order) == {}
    assert numbers(shirt) == (10, 10, 0)


def test_f18_a_void_that_a_crash_kept_from_the_gateway_is_sent_by_recovery(gateway, shirt, order):
    pay(order, method=AUTHORIZE)
    payments.begin_cancel(order.pk, actor=MERCHANT)

    with in_a_minute():
        recovery.settle_pending()

    assert gateway.performed == [("void", 1000)]
    assert states(order) == ("cancelled", "unpaid")
    assert money(order) == {}


# Keys.


def test_f27_the_same_key_pays_once(gateway, order):
    payment = pay(order, 400, key=key())

    with pytest.raises(Answered) as again:
        pay(order, 400, key=key())

    assert again.value.record.resource_id == str(payment.pk)
    assert len(gateway.charged) == 1
    assert money(order) == {"captured": 400}


def test_f27_the_same_key_for_another_body_is_refused(gateway, order):
    pay(order, 400, key=key())

    with pytest.raises(KeyReused):
        pay(order, 500, key=key(body="another"))

    assert len(gateway.charged) == 1


def test_f27_the_key_of_a_running_charge_never_charges_again(gateway, order):
    def ask_again(payment: Payment) -> Answer:
        with pytest.raises(Answered) as again:
            pay(order, 400, key=key())
        assert again.value.record.resource_id == str(payment.pk)
        return OK

    gateway.on_charge = ask_again

    pay(order, 400, key=key())

    assert len(gateway.charged) == 1
    assert order.payments.count() == 1


def test_f27_the_key_of_a_refused_payment_is_free(gateway, shirt):
    order = unpaid_order({shirt: 4})
    inventory.record(shirt.pk, Action.DECREMENT, 10, actor=MERCHANT)
    with pytest.raises(InsufficientStock):
        pay(order, key=key())
    inventory.record(shirt.pk, Action.INCREMENT, 10, actor=MERCHANT)

    pay(order, key=key())

    assert states(order) == ("complete", "paid")


def test_f27_the_same_key_is_answered_though_the_gateway_is_disabled_since(gateway, order):
    pay(order, key=key())
    payments.set_gateway("fake", enabled=False)

    with pytest.raises(Answered):
        pay(order, key=key())


KEYED: list[tuple[str, Callable[[Order, Payment], Any]]] = [
    ("capture", lambda o, p: payments.capture(o.pk, p.pk, actor=MERCHANT, key=key("act"))),
    ("void", lambda o, p: payments.void(o.pk, p.pk, actor=MERCHANT, key=key("act"))),
    ("cancel", lambda o, p: payments.cancel(o.pk, actor=MERCHANT, key=key("act"))),
]


@pytest.mark.parametrize("act", [act for _, act in KEYED], ids=[name for name, _ in KEYED])
def test_f27_the_same_key_acts_once(gateway, order, act):
    payment = pay(order, method=AUTHORIZE)
    act(order, payment)
    before = (states(order), money(order))

    with pytest.raises(Answered):
        act(order, payment)

    assert len(gateway.performed) == 1
    assert (states(order), money(order)) == before


def test_f27_the_same_key_refunds_once(gateway, order):
    payment = pay(order)
    for_refund = key("refund")
    payments.refund(order.pk, payment.pk, 300, actor=MERCHANT, key=for_refund)

    with pytest.raises(Answered):
        payments.refund(order.pk, payment.pk, 300, actor=MERCHANT, key=for_refund)

    assert gateway.performed == [("refund", 300)]


# Transactions.


@pytest.mark.django_db(transaction=True)
def test_the_payment_is_committed_and_nothing_is_open_while_the_gateway_is_asked(
    gateway, shirt, order
):
    seen: list[Any] = []

    def look(payment: Payment) -> Answer:
        assert not connection.in_atomic_block
        assert connection.connection is None
        seen.extend(
            run_together(
                lambda: Payment.objects.get(pk=payment.pk).status,
                lambda: numbers(shirt),
                lambda: Order.objects.get(pk=order.pk).pending,
            )
        )
        return OK

    gateway.on_charge = look

    pay(order)

    assert seen == ["pending", (10, 9, 1), 1000]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("act", [payments.capture, payments.void])
def test_an_attempt_is_committed_and_nothing_is_open_while_the_gateway_is_asked(
    gateway, order, act
):
    seen: list[Any] = []

    def look(attempt: Attempt) -> Answer:
        assert not connection.in_atomic_block
        seen.extend(run_together(lambda: Attempt.objects.get(pk=attempt.pk).status))
        return OK

    payment = pay(order, method=AUTHORIZE)
    gateway.on_perform = look

    act(order.pk, payment.pk, actor=MERCHANT)

    assert seen == ["pending"]


@pytest.mark.django_db(transaction=True)
def test_paying_inside_a_transaction_is_refused(gateway, order):
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        pay(order)

    assert gateway.charged == []


def order_of(lines: int) -> Order:
    return unpaid_order({product(stock=10): 1 for _ in range(lines)})


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("slug", "constant"), [("manual", 9), ("fake", 15)])
def test_pay_takes_as_many_statements_for_twenty_lines_as_for_one(gateway, slug, constant):
    small, large = order_of(1), order_of(20)

    few = statements_of(lambda: pay(small, gateway=slug))
    many = statements_of(lambda: pay(large, gateway=slug))

    assert few == many
    assert len(few) == constant, few


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("slug", ["manual", "fake"])
def test_pay_locks_the_order_before_the_stock_and_each_once(gateway, slug):
    order = order_of(3)

    statements = statements_of(lambda: pay(order, gateway=slug, key=key()))

    begin, *settle = transactions(statements)
    assert [entry for entry in begin if entry.startswith("lock")] == [
        "lock orders_order",
        "lock inventory_stock",
    ]
    assert begin[-2:] == ["lock inventory_stock", "write inventory_stock"]
    assert begin[0] == "insert api_idempotencykey"
    assert len(settle) == (slug == "fake")
    for statements in settle:
        assert statements[0] == "lock orders_order"
        assert len([entry for entry in statements if entry.startswith("lock")]) == 1
        assert [entry for entry in statements if "inventory_stock" in entry] == []


@pytest.mark.django_db(transaction=True)
def test_a_decline_locks_the_order_before_the_stock_and_each_once(gateway):
    order = order_of(3)
    payment = payments.begin(order.pk, PaymentRequest("fake"), actor=SYSTEM)

    statements = statements_of(lambda: settling.settle(payment, DECLINED))

    (settle,) = transactions(statements)
    assert settle[0] == "lock orders_order"
    assert settle[-2:] == ["lock inventory_stock", "write inventory_stock"]
    assert len([entry for entry in settle if entry.startswith("lock")]) == 2


@pytest.mark.django_db(transaction=True)
def test_cancel_takes_as_many_statements_for_twenty_lines_as_for_one():
    small, large = order_of(1), order_of(20)
    for order in (small, large):
        pay(order, gateway="manual")

    few = statements_of(lambda: payments.cancel(small.pk, actor=MERCHANT))
    many = statements_of(lambda: payments.cancel(large.pk, actor=MERCHANT))

    assert few == many
    assert len(few) == 10, few
    assert few[1] == "lock orders_order"
    assert few[-3:] == ["lock inventory_stock", "write inventory_stock", "COMMIT"]
    assert len([entry for entry in few if entry.startswith("lock")]) == 2


# The whole books after an order's life.


def test_lines_hold_units_only_while_the_order_does(gateway, shirt, order):
    held = []
    for act in (
        lambda: pay(order, method=AUTHORIZE),
        lambda: payments.void(order.pk, order.payments.get().pk, actor=MERCHANT),
        lambda: pay(order),
        lambda: orders.ship(order.pk, actor=MERCHANT),
    ):
        act()
        held.append(OrderItem.objects.values_list("allocated", "shipped").get())

    assert held == [(1, 0), (0, 0), (1, 0), (0, 1)]
