"""Whatever is sent, the answer is a 4xx that says what is wrong, and nothing has changed (F42)."""

import copy
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection
from hypothesis import HealthCheck, given
from hypothesis import settings as run_with
from hypothesis import strategies as st

from api.models import StoreSettings
from orders.services import returns, shipments
from orders.services.returns import TakenBack
from payments.models import Payment
from payments.services.payments import PaymentRequest, pay
from tests.events.made import integration
from tests.factories import MERCHANT, filled_cart, paid_order, product, unpaid_order
from tests.http import ADDRESS, BUYER, FORM, JSON, Api, administrator

pytestmark = [pytest.mark.django_db, pytest.mark.thorough]

UNKNOWN = "01234567-89ab-7def-8123-456789abcdef"
INT_MAX = 2**31 - 1
AMOUNT_MAX = 2**53 - 1


class Shop(NamedTuple):
    """One of everything that a route can be about."""

    api: Api
    product: str
    unmanaged: str
    cart: str
    item: str
    order: str
    authorization: str
    paid_order: str
    payment: str
    # An order of which a part has left and come back, to be inspected.
    parted: str
    parted_item: str
    shipment: str
    back: str
    back_item: str
    integration: str

    def route(self, route: str) -> tuple[str, str]:
        method, path = route.split(" ")
        return method, path.format(**self._asdict())

    def send(self, route: str, body: str | bytes, **options: str) -> Any:
        method, path = self.route(route)
        return self.api.send(method, path, body, **options)

    def ask(self, route: str, data: Any) -> Any:
        return self.send(route, json.dumps({"data": data}))


@pytest.fixture
def shop(books_agree: None) -> Shop:
    shirt = product(stock=20)
    cart = filled_cart({shirt: 2})
    order = unpaid_order({shirt: 1})
    authorize = PaymentRequest("test", Payment.Method.AUTHORIZE, 500)
    authorized = pay(order.pk, authorize, actor=MERCHANT)
    paid = paid_order({shirt: 1})
    parted = paid_order({shirt: 4})
    parted_item = parted.items.get().pk
    shipments.ship(parted.pk, actor=MERCHANT, units={parted_item: 1})
    back = returns.take_back(parted.pk, [TakenBack(parted_item, 1, "inspection")], actor=MERCHANT)
    left = shipments.ship(parted.pk, actor=MERCHANT, units={parted_item: 1})
    api = administrator()
    [item] = api.get(f"/v2/carts/{cart}/items").json()["data"]
    return Shop(
        api=api,
        product=str(shirt.pk),
        unmanaged=str(product(managed=False).pk),
        cart=cart,
        item=item["id"],
        order=str(order.pk),
        authorization=str(authorized.pk),
        paid_order=str(paid.pk),
        payment=str(paid.payments.get().pk),
        parted=str(parted.pk),
        parted_item=str(parted_item),
        shipment=str(left.pk),
        back=str(back.pk),
        back_item=str(back.lines.get().pk),
        integration=str(integration().pk),
    )


CREATE_PRODUCT = "POST /v2/products"
CHANGE_PRODUCT = "PUT /v2/products/{product}"
START_STOCK = "POST /v2/inventories/{unmanaged}"
MOVE_STOCK = "POST /v2/inventories/{product}/transactions"
MULTIPLE = "POST /v2/inventories/multiple"
CREATE_CART = "POST /v2/carts"
SAVE_CART = "PUT /v2/carts/{cart}"
ADD = "POST /v2/carts/{cart}/items"
SET_QUANTITIES = "PUT /v2/carts/{cart}/items"
SET_QUANTITY = "PUT /v2/carts/{cart}/items/{item}"
CHECK_OUT = "POST /v2/carts/{cart}/checkout"
CHANGE_ORDER = "PUT /v2/orders/{order}"
PAY = "POST /v2/orders/{order}/payments"
CAPTURE = "POST /v2/orders/{order}/transactions/{authorization}/capture"
REFUND = "POST /v2/orders/{paid_order}/transactions/{payment}/refund"
VOID = "POST /v2/orders/{order}/transactions/{authorization}/cancel"
SHIP = "POST /v2/orders/{parted}/shipments"
UNDO_SHIPMENT = "POST /v2/orders/{parted}/shipments/{shipment}/undo"
CANCEL_ITEMS = "POST /v2/orders/{parted}/cancellations"
TAKE_BACK = "POST /v2/orders/{parted}/returns"
SETTLE = "POST /v2/orders/{parted}/returns/{back}/items/{back_item}/settle"
CHANGE_GATEWAY = "PUT /v2/gateways/test"
CREATE_CURRENCY = "POST /v2/currencies"
CREATE_INTEGRATION = "POST /v2/integrations"
CHANGE_SETTINGS = "PUT /v2/settings"
CHANGE_CART_SETTINGS = "PUT /v2/settings/cart"

# A body that would be accepted, by route; "{product}" and the like stand for the shop's ids.
GOOD: dict[str, Any] = {
    CREATE_PRODUCT: {
        "type": "product",
        "name": "Scarf",
        "sku": "scarf",
        "slug": "scarf",
        "description": "Warm.",
        "price": [{"amount": 900, "currency": "USD", "includes_tax": True}],
        "status": "live",
        "commodity_type": "physical",
        "barcode": "123",
        "image_url": "/scarf.svg",
        "manage_stock": True,
        "stock": 5,
    },
    CHANGE_PRODUCT: {
        "name": "Scarf",
        "sku": "scarf",
        "slug": "scarf",
        "description": "Warm.",
        "price": [{"amount": 900, "currency": "USD"}],
        "status": "draft",
        "commodity_type": "digital",
        "barcode": "123",
        "image_url": "/scarf.svg",
        "manage_stock": True,
    },
    START_STOCK: {"quantity": 10},
    MOVE_STOCK: {"type": "stock-transaction", "action": "decrement", "quantity": 1, "reason": "x"},
    MULTIPLE: [{"id": "{product}"}],
    CREATE_CART: {"name": "Mine", "inventory_settings": {"defer_inventory_check": True}},
    SAVE_CART: {"name": "Mine", "description": "All of it"},
    ADD: {"type": "cart_item", "id": "{product}", "quantity": 1, "custom_inputs": {"text": "A"}},
    SET_QUANTITIES: [{"type": "cart_item", "id": "{item}", "quantity": 3, "custom_inputs": {}}],
    SET_QUANTITY: {
        "type": "cart_item",
        "id": "{item}",
        "quantity": 3,
        "custom_inputs": {"text": "A"},
    },
    CHECK_OUT: {
        **BUYER,
        "shipping_address": {**ADDRESS, "phone_number": "1", "instructions": "Ring."},
        "order_number": "A-1",
        "external_ref": "B-1",
        "expected_total": 2500,
    },
    CHANGE_ORDER: {
        "type": "order",
        "order_number": "A-1",
        "external_ref": "B-1",
        "shipping_address": ADDRESS,
    },
    PAY: {
        "gateway": "test",
        "method": "purchase",
        "amount": 100,
        "payment": "ok",
        "paymentmethod_meta": {"name": "Card", "custom_reference": "C-1"},
    },
    CAPTURE: {},
    REFUND: {"amount": 100, "reason": "x"},
    VOID: {"reason": "x"},
    SHIP: {
        "type": "shipment",
        "items": [{"id": "{parted_item}", "quantity": 1}],
        "carrier": "DHL",
        "tracking_reference": "JD014",
    },
    UNDO_SHIPMENT: {"reason": "x", "whereabouts": "shelf"},
    CANCEL_ITEMS: {
        "type": "cancellation",
        "items": [{"id": "{parted_item}", "quantity": 1}],
        "reason": "x",
        "restock": True,
    },
    TAKE_BACK: {
        "type": "return",
        "items": [{"id": "{parted_item}", "quantity": 1, "disposition": "restocked"}],
        "reason": "x",
    },
    SETTLE: {"disposition": "discarded", "quantity": 1, "reason": "x"},
    CHANGE_GATEWAY: {"enabled": False, "name": "Trial"},
    CREATE_CURRENCY: {
        "code": "EUR",
        "format": "{price} €",
        "decimal_point": ",",
        "thousand_separator": ".",
        "decimal_places": 2,
        "default": False,
        "enabled": True,
    },
    CREATE_INTEGRATION: {
        "type": "integration",
        "name": "Depot",
        "description": "Tells the depot",
        "enabled": True,
        "integration_type": "webhook",
        "observes": ["order.paid", "stock.low"],
        "configuration": {"url": "https://depot.example.com/", "secret_key": "s3cret"},
    },
    CHANGE_SETTINGS: {"page_length": 50},
    CHANGE_CART_SETTINGS: {
        "cart_expiry_days": 30,
        "show_all_carts": False,
        "inventories": {"defer_inventory_check": True},
    },
}
# They accept a call without a body, since the SDKs send none there.
BODY_OPTIONAL = {CAPTURE, REFUND, UNDO_SHIPMENT, VOID}


def good(route: str, shop: Shop) -> Any:
    text = json.dumps(GOOD[route])
    for name, value in shop._asdict().items():
        text = text.replace(f'"{{{name}}}"', json.dumps(str(value)))
    return json.loads(text)


def everything() -> dict[str, Any]:
    """All rows of our own tables."""
    ours = ("events", "inventory", "orders", "payments")
    models = [model for app in ours for model in apps.get_app_config(app).get_models()]
    tables = [StoreSettings._meta.db_table, *(model._meta.db_table for model in models)]
    rows = (f"(SELECT json_agg({table} ORDER BY {table}) FROM {table})" for table in tables)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(rows)}")
        return dict(zip(tables, cursor.fetchone(), strict=True))


def assert_refused(response: Any, *sources: str) -> list[dict[str, Any]]:
    """Every refusal has this shape, whatever it refuses."""
    assert 400 <= response.status_code < 500, (response.status_code, response.content[:500])
    errors: list[dict[str, Any]] = response.json()["errors"]
    assert errors
    for error in errors:
        assert error["status"] == response.status_code
        assert isinstance(error["status"], int)
        assert error["title"]
        assert error["code"]
    if sources:
        assert sorted(str(error.get("source")) for error in errors) == sorted(sources)
    return errors


def leaves(value: Any, source: str = "data") -> Iterator[tuple[str, list[str | int], Any]]:
    """Every field of a body: its source on the wire, the way to it, and its value."""
    if isinstance(value, dict | list):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        for name, nested in entries:
            if name in {"type", "custom_inputs"}:
                continue
            for deeper, way, leaf in leaves(nested, f"{source}.{name}"):
                yield deeper, [name, *way], leaf
    else:
        yield source, [], value


def replaced(body: Any, way: list[str | int], value: Any) -> Any:
    if not way:
        return value
    changed = copy.copy(body)
    changed[way[0]] = replaced(body[way[0]], way[1:], value)
    return changed


ROUTES = list(GOOD)


@pytest.mark.parametrize("route", ROUTES)
def test_the_bodies_to_be_spoilt_are_good(shop, route):
    response = shop.ask(route, good(route, shop))

    assert response.status_code in {200, 201}, response.content


NO_JSON = {
    "broken off": b'{"data": {',
    "more than one value": b'{"data": {}} {}',
    "words": b"quantity=5",
    "single quotes": b"{'data': {}}",
    "not a number": b'{"data": {"quantity": NaN}}',
    "infinite": b'{"data": {"quantity": -Infinity}}',
    "not UTF-8": b'{"data": "\xff\xfe"}',
    "UTF-16": '{"data": {}}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"data": {}}',
    "too many digits": b'{"data": {"quantity": ' + b"9" * 5000 + b"}}",
    "nothing but brackets": b"[" * 100_000,
    "brackets within data": b'{"data": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "braces within data": b'{"data":' * 50_000 + b"1" + b"}" * 50_000,
    "blank": b"  ",
    "a list": b"[]",
    "a text": b'"data"',
    "null": b"null",
    "a number": b"5",
    "true": b"true",
}
NO_DATA = {"no body": b"", "an empty object": b"{}", "another name": b'{"date": {}}'}
WRONG_DATA: list[Any] = [None, 5, 1.5, True, "text", [5], [[]], [None]]


@pytest.mark.parametrize("route", ROUTES)
def test_f42_a_body_that_is_no_request_is_refused(shop, route):
    before = everything()
    bodies = {**NO_JSON, **({} if route in BODY_OPTIONAL else NO_DATA)}
    wrong: list[Any] = WRONG_DATA + ([{}] if route == MULTIPLE else [[]])

    for body in bodies.values():
        assert_refused(shop.send(route, body))
    for data in wrong:
        assert_refused(shop.ask(route, data))

    assert everything() == before


NESTABLE = [
    (ADD, "id"),
    (ADD, "custom_inputs"),
    (MOVE_STOCK, "action"),
    (MOVE_STOCK, "quantity"),
    (CREATE_PRODUCT, "name"),
    (CREATE_PRODUCT, "price"),
    (CREATE_PRODUCT, "manage_stock"),
    (CHECK_OUT, "customer"),
    (CHANGE_ORDER, "shipping_address"),
]


@pytest.mark.parametrize(("route", "field"), NESTABLE)
def test_f42_what_is_just_shallow_enough_to_parse_is_refused_too(shop, route, field):
    before = everything()
    body = json.dumps({"data": {**good(route, shop), field: "HERE"}})

    # Whatever looks at a value after the parser stands deeper in the stack than the parser did.
    for depth in (12, 100, 500, 800, *range(850, 1000, 10)):
        nested = "[" * depth + "1" + "]" * depth
        if field == "custom_inputs":
            nested = f'{{"text": {nested}}}'
        assert_refused(shop.send(route, body.replace('"HERE"', nested)))

    assert everything() == before


@pytest.mark.parametrize("route", ROUTES)
def test_a_body_over_the_size_limit_is_refused(shop, route):
    before = everything()
    padding = " " * settings.DATA_UPLOAD_MAX_MEMORY_SIZE

    response = shop.send(route, json.dumps({"data": good(route, shop)}) + padding)

    assert_refused(response)
    assert everything() == before


@pytest.mark.parametrize("route", ROUTES)
def test_a_form_is_no_json_whatever_it_calls_itself(shop, route):
    before = everything()

    for content_type in (FORM, "multipart/form-data; boundary=x", "text/xml", JSON, ""):
        assert_refused(shop.send(route, b"quantity=5&data=5", content_type=content_type))

    assert everything() == before


WRONG_FOR_TEXT: list[Any] = [None, 5, 1.5, True, [], {}, ["text"], {"text": "text"}]
WRONG_FOR_FLAG: list[Any] = [None, 0, 1, "true", "", [], {}, 1.5]
WRONG_FOR_NUMBER: list[Any] = [None, True, False, 1.5, 1.0, "1", "", "many", [], {}, [1]]
UNSTORABLE = ["nul\0", "\0", "half a pair \ud83d", "\udc00"]
NEVER_A_NUMBER_OF_ANYTHING = [-1, -(2**31), 2**63, 2**64, 10**400, -(10**400)]

# Texts that choose, name or must look like something.
CHOSEN = {
    *("status", "commodity_type", "action", "method", "disposition", "whereabouts"),
    *("integration_type", "url"),
}
IDS = {"id"}


def wrong_values(route: str, field: str, value: Any) -> list[Any]:
    if isinstance(value, bool):
        return WRONG_FOR_FLAG
    if isinstance(value, int):
        over = [2**31] if field in {"quantity", "stock"} else [2**53]
        zero = [0] if (route, field) in ZERO_IS_WRONG else []
        return [*WRONG_FOR_NUMBER, *NEVER_A_NUMBER_OF_ANYTHING, *over, *zero]
    if field in CHOSEN:
        return [*WRONG_FOR_TEXT, *UNSTORABLE, "", "other", "LIVE", "x" * 100_000]
    if field in IDS:
        return [*WRONG_FOR_TEXT, *UNSTORABLE, "", "12", UNKNOWN[:-1], f"{UNKNOWN}0", "x" * 100_000]
    too_long = [] if (route, field) in ANY_LENGTH else ["x" * 100_000]
    wrong = [*WRONG_FOR_TEXT, *UNSTORABLE, *too_long]
    return [value for value in wrong if value is not None or (route, field) not in MAY_BE_NULL]


ZERO_IS_WRONG = {
    *((MOVE_STOCK, "quantity"), (ADD, "quantity"), (PAY, "amount"), (REFUND, "amount")),
    *((route, "quantity") for route in (SHIP, CANCEL_ITEMS, TAKE_BACK, SETTLE)),
}
MAY_BE_NULL = {
    (SAVE_CART, "description"),
    *((CHECK_OUT, name) for name in ("external_ref", "order_number")),
    *((CHECK_OUT, name) for name in ("instructions", "phone_number")),
    (CHANGE_ORDER, "external_ref"),
    *((CREATE_INTEGRATION, name) for name in ("description", "secret_key")),
}
ANY_LENGTH = {(CREATE_PRODUCT, "description"), (CHANGE_PRODUCT, "description")}


@pytest.mark.parametrize("route", ROUTES)
def test_f42_a_wrong_value_is_refused_by_its_name(shop, route):
    before = everything()
    body = good(route, shop)

    for source, way, value in leaves(body):
        for wrong in wrong_values(route, source.rpartition(".")[2], value):
            errors = assert_refused(shop.ask(route, replaced(body, way, wrong)))
            # An amount that the payment cannot give back breaks no rule of the body's own.
            if errors[0]["code"] != "transaction_not_refundable":
                assert [error["source"] for error in errors] == [source], wrong

    assert everything() == before


CONTAINERS = [
    (CREATE_PRODUCT, ["price"]),
    (CREATE_PRODUCT, ["price", 0]),
    (CHANGE_PRODUCT, ["price"]),
    (MULTIPLE, [0]),
    (ADD, ["custom_inputs"]),
    (SET_QUANTITY, ["custom_inputs"]),
    (CHECK_OUT, ["customer"]),
    (CHECK_OUT, ["billing_address"]),
    (CHECK_OUT, ["shipping_address"]),
    (CHANGE_ORDER, ["shipping_address"]),
    (PAY, ["paymentmethod_meta"]),
    (SHIP, ["items"]),
    (TAKE_BACK, ["items", 0]),
]


@pytest.mark.parametrize(("route", "way"), CONTAINERS)
def test_f42_a_value_where_an_object_belongs_is_refused_by_its_name(shop, route, way):
    before = everything()
    source = ".".join(["data", *map(str, way)])
    wrong_values = [5, 1.5, True, "text", [5], [[]], "x" * 100_000]
    if way != ["custom_inputs"]:
        wrong_values.append(None)

    for wrong in wrong_values:
        errors = assert_refused(shop.ask(route, replaced(good(route, shop), way, wrong)))
        assert all(error["source"].startswith(source) for error in errors), (wrong, errors)

    assert everything() == before


@pytest.mark.parametrize(
    "inputs",
    [
        {"text": "nul\0"},
        {"nul\0": "text"},
        {"text": "\ud800"},
        {"\ud800": "text"},
        {"deep": {"deeper": ["\0"]}},
        {"text": "x" * 20_000},
        {str(number): "many" for number in range(5_000)},
    ],
    ids=lambda inputs: ascii(inputs)[:30],
)
def test_custom_inputs_that_cannot_be_kept_are_refused(shop, inputs):
    before = everything()

    refused = shop.ask(ADD, {"id": shop.product, "quantity": 1, "custom_inputs": inputs})

    assert_refused(refused, "data.custom_inputs")
    assert everything() == before


def test_an_infinite_custom_input_is_refused(shop):
    body = json.dumps({"data": {"id": shop.product, "quantity": 1, "custom_inputs": {"x": "HERE"}}})

    assert_refused(shop.send(ADD, body.replace('"HERE"', "1e999")), "data.custom_inputs")


REQUIRED = {
    CREATE_PRODUCT: ["data.name", "data.price", "data.sku"],
    START_STOCK: ["data.quantity"],
    MOVE_STOCK: ["data.action", "data.quantity"],
    ADD: ["data.quantity"],
    SET_QUANTITY: ["data.quantity"],
    CHECK_OUT: ["data.billing_address", "data.customer"],
    PAY: ["data.gateway", "data.method"],
    TAKE_BACK: ["data.items"],
    SETTLE: ["data.disposition"],
    CREATE_INTEGRATION: ["data.configuration", "data.name", "data.observes"],
}


@pytest.mark.parametrize("route", REQUIRED)
def test_every_missing_field_is_named(shop, route):
    before = everything()

    errors = assert_refused(shop.ask(route, {}), *REQUIRED[route])

    assert {error["status"] for error in errors} == {400}
    assert {error["title"] for error in errors} == {"required"}
    assert {error["code"] for error in errors} == {"field_required"}
    for error in errors:
        assert error["detail"] == f"{error['source'].rpartition('.')[2]} is required"
    assert everything() == before


def test_missing_parts_of_an_address_and_of_a_customer_are_named(shop):
    response = shop.ask(CHECK_OUT, {"customer": {}, "billing_address": {"county": "Kent"}})

    missing = ["customer.email", "customer.name"]
    missing += [f"billing_address.{part}" for part in ("first_name", "last_name", "line_1")]
    missing += ["billing_address.postcode", "billing_address.country"]
    assert_refused(response, *(f"data.{field}" for field in missing))


def test_an_address_needs_a_county_or_a_region(shop):
    neither = {name: text for name, text in ADDRESS.items() if name != "region"}

    refused = shop.ask(CHECK_OUT, {**BUYER, "billing_address": neither})
    accepted = shop.ask(CHECK_OUT, {**BUYER, "billing_address": {**neither, "county": "Kent"}})

    assert_refused(refused, "data.billing_address.region")
    assert accepted.status_code == 201


def test_a_bad_email_is_refused_in_the_words_of_the_contract(shop):
    for email in ("", "ada", "ada@", "@example.com", "a b@example.com", "x" * 255 + "@example.com"):
        body = {**BUYER, "customer": {"name": "Ada", "email": email}}
        [error] = assert_refused(shop.ask(CHECK_OUT, body))
        assert error["source"] == "data.customer.email"
        assert error["status"] == (422 if email == "" else 400)
    assert error["title"] == "format"
    assert error["detail"] == "Does not match format 'email'"


def test_every_wrong_field_has_an_entry_of_its_own(shop):
    before = everything()
    body = {
        "name": 5,
        "sku": "",
        "price": [{"amount": -1, "currency": "USD"}, {"amount": "1", "currency": None}],
        "manage_stock": "yes",
        "stock": -1,
    }

    response = shop.ask(CREATE_PRODUCT, body)

    wrong = ["name", "sku", "price.0.amount", "price.1.amount", "price.1.currency"]
    wrong += ["manage_stock", "stock"]
    assert_refused(response, *(f"data.{field}" for field in wrong))
    assert response.status_code == 400
    assert everything() == before


def test_fields_that_only_break_a_rule_are_a_failed_validation(shop):
    response = shop.ask(MOVE_STOCK, {"action": "set", "quantity": 0})

    errors = assert_refused(response, "data.action", "data.quantity")
    assert {error["status"] for error in errors} == {422}
    assert {error["title"] for error in errors} == {"Failed Validation"}


def test_every_wrong_entry_of_a_list_is_named(shop):
    response = shop.ask(MULTIPLE, [{"id": 5}, {"id": shop.product}, {}, {"id": "x"}])

    assert_refused(response, "data.0.id", "data.2.id", "data.3.id")


def test_too_long_a_list_is_refused(shop):
    assert_refused(shop.ask(MULTIPLE, [{"id": shop.product}] * 101), "data")


UNPRODUCIBLE = {
    "a slug with a blank": {"slug": "a b"},
    "a slug with a slash": {"slug": "a/b"},
    "two prices in one currency": {"price": [{"amount": 1, "currency": "USD"}] * 2},
    "an unknown currency": {"price": [{"amount": 1, "currency": "XXX"}]},
    "half a currency": {"price": [{"amount": 1, "currency": "US"}]},
    "eleven prices": {"price": [{"amount": 1, "currency": f"X{n:02}"} for n in range(11)]},
    "stock, but not managed": {"manage_stock": False, "stock": 5},
    "a sku of another product": {"sku": "TAKEN"},
    "a slug of another product": {"slug": "taken"},
}


@pytest.mark.parametrize("spoilt", UNPRODUCIBLE.values(), ids=UNPRODUCIBLE)
def test_a_product_that_breaks_a_rule_is_refused(shop, spoilt):
    product(sku="TAKEN", slug="taken")
    before = everything()

    response = shop.ask(CREATE_PRODUCT, {**good(CREATE_PRODUCT, shop), **spoilt})

    [error] = assert_refused(response)
    assert error["status"] == (409 if "another" in error["detail"].lower() else 422), error
    assert everything() == before


@pytest.mark.parametrize("letter", ["x", "㎏", "甲", "½", "\u0301", "🧣"])
def test_a_product_of_any_name_is_created(shop, letter):
    for sku in ("甲" * 100, "㎏" * 100):
        body = {"name": letter * 200, "sku": sku, "price": []}

        assert shop.ask(CREATE_PRODUCT, body).status_code == 201


# Sums over the edge.


def test_f42_more_units_than_a_stock_holds_are_refused(shop):
    before = everything()

    increment = {"type": "stock-transaction", "action": "increment", "quantity": INT_MAX}
    [error] = assert_refused(shop.ask(MOVE_STOCK, increment))

    assert (error["status"], error["code"]) == (422, "too_many_units")
    assert everything() == before


def test_f42_more_units_than_a_line_holds_are_refused(shop):
    line = {"id": shop.unmanaged, "quantity": INT_MAX}
    assert shop.ask("PUT /v2/products/{unmanaged}", {"price": [{"amount": 1, "currency": "USD"}]})
    assert shop.ask(ADD, line).status_code == 201
    before = everything()

    [error] = assert_refused(shop.ask(ADD, {**line, "quantity": 1}))

    assert (error["status"], error["code"]) == (422, "quantity_too_large")
    assert everything() == before


def test_f42_a_line_over_the_largest_amount_is_refused(shop):
    price = [{"amount": AMOUNT_MAX, "currency": "USD"}]
    assert shop.ask(CHANGE_PRODUCT, {"price": price}).status_code == 200
    before = everything()

    [error] = assert_refused(shop.ask(ADD, {"id": shop.product, "quantity": 2}))

    assert (error["status"], error["code"]) == (422, "total_too_large")
    assert everything() == before


def test_f42_an_order_over_the_largest_amount_is_refused(shop):
    costly = [product(stock=1, price=AMOUNT_MAX), product(stock=1, price=1)]
    cart = filled_cart(dict.fromkeys(costly, 1))
    before = everything()

    [error] = assert_refused(shop.api.check_out(cart))

    assert (error["status"], error["code"]) == (422, "total_too_large")
    assert everything() == before


def test_f42_an_order_of_the_largest_amount_can_be_paid(shop):
    order = shop.api.check_out(filled_cart({product(stock=1, price=AMOUNT_MAX): 1}))

    paid = shop.api.pay(order.json()["data"]["id"])

    assert paid.json()["data"]["amount"] == AMOUNT_MAX
    shown = paid.json()["data"]["meta"]["display_price"]
    assert shown["formatted"] == "$90,071,992,547,409.91"


# Addresses.

READING = [
    "GET /v2/products/{product}",
    "DELETE /v2/products/{product}",
    "GET /v2/inventories/{product}",
    "DELETE /v2/inventories/{product}",
    "GET /v2/inventories/{product}/transactions",
    "GET /v2/inventories/{product}/transactions/{item}",
    "DELETE /v2/carts/{cart}/items/{item}",
    "GET /v2/orders/{order}",
    "GET /v2/orders/{order}/items",
    "GET /v2/orders/{order}/transactions",
    "GET /v2/orders/{order}/transactions/{authorization}",
    "GET /v2/orders/{parted}/shipments",
    "GET /v2/orders/{parted}/shipments/{shipment}",
    "GET /v2/orders/{parted}/returns/{back}",
    "GET /v2/integrations/{integration}",
    "DELETE /v2/integrations/{integration}",
    "POST /v2/integrations/{integration}/secret",
    "GET /v2/integrations/{integration}/logs",
    "GET /v2/integrations/{integration}/jobs",
    "GET /v2/integrations/{integration}/jobs/{item}/logs",
]
WITH_IDS = [route for route in [*READING, *ROUTES] if "{" in route.replace("{cart}", "")]


def nowhere_in(shop: Shop, wrong: str) -> Shop:
    return shop._replace(
        product=wrong,
        unmanaged=wrong,
        item=wrong,
        order=wrong,
        paid_order=wrong,
        parted=wrong,
        integration=wrong,
    )


@pytest.mark.parametrize("route", WITH_IDS)
def test_an_unknown_id_is_not_found(shop, route):
    before = everything()
    nowhere = nowhere_in(shop, UNKNOWN)

    response = nowhere.ask(route, good(route, nowhere) if route in GOOD else None)

    [error] = assert_refused(response)
    assert error["status"] == 404
    assert everything() == before


MALFORMED_IDS = ["1", "x", "%00", "%ED%A0%80", "%F0%9F%A7%A3", "x" * 3000, "-1"]


@pytest.mark.parametrize("route", WITH_IDS)
def test_a_malformed_id_is_not_found(shop, route):
    for wrong in MALFORMED_IDS:
        response = nowhere_in(shop, wrong).ask(route, GOOD.get(route))

        assert assert_refused(response)[0]["status"] == 404


def test_t35_a_cart_id_of_unsafe_characters_is_refused_alike_in_address_and_body(shop):
    before = everything()

    for cart in ("a b", "a.b", "%00", "%ED%A0%80", "ä", "x" * 129):
        refused = shop._replace(cart=cart).ask(ADD, {"id": shop.product, "quantity": 1})
        assert assert_refused(refused, "address.cart_id")[0]["status"] in {400, 422}
    in_body = assert_refused(shop.ask(CREATE_CART, {"id": "a.b"}), "data.id")
    in_address = assert_refused(shop._replace(cart="a.b").ask(SAVE_CART, {"name": "A"}))
    assert in_address[0]["status"] == in_body[0]["status"] == 422

    assert everything() == before


def test_unknown_things_named_in_a_body_are_refused(shop):
    before = everything()

    assert_refused(shop.ask(ADD, {"id": UNKNOWN, "quantity": 1}))
    assert_refused(shop.ask(ADD, {"sku": "unknown", "quantity": 1}))
    assert_refused(shop.ask(ADD, {"id": shop.product, "sku": "both", "quantity": 1}))
    assert_refused(shop.ask(ADD, {"quantity": 1}))
    assert_refused(shop.ask(PAY, {"gateway": "unknown", "method": "purchase"}))
    assert_refused(shop.ask(PAY, {"gateway": "../manual", "method": "purchase"}))

    assert everything() == before


LISTS = [
    "/v2/products",
    "/v2/inventories",
    "/v2/inventories/{product}/transactions",
    "/v2/orders",
    "/v2/orders/{parted}/shipments",
    "/v2/orders/{parted}/returns",
    "/v2/carts/{cart}/orders",
    "/v2/gateways",
]
ABSURD_PAGES = [
    "page[limit]=101",
    "page[limit]=-1",
    "page[limit]=ten",
    "page[limit]=1.0",
    "page[limit]=1e1",
    "page[limit]=",
    "page[limit]=%2B5",
    "page[limit]=%00",
    "page[limit]=٣",
    "page[limit]=99999999999999999999",
    "page[offset]=-1",
    "page[offset]=10001",
    "page[offset]=9223372036854775808",
    "page[offset]=x",
    "page[offset]=²",
]


@pytest.mark.parametrize("path", LISTS)
def test_absurd_pages_are_refused(shop, path):
    for query in ABSURD_PAGES:
        response = shop.send(f"GET {path}?{query}", b"")

        [error] = assert_refused(response, query.partition("=")[0])
        assert error["status"] == 400, query


def test_a_sort_that_the_log_does_not_know_is_refused(shop):
    for sort in ("quantity", "-", "created_at,action", "%00"):
        assert_refused(
            shop.send(f"GET /v2/inventories/{{product}}/transactions?sort={sort}", b""), "sort"
        )


def test_a_query_of_a_thousand_parameters_is_refused(shop):
    assert_refused(shop.send("GET /v2/products?" + "&".join(["a=1"] * 1001), b""))


def test_an_overlong_idempotency_key_is_refused(shop):
    before = everything()

    assert_refused(shop.send(SAVE_CART, json.dumps({"data": {"name": "Mine"}}), key="k" * 256))

    assert everything() == before


def test_a_cart_in_an_unknown_currency_is_refused(shop):
    before = everything()
    body = json.dumps({"data": {"id": shop.product, "quantity": 1}})

    for currency in ("XXX", "usd", "\x7f", "x" * 1000):
        assert_refused(shop.send(ADD, body, X_MOLTIN_CURRENCY=currency))

    assert everything() == before


BAD_FORMS = {
    "nothing": b"",
    "no client": b"grant_type=implicit",
    "another grant": b"grant_type=password&client_id=x",
    "JSON": b'{"grant_type": "implicit", "client_id": "x"}',
    "a NUL": b"grant_type=implicit&client_id=%00",
    "half a pair": b"grant_type=implicit&client_id=%ED%A0%80",
    "not UTF-8": b"grant_type=implicit&client_id=\xff",
    "too long": b"grant_type=implicit&client_id=" + b"x" * 100_000,
    "too many": b"&".join([b"client_id=x"] * 1001),
    "too much": b"x" * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1),
}


@pytest.mark.parametrize("form", BAD_FORMS.values(), ids=BAD_FORMS)
def test_a_bad_token_request_is_refused(form):
    for content_type in (FORM, JSON, "multipart/form-data; boundary=x"):
        assert_refused(Api().send("POST", "/oauth/access_token", form, content_type=content_type))


# Anything at all.

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, -1, 2**31, 2**63, 10**400, "1", "live", "\0", "\ud800", UNKNOWN])
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
)


def with_more(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)


ANYTHING = st.recursive(SCALARS, with_more, max_leaves=8)


@pytest.mark.parametrize("route", ROUTES)
def test_anything_at_all_is_answered(shop, route):
    body = good(route, shop)
    ways = [way for _, way, _ in leaves(body)] or [[]]

    @run_with(
        max_examples=25,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(anything=ANYTHING, way=st.sampled_from([[], *ways]))
    def ask(anything: Any, way: list[str | int]) -> None:
        response = shop.ask(route, replaced(body, way, anything))

        assert response.status_code < 500
        if response.status_code >= 400:
            assert_refused(response)

    ask()
