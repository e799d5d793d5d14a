"""The road of every sheet: jobs check it first, then apply it, and perhaps revert it, in batches.

A batch is a transaction: it locks the sheet, then what its lines change, writes both, and notes how
far the sheet has come. So a job may die anywhere, run twice, or in parallel with another: the next
batch begins where the last one that was committed has ended. Batches are small, because a purchase
of one of their products waits until the batch is through.
"""

import hashlib
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.db import connection
from procrastinate.contrib.django import app

from api import clock
from api.actors import Actor
from api.errors import Standing, require_as_seen
from api.idempotency import Key, claim
from api.transactions import Stale, assert_in_transaction, in_transaction
from inventory.errors import SheetNotReady, SheetUnreadable
from inventory.models import CountLine, Sheet
from inventory.services.sheets import count_csv, counts, products
from inventory.services.sheets.count_csv import Line
from inventory.services.sheets.kinds import Kind

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
# The position from which reverting goes backwards through a file.
_END = 2**31 - 1

KINDS: dict[Sheet.Kind, Kind[Any]] = {
    Sheet.Kind.COUNTS: counts.COUNTS,
    Sheet.Kind.CHANGES: counts.CHANGES,
    Sheet.Kind.PRODUCTS: products.KIND,
}


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
    _require_few_waiting()
    sheet.lines_total = _copy(sheet, table.lines)
    sheet.left_out = table.left_out
    Sheet.objects.filter(pk=sheet.pk).update(lines_total=sheet.lines_total, left_out=sheet.left_out)
    go_on(sheet.pk)
    return sheet, True


def _require_few_waiting() -> None:
    """Raises: SheetUnreadable."""
    waiting = Sheet.objects.filter(state__in=(Sheet.State.CHECKING, Sheet.State.CHECKED))
    if waiting.count() > WAITING_MAX:
        raise SheetUnreadable(
            f"{WAITING_MAX} files wait to be applied. Apply or discard some of them first."
        )


def make(name: str, kind: Sheet.Kind, source: Sheet.Source, *, actor: Actor) -> Sheet:
    """Make a sheet that comes from no file, in the open transaction.

    The caller writes its lines, with all that they say, and then has it checked.
    Raises: SheetUnreadable, if too many wait.
    """
    assert_in_transaction()
    now = clock.now()
    sheet = Sheet(
        name=name[:200],
        kind=kind,
        source=source,
        lines_total=0,
        uploaded_by=actor.name,
        created_at=now,
    )
    _note(sheet, actor, now)
    sheet.save(force_insert=True)
    _require_few_waiting()
    return sheet


def have_checked(sheet: Sheet, *, lines: int) -> None:
    """Have a sheet checked whose lines are written: so many."""
    sheet.lines_total = lines
    sheet.save(update_fields=["lines_total"])
    go_on(sheet.pk)


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
    kind, work = KINDS[Sheet.Kind(sheet.kind)], _WORK[Sheet.State(sheet.state)]
    lines = sheet.next_lines(work.batch)
    if lines:
        work.do(kind, sheet, lines)
        type(lines[0]).write(lines)
        sheet.position = lines[-1].number
        sheet.lines_done += len(lines)
    has_more = bool(lines) and sheet.lines_done < sheet.lines_total
    if not has_more:
        work.finish(kind, sheet)
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


@dataclass(frozen=True)
class _Work:
    do: Callable[[Kind[Any], Sheet, Sequence[Any]], None]
    batch: int
    afterwards: Sheet.State
    # What is left to do after the last batch.
    finish: Callable[[Kind[Any], Sheet], None] = lambda kind, sheet: None


_WORK = {
    Sheet.State.CHECKING: _Work(
        lambda kind, sheet, lines: kind.check(sheet, lines),
        BATCH_TO_CHECK,
        Sheet.State.CHECKED,
        lambda kind, sheet: kind.finish_checking(sheet),
    ),
    Sheet.State.APPLYING: _Work(
        lambda kind, sheet, lines: kind.apply(sheet, lines), BATCH, Sheet.State.APPLIED
    ),
    Sheet.State.REVERTING: _Work(
        lambda kind, sheet, lines: kind.revert(sheet, lines), BATCH, Sheet.State.REVERTED
    ),
}
