"""Our books of the money beside the gateway's own."""

from typing import Any

import pytest
from django.core.management import CommandError, call_command

from orders.models import Order
from payments import gateways
from payments.models import Attempt, Payment
from payments.services import payments, recovery
from payments.services.payments import PaymentRequest
from tests.factories import MERCHANT, product, unpaid_order

pytestmark = pytest.mark.django_db

VISA = "pm_card_visa"


@pytest.fixture
def order() -> Order:
    return unpaid_order({product(stock=10, price=1000): 1})


def pay(order: Order, **more: Any) -> Payment:
    request = PaymentRequest("stripe", token=VISA, **more)
    return payments.pay(order.pk, request, actor=MERCHANT)


WITHOUT_BOOKS = "Not compared, because it keeps no books: test."


def pay_by_hand(order: Order) -> Payment:
    return payments.pay(order.pk, PaymentRequest("manual"), actor=MERCHANT)


def differences(capsys: pytest.CaptureFixture[str]) -> list[str]:
    differ = False
    try:
        call_command("reconcile_payments")
    except CommandError:
        differ = True
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == WITHOUT_BOOKS
    if differ:
        return lines
    assert lines == ["The books of the last 7 days agree."]
    return []


def test_the_books_agree_when_all_is_settled(stripe, order, capsys):
    first = pay(order, amount=400)
    pay(order, amount=600, method=Payment.Method.AUTHORIZE)
    payments.cancel(order.pk, actor=MERCHANT)
    payments.refund(order.pk, first.pk, 150, actor=MERCHANT)

    assert differences(capsys) == []


def test_t10_what_was_only_marked_as_refunded_is_listed_and_no_difference(stripe, order, capsys):
    payment, by_hand = pay(order, amount=600), pay_by_hand(order)
    payments.refund(order.pk, payment.pk, 200, actor=MERCHANT)
    payments.refund(order.pk, payment.pk, None, actor=MERCHANT)
    payments.refund(order.pk, by_hand.pk, None, actor=MERCHANT)

    call_command("reconcile_payments")

    assert capsys.readouterr().out.splitlines() == [
        WITHOUT_BOOKS,
        f"stripe {payment.reference}: $4.00 were marked as refunded by {MERCHANT.name} and never "
        f"sent, payment {payment.pk}",
        "The books of the last 7 days agree.",
    ]


def test_what_is_open_differs_until_it_is_settled(stripe, order, capsys):
    stripe.fault(operation="confirm", answer="dropped")
    payment = pay(order)

    [open_one] = differences(capsys)
    recovery.settle_pending()

    assert f"$10.00 captured there, $0.00 here, payment {payment.pk} (pending)" in open_one
    assert differences(capsys) == []


def test_a_refund_made_elsewhere_is_found(stripe, order, capsys):
    payment = pay(order)
    elsewhere = Attempt(payment=payment, kind=Attempt.Kind.REFUND, amount=300)
    gateways.adapter("stripe").perform(elsewhere)

    assert differences(capsys) == [
        f"stripe {payment.reference}: $3.00 refunded there, $0.00 here, "
        f"payment {payment.pk} (complete)"
    ]


def test_money_of_a_payment_that_nobody_knows_is_found(stripe, order, capsys):
    stranger = Payment(order=order, amount=700, currency="USD", token="pm_card_visa")
    adapter = gateways.adapter("stripe")
    announced = adapter.announce(stranger)
    assert announced is not None
    stranger.reference = announced.reference
    adapter.charge(stranger)

    assert differences(capsys) == [
        f"stripe {stranger.reference}: $7.00 are held of a payment that we do not know"
    ]


def test_money_in_a_currency_that_the_store_does_not_have_is_found(stripe, capsys):
    """Somebody else sells through the same account."""
    stripe.account.create_intent({"amount": "900", "currency": "isk", "payment_method": VISA})
    [made] = stripe.book()["intents"]
    stripe.account.confirm({"return_url": "https://elsewhere.example/"}, made["id"])

    assert differences(capsys) == [
        f"stripe {made['id']}: 9 ISK are held of a payment that we do not know"
    ]


@pytest.mark.tampers_with_the_books
def test_the_same_amount_in_another_currency_is_found(stripe, order, capsys):
    payment = pay(order)
    stripe.account.intents[payment.reference].currency = "eur"

    [found] = differences(capsys)

    assert "1000 EUR captured there, $10.00 here" in found


@pytest.mark.tampers_with_the_books
def test_a_charge_that_the_gateway_does_not_know_is_found(stripe, order, capsys):
    payment = pay(order)
    Payment.objects.filter(pk=payment.pk).update(reference="pi_of_nobody")

    found = differences(capsys)

    assert "stripe pi_of_nobody: the gateway has no such charge" in found
    assert len(found) == 2


@pytest.mark.parametrize("days", [0, 36_501, 10**10])
def test_as_far_back_as_makes_sense(stripe, days):
    with pytest.raises(CommandError, match="at least 1, and at most 36500"):
        call_command("reconcile_payments", days=days)
