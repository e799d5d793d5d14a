"""How long this thread waits for a gateway's answers, all of them together."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

_waiting = threading.local()


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Limit the wait inside the block. Within a shorter wait, that wait's end still holds."""
    previous: float | None = getattr(_waiting, "until", None)
    until = time.monotonic() + seconds
    _waiting.until = until if previous is None else min(previous, until)
    try:
        yield
    finally:
        _waiting.until = previous


def seconds_left() -> float:
    """Return what is left of the wait, or a whole wait outside of any `at_most` block."""
    until: float | None = getattr(_waiting, "until", None)
    if until is None:
        return float(settings.GATEWAY_TIMEOUT_SECONDS)
    return max(0.0, until - time.monotonic())
