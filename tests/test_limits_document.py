"""The limits that docs/api.md names are those of the code."""

import re

import pytest
from django.conf import global_settings, settings

from api import fields, filtering, idempotency, incoming, models, pagination, views
from config.supervisor import PROJECT
from events import serializers as event_serializers
from events.services import integrations
from inventory import serializers as inventory_serializers
from inventory import views as inventory_views
from inventory.services import currencies, images
from orders import serializers as orders_serializers
from orders import unit_serializers
from orders import views as orders_views
from orders.models import ITEMS_MAX, WRITTEN_MAX
from orders.services import returns
from payments import views as payments_views
from payments.services import payments

_LIMITS = (PROJECT / "docs" / "api.md").read_text().partition("## Limits")[2].partition("\n## ")[0]
ROWS = dict(re.findall(r"^\| (.+?) \| (.+?) \| .+? \|$", _LIMITS, re.MULTILINE))
SETTINGS = (PROJECT / "config" / "settings.py").read_text()


def default_of(name: str) -> int:
    """What a setting is where the environment says nothing; the tests switch some of them off."""
    default = r"default=(?:0 if HOLDFAST_DEMO else )?([0-9_]+)"
    match = re.search(rf'env\.int\(\s*"{name}", {default}\b', SETTINGS)
    assert match, name
    return int(match[1])


DOCUMENTED = {
    "`page[limit]`": [pagination.LIMIT_MAX, 0, models.StoreSettings().page_length],
    "`page[offset]`": [pagination.OFFSET_MAX],
    "`page[limit]` of a cart's orders": [payments_views.CART_ORDERS_MAX],
    "Values in a body, and how deep they are nested": [
        incoming.JSON_VALUES_MAX,
        incoming.JSON_DEPTH_MAX,
    ],
    "A token call's form": [views.FORM_BYTES_MAX],
    "`filter`": [filtering.TERMS_MAX, filtering.BYTES_MAX],
    "Different items in a cart": [ITEMS_MAX],
    "Entries of a call that adds or changes several items": [
        orders_views.ENTRIES_MAX,
        orders_views.CARTS_MERGED_MAX,
    ],
    "`custom_inputs`": [
        orders_serializers.CUSTOM_INPUTS_MAX,
        orders_serializers.CUSTOM_INPUTS_LEVELS_MAX,
    ],
    "All `custom_inputs` and descriptions in a cart": [WRITTEN_MAX],
    "`custom_attributes`": [
        orders_serializers.ATTRIBUTES_MAX,
        orders_serializers.ATTRIBUTE_NAME_MAX,
        orders_serializers.ATTRIBUTE_MAX,
    ],
    "A file of `POST /v2/files`": [images.BYTES_MAX // 10**6, images.PIXELS_MAX // 10**6],
    "Ids of `GetMultipleStock`": [inventory_views.MULTIPLE_MAX],
    "Items of a call that ships, cancels or takes back": [ITEMS_MAX, returns.TAKEN_BACK_MAX],
    "A carrier, a tracking reference, a reason": [
        unit_serializers.CARRIER_MAX,
        unit_serializers.TRACKING_MAX,
        unit_serializers.REASON_MAX,
    ],
    "Integrations of a store": [integrations.INTEGRATIONS_MAX],
    "Events that an integration observes": [event_serializers.OBSERVES_MAX],
    "Name, description, `url` and `secret_key` of an integration": [
        event_serializers.NAME_MAX,
        event_serializers.DESCRIPTION_MAX,
        event_serializers.URL_MAX,
        event_serializers.SECRET_KEY_MAX,
    ],
    "Units of a product, and of a line": [fields.UNITS_MAX],
    "An amount, and a total": [fields.AMOUNT_MAX],
    "Prices of a product, and currencies of a store": [currencies.CURRENCIES_MAX],
    "`Idempotency-Key`": [idempotency.KEY_LENGTH_MAX, idempotency.KEPT_FOR.days * 24],
    "Carts from one address": [default_of("CARTS_PER_ADDRESS")],
    "Payments of an order": [payments.PAYMENTS_MAX],
    "Tokens, checkouts and payments from one address": [
        default_of("TOKEN_LIMIT"),
        default_of("LIMIT_SECONDS"),
    ],
    "Unpaid orders of a cart": [default_of("UNPAID_ORDERS_PER_CART")],
    "Unpaid orders from one address": [default_of("UNPAID_ORDERS_PER_ADDRESS")],
    "All other calls from one address": [default_of("REQUEST_LIMIT"), default_of("LIMIT_SECONDS")],
}


@pytest.mark.parametrize("of", DOCUMENTED)
def test_a_documented_limit_is_the_one_of_the_code(of):
    told = [int(number.replace(",", "")) for number in re.findall(r"[0-9][0-9,]*", ROWS[of])]

    assert told == DOCUMENTED[of]


def test_what_the_table_says_once_is_the_same_for_all_that_it_names():
    assert inventory_serializers.PRICES_MAX == currencies.CURRENCIES_MAX
    assert len({default_of(f"{kind}_LIMIT") for kind in ("TOKEN", "CHECKOUT", "PAYMENT")}) == 1
    assert settings.DATA_UPLOAD_MAX_MEMORY_SIZE == 2**20
    assert settings.DATA_UPLOAD_MAX_NUMBER_FIELDS == global_settings.DATA_UPLOAD_MAX_NUMBER_FIELDS


def test_every_limit_of_the_table_is_held_against_the_code():
    assert ROWS.keys() - DOCUMENTED.keys() == {
        "of",
        "A request's body",
        "A request line and its headers",
    }
