"""The API as a frontend or a back office calls it: a token, JSON, the `data` envelope."""

import json
import re
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.described import assert_described
from tests.factories import api_client

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
SECRET = "back-office-secret"

ADDRESS = {
    "first_name": "Ada",
    "last_name": "Buyer",
    "line_1": "1 Mill Lane",
    "postcode": "10001",
    "country": "US",
    "region": "NY",
}
BUYER = {
    "customer": {"name": "Ada Buyer", "email": "ada@example.com"},
    "billing_address": ADDRESS,
    "shipping_address": ADDRESS,
}

NO_BODY = object()


class Api:
    """Calls the API with one token, or with none, and wants to be answered as described."""

    def __init__(self, token: str = "", *, raises: bool = True) -> None:
        self.client = Client(raise_request_exception=raises)
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str, **headers: str) -> Any:
        return self.send("GET", path, **headers)

    def post(self, path: str, data: Any = NO_BODY, *, key: str = "", **headers: str) -> Any:
        return self.send("POST", path, _wrapped(data), key=key, **headers)

    def put(self, path: str, data: Any = NO_BODY, *, key: str = "", **headers: str) -> Any:
        return self.send("PUT", path, _wrapped(data), key=key, **headers)

    def delete(self, path: str, **headers: str) -> Any:
        return self.send("DELETE", path, **headers)

    def send(
        self,
        method: str,
        path: str,
        body: str | bytes = b"",
        *,
        key: str = "",
        content_type: str = JSON,
        **headers: str,
    ) -> Any:
        """Send a body as it stands; in the names of headers, `_` stands for `-`."""
        sent = {**self.headers, **{name.replace("_", "-"): text for name, text in headers.items()}}
        if key:
            sent["Idempotency-Key"] = key
        answer = self.client.generic(method, path, body, content_type=content_type, headers=sent)
        assert_described(method, path, answer)
        return answer

    # What nearly every story does.

    def add_to_cart(self, cart: str, product: str, quantity: int, **options: Any) -> Any:
        line = {"type": "cart_item", "id": product, "quantity": quantity}
        return self.post(f"/v2/carts/{cart}/items", line, **options)

    def check_out(self, cart: str, **options: Any) -> Any:
        return self.post(f"/v2/carts/{cart}/checkout", BUYER, **options)

    def pay(self, order: str, *, key: str = "", **fields: Any) -> Any:
        asked = {"gateway": "manual", "method": "purchase", **fields}
        return self.post(f"/v2/orders/{order}/payments", asked, key=key)


def _wrapped(data: Any) -> str | bytes:
    return b"" if data is NO_BODY else json.dumps({"data": data})


def ask_for_token(**form: str) -> Any:
    return Client().post("/oauth/access_token", urlencode(form), content_type=FORM)


def administrator(*, raises: bool = True) -> Api:
    """Call as a back office: by client id and secret."""
    client = api_client(SECRET)
    answer = ask_for_token(
        grant_type="client_credentials", client_id=client.client_id, client_secret=SECRET
    )
    return Api(answer.json()["access_token"], raises=raises)


def shopper(*, raises: bool = True) -> Api:
    """Call as a storefront in somebody's browser: by client id alone."""
    client = api_client(secret="")
    answer = ask_for_token(grant_type="implicit", client_id=client.client_id)
    return Api(answer.json()["access_token"], raises=raises)


# Shapes.

PRICE = {"amount": int, "currency": "USD", "includes_tax": bool}
FORMATTED = {"amount": int, "currency": "USD", "formatted": str}


def an_id(shown: Any) -> bool:
    return isinstance(shown, str) and str(uuid.UUID(shown)) == shown


def a_moment(shown: Any) -> bool:
    """RFC 3339, in UTC."""
    pattern = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"
    return isinstance(shown, str) and re.fullmatch(pattern, shown) is not None


def assert_shape(shown: Any, sample: Any, where: str = "") -> None:
    """Hold an answer against a sample: its fields are all there; more of them are welcome.

    A type stands for a value of exactly that type, a list for any number of things like its first.
    """
    if isinstance(sample, dict):
        assert isinstance(shown, dict), where
        for name, expected in sample.items():
            assert name in shown, f"{where}.{name}"
            assert_shape(shown[name], expected, f"{where}.{name}")
    elif isinstance(sample, list):
        assert isinstance(shown, list), where
        for position, entry in enumerate(shown):
            assert_shape(entry, sample[0], f"{where}.{position}")
    elif isinstance(sample, type):
        assert type(shown) is sample, f"{where}: {shown!r}"
    elif callable(sample):
        assert sample(shown), f"{where}: {shown!r}"
    else:
        assert (type(shown), shown) == (type(sample), sample), where


def statements(act: Callable[[], Any]) -> int:
    """Count what a call says to the database."""
    with CaptureQueriesContext(connection) as captured:
        act()
    return len(captured)
