"""Counts and changes of stock: what each line comes to, and how it is applied and taken back."""

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from django.db import connection
from django.db.models import Count, Q, Sum
from django.db.models.functions import Coalesce

from api.fields import UNITS_MAX
from inventory.errors import CountedLater, CountedTooEarly, StockTooLow, TooManyUnits
from inventory.models import (
    BY_HAND,
    DEFAULT_LOCATION_ID,
    OPPOSITES,
    REASON_LENGTH_MAX,
    Action,
    CountLine,
    NewEntry,
    Product,
    Sheet,
    Stock,
    StockCount,
)
from inventory.services import booking, codes, evidence
from inventory.services.log import TakingBack, Then, taking_back, totals_at
from inventory.services.sheets import count_lines
from inventory.services.sheets.kinds import Column, Kind
from inventory.services.stock import words_of_count
from inventory.services.writing import Cause, write

# Of the lines that count one product, so many are named.
LINES_NAMED = 5
# It stood on the shelf, perhaps, before it was booked.
DELIVERED_SINCE = "More than the books said, and a delivery was booked since: is it in this count?"


def _check(sheet: Sheet, lines: Sequence[CountLine]) -> None:
    """Find each line's product and say what applying would do. The stock is not locked."""
    if sheet.source == Sheet.Source.FILE:
        count_lines.read(sheet, lines)
        lines = [line for line in lines if not line.left_out]
        _find_products(lines)
    else:
        _require_kept(lines)
    stocks = _stocks_of(lines)
    if sheet.kind == Sheet.Kind.CHANGES:
        _account_for_earlier_lines(sheet, stocks)
    _work_out(sheet, lines, stocks)
    delivered = booking.booked_since(
        {
            line.product_id: line.counted_at
            for line in lines
            if line.product_id and line.counted_at and not line.error and (line.change or 0) > 0
        }
    )
    for line in lines:
        since = DELIVERED_SINCE if line.product_id in delivered else ""
        line.mark = " ".join(filter(None, [line.mark, since, _words_of_drop(line, stocks)]))
        sheet.marked += bool(line.mark and not line.error)


def _words_of_drop(line: CountLine, stocks: Mapping[uuid.UUID, Stock]) -> str:
    """Say so if most of what there was would be gone.

    Changes of one product add up: what there was is its total before the first of them.
    """
    if line.error or not line.change or line.total_before is None or line.product_id is None:
        return ""
    before = line.total_before if line.counted_at else stocks[line.product_id].total
    after = line.total_before + line.change
    return "" if line.change > 0 else evidence.words_of_drop(before, after)


def _apply(sheet: Sheet, lines: Sequence[CountLine]) -> None:
    stocks = _locked([line for line in lines if not line.error])
    entries = _work_out(sheet, lines, stocks)
    for line, entry in entries:
        line.sequence = entry.sequence
    moments = [line.counted_at for line, _ in entries]
    _write(sheet, entries, moments, lambda line: _reason(sheet, line))
    if sheet.kind == Sheet.Kind.COUNTS:
        evidence.keep(list(_counted(sheet, lines, stocks)))


def _counted(
    sheet: Sheet, lines: Iterable[CountLine], stocks: Mapping[uuid.UUID, Stock]
) -> Iterator[StockCount]:
    """Make the evidence of what the lines have counted, after they have moved the stock."""
    for line in lines:
        if line.error or line.product_id is None:
            continue
        assert line.units is not None
        assert line.counted_at is not None
        assert line.change is not None
        stock = stocks[line.product_id]
        yield evidence.of(
            stock, line.units, line.counted_at, line.change, actor=sheet.actor, line=line
        )


def _revert(sheet: Sheet, lines: Sequence[CountLine]) -> None:
    """Write the opposite of each line's entry, and withdraw what the lines have counted.

    Units sold since then cannot be taken back, and what was counted since stands.
    """
    applied_lines = [line for line in lines if line.is_applied]
    agreeing_lines = [line for line in lines if line.agreed]
    stocks = _locked([*applied_lines, *agreeing_lines])
    entries, moments = [], []
    for line, back in _taking_back(applied_lines, stocks):
        assert line.product_id is not None
        assert line.change
        line.error = str(CountedLater(back.counted_at)) if back.counted_at else ""
        entry = _move(line, stocks.get(line.product_id), -line.change)
        if entry:
            line.reverted_sequence = entry.sequence
            sheet.reverted += 1
            entries.append((line, entry))
            moments.append(back.effective_at)
        else:
            sheet.not_reverted += 1
    _write(sheet, entries, moments, lambda line: f"Reverted: {sheet.name}, line {line.number}")
    if sheet.kind == Sheet.Kind.COUNTS:
        taken_back = [*agreeing_lines, *(line for line, _ in entries)]
        evidence.withdraw(stocks.values(), [line.pk for line in taken_back])


def _locked(lines: Iterable[CountLine]) -> dict[uuid.UUID, Stock]:
    """Lock the stock of the lines' products."""
    product_ids = {line.product_id for line in lines if line.product_id}
    rows = Stock.objects.lock(product_ids) if product_ids else []
    return {stock.product_id: stock for stock in rows}


def _taking_back(
    lines: Sequence[CountLine], stocks: Mapping[uuid.UUID, Stock]
) -> Iterator[tuple[CountLine, TakingBack]]:
    entries = [
        (stocks[line.product_id], line.sequence)
        for line in lines
        if line.product_id and line.sequence
    ]
    return zip(lines, taking_back(entries), strict=True)


def _write(
    sheet: Sheet,
    entries: Sequence[tuple[CountLine, NewEntry]],
    moments: Sequence[datetime | None],
    reason: Callable[[CountLine], str],
) -> None:
    if entries:
        cause = Cause(sheet.actor)
        write(
            [entry for _, entry in entries],
            cause,
            reasons=[reason(line)[:REASON_LENGTH_MAX] for line, _ in entries],
            effective_at=moments,
        )


def _reason(sheet: Sheet, line: CountLine) -> str:
    source = f"{sheet.name}, line {line.number}"
    words = f"{line.reason} ({source})" if line.reason else source
    if sheet.kind == Sheet.Kind.CHANGES:
        return words
    assert line.units is not None
    return words_of_count(line.units, line.counted_at, words)


# Finding out what a line comes to.


def _find_products(lines: Sequence[CountLine]) -> None:
    """Set each line's product, or say why there is none.

    It is found for lines with an error, too: they speak of their product all the same.
    """
    named = codes.products_named([(line.sku, line.barcode) for line in lines])
    for line, (product_id, made_at, error) in zip(lines, named, strict=True):
        line.product_id = product_id
        if line.error:
            continue
        line.error = error
        if not error and line.counted_at and made_at and line.counted_at < made_at:
            line.error = str(CountedTooEarly())


def _require_kept(lines: Sequence[CountLine]) -> None:
    """Say of the lines of a stocktake whose product was deleted since.

    They know their products: a sku may be another one's by now.
    """
    product_ids = [line.product_id for line in lines if line.product_id]
    kept = dict(Product.objects.kept().filter(pk__in=product_ids).values_list("pk", "sku"))
    for line in lines:
        assert line.product_id
        line.error = "" if line.product_id in kept else "This product was deleted."
        line.sku = kept.get(line.product_id, line.sku)


def _stocks_of(lines: Iterable[CountLine]) -> dict[uuid.UUID, Stock]:
    product_ids = {line.product_id for line in lines if line.product_id}
    stocks = Stock.objects.filter(location_id=DEFAULT_LOCATION_ID, product_id__in=product_ids)
    return {stock.product_id: stock for stock in stocks}


def _account_for_earlier_lines(sheet: Sheet, stocks: Mapping[uuid.UUID, Stock]) -> None:
    """Add up the changes of the same products from earlier batches."""
    earlier_lines = sheet.lines.filter(number__lte=sheet.position, product__in=stocks, error="")
    sums = earlier_lines.values_list("product_id").annotate(Sum("change"))
    for product_id, change in sums:
        stocks[product_id].available += change


def _refuse_repeated(sheet: Sheet) -> None:
    """Refuse the lines that count one product together: none of them is the right one.

    A person has counted one shelf twice, or has two shelves of it and means the sum. This is known
    when all lines have been checked. What was wrong with a line beyond that stays said.
    """
    if sheet.kind != Sheet.Kind.COUNTS:
        return
    with connection.cursor() as cursor:
        cursor.execute(_REPEATED, [LINES_NAMED, sheet.pk])
        said = {product_id: _words_of_repeated(*row) for product_id, *row in cursor.fetchall()}
        if said:
            cursor.execute(_REFUSE_REPEATED, [list(said), list(said.values()), sheet.pk])
            _add_up_again(sheet)


def _words_of_repeated(lines: int, first: Sequence[int], units: int | None, read: int) -> str:
    named = [f"{number:,}" for number in first]
    others = lines - len(named)
    last = f"{others:,} more" if others else named.pop()
    together = f", together {units:,}" if read == lines else ""
    return (
        f"Lines {', '.join(named)} and {last} count the same product{together}: write what there "
        "is in all into one line."
    )


_REPEATED = """
SELECT product_id, count(*), (array_agg(number ORDER BY number))[:%s], sum(units), count(units)
FROM inventory_countline WHERE sheet_id = %s AND product_id IS NOT NULL
GROUP BY product_id HAVING count(*) > 1
"""

_REFUSE_REPEATED = """
UPDATE inventory_countline AS line SET error = said.error
FROM unnest(%s::uuid[], %s::text[]) AS said (product_id, error)
WHERE line.sheet_id = %s AND line.product_id = said.product_id
    AND line.units IS NOT NULL AND line.counted_at IS NOT NULL
"""


def _add_up_again(sheet: Sheet) -> None:
    good, more, fewer = Q(error=""), Q(change__gt=0), Q(change__lt=0)
    sums = sheet.lines.aggregate(
        changed=Count("pk", filter=good & ~Q(change=0)),
        unchanged=Count("pk", filter=good & Q(change=0)),
        refused=Count("pk", filter=~good),
        marked=Count("pk", filter=good & ~Q(mark="")),
        units_added=Coalesce(Sum("change", filter=good & more), 0),
        units_removed=-Coalesce(Sum("change", filter=good & fewer), 0),
    )
    for name, value in sums.items():
        setattr(sheet, name, value)


def _work_out(
    sheet: Sheet, lines: Sequence[CountLine], stocks: Mapping[uuid.UUID, Stock]
) -> list[tuple[CountLine, NewEntry]]:
    """Move the stock in memory as the lines say, and return what there is to write.

    A line that cannot be applied gets an error that says why, and the others go on.
    """
    totals = _totals_then(lines, stocks)
    entries = []
    for line in lines:
        stock = stocks.get(line.product_id) if line.product_id else None
        change = 0
        if not line.error and stock and line.units is not None:
            then = totals.get(line.number)
            # What was taken back may add to a moment at which there was the most already.
            line.total_before = min(then.total if then else _total(stock), UNITS_MAX)
            line.change = change = line.units - (then.total if then else 0)
            if change and then and then.refusal:
                line.error = str(then.refusal)
        entry = _move(line, stock, change)
        _add_to_sums(sheet, line, change)
        if entry:
            entries.append((line, entry))
    return entries


def _total(stock: Stock) -> int:
    """Return the total of a row moved in memory: the database has not added it up again."""
    return stock.available + stock.allocated


def _move(line: CountLine, stock: Stock | None, change: int) -> NewEntry | None:
    """Change the total of a row in memory, or say in the line why not. Zero makes no entry."""
    if line.error:
        return None
    if stock is None or not stock.managed:
        line.error = "The stock of this product is not managed."
        return None
    if not change:
        return None
    action = Action.INCREMENT if change > 0 else OPPOSITES[Action.INCREMENT]
    try:
        return stock.move(action, abs(change), by_order=BY_HAND)
    except StockTooLow:
        line.error = (
            f"{-change} fewer, but only {stock.available} of {_total(stock)} "
            f"{'is' if stock.available == 1 else 'are'} available: {stock.allocated} "
            f"{'is' if stock.allocated == 1 else 'are'} allocated."
        )
    except TooManyUnits as refusal:
        line.error = str(refusal)
    return None


def _add_to_sums(sheet: Sheet, line: CountLine, change: int) -> None:
    """Add a line to the sums of its file."""
    if line.error:
        sheet.refused += 1
    elif change:
        sheet.changed += 1
        sheet.units_added += max(change, 0)
        sheet.units_removed += max(-change, 0)
    else:
        sheet.unchanged += 1


def _totals_then(lines: Iterable[CountLine], stocks: Mapping[uuid.UUID, Stock]) -> dict[int, Then]:
    """Return the totals at the moments of the counts, by line; changes have no moment."""
    numbers, moments = [], []
    for line in lines:
        stock = stocks.get(line.product_id) if line.product_id else None
        if stock and line.counted_at and not line.error:
            numbers.append(line.number)
            moments.append((stock, line.counted_at))
    return dict(zip(numbers, totals_at(moments), strict=True))


def _columns(units: Column, *more: Column) -> tuple[Column, ...]:
    return (
        Column("sku", "SKU", ("article_number", "item_number", "artikelnummer", "product_code")),
        Column("barcode", "Barcode", ("ean", "gtin", "upc", "ean_code", "upc_ean")),
        units,
        *more,
        Column("reason", "Reason", ("note", "comment", "remark", "grund", "bemerkung")),
    )


_COUNTS = _columns(
    Column(
        "count",
        "Count: units there are in all",
        (
            *("counted", "quantity", "qty", "on_hand", "units", "stock", "counted_quantity"),
            *("menge", "bestand", "anzahl", "gezählt"),
        ),
        required=True,
        holds="whole number",
    ),
    Column(
        "counted_at",
        "Counted at",
        ("counted_on", "date", "time", "count_date", "datum", "gezählt_am"),
        holds="moment",
    ),
)
_CHANGES = _columns(
    Column(
        "change",
        "Change: units that came or went",
        ("adjustment", "adjust", "difference", "delta", "änderung", "differenz"),
        required=True,
        holds="whole number",
    )
)
# What the export has for people to read.
_NOT_READ = ("name", *count_lines.NUMBERS)

COUNTS = Kind(
    check=_check,
    apply=_apply,
    revert=_revert,
    columns=lambda: _COUNTS,
    named_by=("sku", "barcode"),
    not_read=_NOT_READ,
    wanted=("product_id", "sku", "barcode", "units", "counted_at", "reason"),
    finish_checking=_refuse_repeated,
)
CHANGES = replace(COUNTS, columns=lambda: _CHANGES)
