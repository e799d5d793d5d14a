"""What is told of each request: the numbers at /metrics, and a line in the log."""

import functools
import logging
import time
from contextvars import ContextVar
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch
from django.utils.functional import SimpleLazyObject

from api import errors, metrics
from config import logs, telling, tracing

_log = logging.getLogger(logs.REQUESTS)

# Asked for every second, and of no interest unless somebody looks for faults.
QUIET = ("/health/", "/metrics", settings.STATIC_URL, settings.MEDIA_URL)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Where no address fits, or nobody looked for one.
NOWHERE = "none"
# Under which names addresses tell orders and payments.
_KWARGS = {"order_id": "order", "payment_id": "payment"}
_ORDER_PAGES = "admin/orders/order/<path:object_id>/"
# Whose ids an answer tells, by its type.
_TYPES = {"order": "order", "transaction": "payment"}

# Where people read what was refused, on whichever page shows it.
_PAGES = "/admin/"


class Seen:
    """A request, and what is told of it. Not the request itself: its body may be large."""

    at: float
    client: dict[str, str]
    length: int | None
    made: dict[str, str]
    match: ResolverMatch | None
    request_id: str
    seconds: float
    status: int

    def __init__(self, method: str | None, *, is_quiet: bool) -> None:
        self.method = method if method in METHODS else "other"
        self.is_quiet = is_quiet
        # How often its transactions were begun again, and what refused those that ended.
        self.tries: list[str] = []
        self.refusals: list[errors.Refusal] = []
        self.trace: tracing.Request | None = None
        self.began = time.perf_counter()

    @property
    def route(self) -> str:
        return self.match.route if self.match else NOWHERE

    def tell(self) -> None:
        route = self.route
        if not self.is_quiet:
            _requests(route, self.method, self.status).inc()
            _seconds(route).observe(self.seconds)
        level = logging.DEBUG if self.is_quiet else logging.INFO
        if _log.isEnabledFor(level):
            logs.tell(_log, level, "request", self._line(route), self.at)

    def _line(self, route: str) -> dict[str, Any]:
        line: dict[str, Any] = {
            "request_id": self.request_id,
            "method": self.method,
            "route": route,
            "status": self.status,
            "ms": round(self.seconds * 1000, 1),
            **self.client,
            **self._about(),
        }
        if self.length is not None:
            line["bytes"] = self.length
        if self.tries:
            line["tried_again"] = self.tries
        return line

    def _about(self) -> dict[str, str]:
        """Tell which order and payment it was about: by the address, or by what was made."""
        if self.match is None:
            return {}
        kwargs = self.match.kwargs
        found = {told: str(kwargs[name]) for name, told in _KWARGS.items() if name in kwargs}
        if self.match.route.startswith(_ORDER_PAGES):
            found["order"] = str(kwargs["object_id"])[:36]
        return self.made | found


_seen: ContextVar[Seen | None] = ContextVar("seen", default=None)


def tried_again(reason: str) -> None:
    """Count that a transaction is begun again."""
    metrics.RETRIES.labels(reason).inc()
    if seen := _seen.get():
        seen.tries.append(reason)


def given_up(reason: str) -> None:
    """Count that a transaction failed for the last time."""
    metrics.GIVEN_UP.labels(reason).inc()


def refused(refusal: errors.Refusal) -> None:
    """Keep in mind what a service has refused, until it is known who reads that."""
    if seen := _seen.get():
        seen.refusals.append(refusal)


def begin(request: HttpRequest) -> Seen:
    seen = Seen(request.method, is_quiet=request.path_info.startswith(QUIET))
    _seen.set(seen)
    if not seen.is_quiet:
        metrics.in_flight.add(request)
        metrics.keep_telling()
        seen.trace = tracing.request(request.headers)
    return seen


def end(seen: Seen, request: HttpRequest, response: HttpResponseBase) -> None:
    seen.seconds, seen.at = time.perf_counter() - seen.began, time.time()
    _seen.set(None)
    if not seen.is_quiet:
        metrics.in_flight.discard(request)
    seen.request_id = request.request_id  # type: ignore[attr-defined]
    seen.match, seen.client = request.resolver_match, _client(request)
    seen.status, seen.made = response.status_code, _made(response)
    seen.length = None if response.streaming else len(response.content)  # type: ignore[attr-defined]
    if seen.refusals and request.path_info.startswith(_PAGES):
        # A program's are counted as they are answered, by the one of several that it reads.
        for refusal in seen.refusals:
            errors.count(refusal)
    if seen.trace:
        seen.trace.end(seen.method, seen.route, seen.status, seen.client)
    telling.later(seen.tell)


def refused_unread(status: int, method: str = "") -> None:
    """Tell of a request that was refused before anybody looked at its address."""
    method = method if method in METHODS else "other"
    telling.later(functools.partial(_tell_unread, status, method, time.time()))


def _tell_unread(status: int, method: str, at: float) -> None:
    _requests(NOWHERE, method, status).inc()
    if _log.isEnabledFor(logging.INFO):
        line = {"method": method, "route": NOWHERE, "status": status}
        logs.tell(_log, logging.INFO, "request", line, at)


# Finding a child by its labels takes longer than counting.
@functools.lru_cache(maxsize=4096)
def _requests(route: str, method: str, status: int) -> Any:
    return metrics.REQUESTS.labels(route, method, str(status))


@functools.lru_cache(maxsize=1024)
def _seconds(route: str) -> Any:
    return metrics.SECONDS.labels(route)


def _client(request: HttpRequest) -> dict[str, str]:
    """Tell who called, if the request was asked who it is: a client's id, or a person's."""
    known = request.__dict__
    if (person := known.get("_cached_user")) is not None:
        return {"person": str(person.pk)} if person.pk else {}
    # A person whom nobody has looked up yet stays so: to look would be a query.
    caller = known.get("user")
    if caller is None or isinstance(caller, SimpleLazyObject):
        return {}
    return {"client": caller.client_id}


def _made(response: HttpResponseBase) -> dict[str, str]:
    """Tell the id of the order or payment that is answered, if it is one."""
    body = getattr(response, "data", None)
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, dict):
        return {}
    told = _TYPES.get(str(data.get("type")))
    return {told: str(data.get("id"))} if told else {}
