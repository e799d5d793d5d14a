"""Stocktakes: what is to be counted, and what was, scan after scan, until it becomes a sheet.

The list is made when a stocktake is opened, so that what is left to count can be said of any number
of products at once. Whoever changes a stocktake or its lines locks the stocktake; scans touch no
stock. What is written to the log, and when, is the business of the sheet of counts in which it
ends: see inventory.services.sheets.
"""

import uuid
from contextlib import AbstractContextManager
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from api import changes, clock
from api.actors import Actor
from api.errors import Moved, Standing, require_as_seen
from api.fields import UNITS_MAX, storable
from api.idempotency import Key, claim
from api.ids import uuid7
from api.transactions import in_transaction
from inventory.errors import (
    CategoryNotFound,
    CodeUnknown,
    ManyUnits,
    NothingToCount,
    StocktakeNotReady,
    StocktakeTooLong,
    TooManyUnits,
)
from inventory.models import DEFAULT_LOCATION_ID, Product, Sheet, Stock, Stocktake, StocktakeLine
from inventory.services import codes
from inventory.services.category_tree import Tree
from inventory.services.sheets import processing

PRODUCTS_MAX = 200_000
OPEN_MAX = 20
# So many units at once are perhaps a barcode.
MANY_UNITS = 1_000


# Stocktakes as such.


@in_transaction
def begin(
    name: str,
    *,
    actor: Actor,
    category_id: uuid.UUID | None = None,
    is_blind: bool = False,
    key: Key | None = None,
) -> Stocktake:
    """Open a stocktake of all products whose stock is managed, or of those in a category.

    Those below the category are meant, too. What is added to the store later is not on the list,
    and can be counted all the same.

    Raises: CategoryNotFound; NothingToCount, StocktakeTooLong; StocktakeNotReady, if too many are
    open.
    """
    now = clock.now()
    stocktake = Stocktake(
        id=uuid7(),
        name=name,
        is_blind=is_blind,
        opened_by=actor.name,
        created_at=now,
        updated_at=now,
    )
    claim(key, stocktake.pk)
    if Stocktake.objects.filter(state=Stocktake.State.OPEN).count() >= OPEN_MAX:
        raise StocktakeNotReady(f"{OPEN_MAX} stocktakes are open. Close or discard some first.")
    below: list[uuid.UUID] | None = None
    if category_id:
        tree = Tree()
        if category_id not in tree.by_id:
            raise CategoryNotFound
        below = list(tree.below([category_id]))
        stocktake.scope = tree.path(category_id)
    stocktake.save(force_insert=True)
    stocktake.products = _write_list(stocktake, below)
    if not stocktake.products:
        raise NothingToCount("There is no product whose stock is managed, so nothing to count.")
    if stocktake.products > PRODUCTS_MAX:
        raise StocktakeTooLong
    stocktake.save(update_fields=["products"])
    changes.created(actor, stocktake, _state(stocktake))
    return stocktake


def _state(stocktake: Stocktake) -> changes.State:
    state = {"name": stocktake.name, "scope": stocktake.scope, "is_blind": stocktake.is_blind}
    return {**state, "state": stocktake.state}


def _on_record(stocktake: Stocktake, actor: Actor) -> AbstractContextManager[None]:
    return changes.recorded(actor, stocktake, state=lambda: _state(stocktake))


def _write_list(stocktake: Stocktake, below: list[uuid.UUID] | None) -> int:
    parameters = {
        "stocktake": stocktake.pk,
        "location": DEFAULT_LOCATION_ID,
        "categories": below,
        "most": PRODUCTS_MAX + 1,
    }
    in_category = "" if below is None else _IN_CATEGORY
    with connection.cursor() as cursor:
        cursor.execute(_WRITE_LIST.format(in_category=in_category), parameters)
        return int(cursor.rowcount)


_WRITE_LIST = """
INSERT INTO inventory_stocktakeline (stocktake_id, product_id, number, is_added)
SELECT %(stocktake)s, id, row_number() OVER (ORDER BY name, id), false
FROM (
    SELECT product.id, product.name
    FROM inventory_product AS product
    JOIN inventory_stock AS stock ON stock.product_id = product.id
    WHERE stock.location_id = %(location)s AND stock.managed AND product.archived_at IS NULL
    {in_category}
    LIMIT %(most)s
) AS listed
"""

_IN_CATEGORY = """
    AND EXISTS (
        SELECT FROM inventory_product_categories AS of
        WHERE of.product_id = product.id AND of.category_id = ANY(%(categories)s)
    )
"""


@in_transaction
def discard(
    stocktake_id: uuid.UUID,
    *,
    actor: Actor,
    seen: Standing | None = None,
    key: Key | None = None,
) -> None:
    """Give an open stocktake up, and all that was counted. Raises: StocktakeNotReady, Moved."""
    claim(key, stocktake_id)
    stocktake = _open(stocktake_id)
    require_as_seen(seen, stocktake.standing)
    stocktake.lines.all().delete()
    with _on_record(stocktake, actor):
        stocktake.state = Stocktake.State.DISCARDED
        stocktake.closed_at, stocktake.closed_by = clock.now(), actor.name
        _touch(stocktake, "state", "closed_at", "closed_by")


def _open(stocktake_id: uuid.UUID) -> Stocktake:
    """Lock a stocktake that is to be changed. Raises: StocktakeNotReady."""
    stocktake = _lock(stocktake_id)
    stocktake.require(Stocktake.State.OPEN)
    return stocktake


def _lock(stocktake_id: uuid.UUID) -> Stocktake:
    stocktake = Stocktake.objects.lock(stocktake_id)
    if stocktake is None:
        raise StocktakeNotReady("There is no such stocktake.")
    return stocktake


def _touch(stocktake: Stocktake, *fields: str) -> None:
    stocktake.revision += 1
    stocktake.updated_at = clock.now()
    stocktake.save(update_fields=[*fields, "revision", "updated_at"])


# Counting.


class Scanned(NamedTuple):
    """What a scan has come to."""

    stocktake: Stocktake
    line: StocktakeLine
    quantity: int


@in_transaction
def scan(
    stocktake_id: uuid.UUID,
    code: str,
    quantity: int = 1,
    *,
    confirmed: bool = False,
    key: Key | None = None,
) -> Scanned:
    """Add units of the product that was scanned to what was counted of it.

    The count is of the moment of this scan. A product that is not on the list is added to it.
    `confirmed` says that many units are right and no mistake of a scanner.

    Raises: CodeUnknown, CodeAmbiguous, NothingToCount; StocktakeNotReady; ManyUnits, TooManyUnits.
    """
    claim(key, stocktake_id)
    product_id, sku = _scanned(code)
    stocktake = _open(stocktake_id)
    line = stocktake.lines.filter(product_id=product_id).select_related("product").first()
    line = line or _added(stocktake, product_id)
    if quantity > MANY_UNITS and not confirmed:
        raise ManyUnits(sku, quantity)
    _count(stocktake, line, (line.units or 0) + quantity, since=line.first_at)
    _touch(stocktake, "products", "counted")
    return Scanned(stocktake, line, quantity)


def _scanned(code: str) -> tuple[uuid.UUID, str]:
    try:
        product = codes.scanned(code)
    except CodeUnknown as unknown:
        archived = Product.objects.exclude(archived_at=None).filter(sku__iexact=code)
        for gone in archived.order_by()[:1] if storable(code) else ():
            raise NothingToCount(f"{gone.sku} was deleted: {gone.name}.") from unknown
        raise
    here = Stock.objects.filter(product_id=product.id, location_id=DEFAULT_LOCATION_ID)
    if not here.filter(managed=True).exists():
        raise NothingToCount(f"The stock of {product.sku} is not managed: {product.name}.")
    return product.id, product.sku


def _added(stocktake: Stocktake, product_id: uuid.UUID) -> StocktakeLine:
    last = stocktake.lines.order_by("-number").values_list("number", flat=True).first() or 0
    stocktake.products += 1
    product = Product.objects.get(pk=product_id)
    return StocktakeLine(stocktake=stocktake, product=product, number=last + 1, is_added=True)


@in_transaction
def count(
    stocktake_id: uuid.UUID,
    line_id: int,
    units: int | None,
    *,
    seen: int | None,
    confirmed: bool = False,
    key: Key | None = None,
) -> StocktakeLine:
    """Say how many there are of a product in all, as of now; None: it was not counted after all.

    `seen` is what was there before. Raises: StocktakeNotReady, Moved; ManyUnits.
    """
    claim(key, stocktake_id)
    stocktake = _open(stocktake_id)
    line = _line(stocktake, line_id)
    if line.units != seen:
        raise Moved(f"Somebody counted it meanwhile: it is {_written(line.units)} now.")
    if units and units > MANY_UNITS and not confirmed:
        raise ManyUnits(line.product.sku, units)
    _count(stocktake, line, units)
    _touch(stocktake, "products", "counted")
    return line


def _written(units: int | None) -> str:
    return "not counted" if units is None else str(units)


@in_transaction
def take_back_scan(
    stocktake_id: uuid.UUID,
    line_id: int,
    quantity: int,
    *,
    since: str = "",
    key: Key | None = None,
) -> Scanned:
    """Count so many units less. Of what nothing is left nobody knows: it was not counted then.

    `since` is the moment of the line's first scan, as the scan has found it: a number that somebody
    typed since then has no part of that scan.

    Raises: StocktakeNotReady, also if fewer are there by now.
    """
    claim(key, stocktake_id)
    stocktake = _open(stocktake_id)
    line = _line(stocktake, line_id)
    if since and since != str(line.first_at):
        now = _written(line.units)
        raise StocktakeNotReady(f"Somebody counted {line.product.sku} anew meanwhile: {now}.")
    left = (line.units or 0) - quantity
    if left < 0:
        raise StocktakeNotReady(f"Only {line.units or 0} of {line.product.sku} are counted by now.")
    # Perhaps a 0 was typed before; but one that nobody has typed would take all of it away.
    _count(stocktake, line, left or None, since=line.first_at)
    _touch(stocktake, "products", "counted")
    return Scanned(stocktake, line, -quantity)


def _line(stocktake: Stocktake, line_id: int) -> StocktakeLine:
    line = stocktake.lines.filter(pk=line_id).select_related("product").first()
    if line is None:
        raise StocktakeNotReady("The line is no longer there.")
    return line


def _count(
    stocktake: Stocktake, line: StocktakeLine, units: int | None, *, since: datetime | None = None
) -> None:
    """Write what was counted of a product, and since when; what was added goes if it was not."""
    if units is not None and units > UNITS_MAX:
        raise TooManyUnits
    stocktake.counted += (units is not None) - (line.units is not None)
    if units is None and line.is_added:
        stocktake.products -= 1
        line.delete()
        line.units = None
        return
    now = clock.now()
    line.units = units
    line.counted_at = None if units is None else max(now, since or now)
    line.first_at = None if units is None else since or line.counted_at
    line.save()


# Its end.


@in_transaction
def close(
    stocktake_id: uuid.UUID,
    *,
    actor: Actor,
    rest_is_none: bool = False,
    seen: Standing | None = None,
    key: Key | None = None,
) -> Sheet:
    """Make a sheet of counts of what was counted, which is checked and waits to be applied.

    With `rest_is_none` what was not counted counts as none, as of now. Each of these lines is
    marked, and so is one of a product of which units came or went between its first scan and its
    last: whoever applies the sheet has to say that they are right.

    Raises: StocktakeNotReady, also if nothing was counted; SheetUnreadable, if too many sheets
    wait; Moved.
    """
    claim(key, stocktake_id)
    stocktake = _lock(stocktake_id)
    stocktake.require_counted()
    require_as_seen(seen, stocktake.standing)
    sheet = processing.make(stocktake.name, Sheet.Kind.COUNTS, Sheet.Source.STOCKTAKE, actor=actor)
    now = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(
            _WRITE_LINES,
            {
                "sheet": sheet.pk,
                "stocktake": stocktake.pk,
                "location": DEFAULT_LOCATION_ID,
                "now": now,
                "rest_is_none": rest_is_none,
                "not_counted": NOT_COUNTED,
                "in_between": IN_BETWEEN,
            },
        )
        processing.have_checked(sheet, lines=cursor.rowcount)
    with _on_record(stocktake, actor):
        stocktake.sheet, stocktake.state = sheet, Stocktake.State.CLOSED
        stocktake.closed_at, stocktake.closed_by = now, actor.name
        _touch(stocktake, "sheet", "state", "closed_at", "closed_by")
    return sheet


NOT_COUNTED = "Not counted, and so taken for none."
IN_BETWEEN = (
    "Units came or went between its first scan and its last: some may be counted twice, or not."
)

# Of a product that was deleted meanwhile nothing can be said, but that it was counted.
_WRITE_LINES = """
INSERT INTO inventory_countline
    (sheet_id, number, product_id, sku, barcode, units, counted_at, reason, error, mark)
SELECT %(sheet)s, line.number, line.product_id, product.sku, '', coalesce(line.units, 0),
    coalesce(line.counted_at, %(now)s), '', '',
    CASE WHEN line.units IS NULL THEN %(not_counted)s
        WHEN line.first_at < line.counted_at AND EXISTS (
            SELECT FROM inventory_stocktransaction AS entry
            WHERE entry.stock_id = stock.id AND entry.action IN ('increment', 'decrement')
                AND entry.created_at > line.first_at AND entry.created_at <= line.counted_at
        ) THEN %(in_between)s
        ELSE '' END
FROM inventory_stocktakeline AS line
JOIN inventory_product AS product ON product.id = line.product_id
JOIN inventory_stock AS stock
    ON stock.product_id = line.product_id AND stock.location_id = %(location)s
WHERE line.stocktake_id = %(stocktake)s
    AND (line.units IS NOT NULL
        OR %(rest_is_none)s AND stock.managed AND product.archived_at IS NULL)
ORDER BY line.number
"""


@in_transaction
def reopen(
    stocktake_id: uuid.UUID,
    *,
    actor: Actor,
    seen: Standing | None = None,
    key: Key | None = None,
) -> None:
    """Go on with a stocktake whose sheet was discarded. Raises: StocktakeNotReady, Moved."""
    claim(key, stocktake_id)
    stocktake = _lock(stocktake_id)
    stocktake.require_reopenable()
    require_as_seen(seen, stocktake.standing)
    with _on_record(stocktake, actor):
        stocktake.state = Stocktake.State.OPEN
        stocktake.closed_at, stocktake.closed_by = None, ""
        _touch(stocktake, "state", "closed_at", "closed_by")
