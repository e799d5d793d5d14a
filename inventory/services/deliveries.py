"""Deliveries: what is expected, and what was received, scan after scan.

Whoever changes a delivery or its lines locks the delivery. Scans touch no stock: see booking.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.expressions import CombinedExpression

from api import changes, clock
from api.actors import Actor
from api.errors import Standing, require_as_seen
from api.fields import UNITS_MAX
from api.idempotency import Key, claim
from api.ids import uuid7
from api.transactions import in_transaction
from inventory.errors import (
    DeliveryNotReady,
    DeliveryTooLong,
    ManyUnits,
    TooManyUnits,
)
from inventory.models import Delivery, DeliveryLine
from inventory.services import codes

LINES_MAX = 1_000
# So many units at once, and so many times what is expected, are perhaps a barcode.
MANY_UNITS, MANY_TIMES = 1_000, 10
FIRST_NUMBER = "D-1001"
NUMBER_LENGTH_MAX = 100


# Deliveries as such.


@in_transaction
def create(
    *,
    number: str,
    actor: Actor,
    supplier: str = "",
    expected_on: date | None = None,
    note: str = "",
    delivery_id: uuid.UUID | None = None,
    key: Key | None = None,
) -> Delivery:
    """Make an open delivery without lines. Raises: DeliveryNumberTaken."""
    delivery = Delivery(
        id=delivery_id or uuid7(),
        number=number,
        supplier=supplier,
        expected_on=expected_on,
        note=note,
    )
    claim(key, delivery.pk)
    make(delivery, actor)
    return delivery


def make(delivery: Delivery, actor: Actor) -> None:
    delivery.made_by = actor.name
    delivery.created_at = delivery.updated_at = clock.now()
    delivery.save(force_insert=True)
    changes.created(actor, delivery, _state(delivery))


def next_number() -> str:
    """Propose a number: one more than the newest of those that were taken from here."""
    ours = Delivery.objects.filter(number__regex=r"^D-[0-9]{1,9}$")
    last = ours.order_by("-pk").values_list("number", flat=True).first()
    return f"D-{int(last[2:]) + 1}" if last else FIRST_NUMBER


@in_transaction
def change(
    delivery_id: uuid.UUID,
    *,
    actor: Actor,
    seen: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Delivery:
    """Change the given fields of an open delivery. `seen` is what stood in some of them before.

    Raises: DeliveryNotReady, DeliveryNumberTaken, Moved.
    """
    delivery = lock_open(delivery_id)
    with changes.recorded(actor, delivery, state=lambda: _state(delivery), seen=seen):
        for name, value in fields.items():
            setattr(delivery, name, value)
        touch(delivery, *fields)
    return delivery


@in_transaction
def delete(
    delivery_id: uuid.UUID,
    *,
    actor: Actor,
    seen: Standing | None = None,
    key: Key | None = None,
) -> None:
    """Delete a delivery that is not booked: it comes no more. Raises: DeliveryNotReady, Moved."""
    claim(key, delivery_id)
    delivery = lock_open(delivery_id)
    require_as_seen(seen, delivery.standing)
    changes.deleted(actor, delivery)
    delivery.delete()


def _state(delivery: Delivery) -> changes.State:
    return {
        name: value
        for name, value in changes.fields_of(delivery).items()
        if name in {"number", "supplier", "expected_on", "note"}
    }


def lock_open(delivery_id: uuid.UUID) -> Delivery:
    """Lock a delivery that is to be changed. Raises: DeliveryNotReady."""
    delivery, _ = lock(delivery_id)
    delivery.require(Delivery.State.OPEN)
    return delivery


def lock(delivery_id: uuid.UUID) -> tuple[Delivery, Delivery | None]:
    """Lock a delivery, and the one that expects its rest, if there is one.

    Raises: DeliveryNotReady.
    """
    locked = {delivery.pk: delivery for delivery in Delivery.objects.lock(delivery_id)}
    delivery = locked.pop(delivery_id, None)
    if delivery is None:
        raise DeliveryNotReady("The delivery is no longer there.")
    return delivery, next(iter(locked.values()), None)


def touch(delivery: Delivery, *fields: str) -> None:
    delivery.revision += 1
    delivery.updated_at = clock.now()
    delivery.save(update_fields=[*fields, "revision", "updated_at"])


# Lines.


class Scanned(NamedTuple):
    """What a scan has come to."""

    line: DeliveryLine
    quantity: int
    # Whether the delivery had no such line before.
    is_new: bool


@in_transaction
def scan(
    delivery_id: uuid.UUID,
    code: str,
    quantity: int = 1,
    *,
    expecting: bool = False,
    confirmed: bool = False,
    key: Key | None = None,
) -> Scanned:
    """Count units of the product that was scanned as received or, if `expecting`, as expected.

    A product that is not on the delivery is added to it. `confirmed` says that many units are right
    and no mistake of a scanner.

    Raises: CodeUnknown, CodeAmbiguous; DeliveryNotReady, DeliveryTooLong; ManyUnits, TooManyUnits.
    """
    claim(key, delivery_id)
    product = codes.scanned(code)
    delivery = lock_open(delivery_id)
    line = delivery.lines.filter(product_id=product.id).select_related("product").first()
    is_new = line is None
    if line is None:
        if delivery.lines.count() >= LINES_MAX:
            raise DeliveryTooLong
        line = DeliveryLine(delivery=delivery, product_id=product.id)
    if expecting:
        line.expected += quantity
    else:
        line.received += quantity
    _require_sane(line, product.sku, quantity, confirmed)
    line.save()
    touch(delivery)
    return Scanned(line, quantity, is_new)


@in_transaction
def correct(
    delivery_id: uuid.UUID,
    line_id: int,
    *,
    expected: int | None = None,
    received: int | None = None,
    seen: Standing | None = None,
    confirmed: bool = False,
    key: Key | None = None,
) -> DeliveryLine:
    """Set what is expected or was received of a line. `seen` is what some of it was before.

    Raises: DeliveryNotReady; Moved; ManyUnits, TooManyUnits.
    """
    claim(key, delivery_id)
    delivery = lock_open(delivery_id)
    line = _line(delivery, line_id)
    _require_seen(line, seen)
    before = line.expected + line.received
    line.expected = line.expected if expected is None else expected
    line.received = line.received if received is None else received
    more = line.expected + line.received - before
    _require_sane(line, line.product.sku, more, confirmed)
    line.save(update_fields=["expected", "received"])
    touch(delivery)
    return line


@in_transaction
def take_back_scan(
    delivery_id: uuid.UUID,
    line_id: int,
    quantity: int,
    *,
    expecting: bool = False,
    key: Key | None = None,
) -> DeliveryLine | None:
    """Count so many units less, and return the line; None if it was there by that scan alone.

    Raises: DeliveryNotReady, also if fewer are there by now.
    """
    claim(key, delivery_id)
    delivery = lock_open(delivery_id)
    line = _line(delivery, line_id)
    column = "expected" if expecting else "received"
    left = getattr(line, column) - quantity
    if left < 0:
        raise DeliveryNotReady(f"Only {left + quantity} of {line.product.sku} are {column} by now.")
    setattr(line, column, left)
    touch(delivery)
    if line.expected or line.received or line.entries:
        line.save(update_fields=[column])
        return line
    line.delete()
    return None


@in_transaction
def remove_line(
    delivery_id: uuid.UUID,
    line_id: int,
    *,
    seen: Standing | None = None,
    key: Key | None = None,
) -> None:
    """Take a product off an open delivery. Raises: DeliveryNotReady, Moved."""
    claim(key, delivery_id)
    delivery = lock_open(delivery_id)
    line = _line(delivery, line_id)
    _require_seen(line, seen)
    line.delete()
    touch(delivery)


def _require_seen(line: DeliveryLine, seen: Standing | None) -> None:
    """Raises: Moved."""
    require_as_seen(seen, lambda: {name: getattr(line, name, 0) for name in seen or {}})


def _line(delivery: Delivery, line_id: int) -> DeliveryLine:
    line = delivery.lines.filter(pk=line_id).select_related("product").first()
    if line is None:
        raise DeliveryNotReady("The line is no longer there.")
    return line


def _require_sane(line: DeliveryLine, sku: str, more: int, confirmed: bool) -> None:
    """Raises: TooManyUnits; ManyUnits, if what came to it looks like a mistake."""
    if max(line.expected, line.received) > UNITS_MAX:
        raise TooManyUnits
    many = max(MANY_UNITS, MANY_TIMES * min(line.expected, line.received))
    if more > many and not confirmed:
        raise ManyUnits(sku, more)


# What others ask.


@dataclass(frozen=True)
class Totals:
    """What a delivery's lines add up to."""

    lines_all: int
    lines_short: int
    lines_over: int
    lines_unexpected: int
    lines_received: int
    units_expected: int
    units_received: int
    short: int
    # Also of what nobody expected.
    over: int


def totals(delivery: Delivery) -> Totals:
    """Add up a delivery's lines, in one query."""
    short, over = Q(received__lt=F("expected")), Q(received__gt=F("expected"))

    def units(condition: Q, difference: CombinedExpression) -> Sum:
        return Sum(difference, filter=condition, default=0)

    sums = delivery.lines.aggregate(
        lines_all=Count("pk"),
        lines_short=Count("pk", filter=short),
        lines_over=Count("pk", filter=over & Q(expected__gt=0)),
        lines_unexpected=Count("pk", filter=Q(expected=0)),
        lines_received=Count("pk", filter=Q(received__gt=0)),
        units_expected=Sum("expected", default=0),
        units_received=Sum("received", default=0),
        short=units(short, F("expected") - F("received")),
        over=units(over, F("received") - F("expected")),
    )
    return Totals(**sums)


class Expected(NamedTuple):
    """Units of a product that an open delivery is to bring."""

    delivery: Delivery
    units: int


def expected_of(product_id: uuid.UUID) -> list[Expected]:
    """Return what is still to come of a product, the earliest first. It is not available."""
    lines = DeliveryLine.objects.filter(
        Q(expected__gt=F("received")), product_id=product_id, delivery__state=Delivery.State.OPEN
    )
    found = lines.select_related("delivery").order_by(
        F("delivery__expected_on").asc(nulls_last=True), "delivery_id"
    )
    return [Expected(line.delivery, line.short) for line in found]


def due(day: date) -> QuerySet[Delivery]:
    """Find the open deliveries that are expected by then, those first that are late."""
    open_ones = Delivery.objects.filter(state=Delivery.State.OPEN, expected_on__lte=day)
    return open_ones.order_by("expected_on", "pk")
