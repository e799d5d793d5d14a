"""Authorizing an amount, capturing it or part of it, and letting it go."""

import uuid

import pytest

from orders.errors import OrderNotFound
from payments.errors import (
    CaptureRefused,
    GatewayRefused,
    ManualNotVoidable,
    NotCapturable,
    NotRefundable,
    NotVoidable,
    PaymentNotFound,
)
from payments.gateways.base import UNKNOWN
from payments.models import Payment
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


@pytest.mark.parametrize("slug", ["fake", "test", "manual"])
def test_a_part_is_captured_the_rest_let_go_and_owing_again(gateway, shirt, order, slug):
    payment = pay(order, method=AUTHORIZE, gateway=slug)

    attempt = payments.capture(order.pk, payment.pk, 400, actor=MERCHANT)

    assert (attempt.status, attempt.amount) == ("succeeded", 400)
    assert states(order) == ("incomplete", "partially_paid")
    assert money(order) == {"captured": 400}
    assert (order.payable, order.balance_owing) == (600, 600)
    assert numbers(shirt) == (10, 9, 1)
    with pytest.raises(NotCapturable):
        payments.capture(order.pk, payment.pk, 600, actor=MERCHANT)
    pay(order)
    assert states(order) == ("complete", "paid")
    assert entries(shirt) == [("allocate", 1, "payment started")]


def test_parts_that_are_captured_one_after_another_add_up(gateway, order):
    first, second, _ = (pay(order, amount, method=AUTHORIZE) for amount in (300, 300, 400))

    payments.capture(order.pk, first.pk, actor=MERCHANT)
    payments.capture(order.pk, second.pk, 200, actor=MERCHANT)

    assert money(order) == {"captured": 500, "authorized": 400}
    assert order.payable == 100


@pytest.mark.parametrize("amount", [0, -1, 1001, 2**53])
def test_no_more_is_captured_than_is_authorized(gateway, order, amount):
    payment = pay(order, method=AUTHORIZE)

    with pytest.raises(CaptureRefused):
        payments.capture(order.pk, payment.pk, amount, actor=MERCHANT)

    assert gateway.performed == []
    assert money(order) == {"authorized": 1000}


def test_a_cent_can_be_captured(gateway, order):
    payment = pay(order, method=AUTHORIZE)

    payments.capture(order.pk, payment.pk, 1, actor=MERCHANT)

    assert money(order) == {"captured": 1}


def test_a_captured_part_is_all_that_goes_back(gateway, order):
    payment = pay(order, method=AUTHORIZE)
    payments.capture(order.pk, payment.pk, 400, actor=MERCHANT)
    payments.cancel(order.pk, actor=MERCHANT)

    with pytest.raises(NotRefundable):
        payments.refund(order.pk, payment.pk, 401, actor=MERCHANT)
    payments.refund(order.pk, payment.pk, 400, actor=MERCHANT)

    assert states(order) == ("cancelled", "refunded")
    assert gateway.performed == [("capture", 400), ("refund", 400)]


def test_a_capture_of_a_part_without_an_answer_is_performed_as_that_part(gateway, order):
    payment = pay(order, method=AUTHORIZE)
    gateway.on_perform = lambda attempt: UNKNOWN
    payments.capture(order.pk, payment.pk, 400, actor=MERCHANT)
    gateway.on_perform = lambda attempt: OK

    with in_a_minute():
        recovery.settle_pending()

    assert gateway.performed == [("capture", 400), ("capture", 400)]
    assert money(order) == {"captured": 400}


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


def test_when_money_was_captured_stays_also_when_it_is_given_back(gateway, order):
    authorized = pay(order, method=AUTHORIZE)
    asked = authorized.captured_at
    with in_a_minute():
        payments.capture(order.pk, authorized.pk, actor=MERCHANT)
        captured = Payment.objects.get(pk=authorized.pk)
    payments.refund(order.pk, authorized.pk, None, actor=MERCHANT)
    refunded = Payment.objects.get(pk=authorized.pk)

    assert asked is None
    assert captured.captured_at == captured.updated_at > authorized.created_at
    assert refunded.captured_at == captured.captured_at
