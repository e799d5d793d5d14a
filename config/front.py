"""What stands between the network and Django: an event loop, and a few threads behind it.

The loop reads a request to its end before a thread takes it, and hands the answer out when the
thread has long gone on. So whoever sends or reads slowly holds some memory here for some seconds,
and no thread. The loop itself says that the process lives, whatever the threads wait for.
"""

import asyncio
import contextlib
import functools
import queue
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from http import HTTPStatus
from io import BytesIO
from typing import Any, NoReturn
from urllib.parse import unquote_to_bytes

import httptools
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from api import traffic
from api.errors import Busy, refused
from config import wsgi

Environ = dict[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# What stands above a body: request line and headers, how many, and how long they are waited for.
HEAD_BYTES_MAX = 32_768
HEADERS_MAX = 100
HEAD_SECONDS = 10
# A body has this long, and a second more for every so many bytes.
BODY_SECONDS = 10
BYTES_A_SECOND = 32_768
# Bodies that are still arriving or wait for a thread, together in a process. Beyond that, the one
# that has been arriving for the longest time is given up.
BODIES_BYTES_MAX = 64 * 2**20
# Of an answer that waits to be read, so much must be taken in such a time; and so much may wait in
# a process. Beyond that, the one that has waited for the longest time is given up.
READ_SECONDS = 10
READ_BYTES = 16_384
ANSWERS_BYTES_MAX = 64 * 2**20
# Connections in a process that ask for nothing, whose bodies arrive, or whose answers wait to be
# read: so many of each. Beyond that, the one that has waited for the longest time is closed.
WAITING_CONNECTIONS_MAX = 1_000
# Longer than proxies keep theirs: they would else send a call into one that is just being closed.
KEEP_ALIVE_SECONDS = 75
# Requests that one connection may send before it has its answers.
PIPELINED_MAX = 100
# Requests that wait for a thread. One more is told at once to come again.
WAITING_MAX = 1_000
# After so long, a request whose caller has left meanwhile is not begun any more: else those that
# nobody waits for would keep waiting those that came after an outage.
STALE_SECONDS = 1
# A longer answer is handed out while it is made, which holds its thread.
ANSWER_BYTES_MAX = 2 * 2**20
PIECE_BYTES = 65_536
# How long a thread waits for its turn to read a long body.
TURN_SECONDS = 0.25
# Who sends what is not read is answered, and heard out for so long, or would miss the answer.
LINGER_SECONDS = 2

LIVE = "/health/live"
# What a request knows of its caller.
LEFT = "left"
# As nginx has it: nobody was there any more.
LEFT_STATUS = 499


class _Flow(FlowControl):
    """Reads nothing more as long as requests wait for the answers to those before them."""

    def __init__(self, connection: "Connection") -> None:
        super().__init__(connection.transport)
        self._pipeline = connection.pipeline

    def resume_reading(self) -> None:
        if not self._pipeline:
            super().resume_reading()


class _Parser(httptools.HttpRequestParser):
    """Goes on with HTTP/1.1 where somebody offers to speak something else, as Java's client does.

    The library takes whatever follows such a head, its body too, for something else already.
    """

    def __init__(self, connection: "Connection") -> None:
        super().__init__(connection)
        self._connection = connection

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]
        try:
            super().feed_data(data)
        except httptools.HttpParserUpgrade as told:
            self._connection.decline_to_change(data[told.args[0] :])


class Connection(HttpToolsProtocol):
    """One connection, with a bound on time and bytes for each thing that it may do slowly."""

    # Of the process; those that have waited for the longest time come first.
    silent: dict["Connection", None] = {}
    arriving: dict["Connection", None] = {}
    unread: dict["Connection", None] = {}
    bodies_bytes = 0

    _deadline: asyncio.TimerHandle | None = None
    _reading_deadline: asyncio.TimerHandle | None = None
    _is_in_head = False
    _head_bytes = 0
    # How many heads and pieces of bodies have come.
    _parts = 0
    _unanswered = 0
    _length = 0
    _body_bytes = 0
    _refusal = HTTPStatus.BAD_REQUEST
    # The one that is being answered, and one whose body is still arriving.
    _current: RequestResponseCycle | None = None
    _begun: tuple[RequestResponseCycle, Any] | None = None

    # From the transport.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(self)
        self.parser = _Parser(self)
        transport.set_write_buffer_limits(0)
        self._ask_for_nothing()
        self._allow(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_deadline()
        self._end_reading()
        self._forget_body()
        self.silent.pop(self, None)
        if self._current:
            self._current.scope["state"][LEFT] = True
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        parts = self._parts
        super().data_received(data)
        if parts == self._parts:
            # In the middle of a head, or of what may stand between and behind parts of a body.
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            elif self._deadline is None and self._awaits_a_request():
                self._allow(HEAD_SECONDS)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.unread[self] = None
        waiting = sum(each.transport.get_write_buffer_size() for each in self.unread)
        if waiting > ANSWERS_BYTES_MAX or len(self.unread) > WAITING_CONNECTIONS_MAX:
            next(iter(self.unread)).transport.abort()
        self._expect_reading()

    def resume_writing(self) -> None:
        self._end_reading()
        super().resume_writing()

    # From the parser.

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head = True
        self._told = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        # What stands behind a body in chunks no proxy has looked at, so it is no header.
        if self._is_in_head:
            super().on_header(name, value)
        self._told += len(name) + len(value)
        if len(self.headers) > HEADERS_MAX or self._told + len(self.url) > HEAD_BYTES_MAX:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise ValueError(self._refusal)

    def on_headers_complete(self) -> None:
        if self._is_offered_a_change():
            return
        if self.parser.get_http_version() not in {"1.0", "1.1"}:
            raise ValueError(self._refusal)
        if len(self.pipeline) >= PIPELINED_MAX:
            raise ValueError(self._refusal)
        self._is_in_head = False
        self._length = _length_told(self.headers)
        self._end_deadline()
        super().on_headers_complete()
        self._unanswered += 1
        self._parts += 1
        self._head_bytes = 0
        self.silent.pop(self, None)

    def on_body(self, body: bytes) -> None:
        self._parts += 1
        self._head_bytes = 0
        if self._begun is None:
            super().on_body(body)
            return
        self.cycle.body += body
        self._body_bytes += len(body)
        Connection.bodies_bytes += len(body)
        if len(self.cycle.body) > _WHOLE_MAX:
            # In chunks, and already longer than any may be.
            self.flow.pause_reading()
            self._hand_over()
        while Connection.bodies_bytes > BODIES_BYTES_MAX and self.arriving:
            self._give_up_the_oldest_body()

    def on_message_complete(self) -> None:
        if self._is_offered_a_change():
            return
        super().on_message_complete()
        self._end_deadline()
        self._hand_over()

    def _is_offered_a_change(self) -> bool:
        return self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"

    def decline_to_change(self, rest: bytes) -> None:
        """Read the request again, without the offer."""
        if not self._is_offered_a_change():
            return
        version = self.parser.get_http_version().encode()
        head = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        head += [b"%s: %s" % each for each in self.headers if each[0] != b"upgrade"]
        self.parser = _Parser(self)
        self.parser.feed_data(b"\r\n".join([*head, b"", rest]))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Begin with what has arrived, or is too long to be waited for; wait for the rest."""
        self._current = cycle
        if cycle.more_body and self._length:
            self._allow(BODY_SECONDS + self._length / BYTES_A_SECOND)
        if not cycle.more_body or not 0 < self._length <= _WHOLE_MAX:
            super()._start_asgi_task(cycle, app)
            return
        self._begun = cycle, app
        self.arriving[self] = None
        if len(self.arriving) > WAITING_CONNECTIONS_MAX:
            self._give_up_the_oldest_body()
        if cycle.waiting_for_100_continue:
            cycle.waiting_for_100_continue = False
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _hand_over(self) -> None:
        self.arriving.pop(self, None)
        if begun := self._begun:
            self._begun = None
            super()._start_asgi_task(*begun)

    # From the request.

    def on_response_complete(self) -> None:
        self._unanswered -= 1
        self._forget_body()
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if not self._unanswered:
            self._ask_for_nothing()
        # The last of those that waited may still be arriving.
        self.flow.resume_reading()

    # Of our own.

    def send_400_response(self, msg: str) -> None:
        """Say what is wrong with a head, and nothing of what was sent."""
        self._refuse(self._refusal)

    def _refuse(self, status: HTTPStatus) -> None:
        if not self._may_be_refused():
            # It would be taken for the answer to a call that is under way.
            self.transport.close()
            return
        # Whoever has said nothing yet has asked for nothing.
        if status != HTTPStatus.REQUEST_TIMEOUT or self._head_bytes or self not in self.silent:
            traffic.refused_unread(status)
        said = status.phrase.encode()
        self.transport.write(
            STATUS_LINE[status]
            + b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
            + b"content-length: %d\r\n\r\n" % len(said)
            + said
        )
        self.transport.close()

    def _ask_for_nothing(self) -> None:
        self.silent[self] = None
        if len(self.silent) > WAITING_CONNECTIONS_MAX:
            next(iter(self.silent)).transport.abort()

    def _give_up_the_oldest_body(self) -> None:
        oldest = next(iter(self.arriving))
        oldest._forget_body()
        oldest._refuse(HTTPStatus.SERVICE_UNAVAILABLE)

    def _awaits_a_request(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _may_be_refused(self) -> bool:
        """Tell whether all requests are answered, but for one that is still arriving."""
        last = self.cycle
        return not self._unanswered or (
            self._unanswered == 1 and last.more_body and not last.response_started
        )

    def _allow(self, seconds: float) -> None:
        self._deadline = self.loop.call_later(seconds, self._refuse, HTTPStatus.REQUEST_TIMEOUT)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _forget_body(self) -> None:
        self.arriving.pop(self, None)
        self._begun = None
        Connection.bodies_bytes -= self._body_bytes
        self._body_bytes = 0

    def _expect_reading(self) -> None:
        expected = self.transport.get_write_buffer_size() - READ_BYTES
        self._reading_deadline = self.loop.call_later(READ_SECONDS, self._require_read, expected)

    def _require_read(self, expected: int) -> None:
        if self.transport.get_write_buffer_size() > max(expected, 0):
            self.transport.abort()
        else:
            self._expect_reading()

    def _end_reading(self) -> None:
        self.unread.pop(self, None)
        if self._reading_deadline is not None:
            self._reading_deadline.cancel()
            self._reading_deadline = None


# A longer body is a file, for which only who may send it has a thread.
_WHOLE_MAX = settings.DATA_UPLOAD_MAX_MEMORY_SIZE


def _length_told(headers: list[tuple[bytes, bytes]]) -> int:
    """Return how long a body is, and of one in chunks how long it may be."""
    for name, value in headers:
        if name == b"transfer-encoding":
            return _WHOLE_MAX
        if name == b"content-length":
            return int(value)
    return 0


class _Gone(OSError):
    """The caller has left, or was too slow. Django makes it an UnreadablePostError."""


class Front:
    """The ASGI application that has Django answer, in one of a few threads."""

    def __init__(self, threads: int) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        # At most half of them read a long body at a time.
        self._turns = threading.BoundedSemaphore(max(1, threads // 2))
        for number in range(threads):
            name = f"request-{number}"
            threading.Thread(target=self._work, name=name, daemon=True).start()

    def _work(self) -> None:
        while True:
            self._jobs.get()()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        environ = _environ_of(scope)
        length = _length_told(scope["headers"])
        body: _Body | None = None
        if length > _WHOLE_MAX:
            body = environ["wsgi.input"] = _Body(receive, self._turns)
        elif length:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            environ["wsgi.input"] = BytesIO(message["body"])
            environ["CONTENT_LENGTH"] = str(len(message["body"]))
            if len(message["body"]) > _WHOLE_MAX:
                body = environ["wsgi.input"] = _TooLong(receive, self._turns)
                environ["CONTENT_LENGTH"] = str(sys.maxsize)
        exchange = _Exchange(environ, scope["state"])
        if not length and environ["PATH_INFO"].startswith(LIVE):
            exchange.run()
        elif self._jobs.qsize() < WAITING_MAX:
            self._jobs.put(exchange.run)
        else:
            exchange.refuse()
        # Of one who has left, uvicorn knows.
        with contextlib.suppress(_Gone):
            await exchange.answer(body, receive, send)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _hear_out(receive: Receive) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while (await receive()).get("more_body"):
                pass


class _Exchange:
    """A request, and the pieces of its answer on their way from a thread to the loop."""

    def __init__(self, environ: Environ, state: Mapping[str, bool]) -> None:
        self._environ = environ
        self._state = state
        self._since = time.monotonic()
        self._loop = asyncio.get_running_loop()
        self._piece: asyncio.Future[tuple[bytes, bool]] = self._loop.create_future()
        self._is_over = False
        self._status, self._headers = 500, list[tuple[bytes, bytes]]()

    # In a thread.

    def run(self) -> None:
        if LEFT in self._state and time.monotonic() - self._since > STALE_SECONDS:
            traffic.refused_unread(LEFT_STATUS, self._environ["REQUEST_METHOD"])
            self._in_loop(_fail, self._piece, _Gone())
            return
        try:
            response = wsgi.application(self._environ, self._start)
            with contextlib.ExitStack() as stack:
                if close := getattr(response, "close", None):
                    stack.callback(close)
                pieces = _pieces(response)
                piece = next(pieces)
                for following in pieces:
                    self._hand_out_and_wait(piece)
                    piece = following
            self._hand_out(piece, more=False)
        except _Gone:
            pass
        except BaseException as error:
            self._in_loop(_fail, self._piece, error)

    def refuse(self) -> None:
        """Tell the caller to come again."""
        response = refused(Busy())
        traffic.refused_unread(response.status_code, self._environ["REQUEST_METHOD"])
        self._start(f"{response.status_code}", list(response.items()))
        self._hand_out(response.content, more=False)

    def _start(self, status: str, headers: list[tuple[str, str]], error: Any = None) -> None:
        self._status = int(status[:3])
        self._headers = [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in headers
        ]

    def _hand_out_and_wait(self, piece: bytes) -> None:
        """Raises: _Gone."""
        self._taken = threading.Event()
        self._hand_out(piece, more=True)
        self._taken.wait()
        if self._is_over:
            raise _Gone

    def _hand_out(self, piece: bytes, *, more: bool) -> None:
        self._in_loop(_fulfil, self._piece, (piece, more))

    def _in_loop(self, do: Callable[..., None], *given: Any) -> None:
        # The loop of a process that ends is closed.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(do, *given)

    # In the loop.

    async def answer(self, body: "_Body | None", receive: Receive, send: Send) -> None:
        piece, more = await self._piece
        is_unread = body is not None and not body.is_read
        headers = self._headers
        if is_unread:
            headers.append((b"connection", b"close"))
        if not more and self._status not in _WITHOUT_BODY and not _has_length(headers):
            headers.append((b"content-length", b"%d" % len(piece)))
        await send({"type": "http.response.start", "status": self._status, "headers": headers})
        if more:
            piece = await self._rest(piece, receive, send)
        if is_unread:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            piece = b""
            await _hear_out(receive)
        await send({"type": "http.response.body", "body": piece})

    async def _rest(self, piece: bytes, receive: Receive, send: Send) -> bytes:
        """Send all pieces but the last, each when the one before it has been read."""
        leaving = asyncio.ensure_future(_left(receive))
        more = True
        try:
            while more:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                if leaving.done():
                    raise _Gone
                self._piece = self._loop.create_future()
                self._taken.set()
                piece, more = await self._piece
            return piece
        finally:
            leaving.cancel()
            self._is_over = True
            self._taken.set()


_WITHOUT_BODY = {204, 304}


def _has_length(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(name.lower() == b"content-length" for name, _ in headers)


def _pieces(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield one piece, unless there is too much to be kept."""
    gathered, length, most = list[bytes](), 0, ANSWER_BYTES_MAX
    for part in parts:
        gathered.append(part)
        length += len(part)
        if length > most:
            yield b"".join(gathered)
            gathered, length, most = [], 0, PIECE_BYTES
    yield b"".join(gathered)


def _fulfil(future: asyncio.Future[Any], value: Any) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


class _Body:
    """A long body, read by a thread as it arrives: a file of somebody who may send it."""

    def __init__(self, receive: Receive, turns: threading.BoundedSemaphore) -> None:
        self._receive, self._turns = receive, turns
        self._loop = asyncio.get_running_loop()
        self._arrived = bytearray()
        self.is_read = False

    def read(self, size: int = -1) -> bytes:
        """Raises: TimeoutError, _Gone; Django makes each an UnreadablePostError."""
        if not self._turns.acquire(timeout=TURN_SECONDS):
            raise TimeoutError("Others send their files too slowly.")
        try:
            while not self.is_read and (size < 0 or len(self._arrived) < size):
                self._read_on()
        finally:
            self._turns.release()
        size = len(self._arrived) if size < 0 else size
        part = bytes(self._arrived[:size])
        del self._arrived[:size]
        return part

    def readline(self, size: int = -1) -> bytes:
        """Be there for Django, which asks for it and never calls it."""
        raise NotImplementedError

    def _read_on(self) -> None:
        async def receive() -> Message:
            return await self._receive()

        message = asyncio.run_coroutine_threadsafe(receive(), self._loop).result()
        if message["type"] == "http.disconnect":
            raise _Gone
        self._arrived += message["body"]
        self.is_read = not message["more_body"]


class _TooLong(_Body):
    """A body in chunks, of which so much has come that nobody is told the rest."""

    def _read_on(self) -> NoReturn:
        raise RequestDataTooBig("The request's body is too large.")


# What is the same in every request.
_ENVIRON = {
    "SCRIPT_NAME": "",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}


def _environ_of(scope: Message) -> Environ:
    environ = _ENVIRON.copy()
    path: bytes = scope["raw_path"]
    environ["REQUEST_METHOD"] = scope["method"]
    environ["PATH_INFO"] = (unquote_to_bytes(path) if b"%" in path else path).decode("latin-1")
    environ["QUERY_STRING"] = scope["query_string"].decode("latin-1")
    environ["SERVER_PROTOCOL"] = f"HTTP/{scope['http_version']}"
    environ["SERVER_NAME"], environ["SERVER_PORT"] = map(str, scope["server"])
    environ["REMOTE_ADDR"] = scope["client"][0] if scope["client"] else ""
    environ["wsgi.input"] = BytesIO()
    for name, value in scope["headers"]:
        if variable := _variable(name):
            told = value.decode("latin-1")
            if variable in environ:
                told = f"{environ[variable]}{_BETWEEN.get(variable, ',')}{told}"
            environ[variable] = told
    return environ


_BETWEEN = {"HTTP_COOKIE": "; "}


@functools.lru_cache(maxsize=256)
def _variable(header: bytes) -> str:
    """Return a header's name in the environment; none of one that another's would be taken for."""
    if b"_" in header:
        return ""
    name = header.decode("latin-1").upper().replace("-", "_")
    return name if name in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{name}"
