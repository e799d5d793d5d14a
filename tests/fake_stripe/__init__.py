"""A stand-in for Stripe on loopback, spoken to over HTTP by the real `stripe` library.

It knows the calls that Holdfast makes and nothing that Stripe lacks. It remembers idempotency keys
as Stripe does, keeps an intent open after a decline, refuses to give back more than was taken, and
keeps a book of all money that moved. Told so, it is slow, drops connections, answers 500, holds
calls until they are released, and sends its webhooks late, twice, out of order or not at all.

Tests start it in a thread (`serving()`), the fault harness as a process of its own
(`python -m tests.fake_stripe --port 0`), which it steers through `control()`.
"""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.fake_stripe.server import API_KEY, WEBHOOK_SECRET, FakeStripe

__all__ = ["API_KEY", "WEBHOOK_SECRET", "FakeStripe", "control", "serving"]


@contextmanager
def serving() -> Iterator[FakeStripe]:
    stripe = FakeStripe()
    stripe.start()
    try:
        yield stripe
    finally:
        stripe.stop()


def control(url: str, name: str, **arguments: Any) -> Any:
    """Call a method of a FakeStripe that is another process."""
    request = urllib.request.Request(f"{url}/control/{name}", json.dumps(arguments).encode())
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)
