"""Public tools read the API's description, and the clients that they write go shopping."""

import importlib
import json
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from api.schema import document
from tests.factories import api_client, product
from tests.http import SECRET
from tests.node import FOLDER, MODULES, installed, run

STRICT = {
    "strict": True,
    "noUncheckedIndexedAccess": True,
    "target": "es2022",
    "module": "nodenext",
    "types": ["node"],
    "typeRoots": [str(MODULES / "@types")],
}


@pytest.fixture
def described(tmp_path: Path) -> Path:
    file = tmp_path / "api.json"
    file.write_text(json.dumps(document()))
    return file


def test_t33_the_description_keeps_to_the_rules_of_openapi():
    validate(document())


def test_nothing_that_may_be_left_out_has_a_default():
    for name, piece in document()["components"]["schemas"].items():
        for field, described in piece.get("properties", {}).items():
            assert "default" not in described, f"{name}.{field}"


def test_every_union_has_a_name():
    pieces = document()["components"]["schemas"]

    def unions(piece: Any) -> int:
        if isinstance(piece, list):
            return sum(map(unions, piece))
        if not isinstance(piece, dict):
            return 0
        return bool(piece.keys() & {"anyOf", "oneOf"}) + sum(map(unions, piece.values()))

    named = sum(1 for piece in pieces.values() if piece.keys() & {"anyOf", "oneOf"})
    assert unions(document()) == named > 3


@pytest.mark.processes
def test_t33_openapi_typescript_writes_a_client_that_buys(described, live_server, tmp_path):
    node = installed()
    (tmp_path / "node_modules").symlink_to(MODULES)
    program = tmp_path / "purchase.ts"
    program.write_text((FOLDER / "purchase.ts").read_text())
    storefront, _ = api_client(secret=""), product(stock=3)

    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "tsconfig.json").write_text(json.dumps({"compilerOptions": STRICT}))
    run([node, MODULES / "openapi-typescript/bin/cli.js", described, "-o", tmp_path / "api.ts"])
    run([node, MODULES / "typescript/bin/tsc", "--project", tmp_path])
    run([node, program.with_suffix(".js"), live_server.url, storefront.client_id])


@pytest.mark.processes
def test_t33_openapi_python_client_writes_a_client_that_buys(
    described, live_server, tmp_path, monkeypatch
):
    plain = tmp_path / "generator.yaml"
    plain.write_text("post_hooks: []")
    to = ["--output-path", tmp_path / "generated", "--meta", "none", "--config", plain]
    write = [sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning"]
    run([*write, "--path", described, *to])
    monkeypatch.syspath_prepend(tmp_path)
    shirt = product(stock=3)

    _buy(live_server.url, str(shirt.pk))

    shirt.refresh_from_db()
    [stock] = shirt.stocks.all()
    assert (stock.available, stock.allocated) == (1, 2)


def _buy(url: str, shirt: str) -> None:
    def call(operation: str, status: int, *of: str, **arguments: Any) -> Any:
        module = importlib.import_module(f"generated.api.{operation}")
        answer = module.sync_detailed(*of, **arguments)
        assert answer.status_code == status, answer.content
        return answer.parsed

    models, client = importlib.import_module("generated.models"), _client(url)
    office = api_client(SECRET)
    asked = models.ServerTokenRequest(
        models.ServerTokenRequestGrantType.CLIENT_CREDENTIALS, office.client_id, SECRET
    )
    token = call("tokens.get_a_token", 200, client=client, body=asked)
    client = client.with_headers({"Authorization": f"Bearer {token.access_token}"})
    listed = call("products.list_products", 200, client=client, pagelimit=1, filter_="gt(stock,0)")
    assert [each.id for each in listed.data] == [uuid.UUID(shirt)]

    line = models.CartProductWithIdRequest(quantity=2, id=uuid.UUID(shirt))
    added = models.AddToACartBody(data=line)
    call("carts.add_to_a_cart", 201, "typed", client=client, body=added)
    address = models.BillingAddressWithCountyRequest(
        first_name="Ada",
        last_name="Buyer",
        line_1="1 Mill Lane",
        postcode="OX1 1AA",
        country="GB",
        county="Oxfordshire",
    )
    buyer = models.CustomerRequest(name="Ada Buyer", email="ada@example.com")
    wanted = models.CheckoutBodyWithCustomerRequest(customer=buyer, billing_address=address)
    body = models.CheckOutACartBody(data=wanted)
    order = call("carts.check_out_a_cart", 201, "typed", client=client, body=body).data

    by_card = models.PaymentBodyRequest("test", models.PaymentBodyRequestMethod.PURCHASE)
    paid = models.PayAnOrderBody(data=by_card)
    answer = call("payments.pay_an_order", 200, order.id, client=client, body=paid)
    assert answer.data.status == "complete"


def _client(url: str) -> Any:
    return importlib.import_module("generated").Client(base_url=url)
