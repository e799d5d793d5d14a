"""Requests to receivers of every kind, over real connections on loopback."""

import asyncio
import functools
import ssl
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpcore
import pytest

from api import clock
from events.models import BODY_MAX
from events.services.sending import Answer, Sender
from tests.events import receiver as receivers
from tests.events.receiver import Answering, Receiver, dripping, never, raw, receiving, status
from tests.served import free_port

BODY = b'{"triggered_by": "order.paid"}'
# So long waits a test that shows that nobody waits for longer.
SHORT = 0.3


@pytest.fixture(scope="module")
def serving() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def receiver(serving: Receiver) -> Receiver:
    serving.reset()
    return serving


# Reading all certificates that there are takes longer than most tests.
@functools.cache
def every_certificate() -> ssl.SSLContext:
    return httpcore.default_ssl_context()


async def posted(url: str, times: int = 1, **options) -> list[Answer]:
    sender = Sender(**{"trusted": every_certificate(), **options})
    try:
        return [await sender.post(url, {"X-Test": "a"}, BODY) for _ in range(times)]
    finally:
        await sender.close()


def post(url: str, **options) -> Answer:
    return asyncio.run(posted(url, **options))[0]


def post_to(receiver: Receiver, answering: Answering, **options) -> Answer:
    receiver.answering = answering
    return post(receiver.url, **options)


def test_a_delivery_arrives_whole_and_its_answer_is_kept(receiver: Receiver):
    answer = post_to(receiver, status(200, b"Thank you"))

    [received] = receiver.received
    assert received.path == "/hook"
    assert received.body == BODY
    assert received.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["content-length"] == str(len(BODY))
    assert received.headers["user-agent"].startswith("Holdfast/")
    assert received.headers["x-test"] == "a"
    assert (answer.succeeded, answer.status, answer.body) == (True, 200, "Thank you")


def test_a_connection_is_kept_for_the_next_event(receiver: Receiver):
    answers = asyncio.run(posted(receiver.url, times=3))

    assert all(answer.succeeded for answer in answers)
    assert len({received.connection for received in receiver.received}) == 1


@pytest.mark.parametrize("code", [201, 202, 204])
def test_every_2xx_is_a_success(receiver: Receiver, code: int):
    assert post_to(receiver, status(code)).succeeded


@pytest.mark.parametrize("code", [300, 400, 401, 404, 410, 429, 500, 503])
def test_everything_else_is_a_failure(receiver: Receiver, code: int):
    answer = post_to(receiver, status(code, b"Why"))

    assert not answer.succeeded
    assert (answer.status, answer.body) == (code, "Why")
    assert str(code) in answer.fault
    assert answer.is_gone is (code == 410)


def test_a_redirect_is_not_followed(receiver: Receiver):
    answer = post_to(receiver, status(307, Location=f"{receiver.url}/elsewhere"))

    assert answer.fault == "It answered 307; redirects are not followed."
    assert len(receiver.received) == 1


@pytest.mark.parametrize("answering", [never, dripping])
def test_whoever_takes_too_long_has_not_answered(receiver: Receiver, answering: Answering):
    answer = post_to(receiver, answering, seconds=SHORT)

    assert answer.status is None
    assert answer.fault == "No answer within 0.3 seconds."
    assert answer.milliseconds >= 300


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (b"HTTP/1.1 2",),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nnot all of it",),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nnot",),
        (b"\x00\x01\x02\x03 what is this\r\n\r\n",),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",),
        (b"HTTP/1.1 200 OK\r\nContent-Length: none\r\n\r\n",),
    ],
)
def test_an_answer_that_breaks_off_or_is_none_is_a_failure(receiver: Receiver, parts):
    answer = post_to(receiver, raw(*parts))

    assert not answer.succeeded
    assert answer.status is None
    assert len(answer.fault) <= 500


def test_nobody_listens():
    answer = post(f"http://127.0.0.1:{free_port()}/")

    assert answer.fault.startswith("No connection: ")


@pytest.mark.parametrize(
    "answering",
    [
        status(200, b"a" * 10_000_000),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + b"a" * 100_000),
        raw(b"HTTP/1.1 200 OK\r\n\r\n" + b"a" * 100_000),
    ],
)
def test_of_a_huge_answer_the_beginning_is_read_and_kept(receiver: Receiver, answering: Answering):
    receiver.answers = [answering]

    first, second = asyncio.run(posted(receiver.url, times=2))

    assert first.succeeded
    assert first.body == "a" * BODY_MAX
    # On another connection, since the rest of the answer is in the first one.
    assert second.succeeded
    assert len({received.connection for received in receiver.received}) == 2


@pytest.mark.parametrize("more", [b"ok", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"])
def test_what_comes_after_an_answer_is_not_taken_for_the_next_one(receiver: Receiver, more: bytes):
    def says_more(handler: receivers.Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 204 No Content\r\n\r\n" + more)

    receiver.answers = [says_more, status(500)]

    first, second = asyncio.run(posted(receiver.url, times=2))

    assert (first.status, second.status) == (204, 500)


def test_what_no_text_can_hold_is_replaced(receiver: Receiver):
    answer = post_to(receiver, status(500, b"\x00\xff\x1f\x8b" + "ä".encode()))

    assert answer.body == "\ufffd\ufffd\x1f\ufffdä"


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("9" * 30, 1e30),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("Fri, 99 Xyz 99999 00:00:00 GMT", None),
    ],
)
def test_how_long_to_wait_is_read_in_seconds(receiver: Receiver, told: str, seconds: float):
    assert post_to(receiver, status(503, Retry_After=told)).retry_after == pytest.approx(seconds)


@pytest.mark.parametrize(("minutes", "seconds"), [(5, 300), (-5, 0)])
def test_how_long_to_wait_is_read_as_a_moment(receiver: Receiver, minutes: int, seconds: int):
    now = datetime(2026, 11, 28, 5, tzinfo=UTC)
    told = format_datetime(now + timedelta(minutes=minutes), usegmt=True)

    with clock.replaced(lambda: now):
        answer = post_to(receiver, status(429, Retry_After=told))

    assert answer.retry_after == seconds
    assert answer.at == now


# Where it may go.


class leading_to:
    """A name server that says something else each time it is asked: the last for ever."""

    def __init__(self, *found: str) -> None:
        self.found = list(found)

    async def __call__(self, host: str, port: int) -> list[str]:
        return (self.found.pop(0) if len(self.found) > 1 else self.found[0]).split()


@pytest.fixture
def public(monkeypatch):
    """The loopback, taken for a public address, unlike 10.0.0.1."""
    monkeypatch.setattr(
        "events.services.addresses.is_inside", lambda address: address != "127.0.0.1"
    )


def hook(receiver: Receiver, host: str = "hooks.example.com") -> str:
    return receiver.url.replace("127.0.0.1", host)


def test_a_name_that_leads_inside_gets_no_connection(receiver: Receiver):
    connections = receiver.connections

    answer = post(hook(receiver), look_up=leading_to("127.0.0.1"))

    assert answer.fault == "hooks.example.com leads to an address inside this network."
    assert receiver.connections == connections


def test_nor_does_one_of_whose_addresses_a_single_one_is_inside(receiver: Receiver, public):
    connections = receiver.connections

    answer = post(hook(receiver), look_up=leading_to("127.0.0.1 10.0.0.1"))

    assert answer.status is None
    assert receiver.connections == connections


def test_a_host_that_is_named_may_lead_inside(receiver: Receiver, settings):
    settings.WEBHOOK_INSIDE_HOSTS = ["hooks.example.com"]

    assert post(hook(receiver), look_up=leading_to("127.0.0.1")).succeeded
    assert receiver.received[0].headers["host"] == f"hooks.example.com:{receiver.port}"


def test_the_connection_goes_to_the_address_that_was_looked_at(receiver: Receiver, public):
    """A name that leads to a public address at the first look, and inside at the second."""
    look_up = leading_to("127.0.0.1", "10.0.0.1")

    first, second = asyncio.run(posted(hook(receiver), times=2, look_up=look_up))

    # On one connection, for which the name was looked up once.
    assert first.succeeded
    assert second.succeeded
    assert look_up.found == ["10.0.0.1"]
    assert post(hook(receiver), look_up=look_up).status is None


def test_each_connection_looks_again(receiver: Receiver, public):
    receiver.answering = status(200, Connection="close")
    look_up = leading_to("127.0.0.1", "10.0.0.1")

    first, second = asyncio.run(posted(hook(receiver), times=2, look_up=look_up))

    assert first.succeeded
    assert second.fault == "hooks.example.com leads to an address inside this network."


def test_an_address_that_is_silent_leaves_time_for_the_next(receiver: Receiver, monkeypatch):
    monkeypatch.setattr("events.services.addresses.is_inside", lambda address: False)

    # Of the first, by RFC 3330, nobody is.
    answer = post(hook(receiver), look_up=leading_to("240.0.0.1 127.0.0.1"), seconds=2)

    assert answer.succeeded


def test_a_url_that_is_not_allowed_any_more_is_not_asked(receiver: Receiver, settings):
    settings.HOLDFAST_DEMO = False

    assert post(receiver.url).fault == "The URL must begin with https://."
    assert receiver.received == []


def test_a_proxy_of_the_environment_is_not_asked(receiver: Receiver, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")

    assert post_to(receiver, receivers.ok).succeeded


def test_an_unknown_name_is_no_connection():
    async def unknown(host: str, port: int) -> list[str]:
        raise OSError("Name or service not known")

    answer = post("https://hooks.example.com/", look_up=unknown)
    assert answer.fault == "No connection: Name or service not known."


def test_a_name_is_looked_up_by_the_system(receiver: Receiver):
    assert post(hook(receiver, "localhost")).succeeded


# TLS.


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    """The key and certificate of hooks.example.com, signed by itself."""
    folder: Path = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=hooks.example.com", "-out", "cert.pem"),
            *("-keyout", "key.pem", "-addext", "subjectAltName=DNS:hooks.example.com"),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="module")
def over_tls(certificate: Path) -> Iterator[Receiver]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    with receiving(context) as receiver:
        yield receiver


def test_a_certificate_is_checked_by_the_name_and_not_by_the_address(
    over_tls: Receiver, certificate: Path, public
):
    trusted = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    url = f"https://hooks.example.com:{over_tls.port}/hook"
    other = f"https://other.example.com:{over_tls.port}/hook"

    answer = post(url, look_up=leading_to("127.0.0.1"), trusted=trusted)
    of_another = post(other, look_up=leading_to("127.0.0.1"), trusted=trusted)

    assert answer.succeeded
    assert "certificate" in of_another.fault.lower()
    assert len(over_tls.received) == 1


def test_a_certificate_that_nobody_knows_is_not_believed(over_tls: Receiver, public):
    url = f"https://hooks.example.com:{over_tls.port}/hook"
    answer = post(url, look_up=leading_to("127.0.0.1"))

    assert "certificate" in answer.fault.lower()


def test_whoever_speaks_no_tls_gets_nothing(receiver: Receiver, public):
    url = f"https://hooks.example.com:{receiver.port}/hook"
    answer = post(url, look_up=leading_to("127.0.0.1"), seconds=2)

    assert not answer.succeeded
    assert receiver.received == []
