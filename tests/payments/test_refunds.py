"""Refunds, and units that are put back with them."""

import contextlib
from typing import Any

import pytest

from inventory.models import Product
from orders.errors import NotPutBack, ShipNotUndoable
from orders.models import Order, OrderItem
from orders.services import shipments
from orders.services.returns import TakenBack
from payments.errors import GatewayRefused, NotRefundable
from payments.gateways.base import UNKNOWN
from payments.models import Attempt
from payments.services import payments, recovery
from tests.factories import MERCHANT, paid_order, undo_ship, unpaid_order
from tests.fake_gateway import DECLINED, OK
from tests.payments.paying import AUTHORIZE, declined, in_a_minute, money, pay, states
from tests.stock import entries, numbers

pytestmark = pytest.mark.django_db


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


def test_a_refund_says_why(gateway, order):
    payment = pay(order)

    attempt = payments.begin_refund(order.pk, payment.pk, 300, actor=MERCHANT, reason="broken")

    assert (attempt.reason, attempt.actor, attempt.status) == ("broken", MERCHANT, "pending")


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
    shipments.ship(order.pk, actor=MERCHANT)

    payments.refund(order.pk, payment.pk, None, actor=MERCHANT)

    assert states(order) == ("complete", "refunded")
    assert numbers(shirt) == (9, 9, 0)


def shipped_order(shirt: Product, units: int) -> tuple[Order, OrderItem]:
    order = paid_order({shirt: units})
    shipments.ship(order.pk, actor=MERCHANT)
    return order, order.items.get()


def refund_and_put_back(order: Order, line: OrderItem, units: int) -> Attempt:
    return payments.refund(
        order.pk,
        order.payments.get().pk,
        1,
        actor=MERCHANT,
        reason="did not fit",
        taken_back=[TakenBack(line.pk, units, "restocked")],
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
    shipments.ship(order.pk, actor=MERCHANT)
    before = numbers(shirt)
    gateway.on_perform = lambda attempt: DECLINED

    with pytest.raises(GatewayRefused):
        payments.refund(
            order.pk,
            payment.pk,
            100,
            actor=MERCHANT,
            taken_back=[TakenBack(order.items.get().pk, 1, "restocked")],
        )

    assert numbers(shirt) == (before[0] + 1, before[1] + 1, before[2])
    assert "refunded" not in money(order)


def test_f31_ship_is_not_undone_once_units_came_back(shirt):
    order, line = shipped_order(shirt, 3)
    refund_and_put_back(order, line, 1)
    before = numbers(shirt)

    with pytest.raises(ShipNotUndoable):
        undo_ship(order, reason="mistake")

    assert numbers(shirt) == before
