"""The HTTP of it: Stripe's calls under /v1, and what tests ask of the fake under /control."""

import json
import re
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.fake_stripe import forms
from tests.fake_stripe.account import Account
from tests.fake_stripe.errors import UNKNOWN_KEY, StripeError, missing
from tests.fake_stripe.faults import ANSWERS, DROPPED, Fault, Faults
from tests.fake_stripe.webhooks import Webhooks

HOST = "127.0.0.1"
API_KEY = "sk_test_fake"
WEBHOOK_SECRET = "whsec_fake"
DAY = 24 * 3600
POLL_SECONDS = 0.05

# What is not here, Stripe does not have either, or Holdfast does not call: no intent is found by
# its metadata or by the key of the call that made it.
ROUTES = [
    ("POST", r"/v1/payment_intents", "create_intent"),
    ("GET", r"/v1/payment_intents", "list_intents"),
    ("GET", r"/v1/payment_intents/(\w+)", "retrieve_intent"),
    ("POST", r"/v1/payment_intents/(\w+)/confirm", "confirm"),
    ("POST", r"/v1/payment_intents/(\w+)/capture", "capture"),
    ("POST", r"/v1/payment_intents/(\w+)/cancel", "cancel"),
    ("POST", r"/v1/refunds", "create_refund"),
    ("GET", r"/v1/refunds", "list_refunds"),
    ("GET", r"/v1/refunds/(\w+)", "retrieve_refund"),
]
CONTROLS = {
    *("fault", "clear_faults", "wait_until_held", "release", "authenticate", "lapse", "set_refund"),
    *("capture_there", "refund_there"),
    *("settings", "forget_keys", "book", "events", "send_events", "calls"),
    *("forget_events", "reset"),
}


@dataclass
class Answer:
    status: int
    body: dict[str, Any]
    replayed: bool = False


@dataclass
class Saved:
    """What the first call with a key asked, and its answer once there is one."""

    asked: tuple[str, str, str]
    answer: Answer | None
    at: float


class FakeStripe:
    """Serves one account, in threads. The methods named in CONTROLS can be called over HTTP too."""

    def __init__(self, port: int = 0) -> None:
        self.webhooks = Webhooks(WEBHOOK_SECRET)
        self.account = Account(self.webhooks.happened)
        self.faults = Faults()
        self.key_seconds: float = DAY
        self.saved: dict[str, Saved] = {}
        self.log: list[dict[str, Any]] = []
        self.server = _Server((HOST, port), _handler(self))
        self.url = f"http://{HOST}:{self.server.server_port}"

    def serve(self) -> None:
        self.server.serve_forever(POLL_SECONDS)

    def start(self) -> None:
        threading.Thread(target=self.serve, daemon=True).start()

    def stop(self) -> None:
        self.faults.clear()
        self.webhooks.stop()
        self.server.shutdown()
        self.server.server_close()

    # What tests ask.

    def fault(self, **fields: Any) -> None:
        """Let something go wrong with the next calls; the fields are those of Fault."""
        self.faults.add(Fault(**fields))

    def clear_faults(self) -> None:
        self.faults.clear()

    def wait_until_held(
        self, operation: str = "any", *, calls: int = 1, seconds: float = 10
    ) -> list[dict[str, str]]:
        held = self.faults.wait_until_held(operation, calls, seconds)
        return [{"operation": one.operation, "id": one.object_id} for one in held]

    def release(self, operation: str = "any") -> int:
        return self.faults.release(operation)

    def authenticate(self, intent: str, *, succeeds: bool = True) -> dict[str, Any]:
        with self.account.lock:
            return self.account.authenticate(intent, succeeds=succeeds)

    def lapse(self, intent: str) -> dict[str, Any]:
        with self.account.lock:
            return self.account.lapse(intent)

    def capture_there(self, intent: str, *, amount: int) -> dict[str, Any]:
        """A merchant captures in the dashboard."""
        with self.account.lock:
            return self.account.capture({"amount_to_capture": str(amount)}, intent)

    def refund_there(self, intent: str, *, amount: int) -> dict[str, Any]:
        with self.account.lock:
            form = {"payment_intent": intent, "amount": str(amount)}
            return self.account.create_refund(form)

    def set_refund(self, refund: str, *, status: str) -> dict[str, Any]:
        with self.account.lock:
            return self.account.set_refund(refund, status=status)

    def settings(
        self,
        *,
        key_seconds: float | None = None,
        refund_status: str | None = None,
        webhook_url: str | None = None,
        webhooks_kept: bool | None = None,
    ) -> None:
        if key_seconds is not None:
            self.key_seconds = key_seconds
        if refund_status is not None:
            self.account.refund_status = refund_status
        if webhook_url is not None:
            self.webhooks.url = webhook_url
        if webhooks_kept is not None:
            self.webhooks.kept = webhooks_kept

    def forget_keys(self) -> None:
        """A day goes by."""
        with self.account.lock:
            self.saved = {key: saved for key, saved in self.saved.items() if not saved.answer}

    def book(self) -> dict[str, Any]:
        return self.account.book()

    def events(self) -> list[dict[str, Any]]:
        return list(self.webhooks.events)

    def send_events(
        self, names: list[str], *, times: int = 1, after: float = 0, wait: bool = True
    ) -> list[dict[str, Any]]:
        """Send events by id or type, in the order of the names; return what was ever delivered."""
        self.webhooks.send(self.webhooks.named(names), times=times, after=after)
        if wait:
            self.webhooks.wait_until_sent()
        return list(self.webhooks.deliveries)

    def calls(self) -> list[dict[str, Any]]:
        """List the calls that were answered or were meant to be: operation, id, key, status."""
        return list(self.log)

    def forget_events(self) -> None:
        """What was told so far will not be told again."""
        self.webhooks.wait_until_sent()
        self.webhooks.events.clear()
        self.webhooks.deliveries.clear()

    def reset(self) -> None:
        """Forget everything, as if just started; where webhooks go to stays."""
        self.faults.clear()
        self.forget_events()
        self.account = Account(self.webhooks.happened)
        self.webhooks.kept = False
        self.saved, self.log, self.key_seconds = {}, [], DAY

    # What Stripe does.

    def answered(self, method: str, target: str, body: str, headers: Any) -> Answer | None:
        """Answer a call; None is a dropped connection."""
        path, query = urlsplit(target).path, urlsplit(target).query
        operation, object_id = _route(method, path)
        fault = self.faults.take(operation) if operation else Fault()
        sent = body if method == "POST" else query
        key = headers.get("Idempotency-Key") if method == "POST" else None
        try:
            _require_api_key(headers.get("Authorization", ""))
            answer = self._once(key, (method, path, sent), operation, object_id, fault)
        except StripeError as error:
            answer = Answer(error.status, {"error": error.error})
        self.log.append(
            {"operation": operation, "id": object_id, "key": key, "status": answer.status}
        )
        if not fault.before:
            self._wait(fault, operation, object_id)
        return None if fault.answer == DROPPED else answer

    def _wait(self, fault: Fault, operation: str, object_id: str) -> None:
        time.sleep(fault.seconds)
        if fault.hold:
            self.faults.hold(operation, object_id)

    def _once(
        self,
        key: str | None,
        asked: tuple[str, str, str],
        operation: str,
        object_id: str,
        fault: Fault,
    ) -> Answer:
        """Perform a call, or repeat the answer that its key has got already."""
        if key is None:
            return self._performed(asked[2], operation, object_id, fault)[0]
        with self.account.lock:
            saved = self.saved.get(key)
            if saved and saved.answer and time.time() >= saved.at + self.key_seconds:
                saved = None
            if saved:
                return _replayed(key, saved, asked)
            self.saved[key] = saved = Saved(asked, None, time.time())
        answer, is_saved = self._performed(asked[2], operation, object_id, fault)
        with self.account.lock:
            saved.answer = answer
            if not is_saved:
                del self.saved[key]
        return answer

    def _performed(
        self, sent: str, operation: str, object_id: str, fault: Fault
    ) -> tuple[Answer, bool]:
        """Do the work unless the fault says not to, and tell whether a key keeps the answer."""
        if fault.before:
            self._wait(fault, operation, object_id)
        try:
            if not operation:
                raise missing("such resource", object_id, param="url")
            ids = [object_id] if object_id else []
            if fault.works:
                with self.account.lock:
                    shown = getattr(self.account, operation)(forms.parsed(sent), *ids)
            if fault.answer in ANSWERS:
                raise ANSWERS[fault.answer]
        except StripeError as error:
            return Answer(error.status, {"error": error.error}), error.saved
        if not fault.works:
            return Answer(200, {}), False
        return Answer(200, shown), True


def _route(method: str, path: str) -> tuple[str, str]:
    for its_method, pattern, operation in ROUTES:
        if method == its_method and (found := re.fullmatch(pattern, path)):
            return operation, "".join(found.groups())
    return "", path


def _require_api_key(authorization: str) -> None:
    if authorization != f"Bearer {API_KEY}":
        raise UNKNOWN_KEY


def _replayed(key: str, saved: Saved, asked: tuple[str, str, str]) -> Answer:
    if saved.asked != asked:
        raise StripeError(
            400,
            "idempotency_error",
            "Keys for idempotent requests can only be used with the same parameters they were "
            f"first used with. Try using a key other than '{key}' if you meant to execute a "
            "different request.",
        )
    if saved.answer is None:
        raise StripeError(
            409,
            "idempotency_error",
            f"There is currently another in-progress request using this Idempotency Key ({key}).",
            code="idempotency_key_in_use",
        )
    return Answer(saved.answer.status, saved.answer.body, replayed=True)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that has gone, killed or out of patience, is what this server is made for.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _handler(stripe: FakeStripe) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Header and body leave in one packet.
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            if self.path.startswith("/control/"):
                self._send(*self._controlled(body))
                return
            answer = stripe.answered(self.command, self.path, body, self.headers)
            if answer is None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            headers = {"Request-Id": f"req_{secrets.token_hex(7)}"}
            if answer.replayed:
                headers["Idempotent-Replayed"] = "true"
            self._send(answer.status, answer.body, headers)

        def _controlled(self, body: str) -> tuple[int, Any]:
            name = self.path.removeprefix("/control/")
            if name not in CONTROLS:
                return 404, {"error": f"no control {name}"}
            control: Callable[..., Any] = getattr(stripe, name)
            try:
                return 200, control(**json.loads(body or "{}"))
            except (StripeError, TypeError, KeyError, AssertionError) as error:
                return 400, {"error": f"{type(error).__name__}: {error}"}

        def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
            encoded = json.dumps(body, indent=2).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(encoded)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(encoded)

        def log_message(self, format: str, *arguments: Any) -> None: ...

    return Handler
