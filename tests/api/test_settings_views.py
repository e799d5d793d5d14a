"""/v2/settings: what a merchant sets for the whole store."""

import json
import time
from typing import Any

import pytest

from api import store
from api.models import StoreSettings
from api.settings_views import ADDRESS_MANDATORY_FIELDS
from orders.serializers import Address
from tests.concurrency import run_together
from tests.factories import MERCHANT, filled_cart, product
from tests.http import shopper, statements

pytestmark = pytest.mark.django_db

SETTINGS, CART_SETTINGS = "/v2/settings", "/v2/settings/cart"


def test_the_defaults_in_the_shape_of_the_contract(back_office):
    general = back_office.get(SETTINGS).json()["data"]
    cart = back_office.get(CART_SETTINGS).json()["data"]

    assert general == {
        "type": "settings",
        "page_length": 25,
        "address_mandatory_fields": ADDRESS_MANDATORY_FIELDS,
        "shopper_address_limit": 1,
        "list_child_products": False,
        "additional_languages": [],
        "calculation_method": "line",
        "page_offset_limit": 10_000,
        "currency_limit": 10,
        "filter_limit": 10,
        "tax_item_limit": 0,
        "promotions_limit": 0,
        "integration_limit": 100,
        "event_limit": 100,
    }
    assert cart == {
        "type": "settings",
        "cart_expiry_days": 7,
        "discounts": {"custom_discounts_enabled": False, "use_rule_promotions": False},
        "inventories": {"defer_inventory_check": False},
        "show_all_carts": True,
        "custom_items_by_shoppers": False,
    }
    assert not StoreSettings.objects.exists()


def test_the_settings_name_what_an_address_must_have():
    required = {name for name, field in Address().fields.items() if field.required}

    assert set(ADDRESS_MANDATORY_FIELDS) == required


def test_the_page_length_is_what_a_list_shows_unless_asked_otherwise(back_office):
    for _ in range(3):
        product()

    answer = back_office.put(SETTINGS, {"type": "settings", "page_length": 2})

    assert (answer.status_code, answer.json()["data"]["page_length"]) == (200, 2)
    assert len(back_office.get("/v2/products").json()["data"]) == 2
    assert len(back_office.get("/v2/products?page[limit]=0").json()["data"]) == 2
    assert len(back_office.get("/v2/products?page[limit]=3").json()["data"]) == 3


def test_what_is_fixed_is_left_as_it_is_without_a_word(back_office):
    before = back_office.get(SETTINGS).json()
    fixed = {"currency_limit": 99, "colour": "teal", "id": 7}

    answer = back_office.put(SETTINGS, fixed)

    assert (answer.status_code, answer.json()) == (200, before)


@pytest.mark.parametrize(
    ("path", "change", "source"),
    [
        (SETTINGS, {"list_child_products": True}, "list_child_products"),
        (SETTINGS, {"address_mandatory_fields": []}, "address_mandatory_fields"),
        (SETTINGS, {"calculation_method": "simple"}, "calculation_method"),
        (
            CART_SETTINGS,
            {"discounts": {"use_rule_promotions": True}},
            "discounts.use_rule_promotions",
        ),
        (
            CART_SETTINGS,
            {"items": {"separate_items_by_location": True}},
            "items.separate_items_by_location",
        ),
    ],
)
def test_t34_a_setting_that_cannot_be_is_refused_by_its_name(back_office, path, change, source):
    before = back_office.get(path).json()

    answer = back_office.put(path, {"page_length": 2, "cart_expiry_days": 30, **change})

    [error] = answer.json()["errors"]
    assert (answer.status_code, error["code"]) == (422, "not_supported")
    assert error["source"] == f"data.{source}"
    assert back_office.get(path).json() == before


@pytest.mark.parametrize("path", [SETTINGS, CART_SETTINGS])
def test_settings_may_be_sent_back_as_they_were_told(back_office, path):
    told = back_office.get(path).json()

    answer = back_office.put(path, told["data"])

    assert (answer.status_code, answer.json()) == (200, told)


def test_deleting_the_settings_restores_the_page_length_and_no_more(back_office):
    back_office.put(SETTINGS, {"page_length": 2})
    back_office.put(CART_SETTINGS, {"cart_expiry_days": 30})

    answer = back_office.delete(SETTINGS)

    assert (answer.status_code, answer.content) == (204, b"")
    assert back_office.get(SETTINGS).json()["data"]["page_length"] == 25
    assert back_office.get(CART_SETTINGS).json()["data"]["cart_expiry_days"] == 30


def test_cart_settings_change_one_by_one(back_office):
    for change in (
        {"cart_expiry_days": 365},
        {"inventories": {"defer_inventory_check": True}},
        {"show_all_carts": False},
        {"inventories": {}, "discounts": {"custom_discounts_enabled": False}},
    ):
        answer = back_office.put(CART_SETTINGS, change)
        assert answer.status_code == 200

    assert answer.json()["data"] == {
        "type": "settings",
        "cart_expiry_days": 365,
        "discounts": {"custom_discounts_enabled": False, "use_rule_promotions": False},
        "inventories": {"defer_inventory_check": True},
        "show_all_carts": False,
        "custom_items_by_shoppers": False,
    }


def test_more_than_365_days_are_refused_in_the_words_of_the_contract(back_office):
    answer = back_office.put(CART_SETTINGS, {"cart_expiry_days": 366})

    [error] = answer.json()["errors"]
    assert answer.status_code == error["status"] == 400
    assert (error["title"], error["detail"], error["source"], error["meta"]) == (
        "number_lte",
        "Must be less than or equal to 365",
        "data.cart_expiry_days",
        {"value": 366},
    )


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        (SETTINGS, {"page_length": 0}, 422),
        (SETTINGS, {"page_length": 101}, 422),
        (SETTINGS, {"page_length": "25"}, 400),
        (SETTINGS, {"page_length": 2.5}, 400),
        (SETTINGS, {"page_length": None}, 400),
        (SETTINGS, [], 400),
        (CART_SETTINGS, {"cart_expiry_days": 0}, 422),
        (CART_SETTINGS, {"cart_expiry_days": -1}, 422),
        (CART_SETTINGS, {"cart_expiry_days": 10**30}, 400),
        (CART_SETTINGS, {"cart_expiry_days": True}, 400),
        (CART_SETTINGS, {"cart_expiry_days": None}, 400),
        (CART_SETTINGS, {"show_all_carts": "no"}, 400),
        (CART_SETTINGS, {"inventories": 7}, 400),
        (CART_SETTINGS, {"inventories": {"defer_inventory_check": 1}}, 400),
    ],
)
def test_wrong_settings_change_nothing(back_office, path, fields, status):
    answer = back_office.put(path, fields)

    assert answer.status_code == answer.json()["errors"][0]["status"] == status
    assert not StoreSettings.objects.exists()


@pytest.mark.parametrize("path", [SETTINGS, CART_SETTINGS])
def test_shoppers_neither_read_nor_change_settings(path):
    storefront = shopper()

    for answer in (storefront.get(path), storefront.put(path, {"page_length": 1})):
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (403, "forbidden")


def test_the_same_key_changes_settings_once(back_office):
    body = json.dumps({"data": {"page_length": 2}})
    answers = [back_office.send("PUT", SETTINGS, body, key="click") for _ in range(2)]

    assert answers[0].json() == answers[1].json()
    assert answers[1]["Idempotent-Replayed"] == "true"


def test_the_environment_says_how_long_a_cart_lives_until_a_merchant_does(settings):
    settings.CART_EXPIRY_DAYS = 14
    assert store.current().cart_expiry_days == 14

    store.change(page_length=50, actor=MERCHANT)
    assert store.current().cart_expiry_days == 14

    store.change(cart_expiry_days=3, actor=MERCHANT)
    assert store.current().cart_expiry_days == 3


def test_the_settings_cost_a_statement_now_and_then_only(monkeypatch, settings):
    api, cart = shopper(), filled_cart({product(stock=9): 1})
    made = product(stock=9)

    def add() -> Any:
        return api.add_to_cart(cart, str(made.pk), 1)

    add()
    usual = statements(add)
    later = time.monotonic() + settings.CLIENT_CACHE_SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)

    assert statements(add) == usual + 3


@pytest.mark.django_db(transaction=True)
def test_first_changes_at_once_all_count():
    outcomes = run_together(
        lambda: store.change(page_length=50, actor=MERCHANT),
        lambda: store.change(cart_expiry_days=30, actor=MERCHANT),
        lambda: store.change(show_all_carts=False, actor=MERCHANT),
    )

    assert outcomes == [None] * 3
    row = StoreSettings.objects.get()
    assert (row.page_length, row.cart_expiry_days, row.show_all_carts) == (50, 30, False)
