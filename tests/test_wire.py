"""What hostile callers send to the web server itself, byte by byte, as production runs it.

One server stands for all of it. It has no database: nothing here gets that far.
"""

import contextlib
import os
import re
import socket
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.concurrency import PATIENCE_SECONDS
from tests.served import served
from tests.test_production import SECRETS

pytestmark = pytest.mark.processes

HOST = "Host: shop.example.com"
OVER_TLS = "X-Forwarded-Proto: https"
LIVE, PRODUCTS = "/health/live", "/v2/products"


class Answer(NamedTuple):
    statuses: list[int]
    text: str

    @property
    def location(self) -> str:
        found = re.search(r"^location: (.*)\r$", self.text, re.MULTILINE | re.IGNORECASE)
        return found[1] if found else ""


class Server(NamedTuple):
    port: int

    def send(self, sent: str) -> Answer:
        """Send these bytes, and read all that comes until the server closes."""
        address = ("127.0.0.1", self.port)
        with socket.create_connection(address, timeout=PATIENCE_SECONDS) as wire:
            received = b""
            # A server that has read enough answers, and takes no more.
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                wire.sendall(sent.encode("latin-1"))
            with contextlib.suppress(ConnectionResetError):
                while part := wire.recv(65_536):
                    received += part
        text = received.decode("latin-1")
        found = re.findall(r"^HTTP/1\.1 (\d{3}) ", text, re.MULTILINE)
        return Answer([int(status) for status in found], text)

    def ask(
        self, *headers: str, method: str = "GET", path: str = LIVE, body: str = "", host: str = HOST
    ) -> Answer:
        over = [host, OVER_TLS, "Connection: close", *headers]
        lines = [f"{method} {path} HTTP/1.1", *filter(None, over), "", body]
        return self.send("\r\n".join(lines))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    of_tests = {"HOLDFAST_DEMO", *(name for name in os.environ if name.endswith("_LIMIT"))}
    with served(
        of_tests,
        None,
        **SECRETS,
        ALLOWED_HOSTS="shop.example.com",
        BEHIND_TLS_PROXY="1",
        NUM_TRUSTED_PROXIES="1",
        DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing",
        LOG_LEVEL="CRITICAL",
    ) as running:
        yield Server(running.port)


# fmt: off
MALFORMED = {
    "two lengths that differ":    (["Content-Length: 2", "Content-Length: 3"], "{}x"),
    "a list of lengths":          (["Content-Length: 2, 2"], "{}"),
    "a length with a sign":       (["Content-Length: +2"], "{}"),
    "a length below nothing":     (["Content-Length: -1"], ""),
    "a length in other digits":   (["Content-Length: 0x2"], "{}"),
    "a length without end":       ([f"Content-Length: {'9' * 30}"], "{}"),
    "another coding":             (["Transfer-Encoding: xchunked"], "0\r\n\r\n"),
    "two codings":                (["Transfer-Encoding: chunked, identity"], "0\r\n\r\n"),
    "two lines of codings":       (["Transfer-Encoding: chunked", "Transfer-Encoding: x"], ""),
    "a space before the colon":   (["Content-Length : 2"], "{}"),
    "a header on two lines":      (["X: a\r\n b"], ""),
    "a NUL in a header":          (["X: a\0b"], ""),
    "half a line's end":          (["X: a\rX-Other: b"], ""),
    "a space in a name":          (["X Y: a"], ""),
    "no name":                    ([": a"], ""),
}
# fmt: on


@pytest.mark.parametrize("what", MALFORMED)
def test_what_two_servers_could_read_in_two_ways_is_read_in_none(server, what):
    headers, body = MALFORMED[what]

    answer = server.ask(*headers, method="POST", body=body)

    assert answer.statuses == [400]
    assert "X-Other" not in answer.text


def test_nothing_is_smuggled_in_behind_a_body(server):
    """Told both ways how long it is, a body is none, and what follows is not done."""
    behind = f"GET {LIVE} HTTP/1.1\r\n{HOST}\r\n{OVER_TLS}\r\nConnection: close\r\n\r\n"
    both = "Content-Length: 4\r\nTransfer-Encoding: chunked"
    first = f"POST /v2/carts HTTP/1.1\r\n{HOST}\r\n{OVER_TLS}\r\n{both}\r\n\r\n0\r\n\r\n"

    assert server.send(first + behind).statuses == [400]


def test_t39_so_many_headers_may_stand_above_a_body_and_no_more(server):
    assert server.ask(*(f"X-{number}: a" for number in range(97))).statuses == [200]
    assert server.ask(*(f"X-{number}: a" for number in range(98))).statuses == [431]


# fmt: off
HOSTS = {
    "none": "",
    "another": "Host: evil.example",
    "two": f"{HOST}\r\nHost: evil.example",
    "two, the other first": f"Host: evil.example\r\n{HOST}",
    "behind a name": "Host: shop.example.com@evil.example",
    "before a path": "Host: evil.example/shop.example.com",
    "with a path": "Host: shop.example.com/x",
    "with no port": "Host: shop.example.com:80a",
    "below another": "Host: shop.example.com.evil.example",
    "with a space": "Host: shop.example.com evil.example",
}
# fmt: on


@pytest.mark.parametrize("what", HOSTS)
def test_a_host_that_is_not_ours_is_not_answered_for(server, what):
    answer = server.ask(host=HOSTS[what], path=PRODUCTS)

    assert answer.statuses == [400]
    assert "evil" not in answer.text


def test_no_header_makes_us_another_host_or_another_method(server):
    for headers in (
        ["X-Forwarded-Host: evil.example", "X-Forwarded-Port: 1", "Forwarded: host=evil.example"],
        ["X-Original-URL: /health/live", "X-Rewrite-URL: /health/live"],
        ["X-HTTP-Method-Override: GET", "X-Method-Override: GET", "X-HTTP-Method: GET"],
        ["Authorization: Bearer a", "Authorization: Bearer b"],
        ["Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"],
    ):
        assert server.ask(*headers, path="/v2/orders").statuses == [401]
        # Without TLS the way there is ours, too.
        told = server.send(f"GET /admin?x HTTP/1.0\r\n{HOST}\r\n" + "\r\n".join([*headers, "", ""]))
        assert told.location == "https://shop.example.com/admin?x"


@pytest.mark.parametrize("proto", ["http", "http, https", "", "HTTPS2"])
def test_only_our_proxy_s_word_makes_a_call_one_over_tls(server, proto):
    sent = f"GET {PRODUCTS} HTTP/1.1\r\n{HOST}\r\nX-Forwarded-Proto: {proto}\r\n"

    answer = server.send(f"{sent}Connection: close\r\n\r\n")

    assert answer.statuses == [301]
    assert answer.location == f"https://shop.example.com{PRODUCTS}"


@pytest.mark.parametrize(
    ("method", "status"),
    [
        *((method, 401) for method in ("TRACE", "CONNECT", "PATCH", "PURGE")),
        *((method, 400) for method in ("BREW", "get", "X" * 100)),
        *((method, 400) for method in ("GET/", "M\xe9", "(GET)")),
    ],
)
def test_a_method_that_nobody_knows_does_nothing(server, method, status):
    answer = server.ask("Cookie: sessionid=told-back", method=method, path=PRODUCTS)

    assert answer.statuses == [status]
    assert "told-back" not in answer.text


def test_no_page_is_read_by_an_odd_method(server):
    for path in (LIVE, "/", "/v2/docs", "/metrics"):
        traced = server.ask("Cookie: sessionid=told-back", method="TRACE", path=path)
        assert traced.statuses == [405]
        assert "told-back" not in traced.text


# Each beside what may be answered: an address that there is not, or one that wants a token.
PATHS = {
    **dict.fromkeys(
        (
            *("//v2/products", "/v2//products", "/v2/./products", "/health/../v2/orders"),
            *("/v2/orders%2f..%2fproducts", "/v2/%2e%2e/admin/", "/ADMIN/", "/V2/products"),
            *("/media/..%2f..%2fetc%2fpasswd", "/media/..%5c..%5cwindows", "/media/%00.webp"),
            *("/static/..%2f..%2fconfig/settings.py", "/static/%2e%2e/%2e%2e/pyproject.toml"),
            *("/static/../config/settings.py", "/static//etc/passwd", "/.git/config", "/.env"),
            *("//evil.example", "/\\evil.example", "/%0d%0aX-Other:%20b", "/v2/products;x=1"),
            *(f"/{'a' * 30_000}", "/%c3%a9", "/%c0%ae%c0%ae/"),
        ),
        404,
    ),
    **dict.fromkeys(
        (
            *("/%76%32/orders", "/v2/carts/%00", "/v2/carts/%0d%0aX-Other:%20b", "/v2/carts/%ff"),
            *("/v2/carts/%", "/v2/carts/%zz", "/v2/products?x=%00", "/v2/products#x"),
            *(f"/v2/products?{'a' * 30_000}", f"/v2/products?{'&' * 2_000}"),
            "http://evil.example/v2/products",
        ),
        401,
    ),
    **dict.fromkeys(("/v2/products\0", "/v2/products\x7f\r", "v2/products", "/\xc3\xa9"), 400),
}


@pytest.mark.parametrize(("path", "status"), PATHS.items(), ids=lambda each: str(each)[:40])
def test_no_spelling_of_an_address_leads_elsewhere(server, path, status):
    answer = server.ask(path=path)

    assert answer.statuses == [status]
    assert not re.search(r"^x-other|SECRET_KEY =|root:", answer.text, re.MULTILINE | re.IGNORECASE)
    # Where a browser would be sent to TLS, it is sent to us.
    plain = server.send(f"GET {path} HTTP/1.0\r\n{HOST}\r\n\r\n")
    assert plain.location == "" or plain.location.startswith("https://shop.example.com/")
    assert not re.search(r"^x-other", plain.text, re.MULTILINE | re.IGNORECASE)


def test_other_versions_of_http_are_not_spoken(server):
    for sent in (
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        f"GET {LIVE}\r\n\r\n",
        "\x16\x03\x01\0\xa5\x01",
    ):
        assert 200 not in server.send(f"{sent}\r\n\r\n").statuses
    assert server.ask().statuses == [200]
