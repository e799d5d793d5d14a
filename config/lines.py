"""Where every line of the log goes: standard error, whoever reads it, or does not."""

import functools
import io
import itertools
import logging
import os
import select
import socket
import stat
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any

# For how long a process waits for whoever reads its log: with a line, and at its end with all. Who
# stands still for longer is not waited for any more, or all threads would stand still, too.
READER_SECONDS = 0.5
LAST_SECONDS = 1
# So much is kept for him: ten thousand lines of requests.
KEPT_BYTES = 4_000_000


class Lines(logging.StreamHandler[Any]):
    """Standard error, where a line that cannot be written now is kept, and counted at least."""

    def __init__(self) -> None:
        super().__init__()
        self._way: tuple[Any, Callable[[bytes], int]] | None = None
        self.forget()

    def forget(self) -> None:
        # Of the first a part may be written already.
        self._kept = deque[bytes]()
        self._bytes = 0
        self._left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._emit(record)
        except Exception:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        told = f"{record.name} at {record.pathname}:{record.lineno}: {sys.exc_info()[1]!r}"
        told = f"line_not_written: {told}"
        self._emit(logging.LogRecord(record.name, logging.ERROR, "", 0, told, None, None))

    def flush(self) -> None:
        """Write what is kept. A process does so at its end."""
        self.write_kept(LAST_SECONDS)

    def _emit(self, record: logging.LogRecord) -> None:
        # For one line: whoever has kept his reader's waits for him no more.
        seconds = 0 if self._kept else READER_SECONDS
        if self._bytes >= KEPT_BYTES:
            self.write_kept(0)
        if self._bytes >= KEPT_BYTES:
            self._left_out += 1
            return
        line = self.format(record)
        if self._left_out:
            missed = logging.LogRecord(__name__, logging.ERROR, "", 0, "lines_left_out", None, None)
            missed.fields = {"times": self._left_out}
            self._keep(self.format(missed))
            self._left_out = 0
        self._keep(line)
        if not getattr(record, "is_one_of_many", False):
            self.write_kept(seconds)

    def _keep(self, line: str) -> None:
        text = (line + self.terminator).encode(errors="backslashreplace")
        self._kept.append(text)
        self._bytes += len(text)

    def write_kept(self, seconds: float) -> None:
        """Write all that the reader takes, and wait so long for him."""
        until = time.monotonic() + seconds
        self.acquire()
        try:
            if self._way is None or self._way[0] is not self.stream:
                self._way = self.stream, _writer(self.stream)
            while self._kept and self._is_written(self._way[1], until):
                pass
        except (OSError, ValueError, AttributeError):
            # It has gone, as when a terminal was closed; or its disk is full; or there is none.
            pass
        finally:
            self.release()

    def _is_written(self, write: Callable[[bytes], int], until: float) -> bool:
        try:
            written = write(self._together())
        except BlockingIOError:
            return _takes(self.stream.fileno(), max(0, until - time.monotonic()))
        self._bytes -= written
        while self._kept and written >= len(self._kept[0]):
            written -= len(self._kept.popleft())
        if written:
            self._kept[0] = self._kept[0][written:]
        return True

    def _together(self) -> bytes:
        """Return as many lines as a pipe takes without another process standing in them."""
        length = 0
        for number, line in enumerate(self._kept):
            length += len(line)
            if length > select.PIPE_BUF:
                return b"".join(itertools.islice(self._kept, max(1, number)))
        return b"".join(self._kept)


def _of_process() -> list[Lines]:
    return [each for each in logging.getLogger().handlers if isinstance(each, Lines)]


def write_kept() -> None:
    """Write the lines of many that gathered, and what was kept for a reader who stood still."""
    for each in _of_process():
        each.write_kept(0)


def _forget() -> None:
    for each in _of_process():
        each.forget()


# Its parent writes them.
os.register_at_fork(after_in_child=_forget)


def _write_in_memory(stream: Any, text: bytes) -> int:
    stream.write(text.decode())
    return len(text)


def _takes(descriptor: int, seconds: float) -> bool:
    """Wait for so long until something can be written, and tell whether it can."""
    ready = select.poll()
    ready.register(descriptor, select.POLLOUT)
    return bool(ready.poll(seconds * 1000))


def _write_if_ready(descriptor: int, text: bytes) -> int:
    if not _takes(descriptor, 0):
        raise BlockingIOError
    # So much a pipe takes at once if it takes anything.
    return os.write(descriptor, text[: select.PIPE_BUF])


def _writer(stream: Any) -> Callable[[bytes], int]:
    """Return what writes a whole line at once, or as much of it as is taken without waiting."""
    try:
        descriptor = stream.fileno()
    except io.UnsupportedOperation:
        return functools.partial(_write_in_memory, stream)
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISSOCK(kind):
        wire = socket.socket(fileno=os.dup(descriptor))
        return lambda text: wire.send(text, socket.MSG_DONTWAIT)
    if stat.S_ISREG(kind):
        return functools.partial(os.write, descriptor)
    try:
        # A way of our own: others that write there go on waiting, as they are used to.
        own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return functools.partial(_write_if_ready, descriptor)
    return functools.partial(os.write, own)
