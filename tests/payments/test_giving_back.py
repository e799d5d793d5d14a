"""Money that goes back with goods: for units that are cancelled, or that were taken back."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from api import clock
from api.errors import Moved
from api.idempotency import Answered, Key
from api.ids import uuid7
from inventory.models import Product, StockTransaction
from orders.errors import (
    NotPutBack,
    NoUnits,
    OrderNotCancellable,
    OrderNotFound,
    PaymentUnderWay,
    UnitsNotLeft,
)
from orders.models import Order
from orders.services import orders, shipments
from orders.services.returns import TakenBack
from payments.errors import NotRefundable
from payments.gateways.base import UNKNOWN, Answer
from payments.models import Attempt
from payments.services import giving_back, payments, recovery, settling
from tests.factories import MERCHANT, paid_order, unpaid_order
from tests.fake_gateway import DECLINED, OK, FakeGateway
from tests.payments.paying import AUTHORIZE, declined, in_a_minute, money, pay, states
from tests.stock import entries, numbers

pytestmark = pytest.mark.django_db


@pytest.fixture
def order(shirt: Product) -> Order:
    """An unpaid order of three shirts, worth 3000."""
    return unpaid_order({shirt: 3})


def cancel_items(order: Order, units: int, amount: int, **more: Any) -> list[Attempt]:
    [line] = order.items.all()
    how: dict[str, Any] = {"actor": MERCHANT, "reason": "sold out", **more}
    return giving_back.cancel_items(order.pk, {line.pk: units}, amount, **how)


def take_back(order: Order, units: int, amount: int, **more: Any) -> list[Attempt]:
    [line] = order.items.all()
    came_back = [TakenBack(line.pk, units, "restocked")]
    how: dict[str, Any] = {"actor": MERCHANT, "reason": "too small", **more}
    return giving_back.take_back(order.pk, came_back, amount, **how)


def shipped(order: Order) -> Order:
    shipments.ship(order.pk, actor=MERCHANT)
    return order


def kept(refunds: list[Attempt]) -> list[tuple[Any, int, str]]:
    """Whose refunds they are, of how much, and how they ended."""
    return [(refund.payment_id, refund.amount, refund.status) for refund in refunds]


# Units that are cancelled.


def test_cancelled_units_come_back_and_their_money_goes_back(gateway, shirt, order):
    payment = pay(order)

    [refund] = cancel_items(order, 1, 1000)

    assert (refund.kind, refund.reason, refund.actor) == ("refund", "sold out", MERCHANT)
    assert kept([refund]) == [(payment.pk, 1000, "succeeded")]
    assert gateway.performed == [("refund", 1000)]
    assert money(order) == {"captured": 3000, "refunded": 1000}
    assert states(order) == ("complete", "paid")
    assert numbers(shirt) == (10, 8, 2)
    assert entries(shirt)[-1] == ("deallocate", 1, "items cancelled")
    assert order.events.latest("pk").text == f"1 of {shirt.sku}: sold out"
    assert StockTransaction.objects.latest("sequence").actor == MERCHANT


def test_cancelled_units_that_are_damaged_are_written_off(gateway, shirt, order):
    pay(order)

    cancel_items(order, 1, 1000, restock=False)

    assert numbers(shirt) == (9, 7, 2)
    assert money(order) == {"captured": 3000, "refunded": 1000}


def test_units_are_cancelled_without_giving_anything_back(gateway, shirt, order):
    pay(order)

    assert cancel_items(order, 1, 0) == []

    assert gateway.performed == []
    assert money(order) == {"captured": 3000}
    assert numbers(shirt) == (10, 8, 2)


def test_no_money_goes_back_for_units_that_cannot_be_cancelled(gateway, shirt, order):
    pay(order)

    with pytest.raises(UnitsNotLeft):
        cancel_items(order, 4, 1000)

    assert gateway.performed == []
    assert not Attempt.objects.exists()
    assert money(order) == {"captured": 3000}


def test_an_order_says_itself_why_its_units_are_not_to_be_cancelled(gateway, shirt, order):
    with pytest.raises(OrderNotCancellable, match="not paid"):
        cancel_items(order, 1, 1000)
    gateway.on_charge = lambda payment: UNKNOWN
    pay(order)
    with pytest.raises(PaymentUnderWay):
        cancel_items(order, 1, 1000)

    away = shipped(paid_order({shirt: 2}))
    with pytest.raises(OrderNotCancellable, match="shipped already"):
        cancel_items(away, 1, 5000)


# Units that came back.


def test_units_that_came_back_are_in_stock_and_their_money_goes_back(gateway, shirt, order):
    payment = pay(order)
    shipped(order)

    [refund] = take_back(order, 2, 1500)

    assert kept([refund]) == [(payment.pk, 1500, "succeeded")]
    assert (refund.reason, refund.actor) == ("too small", MERCHANT)
    assert money(order) == {"captured": 3000, "refunded": 1500}
    assert numbers(shirt) == (9, 9, 0)
    assert entries(shirt)[-1] == ("increment", 2, "too small")
    back = order.returns.get()
    assert (back.attempt_id, back.reason, back.actor) == (refund.pk, "too small", MERCHANT)
    assert [(line.quantity, line.disposition) for line in back.lines.all()] == [(2, "restocked")]


def test_a_return_names_the_first_of_its_refunds(gateway, order):
    for amount in (1000, 2000):
        pay(order, amount)
    shipped(order)

    refunds = take_back(order, 3, 3000)

    assert [refund.amount for refund in refunds] == [1000, 2000]
    assert order.returns.get().attempt_id == refunds[0].pk


def test_units_come_back_without_money_and_the_order_has_changed(gateway, shirt, order):
    pay(order)
    shipped(order)
    tomorrow = clock.now() + timedelta(days=1)

    with clock.replaced(lambda: tomorrow):
        assert take_back(order, 1, 0) == []

    assert gateway.performed == []
    assert money(order) == {"captured": 3000}
    assert numbers(shirt) == (8, 8, 0)
    assert order.returns.get().attempt_id is None
    # By this an incremental audit finds it, and so does whoever reads what changed.
    assert order.updated_at == tomorrow


def test_units_that_come_back_end_that_an_order_was_left_be(order):
    pay(order, gateway="manual")
    shipped(order)
    with transaction.atomic():
        orders.leave_be(Order.objects.lock(order.pk), actor=MERCHANT, reason="known")

    take_back(order, 1, 0)

    order.refresh_from_db()
    assert order.left_be_at is None


@pytest.mark.parametrize(("units", "refusal"), [(4, NotPutBack), (0, NoUnits)])
def test_no_money_goes_back_for_units_that_cannot_come_back(gateway, order, units, refusal):
    pay(order)
    shipped(order)

    with pytest.raises(refusal):
        take_back(order, units, 1000)

    assert gateway.performed == []
    assert not Attempt.objects.exists()


def test_nothing_comes_back_of_an_order_that_was_never_shipped(order):
    with pytest.raises(NotPutBack):
        take_back(order, 1, 0)


# The refunds of both.

BOTH = pytest.mark.parametrize("give_back", [cancel_items, take_back])


def ready(order: Order, give_back: Any) -> Order:
    """Units are cancelled while they are here, and taken back once they are away."""
    return shipped(order) if give_back is take_back else order


@BOTH
def test_money_goes_back_by_the_oldest_payments_first(gateway, order, give_back):
    first, second, third = (pay(order, amount) for amount in (500, 1000, 1500))
    ready(order, give_back)

    one_and_a_bit = give_back(order, 1, 700)
    what_is_left_of_it_first = give_back(order, 1, 900)

    assert kept(one_and_a_bit) == [(first.pk, 500, "succeeded"), (second.pk, 200, "succeeded")]
    assert kept(what_is_left_of_it_first) == [
        (second.pk, 800, "succeeded"),
        (third.pk, 100, "succeeded"),
    ]
    assert money(order) == {"captured": 3000, "refunded": 1600}


@BOTH
@pytest.mark.parametrize("amount", [3001, -1])
def test_more_than_the_order_has_does_not_go_back_and_no_units_move(
    gateway, shirt, order, give_back, amount
):
    pay(order)
    ready(order, give_back)
    before = numbers(shirt)

    with pytest.raises(NotRefundable):
        give_back(order, 1, amount)

    assert numbers(shirt) == before
    assert not Attempt.objects.exists()
    assert not order.returns.exists()
    assert gateway.performed == []


@BOTH
def test_what_is_on_its_way_back_does_not_go_back_twice(gateway, order, give_back):
    payment = pay(order)
    ready(order, give_back)
    gateway.on_perform = lambda attempt: UNKNOWN
    payments.refund(order.pk, payment.pk, 2500, actor=MERCHANT)

    with pytest.raises(NotRefundable):
        give_back(order, 1, 501)
    give_back(order, 1, 500)

    assert money(order) == {"captured": 3000, "refunds_open": 2}


@BOTH
def test_late_money_is_given_back_apart(gateway, order, give_back):
    gateway.on_charge = lambda payment: DECLINED
    late = declined(order)
    payment = pay(order, gateway="manual")
    gateway.on_perform = lambda attempt: DECLINED
    settling.settle(late, OK)
    with in_a_minute():
        recovery.settle_pending()
    ready(order, give_back)
    late.refresh_from_db()
    assert (late.late, late.refundable_amount) == (True, 3000)

    with pytest.raises(NotRefundable):
        give_back(order, 1, 3001)
    assert kept(give_back(order, 1, 1000)) == [(payment.pk, 1000, "succeeded")]
    assert giving_back.refundable(order.payments.all()) == 2000


@BOTH
def test_what_the_gateway_would_round_does_not_go_back(
    gateway, shirt, order, give_back, monkeypatch
):
    pay(order, 995, gateway="manual")
    pay(order, 2005)
    ready(order, give_back)
    before = numbers(shirt)
    monkeypatch.setattr(FakeGateway, "can_move", lambda gateway, amount, currency: amount % 10 == 0)

    with pytest.raises(NotRefundable):
        give_back(order, 1, 1000)
    assert (numbers(shirt), Attempt.objects.count()) == (before, 0)
    give_back(order, 1, 1005)

    # To record what was handed out by hand, nobody has to move anything.
    assert gateway.performed == [("refund", 10)]
    assert money(order) == {"captured": 3000, "refunded": 1005}


@BOTH
def test_goods_and_refund_are_on_record_when_the_gateway_is_asked(gateway, order, give_back):
    pay(order)
    ready(order, give_back)
    seen = []

    def look(attempt: Attempt) -> Answer:
        [line] = order.items.all()
        seen.append((line.cancelled + line.returned, money(order), attempt.status))
        return OK

    gateway.on_perform = look

    give_back(order, 2, 1000)

    assert seen == [(2, {"captured": 3000, "refunds_open": 1}, "pending")]


@BOTH
def test_a_refund_whose_process_died_is_made_by_recovery(gateway, order, give_back):
    pay(order)
    ready(order, give_back)

    def die(attempt: Attempt) -> Answer:
        raise KeyboardInterrupt

    gateway.on_perform = die
    with pytest.raises(KeyboardInterrupt):
        give_back(order, 1, 1000)
    gateway.on_perform = lambda attempt: OK
    with in_a_minute():
        recovery.settle_pending()

    assert money(order) == {"captured": 3000, "refunded": 1000}
    [line] = order.items.all()
    assert line.cancelled + line.returned == 1


@BOTH
def test_a_refused_refund_stops_neither_the_goods_nor_the_other_refunds(
    gateway, shirt, order, give_back
):
    first, second = pay(order, 1000), pay(order, 2000)
    ready(order, give_back)
    before = numbers(shirt)
    gateway.on_perform = lambda attempt: DECLINED if attempt.payment_id == first.pk else OK

    refunds = give_back(order, 1, 1500)

    assert kept(refunds) == [(first.pk, 1000, "failed"), (second.pk, 500, "succeeded")]
    assert [refund.failure for refund in refunds] == [DECLINED.failure, ""]
    assert money(order) == {"captured": 3000, "refunded": 500}
    assert numbers(shirt)[1] == before[1] + 1


@BOTH
def test_a_refund_without_an_answer_comes_back_pending(gateway, order, give_back):
    pay(order)
    ready(order, give_back)
    gateway.on_perform = lambda attempt: UNKNOWN

    [refund] = give_back(order, 1, 1000)

    assert refund.is_pending
    assert money(order) == {"captured": 3000, "refunds_open": 1}


@BOTH
def test_what_was_decided_by_an_older_look_at_the_order_does_nothing(gateway, order, give_back):
    payment = pay(order)
    ready(order, give_back)
    order.refresh_from_db()
    seen = order.standing()
    payments.refund(order.pk, payment.pk, 100, actor=MERCHANT)

    with pytest.raises(Moved):
        give_back(order, 1, 1000, seen=seen)
    assert money(order) == {"captured": 3000, "refunded": 100}

    give_back(order, 1, 1000, seen=order.standing())
    assert money(order) == {"captured": 3000, "refunded": 1100}


@BOTH
def test_f27_the_same_key_gives_back_once(gateway, order, give_back):
    pay(order)
    ready(order, give_back)
    key = Key("client", "POST", "/", "back", "body", uuid7())
    give_back(order, 1, 1000, key=key)
    of_it = order.pk if give_back is cancel_items else order.returns.get().pk

    with pytest.raises(Answered) as again:
        give_back(order, 1, 1000, key=key)

    assert again.value.record.resource_id == str(of_it)
    assert gateway.performed == [("refund", 1000)]
    assert money(order) == {"captured": 3000, "refunded": 1000}


def test_nothing_goes_back_of_an_order_that_there_is_not():
    how: dict[str, Any] = {"actor": MERCHANT, "reason": ""}

    with pytest.raises(OrderNotFound):
        giving_back.cancel_items(uuid7(), {}, 0, **how)
    with pytest.raises(OrderNotFound):
        giving_back.take_back(uuid7(), [], 0, **how)


def test_what_is_not_paid_in_full_gives_nothing_back(gateway, shirt):
    order = unpaid_order({shirt: 3})
    pay(order, 1000)
    authorized = unpaid_order({shirt: 3})
    pay(authorized, method=AUTHORIZE)

    for each in (order, authorized):
        with pytest.raises(NotRefundable):
            take_back(each, 1, 500)

    assert gateway.performed == []


def test_what_may_go_back_is_what_was_captured_and_is_not_on_its_way(gateway, order):
    first, _ = pay(order, 1000), pay(order, 2000)
    gateway.on_perform = lambda attempt: UNKNOWN
    payments.refund(order.pk, first.pk, 400, actor=MERCHANT)

    assert giving_back.refundable(order.payments.all()) == 2600
    assert giving_back.refundable([]) == 0
