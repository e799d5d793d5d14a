"""Our books of the money beside the gateway's own."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from api import clock
from orders.models import Order
from payments import gateways
from payments.errors import GatewayRefused
from payments.gateways.base import Answer, Booked, Outcome
from payments.models import Attempt, Payment
from payments.services import payments, reconciliation, recovery, settling
from payments.services.payments import PaymentRequest
from tests.factories import MERCHANT, product, unpaid_order
from tests.fake_gateway import DECLINED, OK, FakeGateway

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


# Whatever a gateway's book may say.


@pytest.fixture
def book(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> list[Booked]:
    """The book of the gateway `fake`, which is read whatever day it is."""
    charges: list[Booked] = []
    monkeypatch.setattr(gateway, "keeps_books", True)
    monkeypatch.setattr(gateway, "booked_since", lambda moment: charges)
    return charges


NOTHING = {"authorized": 0, "captured": 0, "refunded": 0}


def booked(reference: str, **amounts: int) -> Booked:
    return Booked(reference, "", "USD", **{**NOTHING, **amounts})


def paid(order: Order, gateway: FakeGateway, reference: str, **more: Any) -> Payment:
    gateway.on_charge = lambda payment: Answer(Outcome.SUCCEEDED, reference)
    return payments.pay(order.pk, PaymentRequest("fake", **more), actor=MERCHANT)


def compared(since: datetime | None = None) -> list[str]:
    found = reconciliation.differences(since or clock.now() - timedelta(days=7))
    return [f"{each.reference}: {each.what}".partition(", payment ")[0] for each in found]


@pytest.mark.parametrize(
    ("there", "what"),
    [
        ({"captured": 1000}, []),
        ({"captured": 999}, ["ch_1: $9.99 captured there, $10.00 here"]),
        ({"captured": 1000, "refunded": 1}, ["ch_1: $0.01 refunded there, $0.00 here"]),
        (
            {"authorized": 1000},
            [
                "ch_1: $10.00 authorized there, $0.00 here",
                "ch_1: $0.00 captured there, $10.00 here",
            ],
        ),
    ],
)
def test_each_amount_is_held_against_ours(gateway, book, order, there, what):
    paid(order, gateway, "ch_1")
    book.append(booked("ch_1", **there))

    assert compared() == what


@pytest.mark.parametrize(
    ("there", "held"),
    [
        ({"authorized": 700}, ["$7.00"]),
        ({"captured": 700}, ["$7.00"]),
        ({"captured": 700, "refunded": 200}, ["$5.00"]),
        ({"captured": 700, "refunded": 700}, []),
        ({}, []),
    ],
)
def test_of_a_payment_that_nobody_knows_is_told_what_is_held(book, there, held):
    book.append(booked("ch_9", **there))

    assert compared() == [
        f"ch_9: {amount} are held of a payment that we do not know" for amount in held
    ]


def test_what_the_gateway_does_not_know_is_told_if_it_should_hold_money(gateway, book, shirt):
    method = Payment.Method.AUTHORIZE
    authorized, voided, bought = (unpaid_order({shirt: 1}) for _ in range(3))
    paid(authorized, gateway, "ch_authorized", method=method)
    let_go = paid(voided, gateway, "ch_voided", method=method)
    payments.void(voided.pk, let_go.pk, actor=MERCHANT)
    paid(bought, gateway, "ch_bought")

    assert sorted(compared()) == [
        "ch_authorized: the gateway has no such charge",
        "ch_bought: the gateway has no such charge",
    ]


def test_what_is_older_is_not_compared(gateway, book, order):
    payment = paid(order, gateway, "ch_1")
    payments.refund(order.pk, payment.pk, None, actor=MERCHANT)

    [marked] = reconciliation.marked_only(payment.created_at)

    assert marked.reference == "ch_1"
    later = clock.now() + timedelta(seconds=1)
    assert (compared(later), reconciliation.marked_only(later)) == ([], [])


def test_a_gateway_without_books_is_not_compared(order):
    payments.pay(order.pk, PaymentRequest("test"), actor=MERCHANT)

    assert compared() == []


def test_only_refunds_that_were_made_are_held_against_those_there(gateway, book, order):
    payment = paid(order, gateway, "ch_1", method=Payment.Method.AUTHORIZE)
    gateway.on_perform = lambda attempt: Answer(Outcome.SUCCEEDED, f"{attempt.kind}_1")
    payments.capture(order.pk, payment.pk, actor=MERCHANT)
    payments.refund(order.pk, payment.pk, 300, actor=MERCHANT)
    payments.refund(order.pk, payment.pk, 100, actor=MERCHANT)
    gateway.on_perform = lambda attempt: Answer(Outcome.FAILED, "refund_2")
    with pytest.raises(GatewayRefused):
        payments.refund(order.pk, payment.pk, 600, actor=MERCHANT)
    payments.refund(order.pk, payment.pk, None, actor=MERCHANT)

    book.append(booked("ch_1", captured=1000, refunded=400))

    assert compared() == []


def test_only_what_was_marked_as_refunded_counts_as_marked(gateway, book, order):
    payment = paid(order, gateway, "ch_1", method=Payment.Method.AUTHORIZE)
    settling.settle(payment, Answer(Outcome.CAPTURED, "ch_1"))
    gateway.on_perform = lambda attempt: DECLINED
    with pytest.raises(GatewayRefused):
        payments.refund(order.pk, payment.pk, 300, actor=MERCHANT)

    assert reconciliation.marked_only(payment.created_at) == []

    gateway.on_perform = lambda attempt: OK
    payments.refund(order.pk, payment.pk, 300, actor=MERCHANT)
    payments.refund(order.pk, payment.pk, None, actor=MERCHANT)

    [marked] = reconciliation.marked_only(payment.created_at)
    assert "$7.00 were marked as refunded" in marked.what


def test_two_gateways_may_use_one_name(gateway, book, shirt):
    paid(unpaid_order({shirt: 1}), gateway, "ch_1")
    theirs = unpaid_order({shirt: 2})
    payments.pay(theirs.pk, PaymentRequest("test"), actor=MERCHANT)
    Payment.objects.filter(order=theirs).update(reference="ch_1")

    book.append(booked("ch_1", captured=1000))

    assert compared() == []
