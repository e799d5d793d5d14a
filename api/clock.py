"""The time of day, from one place."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from django.conf import settings


def _system_clock() -> datetime:
    return datetime.now(UTC)


_read: Callable[[], datetime] = _system_clock


def now() -> datetime:
    return _read()


def at(moment: datetime) -> str:
    """Write a moment as the API tells it: RFC 3339, in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


@contextmanager
def replaced(read: Callable[[], datetime]) -> Iterator[None]:
    """Take the time from `read` instead, in this process: how the demo tells its past."""
    global _read
    assert settings.HOLDFAST_DEMO, "only the demo and the tests may replace the clock"
    previous, _read = _read, read
    try:
        yield
    finally:
        _read = previous
