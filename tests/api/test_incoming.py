"""How much of a body is read, and by how many at once."""

import contextlib
import http.client
import io
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.test import RequestFactory

from api import incoming
from config import wsgi
from config.supervisor import PROJECT, WEB_THREADS, granian_options
from tests.concurrency import PATIENCE_SECONDS

MOST = 2**20


@pytest.fixture
def held_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As many threads as may read bodies wait for ones that do not come."""
    monkeypatch.setattr(incoming, "TURN_SECONDS", 0)
    with contextlib.ExitStack() as stack:
        while incoming._turns.acquire(blocking=False):
            stack.callback(incoming._turns.release)
        yield


@pytest.mark.usefixtures("held_up")
def test_t38_a_body_is_not_waited_for_while_others_are():
    with pytest.raises(TimeoutError):
        incoming.Body(io.BytesIO(b"x"), MOST).read()


@pytest.mark.usefixtures("held_up")
def test_who_is_known_is_read_all_the_same():
    body = incoming.Body(io.BytesIO(b"x"), MOST)
    body.trust()

    assert body.read() == b"x"


def test_t38_one_thread_reads_no_body_whoever_sends_it(monkeypatch):
    monkeypatch.setattr(incoming, "TURN_SECONDS", 0)
    known = incoming.Body(io.BytesIO(b"x"), MOST)
    known.trust()

    with contextlib.ExitStack() as stack:
        for _ in range(WEB_THREADS - 1):
            assert incoming._turns_of_all.acquire(blocking=False)
            stack.callback(incoming._turns_of_all.release)
        with pytest.raises(TimeoutError):
            known.read()
    assert known.read() == b"x"


def test_whoever_has_read_leaves_the_turn_to_the_next():
    class Broken:
        def read(self, size: int, /) -> bytes:
            raise ConnectionResetError

    for _ in range(9):
        assert incoming.Body(io.BytesIO(b"x"), MOST).read() == b"x"
        with pytest.raises(ConnectionResetError):
            incoming.Body(Broken(), MOST).read()


def test_half_of_the_threads_serve_whatever_the_others_read():
    assert 0 < settings.BODY_READS_MAX <= WEB_THREADS // 2


@pytest.mark.parametrize("size", [-1, 4, MOST])
def test_t39_no_more_is_read_than_may_be(size):
    stream = io.BytesIO(b"x" * 100)
    body = incoming.Body(stream, 10)

    with pytest.raises(RequestDataTooBig):
        read_all(body, size)

    assert stream.tell() <= 11


def read_all(body: incoming.Body, size: int) -> None:
    while body.read(size):
        pass


# At the door.


def handed_on(monkeypatch: pytest.MonkeyPatch, **environ: Any) -> dict[str, Any]:
    given = dict[str, Any]()
    monkeypatch.setattr(wsgi, "_django", lambda environ, start: given.update(environ))
    wsgi.application({"REMOTE_ADDR": "127.0.0.1", **environ}, None)
    return given


CHUNKS = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}


def test_a_body_in_chunks_is_read_to_its_end(monkeypatch):
    """The web server hands it on to be read to its end, and nobody has said where that is."""
    given = handed_on(monkeypatch, **CHUNKS, **{"wsgi.input": io.BytesIO(b"x" * 10)})

    assert int(given["CONTENT_LENGTH"]) == MOST
    assert given["wsgi.input"].read(MOST) == b"x" * 10


@pytest.mark.parametrize("size", [65_536, MOST, 2 * MOST, -1])
def test_t39_of_a_body_in_chunks_no_more_is_read_than_of_any_other(monkeypatch, size):
    given = handed_on(monkeypatch, **CHUNKS, **{"wsgi.input": io.BytesIO(b"x" * (MOST + 1))})

    with pytest.raises(RequestDataTooBig):
        read_all(given["wsgi.input"], size)


def test_t39_of_a_body_in_chunks_no_part_is_taken_for_the_whole(monkeypatch):
    """Django asks but once, for as much as it was told that there is."""
    given = handed_on(monkeypatch, **CHUNKS, **{"wsgi.input": io.BytesIO(b"x" * (MOST + 1))})

    with pytest.raises(RequestDataTooBig):
        given["wsgi.input"].read(MOST)


def test_a_body_in_chunks_may_be_as_long_as_any_other(monkeypatch):
    given = handed_on(monkeypatch, **CHUNKS, **{"wsgi.input": io.BytesIO(b"x" * MOST)})

    assert len(given["wsgi.input"].read(MOST)) == MOST


def test_a_file_that_comes_in_chunks_is_never_taken_in_part(monkeypatch):
    stream = io.BytesIO()
    sent = {**CHUNKS, "CONTENT_TYPE": "multipart/form-data; boundary=b", "wsgi.input": stream}

    assert handed_on(monkeypatch, **sent)["wsgi.input"] is stream


@pytest.mark.parametrize("length", [None, "", "0", "-1", "ten"])
def test_a_request_without_a_body_is_handed_on_as_it_is(monkeypatch, length):
    stream = io.BytesIO()
    sent: dict[str, Any] = {"wsgi.input": stream, "CONTENT_LENGTH": length}

    assert handed_on(monkeypatch, **sent)["wsgi.input"] is stream


@pytest.mark.parametrize(("told", "is_refused"), [("10", False), ("11", True)])
def test_t39_a_body_that_says_to_be_too_long_is_refused_before_it_is_read(told, is_refused):
    request = RequestFactory().generic("POST", "/", b"x" * 10, CONTENT_LENGTH=told)

    refused = pytest.raises(RequestDataTooBig) if is_refused else contextlib.nullcontext()
    with refused:
        incoming.read(request, 10)


@pytest.mark.parametrize(("size", "closes"), [(None, True), (4, True), (10, False), (-1, False)])
def test_who_is_answered_without_being_read_is_told_that_the_connection_ends(
    monkeypatch, size, closes
):
    told: list[Any] = []

    def answer(environ: dict[str, Any], start: Any) -> None:
        if size is not None:
            environ["wsgi.input"].read(size)
        start("401 Unauthorized", [("X", "y")])

    monkeypatch.setattr(wsgi, "_django", answer)
    sent = {"wsgi.input": io.BytesIO(b"x" * 10), "CONTENT_LENGTH": "10"}
    wsgi.application({"REMOTE_ADDR": "127.0.0.1", **sent}, lambda *given: told.append(given))

    assert told == [("401 Unauthorized", [("X", "y"), *[("Connection", "close")] * closes])]


# With the web server.


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def port() -> Iterator[int]:
    """A web server with two threads; what it is asked here needs no database."""
    port = _free_port()
    command = [*(sys.executable, "-m", "granian", "--interface", "wsgi", "--http", "1", "--no-ws")]
    command += ["--port", str(port), "--workers", "1", "--blocking-threads", "2"]
    options = granian_options(str(port))
    command += options[options.index("--http1-buffer-size") :][:4]
    command += ["--workers-kill-timeout", "1", "--log-level", "error", "config.wsgi:application"]
    environ = os.environ | {"HOLDFAST_DEMO": "1", "BODY_READS_MAX": "1"}
    server = subprocess.Popen(command, cwd=PROJECT, env=environ)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                assert status_of(port, "GET", "/health/live") == 200
                break
            time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait(PATIENCE_SECONDS)


def status_of(port: int, method: str, path: str, body: str = "", **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    with contextlib.closing(connection):
        connection.request(method, path, body, headers)
        return connection.getresponse().status


@pytest.mark.processes
def test_t39_so_much_may_stand_above_a_body_and_no_more(port):
    assert status_of(port, "GET", "/health/live", X="x" * 30_000) == 200
    assert status_of(port, "GET", "/health/live", X="x" * 60_000) == 431
    # A request line of 16 kB reaches the application.
    assert status_of(port, "GET", f"/v2/products?filter={'x' * 16_000}") == 401


@pytest.mark.processes
def test_t38_sixteen_bodies_that_do_not_come_stop_nobody(port):
    """Without a turn to read, sixteen would hold both threads until they go away."""
    head = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nx"
    with contextlib.ExitStack() as stack:
        for path in [b"/webhooks/test", b"/v2/carts"] * 8:
            slow = socket.create_connection(("127.0.0.1", port))
            stack.enter_context(contextlib.closing(slow)).sendall(head % path)

        assert status_of(port, "GET", "/health/live") == 200
        assert status_of(port, "GET", "/v2/docs") == 200
        # Who may not call is told without a look at the body.
        assert status_of(port, "POST", "/v2/carts", "{}") == 401
        assert status_of(port, "POST", "/webhooks/test", "{}") == 503

    assert status_of(port, "GET", "/health/live") == 200
