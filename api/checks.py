"""What leaves a shop open to strangers, as checks of `manage.py check --deploy`.

docs/operations.md lists their ids. The web server does not start while one of the errors stands.
"""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register, run_checks

TAG = "holdfast"
LEAST_KEY_BYTES = 32
# Of 32 characters by chance, even if they are all digits, more are different.
LEAST_KEY_CHARACTERS = 6
LEAST_PASSWORD_CHARACTERS = 8

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
    if len(key.encode()) < LEAST_KEY_BYTES:
        return f"is shorter than {LEAST_KEY_BYTES} bytes"
    if len(set(key)) < LEAST_KEY_CHARACTERS:
        return "repeats the same few characters"
    if key.startswith("django-insecure-"):
        return "is one of those that Django makes for trying things out"
    return ""


@register(TAG, deploy=True)
def keys_differ(**options: Any) -> Iterator[CheckMessage]:
    keys = [settings.SECRET_KEY, *settings.TOKEN_KEYS.values(), settings.METRICS_TOKEN]
    set_ones = [key for key in keys if key]
    if len(set(set_ones)) < len(set_ones):
        yield Error(
            "SECRET_KEY, the keys for tokens and METRICS_TOKEN are not all different.",
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
def passwords_are_strong(**options: Any) -> Iterator[CheckMessage]:
    if settings.METRICS_TOKEN and _fault(settings.METRICS_TOKEN):
        yield Warning(
            f"METRICS_TOKEN {_fault(settings.METRICS_TOKEN)}.", hint=_MAKE_ONE, id="holdfast.W003"
        )
    database = settings.DATABASES["default"]
    password = database["PASSWORD"]
    is_guessable = password in {database["USER"], database["NAME"], "password", "postgres"}
    if password and (is_guessable or len(password) < LEAST_PASSWORD_CHARACTERS):
        yield Warning(
            "The database's password in DATABASE_URL is easy to guess.",
            hint="Give the role a long random one.",
            id="holdfast.W004",
        )
