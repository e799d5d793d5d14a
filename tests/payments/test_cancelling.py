"""Cancelling an order, and what becomes of its money."""

import uuid

import pytest

from api.errors import Moved
from orders.errors import OrderNotCancellable, OrderNotFound, OrderNotShippable, PaymentUnderWay
from orders.services import shipments
from payments.gateways.base import UNKNOWN
from payments.models import Attempt
from payments.services import bookkeeping, payments, recovery
from tests.factories import MERCHANT, paid_order, unpaid_order
from tests.fake_gateway import DECLINED, OK
from tests.payments.paying import AUTHORIZE, PURCHASE, declined, in_a_minute, money, pay, states
from tests.stock import entries, numbers

pytestmark = pytest.mark.django_db


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
    shipments.ship(order.pk, actor=MERCHANT)

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
        shipments.ship(order.pk, actor=MERCHANT)

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
        shipments.ship(order.pk, actor=MERCHANT)


def test_only_what_is_still_held_is_voided_with_the_order(gateway, order):
    captured = pay(order, amount=400, method=AUTHORIZE)
    payments.capture(order.pk, captured.pk, actor=MERCHANT)
    pay(order, amount=100)
    held = pay(order, amount=300, method=AUTHORIZE)

    payments.cancel(order.pk, actor=MERCHANT, reason="changed their mind")

    voids = Attempt.objects.filter(kind=Attempt.Kind.VOID)
    assert [(void.payment_id, void.amount, void.reason) for void in voids] == [
        (held.pk, 300, "order cancelled")
    ]
    assert money(order) == {"captured": 500}


def test_an_order_is_cancelled_as_damaged_and_says_why(gateway, shirt, order):
    payment = pay(order, method=AUTHORIZE)

    payments.cancel(order.pk, actor=MERCHANT, reason="dropped", restock=False)

    assert numbers(shirt) == (9, 9, 0)
    event = order.events.get(kind="cancelled")
    assert (event.actor, "dropped" in event.text) == (MERCHANT, True)
    assert payment.attempts.get().actor == MERCHANT


def test_one_void_that_is_refused_keeps_no_other_from_being_made(gateway, order):
    first, second = (pay(order, amount, method=AUTHORIZE) for amount in (400, 600))
    gateway.on_perform = lambda attempt: DECLINED if attempt.payment_id == first.pk else OK

    payments.cancel(order.pk, actor=MERCHANT)

    assert sorted(gateway.performed) == [("void", 400), ("void", 600)]
    second.refresh_from_db()
    assert second.status == "cancelled"
    assert money(order) == {"authorized": 400}


def test_what_is_done_with_money_is_decided_on_what_somebody_saw(gateway, order):
    payment = pay(order, amount=400, method=AUTHORIZE)
    order.refresh_from_db()
    seen = bookkeeping.standing(order, payment)
    pay(order, amount=300, method=AUTHORIZE)

    for act in (payments.begin_capture, payments.begin_void):
        with pytest.raises(Moved):
            act(order.pk, payment.pk, actor=MERCHANT, seen=seen)
    with pytest.raises(Moved):
        payments.begin_refund(order.pk, payment.pk, None, actor=MERCHANT, seen=seen)
    with pytest.raises(Moved):
        payments.cancel(order.pk, actor=MERCHANT, seen=order.standing())

    order.refresh_from_db()
    payments.begin_void(
        order.pk, payment.pk, actor=MERCHANT, seen=bookkeeping.standing(order, payment)
    )


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
