"""What a merchant sets for the whole store, at /v2/settings: one row, rarely changed.

Each process reads it again after some seconds, as it does for currencies.
"""

import time
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from api import changes
from api.actors import Actor
from api.idempotency import Key, claim
from api.models import CART_EXPIRY_DAYS_MAX, StoreSettings
from api.transactions import in_transaction

_cached: tuple[float, StoreSettings] | None = None


def current() -> StoreSettings:
    """Return the store's settings, or the defaults while nobody has changed any."""
    global _cached
    if _cached is None or _cached[0] < time.monotonic():
        row = StoreSettings.objects.first() or _defaults()
        _cached = (time.monotonic() + settings.CLIENT_CACHE_SECONDS, row)
    return _cached[1]


def time_zone() -> tzinfo:
    """Return the time zone in which people read times."""
    try:
        return ZoneInfo(current().time_zone or settings.TIME_ZONE)
    except (ZoneInfoNotFoundError, ValueError):
        # The zone was chosen on a machine that knows more time zones than this one.
        return timezone.get_default_timezone()


def title(request: HttpRequest) -> str:
    """Return the store's name for the top of the admin."""
    return current().name or "Holdfast"


def forget() -> None:
    global _cached
    _cached = None


def _defaults() -> StoreSettings:
    return StoreSettings(cart_expiry_days=min(settings.CART_EXPIRY_DAYS, CART_EXPIRY_DAYS_MAX))


def change(*, actor: Actor, key: Key | None = None, **fields: Any) -> None:
    """Change the given settings and leave the rest."""
    _change(actor, key, fields)
    forget()


@in_transaction
def _change(actor: Actor, key: Key | None, fields: dict[str, Any]) -> None:
    claim(key, "settings")
    # Two first changes at the same time both find the one row.
    StoreSettings.objects.bulk_create([_defaults()], ignore_conflicts=True)
    row = StoreSettings.objects.select_for_update(no_key=True).get()
    with changes.recorded(actor, row):
        for name, value in fields.items():
            setattr(row, name, value)
        if fields:
            row.save(update_fields=list(fields))


def reset_page_length(*, actor: Actor, key: Key | None = None) -> None:
    """Reset what PUT /v2/settings can change to its default."""
    change(actor=actor, key=key, page_length=StoreSettings().page_length)
