"""`Idempotency-Key`: the same request, however often it arrives, happens once.

The key's row is written inside the service's own transaction (`claim`), so that it is there exactly
if the work was done. It names the resource, from which the answer is made again: no answer is kept.
A refusal by the state that the shop was in has no resource. It is kept itself, in a transaction of
its own after the rollback. One that was the request's own fault is not, and leaves the key free.
"""

import contextlib
import functools
import hashlib
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Concatenate, ParamSpec, TypeVar

from django.db import connection
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from api import clock, incoming, purging
from api.authentication import caller_of
from api.errors import CONFLICT, WRONG_STATE, BadRequest, Busy, NotFound, Refusal, answer
from api.ids import uuid7
from api.models import IdempotencyKey
from api.transactions import assert_in_transaction, in_transaction

View = TypeVar("View")
Address = ParamSpec("Address")

KEPT_FOR = timedelta(hours=24)
KEY_LENGTH_MAX = 255
# How much of a path a row tells, for people; the whole of it is part of the row's id.
PATH_TOLD_MAX = 1000
# How many characters of JSON the errors of a refusal may be that is kept.
ERRORS_LENGTH_MAX = 16_000


class KeyInUse(Refusal):
    kind = CONFLICT
    code = "idempotency_key_in_use"
    detail = "The first request with this Idempotency-Key is still running."
    retry_after_seconds = 1


class KeyReused(Refusal):
    kind = WRONG_STATE
    code = "idempotency_key_reused"
    detail = "This Idempotency-Key was used for a different request body."


class ResultGone(NotFound):
    code = "result_gone"
    detail = "This was done before, and what it made has been deleted since."


class Answered(Exception):
    """The request happened before; `record` is its stored key."""

    def __init__(self, record: IdempotencyKey) -> None:
        super().__init__(str(record))
        self.record = record


@dataclass(frozen=True)
class Key:
    client_id: str
    method: str
    path: str
    key: str
    fingerprint: str
    claim_id: uuid.UUID
    # What else makes it another key: which shopper sent it, the query and the currency asked for.
    within: tuple[str, ...] = ()

    @property
    def id(self) -> uuid.UUID:
        scope = json.dumps([self.client_id, self.method, self.path, self.key, *self.within])
        return uuid.UUID(bytes=hashlib.sha256(scope.encode()).digest()[:16])

    @property
    def columns(self) -> list[Any]:
        """Return the row's values in the order that the statements below expect."""
        told = [self.client_id, self.method, self.path[:PATH_TOLD_MAX], self.key]
        return [self.id, *told, self.fingerprint, self.claim_id]

    @classmethod
    def of(cls, request: Request) -> "Key | None":
        """Raises: BadRequest.

        A key that is not ASCII arrives empty from the web server. Treating it as no key would do
        twice what must happen once.
        """
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return None
        if not 1 <= len(key) <= KEY_LENGTH_MAX or not (key.isascii() and key.isprintable()):
            raise BadRequest(
                f"An Idempotency-Key is 1 to {KEY_LENGTH_MAX} printable ASCII characters.",
                source="Idempotency-Key",
            )
        caller = caller_of(request)
        return cls(
            client_id=caller.client_id,
            method=str(request.method),
            path=request._request.path_info,
            key=key,
            fingerprint=_fingerprint(request._request.body),
            claim_id=uuid7(),
            within=(
                caller.shopper,
                request.META.get("QUERY_STRING", ""),
                request.headers.get("X-Moltin-Currency", ""),
            ),
        )


def _fingerprint(body: bytes) -> str:
    """Tell bodies apart by what they say: the same JSON may be written in several ways."""
    try:
        incoming.require_small(body)
        said = json.loads(body, parse_float=_number)
        body = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        # No JSON, or more than is read. A call that needs some refuses it.
        pass
    return hashlib.sha256(body).hexdigest()


def _number(written: str) -> int | float:
    """Read 1.0 and 1e0 as the 1 that they are."""
    number = float(written)
    return int(number) if number.is_integer() else number


# A key seen a day ago is a new key. The advisory lock is only tried: a second request is refused at
# once, instead of waiting on the unique index until the first has finished.
_CLAIM = """
WITH guard AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(%s) AS free),
claimed AS (
    INSERT INTO api_idempotencykey AS known
        (id, client_id, method, path, key, fingerprint, claim_id, resource_id, body, created_at)
    SELECT %s::uuid, %s, %s, %s, %s, %s, %s::uuid, %s, '', %s FROM guard WHERE free
    ON CONFLICT (id) DO UPDATE
        SET (fingerprint, claim_id, resource_id, status, body, created_at) = ROW(
            excluded.fingerprint, excluded.claim_id, excluded.resource_id, NULL, '',
            excluded.created_at)
        WHERE known.created_at < %s
    RETURNING 1
)
SELECT guard.free, EXISTS (SELECT FROM claimed) FROM guard
"""


def claim(key: Key | None, resource_id: uuid.UUID | str) -> None:
    """Take the key in the open transaction, before any other lock; without a key, do nothing.

    Raises: KeyInUse while the first request runs; KeyReused for another body; Answered when done.
    """
    assert_in_transaction()
    if key is None:
        return
    now = clock.now()
    advisory_lock = int.from_bytes(key.id.bytes[:8], signed=True)
    with connection.cursor() as cursor:
        cursor.execute(
            _CLAIM,
            [advisory_lock, *key.columns, str(resource_id), now, now - KEPT_FOR],
        )
        free, claimed = cursor.fetchone()
    if not free:
        raise KeyInUse
    if not claimed:
        raise Answered(_record_of(key))


def require_new(key: Key | None) -> None:
    """Look whether the request was done before, without taking its key.

    Raises: Answered, KeyReused.
    """
    since = clock.now() - KEPT_FOR
    if key and IdempotencyKey.objects.filter(pk=key.id, created_at__gte=since).exists():
        raise Answered(_record_of(key))


def _record_of(key: Key) -> IdempotencyKey:
    """Return the key's stored record. Raises: KeyReused, if the key came with another body."""
    return _of_same_body(key, IdempotencyKey.objects.get(pk=key.id))


def _of_same_body(key: Key, record: IdempotencyKey) -> IdempotencyKey:
    if record.fingerprint != key.fingerprint:
        raise KeyReused
    return record


_STORE = """
INSERT INTO api_idempotencykey AS known
    (id, client_id, method, path, key, fingerprint, claim_id, resource_id, status, body, created_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, '', %s, %s, %s)
ON CONFLICT (id) DO UPDATE
    SET (fingerprint, claim_id, status, body, created_at) = ROW(
        excluded.fingerprint, excluded.claim_id, excluded.status, excluded.body,
        excluded.created_at)
    WHERE known.claim_id = excluded.claim_id OR known.created_at < %s
"""


@in_transaction
def _store(key: Key, status: int, errors: Sequence[Any]) -> bool:
    """Keep errors and tell whether that worked: the key may belong to another call by now."""
    now = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(_STORE, [*key.columns, status, _told(errors), now, now - KEPT_FOR])
        return bool(cursor.rowcount)


def _told(errors: Sequence[Any]) -> str:
    """Write errors as JSON, and of very many only the first ones."""
    told = JSONRenderer().render(errors).decode()
    while len(told) > ERRORS_LENGTH_MAX:
        errors = errors[: len(errors) // 2]
        told = JSONRenderer().render(errors).decode()
    return told


def once(
    again: Callable[[Any, str], Response],
) -> Callable[
    [Callable[Concatenate[View, Request, Key | None, Address], Response]],
    Callable[Concatenate[View, Request, Address], Response],
]:
    """Have a view's method perform a request, or answer as it was answered before.

    The method hands the key to a service, which claims it. `again` makes the answer anew from the
    view and the resource id that was claimed; the other parts of the address are in `view.kwargs`.
    """

    def decorate(
        method: Callable[Concatenate[View, Request, Key | None, Address], Response],
    ) -> Callable[Concatenate[View, Request, Address], Response]:
        @functools.wraps(method)
        def handle(
            view: View, request: Request, /, *args: Address.args, **kwargs: Address.kwargs
        ) -> Response:
            return _once(
                request,
                lambda key: method(view, request, key, *args, **kwargs),
                lambda resource_id: again(view, resource_id),
            )

        return handle

    return decorate


def _once(
    request: Request,
    perform: Callable[[Key | None], Response],
    again: Callable[[str], Response],
) -> Response:
    key = Key.of(request)
    if key is None:
        return perform(None)
    try:
        response = perform(key)
    except Answered as earlier:
        return _replay(earlier.record, again)
    except KeyReused:
        raise
    except Refusal as refusal:
        return _refused(key, refusal, again)
    if errors := _errors_beside(response):
        # The work is done, and most of its answer can be made again.
        with contextlib.suppress(Busy):
            _store(key, response.status_code, errors)
    return response


def _refused(key: Key, refusal: Refusal, again: Callable[[str], Response]) -> Response:
    """Answer with a refusal, and keep it if it lasts; or as the key was answered before.

    Raises: the refusal, if that is not to be kept; KeyInUse, KeyReused.
    """
    if refusal.retry_after_seconds is not None:
        raise refusal
    if refusal.lasts:
        response = answer(refusal)
        try:
            if _store(key, response.status_code, response.data["errors"]):
                return response
        except Busy as busy:
            # Another call holds the key.
            raise KeyInUse from busy
    # Refused before it could claim the key, which another call may have used: its answer counts.
    record = IdempotencyKey.objects.filter(
        pk=key.id, created_at__gte=clock.now() - KEPT_FOR
    ).first()
    if record is None:
        raise refusal
    return _replay(_of_same_body(key, record), again)


def _replay(record: IdempotencyKey, again: Callable[[str], Response]) -> Response:
    errors = json.loads(record.body or "[]")
    if record.status is not None and record.status >= 400:
        response = Response({"errors": errors}, status=record.status)
    else:
        response = _made_again(record.resource_id, again)
        if errors and not _errors_beside(response):
            response.data["errors"] = errors
    response["Idempotent-Replayed"] = "true"
    return response


def _made_again(resource_id: str, again: Callable[[str], Response]) -> Response:
    """Raises: KeyInUse."""
    try:
        return again(resource_id)
    except KeyInUse:
        raise
    except NotFound:
        return answer(ResultGone())
    except Refusal as refusal:
        return answer(refusal)


def _errors_beside(response: Response) -> Sequence[Any]:
    """Return why a part of what was asked for was not done. No resource can tell that later."""
    errors: Sequence[Any] = response.data.get("errors", ()) if response.data else ()
    return errors


def purge() -> int:
    """Delete the keys whose day is over and return how many there were."""
    old = IdempotencyKey.objects.filter(created_at__lt=clock.now() - KEPT_FOR)
    return purging.purge(old.order_by("created_at"))
