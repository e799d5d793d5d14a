"""What every endpoint shares: tokens, who may do what, errors, request ids, idempotency keys."""

import base64
import gzip
import http.client
import io
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, NamedTuple

import jwt
import psycopg.errors
import pytest
from django.conf import settings
from django.db import OperationalError, connection
from django.db.migrations.loader import MigrationLoader
from django.test import Client
from django.urls import get_resolver

from api import clock, health, limits, middleware, readiness, tokens, views
from api.models import ApiClient, IdempotencyKey, StoreSettings
from inventory.models import Currency, Product, StockTransaction
from inventory.services import currencies
from inventory.services import stock as inventory
from inventory.views import InventoriesMultipleView
from orders.models import Cart, CartItem, Order
from payments import gateways
from payments.gateways.base import Answer
from payments.models import Attempt, Gateway, Payment
from payments.services import payments, recovery
from payments.services.payments import PaymentRequest
from tests.concurrency import PATIENCE_SECONDS, run_together
from tests.factories import (
    MERCHANT,
    api_client,
    filled_cart,
    paid_order,
    product,
    stock_of,
    unpaid_order,
)
from tests.fake_gateway import OK, FakeGateway
from tests.http import BUYER, FORM, JSON, SECRET, Api, administrator, ask_for_token, shopper
from tests.roles import as_owner

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("impatient")]

UNKNOWN = uuid.UUID("01234567-89ab-7def-8123-456789abcdef")


# Tokens.


def test_a_back_office_gets_a_token_for_its_secret():
    client = api_client(SECRET)

    answer = ask_for_token(
        grant_type="client_credentials", client_id=client.client_id, client_secret=SECRET
    )

    token = answer.json()
    assert answer.status_code == 200
    assert set(token) == {"access_token", "token_type", "expires_in", "expires", "identifier"}
    assert (token["token_type"], token["identifier"]) == ("Bearer", "client_credentials")
    assert token["expires_in"] == 3600
    assert isinstance(token["expires"], int)
    assert abs(token["expires"] - time.time() - 3600) < 60
    assert answer["Cache-Control"] == "no-store"


def test_a_storefront_gets_a_token_for_its_id_alone():
    client = api_client(secret="")

    answer = ask_for_token(grant_type="implicit", client_id=client.client_id)

    assert answer.status_code == 200
    assert answer.json()["identifier"] == "implicit"


def test_wrong_credentials_are_a_401_whatever_is_wrong_about_them():
    back_office, storefront = api_client(SECRET), api_client(secret="")
    closed = api_client(SECRET, active=False)
    wrong = [
        {"grant_type": "implicit", "client_id": "unknown"},
        {"grant_type": "implicit", "client_id": closed.client_id},
        {"grant_type": "client_credentials", "client_id": "unknown", "client_secret": SECRET},
        {"grant_type": "client_credentials", "client_id": back_office.client_id},
        {"grant_type": "client_credentials", "client_id": storefront.client_id},
        {"grant_type": "implicit", "client_id": back_office.client_id},
        {"grant_type": "implicit", "client_id": back_office.client_id, "client_secret": SECRET},
        {
            "grant_type": "client_credentials",
            "client_id": storefront.client_id,
            "client_secret": SECRET,
        },
        {
            "grant_type": "client_credentials",
            "client_id": back_office.client_id,
            "client_secret": "wrong",
        },
    ]

    answers = [ask_for_token(**form) for form in wrong]

    for answer in answers:
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"] == "Bearer"
        assert answer["Cache-Control"] == "no-store"
        assert answer.json() == answers[0].json()
    [error] = answers[0].json()["errors"]
    assert (error["status"], error["title"], error["code"]) == (
        401,
        "Unauthorized",
        "bad_credentials",
    )


def test_a_malformed_token_request_names_its_fields():
    answer = ask_for_token(grant_type="password")

    errors = answer.json()["errors"]
    assert answer.status_code == 400
    assert {error["source"] for error in errors} == {"form.grant_type", "form.client_id"}
    assert {error["status"] for error in errors} == {400}


def test_an_unknown_grant_is_a_malformed_request():
    answer = ask_for_token(grant_type="password", client_id="back-office")

    [error] = answer.json()["errors"]
    assert (answer.status_code, error["status"], error["source"]) == (400, 400, "form.grant_type")
    assert error["detail"] == "This must be one of: client_credentials, implicit."


def signed(**changed: Any) -> str:
    """A token with claims of one's own choice, None leaving one out."""
    kid, secret = next(iter(settings.TOKEN_KEYS.items()))
    now = int(time.time())
    claims = {
        "iss": "holdfast",
        "sub": api_client(SECRET).client_id,
        "scope": "admin",
        "version": 1,
        "iat": now,
        "exp": now + 60,
        **changed,
    }
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(kept, secret, algorithm="HS256", headers={"kid": kid})


def in_base64(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def bad_tokens() -> dict[str, str]:
    good = signed()
    header, claims, signature = good.split(".")
    nested = "[" * 3000 + "]" * 3000
    deep = base64.urlsafe_b64encode(f'{{"alg":"HS256","kid":{nested}}}'.encode()).decode()
    revoked = api_client(SECRET, active=False)
    return {
        "none at all": "",
        "no JWT": "token",
        "dots": "..",
        "letters of elsewhere": "tökén",
        "another signature": good[:-4] + "AAAA",
        "no signature": f"{header}.{claims}.",
        "algorithm none": f"{in_base64({'alg': 'none', 'kid': '1', 'typ': 'JWT'})}.{claims}.",
        "another algorithm": f"{in_base64({'alg': 'HS512', 'kid': '1'})}.{claims}.{signature}",
        "another key": f"{in_base64({'alg': 'HS256', 'kid': '99'})}.{claims}.{signature}",
        "a key that is a list": f"{in_base64({'alg': 'HS256', 'kid': []})}.{claims}.{signature}",
        "no key": f"{in_base64({'alg': 'HS256'})}.{claims}.{signature}",
        "a header that is a list": f"{in_base64([])}.{claims}.{signature}",
        "a deep header": f"{deep}.{claims}.{signature}",
        "a header of many digits": f"{in_base64({'alg': 'HS256'})[:-3]}{'9' * 6000}.{claims}.x",
        "expired": signed(exp=int(time.time()) - 1),
        "without an end": signed(exp=None),
        "of another issuer": signed(iss="elsewhere"),
        "of an unknown client": signed(sub="unknown"),
        "of a closed client": signed(sub=revoked.client_id),
        "of an older version": signed(version=0),
        "without a scope": signed(scope=None),
        "of a scope that there is not": signed(scope="admin "),
    }


def test_only_a_valid_token_is_let_in():
    assert Api(signed()).get("/v2/inventories").status_code == 200

    for what, token in bad_tokens().items():
        answer = Api(token).get("/v2/inventories")

        [error] = answer.json()["errors"]
        assert answer.status_code == 401, what
        assert error["status"] == 401
        assert error["title"] == "Unable to validate access token"
        assert error["code"] == "bad_token"
        assert answer["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("scheme", ["Basic", "Token", ""])
def test_only_a_bearer_token_counts(scheme):
    answer = Api().get("/v2/products", Authorization=f"{scheme} {signed()}")

    assert answer.status_code == 401


def test_the_word_bearer_may_be_written_in_any_case():
    assert Api().get("/v2/products", Authorization=f"bearer {signed()}").status_code == 200


def test_revoking_a_client_ends_the_tokens_that_are_out():
    client = api_client(SECRET)
    api = Api(signed(sub=client.client_id))
    assert api.get("/v2/inventories").status_code == 200

    ApiClient.objects.filter(pk=client.pk).update(version=2)
    tokens.forget_clients()

    assert api.get("/v2/inventories").status_code == 401


def test_a_token_call_needs_no_token_and_a_bad_one_does_no_harm():
    client = api_client(secret="")
    form = f"grant_type=implicit&client_id={client.client_id}"

    answer = Api("bad").send(
        "POST", "/oauth/access_token", form, content_type="application/x-www-form-urlencoded"
    )

    assert answer.status_code == 200


def test_a_token_call_with_the_token_that_ends_gets_another_one_of_the_same_shopper():
    client = api_client(secret="")
    form = f"grant_type=implicit&client_id={client.client_id}"

    def ask(old: str) -> str:
        answer = Api(old).send("POST", "/oauth/access_token", form, content_type=FORM)
        token: str = answer.json()["access_token"]
        return token

    first = ask("")

    assert tokens.read(ask(first)).shopper == tokens.read(first).shopper
    assert tokens.read(ask("")).shopper != tokens.read(first).shopper


# Who may do what: tests/test_permissions.py asks every route.


def test_f44_what_is_refused_to_a_shopper_does_not_tell_what_there_is():
    api, there, order = shopper(), product(stock=3), unpaid_order({product(stock=1): 1})

    known = api.get(f"/v2/inventories/{there.pk}"), api.get(f"/v2/orders/{order.pk}")
    unknown = api.get(f"/v2/inventories/{UNKNOWN}"), api.get(f"/v2/orders/{UNKNOWN}")

    for answer in (*known, *unknown):
        assert answer.status_code == 403
        [error] = answer.json()["errors"]
        assert (error["status"], error["title"], error["code"]) == (403, "Forbidden", "forbidden")
        assert "WWW-Authenticate" not in answer


# Errors.


def test_an_address_that_does_not_exist_is_a_json_404():
    for path in ("/v2/nothing", "/v2", "/v2/", "/nothing", "/v2/products/x/y", "/v2//products"):
        answer = Api().get(path)

        [error] = answer.json()["errors"]
        assert (answer.status_code, error["status"], error["title"]) == (404, 404, "Not Found")
        assert error["code"] == "not_found"
        assert answer["Content-Type"] == "application/json"
        assert answer["Cache-Control"] == "no-store"
        assert answer["X-Request-Id"]


def test_a_method_that_does_not_exist_names_those_that_do():
    answer = administrator().send("PATCH", "/v2/products")

    [error] = answer.json()["errors"]
    assert (answer.status_code, error["status"]) == (405, 405)
    assert (error["title"], error["code"]) == ("Method Not Allowed", "method_not_allowed")
    assert {"GET", "POST"} <= set(answer["Allow"].split(", "))


def test_the_wire_is_json_whatever_is_asked_for():
    answer = administrator().get("/v2/products", Accept="text/html, image/*;q=0.8")

    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"


def test_an_unforeseen_error_answers_json_and_the_id_to_look_for(monkeypatch):
    def break_down(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("a secret of the server")

    monkeypatch.setattr(payments, "payments_of", break_down)
    api = administrator(raises=False)

    answer = api.get(f"/v2/orders/{UNKNOWN}/transactions", X_Request_Id="seen-by-the-client")

    [error] = answer.json()["errors"]
    assert answer.status_code == error["status"] == 500
    assert (error["title"], error["code"]) == ("Internal Server Error", "server_error")
    assert error["request_id"] == answer["X-Request-Id"] == "seen-by-the-client"
    assert "secret" not in answer.content.decode()


def test_a_busy_database_is_a_503_that_says_when_to_come_back(monkeypatch):
    def wait_in_vain(*args: Any, **kwargs: Any) -> Any:
        raise OperationalError from psycopg.errors.LockNotAvailable()

    shirt = product(stock=1)
    monkeypatch.setattr(inventory, "lock_managed", wait_in_vain)
    entry = {"action": "decrement", "quantity": 1}

    answer = administrator().post(f"/v2/inventories/{shirt.pk}/transactions", entry)

    [error] = answer.json()["errors"]
    assert answer.status_code == error["status"] == 503
    assert error["code"] == "busy"
    assert int(answer["Retry-After"]) >= 1


# Request ids, health, addresses.


def test_every_answer_has_a_request_id_of_its_own():
    api = administrator()
    answers = [
        api.get("/v2/products"),
        api.get("/v2/products"),
        api.get("/v2/nothing"),
        Api().get("/v2/products"),
        Api().get("/health/live"),
        ask_for_token(grant_type="implicit", client_id="unknown"),
    ]

    ids = {answer["X-Request-Id"] for answer in answers}

    assert len(ids) == len(answers)
    assert all(uuid.UUID(request_id).version == 7 for request_id in ids)


def test_a_plain_request_id_of_the_client_is_kept():
    assert Api().get("/v2/products", X_Request_Id="a.b:c_d-1")["X-Request-Id"] == "a.b:c_d-1"


@pytest.mark.parametrize("sent", ["two words", "<script>", "x" * 129, "ä", 'a"b'])
def test_any_other_request_id_is_replaced(sent):
    given = Api().get("/v2/products", X_Request_Id=sent)["X-Request-Id"]

    assert uuid.UUID(given).version == 7


def test_health_says_whether_to_send_traffic():
    live, ready = Api().get("/health/live"), Api().get("/health/ready")

    assert (live.status_code, live.json()) == (200, {"status": "ok"})
    assert (ready.status_code, told_of_it(ready)) == (200, {"status": "ok"})


def told_of_it(ready: Any) -> dict[str, Any]:
    """What is told without the workers, of whom there are none."""
    told: dict[str, Any] = ready.json()
    assert set(told.pop("workers").values()) == {None}
    return told


NEWER = "INSERT INTO django_migrations (app, name, applied) VALUES ('orders', '9999_newer', now())"
OLDER = """
DELETE FROM django_migrations WHERE (app, name) IN
    (SELECT app, name FROM django_migrations WHERE app = 'orders' ORDER BY name DESC LIMIT 4)
RETURNING app || '.' || name
"""


def as_the_owner_says(statement: str) -> list[str]:
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(statement)
        return [name for (name,) in cursor.fetchall()] if cursor.description else []


def test_t49_before_it_is_migrated_it_is_alive_but_not_ready_and_names_what_is_missing():
    # The same process has been ready, and will be: a database may be replaced by an older copy.
    assert Api().get("/health/ready").status_code == 200
    gone = as_the_owner_says(OLDER)
    live, ready = Api().get("/health/live"), Api().get("/health/ready")
    as_the_owner_says(
        "INSERT INTO django_migrations (app, name, applied) VALUES "
        + ", ".join("('{}', '{}', now())".format(*name.split(".")) for name in gone)
    )

    assert live.status_code == 200
    assert (ready.status_code, ready.json()) == (
        503,
        {
            "status": "migrations are missing",
            "migrations": {"missing": 4, "first": sorted(gone)[:3]},
        },
    )
    assert Api().get("/health/ready").status_code == 200


def test_t49_while_a_newer_release_takes_over_it_is_ready_and_says_so():
    assert "migrations" not in Api().get("/health/ready").json()
    as_the_owner_says(NEWER)
    ready = Api().get("/health/ready")

    assert (ready.status_code, told_of_it(ready)) == (
        200,
        {"status": "ok", "migrations": {"ahead": 1, "first": ["orders.9999_newer"]}},
    )


@pytest.mark.django_db(transaction=True)
def test_a_database_without_tables_lacks_all_migrations():
    as_the_owner_says("ALTER TABLE django_migrations RENAME TO elsewhere")
    try:
        ready = Api().get("/health/ready")
    finally:
        as_the_owner_says("ALTER TABLE elsewhere RENAME TO django_migrations")

    assert ready.status_code == 503
    assert ready.json()["migrations"]["missing"] == len(readiness.migrations())


def test_its_migrations_are_those_that_django_finds():
    found = MigrationLoader(None).disk_migrations

    assert readiness.migrations().keys() == {f"{app}.{name}" for app, name in found}


def test_a_standby_takes_no_calls():
    as_the_owner_says("SET LOCAL transaction_read_only = on")
    ready = Api().get("/health/ready")

    assert (ready.status_code, ready.json()) == (503, {"status": "the database is read-only"})


def test_it_costs_one_statement_beside_the_details(django_assert_num_queries, monkeypatch):
    monkeypatch.setattr(health, "_details", {})

    with django_assert_num_queries(1):
        Api().get("/health/ready")


def test_without_its_database_it_is_alive_but_not_ready(monkeypatch):
    def find_nobody(*arguments: Any) -> Any:
        raise OperationalError

    with monkeypatch.context() as unplugged:
        unplugged.setattr(connection, "cursor", find_nobody)
        live, ready = Api().get("/health/live"), Api().get("/health/ready")

    assert (live.status_code, ready.status_code) == (200, 503)


@pytest.mark.parametrize("path", ["/v2/products", "/v2/carts/abc", "/v2/carts/abc/items"])
def test_a_slash_at_the_end_changes_nothing(path):
    api, now = shopper(), clock.now()

    with clock.replaced(lambda: now):
        plain, slashed = api.get(path), api.get(f"{path}/")

    assert slashed.status_code == 200
    assert slashed.json()["data"] == plain.json()["data"]


class Unread(io.BytesIO):
    """A body that must not be read."""

    def read(self, size: int | None = -1, /) -> bytes:
        raise AssertionError("The body was read.")


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v2/products"), ("PUT", "/v2/settings"), ("DELETE", "/v2/carts/a")],
)
def test_t38_no_body_is_read_of_who_may_not_call(method, path):
    sent = {"method": method, "path": path, "CONTENT_LENGTH": "1000", "wsgi.input": Unread()}
    of_a_shopper = {"HTTP_AUTHORIZATION": shopper().headers["Authorization"]}

    assert Client().request(**_environ(**sent)).status_code == 401
    if path != "/v2/carts/a":
        assert Client().request(**_environ(**sent, **of_a_shopper)).status_code == 403


def test_t38_no_body_is_read_of_who_calls_too_often(settings):
    settings.LIMITS = {**settings.LIMITS, "token": 1}
    limits.forget()
    ask_for_token(grant_type="implicit", client_id="unknown")
    sent = {"CONTENT_LENGTH": "1000", "wsgi.input": Unread(), "CONTENT_TYPE": FORM}

    environ = _environ(method="POST", path="/oauth/access_token", **sent)
    assert Client().request(**environ).status_code == 429
    limits.forget()


def _environ(*, method: str, path: str, **environ: Any) -> dict[str, Any]:
    return {"REQUEST_METHOD": method, "PATH_INFO": path, **environ}


@pytest.mark.parametrize("length", [16_385, 2**20 + 1, 400_000_000])
def test_t39_a_token_call_of_any_size_is_refused_unread(length):
    sent = {"CONTENT_LENGTH": str(length), "wsgi.input": Unread(), "CONTENT_TYPE": FORM}

    answer: Any = Client().request(**_environ(method="POST", path="/oauth/access_token", **sent))

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    "body",
    [
        "[" * 33 + "]" * 33,
        '{"a":' * 33 + "1" + "}" * 33,
        "[" + "0," * 20_000 + "0]",
        "[" + "{}," * 10_001 + "0]",
        "[" * 400_000,
        '"' + '\\"' * 400_000,
        "{" * 20_001,
    ],
    ids=["deep lists", "deep objects", "numbers", "objects", "unclosed", "one text", "braces"],
)
def test_t38_a_body_that_would_make_too_much_is_refused_before_it_is_read_as_json(body):
    api = shopper()
    began = time.process_time()

    answer = api.send("POST", "/v2/carts", f'{{"data": {body}}}')

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "malformed")
    assert time.process_time() - began < 1


@pytest.mark.parametrize("text", ["[{" * 5_000, "," * 30_000, '\\",[' * 5_000, "\\\\"])
def test_what_stands_in_a_text_counts_for_nothing(text):
    body = f'{{"data": {{"name": "x", "more": "{text}", "deep": {"[" * 30 + "]" * 30}}}}}'

    assert shopper().send("POST", "/v2/carts", body).status_code == 201


def test_t39_a_refused_host_is_logged_short_and_not_each_time(caplog, monkeypatch):
    middleware.hosts_refused.forget()
    host = "a" * 390_000

    answers = [
        Client(headers={"Host": host}).get(path) for path in ("/v2/products", "/admin/", "/")
    ]

    assert {answer.status_code for answer in answers} == {400}
    assert answers[0].json()["errors"][0]["code"] == "bad_request"
    [line] = caplog.records
    assert len(line.getMessage()) < 500
    assert "'times': 1" in line.getMessage()

    monkeypatch.setattr(middleware.hosts_refused, "told_at", -1e9)
    Client(headers={"Host": host}).get("/")
    assert "'times': 3" in caplog.records[-1].getMessage()


def test_health_is_told_under_any_host():
    assert Client(headers={"Host": "10.0.0.7:8000"}).get("/health/live").status_code == 200


def test_a_slash_at_the_end_of_a_change_is_no_redirect():
    shirt = product(stock=5)

    answer = shopper().post("/v2/carts/abc/items/", {"id": str(shirt.pk), "quantity": 1})

    assert answer.status_code == 201


def test_the_headers_of_the_sdks_do_no_harm():
    answer = shopper().get(
        "/v2/products",
        X_MOLTIN_SDK_LANGUAGE="JS",
        X_MOLTIN_SDK_VERSION="36.0.0",
        X_MOLTIN_APPLICATION="epcc sdk",
        X_MOLTIN_CURRENCY="USD",
        X_MOLTIN_LANGUAGE="en",
        EP_Inventories_Multi_Location="true",
        EP_Channel="web",
    )

    assert answer.status_code == 200


def test_the_shortest_way_from_a_token_to_a_shipped_order():
    """The calls that the SDKs make for it, with the statuses that they expect."""
    api = administrator()
    scarf = {
        "type": "product",
        "name": "Scarf",
        "slug": "scarf",
        "sku": "scarf",
        "description": "Warm.",
        "manage_stock": True,
        "price": [{"amount": 1250, "currency": "USD", "includes_tax": True}],
        "status": "live",
        "commodity_type": "physical",
    }
    entry = {"action": "increment", "quantity": 5, "type": "stock-transaction"}

    enabled = api.put("/v2/gateways/manual", {"type": "gateway", "enabled": True})
    created = api.post("/v2/products", scarf)
    made = created.json()["data"]["id"]
    stocked = api.post(f"/v2/inventories/{made}", {"quantity": 10})
    moved = api.post(f"/v2/inventories/{made}/transactions", entry)
    stock = api.get(f"/v2/inventories/{made}")
    added = api.add_to_cart("abc", made, 2)
    too_many = api.add_to_cart("abc", made, 16)
    checked_out = api.check_out("abc")
    order = checked_out.json()["data"]["id"]
    paid = api.pay(order)
    shown = api.get(f"/v2/orders/{order}")
    shipped = api.put(f"/v2/orders/{order}", {"type": "order", "shipping": "fulfilled"})
    log = api.get(f"/v2/inventories/{made}/transactions")

    assert [enabled.status_code, created.status_code, stocked.status_code] == [200, 201, 201]
    assert [moved.status_code, stock.status_code, log.status_code] == [200, 200, 200]
    assert [added.status_code, too_many.status_code, checked_out.status_code] == [201, 400, 201]
    assert [paid.status_code, shown.status_code, shipped.status_code] == [200, 200, 200]
    assert shown.json()["data"]["payment"] == "paid"
    assert shipped.json()["data"]["shipping"] == "fulfilled"
    # Initial stock, one by hand, then the order's: allocated, and shipped in two steps.
    assert log.json()["meta"]["results"]["total"] == 5


def test_a_head_is_a_get_without_its_body():
    head = shopper().send("HEAD", "/v2/products")

    assert (head.status_code, head.content) == (200, b"")


def test_nothing_about_carts_orders_and_payments_is_cached():
    api, cart, order = administrator(), filled_cart({product(stock=1): 1}), UNKNOWN
    paid = paid_order({product(stock=1): 1})
    answers = [
        api.get(f"/v2/carts/{cart}"),
        api.get(f"/v2/carts/{cart}/items"),
        api.get(f"/v2/carts/{cart}/orders"),
        api.check_out(cart),
        api.check_out("empty"),
        api.get("/v2/orders"),
        api.get(f"/v2/orders/{order}"),
        api.get(f"/v2/orders/{paid.pk}"),
        api.get(f"/v2/orders/{paid.pk}/items"),
        api.get(f"/v2/orders/{paid.pk}/transactions"),
        api.get(f"/v2/orders/{paid.pk}/transactions/{paid.payments.get().pk}"),
        api.pay(str(paid.pk)),
        api.delete(f"/v2/carts/{cart}/items"),
        api.delete(f"/v2/carts/{cart}"),
    ]

    assert {answer["Cache-Control"] for answer in answers} == {"no-store"}


def test_a_buyer_over_real_http(live_server):
    """The same through sockets: nothing here lives from the test client."""
    shirt, client = product(stock=2), api_client(secret="")
    address = live_server.url.removeprefix("http://")

    def call(method: str, path: str, body: str, **headers: str) -> tuple[Any, Any]:
        wire = http.client.HTTPConnection(address, timeout=PATIENCE_SECONDS)
        wire.request(method, path, body, headers)
        response = wire.getresponse()
        read = json.loads(response.read())
        wire.close()
        return response, read

    form = {"Content-Type": "application/x-www-form-urlencoded"}
    _, token = call(
        "POST",
        "/oauth/access_token",
        f"grant_type=implicit&client_id={client.client_id}",
        **form,
    )
    bearer = {"Authorization": f"Bearer {token['access_token']}"}
    bearer["Content-Type"] = "application/json"
    line = json.dumps({"data": {"type": "cart_item", "id": str(shirt.pk), "quantity": 2}})
    added, _ = call("POST", "/v2/carts/abc/items", line, **bearer)
    checked_out, order = call(
        "POST", "/v2/carts/abc/checkout/", json.dumps({"data": BUYER}), **bearer
    )
    pay = json.dumps({"data": {"gateway": "manual", "method": "purchase"}})
    paid, payment = call("POST", f"/v2/orders/{order['data']['id']}/payments", pay, **bearer)
    refused, errors = call("GET", "/v2/orders", "", **bearer)

    assert [added.status, checked_out.status, paid.status, refused.status] == [201, 201, 200, 403]
    assert payment["data"]["status"] == "complete"
    assert errors["errors"][0]["status"] == 403
    assert paid.headers["X-Request-Id"]
    assert paid.headers["Cache-Control"] == "no-store"
    assert stock_of(shirt).allocated == 2


# Idempotency keys.


class Call(NamedTuple):
    """A request that changes something, and where to see how often it did."""

    method: str
    path: str
    data: Any
    other_data: Any
    effect: Callable[[], Any]


def adding() -> Call:
    shirt, cart = product(stock=10), filled_cart({product(stock=1): 1})
    line = {"type": "cart_item", "id": str(shirt.pk), "quantity": 2}

    def units_in_the_cart() -> int:
        return sum(item.quantity for item in Cart.objects.get(pk=cart).items.all())

    return Call("POST", f"/v2/carts/{cart}/items", line, {**line, "quantity": 3}, units_in_the_cart)


def setting_a_quantity() -> Call:
    cart = filled_cart({product(stock=10): 1})
    item = Cart.objects.get(pk=cart).items.get()

    def line() -> Any:
        return Cart.objects.get(pk=cart).items.values_list("quantity", "updated_at").get()

    path = f"/v2/carts/{cart}/items/{item.pk}"
    return Call("PUT", path, {"quantity": 2}, {"quantity": 3}, line)


def saving_a_cart() -> Call:
    def cart() -> Any:
        return Cart.objects.values_list("name", "updated_at").get(pk="mine")

    return Call("PUT", "/v2/carts/mine", {"name": "Mine"}, {"name": "Yours"}, cart)


def checking_out() -> Call:
    cart = filled_cart({product(stock=10): 1})
    other = {**BUYER, "order_number": "2"}
    return Call("POST", f"/v2/carts/{cart}/checkout", BUYER, other, Order.objects.count)


def checking_out_in_vain() -> Call:
    other = {**BUYER, "order_number": "2"}
    return Call("POST", "/v2/carts/empty/checkout", BUYER, other, Order.objects.count)


def paying(gateway: str, token: str = "") -> Call:
    order = unpaid_order({product(stock=2): 2})
    body = {"gateway": gateway, "method": "purchase", "payment": token, "amount": 100}
    path = f"/v2/orders/{order.pk}/payments"
    return Call("POST", path, body, {**body, "amount": 200}, Payment.objects.count)


def paying_by_hand() -> Call:
    return paying("manual")


def paying_by_card() -> Call:
    return paying("test", "ok")


def paying_with_a_card_that_is_declined() -> Call:
    return paying("test", "decline")


def paying_without_an_answer() -> Call:
    return paying("test", "slow")


def paying_through_an_unknown_gateway() -> Call:
    return paying("unknown")


def moving_stock() -> Call:
    shirt = product(stock=10)
    entry = {"type": "stock-transaction", "action": "decrement", "quantity": 2}
    path = f"/v2/inventories/{shirt.pk}/transactions"
    return Call("POST", path, entry, {**entry, "quantity": 3}, StockTransaction.objects.count)


def moving_more_stock_than_there_is() -> Call:
    entry = {"action": "decrement", "quantity": 20}
    path = f"/v2/inventories/{product(stock=10).pk}/transactions"
    return Call("POST", path, entry, {**entry, "quantity": 1}, StockTransaction.objects.count)


def moving_stock_in_a_wrong_way() -> Call:
    entry = {"action": "set", "quantity": 20}
    path = f"/v2/inventories/{product(stock=10).pk}/transactions"
    return Call(
        "POST", path, entry, {"action": "decrement", "quantity": 1}, StockTransaction.objects.count
    )


def starting_to_manage() -> Call:
    path = f"/v2/inventories/{product(managed=False).pk}"
    return Call("POST", path, {"quantity": 5}, {"quantity": 6}, StockTransaction.objects.count)


def creating_a_product() -> Call:
    body = {
        "name": "Scarf",
        "sku": "scarf",
        "price": [{"amount": 1, "currency": "USD"}],
        "stock": 4,
    }
    return Call("POST", "/v2/products", body, {**body, "sku": "other"}, Product.objects.count)


def changing_a_product() -> Call:
    shirt = product(stock=1)

    def row() -> Any:
        return Product.objects.values_list("name", "updated_at").get(pk=shirt.pk)

    return Call("PUT", f"/v2/products/{shirt.pk}", {"name": "Coat"}, {"name": "Hat"}, row)


def shipping() -> Call:
    path = f"/v2/orders/{paid_order({product(stock=2): 2}).pk}"
    ship, cancel = {"shipping": "fulfilled"}, {"status": "cancelled"}
    return Call("PUT", path, ship, cancel, StockTransaction.objects.count)


def cancelling() -> Call:
    path = f"/v2/orders/{paid_order({product(stock=2): 2}).pk}"
    ship, cancel = {"shipping": "fulfilled"}, {"status": "cancelled"}
    return Call("PUT", path, cancel, ship, StockTransaction.objects.count)


def changing_an_order() -> Call:
    order = unpaid_order({product(stock=2): 2})

    def row() -> Any:
        return Order.objects.values_list("external_ref", "updated_at").get(pk=order.pk)

    path = f"/v2/orders/{order.pk}"
    return Call("PUT", path, {"external_ref": "A"}, {"external_ref": "B"}, row)


def refunding() -> Call:
    order = paid_order({product(stock=2): 2})
    path = f"/v2/orders/{order.pk}/transactions/{order.payments.get().pk}/refund"
    return Call("POST", path, {"amount": 100}, {"amount": 200}, Attempt.objects.count)


def capturing() -> Call:
    order = unpaid_order({product(stock=2): 2})
    payment = payments.pay(
        order.pk, PaymentRequest("manual", Payment.Method.AUTHORIZE), actor=MERCHANT
    )
    path = f"/v2/orders/{order.pk}/transactions/{payment.pk}/capture"
    return Call("POST", path, {}, {"custom_reference": "x"}, Attempt.objects.count)


def voiding() -> Call:
    order = unpaid_order({product(stock=2): 2})
    payment = payments.pay(
        order.pk, PaymentRequest("test", Payment.Method.AUTHORIZE), actor=MERCHANT
    )
    path = f"/v2/orders/{order.pk}/transactions/{payment.pk}/cancel"
    return Call("POST", path, {}, {"reason": "x"}, Attempt.objects.count)


def removing_a_line() -> Call:
    cart = filled_cart({product(stock=1): 1, product(stock=1): 1})
    item = Cart.objects.get(pk=cart).items.first()
    path = f"/v2/carts/{cart}/items/{item.pk}" if item else ""
    return Call("DELETE", path, {}, {"x": 1}, CartItem.objects.count)


def emptying_a_cart() -> Call:
    cart = filled_cart({product(stock=1): 1})
    return Call("DELETE", f"/v2/carts/{cart}/items", {}, {"x": 1}, CartItem.objects.count)


def deleting_a_cart() -> Call:
    cart = filled_cart({product(stock=1): 1})
    return Call("DELETE", f"/v2/carts/{cart}", {}, {"x": 1}, Cart.objects.count)


def archiving_a_product() -> Call:
    path = f"/v2/products/{product(stock=2).pk}"
    return Call("DELETE", path, {}, {"x": 1}, StockTransaction.objects.count)


def ceasing_to_manage() -> Call:
    path = f"/v2/inventories/{product(stock=2).pk}"
    return Call("DELETE", path, {}, {"x": 1}, StockTransaction.objects.count)


def deleting_a_currency() -> Call:
    euro = currencies.create(code="EUR", format="{price}", actor=MERCHANT)
    return Call("DELETE", f"/v2/currencies/{euro.pk}", {}, {"x": 1}, Currency.objects.count)


def setting_the_settings() -> Call:
    body = {"page_length": 50}
    return Call("PUT", "/v2/settings", body, {"page_length": 51}, StoreSettings.objects.count)


def resetting_the_settings() -> Call:
    return Call("DELETE", "/v2/settings", {}, {"x": 1}, StoreSettings.objects.count)


def disabling_a_gateway() -> Call:
    def enabled() -> Any:
        return Gateway.objects.values_list("enabled", "name").get(slug="manual")

    return Call("PUT", "/v2/gateways/manual", {"enabled": False}, {"name": "Cash"}, enabled)


DONE = [
    adding,
    removing_a_line,
    emptying_a_cart,
    deleting_a_cart,
    archiving_a_product,
    ceasing_to_manage,
    deleting_a_currency,
    setting_the_settings,
    resetting_the_settings,
    disabling_a_gateway,
    setting_a_quantity,
    saving_a_cart,
    checking_out,
    paying_by_hand,
    paying_by_card,
    paying_without_an_answer,
    moving_stock,
    starting_to_manage,
    creating_a_product,
    changing_a_product,
    shipping,
    cancelling,
    changing_an_order,
    refunding,
    capturing,
    voiding,
]
REFUSED = [
    checking_out_in_vain,
    paying_with_a_card_that_is_declined,
    paying_through_an_unknown_gateway,
    moving_more_stock_than_there_is,
]


def name_of(call: Any) -> str:
    return str(call.__name__)


def said(answer: Any) -> Any:
    return answer.json() if answer.content else None


def send(api: Api, call: Call, key: str, data: Any = None) -> Any:
    body = json.dumps({"data": call.data if data is None else data})
    return api.send(call.method, call.path, body, key=key)


@pytest.mark.parametrize("prepare", [*DONE, *REFUSED], ids=name_of)
def test_f27_the_same_key_again_is_the_same_answer_and_done_once(prepare):
    api, call = administrator(), prepare()

    first = send(api, call, "once")
    done_once = call.effect()
    again = send(api, call, "once")

    assert (first.status_code >= 400) == (prepare in REFUSED), first.content
    assert again.status_code == first.status_code
    assert said(again) == said(first)
    assert again["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first
    assert call.effect() == done_once


@pytest.mark.parametrize("prepare", DONE, ids=name_of)
def test_f19_an_answer_that_was_lost_is_made_again(prepare):
    """Committed, but dead before the answer was stored: the resource tells what happened."""
    api, call = administrator(), prepare()
    first = send(api, call, "once")
    done_once = call.effect()
    IdempotencyKey.objects.update(status=None, body="")

    again = send(api, call, "once")

    assert again.status_code == first.status_code
    assert said(again) == said(first)
    assert again["Idempotent-Replayed"] == "true"
    assert call.effect() == done_once


@pytest.mark.parametrize("prepare", [*DONE, *REFUSED], ids=name_of)
def test_f27_the_same_key_with_another_body_is_a_mistake(prepare):
    api, call = administrator(), prepare()
    send(api, call, "once")
    done_once = call.effect()

    other = send(api, call, "once", call.other_data)

    [error] = other.json()["errors"]
    assert (other.status_code, error["code"]) == (422, "idempotency_key_reused")
    assert "Idempotent-Replayed" not in other
    assert call.effect() == done_once


def wrong_and_right() -> Iterator[tuple[str, Callable[[], Call]]]:
    """A call refused for its form, beside the same one corrected."""

    def with_wrong(data: Any, prepare: Callable[[], Call]) -> Callable[[], Call]:
        def prepared() -> Call:
            call = prepare()
            return call._replace(data=data, other_data=call.data)

        return prepared

    no_name = {**BUYER, "customer": {"name": "Ada", "email": "no address"}}
    yield "an e-mail that is none", with_wrong(no_name, checking_out)
    yield "a field missing", with_wrong({}, checking_out)
    yield "a string for a number", with_wrong({"quantity": "2"}, setting_a_quantity)
    yield "no units", with_wrong({"quantity": 0, "action": "decrement"}, moving_stock)
    yield "an unknown action", moving_stock_in_a_wrong_way
    yield "a list for an object", with_wrong(["x"], creating_a_product)
    yield "no payment method", with_wrong({"gateway": "manual"}, paying_by_hand)
    yield "a page without length", with_wrong({"page_length": 0}, setting_the_settings)


FORMS = dict(wrong_and_right())


@pytest.mark.parametrize("form", FORMS)
def test_t30_a_call_refused_for_its_form_may_be_corrected_under_its_key(form):
    api, call = administrator(), FORMS[form]()
    before = call.effect()
    wrong = send(api, call, "once")
    assert (wrong.status_code in {400, 422}, call.effect()) == (True, before), wrong.content

    right = send(api, call, "once", call.other_data)
    done_once = call.effect()
    again = send(api, call, "once", call.other_data)

    assert right.status_code < 300, right.content
    assert "Idempotent-Replayed" not in right
    assert again["Idempotent-Replayed"] == "true"
    assert call.effect() == done_once


def test_t30_a_body_that_is_no_json_leaves_its_key_free():
    api, call = administrator(), moving_stock()

    malformed = api.send(call.method, call.path, b'{"data": ', key="once")
    right = send(api, call, "once")

    assert (malformed.status_code, right.status_code) == (400, 200)


def test_t31_two_shoppers_of_one_storefront_share_no_key():
    storefront = api_client(secret="").client_id

    def ask() -> Api:
        answer = ask_for_token(grant_type="implicit", client_id=storefront)
        return Api(answer.json()["access_token"])

    ada, ben = ask(), ask()
    first, second, again = [api.post("/v2/carts", {}, key="1") for api in (ada, ben, ada)]

    ids = [answer.json()["data"]["id"] for answer in (first, second, again)]
    assert ids[0] != ids[1]
    assert ids[0] == ids[2]
    assert "Idempotent-Replayed" not in second
    assert again["Idempotent-Replayed"] == "true"


def test_t31_whoever_renews_a_token_keeps_its_keys():
    form = f"grant_type=implicit&client_id={api_client(secret='').client_id}"

    def ask(old: Api) -> Api:
        answer = old.send("POST", "/oauth/access_token", form, content_type=FORM)
        return Api(answer.json()["access_token"])

    ada = ask(Api())
    first = ada.post("/v2/carts", {}, key="1")
    later = ask(ada).post("/v2/carts", {}, key="1")

    assert later.json() == first.json()
    assert later["Idempotent-Replayed"] == "true"


def test_t39_a_key_of_a_full_cart_keeps_next_to_nothing_and_answers_all_of_it():
    cart = filled_cart({product(stock=9): 1 for _ in range(20)})
    shirt, api = product(stock=9), shopper()
    line = {"type": "cart_item", "id": str(shirt.pk), "quantity": 1}

    first = api.post(f"/v2/carts/{cart}/items", line, key="1")
    again = api.post(f"/v2/carts/{cart}/items", line, key="1")

    assert len(first.content) > 10_000
    assert again.json() == first.json()
    record = IdempotencyKey.objects.values().get()
    assert len("".join(str(value) for value in record.values())) < 400


def test_an_answer_to_several_entries_says_again_which_were_refused():
    cart, shirt, api = "mine", product(stock=9), shopper()
    entries = [
        {"type": "cart_item", "id": str(shirt.pk), "quantity": quantity} for quantity in (1, 10)
    ]
    body = json.dumps({"data": entries, "options": {"add_all_or_nothing": False}})

    first, again = [api.send("POST", f"/v2/carts/{cart}/items", body, key="1") for _ in range(2)]

    assert first.json()["errors"][0]["code"] == "insufficient_stock"
    assert again.json() == first.json()
    assert again["Idempotent-Replayed"] == "true"


def test_entries_one_of_which_is_wrong_in_itself_leave_their_key_free():
    shirt, api = product(stock=9), shopper()
    good = {"type": "cart_item", "id": str(shirt.pk), "quantity": 1}
    wrong = [{**good, "quantity": 10}, {**good, "quantity": "1"}]

    refused = api.post("/v2/carts/mine/items", wrong, key="1")
    corrected = api.post("/v2/carts/mine/items", [good], key="1")

    assert (refused.status_code, corrected.status_code) == (400, 201)


def test_what_was_made_and_is_gone_is_answered_as_gone():
    api, call = administrator(), creating_a_product()
    made = send(api, call, "once").json()["data"]["id"]
    api.delete(f"/v2/products/{made}")

    again = send(api, call, "once")

    assert (again.status_code, again["Idempotent-Replayed"]) == (404, "true")
    assert again.json()["errors"][0]["code"] == "result_gone"
    assert Product.objects.count() == 1


# They change nothing.
KEYLESS = {(views.TokenView, "post"), (InventoriesMultipleView, "post")}


def test_t31_every_call_that_changes_something_takes_a_key():
    without = {
        (view, method)
        for view in api_views(get_resolver())
        for method in ("post", "put", "patch", "delete")
        # `once` is the only decorator of a view's methods.
        if hasattr(view, method) and not hasattr(getattr(view, method), "__wrapped__")
    }

    assert without == KEYLESS


def api_views(resolver: Any) -> Iterator[Any]:
    for pattern in resolver.url_patterns:
        if hasattr(pattern, "url_patterns"):
            yield from api_views(pattern)
        elif issubclass(view := getattr(pattern.callback, "cls", object), views.ApiView):
            yield view


def test_f27_another_key_another_client_or_another_path_is_another_request():
    shirt, other = product(stock=10), product(stock=10)
    entry = {"action": "decrement", "quantity": 1}
    path = f"/v2/inventories/{shirt.pk}/transactions"
    api = administrator()

    answers = [
        api.post(path, entry, key="once"),
        api.post(path, entry, key="twice"),
        administrator().post(path, entry, key="once"),
        api.post(f"/v2/inventories/{other.pk}/transactions", entry, key="once"),
        api.post(path, entry),
        api.post(path, entry),
    ]

    assert [answer.status_code for answer in answers] == [200] * 6
    assert not any("Idempotent-Replayed" in answer for answer in answers)
    assert (stock_of(shirt).available, stock_of(other).available) == (5, 9)


def test_f27_a_slash_at_the_end_does_not_make_it_another_path():
    shirt, api = product(stock=10), administrator()
    entry = {"action": "decrement", "quantity": 1}
    path = f"/v2/inventories/{shirt.pk}/transactions"

    api.post(path, entry, key="once")
    again = api.post(f"{path}/", entry, key="once")

    assert again["Idempotent-Replayed"] == "true"
    assert stock_of(shirt).available == 9


def test_a_key_is_forgotten_after_a_day():
    shirt, api = product(stock=10), administrator()
    entry = {"action": "decrement", "quantity": 1}
    path = f"/v2/inventories/{shirt.pk}/transactions"
    api.post(path, entry, key="once")
    later = clock.now() + timedelta(hours=25)

    with clock.replaced(lambda: later):
        again = api.post(path, entry, key="once")

    assert "Idempotent-Replayed" not in again
    assert stock_of(shirt).available == 8


def test_f27_an_error_of_the_server_is_not_remembered(monkeypatch):
    api, call = administrator(raises=False), adding()
    with monkeypatch.context() as broken:
        broken.setattr(currencies, "named", lambda code: 1 / 0)
        assert send(api, call, "once").status_code == 500

    again = send(api, call, "once")

    assert again.status_code == 201
    assert "Idempotent-Replayed" not in again


def test_f16_a_pending_payment_is_told_again_until_it_is_settled():
    api, call = administrator(), paying_without_an_answer()
    first = send(api, call, "once")
    again = send(api, call, "once")
    recovery.settle_pending()
    settled = send(api, call, "once")

    assert (first.status_code, again.status_code, settled.status_code) == (202, 202, 200)
    statuses = [answer.json()["data"]["status"] for answer in (first, again, settled)]
    assert statuses == ["pending", "pending", "complete"]
    assert len({answer.json()["data"]["id"] for answer in (first, again, settled)}) == 1
    assert Payment.objects.count() == 1


@pytest.fixture
def card(books_agree: None, monkeypatch: pytest.MonkeyPatch) -> FakeGateway:
    fake = FakeGateway()
    monkeypatch.setattr(gateways, "adapters", lambda: {"card": fake})
    Gateway.objects.create(slug="card", name="Card", enabled=True)
    return fake


@pytest.mark.django_db(transaction=True)
def test_f27_while_the_charge_runs_the_same_key_is_told_to_wait(card):
    api, call = administrator(), paying("card")
    charging, answered = threading.Event(), threading.Event()

    def charge(payment: Payment) -> Answer:
        charging.set()
        assert answered.wait(PATIENCE_SECONDS)
        return OK

    def come_second() -> Any:
        assert charging.wait(PATIENCE_SECONDS)
        try:
            return send(api, call, "once")
        finally:
            answered.set()

    card.on_charge = charge

    first, second = run_together(lambda: send(api, call, "once"), come_second)
    third = send(api, call, "once")

    assert first.status_code == 200
    assert second.status_code == 409
    assert second.json()["errors"][0]["code"] == "idempotency_key_in_use"
    assert int(second["Retry-After"]) >= 1
    assert third.json() == first.json()
    assert len(card.charged) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "prepare",
    [adding, checking_out, paying_by_hand, moving_stock, refunding, shipping],
    ids=name_of,
)
def test_f27_the_same_key_at_the_same_time_is_done_once(prepare):
    api, call = administrator(), prepare()
    before = call.effect()

    answers = run_together(*[lambda: send(api, call, "once")] * 4)
    once = call.effect()
    after = send(api, call, "once")

    done = [answer for answer in answers if answer.status_code < 300]
    waiting = [answer for answer in answers if answer.status_code == 409]
    assert len(done) + len(waiting) == 4
    assert done
    assert all(answer.json() == after.json() for answer in done)
    assert all(int(answer["Retry-After"]) >= 1 for answer in waiting)
    assert after["Idempotent-Replayed"] == "true"
    assert call.effect() == once != before
    assert [("Idempotent-Replayed" in answer) for answer in done].count(False) == 1


@pytest.mark.django_db(transaction=True)
def test_f11_a_checkout_clicked_twice_is_one_order():
    api, call = shopper(), checking_out()

    answers = run_together(*[lambda: send(api, call, "click")] * 8)
    after = send(api, call, "click")

    assert Order.objects.count() == 1
    assert after.status_code == 201
    assert {answer.status_code for answer in answers} <= {201, 409}


# What a body is.


GZIPPED = gzip.compress(b'{"data": {}}')
BODIES = {
    "a file": ("multipart/form-data; boundary=x", "", b"--x--"),
    "a form": ("application/x-www-form-urlencoded", "", b"data=5"),
    "XML": ("application/xml", "", b"<data/>"),
    "bytes": ("application/octet-stream", "", b"{}"),
    "JSON, zipped": ("application/json", "gzip", GZIPPED),
    "JSON, zipped twice": ("application/json", "gzip, br", GZIPPED),
}
WRITING = ["POST /v2/products", "PUT /v2/carts/a", "POST /v2/carts/a/items", "PUT /v2/settings"]


@pytest.mark.parametrize("call", [*WRITING, "POST /v2/carts/a/checkout"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_t35_a_body_of_another_kind_is_refused_as_such(call, body):
    kind, packed, sent = body
    headers = {"Content_Encoding": packed} if packed else {}

    method, path = call.split()
    answer = administrator().send(method, path, sent, content_type=kind, **headers)

    [error] = answer.json()["errors"]
    assert (answer.status_code, error["code"]) == (415, "unsupported_media_type")
    assert (packed or kind.partition(";")[0]) in error["detail"]


@pytest.mark.parametrize(
    ("kind", "packed"),
    [(JSON, ""), ("multipart/form-data; boundary=x", ""), (FORM, "gzip"), ("text/xml", "")],
)
def test_t35_a_token_is_asked_for_by_a_form(kind, packed):
    form = '{"grant_type": "implicit", "client_id": "x"}' if kind == JSON else "client_id=x"

    headers = {"Content_Encoding": packed} if packed else {}
    answer = Api().send("POST", "/oauth/access_token", form, content_type=kind, **headers)

    assert answer.status_code == 415
    assert FORM in answer.json()["errors"][0]["detail"] or packed


@pytest.mark.parametrize(
    "kind", ["", JSON, "application/json; charset=utf-8", "application/vnd.api+json", "text/plain"]
)
def test_json_is_read_whatever_its_senders_call_it(kind):
    answer = shopper().send("PUT", "/v2/carts/a", '{"data": {}}', content_type=kind)

    assert answer.status_code == 200


def test_a_form_that_its_sender_calls_json_is_read():
    form = f"grant_type=implicit&client_id={api_client(secret='').client_id}"

    answer = Api().send("POST", "/oauth/access_token", form, content_type=JSON)

    assert answer.status_code == 200


def test_a_body_that_nobody_reads_disturbs_nobody():
    for method in ("GET", "DELETE"):
        answer = shopper().send(method, "/v2/carts/a", "a=1", content_type=FORM)
        assert answer.status_code < 300


def test_json_that_curl_calls_a_form_is_read():
    answer = shopper().send("PUT", "/v2/carts/a", ' {"data": {}}', content_type=FORM)

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v2/products", {"GET", "POST", "OPTIONS"}),
        ("/v2/carts/a", {"GET", "PUT", "DELETE", "OPTIONS"}),
        ("/oauth/access_token", {"POST", "OPTIONS"}),
        ("/v2/settings", {"GET", "PUT", "DELETE", "OPTIONS"}),
    ],
)
def test_t35_anybody_may_ask_what_an_address_takes(path, allowed):
    answer = Api().send("OPTIONS", path)

    assert (answer.status_code, answer.content) == (204, b"")
    assert set(answer["Allow"].split(", ")) - {"HEAD"} == allowed
    assert Api().send("OPTIONS", "/v2/nothing").status_code == 404


def test_t35_settings_are_within_what_is_published():
    assert administrator().get("/v2/settings").json()["data"]["shopper_address_limit"] == 1
