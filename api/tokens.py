"""Access tokens: signed, so that a request costs no query to authenticate; one hour; two scopes."""

import time
from dataclasses import dataclass
from typing import NamedTuple

import jwt
from django.conf import settings

from api import answers
from api.actors import Actor
from api.errors import BAD_TOKEN, UNAUTHORIZED, Refusal
from api.models import ApiClient

ADMINISTRATOR = "admin"
SHOPPER = "shopper"
SCOPES = {"client_credentials": ADMINISTRATOR, "implicit": SHOPPER}
_ISSUER = "holdfast"


class BadToken(Refusal):
    kind = BAD_TOKEN
    code = "bad_token"
    detail = "The access token is missing, invalid or expired."


class BadCredentials(Refusal):
    kind = UNAUTHORIZED
    code = "bad_credentials"
    detail = "No active client has this client_id and client_secret for this grant."


@dataclass(frozen=True)
class Caller:
    """Who calls the API: a client, as an administrator or on behalf of a shopper."""

    client_id: str
    name: str
    scope: str
    is_authenticated = True

    @property
    def is_administrator(self) -> bool:
        return self.scope == ADMINISTRATOR

    @property
    def actor(self) -> Actor:
        return Actor("api_client", self.client_id, self.name)


def issue(grant_type: str, client_id: str, client_secret: str) -> answers.Token:
    """Answer a token call, in the flat form that the source API has.

    Raises: BadCredentials.
    """
    client = ApiClient.objects.filter(client_id=client_id, active=True).first()
    if client is None:
        raise BadCredentials
    if grant_type == "client_credentials" and not client.has_secret(client_secret):
        raise BadCredentials
    now = int(time.time())
    expires = now + settings.TOKEN_LIFETIME_SECONDS
    kid, secret = next(iter(settings.TOKEN_KEYS.items()))
    claims = {
        "iss": _ISSUER,
        "sub": client.client_id,
        "scope": SCOPES[grant_type],
        "version": client.version,
        "iat": now,
        "exp": expires,
    }
    return {
        "access_token": jwt.encode(claims, secret, algorithm="HS256", headers={"kid": kid}),
        "token_type": "Bearer",
        "expires_in": settings.TOKEN_LIFETIME_SECONDS,
        "expires": expires,
        "identifier": grant_type,
    }


def read(token: str) -> Caller:
    """Raises: BadToken."""
    verified = _verified.get(token)
    if verified is None or not verified.still_holds():
        verified = _verify(token)
    name, version = _active_client(verified.client_id)
    if version != verified.version:
        raise BadToken
    return Caller(verified.client_id, name, verified.scope)


class _Verified(NamedTuple):
    """The claims of a token with a valid signature, and the key that it was signed with."""

    client_id: str
    scope: str
    version: int
    expires: int
    kid: str
    secret: str

    def still_holds(self) -> bool:
        return self.expires > time.time() and settings.TOKEN_KEYS.get(self.kid) == self.secret


# Tokens that this process has verified: a shopper sends the same one with every call, and verifying
# it is the slowest part of reading it. Only valid ones are kept, and never more than TOKENS_MAX.
TOKENS_MAX = 5_000
_verified: dict[str, _Verified] = {}


def _verify(token: str) -> _Verified:
    """Raises: BadToken."""
    try:
        kid = jwt.get_unverified_header(token)["kid"]
        secret = settings.TOKEN_KEYS[kid]
        claims = jwt.decode(
            token,
            secret,
            algorithms=["HS256"],
            issuer=_ISSUER,
            options={"require": ["exp", "sub", "scope", "version"]},
        )
    except (jwt.InvalidTokenError, KeyError, RecursionError) as error:
        raise BadToken from error
    if len(_verified) >= TOKENS_MAX:
        _verified.clear()
    verified = _verified[token] = _Verified(
        claims["sub"], claims["scope"], claims["version"], int(claims["exp"]), kid, secret
    )
    return verified


# What this process lately read of a client's row: (until when it holds, name, version).
_cached_clients: dict[str, tuple[float, str, int]] = {}


def _active_client(client_id: str) -> tuple[str, int]:
    """Look up a client, at most once in CLIENT_CACHE_SECONDS: the time that a revocation takes."""
    now = time.monotonic()
    until, name, version = _cached_clients.get(client_id, (0.0, "", 0))
    if until < now:
        client = ApiClient.objects.filter(client_id=client_id, active=True).first()
        if client is None:
            raise BadToken
        name, version = client.name, client.version
        _cached_clients[client_id] = (now + settings.CLIENT_CACHE_SECONDS, name, version)
    return name, version


def forget_clients() -> None:
    """Make every client be looked up again at its next call."""
    _cached_clients.clear()
