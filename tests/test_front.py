"""Who sends or reads slowly, or nothing at all, holds no thread; and nobody for ever."""

import asyncio
import contextlib
import http.client
import re
import socket
import threading
import time
import unittest.mock
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from django.core.exceptions import RequestDataTooBig

from config import front, wsgi
from tests.concurrency import PATIENCE_SECONDS
from tests.served import free_port

Application = Callable[[dict[str, Any], Any], Any]

MOST = 2**20
ASK = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"
SLOW_BODY = b"POST /slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nx"


class Site:
    """A server in a thread of this process, and what it is to answer."""

    def __init__(self, threads: int) -> None:
        self.port = free_port()
        self.threads = threads
        self.asked: list[dict[str, Any]] = []
        self.answers: Application = echo
        self.thread = threading.Thread(target=lambda: asyncio.run(self.serve()), daemon=True)

    async def serve(self) -> None:
        self.front = front.Front(self.threads)
        config = uvicorn.Config(
            self.front,
            port=self.port,
            interface="asgi3",
            http=front.Connection,
            ws="none",
            lifespan="off",
            proxy_headers=False,
            log_config=None,
            log_level="error",
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        self.server = uvicorn.Server(config)
        await self.server.serve()

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)

    def application(self, environ: dict[str, Any], start: Any) -> Any:
        self.asked.append(environ)
        return self.answers(environ, start)

    # A caller.

    def call(self, sent: bytes) -> socket.socket:
        wire = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS)
        wire.sendall(sent)
        return wire

    def told(self, sent: bytes) -> str:
        """Return all that comes until the server closes."""
        with self.call(sent) as wire:
            return all_of(wire)

    def get(self, path: str = "/", method: str = "GET") -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        connection.request(method, path)
        return connection.getresponse()


def all_of(wire: socket.socket) -> str:
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while part := wire.recv(65_536):
            received += part
    return received.decode("latin-1")


def parts_of(wire: socket.socket, length: int) -> Iterator[bytes]:
    while length > 0 and (part := wire.recv(MOST)):
        length -= len(part)
        yield part


def until_told(wire: socket.socket, what: bytes) -> bytes:
    """Return all that comes until it ends so."""
    received = b""
    while not received.endswith(what):
        part = wire.recv(65_536)
        assert part, received
        received += part
    return received


def echo(environ: dict[str, Any], start: Any) -> list[bytes]:
    start("200 OK", [("Content-Type", "text/plain")])
    return [environ["wsgi.input"].read()]


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """One with a single thread."""
    site = Site(threads=1)
    monkeypatch.setattr(wsgi, "application", site.application)
    site.thread.start()
    until(lambda: getattr(site, "server", None) and site.server.started)
    yield site
    site.server.should_exit = True
    site.thread.join(PATIENCE_SECONDS)
    assert not site.thread.is_alive()
    assert not front.Connection.arriving
    assert front.Connection.bodies_bytes == 0


# Slow senders.


@pytest.mark.parametrize("connections", [16, 200])
def test_t38_bodies_that_do_not_come_hold_no_thread(site, connections):
    with contextlib.ExitStack() as stack:
        for _ in range(connections):
            stack.enter_context(site.call(SLOW_BODY))
        until(lambda: len(front.Connection.arriving) == connections)

        assert site.get().status == 200
        assert len(site.asked) == 1


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: local"])
def test_t38_nor_do_heads_and_callers_who_say_nothing(site, sent):
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(site.call(sent))

        assert site.get().status == 200


def test_t38_a_body_that_does_not_come_is_given_up(site, monkeypatch):
    monkeypatch.setattr(front, "BODY_SECONDS", 0.1)
    monkeypatch.setattr(front, "BYTES_A_SECOND", 10**9)

    told = site.told(SLOW_BODY)

    assert told.startswith("HTTP/1.1 408 ")
    assert "connection: close" in told
    assert not site.asked


@pytest.mark.parametrize(
    ("before", "sent"),
    [
        (b"", b""),
        (b"", b"GET / HTTP/1.1\r\nHost: local"),
        (b"", b"\r\n"),
        (ASK % b"/", b"GET / HTTP/1.1\r\nHost: local"),
        (ASK % b"/", b"\r\n"),
    ],
)
def test_t38_a_head_that_does_not_come_is_given_up(site, monkeypatch, before, sent):
    monkeypatch.setattr(front, "HEAD_SECONDS", 0.1)
    with site.call(before) as wire:
        if before:
            assert b" 200 OK" in wire.recv(65_536)
        wire.sendall(sent)

        assert all_of(wire).startswith("HTTP/1.1 408 ")


def test_t38_a_connection_that_asks_for_nothing_more_ends(site, monkeypatch):
    site.server.config.timeout_keep_alive = 0.1

    assert site.told(ASK % b"/").startswith("HTTP/1.1 200 ")


def test_t38_bodies_take_only_so_much_memory_and_the_oldest_makes_room(site, monkeypatch):
    monkeypatch.setattr(front, "BODIES_BYTES_MAX", 100_000)
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n"
    with site.call(head + b"x" * 59_000) as oldest:
        until(lambda: front.Connection.bodies_bytes == 59_000)
        with site.call(head + b"x" * 59_000) as younger:
            assert all_of(oldest).startswith("HTTP/1.1 503 ")

            younger.sendall(b"x" * 1_000)
            assert younger.recv(100).startswith(b"HTTP/1.1 200 ")


def test_t38_of_many_who_say_nothing_the_oldest_makes_room(site, monkeypatch):
    monkeypatch.setattr(front, "WAITING_CONNECTIONS_MAX", 2)
    with site.call(b"") as oldest, site.call(b""), site.call(b"GET") as youngest:
        assert all_of(oldest) == ""

        youngest.sendall(b" / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert youngest.recv(100).startswith(b"HTTP/1.1 200 ")


def test_t38_so_it_does_of_those_who_have_their_answer_and_ask_for_nothing_more(site, monkeypatch):
    monkeypatch.setattr(front, "WAITING_CONNECTIONS_MAX", 2)
    with site.call(ASK % b"/") as oldest:
        until_told(oldest, b"\r\n\r\n")
        with site.call(b""), site.call(b"GET") as youngest:
            assert all_of(oldest) == ""

            youngest.sendall(b" / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert youngest.recv(100).startswith(b"HTTP/1.1 200 ")


def test_t38_and_of_those_whose_bodies_do_not_come(site, monkeypatch):
    monkeypatch.setattr(front, "WAITING_CONNECTIONS_MAX", 2)
    with site.call(SLOW_BODY) as oldest, contextlib.ExitStack() as younger:
        until(lambda: len(front.Connection.arriving) == 1)
        younger.enter_context(site.call(SLOW_BODY))
        until(lambda: len(front.Connection.arriving) == 2)
        younger.enter_context(site.call(SLOW_BODY))
        assert all_of(oldest).startswith("HTTP/1.1 503 ")
        assert site.get().status == 200


# Bodies, as they reach Django.


def test_a_body_in_chunks_is_handed_on_with_its_length(site):
    told = site.told(
        b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )

    assert told.endswith("\r\n\r\nabcde")
    [environ] = site.asked
    assert environ["CONTENT_LENGTH"] == "5"


@pytest.mark.parametrize("rest", ["zz\r\nabc\r\n", "3\r\nabcd\r\n", "-1\r\n"])
def test_a_body_in_broken_chunks_is_never_taken_in_part(site, rest):
    told = site.told(
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
        + rest.encode()
    )

    assert told.startswith("HTTP/1.1 400 ")
    assert not site.asked


@pytest.mark.parametrize("told_how", [b"Content-Length: 9", b"Transfer-Encoding: chunked"])
def test_a_body_that_is_broken_off_is_never_taken_in_part(site, told_how):
    with site.call(b"POST / HTTP/1.1\r\nHost: localhost\r\n" + told_how + b"\r\n\r\n3\r\nabc\r\n"):
        until(lambda: front.Connection.arriving)
    until(lambda: not front.Connection.arriving)

    assert site.get().status == 200
    assert len(site.asked) == 1


def chunked(length: int) -> bytes:
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    body = b"%x\r\n" % length + b"x" * length + b"\r\n0\r\n\r\n"
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + body


def test_a_body_in_chunks_may_be_as_long_as_any_other(site):
    told = site.told(chunked(MOST))

    assert told.endswith("x" * MOST)
    assert site.asked[0]["CONTENT_LENGTH"] == str(MOST)


def test_t39_of_a_longer_one_in_chunks_nothing_is_read(site):
    def read(environ: dict[str, Any], start: Any) -> list[bytes]:
        with pytest.raises(RequestDataTooBig):
            environ["wsgi.input"].read()
        start("413 Content Too Large", [])
        return [b"too much"]

    site.answers = read

    told = site.told(chunked(3 * MOST))

    assert told.startswith("HTTP/1.1 413 ")
    assert "connection: close" in told
    assert int(site.asked[0]["CONTENT_LENGTH"]) > 100 * MOST


@pytest.mark.parametrize("name", [b"X-Forwarded-For", b"Authorization", b"Content-Type"])
def test_what_stands_behind_a_body_is_no_header(site, name):
    """A proxy looks at headers and hands on what is there, as HAProxy does."""
    site.told(
        b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        + name
        + b": ours\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
        + name
        + b": theirs\r\nX-Other: theirs\r\n\r\n"
    )

    [environ] = site.asked
    assert "ours" in environ.values()
    assert not [value for value in environ.values() if "theirs" in str(value)]


def test_t39_what_stands_behind_a_body_has_an_end(site):
    with site.call(chunked(2)[:-2] + b"X-Endless: ") as wire:
        until(lambda: front.Connection.arriving)
        with contextlib.suppress(ConnectionError):
            wire.sendall(b"a" * 2 * MOST)

        assert all_of(wire)[9:12] in {"431", ""}
    assert site.asked == []


LONG = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"


def test_a_long_body_is_read_by_the_thread_as_it_comes(site):
    def count(environ: dict[str, Any], start: Any) -> list[bytes]:
        read = 0
        while part := environ["wsgi.input"].read(100_000):
            read += len(part)
        start("200 OK", [])
        return [b"%d" % read]

    site.answers = count
    with site.call(LONG % (5 * MOST)) as wire:
        until(lambda: site.asked)
        wire.sendall(b"x" * (5 * MOST))

        assert until_told(wire, b"%d" % (5 * MOST))


def test_t38_one_that_does_not_come_frees_its_thread(site, monkeypatch):
    monkeypatch.setattr(front, "BODY_SECONDS", 0.2)
    monkeypatch.setattr(front, "BYTES_A_SECOND", 10**9)

    assert site.told(LONG % (5 * MOST) + b"x").startswith("HTTP/1.1 408 ")
    assert site.get().status == 200


def test_t38_half_of_the_threads_at_most_read_long_bodies(site, monkeypatch):
    monkeypatch.setattr(front, "TURN_SECONDS", 0)
    turns = threading.BoundedSemaphore(1)

    async def never() -> dict[str, Any]:
        raise AssertionError

    async def bodies() -> front._Body:
        return front._Body(never, turns)

    body = asyncio.run(bodies())
    with turns, pytest.raises(TimeoutError):
        body.read()


def test_t39_who_sends_what_is_not_read_is_told_so(site):
    """Closed at once, the connection would take the answer with it."""

    def refuse(environ: dict[str, Any], start: Any) -> list[bytes]:
        start("413 Content Too Large", [])
        return [b"too much"]

    site.answers = refuse

    with site.call(LONG % (3 * MOST)) as wire:
        for _ in range(3):
            wire.sendall(b"x" * MOST)
        told = all_of(wire)

    assert told.startswith("HTTP/1.1 413 ")
    assert "connection: close" in told
    assert told.endswith("too much")


def test_who_waits_to_be_told_to_go_on_is_told(site):
    head = (
        b"POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    )
    with site.call(head) as wire:
        assert wire.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.sendall(b"abc")

        assert until_told(wire, b"\r\n\r\nabc")


# Slow readers.


def long_answer(environ: dict[str, Any], start: Any) -> list[bytes]:
    start("200 OK", [])
    return [b"x" * (20 * MOST if environ["PATH_INFO"] == "/long" else 1)]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long answers are kept as others are, or so large ones would not be."""
    monkeypatch.setattr(front, "ANSWER_BYTES_MAX", 100 * MOST)


@pytest.mark.usefixtures("kept")
def test_t40_an_answer_that_is_not_read_holds_no_thread(site):
    site.answers = long_answer
    with site.call(ASK % b"/long"):
        until(lambda: front.Connection.unread)

        assert site.get().status == 200


@pytest.mark.usefixtures("kept")
def test_t40_an_answer_that_is_not_read_is_given_up(site, monkeypatch):
    monkeypatch.setattr(front, "READ_SECONDS", 0.1)
    site.answers = long_answer
    with site.call(ASK % b"/long") as wire:
        until(lambda: front.Connection.unread)
        until(lambda: not front.Connection.unread)

        assert len(all_of(wire)) < 20 * MOST


@pytest.mark.parametrize(("read", "is_given_up"), [(front.READ_BYTES, False), (1_000, True)])
def test_who_reads_slowly_but_reads_gets_all_of_it(read, is_given_up):
    """A loop that fires a moment later, and a transport of which so much was taken meanwhile."""
    connection = front.Connection.__new__(front.Connection)
    connection.transport = unittest.mock.Mock()
    connection.loop = unittest.mock.Mock()
    connection.transport.get_write_buffer_size.return_value = 100_000

    connection._expect_reading()
    _, look, expected = connection.loop.call_later.call_args.args
    connection.transport.get_write_buffer_size.return_value = 100_000 - read
    look(expected)

    assert connection.transport.abort.called == is_given_up


@pytest.mark.usefixtures("kept")
def test_t40_answers_that_wait_take_only_so_much_memory(site, monkeypatch):
    monkeypatch.setattr(front, "ANSWERS_BYTES_MAX", 30 * MOST)
    site.answers = long_answer
    with site.call(ASK % b"/long") as oldest:
        until(lambda: front.Connection.unread)
        with site.call(ASK % b"/long") as younger:
            until(lambda: len(site.asked) == 2)
            assert len(all_of(oldest)) < 20 * MOST
            assert sum(len(part) for part in parts_of(younger, 20 * MOST)) >= 20 * MOST


class Endless:
    """An answer that is made while it is read."""

    def __init__(self) -> None:
        self.made, self.is_closed = 0, False

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self.made += 1
            yield b"x" * MOST

    def close(self) -> None:
        self.is_closed = True


def test_a_stream_is_made_no_faster_than_it_is_read_and_ends_with_the_reader(site):
    endless = Endless()

    def stream(environ: dict[str, Any], start: Any) -> Endless:
        start("200 OK", [])
        return endless

    site.answers = stream
    with site.call(ASK % b"/") as wire:
        until(lambda: front.Connection.unread)
        made = endless.made
        assert made < 20
        read = sum(len(wire.recv(MOST)) for _ in range(1_000))
        assert endless.made <= made + read // MOST + 20
        assert not endless.is_closed
    until(lambda: endless.is_closed)
    site.answers = echo
    assert site.get().status == 200


def test_t40_a_stream_that_is_not_read_is_given_up(site, monkeypatch):
    monkeypatch.setattr(front, "READ_SECONDS", 0.1)
    endless = Endless()

    def stream(environ: dict[str, Any], start: Any) -> Endless:
        start("200 OK", [])
        return endless

    site.answers = stream
    with site.call(ASK % b"/"):
        until(lambda: endless.is_closed)


def test_a_stream_comes_whole_and_in_order(site):
    pieces = [bytes([65 + number]) * MOST for number in range(7)]

    def stream(environ: dict[str, Any], start: Any) -> Iterator[bytes]:
        start("200 OK", [])
        return iter(pieces)

    site.answers = stream

    assert site.get().read() == b"".join(pieces)


def test_a_stream_that_breaks_is_not_taken_for_a_whole_one(site):
    def stream(environ: dict[str, Any], start: Any) -> Iterator[bytes]:
        start("200 OK", [])
        return broken()

    def broken() -> Iterator[bytes]:
        yield b"x" * 3 * MOST
        yield b"x" * 3 * MOST
        raise RuntimeError

    site.answers = stream

    with pytest.raises(http.client.IncompleteRead):
        site.get().read()


# Answers.


def test_an_answer_tells_its_length_once(site):
    def answer(environ: dict[str, Any], start: Any) -> list[bytes]:
        start("200 OK", [("Content-Length", "3")] if environ["PATH_INFO"] == "/told" else [])
        return [b"a", b"bc"]

    site.answers = answer

    for path in ("/told", "/untold"):
        answered = site.get(path)
        assert answered.headers.get_all("content-length") == ["3"]
        assert answered.read() == b"abc"


@pytest.mark.parametrize(
    ("method", "status"), [("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Unmodified")]
)
def test_an_answer_without_a_body_keeps_the_connection(site, method, status):
    def answer(environ: dict[str, Any], start: Any) -> list[bytes]:
        start(status, [])
        return [b"never sent"] if method == "HEAD" else []

    site.answers = answer
    asked = ASK.replace(b"GET", method.encode()) % b"/"

    with site.call(asked) as wire:
        for _ in range(2):
            told = wire.recv(65_536)
            assert told.startswith(b"HTTP/1.1 " + status[:3].encode())
            assert told.endswith(b"\r\n\r\n")
            wire.sendall(asked)


def test_requests_that_come_together_are_answered_in_order(site):
    def tell(environ: dict[str, Any], start: Any) -> list[bytes]:
        start("200 OK", [])
        return [environ["PATH_INFO"].encode()]

    site.answers = tell
    last = b"GET /c HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    told = site.told(ASK % b"/a" + ASK % b"/b" + last)

    assert re.findall(r"\r\n\r\n(/.)", told) == ["/a", "/b", "/c"]


@pytest.mark.parametrize("offer", [b"h2c", b"websocket", b"TLS/1.2"])
@pytest.mark.parametrize("length", [b"Content-Length: 3\r\n\r\nabc", b"X: y\r\n\r\n"])
def test_whoever_offers_to_speak_something_else_is_answered_as_anybody(site, offer, length):
    """Java's client does so in its first request, and sends the body behind it."""
    asked = b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: " + offer
    asked += b"\r\n" + length
    last = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    told = site.told(asked + last)
    with site.call(asked[:-1]) as wire:
        wire.sendall(asked[-1:] + last)
        told_in_parts = all_of(wire)

    for each in (told, told_in_parts):
        assert re.findall(r"HTTP/1.1 (\d{3}) ", each) == ["200", "200"]
    assert ("abc" in told) == ("abc" in told_in_parts) == (b"abc" in length)


@pytest.fixture
def gate(site) -> Iterator[threading.Event]:
    """Opened, it lets the site answer /slow."""
    gate = threading.Event()

    def answer(environ: dict[str, Any], start: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/slow":
            gate.wait(PATIENCE_SECONDS)
        return echo(environ, start)

    site.answers = answer
    yield gate
    gate.set()


@pytest.mark.parametrize(("seconds", "asked"), [(0, ["/slow", "/"]), (60, ["/slow", "/left", "/"])])
def test_t45_what_nobody_waits_for_any_more_keeps_nobody_waiting(
    site, gate, monkeypatch, seconds, asked
):
    """After an outage a thousand of them stood before those who had just come, for ever."""
    monkeypatch.setattr(front, "STALE_SECONDS", seconds)
    with site.call(ASK % b"/slow"), site.call(ASK % b"/left") as left:
        until(lambda: site.front._jobs.qsize() == 1)
        left.close()
        until(lambda: site.connections == 1)
        gate.set()

        assert site.get().status == 200
    assert [environ["PATH_INFO"] for environ in site.asked] == asked


def test_who_asks_on_and_on_without_an_answer_is_cut_off(site, gate):
    """Each request takes memory a hundred times its size."""
    asked = ASK % b"/slow"

    assert site.told(asked * (front.PIPELINED_MAX + 2)) == ""
    assert len(site.asked) <= 1


def test_so_many_may_wait_for_the_one_before_them(site, gate):
    with site.call(ASK % b"/slow" + (ASK % b"/") * front.PIPELINED_MAX) as wire:
        until(lambda: site.asked)
        gate.set()
        until(lambda: len(site.asked) == front.PIPELINED_MAX + 1)
        assert wire.recv(MOST).startswith(b"HTTP/1.1 200 ")


def test_nothing_more_is_read_while_requests_wait_for_their_turn(site, gate):
    """Else each answer would let in as many again, and each body a whole one."""
    waiting = (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}") * 50
    with site.call(ASK % b"/slow" + waiting) as wire:
        until(lambda: site.asked)
        wire.sendall(waiting * 2)
        gate.set()
        until(lambda: len(site.asked) == 151)


def test_a_body_may_still_be_arriving_when_its_turn_comes(site, gate, monkeypatch):
    """The time for it begins then: nothing of it is read before."""
    monkeypatch.setattr(front, "BODY_SECONDS", 0.2)
    begun = b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{"
    with site.call(ASK % b"/slow" + begun) as wire:
        assert not gate.wait(0.4)
        gate.set()
        wire.sendall(b"}")

        told = all_of(wire)
        assert re.findall(r"^HTTP/1.1 (\d{3}) ", told, re.MULTILINE) == ["200", "200"]
        assert told.endswith("{}")


@pytest.mark.parametrize("behind", [b"\0\1\r\n\r\n", b"GET /" + b"a" * 600_000])
def test_what_is_wrong_with_the_next_request_is_no_answer_to_this_one(site, gate, behind):
    with site.call(ASK % b"/slow") as wire:
        until(lambda: site.asked)
        with contextlib.suppress(ConnectionError):
            wire.sendall(behind)

        assert all_of(wire) == ""


def test_what_breaks_is_a_500_and_the_next_call_is_answered(site):
    def broken(environ: dict[str, Any], start: Any) -> list[bytes]:
        raise RuntimeError("secret")

    site.answers = broken
    answered = site.get()
    site.answers = echo

    assert answered.status == 500
    assert b"secret" not in answered.read()
    assert site.get().status == 200


def test_one_more_than_may_wait_is_told_to_come_again(site, monkeypatch):
    monkeypatch.setattr(front, "WAITING_MAX", 2)
    go_on = threading.Event()

    def wait(environ: dict[str, Any], start: Any) -> list[bytes]:
        go_on.wait(PATIENCE_SECONDS)
        return echo(environ, start)

    site.answers = wait
    with contextlib.ExitStack() as stack:
        callers = [stack.enter_context(site.call(ASK % b"/"))]
        until(lambda: site.asked)
        callers += [stack.enter_context(site.call(ASK % b"/")) for _ in range(2)]
        until(lambda: site.get().status == 503)
        refused = site.get()
        go_on.set()
        answered = [caller.recv(100)[:12] for caller in callers]

    assert refused.headers["Retry-After"] == "1"
    assert b'"busy"' in refused.read()
    assert answered == [b"HTTP/1.1 200"] * 3


# What Django is told.


def test_the_environment_is_the_one_of_the_call(site):
    site.told(
        b"GET /a%20b/%c3%a9?x=%20 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Cookie: a=1\r\nCookie: b=2\r\nX-Two: 1\r\nX-Two: 2\r\nContent-Type: text/plain\r\n\r\n"
    )

    [environ] = site.asked
    assert environ["REQUEST_METHOD"] == "GET"
    assert environ["PATH_INFO"] == "/a b/\xc3\xa9"
    assert environ["QUERY_STRING"] == "x=%20"
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["HTTP_HOST"] == "localhost"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"
    assert environ["HTTP_X_TWO"] == "1,2"
    assert environ["CONTENT_TYPE"] == "text/plain"


def test_no_header_is_taken_for_one_of_a_proxy(site):
    """`X_Forwarded_For` would have the same name in the environment."""
    site.told(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"X_Forwarded_For: 1.2.3.4\r\n\r\n"
    )

    assert "HTTP_X_FORWARDED_FOR" not in site.asked[0]


@pytest.mark.parametrize(
    "head",
    [
        b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (b"a" * front.HEAD_BYTES_MAX),
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: %s\r\n\r\n" % (b"a" * front.HEAD_BYTES_MAX),
        # Without an end.
        b"GET / HTTP/1.1\r\nX: %s" % (b"a" * 2 * front.HEAD_BYTES_MAX),
        b"GET /%s" % (b"a" * 2 * front.HEAD_BYTES_MAX),
        b"GET / HTTP/1.1\r\n%s\r\n" % (b"X: a\r\n" * (front.HEADERS_MAX + 1)),
    ],
)
def test_t39_so_much_stands_above_a_body_and_no_more(site, head):
    told = site.told(head)

    assert told == "" or told.startswith("HTTP/1.1 431 ")
    assert not site.asked


# Health.


def test_t47_that_it_lives_is_told_while_all_threads_wait(site):
    go_on, waited = threading.Event(), list[bool]()

    def wait(environ: dict[str, Any], start: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/health/live":
            start("200 OK", [])
            return [b"ok"]
        waited.append(go_on.wait(PATIENCE_SECONDS))
        return echo(environ, start)

    site.answers = wait
    with site.call(ASK % b"/"):
        until(lambda: site.asked)

        assert site.get("/health/live").read() == b"ok"
        assert not waited
        go_on.set()
