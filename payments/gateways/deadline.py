"""How long somebody who asks a gateway waits for all of its answers together."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

_waiting = threading.local()


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Begin to count; whoever waits within a shorter wait waits no longer than that."""
    before: float | None = getattr(_waiting, "until", None)
    until = time.monotonic() + seconds
    _waiting.until = until if before is None else min(before, until)
    try:
        yield
    finally:
        _waiting.until = before


def seconds_left() -> float:
    """Return what is left of the wait, or the whole of one where nobody has begun to count."""
    until: float | None = getattr(_waiting, "until", None)
    if until is None:
        return float(settings.GATEWAY_TIMEOUT_SECONDS)
    return max(0.0, until - time.monotonic())
