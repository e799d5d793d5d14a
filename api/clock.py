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
