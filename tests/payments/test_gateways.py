import contextlib
from contextlib import AbstractContextManager
from datetime import timedelta

import pytest
from django.db import transaction

from api import clock
from orders.models import Order
from payments import gateways
from payments.errors import GatewayNotEnabled, GatewayNotFound, PaymentDeclined
from payments.gateways.base import UNKNOWN
from payments.models import Payment
from payments.services import gateway_calls, payments, recovery
from payments.services.payments import PaymentRequest
from tests.factories import MERCHANT, product, stock_of, unpaid_order

pytestmark = pytest.mark.django_db

AUTHORIZE = Payment.Method.AUTHORIZE


@pytest.fixture
def order() -> Order:
    return unpaid_order({product(stock=10, price=1000): 1})


def in_an_hour() -> AbstractContextManager[None]:
    now = clock.now()
    return clock.replaced(lambda: now + timedelta(hours=1))


def pay_with(order: Order, token: str) -> Payment:
    return payments.pay(order.pk, PaymentRequest("test", token=token), actor=MERCHANT)


@pytest.mark.parametrize("token", ["ok", ""])
def test_the_test_gateway_succeeds(order, token):
    payment = pay_with(order, token)

    assert payment.status == "complete"
    assert payment.reference == f"test_{payment.pk.hex}"


@pytest.mark.parametrize("token", ["decline", "a card that it does not know"])
def test_the_test_gateway_declines(order, token):
    with pytest.raises(PaymentDeclined):
        pay_with(order, token)

    assert order.payments.get().failure == "The card was declined."


@pytest.mark.parametrize(
    ("token", "status", "state"),
    [("slow", "complete", "paid"), ("slow_decline", "failed", "unpaid")],
)
@pytest.mark.usefixtures("impatient")
def test_the_test_gateway_is_slow_and_tells_when_asked_again(order, token, status, state):
    payment = pay_with(order, token)
    slow = payment.status

    recovery.settle_pending()

    payment.refresh_from_db()
    order.refresh_from_db()
    assert slow == "pending"
    assert (payment.status, order.payment) == (status, state)


def test_the_test_gateway_never_says_a_word_until_it_is_given_up(order):
    payment = pay_with(order, "unknown")

    recovery.settle_pending()
    silent = payments.payment_of(order.pk, payment.pk)
    with in_an_hour():
        recovery.settle_pending()

    given_up = payments.payment_of(order.pk, payment.pk)
    assert (payment.status, silent.status) == ("pending", "pending")
    assert (given_up.status, given_up.failure) == (
        "failed",
        "The payment was not completed in time.",
    )
    assert stock_of(order.items.get().product).allocated == 0


@pytest.mark.parametrize(
    ("token", "status", "state"),
    [("requires_action", "complete", "paid"), ("requires_action_decline", "failed", "unpaid")],
)
def test_the_test_gateway_waits_for_its_buyer(order, token, status, state):
    payment = pay_with(order, token)
    recovery.settle_pending()
    waiting = payments.payment_of(order.pk, payment.pk)

    with contextlib.suppress(PaymentDeclined):
        payments.confirm(order.pk, payment.pk)

    confirmed = payments.payment_of(order.pk, payment.pk)
    order.refresh_from_db()
    assert waiting.status == "pending"
    assert waiting.action == {
        "client_parameters": {"reference": f"test_{payment.pk.hex}"},
        "next_actions": [{"type": "confirm"}],
    }
    assert (confirmed.status, confirmed.action, order.payment) == (status, None, state)


def test_a_buyer_who_never_acts_gives_the_units_back(order):
    pay_with(order, "requires_action")

    with in_an_hour():
        recovery.settle_pending()

    order.refresh_from_db()
    assert (order.payments.get().status, order.payment) == ("failed", "unpaid")
    assert stock_of(order.items.get().product).allocated == 0


def test_the_test_gateway_captures_voids_and_refunds(order):
    request = PaymentRequest("test", AUTHORIZE)
    voided = payments.pay(order.pk, request, actor=MERCHANT)
    payments.void(order.pk, voided.pk, actor=MERCHANT)
    captured = payments.pay(order.pk, request, actor=MERCHANT)
    payments.capture(order.pk, captured.pk, actor=MERCHANT)

    attempt = payments.refund(order.pk, captured.pk, 400, actor=MERCHANT)

    order.refresh_from_db()
    assert attempt.reference == f"test_{attempt.pk.hex}"
    assert (order.captured, order.refunded, order.payment) == (1000, 400, "paid")


def test_the_test_gateway_is_for_the_demo_and_the_tests_only(order, settings):
    settings.HOLDFAST_DEMO = False

    with pytest.raises(GatewayNotFound):
        gateways.adapter("test")
    with pytest.raises(GatewayNotFound):
        payments.set_gateway("test", enabled=True, actor=MERCHANT)
    with pytest.raises(GatewayNotEnabled):
        pay_with(order, "ok")

    assert not order.payments.exists()
    assert stock_of(order.items.get().product).allocated == 0


# By hand: nobody is asked, and everything is done at once.


def test_money_in_hand_is_captured_and_given_back_at_once(order):
    payment = payments.pay(order.pk, PaymentRequest("manual", AUTHORIZE), actor=MERCHANT)
    order.refresh_from_db()
    authorized = (order.payment, order.authorized, payment.status)

    captured = payments.capture(order.pk, payment.pk, actor=MERCHANT)
    refunded = payments.refund(order.pk, payment.pk, 300, actor=MERCHANT)

    order.refresh_from_db()
    assert authorized == ("authorized", 1000, "complete")
    assert (captured.status, refunded.status) == ("succeeded", "succeeded")
    assert (order.captured, order.refunded) == (1000, 300)
    assert (order.attempts_open, order.refunds_open) == (0, 0)


def test_begin_leaves_nothing_by_hand_for_recovery(order):
    part = payments.begin(order.pk, PaymentRequest("manual", AUTHORIZE), actor=MERCHANT)
    payments.begin_capture(order.pk, part.pk, actor=MERCHANT)
    payments.begin_refund(order.pk, part.pk, 300, actor=MERCHANT)

    settled = recovery.settle_pending()

    order.refresh_from_db()
    assert settled == 0
    assert (order.captured, order.refunded) == (1000, 300)


@pytest.mark.django_db(transaction=True)
def test_f12_no_gateway_is_asked_while_a_transaction_is_open():
    with transaction.atomic(), pytest.raises(AssertionError, match="a transaction is open"):
        gateway_calls.ask("test", lambda: UNKNOWN)

    assert gateway_calls.ask("test", lambda: UNKNOWN) is UNKNOWN
