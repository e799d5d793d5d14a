import pytest

from payments import gateways
from payments.models import Gateway
from tests.payments.fake_gateway import FakeGateway


@pytest.fixture
def gateway(books_agree: None, monkeypatch: pytest.MonkeyPatch) -> FakeGateway:
    """The enabled gateway `fake`, beside those that there are."""
    fake = FakeGateway()
    known = {**gateways.adapters(), "fake": fake}
    monkeypatch.setattr(gateways, "adapters", lambda: known)
    Gateway.objects.create(slug="fake", name="Fake", enabled=True)
    return fake
