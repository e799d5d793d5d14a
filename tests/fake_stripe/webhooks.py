"""Events, signed and sent the way Stripe does it, and in the ways that go wrong."""

import contextlib
import hashlib
import hmac
import http.client
import json
import queue
import secrets
import threading
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

Event = dict[str, Any]
TIMEOUT_SECONDS = 20


def signature(body: str, secret: str, at: int) -> str:
    """Sign as Stripe does, for the header `Stripe-Signature`."""
    signed = hmac.new(secret.encode(), f"{at}.{body}".encode(), hashlib.sha256)
    return f"t={at},v1={signed.hexdigest()}"


class Webhooks:
    """Sends every event to the endpoint at once, or keeps them until it is told to send some."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.url = ""
        self.kept = False
        self.events: list[Event] = []
        self.deliveries: list[dict[str, Any]] = []
        self.waiting: queue.Queue[tuple[Event, float] | None] = queue.Queue()
        threading.Thread(target=self._deliver, daemon=True).start()

    def happened(self, kind: str, what: dict[str, Any]) -> None:
        event = {
            "id": f"evt_{secrets.token_hex(12)}",
            "object": "event",
            "api_version": "2026-10-28.endive",
            "created": int(time.time()),
            "type": kind,
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "data": {"object": what},
        }
        self.events.append(event)
        if self.url and not self.kept:
            self.send([event])

    def named(self, names: Iterable[str]) -> list[Event]:
        """Find events by their id or by their type, in the order of the names."""
        return [one for name in names for one in self.events if name in (one["id"], one["type"])]

    def send(self, events: Iterable[Event], *, times: int = 1, after: float = 0) -> None:
        for event in events:
            for _ in range(times):
                self.waiting.put((event, after))

    def wait_until_sent(self) -> None:
        self.waiting.join()

    def stop(self) -> None:
        self.waiting.put(None)

    def _deliver(self) -> None:
        while waiting := self.waiting.get():
            event, seconds = waiting
            time.sleep(seconds)
            delivery = {"event": event["id"], "type": event["type"], "status": None}
            with contextlib.suppress(OSError, http.client.HTTPException):
                delivery["status"] = self._post(event)
            self.deliveries.append(delivery)
            self.waiting.task_done()

    def _post(self, event: Event) -> int:
        body = json.dumps(event, indent=2)
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature(body, self.secret, int(time.time())),
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.netloc, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("POST", address.path, body, headers)
            return connection.getresponse().status
        finally:
            connection.close()
