"""The checker finds what it is there to find: each test breaks one thing, and it is named."""

import copy
from typing import Any

import pytest

from inventory.models import Action
from inventory.services import stock as inventory
from orders.models import Order
from payments.models import Gateway, Payment
from payments.services import payments
from payments.services.payments import PaymentRequest
from tests import fake_stripe
from tests.factories import MERCHANT, product, unpaid_order
from tests.torture import checker
from tests.torture.caller import Entry

pytestmark = [pytest.mark.django_db, pytest.mark.tampers_with_the_books]


@pytest.fixture
def book(books_agree: None, settings: Any) -> Any:
    """Stripe's book after a payment of 1000 and a refund of 400, which agrees with ours."""
    with fake_stripe.serving() as stripe:
        settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE = fake_stripe.API_KEY, stripe.url
        settings.STRIPE_PUBLISHABLE_KEY = "pk_test_fake"
        Gateway.objects.update_or_create(slug="stripe", defaults={"enabled": True})
        order = unpaid_order({product(stock=10, price=1000): 1})
        payment = payments.pay(
            order.pk, PaymentRequest("stripe", token="pm_card_visa"), actor=MERCHANT
        )
        payments.refund(order.pk, payment.pk, 400, actor=MERCHANT)
        book = stripe.book()
    assert checker.differences(book) == []
    return book


def the_difference(book: Any, *history: Entry) -> str:
    [difference] = checker.differences(book, history)
    return difference


def test_a_charge_that_nobody_has_on_record(book):
    stranger = copy.deepcopy(book["intents"][0])
    stranger |= {"id": "pi_other", "metadata": {"payment_id": "p-1"}}
    book["intents"].append(stranger)

    assert "payment p-1 that is not on record" in the_difference(book)


def test_a_second_charge_of_one_payment(book):
    again = copy.deepcopy(book["intents"][0]) | {"id": "pi_other", "refunded": 0}
    book["intents"].append(again)

    assert "says (0, 0, 0), its intent (1000, 0, 0)" in the_difference(book)


def test_a_cent_too_much(book):
    book["intents"][0]["amount_received"] = 1001

    assert "says (1000, 400, 0), its intent (1001, 400, 0)" in the_difference(book)


def test_a_charge_that_the_gateway_never_made(book):
    book["intents"].clear()

    assert "is complete and Stripe never heard of it" in the_difference(book)


def test_a_refund_that_was_made_twice(book):
    book["refunds"].append(copy.deepcopy(book["refunds"][0]) | {"id": "re_other"})

    assert the_difference(book) == "a refund was made twice"


def test_a_refund_of_nobodys(book):
    book["refunds"].append(copy.deepcopy(book["refunds"][0]) | {"id": "re_other", "metadata": {}})

    assert the_difference(book).startswith("refund re_other is None here and (400,")


def test_a_payment_that_recovery_left_open(book):
    Payment.objects.update(status="pending", captured_amount=0, captured_at=None, refunded_amount=0)

    assert any("is still pending" in found for found in checker.differences(book))


def test_units_without_money_and_money_without_units(book):
    Order.objects.update(captured=0, refunded=0)

    assert any("still holds units" in found for found in checker.differences(book))


def test_a_movement_that_was_confirmed_and_is_not_in_the_log(book):
    sent = {"path": "", "data": {"reason": "shelf 7"}, "key": ""}

    assert "in the log 0 times" in the_difference(book, Entry("move", sent, 201, {}))
    assert checker.differences(book, [Entry("move", sent, None, {})]) == []


def test_a_movement_that_was_refused_and_is_in_the_log(book):
    shirt = product(stock=1)
    inventory.record(shirt.pk, Action.INCREMENT, 1, actor=MERCHANT, reason="shelf 7")
    sent = {"path": "", "data": {"reason": "shelf 7"}, "key": ""}

    assert "in the log 1 times" in the_difference(book, Entry("move", sent, 422, {}))


def test_a_confirmation_that_did_not_come_true(book):
    order = Order.objects.get()
    confirmed = Entry("ship", {"path": "/v2/orders/1"}, 200, {"data": {"id": str(order.pk)}})

    assert "ship was confirmed and has not happened" in the_difference(book, confirmed)


def test_a_key_that_paid_twice(book):
    payment = str(Payment.objects.get().pk)
    sent = {"path": "", "data": {}, "key": "k"}
    answers = [
        Entry("pay", sent, 200, {"data": {"id": payment}}),
        Entry("pay", sent, 202, {"data": {"id": "another"}}),
    ]

    assert "key k paid 2 times" in the_difference(book, *answers)


def test_an_error_of_the_server(book):
    broken = Entry("checkout", {}, 500, {"errors": []})

    assert "checkout was answered 500" in the_difference(book, broken)
