import json
import time
from io import StringIO

import jwt
import pytest
from django.core.management import CommandError, call_command
from jwt.utils import base64url_encode

from api import services, tokens
from api.actors import Actor
from api.models import ApiClient
from api.tokens import ADMINISTRATOR, SHOPPER, BadCredentials, BadToken
from tests.factories import api_client

pytestmark = pytest.mark.django_db


def _token(client: ApiClient) -> str:
    token: str = tokens.issue("implicit", client.client_id, "")["access_token"]
    return token


def _revoke(client: ApiClient, **fields: object) -> None:
    ApiClient.objects.filter(pk=client.pk).update(**fields)


# Asking for a token.


@pytest.mark.parametrize(
    ("grant", "secret", "scope"),
    [("client_credentials", "s3cret", ADMINISTRATOR), ("implicit", "", SHOPPER)],
)
def test_a_client_gets_a_token_for_either_grant(grant, secret, scope, settings):
    client = api_client("s3cret", client_id="back-office", name="Back office")

    answer = tokens.issue(grant, "back-office", secret)

    assert answer["identifier"] == grant
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3600)
    assert answer["expires"] == pytest.approx(time.time() + 3600, abs=5)
    caller = tokens.read(answer["access_token"])
    assert (caller.client_id, caller.name, caller.scope) == (client.client_id, "Back office", scope)
    assert caller.is_administrator == (scope == ADMINISTRATOR)
    assert caller.actor == Actor("api_client", "back-office", "Back office")


@pytest.mark.parametrize("secret", ["", "wrong", "s3cret ", "S3CRET"])
def test_a_wrong_secret_gets_no_token(secret):
    api_client("s3cret", client_id="back-office")

    with pytest.raises(BadCredentials):
        tokens.issue("client_credentials", "back-office", secret)


@pytest.mark.parametrize("secret", ["", "anything"])
def test_a_storefront_gets_no_token_of_an_administrator(secret):
    api_client(secret="", client_id="storefront")

    with pytest.raises(BadCredentials):
        tokens.issue("client_credentials", "storefront", secret)


@pytest.mark.parametrize("grant", ["client_credentials", "implicit"])
@pytest.mark.parametrize("client_id", ["unknown", "revoked"])
def test_a_client_that_is_unknown_or_revoked_gets_no_token(grant, client_id):
    api_client("s3cret", client_id="revoked", active=False)

    with pytest.raises(BadCredentials):
        tokens.issue(grant, client_id, "s3cret")


def test_a_secret_is_stored_as_its_hash_only():
    client = api_client("s3cret")

    stored = ApiClient.objects.values().get(pk=client.pk)

    assert "s3cret" not in str(stored)
    assert len(stored["secret_sha256"]) == 64


# Reading a token.


def test_a_client_that_was_seen_costs_no_query(django_assert_num_queries):
    token = _token(api_client())

    with django_assert_num_queries(1):
        tokens.read(token)
    with django_assert_num_queries(0):
        tokens.read(token)


@pytest.mark.parametrize("change", [{"active": False}, {"version": 2}])
def test_a_revoked_client_is_refused_once_it_is_looked_up_again(change):
    client = api_client()
    token = _token(client)
    tokens.read(token)

    _revoke(client, **change)
    tokens.read(token)
    tokens.forget_clients()

    with pytest.raises(BadToken):
        tokens.read(token)


def test_a_client_is_looked_up_again_after_some_seconds(settings):
    settings.CLIENT_CACHE_SECONDS = -1
    client = api_client()
    token = _token(client)
    tokens.read(token)

    _revoke(client, active=False)

    with pytest.raises(BadToken):
        tokens.read(token)


def test_a_client_with_a_new_version_gets_good_tokens_again():
    client = api_client()
    _revoke(client, version=2)

    assert tokens.read(_token(client)).client_id == client.client_id


def test_a_token_of_a_client_that_is_gone_is_refused():
    client = api_client()
    token = _token(client)
    client.delete()

    with pytest.raises(BadToken):
        tokens.read(token)


def test_an_expired_token_is_refused(settings):
    settings.TOKEN_LIFETIME_SECONDS = -1
    token = _token(api_client())

    with pytest.raises(BadToken):
        tokens.read(token)


def test_a_key_can_be_replaced_while_its_tokens_live(settings):
    client = api_client()
    settings.TOKEN_KEYS = {"old": "o" * 32}
    token = _token(client)

    settings.TOKEN_KEYS = {"new": "n" * 32, "old": "o" * 32}
    assert tokens.read(token).client_id == client.client_id
    assert jwt.get_unverified_header(_token(client))["kid"] == "new"
    settings.TOKEN_KEYS = {"new": "n" * 32}

    with pytest.raises(BadToken):
        tokens.read(token)


def test_a_token_that_was_good_ends_with_its_hour_and_with_its_key(settings):
    client = api_client()
    token = _token(client)
    assert tokens.read(token) == tokens.read(token)
    settings.TOKEN_LIFETIME_SECONDS = -1
    ended = _token(client)
    tokens._verified[ended] = tokens._verified[token]._replace(expires=int(time.time()) - 1)

    with pytest.raises(BadToken):
        tokens.read(ended)
    settings.TOKEN_KEYS = dict.fromkeys(settings.TOKEN_KEYS, "x" * 32)
    with pytest.raises(BadToken):
        tokens.read(token)


def test_a_process_remembers_only_so_many_good_tokens_and_no_bad_ones(monkeypatch):
    monkeypatch.setattr(tokens, "TOKENS_MAX", 3)
    monkeypatch.setattr(tokens, "_verified", {})
    clients = [api_client() for _ in range(5)]
    issued = [_token(client) for client in clients]

    for token, client in zip(issued * 2, clients * 2, strict=True):
        assert tokens.read(token).client_id == client.client_id
        assert len(tokens._verified) <= 3
        with pytest.raises(BadToken):
            tokens.read(token[:-4] + "AAAA")

    assert tokens._verified.keys() <= set(issued)


def test_a_token_signed_with_another_key_of_the_same_name_is_refused(settings):
    client = api_client()
    settings.TOKEN_KEYS = {"1": "o" * 32}
    token = _token(client)
    settings.TOKEN_KEYS = {"1": "n" * 32}

    with pytest.raises(BadToken):
        tokens.read(token)


def _signed(settings, claims: dict[str, object], algorithm: str = "HS256") -> str:
    [(kid, secret)] = settings.TOKEN_KEYS.items()
    key = secret if algorithm != "none" else None
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid})


@pytest.mark.parametrize("missing", ["iss", "exp", "sub", "scope", "version"])
def test_a_token_that_leaves_something_out_is_refused(missing, settings):
    claims = jwt.decode(_token(api_client()), options={"verify_signature": False})
    tokens.read(_signed(settings, claims))

    del claims[missing]

    with pytest.raises(BadToken):
        tokens.read(_signed(settings, claims))


@pytest.mark.filterwarnings("ignore:The HMAC key is")
@pytest.mark.parametrize("algorithm", ["none", "HS512"])
def test_a_token_that_chooses_its_own_algorithm_is_refused(algorithm, settings):
    claims = jwt.decode(_token(api_client()), options={"verify_signature": False})

    with pytest.raises(BadToken):
        tokens.read(_signed(settings, claims, algorithm))


def test_a_tampered_token_is_refused():
    header, _, signature = _token(api_client()).split(".")
    _, shopper, _ = _token(api_client()).split(".")

    with pytest.raises(BadToken):
        tokens.read(".".join((header, shopper, signature)))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b.c",
        "....",
        "\x00",
        "é.é.é",
        "eyJhbGciOiJIUzI1NiJ9.e30.x",
        "null",
        "e30.e30.e30",
    ],
)
def test_what_is_no_token_is_refused(token):
    with pytest.raises(BadToken):
        tokens.read(token)


@pytest.mark.parametrize("kid", [None, 1, ["1"], {"1": 1}, "2"])
def test_a_token_that_names_no_key_of_ours_is_refused(kid):
    token = jwt.encode({"sub": "x"}, "k" * 32, algorithm="HS256", headers={"kid": "1"})
    payload_and_signature = token.split(".", 1)[1]
    header = base64url_encode(json.dumps({"alg": "HS256", "kid": kid}).encode()).decode()

    with pytest.raises(BadToken):
        tokens.read(f"{header}.{payload_and_signature}")


# Making clients.


def test_a_new_client_gets_a_secret_of_its_own():
    secrets = {services.create_client(client_id, "Shop") for client_id in ("one", "two")}

    assert len(secrets) == 2
    assert all(len(secret) >= 43 for secret in secrets)


def test_the_command_makes_a_client_and_prints_its_secret_once():
    output = StringIO()

    call_command("create_api_client", "erp", "--name", "The ERP", stdout=output)

    [secret] = [
        line.split()[1] for line in output.getvalue().splitlines() if "client_secret:" in line
    ]
    token = tokens.issue("client_credentials", "erp", secret)["access_token"]
    assert tokens.read(token).actor == Actor("api_client", "erp", "The ERP")
    assert tokens.read(token).is_administrator


def test_the_command_makes_a_storefront_without_a_secret():
    output = StringIO()

    call_command("create_api_client", "web", "--storefront", stdout=output)

    assert "client_secret" not in output.getvalue()
    assert not tokens.read(_token(ApiClient.objects.get())).is_administrator


def test_the_command_refuses_a_client_id_that_is_taken():
    api_client(client_id="erp")

    with pytest.raises(CommandError, match="There is an API client with this client_id already"):
        call_command("create_api_client", "erp")
