"""When the database cannot be used now, whoever says so and in whatever words.

Then everything fails, and each failure would be a traceback in the log: one short line a second
stands for all of them.
"""

import logging
import threading
import time
from typing import Any

import psycopg
import structlog

# 53: its disk is full, or it has no memory or connection left. 57P01 to 57P03: it stops, has
# crashed, or does not let anybody in yet. 25P03 and 25P04: it has ended a transaction that stood
# still for too long, and cut the connection. 25006: it only reads, as a standby does.
_STATES = ("08", "53", "57P", "58030", "25P03", "25P04", "25006")
READ_ONLY = psycopg.errors.ReadOnlySqlTransaction
LENGTH_MAX = 300


class OnceASecond:
    """Writes one line a second at most of what may happen thousands of times.

    It says how many there were since the last one.
    """

    SECONDS = 1.0

    def __init__(self, logger: str, level: str, event: str) -> None:
        self.logger = structlog.get_logger(logger)
        self.level = level
        self.event = event
        self.lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        self.times, self.told_at = 0, -self.SECONDS

    def tell(self, **said: Any) -> None:
        with self.lock:
            self.times += 1
            now = time.monotonic()
            if now < self.told_at + self.SECONDS:
                return
            times, self.times, self.told_at = self.times, 0, now
        getattr(self.logger, self.level)(self.event, **said, times=times)


_away = OnceASecond(__name__, "error", "database_away")


def is_away(error: BaseException | None) -> bool:
    return _cause(error) is not None


def tell(error: BaseException | None) -> None:
    """Write that the database is away, and how it says so itself."""
    _away.tell(error=told_by(error))


def told_by(error: BaseException | None) -> str:
    """Return how the database, or the way to it, says that it is away."""
    return short(_cause(error) or error)


def short(error: object) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:LENGTH_MAX]


def _cause(error: BaseException | None) -> BaseException | None:
    """Find what the driver said, of which others have made errors of their own."""
    while error is not None and not _is_of_database(error):
        error = error.__cause__
    return error


def _is_of_database(error: BaseException) -> bool:
    """Tell a database that is away from what it says of a statement, a time-out for example."""
    if not isinstance(error, psycopg.OperationalError | psycopg.InternalError):
        return False
    # Where a connection was cut, or none could be had, no server has said anything.
    return error.sqlstate is None or error.sqlstate.startswith(_STATES)


class Echoes(logging.Filter):
    """Keeps back the traceback of anything that failed because the database is away.

    And what Django says of each answer 503, which is refused on purpose and counted elsewhere.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if is_away(error):
            tell(error)
            return False
        return record.name != "django.request" or getattr(record, "status_code", 0) != 503
