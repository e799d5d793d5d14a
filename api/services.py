import uuid
from collections.abc import Mapping
from typing import Any

from api import changes, clock, tokens
from api.actors import Actor
from api.errors import CONFLICT, WRONG_STATE, Refusal, Standing, require_as_seen
from api.models import ApiClient, Change
from api.transactions import in_transaction


class ClientIdTaken(Refusal):
    kind = CONFLICT
    code = "client_id_taken"
    constraint = "api_apiclient_client_id_key"
    detail = "There is an API client with this client_id already."


class StorefrontHasNoSecret(Refusal):
    kind = WRONG_STATE
    code = "storefront_has_no_secret"
    detail = "A storefront runs in browsers and has no secret that could be replaced."


@in_transaction
def create_client(
    client_id: str, name: str, *, actor: Actor, storefront: bool = False, secret: str = ""
) -> str:
    """Create an API client and return its secret, which is stored nowhere; a storefront has none.

    Raises: ClientIdTaken.
    """
    client = ApiClient(client_id=client_id, name=name, created_at=clock.now())
    secret = "" if storefront else client.make_secret(secret)
    client.save(force_insert=True)
    changes.created(actor, client)
    tokens.forget_clients()
    return secret


def rename_client(
    pk: uuid.UUID, name: str, *, actor: Actor, seen: Mapping[str, Any] | None = None
) -> None:
    """`seen` is the name that it had. Raises: Moved."""
    _rename(pk, name, actor, seen)
    tokens.forget_clients()


@in_transaction
def _rename(pk: uuid.UUID, name: str, actor: Actor, seen: Mapping[str, Any] | None) -> None:
    client = _lock(pk)
    with changes.recorded(actor, client, seen=seen):
        client.name = name
        client.save(update_fields=["name"])


# Issued tokens carry the client's version. In this process they end with the change, in any other
# within CLIENT_CACHE_SECONDS.


def rotate_secret(pk: uuid.UUID, *, actor: Actor, seen: Standing | None = None) -> str:
    """Replace a client's secret and return the new one, which is stored nowhere.

    The old secret gets no more tokens, and the tokens that it got end.

    Raises: StorefrontHasNoSecret; Moved, for who has `seen` another secret than there is.
    """
    secret = _rotate(pk, actor, seen)
    tokens.forget_clients()
    return secret


@in_transaction
def _rotate(pk: uuid.UUID, actor: Actor, seen: Standing | None) -> str:
    client = _lock(pk)
    require_as_seen(seen, client.standing)
    if client.is_storefront:
        raise StorefrontHasNoSecret
    with changes.recorded(actor, client, Change.What.SECRET_RENEWED):
        secret = client.make_secret()
        client.version += 1
        client.save(update_fields=["secret_sha256", "version"])
    return secret


def revoke_client(pk: uuid.UUID, *, actor: Actor) -> None:
    """Shut a client out and end its tokens for good: a restored client needs new ones."""
    _set_active(pk, Change.What.DEACTIVATED, actor)
    tokens.forget_clients()


def restore_client(pk: uuid.UUID, *, actor: Actor) -> None:
    """Let a revoked client in again, with the secret that it had."""
    _set_active(pk, Change.What.REACTIVATED, actor)
    tokens.forget_clients()


@in_transaction
def _set_active(pk: uuid.UUID, what: Change.What, actor: Actor) -> None:
    client = _lock(pk)
    active = what == Change.What.REACTIVATED
    if client.active != active:
        with changes.recorded(actor, client, what):
            client.active = active
            client.version += 1
            client.save(update_fields=["active", "version"])


def _lock(pk: uuid.UUID) -> ApiClient:
    return ApiClient.objects.select_for_update(no_key=True).get(pk=pk)
