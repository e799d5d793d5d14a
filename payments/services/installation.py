"""Whose database this is, and whether its gateways may be asked: never by a copy of the shop.

A copy knows the payments of the shop and not what became of them: it would charge, refund and give
up for itself. It is known as one by the mark that restoring leaves, and by what the database
remembers of where its gateways were opened last.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.conf import settings
from django.db import connection

from api import changes
from api.actors import Actor
from api.transactions import in_transaction
from payments import gateways
from payments.errors import GatewayNotEnabled, GatewaysClosed
from payments.models import Installation

log = structlog.get_logger(__name__)

# A database that is copied row by row, by pg_dump, or by CREATE DATABASE … TEMPLATE, differs in one
# of the two numbers. A standby that takes over has both, and pg_upgrade keeps them.
PLACE = (
    "(SELECT oid::text FROM pg_database WHERE datname = current_database())"
    " || '/' || 'payments_installation'::regclass::oid::text"
)
# Where nothing is remembered, there is a row of nothing.
_REMEMBERED = (
    "name, place, accounts::text, closed_at, closed_why, "
    f"CASE WHEN id IS NOT NULL THEN {PLACE} END "
    "FROM (SELECT) AS always LEFT JOIN payments_installation ON true"
)

_open_until = 0.0


@dataclass(frozen=True)
class Remembered:
    """What the database remembers, and where it is now; None where it remembers nothing."""

    name: str | None
    place: str | None
    accounts: str | None
    closed_at: datetime | None
    closed_why: str | None
    place_now: str | None

    def why_closed(self) -> str:
        """Say why no gateway may be asked; empty if they may."""
        if self.place is None:
            return ""
        if self.closed_at:
            return f"closed at {self.closed_at:%Y-%m-%d %H:%M:%S} UTC: {self.closed_why}"
        if self.place != self.place_now:
            return "this database is a copy of the shop's"
        if self.name and self.name != settings.HOLDFAST_INSTALLATION:
            here = settings.HOLDFAST_INSTALLATION
            said = f"names {here}" if here else "is not set"
            return f"the database belongs to {self.name}, and HOLDFAST_INSTALLATION {said}"
        return self.why_foreign()

    def told(self) -> list[str]:
        """Tell people what is remembered, and what is here."""
        why = self.why_closed()
        names = [self.name or "no name", settings.HOLDFAST_INSTALLATION or "no name"]
        theirs = json.loads(self.accounts or "{}")
        return [
            f"No gateway is asked: {why}." if why else "The gateways are open.",
            f"The database belongs to {names[0]}, and HOLDFAST_INSTALLATION is {names[1]}.",
            *(
                f"Payments of {slug} are of {theirs.get(slug, 'no')} mode, the key of {account}."
                for slug, account in accounts().items()
            ),
        ]

    def why_foreign(self) -> str:
        """Say which key is of another account than the payments here; empty if none is."""
        theirs = json.loads(self.accounts or "{}")
        for slug, account in accounts().items():
            if theirs.get(slug, account) != account:
                return f"the key of {slug} is of {account} mode, the payments of {theirs[slug]}"
        return ""


def accounts() -> dict[str, str]:
    """Return whose money each gateway moves with the keys here, as far as the keys tell."""
    told = {slug: adapter.account() for slug, adapter in gateways.adapters().items()}
    return {slug: account for slug, account in told.items() if account}


def remembered() -> Remembered:
    return Remembered(*_row(f"SELECT {_REMEMBERED}"))


def require_enabled(slug: str) -> None:
    """Look at the gateway and at who may be asked in one statement, for every payment begins so.

    Raises: GatewayNotEnabled; GatewaysClosed, unless nobody is asked.
    """
    if slug not in gateways.usable():
        raise GatewayNotEnabled
    enabled = "EXISTS (SELECT FROM payments_gateway WHERE slug = %s AND enabled)"
    is_enabled, *row = _row(f"SELECT {enabled}, {_REMEMBERED}", [slug])
    if not is_enabled:
        raise GatewayNotEnabled
    if slug not in gateways.ASKING_NOBODY:
        _require_open(Remembered(*row))


def require_open() -> None:
    """Raises: GatewaysClosed."""
    _require_open(remembered())


def _require_open(found: Remembered) -> None:
    global _open_until
    if why := found.why_closed():
        forget()
        raise GatewaysClosed(f"No payment gateway is asked: {why}.")
    _open_until = time.monotonic() + settings.CLIENT_CACHE_SECONDS


def why_closed() -> str:
    """Say that no gateway is asked and why, by a look of some seconds ago if they were then."""
    if time.monotonic() >= _open_until:
        try:
            require_open()
        except GatewaysClosed as refusal:
            return str(refusal)
    return ""


def are_closed() -> bool:
    """Tell whether what runs by the clock must do nothing, and say so in the log."""
    forget()
    why = why_closed()
    if why:
        log.error("gateways_closed", why=why)
    return bool(why)


def standing() -> dict[str, bool] | None:
    """Tell monitoring that the gateways are closed; None while they are not."""
    return {"closed": True} if why_closed() else None


def forget() -> None:
    global _open_until
    _open_until = 0.0


def remember(slug: str) -> None:
    """Remember, as a gateway is enabled, where that was and whose money it moves.

    What is remembered already stays.
    """
    if slug not in gateways.ASKING_NOBODY:
        _remember({known: account for known, account in accounts().items() if known == slug})


def remember_place() -> None:
    """Remember where the database is, as somebody begins to be told of what happens in it."""
    _remember({})


def _remember(whose: Mapping[str, str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO payments_installation (id, name, place, accounts, closed_why) "  # noqa: S608
            f"VALUES (1, %s, {PLACE}, %s, '') ON CONFLICT (id) DO UPDATE "
            "SET accounts = excluded.accounts || payments_installation.accounts",
            [settings.HOLDFAST_INSTALLATION, json.dumps(whose)],
        )


@in_transaction
def open_gateways(*, actor: Actor) -> None:
    """Let this installation ask its gateways, from here and with its keys; it is on record."""
    Installation.objects.bulk_create([Installation(place="")], ignore_conflicts=True)
    row = Installation.objects.select_for_update().get()
    with changes.recorded(actor, row):
        row.name = settings.HOLDFAST_INSTALLATION
        [row.place] = _row(f"SELECT {PLACE}")
        row.accounts = {**row.accounts, **accounts()}
        row.closed_at, row.closed_why = None, ""
        row.save()
    forget()


def _row(statement: str, parameters: Sequence[Any] = ()) -> Sequence[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)
        row: Sequence[Any] = cursor.fetchone()
    return row
