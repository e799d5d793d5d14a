"""Deliveries: what is expected, what was received scan after scan, and booking it in one go.

Whoever changes a delivery or its lines locks the delivery, and so do those who book it or take its
booking back, before they lock the stock of its products. Scans touch no stock.
"""

import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from django.db.models import F, Q

from api import changes, clock
from api.actors import Actor
from api.errors import Standing, require_as_seen
from api.fields import UNITS_MAX
from api.idempotency import Key, claim
from api.ids import uuid7
from api.transactions import in_transaction
from inventory.errors import (
    CountedLater,
    DeliveryNotReady,
    DeliveryNotUndoable,
    DeliveryTooLong,
    LinesNotBookable,
    ManyUnits,
    StockTooLow,
    TooManyUnits,
    listed,
)
from inventory.models import (
    BY_HAND,
    REASON_LENGTH_MAX,
    Action,
    Delivery,
    DeliveryLine,
    NewEntry,
    Stock,
)
from inventory.services import codes
from inventory.services.log import taking_back
from inventory.services.writing import Cause, write

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
    key: Key | None = None,
) -> Delivery:
    """Make an open delivery without lines. Raises: DeliveryNumberTaken."""
    delivery = Delivery(
        id=uuid7(), number=number, supplier=supplier, expected_on=expected_on, note=note
    )
    claim(key, delivery.pk)
    _make(delivery, actor)
    return delivery


def _make(delivery: Delivery, actor: Actor) -> None:
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
    delivery = _open(delivery_id)
    with changes.recorded(actor, delivery, state=lambda: _state(delivery), seen=seen):
        for name, value in fields.items():
            setattr(delivery, name, value)
        _touch(delivery, *fields)
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
    delivery = _open(delivery_id)
    require_as_seen(seen, delivery.standing)
    changes.deleted(actor, delivery)
    delivery.delete()


def _state(delivery: Delivery) -> changes.State:
    return {
        name: value
        for name, value in changes.fields_of(delivery).items()
        if name in {"number", "supplier", "expected_on", "note"}
    }


def _open(delivery_id: uuid.UUID) -> Delivery:
    """Lock a delivery that is to be changed. Raises: DeliveryNotReady."""
    delivery, _ = _lock(delivery_id)
    delivery.require(Delivery.State.OPEN)
    return delivery


def _lock(delivery_id: uuid.UUID) -> tuple[Delivery, Delivery | None]:
    """Lock a delivery, and the one that expects its rest, if there is one.

    Raises: DeliveryNotReady.
    """
    locked = {delivery.pk: delivery for delivery in Delivery.objects.lock(delivery_id)}
    delivery = locked.pop(delivery_id, None)
    if delivery is None:
        raise DeliveryNotReady("The delivery is no longer there.")
    return delivery, next(iter(locked.values()), None)


def _touch(delivery: Delivery, *fields: str) -> None:
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
    delivery = _open(delivery_id)
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
    _touch(delivery)
    return Scanned(line, quantity, is_new)


@in_transaction
def correct(
    delivery_id: uuid.UUID,
    line_id: int,
    *,
    expected: int | None = None,
    received: int | None = None,
    seen: Mapping[str, int] | None = None,
    confirmed: bool = False,
    key: Key | None = None,
) -> DeliveryLine:
    """Set what is expected or was received of a line. `seen` is what some of it was before.

    Raises: DeliveryNotReady; Moved; ManyUnits, TooManyUnits.
    """
    claim(key, delivery_id)
    delivery = _open(delivery_id)
    line = _line(delivery, line_id)
    require_as_seen(seen, lambda: {name: getattr(line, name) for name in seen or {}})
    before = line.expected + line.received
    line.expected = line.expected if expected is None else expected
    line.received = line.received if received is None else received
    more = line.expected + line.received - before
    _require_sane(line, line.product.sku, more, confirmed)
    line.save(update_fields=["expected", "received"])
    _touch(delivery)
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
    delivery = _open(delivery_id)
    line = _line(delivery, line_id)
    column = "expected" if expecting else "received"
    left = getattr(line, column) - quantity
    if left < 0:
        raise DeliveryNotReady(f"Only {left + quantity} of {line.product.sku} are {column} by now.")
    setattr(line, column, left)
    _touch(delivery)
    if line.expected or line.received or line.entries:
        line.save(update_fields=[column])
        return line
    line.delete()
    return None


@in_transaction
def remove_line(
    delivery_id: uuid.UUID, line_id: int, *, seen: Standing | None = None, key: Key | None = None
) -> None:
    """Take a product off an open delivery. Raises: DeliveryNotReady, Moved."""
    claim(key, delivery_id)
    delivery = _open(delivery_id)
    require_as_seen(seen, delivery.standing)
    _line(delivery, line_id).delete()
    _touch(delivery)


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


# Booking.


@in_transaction
def book(
    delivery_id: uuid.UUID,
    *,
    actor: Actor,
    expect_rest: bool = False,
    seen: Standing | None = None,
    key: Key | None = None,
) -> Delivery | None:
    """Add what was received to the stock: every line of it, or none.

    With `expect_rest`, what is short becomes a delivery of its own, which is returned.

    Raises: DeliveryNotReady, also if nothing was received; LinesNotBookable, which names them;
    Moved.
    """
    claim(key, delivery_id)
    delivery = _open(delivery_id)
    require_as_seen(seen, delivery.standing)
    lines = list(delivery.lines.select_related("product").order_by("pk"))
    received = [line for line in lines if line.received]
    if not received:
        raise DeliveryNotReady("Nothing was received yet, so there is nothing to book.")
    _increment(received, Cause(actor, delivery.reason))
    delivery.state = Delivery.State.BOOKED
    delivery.booked_at, delivery.booked_by = clock.now(), actor.name
    delivery.undone_at, delivery.undone_by = None, ""
    _touch(delivery, "state", "booked_at", "booked_by", "undone_at", "undone_by")
    short = [line for line in lines if line.short]
    return _expect_rest(delivery, short, actor) if expect_rest and short else None


def _increment(lines: Sequence[DeliveryLine], cause: Cause) -> None:
    """Raises: LinesNotBookable."""
    stocks = {stock.product_id: stock for stock in Stock.objects.lock(_products(lines))}
    unmanaged = [line for line in lines if not _is_managed(stocks, line)]
    if unmanaged:
        raise LinesNotBookable(
            f"The stock of {_skus(unmanaged)} is not managed, so nothing was booked. Start "
            "managing it on the product's Inventory tab, or take it off the delivery."
        )
    entries, too_many = [], []
    # In the order of the locks, as every other movement.
    by_product = {line.product_id: line for line in lines}
    for product_id, stock in stocks.items():
        line = by_product[product_id]
        try:
            entries.append(stock.move(Action.INCREMENT, line.received, by_order=BY_HAND))
        except TooManyUnits:
            too_many.append(line)
        line.entries = [*line.entries, stock.sequence]
    if too_many:
        raise LinesNotBookable(
            f"{TooManyUnits.detail} {_skus(too_many)} would have more, so nothing was booked."
        )
    write(entries, cause)
    DeliveryLine.write(lines)


def _expect_rest(delivery: Delivery, short: Sequence[DeliveryLine], actor: Actor) -> Delivery:
    """Make the delivery of what has not come."""
    rest = Delivery(
        id=uuid7(), number=_number_of_rest(delivery), supplier=delivery.supplier, follows=delivery
    )
    _make(rest, actor)
    DeliveryLine.objects.bulk_create(
        [DeliveryLine(delivery=rest, product=line.product, expected=line.short) for line in short]
    )
    return rest


def _number_of_rest(delivery: Delivery) -> str:
    """Number the parts of what was one delivery: D-1001, D-1001-2, D-1001-3."""
    matched = re.fullmatch(r"(.+)-([2-9]|[1-9][0-9]{1,3})", delivery.number)
    if delivery.follows_id and matched:
        base, part = matched[1], int(matched[2])
    else:
        base, part = delivery.number, 1
    base = base[: NUMBER_LENGTH_MAX - 6]
    taken = {
        number.upper()
        for number in Delivery.objects.filter(number__istartswith=f"{base}-").values_list(
            "number", flat=True
        )
    }
    while f"{base}-{(part := part + 1)}".upper() in taken:
        pass
    return f"{base}-{part}"


@in_transaction
def undo(
    delivery_id: uuid.UUID,
    *,
    actor: Actor,
    seen: Standing | None = None,
    key: Key | None = None,
) -> None:
    """Take out of the stock again what booking a delivery added: all of it, or nothing.

    It counts from when it was booked, as if it never had been; the delivery is open again. The one
    that expects its rest goes, if nothing was done with it yet.

    Raises: DeliveryNotReady; DeliveryNotUndoable, which names the lines; Moved.
    """
    claim(key, delivery_id)
    delivery, rest = _lock(delivery_id)
    delivery.require(Delivery.State.BOOKED)
    require_as_seen(seen, delivery.standing)
    if rest:
        _give_up_rest(rest, actor)
    lines = list(delivery.lines.filter(received__gt=0).select_related("product").order_by("pk"))
    _decrement(lines, Cause(actor, f"undo: {delivery.reason}"[:REASON_LENGTH_MAX]))
    delivery.state = Delivery.State.OPEN
    delivery.undone_at, delivery.undone_by = clock.now(), actor.name
    _touch(delivery, "state", "undone_at", "undone_by")


def _give_up_rest(rest: Delivery, actor: Actor) -> None:
    """Raises: DeliveryNotUndoable."""
    if rest.revision:
        raise DeliveryNotUndoable(
            f"{rest} expects the rest of it, and was worked on since. Delete that one first, or "
            "undo it and then delete it."
        )
    changes.deleted(actor, rest)
    rest.delete()


def _decrement(lines: Sequence[DeliveryLine], cause: Cause) -> None:
    """Raises: DeliveryNotUndoable."""
    stocks = {stock.product_id: stock for stock in Stock.objects.lock(_products(lines))}
    unmanaged = [line for line in lines if not _is_managed(stocks, line)]
    if unmanaged:
        raise DeliveryNotUndoable(
            f"The stock of {_skus(unmanaged)} is not managed any more, so nothing was undone."
        )
    by_product = {line.product_id: line for line in lines}
    booked = [(stock, by_product[product_id]) for product_id, stock in stocks.items()]
    backs = taking_back([(stock, line.entries[-1]) for stock, line in booked])
    entries: list[NewEntry] = []
    refused: list[str] = []
    for (stock, line), back in zip(booked, backs, strict=True):
        if back.counted_at:
            refused.append(f"{line.product.sku}: {CountedLater(back.counted_at)}")
            continue
        try:
            entries.append(stock.move(Action.DECREMENT, line.received, by_order=BY_HAND))
        except StockTooLow as refusal:
            refused.append(f"{line.product.sku}: {refusal}")
        line.entries = [*line.entries, stock.sequence]
    if refused:
        raise DeliveryNotUndoable(f"Nothing was undone. {listed(refused)}")
    write(entries, cause, effective_at=[back.effective_at for back in backs])
    DeliveryLine.write(lines)


def _is_managed(stocks: Mapping[uuid.UUID, Stock], line: DeliveryLine) -> bool:
    return line.product_id in stocks and stocks[line.product_id].managed


def _products(lines: Sequence[DeliveryLine]) -> list[uuid.UUID]:
    return [line.product_id for line in lines]


def _skus(lines: Sequence[DeliveryLine]) -> str:
    return listed([line.product.sku for line in lines])


# What others ask.


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


def of_entries(product_id: uuid.UUID, sequences: Sequence[int]) -> dict[int, Delivery]:
    """Find the deliveries that wrote entries of a product's log, by the entries' numbers."""
    lines = DeliveryLine.objects.filter(product_id=product_id, entries__overlap=list(sequences))
    return {
        number: line.delivery
        for line in lines.select_related("delivery")
        for number in line.entries
    }
