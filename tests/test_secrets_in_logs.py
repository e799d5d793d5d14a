"""Nothing that opens a door, and nothing that names a buyer, is ever written into the log.

A day of the shop, with what goes wrong in it, is logged at DEBUG by all who log there, and searched
for every secret that somebody had in hand.
"""

import io
import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from django.conf import settings as configured
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.test import Client

from config import storage
from inventory.errors import PicturesUnavailable
from inventory.services import pictures
from payments.models import Payment
from payments.services import recovery
from tests.backoffice.pages import send, text
from tests.drawn import drawn
from tests.factories import MERCHANT, product
from tests.fake_s3 import serving
from tests.fake_stripe import API_KEY, WEBHOOK_SECRET, FakeStripe
from tests.fake_stripe.webhooks import signature
from tests.http import FORM, JSON, Api, ask_for_token
from tests.logged import lines, logged
from tests.test_production import SECRETS, run

PASSWORD, WRONG_PASSWORD = "the-owner's-own-password", "a-password-mistyped"
METRICS, S3_SECRET = "read-the-numbers-of-the-shop", "the-secret-key-of-the-bucket"
OWN = (*(PASSWORD, WRONG_PASSWORD, METRICS, S3_SECRET, API_KEY, WEBHOOK_SECRET),)
ADDRESS = {
    "first_name": "Eveline",
    "last_name": "Nobodyelse",
    "line_1": "17 Quiet Corner",
    "postcode": "98765-4321",
    "country": "US",
    "region": "NY",
}
BUYER = {
    "customer": {"name": "Eveline Nobodyelse", "email": "eve@nobodyelse.example"},
    "billing_address": ADDRESS,
    "shipping_address": ADDRESS,
}
OF_BUYER = ("Eveline", "Nobodyelse", "nobodyelse.example", "Quiet Corner", "98765-4321")

# Whoever knows a cart's name can read and change it. What is searched for may be a buyer's name.
CART, SEARCHED = "the-cart-of-somebody-9b1f", "searched-for-somebody"

DOOR, CLIENTS = "/admin/login/", "/admin/api/apiclient/"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """All that anybody logs with LOG_LEVEL=DEBUG, a line for each request too."""
    with logged("DEBUG") as written:
        yield written


def _logged_in(secrets: list[str]) -> Client:
    """Log in, after a mistake or two: the password in the field of the name is one of them."""
    User.objects.create_superuser("owner", password=PASSWORD)
    browser = Client(enforce_csrf_checks=True, raise_request_exception=False)
    browser.get(DOOR)
    form = {"csrfmiddlewaretoken": browser.cookies["csrftoken"].value, "username": "owner"}
    secrets.append(form["csrfmiddlewaretoken"])
    for wrong in (
        {**form, "password": WRONG_PASSWORD},
        {**form, "password": PASSWORD, "username": WRONG_PASSWORD},
        {"password": PASSWORD, "username": "owner"},
    ):
        assert browser.post(DOOR, wrong).status_code in {200, 403}
    assert browser.post(DOOR, {**form, "password": PASSWORD}).status_code == 302
    secrets += [browser.cookies[name].value for name in ("sessionid", "csrftoken")]
    return browser


def _form(browser: Client, **typed: str) -> dict[str, str]:
    return {"csrfmiddlewaretoken": browser.cookies["csrftoken"].value, **typed}


def _made_client(browser: Client, secrets: list[str]) -> str:
    """Make a client of the API, replace its secret, and fail at making another one like it."""
    typed = _form(browser, client_id="office", name="Office")
    page = browser.post(f"{CLIENTS}add/", typed, follow=True)
    secrets += re.findall(r"secret of office is ([\w-]{43})", text(page))
    client = re.findall(rf"{CLIENTS}([0-9a-f-]{{36}})/change/", page.text)[0]
    page = send(browser, f"{CLIENTS}{client}/rotate/", _form(browser), follow=True)
    [secret] = re.findall(r"secret of office is ([\w-]{43})", text(page))
    assert browser.post(f"{CLIENTS}add/", typed).status_code == 200
    secrets.append(secret)
    return str(secret)


def _asked_for_tokens(secret: str, secrets: list[str]) -> Api:
    """Get a token, after calls for one that are wrong in every way, and make wrong use of it."""
    stranger = Client(raise_request_exception=False)
    of_office = {"client_id": "office", "client_secret": secret}
    for wrong in ({**of_office, "client_id": "x"}, {**of_office, "grant_type": "password"}):
        assert ask_for_token(**{"grant_type": "client_credentials", **wrong}).status_code >= 400
    stranger.post("/oauth/access_token", json.dumps(of_office), JSON)
    stranger.post("/oauth/access_token", f"client_secret={secret}&x=%zz", FORM)
    token = ask_for_token(grant_type="client_credentials", **of_office).json()["access_token"]
    for bearer in (f"{token}x", METRICS, f"{METRICS}x"):
        for path in ("/v2/orders", "/metrics", "/v2/nowhere", "/admin/"):
            stranger.get(path, headers={"Authorization": f"Bearer {bearer}"})
    secrets += [token, token.rpartition(".")[2]]
    return Api(token, raises=False)


def _bought(office: Api, stripe: FakeStripe, settings: Any, secrets: list[str]) -> None:
    """Pay through a gateway that is silent, declines, asks the buyer, and does not know us."""
    office.add_to_cart(CART, str(product(stock=9).pk), 3)
    order = office.post(f"/v2/carts/{CART}/checkout", BUYER).json()["data"]["id"]
    office.get(f"/v2/carts/{CART}?x={SEARCHED}")
    office.get(f"/v2/carts/{CART}/nothing/is/there?x={SEARCHED}")
    Client().get(f"/admin/orders/order/?q={SEARCHED}")

    def pay(card: str) -> Any:
        return office.pay(order, gateway="stripe", payment=card, amount=1000)

    stripe.fault(operation="confirm", answer="500")
    assert pay("pm_card_visa").status_code == 202
    assert pay("pm_card_chargeDeclined").status_code == 402
    asked = pay("pm_card_threeDSecure2Required").json()["data"]
    secrets.append(asked["client_parameters"]["client_secret"])
    office.post(f"/v2/orders/{order}/transactions/{asked['id']}/confirm", {})
    settings.STRIPE_SECRET_KEY = f"{API_KEY}_of_last_year"
    pay("pm_card_visa")
    settings.STRIPE_SECRET_KEY = API_KEY
    for secret in (WEBHOOK_SECRET, "whsec_forged"):
        body = json.dumps(stripe.events()[-1])
        signed = signature(body, secret, int(time.time()))
        headers = {"Stripe-Signature": signed}
        Client().generic("POST", "/webhooks/stripe", body, content_type=JSON, headers=headers)
        secrets.append(signed.rpartition("=")[2])
    recovery.settle_pending()
    assert Payment.objects.filter(status="complete").exists()


def _sent_picture(settings: Any) -> None:
    """Send a picture to a bucket that takes none."""
    with serving() as bucket:
        bucket.is_broken = True
        options = {"key_id": "key", "secret": S3_SECRET, "endpoint_url": bucket.url}
        there = storage.bucket("shop", bucket.url, region="eu-central-1", prefix="", **options)
        settings.STORAGES = {**settings.STORAGES, "default": there}
        with pytest.raises(PicturesUnavailable):
            pictures.take("shirt.png", drawn(), actor=MERCHANT)


def _broke(office: Api, browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have something break that has a body, a form, a cookie or a token in hand."""

    def broken(*given: Any, **named: Any) -> None:
        raise RuntimeError("It broke.")

    def fails(what: str, call: Callable[[], Any]) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(what, broken)
            assert call().status_code == 500, what

    typed = _form(browser, client_id="other", name="Other")
    fails("api.services.create_client", lambda: browser.post(f"{CLIENTS}add/", typed))
    fails(
        "orders.services.orders.checkout", lambda: office.post(f"/v2/carts/{CART}/checkout", BUYER)
    )
    fails("api.tokens.read", lambda: office.get("/v2/orders"))
    login = {**_form(browser), "username": "owner", "password": PASSWORD}
    fails("django.contrib.auth.forms.authenticate", lambda: browser.post(DOOR, login))


@pytest.mark.django_db
def test_no_secret_and_no_buyer_is_in_the_log(log, stripe, settings, monkeypatch):
    settings.METRICS_TOKEN = METRICS
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    secrets = [
        *OWN,
        *OF_BUYER,
        CART,
        SEARCHED,
        configured.SECRET_KEY,
        *configured.TOKEN_KEYS.values(),
    ]

    browser = _logged_in(secrets)
    office = _asked_for_tokens(_made_client(browser, secrets), secrets)
    _bought(office, stripe, settings, secrets)
    _sent_picture(settings)
    _broke(office, browser, monkeypatch)

    written = log.getvalue()
    assert len(lines(log, event="request")) > 30
    assert min(map(len, secrets)) > 6
    assert all(told in written for told in ("It broke.", "gateway_refused", "debug", "axes"))
    assert [secret for secret in secrets if secret in written] == []


@pytest.mark.django_db
def test_what_the_database_refuses_is_told_without_the_row(log):
    """PostgreSQL says beside the reason what stands in the row: a cart's id, a buyer's name."""

    def break_it() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"INSERT INTO orders_cart (id) VALUES ('{CART}')")
        except IntegrityError as error:
            raise RuntimeError("It broke.") from error

    for name in ("shop", "django.request"):
        with pytest.raises(RuntimeError) as raised:
            break_it()
        assert CART in str(raised.value.__cause__)
        logging.getLogger(name).error("broke", exc_info=raised.value)
        structlog.get_logger(name).error("broke too", exc_info=raised.value)

    told = [str(line["exception"]) for line in lines(log) if "exception" in line]
    assert len(told) == 4
    assert all("violates not-null constraint" in text and "It broke." in text for text in told)
    assert CART not in log.getvalue()


@pytest.mark.processes
def test_a_database_that_is_away_leaves_no_password_in_the_log():
    url = "postgresql://shop:hunter2-and-more@127.0.0.1:1/shop"
    told = run(
        *("manage.py", "migrate"),
        **SECRETS,
        DATABASE_URL=url,
        LOG_LEVEL="DEBUG",
        DATABASE_POOL_SIZE="0",
    )

    assert told.returncode != 0
    assert "onnection refused" in told.stderr
    for secret in ("hunter2", *SECRETS.values()):
        assert secret not in told.stdout + told.stderr
