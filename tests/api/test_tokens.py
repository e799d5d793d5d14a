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
from tests.factories import MERCHANT, api_client

pytestmark = pytest.mark.django_db


def storefront(**fields: object) -> ApiClient:
    return api_client(secret="", **fields)


def _token(client: ApiClient) -> str:
    token: str = tokens.issue("implicit", client.client_id, "")["access_token"]
    return token


def _revoke(client: ApiClient, **fields: object) -> None:
    ApiClient.objects.filter(pk=client.pk).update(**fields)


# Asking for a token.


@pytest.mark.parametrize(
    ("grant", "secret", "scope", "actor"),
    [
        ("client_credentials", "s3cret", ADMINISTRATOR, Actor("api_client", "me", "Me")),
        ("implicit", "", SHOPPER, Actor("shopper", "me", "Me (shopper)")),
    ],
)
def test_a_client_gets_tokens_of_its_kind_which_its_deeds_tell(grant, secret, scope, actor):
    api_client(secret, client_id="me", name="Me")

    answer = tokens.issue(grant, "me", secret)

    assert answer["identifier"] == grant
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3600)
    assert answer["expires"] == pytest.approx(time.time() + 3600, abs=5)
    caller = tokens.read(answer["access_token"])
    assert (caller.client_id, caller.name, caller.scope) == ("me", "Me", scope)
    assert caller.is_administrator == (scope == ADMINISTRATOR)
    assert caller.actor == actor


def test_the_longest_name_of_a_storefront_fits_into_a_log():
    assert len(tokens.Caller("me", "n" * 200, SHOPPER, "ada").actor.name) <= 200


@pytest.mark.parametrize("secret", ["", "s3cret"])
def test_t32_nobody_gets_a_shopper_s_token_of_a_client_that_acts_for_the_store(secret):
    api_client("s3cret", client_id="back-office")

    with pytest.raises(BadCredentials):
        tokens.issue("implicit", "back-office", secret)


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
    token = _token(storefront())

    with django_assert_num_queries(1):
        tokens.read(token)
    with django_assert_num_queries(0):
        tokens.read(token)


@pytest.mark.parametrize("change", [{"active": False}, {"version": 2}])
def test_a_revoked_client_is_refused_once_it_is_looked_up_again(change):
    client = storefront()
    token = _token(client)
    tokens.read(token)

    _revoke(client, **change)
    tokens.read(token)
    tokens.forget_clients()

    with pytest.raises(BadToken):
        tokens.read(token)


def test_a_client_is_looked_up_again_after_some_seconds(settings):
    settings.CLIENT_CACHE_SECONDS = -1
    client = storefront()
    token = _token(client)
    tokens.read(token)

    _revoke(client, active=False)

    with pytest.raises(BadToken):
        tokens.read(token)


def test_a_client_with_a_new_version_gets_good_tokens_again():
    client = storefront()
    _revoke(client, version=2)

    assert tokens.read(_token(client)).client_id == client.client_id


def test_a_token_of_a_client_that_is_gone_is_refused():
    client = storefront()
    token = _token(client)
    client.delete()

    with pytest.raises(BadToken):
        tokens.read(token)


def test_an_expired_token_is_refused(settings):
    settings.TOKEN_LIFETIME_SECONDS = -1
    token = _token(storefront())

    with pytest.raises(BadToken):
        tokens.read(token)


def test_a_key_can_be_replaced_while_its_tokens_live(settings):
    client = storefront()
    settings.TOKEN_KEYS = {"old": "o" * 32}
    token = _token(client)

    settings.TOKEN_KEYS = {"new": "n" * 32, "old": "o" * 32}
    assert tokens.read(token).client_id == client.client_id
    assert jwt.get_unverified_header(_token(client))["kid"] == "new"
    settings.TOKEN_KEYS = {"new": "n" * 32}

    with pytest.raises(BadToken):
        tokens.read(token)


def test_a_token_that_was_good_ends_with_its_hour_and_with_its_key(settings):
    client = storefront()
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
    clients = [storefront() for _ in range(5)]
    issued = [_token(client) for client in clients]

    for token, client in zip(issued * 2, clients * 2, strict=True):
        assert tokens.read(token).client_id == client.client_id
        assert len(tokens._verified) <= 3
        with pytest.raises(BadToken):
            tokens.read(token[:-4] + "AAAA")

    assert tokens._verified.keys() <= set(issued)


def test_a_token_signed_with_another_key_of_the_same_name_is_refused(settings):
    client = storefront()
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
    claims = jwt.decode(_token(storefront()), options={"verify_signature": False})
    tokens.read(_signed(settings, claims))

    del claims[missing]

    with pytest.raises(BadToken):
        tokens.read(_signed(settings, claims))


@pytest.mark.filterwarnings("ignore:The HMAC key is")
@pytest.mark.parametrize("algorithm", ["none", "HS512"])
def test_a_token_that_chooses_its_own_algorithm_is_refused(algorithm, settings):
    claims = jwt.decode(_token(storefront()), options={"verify_signature": False})

    with pytest.raises(BadToken):
        tokens.read(_signed(settings, claims, algorithm))


def test_a_tampered_token_is_refused():
    header, _, signature = _token(storefront()).split(".")
    _, shopper, _ = _token(storefront()).split(".")

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


@pytest.mark.parametrize(
    ("secret", "claims"),
    [
        ("s3cret", {"scope": SHOPPER, "shopper": "ada"}),
        ("s3cret", {"scope": SHOPPER}),
        ("s3cret", {"scope": "admin "}),
        ("", {"scope": SHOPPER}),
        ("", {"scope": ADMINISTRATOR}),
        ("", {"scope": ADMINISTRATOR, "shopper": "ada"}),
    ],
)
def test_t32_a_token_that_its_client_would_not_get_today_is_refused(secret, claims, settings):
    """Such as were given out before each client had one grant."""
    client = api_client(secret)
    now = int(time.time())
    signed = {"iss": "holdfast", "sub": client.client_id, "version": 1, "exp": now + 60, **claims}

    with pytest.raises(BadToken):
        tokens.read(_signed(settings, signed))


# Whose it is.


def test_two_shoppers_of_one_storefront_are_told_apart():
    client = storefront()

    assert len({tokens.read(_token(client)).shopper for _ in range(3)}) == 3


@pytest.mark.parametrize("ended_seconds_ago", [-60, 60, tokens.RENEWABLE_SECONDS - 60])
def test_a_token_that_is_renewed_stays_the_same_shopper_s(ended_seconds_ago, settings):
    client = storefront()
    settings.TOKEN_LIFETIME_SECONDS = -ended_seconds_ago
    old = _token(client)
    settings.TOKEN_LIFETIME_SECONDS = 3600

    new = tokens.issue("implicit", client.client_id, "", renewed=old)["access_token"]
    newer = tokens.issue("implicit", client.client_id, "", renewed=new)["access_token"]

    said = jwt.decode(old, options={"verify_signature": False, "verify_exp": False})
    assert tokens.read(new).shopper == tokens.read(newer).shopper == said["shopper"]


def test_what_cannot_be_renewed_makes_another_shopper(settings):
    client, other, server = storefront(), storefront(), api_client("s3cret")
    settings.TOKEN_LIFETIME_SECONDS = -tokens.RENEWABLE_SECONDS - 60
    too_old = _token(client)
    settings.TOKEN_LIFETIME_SECONDS = 3600
    of_a_server = tokens.issue("client_credentials", server.client_id, "s3cret")["access_token"]
    good = _token(client)
    tampered = good[:-4] + "AAAA"
    unfit = {
        too_old: jwt.decode(too_old, options={"verify_signature": False, "verify_exp": False}),
        tampered: jwt.decode(good, options={"verify_signature": False}),
        (of_another := _token(other)): jwt.decode(of_another, options={"verify_signature": False}),
        of_a_server: {"shopper": ""},
        "nonsense": {"shopper": ""},
    }

    for token, claims in unfit.items():
        new = tokens.issue("implicit", client.client_id, "", renewed=token)["access_token"]
        assert tokens.read(new).shopper not in {"", claims["shopper"]}


# Making clients.


def test_a_new_client_gets_a_secret_of_its_own():
    secrets = {
        services.create_client(client_id, "Shop", actor=MERCHANT) for client_id in ("one", "two")
    }

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

    call_command("create_api_client", " web ", "--storefront", stdout=output)

    assert "client_secret" not in output.getvalue()
    client = ApiClient.objects.get(client_id="web")
    assert not tokens.read(_token(client)).is_administrator


@pytest.mark.parametrize("said", [[""], [" "], ["x" * 65], ["shop", "--name", "x" * 201]])
def test_the_command_refuses_what_does_not_fit(said):
    with pytest.raises(CommandError):
        call_command("create_api_client", *said)

    assert not ApiClient.objects.exists()


def test_the_command_refuses_a_client_id_that_is_taken():
    api_client(client_id="erp")

    with pytest.raises(CommandError, match="There is an API client with this client_id already"):
        call_command("create_api_client", "erp")
