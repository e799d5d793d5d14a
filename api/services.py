from api import clock, tokens
from api.errors import Kind, Refusal
from api.models import ApiClient
from api.transactions import in_transaction


class ClientIdTaken(Refusal):
    kind = Kind.CONFLICT
    code = "client_id_taken"
    constraint = "api_apiclient_client_id_key"
    detail = "There is an API client with this client_id already."


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
