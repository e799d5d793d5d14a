"""Two people whose forms arrive at the same moment: no page can see what only a lock decides."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from api import services, store
from api.errors import Moved
from api.models import ApiClient, Change
from backoffice.base import actor_of
from inventory.models import DEFAULT_LOCATION_ID, Currency, Location
from inventory.services import currencies, locations
from payments.models import Gateway
from payments.services import payments
from tests.backoffice.pages import filled_in, signed_in, text
from tests.factories import MERCHANT

pytestmark = pytest.mark.django_db


def usd() -> Currency:
    return Currency.objects.get(code="USD")


def euro() -> Currency:
    return currencies.create(code="EUR", format="{price} EUR", enabled=True, actor=MERCHANT)


def client() -> ApiClient:
    services.create_client("shop", "Shop", storefront=True, actor=MERCHANT)
    return ApiClient.objects.get(client_id="shop")


# The module of the page; the thing and its address; what a colleague does at that moment; what is
# typed; and what must be left then.
PAGES: dict[str, Any] = {
    "settings": (
        "store",
        lambda: store.current(),
        "api/storesettings",
        lambda row: store.change(page_length=50, actor=MERCHANT),
        {"page_length": "60"},
        lambda row: store.current().page_length == 50,
    ),
    "default currency": (
        "store",
        lambda: [euro(), store.current()][-1],
        "api/storesettings",
        lambda row: currencies.change(
            currencies.create(code="GBP", format="£{price}", enabled=True, actor=MERCHANT).pk,
            default=True,
            actor=MERCHANT,
        ),
        {"default_currency": "EUR", "page_length": "60"},
        lambda row: currencies.named("").code == "GBP" and store.current().page_length != 60,
    ),
    "currency": (
        "store",
        usd,
        "inventory/currency",
        lambda row: currencies.change(row.pk, format="{price} $", actor=MERCHANT),
        {"format": "USD {price}"},
        lambda row: usd().format == "{price} $",
    ),
    "location": (
        "store",
        lambda: Location.objects.get(pk=DEFAULT_LOCATION_ID),
        "inventory/location",
        lambda row: locations.rename(row.pk, "Harbour", actor=MERCHANT),
        {"name": "Shore"},
        lambda row: Location.objects.get().name == "Harbour",
    ),
    "gateway": (
        "gateways",
        lambda: Gateway.objects.get(slug="test"),
        "payments/gateway",
        lambda row: payments.set_gateway("test", name="Ours", actor=MERCHANT),
        {"name": "Mine"},
        lambda row: Gateway.objects.get(slug="test").name == "Ours",
    ),
    "API client": (
        "api_clients",
        client,
        "api/apiclient",
        lambda row: services.rename_client(row.pk, "Ours", actor=MERCHANT),
        {"name": "Mine"},
        lambda row: ApiClient.objects.get().name == "Ours",
    ),
}


@pytest.mark.parametrize("name", PAGES)
def test_t11_of_two_forms_at_the_same_moment_the_second_is_told(monkeypatch, name):
    module, make, address, meanwhile, typed, is_left = PAGES[name]
    row, owner = make(), signed_in(User.objects.create_superuser("maria"))
    page = f"/admin/{address}/{row.pk}/change/"
    form = filled_in(owner.get(page))
    comes_between(monkeypatch, module, lambda: meanwhile(row))

    told = owner.post(page, {**form, **typed})

    assert is_left(row)
    assert Moved.detail in text(told)
    assert not Change.objects.filter(actor_name="maria").exists()
    if name != "default currency":  # Whose form names both.
        again = owner.post(page, filled_in(told))
        assert again.status_code == 302, again.context["adminform"].form.errors
        assert not is_left(row)


def comes_between(monkeypatch: Any, module: str, meanwhile: Callable[[], Any]) -> None:
    """Let somebody else be quicker, once a form is found to be in order."""
    waiting = [meanwhile]

    def quicker(request: Any) -> Any:
        if waiting:
            waiting.pop()()
        return actor_of(request)

    monkeypatch.setattr(f"backoffice.{module}.actor_of", quicker)


def test_t11_a_default_currency_and_settings_are_changed_together_or_not_at_all():
    euro()
    seen = {"page_length": store.current().page_length}

    with pytest.raises(Moved):
        currencies.change_store("EUR", "USD", actor=MERCHANT, seen={"name": "X"}, name="Shore")
    assert currencies.named("").code == "USD"

    currencies.change_store("EUR", "USD", actor=MERCHANT, seen=seen, page_length=7)
    assert (currencies.named("").code, store.current().page_length) == ("EUR", 7)
