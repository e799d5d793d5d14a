"""Whatever is set, by whichever way, is on record: the ways are gone one by one."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from api import changes
from api.actors import COMMAND_LINE, Actor
from api.models import ApiClient, Change, StoreSettings
from inventory.models import DEFAULT_LOCATION_ID, Currency, Location, Product
from inventory.services import currencies, products
from inventory.services.products import Money
from payments.models import Gateway
from tests.backoffice.pages import signed_in
from tests.factories import MERCHANT, api_client, delivery, paid_order, product
from tests.http import Api, administrator

pytestmark = pytest.mark.django_db


class Ways:
    """Everything that the ways of changing something need."""

    def __init__(self) -> None:
        boss = User.objects.create_superuser("boss")
        self.boss, self.owner = Actor.person(boss), signed_in(boss)
        self.api: Api = administrator()
        self.shirt = product(sku="SHIRT", name="Shirt", price=1250)
        self.delivery = delivery()
        self.euro = currencies.create(code="EUR", actor=MERCHANT)
        self.client = api_client(client_id="office", name="Office")

    def type(self, page: str, **typed: Any) -> None:
        """Change these fields of a page's form, and send the rest as a browser would."""
        address = f"/admin/{page}/"
        answer = self.owner.get(address)
        context = answer.context
        form = context["adminform"].form if "adminform" in context else context["form"]
        sent: dict[str, Any] = {}
        for field in form:
            # What is 0 is sent, and what is off is not.
            if field.value() is not None and field.value() is not False:
                sent[field.html_name] = field.value()
            if field.field.show_hidden_initial:
                sent[field.html_initial_name] = "" if field.value() is None else field.value()
        answer = self.owner.post(address, {**sent, **typed})
        assert answer.status_code == 302, answer.context["errors"]

    @property
    def product(self) -> str:
        return f"inventory/product/{self.shirt.pk}"


Way = Callable[[Ways], object]
# What is done, and the thing, what became of it, and a field of it that the record tells.
WAYS: dict[str, tuple[Way, str, str, tuple[str, Any, Any]]] = {
    "the product's page": (
        lambda to: to.type(f"{to.product}/change", name="Blue shirt"),
        "inventory.product",
        "changed",
        ("name", "Shirt", "Blue shirt"),
    ),
    "the cost, on the Prices tab": (
        lambda to: to.type(f"{to.product}/prices", cost_usd="4.20 EUR"),
        "inventory.product",
        "changed",
        ("cost", None, "4.20 EUR"),
    ),
    "the cost, on the page of a new product": (
        lambda to: to.type(
            "inventory/product/add", name="Mug", sku="MUG", price_usd="9.00", cost_usd="4.2"
        ),
        "inventory.product",
        "created",
        ("cost", None, "4.20 USD"),
    ),
    "the Prices tab": (
        lambda to: to.type(f"{to.product}/prices", price_usd="14.00"),
        "inventory.product",
        "changed",
        ("price_in_USD", "12.50", "14.00"),
    ),
    "a price that is taken away": (
        lambda to: products.change_prices(to.shirt.pk, {"USD": None}, actor=MERCHANT),
        "inventory.product",
        "changed",
        ("price_in_USD", "12.50", None),
    ),
    "a price without tax": (
        lambda to: products.update(
            to.shirt.pk, prices=[Money("USD", 1250, includes_tax=False)], actor=MERCHANT
        ),
        "inventory.product",
        "changed",
        ("price_in_USD", "12.50", "12.50, tax not included"),
    ),
    "PUT of a product": (
        lambda to: to.api.put(f"/v2/products/{to.shirt.pk}", {"status": "draft"}),
        "inventory.product",
        "changed",
        ("status", "live", "draft"),
    ),
    "PUT of a product's prices": (
        lambda to: to.api.put(
            f"/v2/products/{to.shirt.pk}", {"price": [{"amount": 900, "currency": "EUR"}]}
        ),
        "inventory.product",
        "changed",
        ("price_in_EUR", None, "9.00"),
    ),
    "POST of a product": (
        lambda to: to.api.post(
            "/v2/products",
            {"name": "Mug", "sku": "MUG", "price": [{"amount": 900, "currency": "USD"}]},
        ),
        "inventory.product",
        "created",
        ("price_in_USD", None, "9.00"),
    ),
    "the page of a new product": (
        lambda to: to.type("inventory/product/add", name="Mug", sku="MUG", price_usd="9.00"),
        "inventory.product",
        "created",
        ("sku", None, "MUG"),
    ),
    "stock that is no longer managed": (
        lambda to: products.stop_managing(to.shirt.pk, actor=MERCHANT),
        "inventory.product",
        "changed",
        ("stock_managed", True, False),
    ),
    "DELETE of a product's inventory": (
        lambda to: to.api.delete(f"/v2/inventories/{to.shirt.pk}"),
        "inventory.product",
        "changed",
        ("stock_managed", True, False),
    ),
    "DELETE of a product": (
        lambda to: to.api.delete(f"/v2/products/{to.shirt.pk}"),
        "inventory.product",
        "deleted",
        ("stock_managed", True, False),
    ),
    "Delete on the product's page": (
        lambda to: to.type(f"{to.product}/delete"),
        "inventory.product",
        "deleted",
        ("stock_managed", True, False),
    ),
    "the page of a new delivery": (
        lambda to: to.type("inventory/delivery/add", number="D-2", supplier="Mills"),
        "inventory.delivery",
        "created",
        ("supplier", None, "Mills"),
    ),
    "the delivery's page": (
        lambda to: to.type(f"inventory/delivery/{to.delivery.pk}/change", supplier="Mills"),
        "inventory.delivery",
        "changed",
        ("supplier", "", "Mills"),
    ),
    "Delete on the delivery's page": (
        lambda to: to.type(f"inventory/delivery/{to.delivery.pk}/delete"),
        "inventory.delivery",
        "deleted",
        ("number", "D-1001", None),
    ),
    "the currency's page": (
        lambda to: to.type(f"inventory/currency/{to.euro.pk}/change", format="{price} €"),
        "inventory.currency",
        "changed",
        ("format", "{price}", "{price} €"),
    ),
    "PUT of a currency": (
        lambda to: to.api.put(f"/v2/currencies/{to.euro.pk}", {"exchange_rate": 1.5}),
        "inventory.currency",
        "changed",
        ("exchange_rate", "1", "1.5"),
    ),
    "POST of a currency": (
        lambda to: to.api.post("/v2/currencies", {"code": "JPY", "decimal_places": 0}),
        "inventory.currency",
        "created",
        ("decimal_places", None, 0),
    ),
    "DELETE of a currency": (
        lambda to: to.api.delete(f"/v2/currencies/{to.euro.pk}"),
        "inventory.currency",
        "deleted",
        ("code", "EUR", None),
    ),
    "the default currency, among the store's settings": (
        lambda to: to.type("api/storesettings/1/change", default_currency="EUR"),
        "inventory.currency",
        "changed",
        ("default", False, True),
    ),
    "the store's settings": (
        lambda to: to.type("api/storesettings/1/change", name="Harbour Goods"),
        "api.storesettings",
        "changed",
        ("name", "", "Harbour Goods"),
    ),
    "PUT of the settings": (
        lambda to: to.api.put("/v2/settings", {"page_length": 50}),
        "api.storesettings",
        "changed",
        ("page_length", 25, 50),
    ),
    "PUT of the carts' settings": (
        lambda to: to.api.put("/v2/settings/cart", {"cart_expiry_days": 30}),
        "api.storesettings",
        "changed",
        ("cart_expiry_days", 7, 30),
    ),
    "the gateway's page": (
        lambda to: to.type("payments/gateway/manual/change", name="Bank transfer"),
        "payments.gateway",
        "changed",
        ("name", "Manual", "Bank transfer"),
    ),
    "PUT of a gateway": (
        lambda to: to.api.put("/v2/gateways/manual", {"enabled": False}),
        "payments.gateway",
        "changed",
        ("enabled", True, False),
    ),
    "the location's page": (
        lambda to: to.type(f"inventory/location/{DEFAULT_LOCATION_ID}/change", name="Shed"),
        "inventory.location",
        "changed",
        ("name", "Default", "Shed"),
    ),
    "the API client's page": (
        lambda to: to.type(f"api/apiclient/{to.client.pk}/change", name="Harbour office"),
        "api.apiclient",
        "changed",
        ("name", "Office", "Harbour office"),
    ),
    "the page of a new API client": (
        lambda to: to.type("api/apiclient/add", client_id="shop", name="Shop"),
        "api.apiclient",
        "created",
        ("client_id", None, "shop"),
    ),
    "a command that makes an API client": (
        lambda to: call_command("create_api_client", "shop"),
        "api.apiclient",
        "created",
        ("client_id", None, "shop"),
    ),
    "Revoke on the API client's page": (
        lambda to: to.type(f"api/apiclient/{to.client.pk}/revoke"),
        "api.apiclient",
        "deactivated",
        ("active", True, False),
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_t21_whatever_is_set_by_whichever_way_is_on_record(way):
    act, kind, what, (field, before, after) = WAYS[way]
    to = Ways()
    last = Change.objects.order_by("-pk").values_list("pk", flat=True).first() or 0

    act(to)

    entries = Change.objects.filter(pk__gt=last, kind=kind)
    told = [
        entry
        for entry in entries
        for told in entry.fields
        if told["field"] == field
        and (told.get("before"), told.get("after")) == (before, after)
        and entry.what == what
    ]
    assert len(told) == 1, [(entry.thing_name, entry.what, entry.fields) for entry in entries]
    by_program = way.startswith(("PUT", "POST", "DELETE"))
    actor = told[0].actor
    assert actor.kind == "api_client" if by_program else actor in {to.boss, MERCHANT, COMMAND_LINE}


def test_one_form_makes_one_entry_with_all_that_it_changed():
    to = Ways()

    products.update(to.shirt.pk, name="Blue shirt", prices=[Money("EUR", 900)], actor=MERCHANT)

    entry = Change.objects.latest("pk")
    assert entry.thing_name == "Blue shirt (SHIRT)"
    assert entry.fields == [
        {"field": "name", "before": "Shirt", "after": "Blue shirt"},
        {"field": "price_in_USD", "before": "12.50", "after": None},
        {"field": "price_in_EUR", "before": None, "after": "9.00"},
    ]


def test_a_new_default_currency_is_on_record_as_the_old_one_is():
    euro = currencies.create(code="EUR", actor=MERCHANT)

    currencies.change(euro.pk, default=True, actor=MERCHANT)

    told = {entry.thing_name: entry.fields for entry in Change.objects.filter(what="changed")}
    assert told == {
        "EUR": [{"field": "default", "before": False, "after": True}],
        "USD": [{"field": "default", "before": True, "after": False}],
    }


@pytest.mark.parametrize("model", [Product, Currency, Location, StoreSettings, Gateway, ApiClient])
def test_every_field_of_what_is_on_record_is_compared(model):
    """A field that comes to be is on record, unless somebody decides otherwise here."""
    kept_by_itself = {"id", "created_at", "updated_at", "version"}
    if model is Gateway:
        kept_by_itself = {"slug"}

    compared = changes.fields_of(model())

    assert compared.keys() == {field.name for field in model._meta.concrete_fields} - kept_by_itself


OTHERS: dict[str, Any] = {
    "low_stock_threshold": 3,
    "status": Product.Status.DRAFT,
    "commodity_type": Product.CommodityType.DIGITAL,
}


@pytest.mark.parametrize(
    "field", [field.name for field in Product._meta.concrete_fields if field.editable]
)
def test_every_field_that_is_set_of_a_product_is_on_record(field):
    shirt = product(sku="SHIRT", name="Shirt")

    products.update(shirt.pk, **{field: OTHERS.get(field, "other")}, actor=MERCHANT)

    assert [told["field"] for told in Change.objects.latest("pk").fields] == [field]


def test_a_purchase_asks_nothing_of_this_record():
    shirt = product(stock=9)

    with CaptureQueriesContext(connection) as queries:
        paid_order({shirt: 2})

    assert not [query for query in queries.captured_queries if "api_change" in query["sql"]]


def test_of_something_new_only_what_it_has_is_told():
    product(sku="SHIRT", name="Shirt", slug="shirt")

    told = [field["field"] for field in Change.objects.get().fields]

    assert told == [
        *("name", "sku", "slug", "status", "commodity_type", "price_in_USD", "stock_managed")
    ]
