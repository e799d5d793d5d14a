"""How much of a request's body is read, by how many threads at once, and how much is made of it.

The web server hands a body over as it arrives: whoever announces one and does not send it holds the
thread that reads it, for as long as the connection lasts. Such a read cannot be broken off. So only
some threads of a process may read bodies of anybody, and all but one those of whoever is known:
that one goes on serving.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from typing import Any, Protocol

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, UnreadablePostError

# How long a request waits for its turn to read. A body that has arrived is read in far less.
TURN_SECONDS = 0.25

_BODY = "holdfast.body"
_turns = threading.BoundedSemaphore(settings.BODY_READS_MAX)
_turns_of_all = threading.BoundedSemaphore(2 * settings.BODY_READS_MAX - 1)


class Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Body:
    """What stands for `wsgi.input`."""

    def __init__(self, stream: Stream, most: int, *, in_chunks: bool = False) -> None:
        self._stream, self._most, self._arrived = stream, most, 0
        self._in_chunks = in_chunks
        self._trusted = False

    @property
    def is_unread(self) -> bool:
        """Tell whether the web server must throw something away, and so ends the connection."""
        return not self._arrived or (self._arrived < self._most and not self._in_chunks)

    def limit(self, most: int) -> None:
        self._most = min(self._most, most)

    def trust(self) -> None:
        """Read it whatever strangers send: somebody known by name or secret sends this."""
        self._trusted = True

    def read(self, size: int = -1) -> bytes:
        """Raises: RequestDataTooBig; TimeoutError, which Django makes an UnreadablePostError."""
        # One byte more shows that there are too many.
        left = self._most - self._arrived + 1
        with self._turn():
            part = self._stream.read(left if size < 0 else min(size, left))
            if self._in_chunks and len(part) == left - 1:
                # Django asks for no more than that, and must not take a part for the whole.
                part += self._stream.read(1)
        self._arrived += len(part)
        if self._arrived > self._most:
            raise RequestDataTooBig("The request's body is too large.")
        return part

    def readline(self, size: int = -1) -> bytes:
        """Be there for Django, which asks for it and never calls it."""
        raise NotImplementedError

    @contextmanager
    def _turn(self) -> Iterator[None]:
        with ExitStack() as held:
            for turns in (_turns_of_all,) if self._trusted else (_turns, _turns_of_all):
                if not turns.acquire(timeout=TURN_SECONDS):
                    raise TimeoutError("Others send their bodies too slowly.")
                held.callback(turns.release)
            yield


def guard(environ: dict[str, Any]) -> Body | None:
    """Put a guarded body in the place of a request's own, if it has one.

    One in chunks gets a Content-Length, without which Django would read nothing of it: the most
    that it may have. A file in chunks, which may have more, stays unread; it is never taken in
    part.
    """
    most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    length = environ.get("CONTENT_LENGTH") or ""
    is_file = environ.get("CONTENT_TYPE", "").startswith("multipart/")
    in_chunks = "HTTP_TRANSFER_ENCODING" in environ and bool(environ.get("wsgi.input_terminated"))
    if in_chunks and not is_file:
        environ["CONTENT_LENGTH"] = str(most)
    elif length.isdecimal() and int(length):
        most = int(length)
    else:
        return None
    body = Body(environ["wsgi.input"], most, in_chunks=in_chunks)
    environ["wsgi.input"] = environ[_BODY] = body
    return body


def read(request: HttpRequest, most: int, *, trusted: bool = False) -> None:
    """Read a body of at most so many bytes, which Django keeps.

    Raises: RequestDataTooBig, before anything is read if its length is told; UnreadablePostError.
    """
    require_at_most(request, most)
    if trusted:
        trust(request)
    if most <= settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        _ = request.body
    elif not hasattr(request, "_body"):
        # As Django does, which takes no more than that for what it keeps.
        try:
            request._body = request.read()
        except OSError as error:
            raise UnreadablePostError(*error.args) from error
        request._stream = BytesIO(request._body)


def require_at_most(request: HttpRequest, most: int) -> None:
    """Raises: RequestDataTooBig."""
    if "HTTP_TRANSFER_ENCODING" not in request.META and _length_told(request) > most:
        raise RequestDataTooBig("The request's body is too large.")
    if body := request.META.get(_BODY):
        body.limit(most)


def _length_told(request: HttpRequest) -> int:
    told = request.META.get("CONTENT_LENGTH") or ""
    return int(told) if told.isdecimal() else 0


def trust(request: HttpRequest) -> None:
    if body := request.META.get(_BODY):
        body.trust()


# How deep a body may be nested, and how many values it may have in all.
JSON_DEPTH_MAX = 32
JSON_VALUES_MAX = 20_000
_TEXTS = re.compile(rb'"(?:[^"\\]+|\\.)*+"?', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")


def require_small(written: bytes) -> None:
    """Look, before anything is made of a body, how much there would be.

    Raises: ValueError.
    """
    if _opened(written) <= JSON_DEPTH_MAX and written.count(b",") < JSON_VALUES_MAX // 2:
        return
    # Only now is it worth while to leave out what stands inside of texts.
    bare = _TEXTS.sub(b"", written)
    if _opened(bare) + bare.count(b",") > JSON_VALUES_MAX:
        raise ValueError(f"It has more than {JSON_VALUES_MAX} values.")
    depth = 0
    for bracket in _BRACKETS.findall(bare):
        depth += 1 if bracket in b"[{" else -1
        if depth > JSON_DEPTH_MAX:
            raise ValueError("It is nested too deeply.")


def _opened(written: bytes) -> int:
    return written.count(b"[") + written.count(b"{")
