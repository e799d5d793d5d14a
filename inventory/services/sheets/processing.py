"""The road of every sheet: jobs check it first, then apply it, and perhaps revert it, in batches.

A batch is a transaction: it locks the sheet, then what its lines change, writes both, and notes how
far the sheet has come. So a job may die anywhere, run twice, or in parallel with another: the next
batch begins where the last one that was committed has ended. Batches are small, because a purchase
of one of their products waits until the batch is through.
"""

import hashlib
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import connection, transaction
from django.db.models import Q
from procrastinate.contrib.django import app

from api import clock
from api.actors import Actor
from api.errors import Busy, Standing, require_as_seen
from api.idempotency import Key, claim
from api.transactions import Stale, assert_in_transaction, in_transaction
from config import outages
from inventory.errors import ColumnsUnclear, SheetForbidden, SheetNotReady, SheetUnreadable
from inventory.models import Sheet, SheetContent
from inventory.services.sheets import columns as columns_of_sheets
from inventory.services.sheets import reading, tables
from inventory.services.sheets.columns import Doubt
from inventory.services.sheets.kinds import Kind
from inventory.services.sheets.registry import KINDS

log = structlog.get_logger(__name__)

JOB = "inventory.jobs.work_on_sheet"
# Lines whose stock is locked together: a purchase waits for some tens of milliseconds at most.
BATCH = 200
# Checking locks nothing, so these batches are larger.
BATCH_TO_CHECK = 2_000
# So many lines are checked and applied while somebody waits for the answer.
AT_ONCE = BATCH
# After this long the next job of the queue has its turn, and a worker can stop if told to.
SECONDS_A_JOB = 2.0
# A file that should be worked on and has been left alone for this long has lost its job.
LEFT_ALONE = timedelta(seconds=60)
# And one at which jobs fail is tried again after that.
TRIED_ANYWAY = timedelta(days=1)
# What is neither applied nor discarded is forgotten after this long.
KEPT_WAITING = timedelta(days=90)
# A worker that is silent for longer while it reads a file is taken for dead.
_READING_MAX = timedelta(minutes=10)
# How many files may wait to be applied, each with all its lines.
WAITING_MAX = 50
# The position from which reverting goes backwards through a file.
_END = 2**31 - 1

# What people ask for.


def upload(
    name: str,
    content: bytes,
    *,
    actor: Actor,
    may: Collection[Sheet.Kind] = tuple(Sheet.Kind),
    hidden: Collection[str] = (),
) -> tuple[Sheet, bool]:
    """Store a file, and have it read and checked; return it, and whether it is new.

    The same bytes again are the file that was uploaded before, and nothing happens, unless that
    file was reverted. A small file is read at once. `may` are the kinds that the person may apply:
    a file that turns out to be another one is refused, if it is read at once, or left to others.
    So is one with a column that is `hidden` from the person.
    Raises: SheetUnreadable, SheetForbidden.
    """
    return _store(name, content, actor, may, hidden)


@in_transaction
def _store(
    name: str,
    content: bytes,
    actor: Actor,
    may: Collection[Sheet.Kind],
    hidden: Collection[str],
) -> tuple[Sheet, bool]:
    tables.require_at_most(len(content))
    # Which kind it is, its columns will tell.
    sheet = _new(name, actor, kind=Sheet.Kind.COUNTS, state=Sheet.State.READING)
    sheet.sha256 = hashlib.sha256(content).hexdigest()
    if known := _store_once(sheet):
        return known, False
    if reading.is_small(content):
        reading.read(sheet, content, KINDS)
        # Where somebody is asked what the columns are, they can leave one out.
        is_settled = sheet.state == Sheet.State.CHECKING
        _require_allowed(sheet.kind, sheet.columns if is_settled else (), may, hidden)
        sheet.save()
    else:
        reading.require_table(content, KINDS)
        SheetContent.objects.create(sheet=sheet, content=content)
    if sheet.is_under_way:
        go_on(sheet.pk)
    return sheet, True


def _require_allowed(
    kind: str, columns: Collection[str], may: Collection[Sheet.Kind], hidden: Collection[str]
) -> None:
    if kind not in may:
        raise SheetForbidden(kind)
    if column := next((each for each in columns if each in hidden), ""):
        raise SheetForbidden(kind, column=column)


def _new(name: str, actor: Actor, *, kind: Sheet.Kind, **fields: Any) -> Sheet:
    now = clock.now()
    sheet = Sheet(
        name=name[:200],
        kind=kind,
        lines_total=0,
        uploaded_by=actor.name,
        created_at=now,
        **fields,
    )
    _note(sheet, actor, now)
    return sheet


def _store_once(sheet: Sheet) -> Sheet | None:
    """Insert a sheet, unless there is one of the same contents: then return that one."""
    # This waits for a parallel upload of the same file.
    Sheet.objects.bulk_create([sheet], ignore_conflicts=True)
    if sheet.sha256:
        in_force = Sheet.objects.exclude(state=Sheet.State.REVERTED)
        current = in_force.filter(sha256=sheet.sha256).first()
        if current is None:
            # The same file was there a moment ago, and has been reverted since.
            raise Stale
        if current.pk != sheet.pk:
            return current
    if Sheet.objects.filter(state__in=Sheet.WAITING).count() > WAITING_MAX:
        raise SheetUnreadable(
            f"{WAITING_MAX} files wait to be applied. Apply or discard some of them first."
        )
    return None


def make(name: str, kind: Sheet.Kind, source: Sheet.Source, *, actor: Actor) -> Sheet:
    """Make a sheet that comes from no file, in the open transaction.

    The caller writes its lines, with all that they say, and then has it checked.
    Raises: SheetUnreadable, if too many wait.
    """
    assert_in_transaction()
    sheet = _new(name, actor, kind=kind, source=source)
    _store_once(sheet)
    return sheet


def have_checked(sheet: Sheet, *, lines: int) -> None:
    """Have a sheet checked whose lines are written: so many. See `hurry`."""
    sheet.lines_total = lines
    sheet.save(update_fields=["lines_total"])
    go_on(sheet.pk)


@in_transaction
def choose_columns(
    sheet_id: uuid.UUID,
    columns: Sequence[str],
    *,
    day_first: bool | None,
    decimal_comma: bool | None,
    actor: Actor,
    may: Collection[Sheet.Kind] = tuple(Sheet.Kind),
    hidden: Collection[str] = (),
    seen: Standing | None = None,
    key: Key | None = None,
) -> None:
    """Say what the columns of a file are, and have it checked. It is remembered for its like.

    What nobody has said of dates and numbers, the other cells say, or an earlier file.
    Raises: ColumnsUnclear, SheetForbidden, SheetNotReady, Moved.
    """
    claim(key, sheet_id)
    sheet = _lock(sheet_id)
    sheet.require(Sheet.State.MAPPING)
    require_as_seen(seen, sheet.standing)
    if len(columns) != len(sheet.header):
        raise ColumnsUnclear("Say of each column what it is.")
    kind = columns_of_sheets.kind_of(columns, KINDS)
    _require_allowed(kind, columns, may, hidden)
    doubts = columns_of_sheets.doubts(sheet, columns, KINDS)
    sheet.day_first = _answer(doubts.day_first, day_first)
    sheet.decimal_comma = _answer(doubts.decimal_comma, decimal_comma)
    reading.move_rows(sheet, kind)
    sheet.kind, sheet.columns = kind, list(columns)
    columns_of_sheets.remember(sheet)
    _begin(sheet, Sheet.State.CHECKING, actor)


def _answer(doubt: Doubt, said: bool | None) -> bool | None:
    if not doubt.cells:
        return None
    if said is None:
        said = doubt.answer
    if said is None:
        raise ColumnsUnclear(f"Say how this is meant: {', '.join(doubt.cells)}.")
    return said


@in_transaction
def change_columns(
    sheet_id: uuid.UUID, *, actor: Actor, seen: Standing | None = None, key: Key | None = None
) -> None:
    """Take back what was said of a checked file's columns. Raises: SheetNotReady, Moved."""
    claim(key, sheet_id)
    sheet = _lock(sheet_id)
    sheet.require(Sheet.State.CHECKED)
    if not sheet.header:
        raise SheetNotReady("It was not made from a file: it has no columns.")
    require_as_seen(seen, sheet.standing)
    sheet.begin(Sheet.State.MAPPING)
    _note(sheet, actor, clock.now())
    sheet.save()


@in_transaction
def try_again(
    sheet_id: uuid.UUID, *, actor: Actor, seen: Standing | None = None, key: Key | None = None
) -> Sheet:
    """Make a sheet of the lines of an applied one that were refused; once, while it is in force.

    Raises: SheetNotReady, SheetUnreadable, Moved.
    """
    claim(key, sheet_id)
    refused = _lock(sheet_id)
    refused.require(Sheet.State.APPLIED)
    if not refused.may_try_again:
        raise SheetNotReady("No line of it was refused.")
    require_as_seen(seen, refused.standing)
    sheet = _new(f"Again: {refused.name}", actor, kind=Sheet.Kind(refused.kind))
    for name in _CARRIED_OVER:
        setattr(sheet, name, getattr(refused, name))
    sheet.speaks_of = refused.as_of
    sheet.sha256 = hashlib.sha256(f"refused lines of {refused.pk}".encode()).hexdigest()
    if known := _store_once(sheet):
        return known
    sheet.lines_total = _copy_refused(refused, sheet)
    sheet.save()
    go_on(sheet.pk)
    return sheet


_CARRIED_OVER = (*("source", "header", "columns", "delimiter", "day_first", "decimal_comma"),)


def _copy_refused(refused: Sheet, sheet: Sheet) -> int:
    fields = ", ".join(("number", "cells", *KINDS[Sheet.Kind(sheet.kind)].wanted))
    table = refused.lines.model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (sheet_id, {fields}) "  # noqa: S608
            f"SELECT %s, {fields} FROM {table} "
            "WHERE sheet_id = %s AND error <> '' AND NOT left_out",
            [sheet.pk, refused.pk],
        )
        return int(cursor.rowcount)


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
    # Until now somebody could have said that another column is the one to read.
    left_out = sheet.rows.filter(left_out=True)
    left_out._raw_delete(left_out.db)
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
    """Delete a file that was not applied. Raises: SheetNotReady, Moved."""
    claim(key, sheet_id)
    sheet = _lock(sheet_id)
    sheet.require(Sheet.State.CHECKED, Sheet.State.MAPPING, Sheet.State.UNREADABLE)
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


def hurry(sheet_id: uuid.UUID) -> None:
    """Do at once what is left to do on a small sheet, rather than wait for its job.

    It is the same work: whatever is not done here, its job does. Outside of any transaction.
    """
    sheet = Sheet.objects.filter(pk=sheet_id).first()
    if sheet is None or sheet.state == Sheet.State.READING or sheet.lines_total > AT_ONCE:
        return
    try:
        while take_a_batch(sheet_id):
            pass
    except Busy:
        return


def work_on(sheet_id: uuid.UUID) -> None:
    """Work on a file for some seconds, and leave what remains to the next job."""
    until = time.monotonic() + SECONDS_A_JOB
    try:
        while take_a_batch(sheet_id):
            if time.monotonic() > until:
                go_on(sheet_id)
                return
    except Exception as error:
        # The one is over in a moment, the other is no fault of the file.
        if not isinstance(error, Busy) and not outages.is_away(error):
            _note_failure(sheet_id)
        raise


@in_transaction
def _note_failure(sheet_id: uuid.UUID) -> None:
    sheet = Sheet.objects.lock(sheet_id)
    if sheet is None or not sheet.is_under_way:
        return
    sheet.failures += 1
    sheet.updated_at = clock.now()
    sheet.save(update_fields=["failures", "updated_at"])
    if sheet.failures == Sheet.FAILURES_MAX:
        log.error("sheet_stands_still", sheet=str(sheet_id), failures=sheet.failures)


def purge() -> int:
    """Delete what nobody has applied for very long; return how many sheets there were."""
    before = clock.now() - KEPT_WAITING
    stale = Sheet.objects.filter(state__in=_NEVER_APPLIED, updated_at__lt=before)
    return sum(_forget(sheet_id, before) for sheet_id in stale.values_list("pk", flat=True))


@in_transaction
def _forget(sheet_id: uuid.UUID, before: datetime) -> bool:
    sheet = Sheet.objects.lock(sheet_id)
    if sheet is None or sheet.state not in _NEVER_APPLIED or sheet.updated_at >= before:
        return False
    sheet.delete()
    return True


_NEVER_APPLIED = (Sheet.State.UNREADABLE, Sheet.State.MAPPING, Sheet.State.CHECKED)


def take_up_again() -> int:
    """Find the files whose job was lost, in whatever way, and give each another job.

    One at which jobs fail again and again is left alone, but for once a day: a new release may have
    mended what they fail of.
    """
    now = clock.now()
    lost = Q(updated_at__lt=now - LEFT_ALONE, failures__lt=Sheet.FAILURES_MAX)
    left_alone = Sheet.objects.under_way().filter(lost | Q(updated_at__lt=now - TRIED_ANYWAY))
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
    if sheet.state == Sheet.State.READING:
        return _read(sheet)
    kind, work = KINDS[Sheet.Kind(sheet.kind)], _WORK[Sheet.State(sheet.state)]
    lines = sheet.next_lines(work.batch)
    if lines:
        work.do(kind, sheet, lines)
        type(lines[0]).write(lines)
        sheet.position = lines[-1].number
        sheet.lines_done += len(lines)
    has_more = bool(lines) and sheet.lines_done < sheet.lines_total
    if not has_more:
        if sheet.state == Sheet.State.CHECKING:
            sheet.lines_total -= sheet.left_out
        work.finish(kind, sheet)
        # Lines that could not be reverted stay applied, and can be tried again.
        sheet.state = Sheet.State.APPLIED if sheet.not_reverted else work.afterwards
    sheet.updated_at, sheet.failures = clock.now(), 0
    sheet.save()
    return has_more


def _read(sheet: Sheet) -> bool:
    """Read a file that was too large for the request. If a job dies meanwhile, another begins."""
    _allow_idling(_READING_MAX)
    try:
        with transaction.atomic():
            reading.read(sheet, reading.content_of(sheet), KINDS)
    except SheetUnreadable as refusal:
        sheet.state, sheet.note = Sheet.State.UNREADABLE, str(refusal)[:500]
        sheet.lines_total = 0
    reading.forget_content(sheet)
    sheet.updated_at = clock.now()
    sheet.save()
    return sheet.is_under_way


def _allow_idling(period: timedelta) -> None:
    """Have PostgreSQL wait for this transaction: a large workbook takes long to its first row."""
    with connection.cursor() as cursor:
        idling = f"{period.total_seconds():.0f}s"
        cursor.execute(
            "SELECT set_config('idle_in_transaction_session_timeout', %s, true)", [idling]
        )


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
