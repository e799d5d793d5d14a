from typing import Any

import pytest
from django.test import Client, override_settings

from tests import factories
from tests.http import shopper

ORIGIN = "http://localhost:5173"
# What a browser asks about before a call of the official SDKs, an idempotent one included.
SDK_HEADERS = (
    "authorization,content-type,idempotency-key,x-moltin-application,x-moltin-currency,"
    "x-moltin-customer-token,x-moltin-language,x-moltin-sdk-language,x-moltin-sdk-version,"
    "ep-inventories-multi-location"
)


def preflight(path: str, *, origin: str = ORIGIN, method: str = "POST") -> Any:
    return Client().options(
        path,
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": SDK_HEADERS,
        },
    )


def names(header: str) -> set[str]:
    return {name.strip().lower() for name in header.split(",")}


@pytest.mark.parametrize("path", ["/v2/carts/abc/items", "/v2/orders", "/oauth/access_token"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_a_preflight_is_answered_without_a_token_and_kept_for_two_hours(path: str, method: str):
    answer = preflight(path, method=method)

    assert answer.status_code == 200
    assert answer["Access-Control-Allow-Origin"] == ORIGIN
    assert method.lower() in names(answer["Access-Control-Allow-Methods"])
    assert names(SDK_HEADERS) <= names(answer["Access-Control-Allow-Headers"])
    assert answer["Access-Control-Max-Age"] == "7200"
    assert answer["X-Request-Id"]


def test_a_preflight_costs_no_query(django_assert_num_queries: Any, db: None):
    with django_assert_num_queries(0):
        preflight("/v2/orders")


@pytest.mark.parametrize(
    "origin",
    ["http://localhost", "http://127.0.0.1:3000", "https://localhost:8443", "http://[::1]:80"],
)
def test_the_demo_lets_in_pages_of_this_machine(origin: str):
    assert preflight("/v2/products", origin=origin)["Access-Control-Allow-Origin"] == origin


@pytest.mark.parametrize(
    "origin",
    [
        "https://shop.example.com",
        "http://localhost.example.com",
        "http://localhost:5173.example.com",
        "http://127x0.0.1",
        "null",
    ],
)
def test_pages_of_other_sites_are_kept_out(origin: str):
    assert "Access-Control-Allow-Origin" not in preflight("/v2/products", origin=origin)


@override_settings(
    CORS_ALLOWED_ORIGINS=["https://shop.example.com"], CORS_ALLOWED_ORIGIN_REGEXES=[]
)
def test_outside_the_demo_only_the_origins_of_the_environment_are_let_in():
    ours = preflight("/v2/products", origin="https://shop.example.com")
    developers = preflight("/v2/products")

    assert ours["Access-Control-Allow-Origin"] == "https://shop.example.com"
    assert "Access-Control-Allow-Origin" not in developers


@pytest.mark.parametrize("path", ["/admin/", "/health/live", "/admin/v2/", "/catalogue"])
def test_only_the_api_is_open_to_other_sites(db: None, path: str):
    assert "Access-Control-Allow-Origin" not in preflight(path)


def test_a_browser_may_read_what_it_needs_to_try_again(db: None):
    factories.product(stock=1, sku="SHIRT")

    answer = shopper().get("/v2/products", Origin=ORIGIN)

    assert answer.status_code == 200
    assert answer["Access-Control-Allow-Origin"] == ORIGIN
    assert names(answer["Access-Control-Expose-Headers"]) == {
        "retry-after",
        "idempotent-replayed",
        "x-request-id",
        "etag",
    }
    # No cookie takes part, so none is asked for.
    assert "Access-Control-Allow-Credentials" not in answer


def test_what_is_answered_depends_on_the_origin(db: None):
    """A shared cache must not hand one site's answer to another."""
    answer = shopper().get("/v2/products")

    assert "origin" in names(answer["Vary"])


def test_a_browser_can_read_refusals_too():
    answer = Client().get("/v2/products", headers={"Origin": ORIGIN})

    assert answer.status_code == 401
    assert answer["Access-Control-Allow-Origin"] == ORIGIN


@pytest.mark.parametrize("path", ["/v2/customers", "/pcm/products", "/catalog", "/catalog/x"])
def test_a_browser_can_read_that_what_the_sdks_ask_for_is_not_there(path: str):
    answer = Client().get(path, headers={"Origin": ORIGIN})

    assert preflight(path)["Access-Control-Allow-Origin"] == ORIGIN
    assert answer.status_code == 404
    assert answer["Access-Control-Allow-Origin"] == ORIGIN
