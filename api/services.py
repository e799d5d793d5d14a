import uuid

from api import clock, tokens
from api.errors import CONFLICT, WRONG_STATE, Refusal
from api.models import ApiClient
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
def create_client(client_id: str, name: str, *, storefront: bool = False, secret: str = "") -> str:
    """Create an API client and return its secret, which is stored nowhere; a storefront has none.

    Raises: ClientIdTaken.
    """
    client = ApiClient(client_id=client_id, name=name, created_at=clock.now())
    secret = "" if storefront else client.make_secret(secret)
    client.save(force_insert=True)
    tokens.forget_clients()
    return secret


def rename_client(pk: uuid.UUID, name: str) -> None:
    ApiClient.objects.filter(pk=pk).update(name=name)
    tokens.forget_clients()


# Issued tokens carry the client's version. In this process they end with the change, in any other
# within CLIENT_CACHE_SECONDS.


def rotate_secret(pk: uuid.UUID) -> str:
    """Replace a client's secret and return the new one, which is stored nowhere.

    The old secret gets no more tokens, and the tokens that it got end.

    Raises: StorefrontHasNoSecret.
    """
    secret = _rotate(pk)
    tokens.forget_clients()
    return secret


@in_transaction
def _rotate(pk: uuid.UUID) -> str:
    client = ApiClient.objects.select_for_update(no_key=True).get(pk=pk)
    if client.is_storefront:
        raise StorefrontHasNoSecret
    secret = client.make_secret()
    client.version += 1
    client.save(update_fields=["secret_sha256", "version"])
    return secret


def revoke_client(pk: uuid.UUID) -> None:
    """Shut a client out and end its tokens for good: a restored client needs new ones."""
    _set_active(pk, active=False)
    tokens.forget_clients()


def restore_client(pk: uuid.UUID) -> None:
    """Let a revoked client in again, with the secret that it had."""
    _set_active(pk, active=True)
    tokens.forget_clients()


@in_transaction
def _set_active(pk: uuid.UUID, *, active: bool) -> None:
    client = ApiClient.objects.select_for_update(no_key=True).get(pk=pk)
    if client.active != active:
        client.active = active
        client.version += 1
        client.save(update_fields=["active", "version"])
