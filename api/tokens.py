"""Access tokens: signed, so that a request costs no query to authenticate; one hour; two scopes."""

import time
import uuid
from dataclasses import dataclass
from typing import Any, NamedTuple

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
# For how long after its end a token may still say whose it was, so that the next one is the same
# shopper's: as long as an idempotency key is known.
RENEWABLE_SECONDS = 24 * 3600


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
    # Tells shoppers of one storefront apart; empty for an administrator, whose client is enough.
    shopper: str = ""
    is_authenticated = True

    @property
    def is_administrator(self) -> bool:
        return self.scope == ADMINISTRATOR

    @property
    def actor(self) -> Actor:
        """Return what logs keep. What anybody may do with a public id must not read as ours."""
        if self.is_administrator:
            return Actor("api_client", self.client_id, self.name)
        return Actor("shopper", self.client_id, shopper_of(self.name))


def shopper_of(storefront: str) -> str:
    """Name, for a log, somebody who came through a storefront."""
    return f"{storefront[:180]} (shopper)"


def issue(
    grant_type: str, client_id: str, client_secret: str, *, renewed: str = ""
) -> answers.Token:
    """Answer a token call, in the flat form that the source API has.

    Each grant is for one kind of client: anybody may ask for a shopper's token, so a client that
    acts for the store has none. `renewed` is a token that ends or has ended: if it was a shopper's
    of the same client, the new one is that shopper's too, and knows the same idempotency keys.

    Raises: BadCredentials.
    """
    client = ApiClient.objects.filter(client_id=client_id, active=True).first()
    if client is None or client.is_storefront != (grant_type == "implicit"):
        raise BadCredentials
    if not client.is_storefront and not _opens(client, client_secret):
        raise BadCredentials
    now = int(time.time())
    expires = now + settings.TOKEN_LIFETIME_SECONDS
    kid, secret = next(iter(settings.TOKEN_KEYS.items()))
    claims: dict[str, Any] = {
        "iss": _ISSUER,
        "sub": client.client_id,
        "scope": SCOPES[grant_type],
        "version": client.version,
        "iat": now,
        "exp": expires,
    }
    if client.is_storefront:
        claims["shopper"] = _shopper_of(renewed, client) or str(uuid.uuid4())
    return {
        "access_token": jwt.encode(claims, secret, algorithm="HS256", headers={"kid": kid}),
        "token_type": "Bearer",
        "expires_in": settings.TOKEN_LIFETIME_SECONDS,
        "expires": expires,
        "identifier": grant_type,
    }


def _shopper_of(token: str, client: ApiClient) -> str:
    """Return whose token this was, or nothing if it was none of this client's shoppers."""
    try:
        claims = _claims(token, leeway=RENEWABLE_SECONDS)[0] if token else {}
    except BadToken:
        return ""
    of_client = (claims.get("sub"), claims.get("version")) == (client.client_id, client.version)
    return str(claims.get("shopper", "")) if of_client else ""


def _opens(client: ApiClient, secret: str) -> bool:
    """The secret that the demo's documents tell is good there alone."""
    is_published = secret == settings.DEMO_CLIENT_SECRET and not settings.HOLDFAST_DEMO
    return client.has_secret(secret) and not is_published


def read(token: str) -> Caller:
    """Raises: BadToken."""
    verified = _verified.get(token)
    if verified is None or not verified.still_holds():
        verified = _verify(token)
    name, version, is_storefront = _active_client(verified.client_id)
    scope = SHOPPER if is_storefront else ADMINISTRATOR
    if (version, scope, is_storefront) != (
        verified.version,
        verified.scope,
        bool(verified.shopper),
    ):
        raise BadToken
    return Caller(verified.client_id, name, verified.scope, verified.shopper)


class _Verified(NamedTuple):
    """The claims of a token with a valid signature, and the key that it was signed with."""

    client_id: str
    scope: str
    shopper: str
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
    claims, kid, secret = _claims(token)
    if len(_verified) >= TOKENS_MAX:
        _verified.clear()
    verified = _verified[token] = _Verified(
        claims["sub"],
        claims["scope"],
        claims.get("shopper", ""),
        claims["version"],
        int(claims["exp"]),
        kid,
        secret,
    )
    return verified


def _claims(token: str, *, leeway: int = 0) -> tuple[dict[str, Any], str, str]:
    """Return what a token with a valid signature says, and the key that it was signed with.

    Raises: BadToken.
    """
    try:
        kid = jwt.get_unverified_header(token)["kid"]
        secret = settings.TOKEN_KEYS[kid]
        claims = jwt.decode(
            token,
            secret,
            algorithms=["HS256"],
            issuer=_ISSUER,
            leeway=leeway,
            options={"require": ["exp", "sub", "scope", "version"]},
        )
    except (jwt.InvalidTokenError, KeyError, RecursionError) as error:
        raise BadToken from error
    return claims, kid, secret


class _Client(NamedTuple):
    """What this process lately read of a client's row."""

    name: str
    version: int
    is_storefront: bool


# Each beside the moment until which it holds.
_cached_clients: dict[str, tuple[float, _Client]] = {}


def _active_client(client_id: str) -> _Client:
    """Look up a client, at most once in CLIENT_CACHE_SECONDS: the time that a revocation takes."""
    now = time.monotonic()
    until, known = _cached_clients.get(client_id, (0.0, None))
    if known is None or until < now:
        client = ApiClient.objects.filter(client_id=client_id, active=True).first()
        if client is None:
            raise BadToken
        known = _Client(client.name, client.version, client.is_storefront)
        _cached_clients[client_id] = (now + settings.CLIENT_CACHE_SECONDS, known)
    return known


def forget_clients() -> None:
    """Make every client be looked up again at its next call."""
    _cached_clients.clear()
