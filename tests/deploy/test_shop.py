"""Holdfast as production runs it: behind the edge, on two web servers."""

import gzip
import itertools
import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.db import connection

from inventory.models import Stock
from orders.models import Order
from payments.models import Payment
from tests.deploy.edge import NAME, Answer, Edge
from tests.deploy.web import Web
from tests.factories import api_client, product
from tests.http import BUYER, FORM, JSON, SECRET

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

LOST = {502, 503, 504}


class Shop(NamedTuple):
    edge: Edge
    servers: list[Web]


@pytest.fixture(scope="module")
def shop(django_db_setup: None, collected: Path) -> Iterator[Shop]:
    servers = [Web(collected.parent) for _ in range(2)]
    try:
        with Edge(*(web.port for web in servers), root=collected.parent).running() as edge:
            yield Shop(edge, servers)
    finally:
        for web in servers:
            web.kill()


class Office:
    """Calls the API through the edge, and sends again under the same key what was lost."""

    def __init__(self, edge: Edge, client_id: str) -> None:
        self.edge = edge
        self.lost: list[int] = []
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": SECRET}
        told = self.send("POST", "/oauth/access_token", urlencode(form).encode(), content_type=FORM)
        self.token = told.json()["access_token"]

    def post(self, path: str, data: Any, key: str) -> Any:
        body = json.dumps({"data": data}).encode()
        answer = self.send(
            "POST", path, body, content_type=JSON, idempotency_key=key, **self.known()
        )
        assert answer.status in {200, 201}, answer.text
        return answer.json()["data"]

    def known(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}

    def send(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        for _ in range(100):
            answer = self.edge.ask(path, method=method, body=body, **headers)
            if answer.status not in LOST:
                return answer
            assert answer.headers["Retry-After"]
            self.lost.append(answer.status)
        raise AssertionError("It was lost again and again.")

    def buy(self, what: str, number: int) -> None:
        cart = f"/v2/carts/of-{number}"
        self.post(f"{cart}/items", {"type": "cart_item", "id": what, "quantity": 1}, f"a{number}")
        order = self.post(f"{cart}/checkout", BUYER, f"b{number}")
        paid = {"gateway": "manual", "method": "purchase"}
        self.post(f"/v2/orders/{order['id']}/payments", paid, f"c{number}")


def test_a_purchase_goes_through_the_edge(shop):
    shirt = product(stock=3)

    Office(shop.edge, api_client(SECRET).client_id).buy(str(shirt.pk), 1)

    assert Order.objects.get().payment == "paid"
    assert Stock.objects.get().allocated == 1


def test_people_log_in_over_tls_and_are_sent_in_no_circle(shop):
    User.objects.create_superuser("maria", password="a-long-pass-phrase")
    page = shop.edge.ask("/admin/login/")
    cookies = SimpleCookie(page.headers["Set-Cookie"])
    [token] = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    form = {"csrfmiddlewaretoken": token, "username": "maria", "password": "a-long-pass-phrase"}

    answer = shop.edge.ask(
        "/admin/login/",
        method="POST",
        body=urlencode(form).encode(),
        content_type=FORM,
        referer=f"https://{NAME}/admin/login/",
        cookie=f"__Host-csrftoken={cookies['__Host-csrftoken'].value}",
    )

    assert page.status == 200
    assert "Strict-Transport-Security" in page.headers
    assert (answer.status, answer.headers["Location"]) == (302, "/admin/")
    session = next(told for told in answer.headers.get_all("Set-Cookie") if "sessionid" in told)
    assert session.startswith("__Host-sessionid=")
    assert {"Secure", "HttpOnly"} <= set(session.split("; "))
    inside = shop.edge.ask("/admin/", cookie=session.partition(";")[0])
    assert inside.status == 200
    styles = re.findall(r'href="(/static/backoffice/admin\.[0-9a-f]{12}\.css)"', inside.text)
    assert "immutable" in shop.edge.ask(styles[0]).headers["Cache-Control"]


def test_a_caller_counts_under_the_address_that_it_calls_from(shop):
    shop.edge.ask(
        "/oauth/access_token",
        method="POST",
        body=b"grant_type=implicit&client_id=nobody",
        source="127.0.5.1",
        content_type=FORM,
        x_forwarded_for="192.0.2.7",
    )

    with connection.cursor() as cursor:
        cursor.execute("SELECT address FROM api_callcount WHERE kind = 'token'")
        assert ("127.0.5.1",) in cursor.fetchall()
        cursor.execute("SELECT count(*) FROM api_callcount WHERE address LIKE '192.%'")
        assert cursor.fetchone() == (0,)


def test_what_is_read_is_compressed_and_what_holds_secrets_is_not(shop):
    office = Office(shop.edge, api_client(SECRET).client_id)
    shirt = product(stock=3)
    for number in range(10):
        product(stock=number)
    office.buy(str(shirt.pk), 1)

    def asked(path: str) -> Answer:
        answer: Answer = shop.edge.ask(path, accept_encoding="gzip", **office.known())
        return answer

    packed = asked("/v2/products")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(json.loads(gzip.decompress(packed.body))["data"]) == 11
    orders = asked("/v2/carts/of-1/orders")
    assert len(orders.json()["data"]) == 1
    assert "Content-Encoding" not in orders.headers


def test_t38_slow_callers_stop_nobody(shop):
    """Sixteen from one address and two hundred from others announce a body, and send a byte."""
    product(stock=3)
    began = (
        f"POST /v2/carts/mine/items HTTP/1.1\r\nHost: {NAME}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"
    ).encode()
    slow = [shop.edge.connect() for _ in range(16)]
    slow += [shop.edge.connect(f"127.0.6.{1 + number % 8}") for number in range(200)]
    for wire in slow:
        wire.sendall(began)

    office = Office(shop.edge, api_client(SECRET).client_id)
    assert shop.edge.ask("/health/live").status == 200
    assert len(office.send("GET", "/v2/products", None, **office.known()).json()["data"]) == 1
    assert office.lost == []
    for wire in slow:
        # Still there, with nothing to read: nobody waited until they had gone.
        wire.sendall(b" ")
        wire.close()


@pytest.mark.parametrize("ends", ["is killed", "is told to stop"])
def test_a_server_that_goes_and_comes_back_costs_no_order_and_doubles_none(shop, ends):
    purchases, buyers = 24, 3
    shirt = str(product(stock=purchases).pk)
    offices = [Office(shop.edge, api_client(SECRET).client_id) for _ in range(buyers)]
    done = itertools.count(1)
    reached = {count: threading.Event() for count in range(1, purchases + 1)}
    read: list[int] = []
    first = shop.servers[0]

    def buy(number: int) -> None:
        offices[number % buyers].buy(shirt, number)
        read.append(shop.edge.ask("/v2/products", **offices[0].known()).status)
        reached[next(done)].set()

    with ThreadPoolExecutor(buyers) as pool:
        bought = [pool.submit(buy, number) for number in range(purchases)]
        reached[6].wait()
        first.kill() if ends == "is killed" else first.stop()
        reached[15].wait()
        first.start()
        for each in bought:
            each.result()

    assert read == [200] * purchases
    assert Order.objects.filter(payment="paid").count() == Order.objects.count() == purchases
    assert Payment.objects.count() == purchases
    stock = Stock.objects.get()
    assert (stock.available, stock.allocated) == (0, purchases)
    lost = [status for office in offices for status in office.lost]
    # Those that were under way in a server that died. One that is told to stop ends them.
    assert len(lost) <= buyers
