"""What a merchant sets for the whole store, at /v2/settings. One row, read about never.

Each process looks again after some seconds, as it does for currencies.
"""

import time
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from api.idempotency import Key, claim
from api.models import CART_EXPIRY_DAYS_MAX, StoreSettings
from api.transactions import in_transaction

_known: tuple[float, StoreSettings] | None = None


def current() -> StoreSettings:
    """Return the store's settings, or the defaults while nobody has changed any."""
    global _known
    if _known is None or _known[0] < time.monotonic():
        row = StoreSettings.objects.first() or _defaults()
        _known = (time.monotonic() + settings.CLIENT_CACHE_SECONDS, row)
    return _known[1]


def time_zone() -> tzinfo:
    """Return the time zone in which people read times."""
    try:
        return ZoneInfo(current().time_zone or settings.TIME_ZONE)
    except (ZoneInfoNotFoundError, ValueError):
        # It was chosen where it was known, and this machine knows fewer.
        return timezone.get_default_timezone()


def title(request: HttpRequest) -> str:
    """Name the store, at the top of the admin."""
    return current().name or "Holdfast"


def forget() -> None:
    global _known
    _known = None


def _defaults() -> StoreSettings:
    return StoreSettings(cart_expiry_days=min(settings.CART_EXPIRY_DAYS, CART_EXPIRY_DAYS_MAX))


def change(*, key: Key | None = None, **fields: Any) -> None:
    """Change what is given and leave the rest."""
    _change(key, fields)
    forget()


@in_transaction
def _change(key: Key | None, fields: dict[str, Any]) -> None:
    claim(key, "settings")
    # Two first changes at once both find the one row.
    StoreSettings.objects.bulk_create([_defaults()], ignore_conflicts=True)
    if fields:
        StoreSettings.objects.update(**fields)


def reset_page_length() -> None:
    """Go back to the default of what PUT /v2/settings can change."""
    change(page_length=StoreSettings().page_length)
