"""The permission matrix: every address and method of the API, asked for by every kind of caller.

The addresses are found, not listed: one that has no row here fails until somebody has decided who
may call it. The rows stand for what was agreed with those who call the API, not for the code.
"""

import base64
import hmac
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as configured
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from api import services, tokens
from api.authentication import BearerAuthentication
from api.models import ApiClient
from inventory.models import Action, Currency, StockTransaction
from inventory.services import stock
from orders.models import CartItem
from orders.services import returns, shipments
from orders.services.returns import TakenBack
from payments.models import Payment
from tests.described import assert_described
from tests.drawn import picture
from tests.events.made import attempt, events, integration, job
from tests.factories import MERCHANT, api_client, filled_cart, paid_order, product
from tests.http import JSON, SECRET
from tests.test_admin_pages import everything
from tests.test_admin_pages import patterns as pages_of_admin

pytestmark = [pytest.mark.django_db, pytest.mark.thorough]

# What a shopper may, and what an administrator may besides. All else is refused to both.
# fmt: off
API = {
    "v2/carts":                                             ("POST", "GET"),
    "v2/carts/{cart_id}":                                   ("GET PUT DELETE", ""),
    "v2/carts/{cart_id}/items":                             ("GET POST PUT DELETE", ""),
    "v2/carts/{cart_id}/items/{item_id}":                   ("PUT DELETE", ""),
    "v2/carts/{cart_id}/checkout":                          ("POST", ""),
    # Without name, address and gateway: for whoever holds the cart.
    "v2/carts/{cart_id}/orders":                            ("GET", ""),
    "v2/orders":                                            ("", "GET"),
    "v2/orders/{order_id}":                                 ("", "GET PUT"),
    "v2/orders/{order_id}/items":                           ("", "GET"),
    "v2/orders/{order_id}/shipments":                       ("", "GET POST"),
    "v2/orders/{order_id}/shipments/{shipment_id}":         ("", "GET"),
    "v2/orders/{order_id}/shipments/{shipment_id}/undo":    ("", "POST"),
    "v2/orders/{order_id}/cancellations":                   ("", "POST"),
    "v2/orders/{order_id}/returns":                         ("", "GET POST"),
    "v2/orders/{order_id}/returns/{return_id}":             ("", "GET"),
    "v2/orders/{order_id}/returns/{return_id}/items/{item_id}/settle": ("", "POST"),
    # Whoever knows the id of an order may pay it, and confirm what it paid.
    "v2/orders/{order_id}/payments":                        ("POST", ""),
    "v2/orders/{order_id}/transactions":                    ("", "GET"),
    "v2/orders/{order_id}/transactions/{payment_id}":       ("", "GET"),
    "v2/orders/{order_id}/transactions/{payment_id}/confirm": ("POST", ""),
    "v2/orders/{order_id}/transactions/{payment_id}/capture": ("", "POST"),
    "v2/orders/{order_id}/transactions/{payment_id}/refund": ("", "POST"),
    "v2/orders/{order_id}/transactions/{payment_id}/cancel": ("", "POST"),
    "v2/gateways":                                          ("", "GET"),
    "v2/gateways/{slug}":                                   ("", "GET PUT"),
    "v2/products":                                          ("GET", "POST"),
    "v2/products/{product_id}":                             ("GET", "PUT DELETE"),
    "v2/files":                                             ("", "GET POST"),
    "v2/files/{file_id}":                                   ("", "GET DELETE"),
    "v2/currencies":                                        ("GET", "POST"),
    "v2/currencies/{currency_id}":                          ("GET", "PUT DELETE"),
    # No shopper learns from these what is in stock: `meta.stock` of products is for them.
    "v2/inventories":                                       ("", "GET"),
    "v2/inventories/multiple":                              ("", "POST"),
    "v2/inventories/{product_id}":                          ("", "GET POST DELETE"),
    "v2/inventories/{product_id}/transactions":             ("", "GET POST"),
    "v2/inventories/{product_id}/transactions/{entry_id}":  ("", "GET"),
    "v2/inventories/{product_id}/holders":                  ("", "GET"),
    "v2/events":                                            ("", "GET"),
    "v2/integrations":                                      ("", "GET POST"),
    "v2/integrations/logs":                                 ("", "GET"),
    "v2/integrations/{integration_id}":                     ("", "GET PUT DELETE"),
    "v2/integrations/{integration_id}/secret":              ("", "POST"),
    "v2/integrations/{integration_id}/logs":                ("", "GET"),
    "v2/integrations/{integration_id}/jobs":                ("", "GET"),
    "v2/integrations/{integration_id}/jobs/{job_id}/logs":  ("", "GET"),
    "v2/settings":                                          ("", "GET PUT DELETE"),
    "v2/settings/cart":                                     ("", "GET PUT"),
}
# What no token has to do with, and how it answers whoever sends nothing that it wants.
OPEN = {
    "oauth/access_token":  {"POST": 415, "PUT": 415},
    "v2/openapi.json":     {"GET": 200},
    "v2/docs":             {"GET": 200},
    "health/live":         {"GET": 200},
    "health/ready":        {"GET": 200},
    "":                    {"GET": 200},
    "admin":               dict.fromkeys(("GET", "POST", "PUT", "DELETE", "PATCH"), 302),
    "media/{name}":        {"GET": 404},
    # Each gateway signs its messages.
    "webhooks/{slug}":     {"POST": 401},
    # Has a token of its own, and is not there for any other.
    "metrics":             {"GET": 404},
    # For the same token.
    "version":             {"GET": 404},
}
# fmt: on
NOBODY = "00000000-0000-4000-8000-000000000000"
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH")


def addresses(known: Any = None, before: str = "") -> Iterator[tuple[str, URLPattern]]:
    """Find every address of the server outside of the admin, which has a walk of its own."""
    for pattern in get_resolver().url_patterns if known is None else known:
        route = before + str(pattern.pattern)
        if route.startswith("admin/"):
            continue
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, route)
        else:
            yield re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route), pattern


def test_every_address_has_a_row_and_every_row_an_address():
    found = dict(addresses())

    assert found.keys() == API.keys() | OPEN.keys()
    for address, (shoppers, administrators) in API.items():
        view: Any = found[address].callback
        has = {method for method in METHODS if hasattr(view.view_class, method.lower())}
        assert has == {*shoppers.split(), *administrators.split()}, address


def test_every_form_wants_the_token_that_its_page_gave():
    """What takes none reads no login either: the API, and messages of gateways."""
    exempt = {
        path: pattern
        for path, pattern in (*addresses(), *pages_of_admin())
        if getattr(pattern.callback, "csrf_exempt", False)
    }

    no_form = API.keys() | {"oauth/access_token", "v2/openapi.json", "webhooks/{slug}"}
    assert exempt.keys() == no_form
    for path in no_form - {"webhooks/{slug}"}:
        view: Any = exempt[path].callback
        readers = view.view_class.authentication_classes
        assert set(readers) <= {BearerAuthentication}, path


class Shop:
    """A shop that has something at every address, so that nothing is refused for not being there.

    It is called with a body that no call can do anything with but those that need none.
    """

    def __init__(self) -> None:
        shirt = product(stock=20)
        stock.record(shirt.pk, Action.ALLOCATE, 1, actor=MERCHANT)
        order = paid_order({shirt: 3})
        shipment = shipments.ship(order.pk, actor=MERCHANT)
        line = order.items.get()
        taken = [TakenBack(line.pk, 1, "inspection")]
        self._cart = filled_cart({shirt: 1})
        self._cart_item = CartItem.objects.get(cart=self._cart).pk
        told = job(integration())
        attempt(told, 1)
        events("order.paid")
        self.ids = {
            "cart_id": self._cart,
            "order_id": order.pk,
            "item_id": line.pk,
            "shipment_id": shipment.pk,
            "return_id": returns.take_back(order.pk, taken, actor=MERCHANT).pk,
            "payment_id": Payment.objects.get().pk,
            "product_id": shirt.pk,
            "entry_id": StockTransaction.objects.latest("sequence").pk,
            "currency_id": Currency.objects.get().pk,
            "file_id": picture().pk,
            "integration_id": told.integration_id,
            "job_id": told.pk,
            "slug": "stripe",
            "name": "nothing.webp",
        }
        self._client = Client()

    def path(self, address: str, **others: object) -> str:
        ids = {**self.ids, **others}
        if address.startswith("v2/carts") and "item_id" not in others:
            ids["item_id"] = self._cart_item
        return "/" + address.format(**ids)

    def call(self, method: str, path: str, sent: dict[str, str], body: bytes = b"{}") -> Any:
        return self._client.generic(method, path, body, content_type=JSON, headers=sent)

    def unchanged(self, method: str, path: str, sent: dict[str, str]) -> Any:
        """Call, and take back whatever that did."""
        before = transaction.savepoint()
        answer = self.call(method, path, sent)
        transaction.savepoint_rollback(before)
        assert_described(method, path, answer)
        return answer


@pytest.fixture
def shop(books_agree: None) -> Shop:
    return Shop()


# What somebody may send who has no token, or has made one, or had one that was good.


def _part(told: dict[str, Any] | bytes) -> str:
    written = told if isinstance(told, bytes) else json.dumps(told).encode()
    return base64.urlsafe_b64encode(written).decode().rstrip("=")


def _signed(claims: dict[str, Any], key: str = "", *, digest: str = "sha256", **header: Any) -> str:
    """Make a token as whoever forges one does: without our code and without a library."""
    head = {"typ": "JWT", "alg": "HS256", "kid": KID, **header}
    said = f"{_part({name: text for name, text in head.items() if text})}.{_part(claims)}"
    return f"{said}.{_part(hmac.digest((key or KEY).encode(), said.encode(), digest))}"


[(KID, KEY)] = configured.TOKEN_KEYS.items()


def _token(grant: str, client: ApiClient) -> str:
    secret = "" if client.is_storefront else SECRET
    token: str = tokens.issue(grant, client.client_id, secret)["access_token"]
    return token


def _claims(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    told: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return told


def _bearers_of_nothing() -> dict[str, str]:
    """Return tokens that are none, though each has something of a good one of an administrator."""
    server, storefront = api_client(SECRET), api_client("")
    good, shopper = _token("client_credentials", server), _token("implicit", storefront)
    claims, now = _claims(good), int(time.time())
    head, body, signature = good.split(".")
    of_shopper, of_another = _claims(shopper), shopper.rpartition(".")[2]

    revoked, restored, rotated, deleted = (api_client(SECRET) for _ in range(4))
    lost = {
        "revoked": _token("client_credentials", revoked),
        "from before it was revoked and restored": _token("client_credentials", restored),
        "from before the secret was replaced": _token("client_credentials", rotated),
        "of a client that is gone": _token("client_credentials", deleted),
    }
    for client in (revoked, restored):
        services.revoke_client(client.pk, actor=MERCHANT)
    services.restore_client(restored.pk, actor=MERCHANT)
    services.rotate_secret(rotated.pk, actor=MERCHANT)
    deleted.delete()
    closed = api_client("")
    of_closed = _token("implicit", closed)
    services.revoke_client(closed.pk, actor=MERCHANT)

    return lost | {
        "revoked, of a storefront": of_closed,
        "nothing": "",
        "malformed": "not.a.token",
        "no text": "\xff\xfe.\xff.\xff",
        "the secret of the client": SECRET,
        "two at once": f"{good}, Bearer {good}",
        "with something behind it": f"{good}.{signature}",
        "expired": _signed({**claims, "exp": now - 1}),
        "not good yet": _signed({**claims, "nbf": now + 600}),
        "without an end": _signed({name: told for name, told in claims.items() if name != "exp"}),
        "of another issuer": _signed({**claims, "iss": "somebody"}),
        "of no issuer": _signed({name: told for name, told in claims.items() if name != "iss"}),
        "for another audience": _signed({**claims, "aud": "another shop"}),
        "of an unknown client": _signed({**claims, "sub": "nobody"}),
        "wrong key": _signed(claims, "x" * 32),
        "key of the sessions": _signed(claims, configured.SECRET_KEY),
        "key that is not ours": _signed(claims, "x" * 32, kid="2"),
        "key that is a file": _signed(claims, "x", kid="../../../dev/null"),
        "key that is named nowhere": _signed(claims, kid=None),
        "key of its own": _signed(
            claims, "x" * 32, jwk={"kty": "oct", "k": _part(b"x" * 32)}, kid=KID
        ),
        "alg=none": f"{_part({'alg': 'none', 'kid': KID})}.{body}.",
        "alg=None": f"{_part({'alg': 'None', 'kid': KID})}.{body}.",
        "alg=none, signed": f"{_part({'alg': 'none', 'kid': KID})}.{body}.{signature}",
        "no signature": f"{head}.{body}.",
        "another's signature": f"{head}.{body}.{of_another}",
        "HS384": _signed(claims, alg="HS384", digest="sha384"),
        "HS512": _signed(claims, alg="HS512", digest="sha512"),
        "HS512 that says HS256": _signed(claims, digest="sha512"),
        "RS256 with our key for its public one": _signed(claims, alg="RS256"),
        "a shopper's, with other words in it": f"{head}.{_part({**of_shopper, 'scope': 'admin'})}."
        f"{of_another}",
        # The key is ours, as if such had been given out once.
        "a storefront's for an administrator": _signed({**of_shopper, "scope": "admin"}),
        "a server's for a shopper": _signed({**claims, "scope": "shopper", "shopper": "ada"}),
        "an unknown scope": _signed({**claims, "scope": "owner"}),
    }


def _strangers() -> dict[str, dict[str, str]]:
    """Return what each of them sends in the head of a request."""
    sent = {kind: {"Authorization": f"Bearer {t}"} for kind, t in _bearers_of_nothing().items()}
    good = _token("client_credentials", api_client(SECRET))
    owner = Client()
    owner.force_login(User.objects.create_superuser("owner"))
    login = "; ".join(f"{name}={each.value}" for name, each in owner.cookies.items())
    return sent | {
        "no token": {},
        "another scheme": {"Authorization": f"Basic {good}"},
        "no scheme": {"Authorization": good},
        "a token in another header": {"X-Authorization": f"Bearer {good}", "X-Access-Token": good},
        "a token in a cookie": {"Cookie": f"access_token={good}; Authorization=Bearer {good}"},
        "a superuser's login": {"Cookie": login},
    }


def test_f44_no_address_answers_who_has_no_good_token(shop):
    strangers = _strangers()
    before = everything()

    answered = [
        (kind, method, address, answer.status_code)
        for kind, sent in strangers.items()
        for address, told in API.items()
        for method in (" ".join(told).split() if sent else METHODS)
        if (answer := shop.call(method, shop.path(address), sent)).status_code != 401
    ]

    assert answered == []
    assert everything() == before


def test_a_head_without_a_token_tells_nothing_either(shop):
    for address in API:
        answer = shop.call("HEAD", shop.path(address), {})
        assert (answer.status_code, answer.content) == (401, b""), address


# Shoppers and administrators.

# How the API answers a call that it lets in, though nothing was said in it.
LET_IN = {200, 201, 202, 204, 400, 402, 409, 415, 422}


def _expected(address: str, method: str, *, administrator: bool) -> set[int]:
    shoppers, administrators = (methods.split() for methods in API[address])
    if method in shoppers or (administrator and method in administrators):
        return {200} if method == "GET" else LET_IN
    if method in administrators:
        return {403}
    # For nobody. To a shopper that may be said of the whole address; a file is no JSON.
    return {405, 415} if administrator else {405, 403}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
@pytest.mark.parametrize("administrator", [False, True])
def test_f44_every_address_lets_in_whom_it_is_for_and_nobody_else(shop, administrator, scheme):
    grant = "client_credentials" if administrator else "implicit"
    token = _token(grant, api_client(SECRET if administrator else ""))
    sent = {"Authorization": f"{scheme} {token}"}

    answers = {
        (method, address): shop.unchanged(method, shop.path(address), sent)
        for address in API
        for method in METHODS
    }

    surprises = [
        (method, address, answer.status_code, answer.text)
        for (method, address), answer in answers.items()
        if answer.status_code not in _expected(address, method, administrator=administrator)
    ]
    assert surprises == []


def test_f44_what_a_shopper_may_not_changes_nothing_and_tells_nothing(shop):
    """Whether a thing is there, whether a call is known, what is wrong with it: all the same."""
    sent = {"Authorization": f"Bearer {_token('implicit', api_client(''))}"}
    made_up = dict.fromkeys(shop.ids, NOBODY)
    before = everything()

    for address, (_, administrators) in API.items():
        # To list carts is all that is refused within an address that shoppers use.
        for method in administrators.split() if address != "v2/carts" else ():
            there = shop.call(method, shop.path(address), sent)
            assert there.status_code == 403, (method, address)
            for body in (b"", b"{}", b"no JSON", b"[" * 999):
                path = shop.path(address, **made_up)
                other = shop.call(method, path, sent, body)
                assert (other.status_code, other.content) == (403, there.content), (method, path)

    assert everything() == before


def test_what_an_address_takes_is_told_to_anybody_and_does_nothing(shop):
    before = everything()
    for address, told in API.items():
        answer = shop.call("OPTIONS", shop.path(address), {})
        allowed = set(answer["Allow"].split(", ")) - {"HEAD", "OPTIONS"}

        assert (answer.status_code, answer.content) == (204, b""), address
        assert allowed == {*" ".join(told).split()}, address
    assert everything() == before


# What no token has to do with.


@pytest.mark.parametrize("kind", ["no token", "nothing", "expired", "shopper", "administrator"])
def test_what_is_open_is_the_same_for_everybody(shop, kind, settings):
    sent = _strangers() | {
        "shopper": {"Authorization": f"Bearer {_token('implicit', api_client(''))}"},
        "administrator": {
            "Authorization": f"Bearer {_token('client_credentials', api_client(SECRET))}"
        },
    }
    settings.METRICS_TOKEN = "read-the-numbers"
    before = everything()

    for address, allowed in OPEN.items():
        for method in METHODS:
            answer = shop.call(method, shop.path(address), sent[kind])
            assert answer.status_code == allowed.get(method, 405), (method, address)

    assert everything() == before


def test_the_numbers_are_told_to_their_own_token_alone(shop, settings):
    settings.METRICS_TOKEN = "read-the-numbers"

    def status_for(authorization: str) -> int:
        status: int = shop.call("GET", "/metrics", {"Authorization": authorization}).status_code
        return status

    assert status_for("Bearer read-the-numbers") == 200
    for wrong in ("", "Bearer", "Bearer read-the-number", "Bearer READ-THE-NUMBERS", "Bearer \xff"):
        assert status_for(wrong) == 404
    # It opens nothing else.
    sent = {"Authorization": "Bearer read-the-numbers"}
    assert shop.call("GET", "/v2/carts", sent).status_code == 401
    # Where none is set, nobody guesses the empty one.
    settings.METRICS_TOKEN, settings.HOLDFAST_DEMO = "", False
    assert [status_for(empty) for empty in ("", "Bearer ", "Bearer")] == [404, 404, 404]
