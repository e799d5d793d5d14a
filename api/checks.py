"""What leaves a shop open to strangers, as checks of `manage.py check --deploy`.

docs/operations.md lists their ids. The web server does not start while one of the errors stands.
"""

import json
import os
import re
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.apps import StaticFilesConfig
from django.contrib.staticfiles.finders import get_finders
from django.core.checks import CheckMessage, Error, Warning, register, run_checks

TAG = "holdfast"
LEAST_KEY_BYTES = 32
# How many pairs of neighbours a key must have that differ from each other and do not count up or
# down. Of 32 characters by chance, even if they are all digits, more are like that.
LEAST_KEY_PAIRS = 12
LEAST_PASSWORD_CHARACTERS, LEAST_PASSWORD_PAIRS = 8, 3

# What people write who mean to set a key later. By chance no key has one of these in it.
_PLACEHOLDERS = (
    *("changeme", "changethis", "replace", "placeholder", "insert", "default", "example"),
    *("secret", "password", "passphrase", "insecure", "unsafe", "random", "something", "django"),
    *("holdfast", "letmein", "welcome", "qwerty", "azerty", "asdfgh", "iloveyou", "monkey"),
    *("production", "development", "testing", "mytoken", "yourkey", "mykey", "correcthorse"),
    *("1q2w3e", "1qaz2wsx", "zxcvbn", "abc123", "signingkey", "privatekey"),
    *("deadbeef", "cafebabe", "loremipsum", "quickbrown", "administrator", "thisis"),
)
# Letters as which people write digits and signs.
_LETTERS = str.maketrans("013457@$", "oleastas")

_MAKE_ONE = "Make one with `python3 -c 'import secrets; print(secrets.token_urlsafe(48))'`."


def what_leaves_the_shop_open() -> list[CheckMessage]:
    """Return the errors of this module; the database is not asked."""
    found = run_checks(tags=[TAG], include_deployment_checks=True)
    return [message for message in found if message.is_serious() and not message.is_silenced()]


@register(TAG, deploy=True)
def demo_is_off(**options: Any) -> Iterator[CheckMessage]:
    if settings.HOLDFAST_DEMO:
        yield Error(
            "HOLDFAST_DEMO is on: its passwords and keys are public, and test payments are taken.",
            hint="Take HOLDFAST_DEMO out of the environment.",
            id="holdfast.E001",
        )


# How much alike a name must be to one of ours, of 1, to be taken for a slip.
_ALIKE = 0.88
# Whose other variables are much like ours, and hold.
_OF_OTHERS = ("OTEL_", "SENTRY_")


@register(TAG, deploy=True)
def names_are_spelt(**options: Any) -> Iterator[CheckMessage]:
    for name in sorted(os.environ):
        bare = name.removesuffix("_FILE")
        if bare in settings.VARIABLES or bare.startswith(_OF_OTHERS):
            continue
        if meant := get_close_matches(bare, settings.VARIABLES, n=1, cutoff=_ALIKE):
            yield Warning(
                f"{name} is set, which nothing reads. Is it to be {meant[0]}?",
                hint="Correct the name, or take the variable away.",
                id="holdfast.W017",
            )


@register(TAG, deploy=True)
def keys_are_strong(**options: Any) -> Iterator[CheckMessage]:
    if fault := _fault(settings.SECRET_KEY):
        yield Error(f"SECRET_KEY {fault}.", hint=_MAKE_ONE, id="holdfast.E002")
    for kid, key in settings.TOKEN_KEYS.items():
        if fault := _fault(key):
            yield Error(
                f"TOKEN_KEY (or the key {kid} in TOKEN_KEYS) {fault}: whoever guesses it can make "
                "themselves an administrator.",
                hint=_MAKE_ONE,
                id="holdfast.E003",
            )


def _fault(key: str) -> str:
    """Return what makes it easy to guess a key."""
    if any(published in key for published in settings.DEMO_KEYS.values()):
        return "is the demo's, which is public"
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        return "is no text in UTF-8"
    if length < LEAST_KEY_BYTES:
        return f"is shorter than {LEAST_KEY_BYTES} bytes"
    if _has_placeholder(key):
        return "has a word in it that many have in theirs"
    if len(_unforeseen(key)) < LEAST_KEY_PAIRS:
        return "repeats the same few characters, or counts"
    return ""


def _has_placeholder(key: str) -> bool:
    bare = "".join(filter(str.isalnum, key)).lower()
    spelt = "".join(filter(str.isalnum, key.translate(_LETTERS))).lower()
    return any(word in bare or word in spelt for word in _PLACEHOLDERS)


def _unforeseen(key: str) -> set[str]:
    """Return the pairs of neighbours that neither repeat nor count up or down."""
    return {a + b for a, b in pairwise(key) if abs(ord(a) - ord(b)) > 1}


@register(TAG, deploy=True)
def keys_differ(**options: Any) -> Iterator[CheckMessage]:
    keys = [
        *(settings.SECRET_KEY, *settings.TOKEN_KEYS.values(), settings.METRICS_TOKEN),
        *(settings.STRIPE_SECRET_KEY, settings.STRIPE_WEBHOOK_SECRET),
        *(settings.STRIPE_PUBLISHABLE_KEY, settings.DATABASES["default"]["PASSWORD"]),
    ]
    set_ones = [key for key in keys if key]
    if len(set(set_ones)) < len(set_ones):
        yield Error(
            "SECRET_KEY, the keys for tokens, METRICS_TOKEN, Stripe's keys and the password of the "
            "database are not all different.",
            hint="Whoever learns one of them must not have the others: give each a value of its "
            "own.",
            id="holdfast.E004",
        )


@register(TAG, deploy=True)
def hosts_are_named(**options: Any) -> Iterator[CheckMessage]:
    for setting in ("ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "CORS_ALLOWED_ORIGINS"):
        for name in getattr(settings, setting):
            if _covers_strangers(name):
                yield Error(
                    f"{setting} takes {name!r}, which strangers' hosts match too.",
                    hint="Name the hosts of the shop, such as shop.example.com.",
                    id="holdfast.E005",
                )


def _covers_strangers(name: str) -> bool:
    """Tell whether a name covers everything, all of a top-level domain, or pages of no site."""
    host = name.rpartition("://")[2].lower()
    is_wildcard = host.startswith((".", "*"))
    return host == "null" or (is_wildcard and "." not in host.partition(":")[0].strip("*."))


_HOST = re.compile(r"\.?[a-z0-9-]+[a-z0-9.-]*|\[[a-f0-9:.]+\]")


@register(TAG, deploy=True)
def hosts_are_hosts(**options: Any) -> Iterator[CheckMessage]:
    for name in settings.ALLOWED_HOSTS:
        if name != "*" and not _HOST.fullmatch(name.lower()):
            yield Warning(
                f"ALLOWED_HOSTS has {name!r}, under which no call ever comes.",
                hint="Name hosts alone, without https://, port and path.",
                id="holdfast.W005",
            )


@register(TAG, deploy=True)
def static_files_are_there(**options: Any) -> Iterator[CheckMessage]:
    if not settings.STATIC_ROOT:
        return
    ignored = StaticFilesConfig.ignore_patterns
    wanted = {name for finder in get_finders() for name, _ in finder.list(ignored)}
    if missing := sorted(wanted - _collected(settings.STATIC_ROOT)):
        yield Warning(
            f"STATIC_ROOT, {settings.STATIC_ROOT}, lacks {len(missing)} files, such as "
            f"{missing[0]}. Pages have no styles.",
            hint="Run `manage.py collectstatic` at each release, or leave STATIC_ROOT out.",
            id="holdfast.W007",
        )


def _collected(folder: str) -> set[str]:
    """Return the files that collectstatic has named by their content."""
    try:
        manifest = Path(folder, "staticfiles.json").read_text()
    except OSError:
        return set()
    return set(json.loads(manifest)["paths"])


@register(TAG, deploy=True)
def pictures_stay(**options: Any) -> Iterator[CheckMessage]:
    if settings.S3_BUCKET:
        if any(source.startswith("http:") for source in settings.IMAGE_SOURCES):
            yield Warning(
                "S3_PUBLIC_URL begins with http://: pages that came over https do not show it.",
                hint="Name an address over https.",
                id="holdfast.W012",
            )
        return
    folder = Path(settings.MEDIA_ROOT)
    if folder.resolve().is_relative_to(settings.BASE_DIR):
        yield Warning(
            f"Pictures are kept in the folder of the code, {folder}: a release may take them away.",
            hint="Let MEDIA_ROOT name a folder that stays, and back it up; or set S3_BUCKET.",
            id="holdfast.W010",
        )
    there = next(each for each in (folder, *folder.resolve().parents) if each.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        yield Warning(
            f"MEDIA_ROOT cannot be written: {folder}. Nobody can upload pictures.",
            hint="Let it belong to the user that serves.",
            id="holdfast.W011",
        )


@register(TAG, deploy=True)
def proxy_is_counted(**options: Any) -> Iterator[CheckMessage]:
    if settings.BEHIND_TLS_PROXY and not settings.NUM_TRUSTED_PROXIES:
        yield Error(
            "BEHIND_TLS_PROXY is on and NUM_TRUSTED_PROXIES is 0: all callers count as the proxy, "
            "and one of them uses up everybody's limits and locks everybody out of the admin.",
            hint="Set NUM_TRUSTED_PROXIES to the number of your own proxies in front.",
            id="holdfast.E006",
        )


@register(TAG, deploy=True)
def callers_are_limited(**options: Any) -> Iterator[CheckMessage]:
    limits = {f"{kind.upper()}_LIMIT": limit for kind, limit in settings.LIMITS.items()}
    limits["CARTS_PER_ADDRESS"] = limits.pop("CART_LIMIT")
    for name in ("REQUEST_LIMIT", "UNPAID_ORDERS_PER_CART", "UNPAID_ORDERS_PER_ADDRESS"):
        limits[name] = getattr(settings, name)
    if off := sorted(name for name, limit in limits.items() if not limit):
        yield Warning(
            f"No limit is set by {', '.join(off)}: one caller's flood slows the shop for all.",
            hint="Set more than 0, unless something in front counts callers.",
            id="holdfast.W009",
        )


@register(TAG, deploy=True)
def threads_suffice(**options: Any) -> Iterator[CheckMessage]:
    threads, waits = settings.WEB_THREADS, settings.GATEWAY_WAITS_MAX
    pool = settings.DATABASES["default"]["OPTIONS"].get("pool")
    if pool and pool["max_size"] < threads:
        yield Warning(
            f"DATABASE_POOL_SIZE is {pool['max_size']} and WEB_THREADS {threads}: threads wait for "
            "each other's connections, and after five seconds answer 503.",
            hint="Raise DATABASE_POOL_SIZE to WEB_THREADS, or leave it out.",
            id="holdfast.W015",
        )
    if waits >= threads > 1:
        yield Warning(
            f"GATEWAY_WAITS_MAX is {waits} and WEB_THREADS {threads}: a slow payment gateway keeps "
            "all of them waiting, and nobody else is served.",
            hint="Set at most half of WEB_THREADS, or leave GATEWAY_WAITS_MAX out.",
            id="holdfast.W016",
        )


@register(TAG, deploy=True)
def money_is_real(**options: Any) -> Iterator[CheckMessage]:
    if settings.MANUAL_GATEWAY_FOR_SHOPPERS:
        yield Warning(
            "MANUAL_GATEWAY_FOR_SHOPPERS is on: whoever knows an order's id can mark it paid.",
            hint="Leave it off where strangers shop.",
            id="holdfast.W001",
        )
    if "_test_" in settings.STRIPE_SECRET_KEY or settings.STRIPE_API_BASE:
        yield Warning(
            "Stripe's key is one of test mode, or STRIPE_API_BASE names another server: orders "
            "are paid with money that does not exist.",
            hint="Set a key of live mode and no STRIPE_API_BASE.",
            id="holdfast.W002",
        )


@register(TAG, deploy=True)
def what_buyers_see_is_public(**options: Any) -> Iterator[CheckMessage]:
    """Stripe's keys look alike, and one of them is handed to everybody who pays."""
    shown, secret = settings.STRIPE_PUBLISHABLE_KEY, settings.STRIPE_SECRET_KEY
    if shown and not shown.startswith("pk_"):
        yield Error(
            "STRIPE_PUBLISHABLE_KEY is none (pk_…), and storefronts hand it to every buyer.",
            hint="Set Stripe's publishable key there.",
            id="holdfast.E009",
        )
    if (
        bool(shown) != bool(secret)
        or (secret and not secret.startswith(("sk_", "rk_")))
        or (secret and shown and secret.split("_")[1:2] != shown.split("_")[1:2])
    ):
        yield Warning(
            "STRIPE_SECRET_KEY (sk_… or rk_…) and STRIPE_PUBLISHABLE_KEY (pk_…) do not belong "
            "together: nobody can pay with Stripe.",
            hint="Set both, of the same mode, or neither.",
            id="holdfast.W006",
        )


@register(TAG, deploy=True)
def passwords_are_strong(**options: Any) -> Iterator[CheckMessage]:
    for name in ("METRICS_TOKEN", "STRIPE_WEBHOOK_SECRET"):
        key = getattr(settings, name)
        if key and (fault := _fault(key)):
            yield Warning(f"{name} {fault}.", hint=_MAKE_ONE, id="holdfast.W003")
    database = settings.DATABASES["default"]
    password = database["PASSWORD"] or ""
    is_guessable = password in {database["USER"], database["NAME"]} or _has_placeholder(password)
    if password and (
        is_guessable
        or "postgres" in password.lower()
        or len(password) < LEAST_PASSWORD_CHARACTERS
        or len(_unforeseen(password)) < LEAST_PASSWORD_PAIRS
    ):
        yield Warning(
            "The database's password in DATABASE_URL is easy to guess.",
            hint="Give the role a long random one.",
            id="holdfast.W004",
        )
