"""`Idempotency-Key`: the same request, however often it arrives, happens once.

The key's row is written inside the service's own transaction (`claim`), so that it is there exactly
if the work was done. The answer is stored after the commit; if that was lost, it is made again from
the resource. A refusal is stored in a transaction of its own, after the rollback.
"""

import functools
import hashlib
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Concatenate, ParamSpec, TypeVar

from django.db import connection
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from api import clock
from api.authentication import caller_of
from api.errors import CONFLICT, WRONG_STATE, BadRequest, Busy, Refusal, answer
from api.ids import uuid7
from api.models import IdempotencyKey
from api.transactions import assert_in_transaction, in_transaction

View = TypeVar("View")
Address = ParamSpec("Address")

KEPT_FOR = timedelta(hours=24)
KEY_LENGTH_MAX = 255


class KeyInUse(Refusal):
    kind = CONFLICT
    code = "idempotency_key_in_use"
    detail = "The first request with this Idempotency-Key is still running."
    retry_after_seconds = 1


class KeyReused(Refusal):
    kind = WRONG_STATE
    code = "idempotency_key_reused"
    detail = "This Idempotency-Key was used for a different request body."


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

    @property
    def id(self) -> uuid.UUID:
        scope = "\n".join((self.client_id, self.method, self.path, self.key))
        return uuid.UUID(bytes=hashlib.sha256(scope.encode()).digest()[:16])

    @property
    def columns(self) -> list[Any]:
        """Return the row's values in the order that the statements below expect."""
        scope = [self.id, self.client_id, self.method, self.path, self.key]
        return [*scope, self.fingerprint, self.claim_id]

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
        body: bytes = request._request.body
        return cls(
            client_id=caller_of(request).client_id,
            method=str(request.method),
            path=request._request.path_info,
            key=key,
            fingerprint=hashlib.sha256(body).hexdigest(),
            claim_id=uuid7(),
        )


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
    record = IdempotencyKey.objects.get(pk=key.id)
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
def _store(key: Key, response: Response) -> bool:
    """Store an answer and tell whether that worked: the key may belong to another call by now."""
    body = JSONRenderer().render(response.data).decode()
    now = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(
            _STORE,
            [*key.columns, response.status_code, body, now, now - KEPT_FOR],
        )
        return bool(cursor.rowcount)


def once(
    again: Callable[[Any, str], Response],
) -> Callable[
    [Callable[Concatenate[View, Request, Key | None, Address], Response]],
    Callable[Concatenate[View, Request, Address], Response],
]:
    """Have a view's method perform a request, or answer as it was answered before.

    The method hands the key to a service, which claims it. `again` makes the answer anew from the
    view and the resource id that was claimed; the other parts of the address are in `view.kwargs`.
    Server errors and 429 are not stored, nor is 202, which only says how far things had got.
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
        # A refusal that holds only for the moment is not the answer to this request.
        if refusal.retry_after_seconds is not None:
            raise
        response = answer(refusal)
    passing = response.status_code >= 500 or response.status_code in {202, 429}
    try:
        if passing or _store(key, response) or response.status_code < 400:
            return response
    except Busy as refusal:
        # The work is done, and its answer can be made again; a refusal waits for the key's holder.
        if response.status_code < 400:
            return response
        raise KeyInUse from refusal
    # Refused before it could claim the key, which another call has used: that call's answer counts.
    return _replay(_record_of(key), again)


def _replay(record: IdempotencyKey, again: Callable[[str], Response]) -> Response:
    if record.answered:
        response = Response(json.loads(record.body or "null"), status=record.status)
    else:
        try:
            response = again(record.resource_id)
        except KeyInUse:
            raise
        except Refusal as refusal:
            response = answer(refusal)
    response["Idempotent-Replayed"] = "true"
    return response


def purge() -> int:
    """Delete the keys whose day is over and return how many there were."""
    return IdempotencyKey.objects.filter(created_at__lt=clock.now() - KEPT_FOR).delete()[0]
