"""What every line of the log passes through, whoever wrote it.

Nothing here needs Django or the settings, since the web server writes lines before they are read.
"""

import functools
import io
import json
import logging
import logging.config
import os
import select
import socket
import stat
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import structlog

from config.outages import Echoes
from config.version import version

# One line for each request. They have a level of their own, so that it can be switched off.
REQUESTS = "holdfast.requests"


def process_kind(command: list[str]) -> str:
    """Tell what a process is by its command: web, worker or command."""
    program, *rest = command or [""]
    words = {Path(program).name, Path(program).parent.name, *rest[:1]}
    if "serve" in words:
        return "web"
    return "worker" if words & {"procrastinate", "work"} else "command"


KIND = process_kind(sys.argv)
VERSION = version()


def loggers(level: str, *, requests: bool = False) -> dict[str, dict[str, Any]]:
    """Return what is logged otherwise than at this level of LOG_LEVEL."""
    return {
        # A refused request is the client's affair; only what broke here is logged.
        "django.request": {"level": "ERROR", "filters": ["routes"]},
        # At DEBUG it writes down whole answers, with what a buyer confirms a payment with.
        "stripe": {"level": "INFO" if level == "DEBUG" else level},
        REQUESTS: {"level": ("DEBUG" if level == "DEBUG" else "INFO") if requests else "WARNING"},
        # What it and its pool say of a database that is away, we say once a second.
        "psycopg": {"level": "ERROR"},
    }


_shared: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configuration(level: str, *, requests: bool, readable: bool) -> dict[str, Any]:
    """Return how logging is configured, as `dictConfig` takes it.

    `readable`: key=value for a person at a terminal, instead of one JSON object a line.
    """
    first = ["timestamp", "level", "event"]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": _Formatter,
                "foreign_pre_chain": _shared,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.ExceptionRenderer(_traceback),
                    shortened,
                    *([] if readable else [of_process]),
                    structlog.processors.KeyValueRenderer(key_order=first)
                    if readable
                    else structlog.processors.JSONRenderer(),
                ],
            },
        },
        "filters": {"echoes": {"()": Echoes}, "routes": {"()": _Routes}},
        "handlers": {
            "stderr": {"()": Lines, "formatter": "structured", "filters": ["echoes"]},
        },
        "loggers": loggers(level, requests=requests),
        "root": {"handlers": ["stderr"], "level": level},
    }


def configure(config: Mapping[str, Any]) -> None:
    """Have all that is said in this process go the same way: Django's LOGGING_CONFIG.

    A person who calls a command at a terminal reads what went wrong as Python shows it.
    """
    structlog.configure(
        processors=[*_shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(dict(config))
    # No line tells them, and finding them out takes longer than all else of a line.
    logging.logThreads = logging.logProcesses = False
    logging.logMultiprocessing = False
    processors = config["formatters"]["structured"]["processors"]
    if of_process not in processors or (KIND == "command" and sys.stderr.isatty()):
        return
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable


_log = logging.getLogger("python")


def _uncaught(kind: type[BaseException], error: BaseException, traceback: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
    else:
        _log.critical("uncaught_exception", exc_info=(kind, error, traceback))


def _uncaught_in_thread(told: threading.ExceptHookArgs) -> None:
    if told.exc_value is not None and told.exc_type is not SystemExit:
        of_thread = (told.exc_type, told.exc_value, told.exc_traceback)
        _log.critical("uncaught_exception", exc_info=of_thread)


def _unraisable(told: Any) -> None:
    of_error = (told.exc_type, told.exc_value, told.exc_traceback)
    _log.error("unraisable_exception", exc_info=of_error)


def tell(logger: logging.Logger, level: int, event: str, fields: dict[str, Any]) -> None:
    """Log a line of short fields for those that are written by the thousand.

    It skips what costs more than the line: who called is not looked for, and nothing is processed.
    Inside `written_apart` another thread writes it, a moment later.
    """
    line = _Line(logger, level, event, fields, time.time())
    if _apart is None:
        line.write()
    else:
        _apart.take(line)


class _Line(NamedTuple):
    logger: logging.Logger
    level: int
    event: str
    fields: dict[str, Any]
    at: float

    def write(self) -> None:
        record = logging.LogRecord(self.logger.name, self.level, "", 0, self.event, None, None)
        record.created, record.fields = self.at, self.fields
        self.logger.handle(record)


# For how long lines gather, to be written together.
GATHERED_SECONDS = 0.2
# Where whoever reads the lines stands still, so many are kept for them.
KEPT_MAX = 10_000
# How long the end of a process waits for them.
LAST_SECONDS = 1


class _Apart:
    """A thread that writes lines: one after the other they take a fifth of the time of single ones
    between requests, which find nothing of it in the processor's caches. And nobody who is answered
    waits for whoever reads them.
    """

    def __init__(self) -> None:
        self._lines: deque[_Line] = deque()
        self._some = threading.Event()
        self._left_out = 0
        self._counting = threading.Lock()
        self._ends = False
        self._thread = threading.Thread(target=self._write_for_ever, name="lines", daemon=True)
        self._thread.start()

    def take(self, line: _Line) -> None:
        if len(self._lines) >= KEPT_MAX:
            with self._counting:
                self._left_out += 1
            return
        self._lines.append(line)
        if not self._some.is_set():
            self._some.set()

    def end(self) -> None:
        self._ends = True
        self._some.set()
        self._thread.join(LAST_SECONDS)

    def _write_for_ever(self) -> None:
        while not self._ends:
            self._some.wait()
            if not self._ends:
                time.sleep(GATHERED_SECONDS)
            # Before they are taken: a line that comes now is seen now, or the next time.
            self._some.clear()
            self._write()

    def _write(self) -> None:
        while self._lines:
            while not self._ends and _reader_stands_still():
                time.sleep(GATHERED_SECONDS)
            self._lines.popleft().write()
        with self._counting:
            lost, self._left_out = self._left_out, 0
        if lost:
            _log.warning("lines_left_out: %d, since nobody read them", lost)


_apart: _Apart | None = None


@contextmanager
def written_apart() -> Iterator[None]:
    """Have a thread write what is told here. What a process told last is lost if it is killed."""
    global _apart
    _apart = _Apart()
    try:
        yield
    finally:
        ending, _apart = _apart, None
        ending.end()


class _Formatter(structlog.stdlib.ProcessorFormatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = record.__dict__.get("fields")
        if fields is None:
            return super().format(record)
        moment = datetime.fromtimestamp(record.created, UTC).isoformat()
        line = {"timestamp": f"{moment[:-6]}Z", "level": record.levelname.lower()}
        line |= {"event": record.msg, **fields, "logger": record.name}
        if of_process not in self.processors:
            return " ".join([f"{name}={value!r}" for name, value in line.items()])
        return _encoded(of_process(None, "", line))


# What is written is ours and short: no object contains itself, and all are JSON's own.
_encoded = json.JSONEncoder(check_circular=False).encode


class _Routes(logging.Filter):
    """Name the route where Django would name the path of what broke, in which a secret may be."""

    def filter(self, record: logging.LogRecord) -> bool:
        request = getattr(record, "request", None)
        if request is not None and isinstance(record.args, tuple):
            match = getattr(request, "resolver_match", None)
            route = match.route if match else "none"
            record.args = tuple(route if arg == request.path else arg for arg in record.args)
        return True


def _traceback(exc_info: tuple[type[BaseException], BaseException, Any]) -> str:
    text = "".join(traceback.format_exception(*exc_info)).rstrip("\n")
    return without_details(text, exc_info[1])


def without_details(text: str, error: BaseException | None) -> str:
    """Leave out what PostgreSQL tells beside an error: the values of the row, a buyer's too."""
    for each in _chain(error):
        if isinstance(each, psycopg.Error) and (detail := each.diag.message_detail):
            text = text.replace(detail, "left out")
    return text


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    beyond = [error]
    while beyond:
        if (each := beyond.pop()) is not None and each not in found:
            found.append(each)
            beyond += [each.__cause__, each.__context__]
    return found


# How long a line waits for whoever reads the log. Who stands still for longer is not waited for any
# more, or all threads would stand still, too.
READER_SECONDS = 0.5


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


class Lines(logging.StreamHandler[Any]):
    """Standard error, where a line that cannot be written is a line, too."""

    def __init__(self) -> None:
        super().__init__()
        # What is left of the last line, and how many came after it and were not kept.
        self._rest = b""
        self._lost = 0
        self._patience = READER_SECONDS
        self._way: tuple[Any, Callable[[bytes], int]] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._emit(record)
        except Exception:
            self.handleError(record)

    def _emit(self, record: logging.LogRecord) -> None:
        line = self.format(record) + self.terminator
        if self._lost:
            told = logging.LogRecord(__name__, logging.ERROR, "", 0, "lines_left_out", None, None)
            told.fields = {"times": self._lost}
            line = self.format(told) + self.terminator + line
        self._write(line)

    def _write(self, line: str) -> None:
        if self._is_taken(self._rest):
            self._lost = 0
            self._is_taken(line.encode(errors="backslashreplace"))
        else:
            self._lost += 1

    def stands_still(self) -> bool:
        try:
            return bool(self._rest) and not self._is_ready(0)
        except (ValueError, AttributeError):
            return False

    def _is_ready(self, seconds: float) -> bool:
        try:
            return _takes(self.stream.fileno(), seconds)
        except io.UnsupportedOperation:
            return True

    def _is_taken(self, text: bytes) -> bool:
        """Write as much as the reader takes without standing still, and keep what is left."""
        try:
            if self._way is None or self._way[0] is not self.stream:
                self._way = self.stream, _writer(self.stream)
            while text:
                try:
                    text = text[self._way[1](text) :]
                    self._patience = READER_SECONDS
                except BlockingIOError:
                    if not self._is_ready(self._patience):
                        break
        except (OSError, ValueError, AttributeError):
            # It has gone, as when a terminal was closed; or its disk is full; or there is none.
            pass
        self._rest = text
        if text:
            self._patience = 0
        return not text

    def handleError(self, record: logging.LogRecord) -> None:
        told = f"{record.name} at {record.pathname}:{record.lineno}: {sys.exc_info()[1]!r}"
        broken = logging.LogRecord(record.name, logging.ERROR, "", 0, "line_not_written", (), None)
        broken.msg = f"line_not_written: {told}"
        self._write(self.format(broken) + self.terminator)


def _reader_stands_still() -> bool:
    handlers = logging.getLogger().handlers
    return any(isinstance(each, Lines) and each.stands_still() for each in handlers)


def of_process(logger: object, method: str, line: MutableMapping[str, Any]) -> Any:
    """Add which process says it, of which version."""
    line["process"], line["pid"], line["version"] = KIND, os.getpid(), VERSION
    return line


# Whoever calls may have chosen what stands in a line. A traceback is ours, and longer.
LENGTH_MAX = 1_000
TRACEBACK_LENGTH_MAX = 8_000


def shortened(logger: object, method: str, line: MutableMapping[str, Any]) -> Any:
    """Cut what is too long: of a traceback the middle, since its end tells the most."""
    for name, value in line.items():
        if name in {"exception", "stack"}:
            line[name] = _without_middle(str(value), TRACEBACK_LENGTH_MAX)
        elif not isinstance(value, int | float | None):
            text = value if isinstance(value, str) else repr(value)
            if len(text) > LENGTH_MAX:
                line[name] = _without_middle(text, LENGTH_MAX)
    return line


def _without_middle(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]} [...{len(text) - 2 * half} more...] {text[-half:]}"
