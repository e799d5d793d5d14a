"""Our books of the money beside the gateway's own."""

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from api import clock
from api.ids import uuid7
from orders.models import Order
from payments import gateways
from payments.errors import GatewayRefused
from payments.gateways.base import Answer, Booked, Outcome
from payments.models import Attempt, Payment
from payments.services import installation, payments, reconciliation, recovery, settling
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
        # Above them stands what they are, and under each what is known.
        assert lines[0].startswith("== ")
        return [line for line in lines if line.startswith("stripe ")]
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
        call_command("reconcile_payments", f"--days={days}")
    with pytest.raises(CommandError, match="at least 1, and at most 36500"):
        call_command("open_gateways", f"--days={days}")


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
    there = {**NOTHING, **amounts}
    return Booked(reference, "", "USD", there["authorized"], there["captured"], there["refunded"])


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

    assert marked.startswith("fake ch_1: ")
    later = clock.now() + timedelta(seconds=1)
    assert (compared(later), [*reconciliation.marked_only(later)]) == ([], [])


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

    assert [*reconciliation.marked_only(payment.created_at)] == []

    gateway.on_perform = lambda attempt: OK
    payments.refund(order.pk, payment.pk, 300, actor=MERCHANT)
    payments.refund(order.pk, payment.pk, None, actor=MERCHANT)

    [marked] = reconciliation.marked_only(payment.created_at)
    assert "$7.00 were marked as refunded" in marked


def test_two_gateways_may_use_one_name(gateway, book, shirt):
    paid(unpaid_order({shirt: 1}), gateway, "ch_1")
    theirs = unpaid_order({shirt: 2})
    payments.pay(theirs.pk, PaymentRequest("test"), actor=MERCHANT)
    Payment.objects.filter(order=theirs).update(reference="ch_1")

    book.append(booked("ch_1", captured=1000))

    assert compared() == []


# What is known of each difference, and what to do.


def reconciled(*arguments: str) -> tuple[int, list[str], list[str]]:
    """Return the status, what was told, and what was said about why."""
    out = io.StringIO()
    try:
        call_command("reconcile_payments", *arguments, stdout=out)
    except CommandError as error:
        return error.returncode, out.getvalue().splitlines(), [str(error)]
    return 0, out.getvalue().splitlines(), []


def as_json() -> tuple[list[Any], Any]:
    _, lines, _ = reconciled("--json")
    *found, summary = map(json.loads, lines)
    return found, summary


def charge_as(stranger: Payment) -> str:
    """Charge as a shop does whose hours a restored backup has lost."""
    adapter = gateways.adapter("stripe")
    announced = adapter.announce(stranger)
    assert announced is not None
    stranger.reference = announced.reference
    adapter.charge(stranger)
    return announced.reference


def lost(order: Order, **more: Any) -> Payment:
    return Payment(order=order, amount=1000, currency="USD", token=VISA, **more)


def test_t53_it_says_whose_order_the_money_is_for_and_what_to_do(stripe, order):
    payment = lost(order)
    reference = charge_as(payment)

    status, lines, why = reconciled()

    known = next(line for line in lines if line.startswith("   order "))
    assert (status, why) == (1, ["1 difference in the last 7 days."])
    assert "== 1 x money of orders that are here, by payments that are not: $10.00" in lines
    assert any("Record it on the order by hand" in line for line in lines)
    for part in (
        f"order {order.pk}; order number {order.number}; order here unpaid, unfulfilled",
        f"payment {payment.pk}; made there ",
        "status there succeeded",
        f"buyer here {order.customer_email}",
    ):
        assert part in known
    assert any(line.startswith(f"stripe {reference}: $10.00 are held") for line in lines)


def test_t53_programs_get_a_line_for_each_and_the_sums_last(stripe, order):
    here, gone = lost(order), lost(Order(pk=uuid7()))
    charge_as(here)
    charge_as(gone)
    stripe.account.create_intent({"amount": "900", "currency": "usd", "payment_method": VISA})
    [*_, made] = stripe.book()["intents"]
    stripe.account.confirm({"return_url": "https://elsewhere.example/"}, made["id"])

    found, summary = as_json()

    by_kind = {each["kind"]: each for each in found}
    assert by_kind.keys() == {"payment_gone", "order_gone", "elsewhere"}
    assert by_kind["order_gone"]["order"] == str(gone.order_id)
    assert by_kind["order_gone"]["payment"] == str(gone.pk)
    assert "order_number" not in by_kind["order_gone"]
    assert by_kind["payment_gone"]["order_number"] == str(order.number)
    assert {"order", "payment"} & by_kind["elsewhere"].keys() == set()
    assert all(each["advice"] and each["status_there"] == "succeeded" for each in found)
    assert summary["kinds"]["order_gone"] == {"differences": 1, "sums": {"USD": 1000}}
    assert summary["kinds"]["elsewhere"]["sums"] == {"USD": 900}
    assert (summary["is_complete"], summary["charges"]) == (True, {"stripe": 3})


def test_t53_what_is_recorded_by_hand_by_the_charge_s_name_agrees(stripe, order):
    reference = charge_as(lost(order))
    by_hand = PaymentRequest("manual", custom_reference=reference)

    payment = payments.pay(order.pk, by_hand, actor=MERCHANT)

    assert reconciled()[0] == 0

    payments.refund(order.pk, payment.pk, 300, actor=MERCHANT)
    assert as_json()[0][0]["what"].startswith("$10.00 held there, $7.00 recorded by hand")
    stripe.account.create_refund({"payment_intent": reference, "amount": "300"})
    assert reconciled()[0] == 0


def test_t53_money_of_a_lost_order_that_was_sent_back_is_no_difference(stripe, order):
    reference = charge_as(lost(Order(pk=uuid7())))
    stripe.account.create_refund({"payment_intent": reference, "amount": "1000"})

    assert reconciled()[0] == 0


def test_t53_a_payment_that_lost_its_name_and_one_that_is_charged_twice_are_told_apart(
    stripe, order, shirt
):
    stripe.fault(operation="confirm", answer="dropped")
    nameless = pay(order)
    Payment.objects.filter(pk=nameless.pk).update(reference="")
    paid_twice = pay(unpaid_order({shirt: 1}))
    again = lost(paid_twice.order, pk=paid_twice.pk)
    gateways.adapter("stripe").announce(again)
    second = [each["id"] for each in stripe.book()["intents"]]
    stripe.account.create_intent(
        {
            "amount": "1000",
            "currency": "usd",
            "payment_method": VISA,
            "metadata": {"payment_id": str(paid_twice.pk), "order_id": str(paid_twice.order_id)},
        }
    )
    [twice] = [each["id"] for each in stripe.book()["intents"] if each["id"] not in second]
    stripe.account.confirm({"return_url": "https://shop.example/"}, twice)

    found, _ = as_json()

    told = {each["kind"]: (each["reference"], each["payment_here"]) for each in found}
    assert told == {
        "unnamed": (nameless.reference, "pending"),
        "twice": (twice, "complete"),
    }


def test_the_names_that_were_lost_are_noted_and_recovery_books_what_was_charged(stripe, order):
    stripe.fault(operation="confirm", answer="dropped")
    payment = pay(order)
    Payment.objects.filter(pk=payment.pk).update(reference="")

    assert reconciliation.note_names() == 1

    recovery.settle_pending()
    payment.refresh_from_db()
    assert (payment.status, reconciled()[0]) == ("complete", 0)
    assert reconciliation.note_names() == 0


@pytest.mark.parametrize(
    ("there", "kind"),
    [
        ({"captured": 999}, "amount"),
        ({"captured": 1000, "refunded": 1}, "refunded_there"),
    ],
)
def test_each_kind_of_difference_has_its_advice(gateway, book, order, stripe, there, kind):
    paid(order, gateway, "ch_1")
    book.append(booked("ch_1", **there))

    [found], _ = as_json()

    assert found["kind"] == kind


def test_a_refund_that_the_gateway_does_not_have_is_one_of_ours(gateway, book, order):
    payment = paid(order, gateway, "ch_1")
    payments.refund(order.pk, payment.pk, 300, actor=MERCHANT)
    book.append(booked("ch_1", captured=1000))

    [found], summary = as_json()

    assert (found["kind"], found["amount"]) == ("refunded_here", -300)
    assert summary["kinds"]["refunded_here"]["sums"] == {"USD": -300}


def test_who_else_uses_the_account_and_our_words_for_other_ids_is_no_order_of_ours(book):
    of_others = replace(booked("ch_1", captured=700), payment_id="4711", order_id="INV-2026-1")
    book.append(of_others)

    [found], _ = as_json()

    assert found["kind"] == "elsewhere"


def test_a_gateway_whose_clock_is_behind_has_what_was_charged_at_the_edge(
    gateway, book, order, monkeypatch
):
    payment = paid(order, gateway, "ch_1")
    book.append(booked("ch_1", captured=1000))
    there = payment.created_at - timedelta(minutes=1)
    monkeypatch.setattr(gateway, "booked_since", lambda moment: book if moment <= there else [])

    assert compared(payment.created_at) == []


def test_what_changes_while_it_is_compared_is_passed_over_and_said(
    gateway, book, shirt, monkeypatch
):
    """A shop sells and refunds while a long book is read."""
    refunded = unpaid_order({shirt: 1})
    payment = paid(refunded, gateway, "ch_1")

    def read(moment: datetime) -> Iterator[Booked]:
        yield booked("ch_1", captured=1000)
        payments.refund(refunded.pk, payment.pk, 300, actor=MERCHANT)
        paid(unpaid_order({shirt: 1}), gateway, "ch_2")

    monkeypatch.setattr(gateway, "booked_since", read)
    status, lines, _ = reconciled()

    assert status == 0
    assert "Passed over: 2 differences of payments that changed meanwhile. Compare again." in lines
    # What stays is told the next time.
    monkeypatch.setattr(gateway, "booked_since", lambda moment: [])
    found, summary = as_json()
    assert [each["kind"] for each in found] == ["not_there", "not_there"]
    assert summary["changed_meanwhile"] == 0


@pytest.mark.parametrize(("shop", "status"), [("the other", 0), ("ours", 1), ("", 1)])
def test_another_shop_of_the_same_account_is_passed_over(book, settings, shop, status):
    settings.HOLDFAST_INSTALLATION = "ours"
    of_a_shop = {"payment_id": str(uuid7()), "order_id": str(uuid7()), "shop": shop}
    book.append(replace(booked("ch_1", captured=700), **of_a_shop))

    found, lines, _ = reconciled()

    assert found == status
    told = "Passed over: 1 charges of other installations, in the same account."
    assert (told in lines) == (not status)


def test_stripe_is_told_which_shop_charges(stripe, order, settings):
    settings.HOLDFAST_INSTALLATION = "shop"
    pay(order)

    [intent] = stripe.book()["intents"]

    assert intent["metadata"]["shop"] == "shop"


def test_a_gateway_that_falls_silent_in_the_middle_is_told_with_what_was_found(
    gateway, book, monkeypatch
):
    def read(moment: datetime) -> Iterator[Booked]:
        yield booked("ch_1", captured=700)
        raise TimeoutError("no answer")

    monkeypatch.setattr(gateway, "booked_since", read)

    status, lines, [why] = reconciled()

    assert status == 2
    assert any(line.startswith("fake ch_1: $7.00 are held") for line in lines)
    assert why.startswith("fake did not answer after 1 charges (no answer): ")
    assert why.endswith(" 1 difference in the last 7 days.")
    assert as_json()[1]["is_complete"] is False


def test_keys_of_another_account_compare_nothing(stripe, order, settings):
    pay(order)
    installation.open_gateways(actor=MERCHANT)
    settings.STRIPE_SECRET_KEY = "sk_live_fake"

    status, lines, [why] = reconciled()

    assert (status, lines[1:]) == (2, [])
    assert "the key of stripe is of live mode".casefold() in why.casefold()


def test_of_many_the_first_are_shown_and_all_are_counted(gateway, book):
    book.extend(booked(f"ch_{number}", captured=100) for number in range(450))

    status, lines, _ = reconciled()

    assert status == 1
    assert "== 450 x money that nobody charged from here: $450.00" in lines
    assert len([line for line in lines if line.startswith("fake ")]) == 100
    assert lines[-1] == "   … and 350 more: --json tells all of them."
    assert len(as_json()[0]) == 450
