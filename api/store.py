"""What a merchant sets for the whole store, at /v2/settings: one row, rarely changed.

Each process reads it again after some seconds, as it does for currencies.
"""

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_datetime

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


class NoMoment(ValueError):
    """What was written is no moment; says why, in words for people."""


def moment_written(written: str) -> datetime:
    """Read a date with a time as people write it: in the store's zone, unless it names another.

    The only reading of local times. Twice a year there are some that did not happen, and some that
    happened twice: neither is a moment. Raises: NoMoment.
    """
    try:
        # A date alone is not a moment, though Python would read it as midnight.
        moment = parse_datetime(_DOTTED.sub(r"\3-\2-\1", written)) if ":" in written else None
    except ValueError:
        moment = None
    if moment is None:
        raise NoMoment(f'"{written[:40]}" is no date with a time, such as 2026-05-04 17:30.')
    if timezone.is_aware(moment):
        return moment
    return _happened_once(moment)


# A date as spreadsheets in much of Europe write it, whatever was typed.
_DOTTED = re.compile(r"^([0-9]{2})\.([0-9]{2})\.([0-9]{4})(?= )")


def _happened_once(local: datetime) -> datetime:
    first = local.replace(tzinfo=time_zone(), fold=0)
    second = first.replace(fold=1)
    if first.utcoffset() == second.utcoffset():
        return first
    if first.astimezone(UTC).astimezone(first.tzinfo).replace(tzinfo=None) != local:
        raise NoMoment(f"There was no {local:%Y-%m-%d %H:%M}: the clocks were put forward.")
    raise NoMoment(
        f"{local:%Y-%m-%d %H:%M} was there twice, since the clocks were put back. Write it in UTC, "
        f"as {first.astimezone(UTC):%Y-%m-%dT%H:%MZ} or {second.astimezone(UTC):%Y-%m-%dT%H:%MZ}."
    )


def title(request: HttpRequest) -> str:
    """Return the store's name for the top of the admin."""
    return current().name or "Holdfast"


def forget() -> None:
    global _cached
    _cached = None


def _defaults() -> StoreSettings:
    return StoreSettings(cart_expiry_days=min(settings.CART_EXPIRY_DAYS, CART_EXPIRY_DAYS_MAX))


def change(
    *,
    actor: Actor,
    seen: Mapping[str, Any] | None = None,
    key: Key | None = None,
    **fields: Any,
) -> None:
    """Change the given settings and leave the rest. `seen` is what stood there. Raises: Moved."""
    _change(actor, seen, key, fields)
    forget()


@in_transaction
def _change(
    actor: Actor, seen: Mapping[str, Any] | None, key: Key | None, fields: dict[str, Any]
) -> None:
    claim(key, "settings")
    set_fields(actor, fields, seen)


def set_fields(
    actor: Actor, fields: Mapping[str, Any], seen: Mapping[str, Any] | None = None
) -> None:
    """Change settings in the caller's transaction, who forgets what is cached. Raises: Moved."""
    # Two first changes at the same time both find the one row.
    StoreSettings.objects.bulk_create([_defaults()], ignore_conflicts=True)
    row = StoreSettings.objects.select_for_update(no_key=True).get()
    with changes.recorded(actor, row, seen=seen):
        for name, value in fields.items():
            setattr(row, name, value)
        if fields:
            row.save(update_fields=list(fields))


def reset_page_length(*, actor: Actor, key: Key | None = None) -> None:
    """Reset what PUT /v2/settings can change to its default."""
    change(actor=actor, key=key, page_length=StoreSettings().page_length)
