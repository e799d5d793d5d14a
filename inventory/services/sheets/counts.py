"""Counting by file: jobs check it first, then apply it, and perhaps revert it, in batches.

A batch is a transaction: it locks the file, then its lines' stock, writes both with their log, and
notes how far the file has come. So a job may die anywhere, run twice, or in parallel with another:
the next batch begins where the last one that was committed has ended. Batches are small, because a
purchase of one of their products waits until the batch is through.
"""

import hashlib
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from django.db import connection
from django.db.models import Count, Q, Sum
from django.db.models.functions import Coalesce
from procrastinate.contrib.django import app

from api import clock
from api.actors import Actor
from api.errors import Standing, require_as_seen
from api.fields import UNITS_MAX
from api.idempotency import Key, claim
from api.transactions import Stale, in_transaction
from inventory.errors import (
    CountedLater,
    CountedTooEarly,
    SheetNotReady,
    SheetUnreadable,
    StockTooLow,
    TooManyUnits,
)
from inventory.models import (
    BY_HAND,
    DEFAULT_LOCATION_ID,
    OPPOSITES,
    REASON_LENGTH_MAX,
    Action,
    CountLine,
    NewEntry,
    Sheet,
    Stock,
    StockCount,
)
from inventory.services import codes, evidence
from inventory.services.log import TakingBack, Then, taking_back, totals_at
from inventory.services.sheets import count_csv
from inventory.services.sheets.count_csv import Line
from inventory.services.stock import words_of_count
from inventory.services.writing import Cause, write

JOB = "inventory.jobs.work_on_sheet"
# Lines whose stock is locked together: a purchase waits for some tens of milliseconds at most.
BATCH = 200
# Checking locks nothing, so these batches are larger.
BATCH_TO_CHECK = 2_000
BATCH_TO_COPY = 10_000
# After this long the next job of the queue has its turn, and a worker can stop if told to.
SECONDS_A_JOB = 2.0
# A file that should be worked on and has been left alone for this long has lost its job.
LEFT_ALONE = timedelta(seconds=60)
# How many files may wait to be applied, each with all its lines.
WAITING_MAX = 50
# Of the lines that count one product, so many are named.
LINES_NAMED = 5
# To less than half, and by so many units: such a line is marked.
GREAT_DROP = 10
# The position from which reverting goes backwards through a file.
_END = 2**31 - 1


# What people ask for.


def upload(name: str, content: bytes, *, actor: Actor) -> tuple[Sheet, bool]:
    """Store a file and have it checked; return it, and whether it is new.

    The same bytes again are the file that was uploaded before, and nothing happens, unless that
    file was reverted. Raises: SheetUnreadable.
    """
    return _store(name, content, actor, clock.now())


@in_transaction
def _store(name: str, content: bytes, actor: Actor, now: datetime) -> tuple[Sheet, bool]:
    table = count_csv.read(content, now=now)
    sheet = Sheet(
        name=name[:200],
        sha256=hashlib.sha256(content).hexdigest(),
        kind=table.kind,
        lines_total=0,
        uploaded_by=actor.name,
        created_at=now,
    )
    _note(sheet, actor, now)
    # This waits for a parallel upload of the same file.
    Sheet.objects.bulk_create([sheet], ignore_conflicts=True)
    in_force = Sheet.objects.exclude(state=Sheet.State.REVERTED)
    current = in_force.filter(sha256=sheet.sha256).first()
    if current is None:
        # The same file was there a moment ago, and has been reverted since.
        raise Stale
    if current.pk != sheet.pk:
        return current, False
    waiting = Sheet.objects.filter(state__in=(Sheet.State.CHECKING, Sheet.State.CHECKED))
    if waiting.count() > WAITING_MAX:
        raise SheetUnreadable(
            f"{WAITING_MAX} files wait to be applied. Apply or discard some of them first."
        )
    sheet.lines_total = _copy(sheet, table.lines)
    sheet.left_out = table.left_out
    Sheet.objects.filter(pk=sheet.pk).update(lines_total=sheet.lines_total, left_out=sheet.left_out)
    go_on(sheet.pk)
    return sheet, True


def _copy(sheet: Sheet, lines: Iterator[Line]) -> int:
    """Write the lines some thousands at a time, while they are read; return how many there were.

    So no statement takes as long as reading the whole file does.
    """
    columns = ", ".join(Line._fields)
    statement = f"COPY {CountLine._meta.db_table} (sheet_id, {columns}) FROM STDIN"
    written = 0
    with connection.cursor() as cursor:
        while batch := list(islice(lines, BATCH_TO_COPY)):
            with cursor.copy(statement) as copy:
                for line in batch:
                    copy.write_row((sheet.pk, *line))
            written += len(batch)
    return written


@in_transaction
def apply(
    sheet_id: uuid.UUID,
    *,
    actor: Actor,
    looked_at: bool = False,
    seen: Standing | None = None,
    key: Key | None = None,
) -> None:
    """Have a checked file applied. `looked_at` says that marked lines were, and are right.

    Raises: SheetNotReady, LinesMarked, Moved.
    """
    claim(key, sheet_id)
    sheet = _lock(sheet_id)
    sheet.require(Sheet.State.CHECKED)
    require_as_seen(seen, sheet.standing)
    sheet.require_looked_at(looked_at)
    sheet.applied_by, sheet.applied_at = actor.name, clock.now()
    _begin(sheet, Sheet.State.APPLYING, actor)


@in_transaction
def revert(
    sheet_id: uuid.UUID, *, actor: Actor, seen: Standing | None = None, key: Key | None = None
) -> None:
    """Have an applied file reverted by the opposite entries. Raises: SheetNotReady, Moved."""
    claim(key, sheet_id)
    sheet = _lock(sheet_id)
    sheet.require(Sheet.State.APPLIED)
    require_as_seen(seen, sheet.standing)
    sheet.reverted_by, sheet.reverted_at = actor.name, clock.now()
    _begin(sheet, Sheet.State.REVERTING, actor, position=_END)


@in_transaction
def discard(sheet_id: uuid.UUID, *, seen: Standing | None = None, key: Key | None = None) -> None:
    """Delete a file that was checked and not applied. Raises: SheetNotReady, Moved."""
    claim(key, sheet_id)
    sheet = _lock(sheet_id)
    sheet.require(Sheet.State.CHECKED)
    require_as_seen(seen, sheet.standing)
    sheet.delete()


def _lock(sheet_id: uuid.UUID) -> Sheet:
    sheet = Sheet.objects.lock(sheet_id)
    if sheet is None:
        raise SheetNotReady("The file is no longer there.")
    return sheet


def _begin(sheet: Sheet, state: Sheet.State, actor: Actor, *, position: int = 0) -> None:
    sheet.begin(state, position=position)
    _note(sheet, actor, clock.now())
    sheet.save()
    go_on(sheet.pk)


def _note(sheet: Sheet, actor: Actor, now: datetime) -> None:
    sheet.actor, sheet.updated_at = actor, now


# What jobs do.


def go_on(sheet_id: uuid.UUID) -> None:
    """Leave the work on a file to a job, which begins once the open transaction has committed."""
    app.configure_task(JOB).defer(sheet_id=str(sheet_id))


def work_on(sheet_id: uuid.UUID) -> None:
    """Work on a file for some seconds, and leave what remains to the next job."""
    until = time.monotonic() + SECONDS_A_JOB
    while take_a_batch(sheet_id):
        if time.monotonic() > until:
            go_on(sheet_id)
            return


def take_up_again() -> int:
    """Find the files whose job was lost, in whatever way, and give each another job."""
    since = clock.now() - LEFT_ALONE
    left_alone = Sheet.objects.under_way().filter(updated_at__lt=since)
    sheet_ids = list(left_alone.values_list("pk", flat=True))
    for sheet_id in sheet_ids:
        go_on(sheet_id)
    return len(sheet_ids)


@in_transaction
def take_a_batch(sheet_id: uuid.UUID) -> bool:
    """Work on the file's next lines; return whether there are more."""
    sheet = Sheet.objects.lock(sheet_id)
    if sheet is None or not sheet.is_under_way:
        return False
    _plan_anew()
    work = _WORK[Sheet.State(sheet.state)]
    lines = sheet.next_lines(work.batch)
    if lines:
        work.do(sheet, lines)
        CountLine.write(lines)
        sheet.position = lines[-1].number
        sheet.lines_done += len(lines)
    has_more = bool(lines) and sheet.lines_done < sheet.lines_total
    if not has_more:
        work.finish(sheet)
        # Lines that could not be reverted stay applied, and can be tried again.
        sheet.state = Sheet.State.APPLIED if sheet.not_reverted else work.afterwards
    sheet.updated_at = clock.now()
    sheet.save()
    return has_more


def _plan_anew() -> None:
    """Have PostgreSQL plan each statement of this transaction for the tables as they are now.

    A file can fill an empty table of counts within a minute, and a plan that was made for a few
    rows, and kept, would read all of them for each line.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL plan_cache_mode = force_custom_plan")


def _check(sheet: Sheet, lines: Sequence[CountLine]) -> None:
    """Find each line's product and say what applying would do. The stock is not locked."""
    _find_products(lines)
    stocks = _stocks_of(lines)
    if sheet.kind == Sheet.Kind.CHANGES:
        _account_for_earlier_lines(sheet, stocks)
    _work_out(sheet, lines, stocks)
    for line in lines:
        line.mark = " ".join(filter(None, [line.mark, _words_of_drop(line, stocks)]))
        sheet.marked += bool(line.mark and not line.error)


def _words_of_drop(line: CountLine, stocks: Mapping[uuid.UUID, Stock]) -> str:
    """Say so if most of what there was would be gone: a digit was lost, perhaps, or a box.

    Changes of one product add up: what there was is its total before the first of them.
    """
    if line.error or not line.change or line.total_before is None or line.product_id is None:
        return ""
    before = line.total_before if line.counted_at else stocks[line.product_id].total
    after = line.total_before + line.change
    if line.change > 0 or before - after < GREAT_DROP or 2 * after >= before:
        return ""
    return f"From {before:,} to {after:,}: more than half would be gone."


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


@dataclass(frozen=True)
class _Work:
    do: Callable[[Sheet, Sequence[CountLine]], None]
    batch: int
    afterwards: Sheet.State
    # What is left to do after the last batch.
    finish: Callable[[Sheet], None] = lambda sheet: None


_WORK = {
    Sheet.State.CHECKING: _Work(_check, BATCH_TO_CHECK, Sheet.State.CHECKED, _refuse_repeated),
    Sheet.State.APPLYING: _Work(_apply, BATCH, Sheet.State.APPLIED),
    Sheet.State.REVERTING: _Work(_revert, BATCH, Sheet.State.REVERTED),
}
