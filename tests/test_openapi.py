"""The description of the API, and the server held against it."""

import copy
import uuid
from typing import Any

import hypothesis
import jsonschema_rs
import pytest
import schemathesis
from django.core.management import call_command
from django.http import JsonResponse
from django.test import Client
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.schema import document
from inventory.models import Currency, StockTransaction
from inventory.services import currencies
from orders.models import CartItem, Shipment
from orders.services import returns, shipments
from orders.services.returns import TakenBack
from payments.models import Payment
from payments.services import payments
from payments.services.payments import PaymentRequest
from tests import factories
from tests.described import assert_described, strictly_described
from tests.drawn import picture
from tests.events.made import attempt, events, integration, job
from tests.factories import MERCHANT
from tests.http import BUYER, Api, administrator, shopper

GATEWAY = {"type": "gateway", "name": "Manual", "slug": "manual", "enabled": True}
SEED = 20261121
EXAMPLES = 15
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# Within a tag, what deletes comes last.
METHODS = ["get", "post", "put", "delete"]
TAGS = sorted(
    {
        operation["tags"][0]
        for operations in document()["paths"].values()
        for operation in operations.values()
    }
)


def test_the_description_is_valid_and_nothing_is_left_out(tmp_path: Any):
    call_command(
        "spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "api.yaml")
    )


def test_the_description_is_told_to_anybody(db: None):
    answer = Client().get("/v2/openapi.json")

    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    assert answer.json()["openapi"].startswith("3.1")
    assert "/v2/carts/{cart_id}/checkout" in answer.json()["paths"]


def test_the_page_loads_nothing_from_elsewhere():
    answer = Client().get("/v2/docs")
    page = answer.content.decode()

    assert answer.status_code == 200
    assert "http:" not in page
    assert "https:" not in page
    assert "default-src 'none'" in answer["Content-Security-Policy"]


def test_the_files_of_the_page_are_served_from_here():
    page = Client().get("/v2/docs").content.decode()
    files = [part.split('"')[0] for part in page.split('"/static/')[1:]]

    assert len(files) == 4
    for file in files:
        assert Client().get(f"/static/{file}").status_code == 200


def test_every_operation_tells_how_it_is_refused():
    for path, operations in document()["paths"].items():
        for operation in operations.values():
            assert {"400", "429"} <= operation["responses"].keys()
            if operation["security"]:
                assert "401" in operation["responses"]
            if "{" in path:
                assert "404" in operation["responses"]


def test_every_example_is_a_body_of_its_call():
    described, examples = document(), []
    for operations in described["paths"].values():
        for operation in operations.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                if "example" in content:
                    whole = {**content["schema"], "components": described["components"]}
                    jsonschema_rs.validate(whole, content["example"])
                    examples.append(operation["summary"])

    assert len(examples) >= 5


@pytest.mark.parametrize(
    ("path", "status", "body", "wrong"),
    [
        ("/v2/gateways", 418, {}, "is not said to answer 418"),
        ("/v2/gateways", 200, {"data": []}, "is a required property"),
        ("/v2/gateways/manual", 200, {"data": {**GATEWAY, "more": 1}}, "('more' was unexpected)"),
        (
            "/v2/gateways/manual",
            404,
            {"errors": [{"status": 404, "title": "Not Found", "code": "lost"}]},
            "is not said to refuse by",
        ),
    ],
)
def test_an_answer_that_is_not_described_is_found(path, status, body, wrong):
    with pytest.raises(AssertionError, match=wrong):
        assert_described("GET", path, JsonResponse(body, status=status))


@pytest.fixture
def shop(transactional_db: None) -> dict[str, list[str]]:
    """Make a little of everything, and tell its ids by the parameters that want them."""
    shirt, cap = factories.product(stock=1000), factories.product(stock=3)
    factories.product(managed=False)
    draft = factories.product(status="draft", stock=1)
    cart = factories.filled_cart({shirt: 2, cap: 1}, cart_id="shirts-and-caps")
    unpaid = factories.unpaid_order({shirt: 1})
    paid = factories.paid_order({shirt: 2, cap: 1})
    authorized = factories.unpaid_order({shirt: 1})
    payments.pay(
        authorized.pk, PaymentRequest("test", Payment.Method.AUTHORIZE, token="ok"), actor=MERCHANT
    )
    parted = factories.paid_order({shirt: 4})
    item = parted.items.get().pk
    shipments.ship(parted.pk, actor=MERCHANT, units={item: 3})
    back = returns.take_back(parted.pk, [TakenBack(item, 2, "inspection")], actor=MERCHANT)
    currencies.create(code="EUR", format="€{price}", actor=MERCHANT)
    events("order.created", "order.paid", "stock.low")
    told = job(integration(), origin="feed", position=2)
    attempt(told, 1, succeeded=False, status_code=None, error_detail="Nobody answers")
    attempt(told, 2)
    unknown = str(uuid.UUID(int=1))
    return {
        "product_id": [str(shirt.pk), str(cap.pk), str(draft.pk), unknown],
        "cart_id": [cart, "nobody-s"],
        "item_id": [*_ids(CartItem), str(back.lines.get().pk), unknown],
        "order_id": [str(unpaid.pk), str(paid.pk), str(authorized.pk), str(parted.pk), unknown],
        "shipment_id": [*_ids(Shipment), unknown],
        "return_id": [str(back.pk), unknown],
        "payment_id": [*_ids(Payment), unknown],
        "entry_id": [*_ids(StockTransaction)[:3], unknown],
        "currency_id": [*_ids(Currency), unknown],
        "file_id": [str(picture().pk), unknown],
        "integration_id": [str(told.integration_id), unknown],
        "job_id": [str(told.pk), unknown],
        "slug": ["manual", "test", "unknown"],
    }


def _ids(model: Any) -> list[str]:
    return [str(pk) for pk in model.objects.values_list("pk", flat=True)]


def strict(ids: dict[str, list[str]]) -> dict[str, Any]:
    """Return the description, as strict as it can be read, for a shop with these ids."""
    described = copy.deepcopy(strictly_described())
    for operations in described["paths"].values():
        for operation in operations.values():
            for parameter in operation["parameters"]:
                if parameter["in"] == "path":
                    parameter["schema"] = {"type": "string", "enum": ids[parameter["name"]]}
    return described


def operations_of(described: dict[str, Any], tag: str) -> list[tuple[str, str]]:
    found = [
        (path, method)
        for path, operations in described["paths"].items()
        for method, operation in operations.items()
        if tag in operation["tags"]
    ]
    return sorted(found, key=lambda operation: METHODS.index(operation[1]))


@pytest.mark.thorough
@pytest.mark.parametrize("tag", TAGS)
def test_the_server_does_what_the_description_says(
    tag: str, shop: dict[str, list[str]], live_server: Any
):
    """Generated calls, right and wrong: no server error, and no answer but those described."""
    callers = administrator(), administrator(), shopper()
    described = strict(shop)
    schema = schemathesis.openapi.from_dict(described)

    for path, method in operations_of(described, tag):
        operation = schema[path][method.upper()]
        cases = hypothesis.strategies.one_of(
            operation.as_strategy(GenerationMode.POSITIVE),
            operation.as_strategy(GenerationMode.NEGATIVE),
        )

        @hypothesis.seed(SEED)
        @hypothesis.settings(
            max_examples=EXAMPLES,
            database=None,
            deadline=None,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=cases, caller=hypothesis.strategies.sampled_from(callers))
        def call(case: "schemathesis.Case[Any]", caller: Api) -> None:
            case.call_and_validate(base_url=live_server.url, headers=caller.headers, checks=CHECKS)

        call()


@pytest.mark.django_db(transaction=True)
def test_an_order_from_cart_to_refund_is_answered_as_described(
    shop: dict[str, list[str]], live_server: Any
):
    """What no generator guesses: the calls that succeed one after the other."""
    described = strict(shop)
    for operations in described["paths"].values():
        for operation in operations.values():
            for parameter in operation["parameters"]:
                parameter["schema"] = {"type": "string"}
    schema = schemathesis.openapi.from_dict(described)
    headers = administrator().headers

    def call(method: str, path: str, ids: dict[str, str], body: Any = None, **query: str) -> Any:
        case = schema[path][method].Case(path_parameters=ids, query=query)
        if body:
            case.body, case.media_type = {"data": body}, "application/json"
        answer = case.call_and_validate(base_url=live_server.url, headers=headers, checks=CHECKS)
        assert answer.status_code < 300, answer.text
        return answer.json()["data"]

    cart = {"cart_id": "a-story"}
    line: dict[str, Any] = {"type": "cart_item", "id": shop["product_id"][0], "quantity": 2}
    engraved = {"name": "Engraving", "quantity": 1, "price": {"amount": 300}}
    call("POST", "/v2/carts/{cart_id}/items", cart, {**line, "custom_inputs": {"for": "Ada"}})
    call("POST", "/v2/carts/{cart_id}/items", cart, {"type": "custom_item", **engraved})
    call("GET", "/v2/carts/{cart_id}", cart, include="items")
    order = {"order_id": call("POST", "/v2/carts/{cart_id}/checkout", cart, BUYER)["id"]}
    by_card = {"gateway": "test", "method": "authorize", "payment": "ok"}
    paid = call("POST", "/v2/orders/{order_id}/payments", order, by_card)
    payment = {**order, "payment_id": paid["id"]}
    path = "/v2/orders/{order_id}/transactions/{payment_id}"
    call("POST", f"{path}/capture", payment)
    call("POST", f"{path}/refund", payment, {"amount": 100})
    call("GET", path, payment)
    call("GET", "/v2/carts/{cart_id}/orders", cart)
    call("GET", "/v2/orders", {}, include="items")
    shirts, engraving = (each["id"] for each in call("GET", "/v2/orders/{order_id}/items", order))
    part = {"type": "shipment", "items": [{"id": engraving, "quantity": 1}], "carrier": "DHL"}
    shipment = call("POST", "/v2/orders/{order_id}/shipments", order, part)
    shipped = {**order, "shipment_id": shipment["id"]}
    call("GET", "/v2/orders/{order_id}/shipments/{shipment_id}", shipped)
    call("POST", "/v2/orders/{order_id}/shipments/{shipment_id}/undo", shipped, {"reason": "x"})
    call("POST", "/v2/orders/{order_id}/cancellations", order, {"items": part["items"]})
    call("PUT", "/v2/orders/{order_id}", order, {"shipping": "fulfilled"}, include="items")
    call("GET", "/v2/orders/{order_id}/shipments", order)
    lines = [{"id": shirts, "quantity": 2, "disposition": "inspection"}]
    back = call("POST", "/v2/orders/{order_id}/returns", order, {"items": lines})
    came = {**order, "return_id": back["id"]}
    call("GET", "/v2/orders/{order_id}/returns/{return_id}", came)
    call(
        "POST",
        "/v2/orders/{order_id}/returns/{return_id}/items/{item_id}/settle",
        {**came, "item_id": back["items"][0]["id"]},
        {"disposition": "restocked", "quantity": 1},
    )
    call("GET", "/v2/orders/{order_id}/returns", order)
    call("GET", "/v2/inventories/{product_id}/transactions", {"product_id": line["id"]})
