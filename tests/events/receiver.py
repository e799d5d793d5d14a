"""Whoever is told: a server on loopback that keeps what it gets and answers as a test wants it."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.concurrency import PATIENCE_SECONDS


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: bytes
    # Of which connection it was, counted from 1.
    connection: int


# How a request is answered, by the handler, which has the connection.
Answering = Callable[["Handler"], None]


def ok(handler: "Handler") -> None:
    handler.answer(200)


def status(code: int, body: bytes = b"", **headers: str) -> Answering:
    return lambda handler: handler.answer(code, body, **headers)


def raw(*parts: bytes) -> Answering:
    """Write these bytes for an answer, and end the connection."""

    def write(handler: "Handler") -> None:
        handler.close_connection = True
        for part in parts:
            handler.wfile.write(part)

    return write


def never(handler: "Handler") -> None:
    """Answer nothing until the test is over, or whoever asks has gone."""
    handler.close_connection = True
    handler.receiver.released.wait(PATIENCE_SECONDS)


def dripping(handler: "Handler") -> None:
    """Answer one byte after the other, for ever: each of them in time."""
    handler.close_connection = True
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
    while not handler.receiver.released.wait(0.02):
        handler.wfile.write(b".")


@dataclass
class Receiver:
    port: int = 0
    received: list[Received] = field(default_factory=list)
    # What the next requests get, and what all others do.
    answers: list[Answering] = field(default_factory=list)
    answering: Answering = ok
    connections: int = 0
    released: threading.Event = field(default_factory=threading.Event)
    # Set and waited for by each request.
    news: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def reset(self) -> None:
        self.released.set()
        self.released = threading.Event()
        self.received, self.answers, self.answering = [], [], ok

    def keep(self, received: Received) -> Answering:
        with self.news:
            self.received.append(received)
            self.news.notify_all()
            return self.answers.pop(0) if self.answers else self.answering

    def wait_for(self, count: int) -> list[Received]:
        with self.news:
            assert self.news.wait_for(lambda: len(self.received) >= count, PATIENCE_SECONDS)
            return list(self.received)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    receiver: Receiver

    def setup(self) -> None:
        super().setup()
        with self.receiver.news:
            self.receiver.connections += 1
            self.number = self.receiver.connections

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        told = {name.lower(): value for name, value in self.headers.items()}
        answering = self.receiver.keep(Received(self.path, told, body, self.number))
        try:
            answering(self)
        except OSError:
            # Whoever asked has gone.
            self.close_connection = True

    def answer(self, code: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *told: Any) -> None:
        """Say nothing of it."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # As many as may connect at once.
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is what some tests are about."""


@contextmanager
def receiving(context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    receiver = Receiver()
    handler = type("OfOne", (Handler,), {"receiver": receiver})
    with _Server(("127.0.0.1", 0), handler) as server:
        receiver.port = server.server_address[1]
        if context:
            # Each connection shakes hands when its thread reads.
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.released.set()
            server.shutdown()
            thread.join()
