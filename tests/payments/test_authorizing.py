"""Authorizing an amount, capturing it or part of it, and letting it go."""

import uuid

import pytest

from orders.errors import OrderNotFound
from payments.errors import (
    GatewayRefused,
    ManualNotVoidable,
    NotCapturable,
    NotVoidable,
    PaymentNotFound,
)
from payments.gateways.base import UNKNOWN
from payments.services import payments, recovery
from tests.factories import MERCHANT, unpaid_order
from tests.fake_gateway import DECLINED, OK
from tests.payments.paying import AUTHORIZE, in_a_minute, money, pay, states
from tests.stock import entries, numbers

pytestmark = pytest.mark.django_db


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
