from collections.abc import Iterator

import pytest

from payments import gateways
from payments.models import Gateway
from tests import fake_stripe
from tests.fake_stripe import FakeStripe
from tests.payments.fake_gateway import FakeGateway


@pytest.fixture
def gateway(books_agree: None, monkeypatch: pytest.MonkeyPatch) -> FakeGateway:
    """The enabled gateway `fake`, beside those that there are."""
    fake = FakeGateway()
    known = {**gateways.adapters(), "fake": fake}
    monkeypatch.setattr(gateways, "adapters", lambda: known)
    Gateway.objects.create(slug="fake", name="Fake", enabled=True)
    return fake


@pytest.fixture(scope="session")
def stripe_server() -> Iterator[FakeStripe]:
    with fake_stripe.serving() as server:
        yield server


@pytest.fixture
def stripe(books_agree: None, stripe_server: FakeStripe, settings) -> FakeStripe:
    """Stripe's stand-in, with nothing in its books, and the gateway `stripe` enabled for it."""
    stripe_server.reset()
    settings.STRIPE_SECRET_KEY = fake_stripe.API_KEY
    settings.STRIPE_PUBLISHABLE_KEY = "pk_test_fake"
    settings.STRIPE_WEBHOOK_SECRET = fake_stripe.WEBHOOK_SECRET
    settings.STRIPE_API_BASE = stripe_server.url
    Gateway.objects.filter(slug="stripe").update(enabled=True)
    return stripe_server
