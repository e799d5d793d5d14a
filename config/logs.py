"""What every line of the log passes through, whoever wrote it.

Nothing here needs Django or the settings, since the web server writes lines before they are read.
"""

import json
import logging
import logging.config
import os
import sys
import threading
import traceback
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import structlog

from config.lines import Lines
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


def tell(logger: logging.Logger, level: int, event: str, fields: dict[str, Any], at: float) -> None:
    """Log a line of short fields for those that are written by the thousand.

    It skips what costs more than the line: who called is not looked for, and nothing is processed.
    The caller calls `lines.write_kept` after some of them. `at`: when, in seconds since 1970.
    """
    record = logging.LogRecord(logger.name, level, "", 0, event, None, None)
    record.created, record.fields, record.is_one_of_many = at, fields, True
    logger.handle(record)


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
