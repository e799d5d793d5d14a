"""What is told of each request: the numbers at /metrics, and a line in the log."""

import functools
import logging
import time
from contextvars import ContextVar
from typing import Any, NamedTuple

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

# How often the transactions of the request were begun again, and what refused those that ended.
_tries: ContextVar[list[str] | None] = ContextVar("tries", default=None)
_refusals: ContextVar[list[errors.Refusal] | None] = ContextVar("refusals", default=None)


def tried_again(reason: str) -> None:
    """Count that a transaction is begun again."""
    metrics.RETRIES.labels(reason).inc()
    if (tries := _tries.get()) is not None:
        tries.append(reason)


def given_up(reason: str) -> None:
    """Count that a transaction failed for the last time."""
    metrics.GIVEN_UP.labels(reason).inc()


def refused(refusal: errors.Refusal) -> None:
    """Keep in mind what a service has refused, until it is known who reads that."""
    if (refusals := _refusals.get()) is not None:
        refusals.append(refusal)


class Begun(NamedTuple):
    at: float
    tries: list[str]
    refusals: list[errors.Refusal]
    is_quiet: bool
    trace: tracing.Request | None


def begin(request: HttpRequest) -> Begun:
    tries, refusals = list[str](), list[errors.Refusal]()
    _tries.set(tries)
    _refusals.set(refusals)
    is_quiet = request.path_info.startswith(QUIET)
    if not is_quiet:
        metrics.in_flight.add(request)
        metrics.keep_telling()
    trace = None if is_quiet else tracing.request(request.headers)
    return Begun(time.perf_counter(), tries, refusals, is_quiet, trace)


def end(begun: Begun, request: HttpRequest, response: HttpResponseBase) -> None:
    seconds = time.perf_counter() - begun.at
    if not begun.is_quiet:
        metrics.in_flight.discard(request)
    if request.path_info.startswith(_PAGES):
        # A program's are counted as they are answered, by the one of several that it reads.
        for refusal in begun.refusals:
            errors.count(refusal)
    _refusals.set(None)
    match, status, client = request.resolver_match, response.status_code, _client(request)
    if begun.trace:
        begun.trace.end(_method(request.method), _route(match), status, client)
    ended = Ended(
        at=time.time(),
        seconds=seconds,
        request_id=request.request_id,  # type: ignore[attr-defined]
        method=request.method or "",
        match=match,
        status=status,
        client=client,
        made=_made(response),
        length=None if response.streaming else len(response.content),  # type: ignore[attr-defined]
    )
    telling.later(functools.partial(_tell, begun, ended))


class Ended(NamedTuple):
    """What is told of a request, without the request itself: its body may be large."""

    at: float
    seconds: float
    request_id: str
    method: str
    match: ResolverMatch | None
    status: int
    client: dict[str, str]
    made: tuple[str, str] | None
    length: int | None


def _tell(begun: Begun, ended: Ended) -> None:
    method, route = _method(ended.method), _route(ended.match)
    if not begun.is_quiet:
        _requests(route, method, ended.status).inc()
        _seconds(route).observe(ended.seconds)
    level = logging.DEBUG if begun.is_quiet else logging.INFO
    if _log.isEnabledFor(level):
        line: dict[str, Any] = {
            "request_id": ended.request_id,
            "method": method,
            "route": route,
            "status": ended.status,
            "ms": round(ended.seconds * 1000, 1),
            **ended.client,
            **_about(ended),
        }
        if ended.length is not None:
            line["bytes"] = ended.length
        if begun.tries:
            line["tried_again"] = begun.tries
        logs.tell(_log, level, "request", line, ended.at)


def refused_unread(status: int, method: str = "") -> None:
    """Tell of a request that was refused before anybody looked at its address."""
    telling.later(functools.partial(_tell_unread, status, _method(method), time.time()))


def _tell_unread(status: int, method: str, at: float) -> None:
    _requests(NOWHERE, method, status).inc()
    if _log.isEnabledFor(logging.INFO):
        line = {"method": method, "route": NOWHERE, "status": status}
        logs.tell(_log, logging.INFO, "request", line, at)


def _method(method: str | None) -> str:
    return method if method in METHODS else "other"


def _route(match: ResolverMatch | None) -> str:
    return match.route if match else NOWHERE


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


def _made(response: HttpResponseBase) -> tuple[str, str] | None:
    """Return the type and the id of the one thing that is answered, where it has both."""
    body = getattr(response, "data", None)
    data = body.get("data") if isinstance(body, dict) else None
    return (str(data.get("type")), str(data.get("id"))) if isinstance(data, dict) else None


def _about(ended: Ended) -> dict[str, str]:
    """Tell which order and payment it was about: by the address, or by what was made."""
    if ended.match is None:
        return {}
    kwargs = ended.match.kwargs
    found = {told: str(kwargs[name]) for name, told in _KWARGS.items() if name in kwargs}
    if ended.match.route.startswith(_ORDER_PAGES):
        found["order"] = str(kwargs["object_id"])[:36]
    if ended.made and (told := _TYPES.get(ended.made[0])):
        found.setdefault(told, ended.made[1])
    return found
