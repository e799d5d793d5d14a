"""The adapter for Stripe, with Stripe's own library, against a stand-in for its server."""

from collections.abc import Iterator
from typing import Any

import pytest

from orders.models import Order
from payments import services as payments
from payments.models import Gateway
from payments.services import Request
from tests import fake_stripe
from tests.factories import MERCHANT, product, unpaid_order
from tests.fake_stripe import FakeStripe

pytestmark = pytest.mark.django_db


@pytest.fixture
def fake(books_agree: None, settings: Any) -> Iterator[FakeStripe]:
    with fake_stripe.serving() as served:
        settings.STRIPE_SECRET_KEY = fake_stripe.API_KEY
        settings.STRIPE_PUBLISHABLE_KEY = "pk_test_fake"
        settings.STRIPE_WEBHOOK_SECRET = fake_stripe.WEBHOOK_SECRET
        settings.STRIPE_API_BASE = served.url
        Gateway.objects.update_or_create(
            slug="stripe", defaults={"name": "Stripe", "enabled": True}
        )
        yield served


@pytest.fixture
def order() -> Order:
    return unpaid_order({product(stock=10, price=1000): 1})


def test_a_card_is_charged_without_sending_its_buyer_to_another_page(fake, order):
    payment = payments.pay(order.pk, Request("stripe", token="pm_card_visa"), actor=MERCHANT)

    [move] = fake.book()["moves"]
    assert payment.status == "complete"
    assert (move["kind"], move["amount"], move["intent"]) == ("charge", 1000, payment.reference)
    assert move["payment_id"] == str(payment.pk)


def test_a_buyer_who_has_to_act_is_told_how_and_has_paid_after_it(fake, order):
    token = "pm_card_authenticationRequired"
    asked = payments.pay(order.pk, Request("stripe", token=token), actor=MERCHANT)

    fake.authenticate(asked.reference)
    paid = payments.confirm(order.pk, asked.pk)

    assert asked.status == "pending"
    assert asked.action == {
        "client_parameters": {
            "payment_intent": asked.reference,
            "client_secret": f"{asked.reference}_secret_{asked.reference[-8:]}",
            "publishable_key": "pk_test_fake",
        },
        "next_actions": [{"type": "use_stripe_sdk"}],
    }
    assert paid.status == "complete"
