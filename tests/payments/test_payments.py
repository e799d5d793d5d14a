import uuid
from typing import Any

import pytest
from django.db import connection, transaction

from api.actors import SYSTEM
from api.errors import Busy, Moved
from api.idempotency import Answered, Key
from api.ids import uuid7
from api.models import Change
from inventory.models import Product, StockTransaction
from inventory.services import products
from orders.errors import InsufficientStock, NotForSale, OrderNotFound
from orders.models import Order, OrderItem
from orders.services import carts, orders, shipments
from payments.errors import (
    AmountRefused,
    GatewayNotConfigured,
    GatewayNotEnabled,
    GatewayNotFound,
    ManualNotForShoppers,
    OrderNotPayable,
    PaymentDeclined,
    RestIsPending,
    TooManyPayments,
)
from payments.gateways.base import UNKNOWN, Answer
from payments.models import Attempt, Gateway, Payment
from payments.services import payments, recovery, settling
from payments.services.payments import PaymentRequest
from tests.concurrency import run_together
from tests.factories import BUYER, MERCHANT, product, unpaid_order
from tests.fake_gateway import DECLINED, OK
from tests.orders.statements import statements_of, transactions
from tests.payments.paying import AUTHORIZE, PURCHASE, declined, in_a_minute, money, pay, states
from tests.stock import entries, numbers

pytestmark = pytest.mark.django_db


def key(name: str = "k", body: str = "body") -> Key:
    return Key("client", "POST", "/v2/orders/1/payments", name, body, uuid7())


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


def test_a_product_that_is_no_longer_managed_after_checkout_is_no_longer_counted(
    gateway, shirt, order
):
    products.stop_managing(shirt.pk, actor=MERCHANT)

    assert pay(order).status == "complete"


def off_sale(how: str, wanted: Product) -> None:
    if how == "archived":
        products.archive(wanted.pk, actor=MERCHANT)
    else:
        products.update(wanted.pk, actor=MERCHANT, status="draft")


@pytest.mark.parametrize("how", ["draft", "archived"])
@pytest.mark.parametrize("through", ["fake", "manual"])
@pytest.mark.parametrize("managed", [True, False])
def test_t14_what_went_off_sale_after_checkout_is_not_paid(gateway, shirt, how, through, managed):
    """Nothing is asked, recorded or taken, of the other line neither; on sale again, it is paid."""
    gone = product(stock=5 * managed, managed=managed)
    order = unpaid_order({shirt: 2, gone: 1})
    off_sale(how, gone)

    with pytest.raises(NotForSale) as refused:
        pay(order, gateway=through)

    assert refused.value.meta == {"id": str(gone.pk), "sku": gone.sku}
    assert gateway.charged == []
    assert not order.payments.exists()
    assert numbers(shirt) == (10, 10, 0)
    assert list(order.items.values_list("allocated", flat=True)) == [0, 0]
    if how == "draft":
        products.update(gone.pk, actor=MERCHANT, status="live")
        assert pay(order, gateway=through).status == "complete"


@pytest.mark.parametrize("managed", [True, False])
def test_t14_once_units_are_taken_the_product_may_go_off_sale(gateway, managed):
    gone = product(stock=5 * managed, managed=managed)
    order = unpaid_order({gone: 1})
    pay(order, amount=100)
    off_sale("draft", gone)

    pay(order)

    assert states(order) == ("complete", "paid")


def test_t14_who_tries_again_after_a_failed_payment_begins_anew(gateway, shirt, order):
    gateway.on_charge = lambda payment: DECLINED
    with pytest.raises(PaymentDeclined):
        pay(order)
    off_sale("draft", shirt)

    with pytest.raises(NotForSale):
        pay(order)

    assert len(gateway.charged) == 1


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


def test_t39_shoppers_begin_only_so_many_payments_of_an_order(gateway, shirt, order, monkeypatch):
    monkeypatch.setattr(payments, "PAYMENTS_MAX", 2)
    gateway.on_charge = lambda payment: DECLINED
    declined(order, by_shopper=True)
    declined(order, by_shopper=True)

    with pytest.raises(TooManyPayments):
        pay(order, by_shopper=True)

    assert len(gateway.charged) == 2
    assert numbers(shirt) == (10, 10, 0)
    gateway.on_charge = lambda payment: OK
    assert pay(order).status == "complete"


def test_a_free_order_is_paid_with_nothing_by_hand(gateway, settings):
    settings.MANUAL_GATEWAY_FOR_SHOPPERS = False
    poster = product(stock=3, price=0)
    order = unpaid_order({poster: 1})

    with pytest.raises(AmountRefused):
        pay(order, gateway="fake")
    with pytest.raises(AmountRefused):
        pay(order, 1, gateway="manual")
    with pytest.raises(ManualNotForShoppers):
        pay(order, gateway="manual", by_shopper=True)
    pay(order, gateway="manual")

    assert states(order) == ("complete", "paid")
    assert numbers(poster) == (3, 2, 1)
    with pytest.raises(OrderNotPayable):
        pay(order, gateway="manual")
    shipments.ship(order.pk, actor=MERCHANT)
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
    payments.set_gateway("fake", enabled=False, actor=MERCHANT)

    for slug in ("fake", "nobody"):
        with pytest.raises(GatewayNotEnabled):
            pay(order, gateway=slug)

    assert gateway.charged == []
    assert numbers(shirt) == (10, 10, 0)


def test_a_payment_is_on_record_as_it_was_asked_for(gateway, order):
    request = PaymentRequest("fake", AUTHORIZE, 400, "tok_1", "Visa", "till 3")

    payment = payments.begin(order.pk, request, actor=MERCHANT)

    payment.refresh_from_db()
    assert (payment.gateway, payment.method, payment.amount) == ("fake", "authorize", 400)
    assert (payment.token, payment.name, payment.custom_reference) == ("tok_1", "Visa", "till 3")
    assert (payment.currency, payment.actor) == ("USD", MERCHANT)
    assert payment.charging_until is not None
    assert payment.charging_until > payment.created_at == payment.updated_at
    assert order.payments.get() == payment, "what is paid exactly leaves nothing beyond it"


def test_what_is_paid_is_decided_on_what_somebody_saw(gateway, order):
    order.refresh_from_db()
    seen = order.standing()
    pay(order, 400)

    with pytest.raises(Moved):
        pay(order, seen=seen)

    assert len(gateway.charged) == 1


def test_a_payment_has_the_id_that_its_caller_chose(gateway, order):
    chosen = uuid7()

    assert pay(order, payment_id=chosen).pk == chosen
    assert order.payments.get().pk == chosen


def test_payments_of_an_unknown_order_are_not_found(order):
    assert payments.payments_of(order.pk) == []
    with pytest.raises(OrderNotFound):
        payments.payments_of(uuid.uuid4())


def test_a_gateway_without_its_keys_is_not_enabled(settings):
    settings.STRIPE_SECRET_KEY = ""
    payments.set_gateway("stripe", name="Cards", actor=MERCHANT)

    with pytest.raises(GatewayNotConfigured):
        payments.set_gateway("stripe", enabled=True, actor=MERCHANT)

    stripe = payments.gateway_named("stripe")
    assert (stripe.name, stripe.enabled) == ("Cards", False)


def test_what_is_changed_of_a_gateway_is_on_record_and_changed_as_it_was_seen(gateway):
    payments.set_gateway("fake", name="Cards", seen={"name": "Fake"}, actor=MERCHANT)

    with pytest.raises(Moved):
        payments.set_gateway("fake", enabled=False, seen={"name": "Fake"}, actor=MERCHANT)

    assert payments.gateway_named("fake").enabled
    entry = Change.objects.latest("pk")
    assert (entry.actor, entry.thing_id) == (MERCHANT, "fake")
    assert entry.fields == [{"field": "name", "before": "Fake", "after": "Cards"}]


def test_f27_the_same_key_changes_a_gateway_once(gateway):
    payments.set_gateway("fake", name="Cards", actor=MERCHANT, key=key())

    with pytest.raises(Answered) as again:
        payments.set_gateway("fake", name="Cards", actor=MERCHANT, key=key())

    assert again.value.record.resource_id == "fake"


def test_only_gateways_that_the_server_knows_are_told_of(gateway):
    Gateway.objects.create(slug="gone", name="Gone", enabled=True)

    assert "gone" not in payments.known_gateways().values_list("slug", flat=True)
    with pytest.raises(GatewayNotFound):
        payments.gateway_named("gone")
    assert payments.gateway_named("gone", Gateway.objects.all()).name == "Gone"


def test_gateways_are_switched_and_named(gateway):
    payments.set_gateway("fake", enabled=False, name="Cards", actor=MERCHANT)

    found = payments.gateway_named("fake")
    assert (found.enabled, found.name) == (False, "Cards")
    with pytest.raises(GatewayNotFound):
        payments.set_gateway("nobody", enabled=True, actor=MERCHANT)


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


# More by hand than is owed.


def by_hand(order: Order, amount: int | None, **more: Any) -> Payment:
    """Record money that is here, whatever is owed."""
    request = PaymentRequest("manual", PURCHASE, amount, takes_excess=True, **more)
    return payments.pay(order.pk, request, actor=MERCHANT)


def test_what_is_beyond_what_is_owed_is_on_record_to_be_given_back(shirt, order):
    counts = by_hand(order, 1500, name="Transfer", custom_reference="7")

    excess = order.payments.exclude(pk=counts.pk).get()
    assert (counts.amount, counts.late, payments.is_excess(counts)) == (1000, False, False)
    assert (excess.amount, excess.captured_amount, excess.status) == (500, 500, "complete")
    assert (excess.late, payments.is_excess(excess), excess.actor) == (True, True, MERCHANT)
    assert (excess.name, excess.custom_reference, excess.currency) == ("Transfer", "7", "USD")
    assert excess.captured_at == excess.created_at
    assert Payment.objects.filter(payments.EXCESS).get() == excess
    assert states(order) == ("complete", "paid")
    assert money(order) == {"captured": 1000}
    assert numbers(shirt) == (10, 9, 1)
    payments.refund(order.pk, excess.pk, 500, actor=MERCHANT)
    assert money(order) == {"captured": 1000}


@pytest.mark.parametrize("amount", [None, 400, 1000])
def test_what_is_owed_leaves_nothing_beyond_it(order, amount):
    assert by_hand(order, amount).amount == (amount or 1000)

    assert order.payments.count() == 1


def test_a_cent_beyond_is_beyond_and_nothing_is_not(order):
    free = unpaid_order({product(stock=3, price=0): 1})

    assert by_hand(order, 1001).amount == 1000
    by_hand(free, None)

    assert [payment.amount for payment in payments.payments_of(order.pk)] == [1000, 1]
    assert [payment.amount for payment in payments.payments_of(free.pk)] == [0]


def test_more_than_is_owed_is_refused_where_nobody_said_that_it_is_here(shirt, order):
    with pytest.raises(AmountRefused):
        pay(order, 1500, gateway="manual")

    assert numbers(shirt) == (10, 10, 0)


def test_nothing_and_less_is_no_money_that_is_here(order):
    for amount in (0, -1):
        with pytest.raises(AmountRefused):
            by_hand(order, amount)


def test_what_is_beyond_is_known_when_it_is_known_what_counts(gateway, order):
    gateway.on_charge = lambda payment: UNKNOWN
    hangs = pay(order, 400)

    with pytest.raises(RestIsPending):
        by_hand(order, 601)
    assert by_hand(order, 100).amount == 100
    settling.settle(hangs, DECLINED)

    assert by_hand(order, 1000).amount == 900
    assert money(order) == {"captured": 1000}


def test_late_money_of_a_gateway_is_no_excess(gateway, order):
    gateway.on_charge = lambda payment: DECLINED
    late = declined(order)
    pay(order, gateway="manual")

    late = settling.settle(late, OK)

    assert (late.late, payments.is_excess(late)) == (True, False)


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
        lambda: shipments.ship(order.pk, actor=MERCHANT),
    ):
        act()
        held.append(OrderItem.objects.values_list("allocated", "shipped").get())

    assert held == [(1, 0), (0, 0), (1, 0), (0, 1)]
