"""Numbering what has committed: the outbox becomes the feed, one position after the other.

One transaction at a time does it, whoever runs it, under a lock of the database. So whoever has
read the feed up to a position has read all there will ever be up to it. A number that each writer
drew for himself would not do: the one that commits last may have drawn the lowest, and whoever has
read past that never sees it.

What is told of a thing is what it is when it is numbered. So of one thing no event is older than
the one before it, though it may be newer than its type says.
"""

import json
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import structlog
from django.db import DatabaseError, connection, transaction

from api import news
from api.ids import uuid7
from events.services import kinds
from events.services.kinds import Document, Range, Told

log = structlog.get_logger(__name__)

# How many rows are numbered together, and beyond how many entries of logs no more are taken.
ROWS, ENTRIES = 500, 2_000
# How often it looks, though nobody has said that there is news.
LOOK_SECONDS = 1.0
# How long it lets changes gather while one follows the other: a batch's statements are paid once,
# and a thing that changes several times in this time is rendered once.
GATHERED_SECONDS = 0.1
_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
# Anything that nobody else takes.
_LOCK = int.from_bytes(b"feed", "big")
STOCK = "stock"

# A plan that was made while the outbox was empty is kept until it is vacuumed again, and would read
# all that was numbered since: by the index that takes no time.
_BEGIN = "SELECT pg_try_advisory_xact_lock(%s), set_config('enable_seqscan', 'off', true)"
_READ = """
SELECT ordinal, xid::text, occurred_at, kind, subject, changes, stocks::text[], firsts, lasts
FROM events_outbox
"""
_OLDEST = f"{_READ} WHERE ordinal > %s ORDER BY ordinal LIMIT %s"
# What else the same transactions wrote.
_THEIRS = f"{_READ} WHERE ordinal > %s AND xid = ANY(%s::xid8[]) ORDER BY ordinal"
# What others did before them to the same things. Stock, whose rows name no thing, is one of these.
_EARLIER = (
    f"{_READ} WHERE ordinal > %s AND ordinal < %s AND xid <> ALL(%s::xid8[]) "
    "AND kind || ' ' || subject = ANY(%s)"
)

_RUNNING = """
SELECT pg_snapshot_xmin(now)::text::bigint, pg_snapshot_xmax(now)::text::bigint
FROM pg_current_snapshot() AS now
"""

_TOLD = "SELECT stock_id::text, last FROM events_toldstock WHERE stock_id = ANY(%s::uuid[])"
_KEEP_TOLD = """
INSERT INTO events_toldstock AS told (stock_id, first, last)
SELECT * FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[])
ON CONFLICT (stock_id) DO UPDATE SET last = excluded.last
"""
_WRITE = """
COPY events_event (position, id, type, kind, subject, sequence, occurred_at, payload) FROM STDIN
"""


class Row(NamedTuple):
    """A row of the outbox."""

    ordinal: int
    transaction: str
    occurred_at: datetime
    kind: str
    subject: str
    changes: list[str]
    stocks: list[str] | None
    firsts: list[int] | None
    lasts: list[int] | None

    @property
    def entries(self) -> int:
        return sum(map(int.__sub__, self.lasts or (), self.firsts or ())) + len(self.stocks or ())


class Floor:
    """Up to which ordinal nothing waits any more, nor ever will: no need to look there.

    While somebody reads in an old snapshot, such as a dump or an audit, PostgreSQL keeps all rows
    that were deleted since, and whoever looks for the oldest one goes through them, at every look.

    Whoever writes a row has a transaction's number before he draws the row's. So once all have
    ended who had one when the row was seen, nobody has a lower ordinal who could still commit.
    """

    # How often it rises, and how often it is forgotten, lest something be left below it that came
    # in some other way: from a backup, or by hand.
    RISES_SECONDS, FORGOTTEN_SECONDS = 1.0, 10.0

    def __init__(self) -> None:
        self._forget(time.monotonic())

    def _forget(self, now: float) -> None:
        self.ordinal = self._seen = 0
        # What it may rise to, and the first transaction that was not there yet when that was seen.
        self._next: tuple[int, int] | None = None
        self._rises_at = now + self.RISES_SECONDS
        self._forgotten_at = now + self.FORGOTTEN_SECONDS

    def look(self, cursor: Any) -> bool:
        """Before the rows are read: return whether it may rise to what was seen by then."""
        now = time.monotonic()
        if now >= self._forgotten_at:
            self._forget(now)
        if now < self._rises_at:
            return False
        self._rises_at = now + self.RISES_SECONDS
        cursor.execute(_RUNNING)
        oldest, first_to_come = cursor.fetchone()
        if self._next is None:
            self._next = self._seen, first_to_come
        return bool(oldest >= self._next[1])

    def has_read(self, rows: "Sequence[Row]", *, may_rise: bool) -> None:
        """After that: rise to below the oldest of these, as high as it may."""
        if may_rise and self._next:
            highest, _ = self._next
            self.ordinal = min(highest, rows[0].ordinal - 1) if rows else highest
            self._next = None
        if rows:
            self._seen = max(self._seen, rows[-1].ordinal)


def run(stop: threading.Event) -> None:
    """Number whatever commits, as soon as it does, until told to stop. Any number may run this."""
    waiter, floor = news.Waiter(news.TOLD), Floor()
    try:
        while not stop.is_set():
            numbered = number_some(floor)
            if numbered is None:
                waiter.wait(LOOK_SECONDS, stop)
            elif numbered < ROWS:
                stop.wait(GATHERED_SECONDS)
    finally:
        waiter.close()


def number_all() -> int:
    """Number whatever has committed, and return how many events that were."""
    numbered = 0
    while (some := number_some()) is not None:
        numbered += some
    return numbered


def number_some(floor: Floor | None = None) -> int | None:
    """Number the oldest of what has committed; None if there is none, or another is at it."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_BEGIN, [_LOCK])
        [has_lock, _] = cursor.fetchone()
        if not has_lock:
            return None
        rows = _taken(cursor, floor or Floor())
        if not rows:
            return None
        told = _told(cursor, rows)
        _write(cursor, told)
        cursor.execute(
            "DELETE FROM events_outbox WHERE ordinal = ANY(%s)", [[row.ordinal for row in rows]]
        )
        # Whoever delivers need not wait until he looks again.
        cursor.execute(f"NOTIFY {news.NUMBERED}")
    return len(told)


def _taken(cursor: Any, floor: Floor) -> list[Row]:
    """Read the oldest rows, and with each all that its transaction wrote: it is told together.

    What stands between them of others' changes to the same things is told with it, in its order.
    """
    may_rise = floor.look(cursor)
    cursor.execute(_OLDEST, [floor.ordinal, ROWS])
    rows: list[Row] = []
    entries = 0
    found = [Row(*row) for row in cursor.fetchall()]
    floor.has_read(found, may_rise=may_rise)
    for row in found:
        if entries >= ENTRIES:
            break
        rows.append(row)
        entries += row.entries
    if len(rows) == ROWS or len(rows) < len(found):
        transactions = list({row.transaction for row in rows})
        end = rows[-1].ordinal
        cursor.execute(_THEIRS, [end, transactions])
        if theirs := [Row(*row) for row in cursor.fetchall()]:
            things = list({f"{row.kind} {row.subject}" for row in theirs})
            cursor.execute(_EARLIER, [end, theirs[-1].ordinal, transactions, things])
            rows += sorted(theirs + [Row(*row) for row in cursor.fetchall()])
    return rows


def _told(cursor: Any, rows: Sequence[Row]) -> list[Told]:
    """Make events of the rows, in the order of their ordinals.

    What one transaction did to one thing is told where it did it first.
    """
    things = _things(rows)
    documents = {kind: _rendered(kind, ids) for kind, ids in _ids_by_kind(things.values()).items()}
    ranges = _ranges(cursor, rows)
    entries = kinds.entries(list(ranges.values())) if ranges else {}
    told: list[Told] = []
    for row in rows:
        if row.kind == STOCK:
            for stock in row.stocks or ():
                told.extend(entries.get(ranges.pop((row.transaction, stock), _NONE), ()))
        elif thing := things.pop((row.transaction, row.kind, row.subject), None):
            gone = kinds.gone(row.kind, row.subject)
            document = documents.get(row.kind, {}).get(row.subject, gone)
            for change in kinds.happened(row.kind, thing.changes):
                # It may have been made anew since.
                payload = gone if change == "deleted" else document
                told.append(Told(row.kind, change, row.subject, row.occurred_at, payload))
    return told


def _rendered(kind: str, ids: Collection[str]) -> Mapping[str, Document]:
    """Render all of them, or all but those at which it fails: one fault must not end the feed."""
    try:
        return kinds.documents(kind, ids)
    except DatabaseError:
        raise
    except Exception:
        log.exception("not_rendered", kind=kind, ids=sorted(ids)[:10])
        if len(ids) == 1:
            return {}
        return {one: found for each in ids for one, found in _rendered(kind, {each}).items()}


@dataclass
class _Thing:
    """What one transaction did to one thing."""

    kind: str
    subject: str
    changes: set[str]


def _things(rows: Sequence[Row]) -> dict[tuple[str, str, str], _Thing]:
    things: dict[tuple[str, str, str], _Thing] = {}
    for row in rows:
        if row.kind != STOCK:
            key = (row.transaction, row.kind, row.subject)
            thing = things.setdefault(key, _Thing(row.kind, row.subject, set()))
            thing.changes.update(row.changes)
    return things


def _ids_by_kind(things: Iterable[_Thing]) -> dict[str, set[str]]:
    ids: dict[str, set[str]] = {}
    for thing in things:
        if "deleted" not in thing.changes:
            ids.setdefault(thing.kind, set()).add(thing.subject)
    return ids


_NONE = Range("", 0, 0)


def _ranges(cursor: Any, rows: Sequence[Row]) -> dict[tuple[str, str], Range]:
    """Join what each transaction wrote into each stock's log, and keep that it is told.

    The triggers leave no gap and no overlap. Where there is one all the same, because somebody took
    a trigger away for a while or emptied the outbox, what is missing is told now, and what was told
    already is not told again.
    """
    found: dict[tuple[str, str], Range] = {}
    for row in rows:
        for stock, first, last in zip(
            row.stocks or (), row.firsts or (), row.lasts or (), strict=True
        ):
            key = (row.transaction, stock)
            before = found.get(key)
            found[key] = Range(stock, before.first if before else first, last)
    if not found:
        return {}
    cursor.execute(_TOLD, [[stock for _, stock in found]])
    until: dict[str, int] = dict(cursor.fetchall())
    firsts: dict[str, int] = {}
    ranges: dict[tuple[str, str], Range] = {}
    for key, each in found.items():
        # Where nothing is said of a stock, nothing of its log was told.
        first = until.get(each.stock, 0) + 1
        if first != each.first:
            log.error("log_not_told_in_a_row", stock=each.stock, told=first - 1, now=each.first)
        if first <= each.last:
            ranges[key] = Range(each.stock, first, each.last)
            firsts.setdefault(each.stock, first)
            until[each.stock] = each.last
    columns = [(stock, first, until[stock]) for stock, first in sorted(firsts.items())]
    if columns:
        cursor.execute(_KEEP_TOLD, [list(column) for column in zip(*columns, strict=True)])
    return ranges


def _write(cursor: Any, told: Sequence[Told]) -> None:
    if not told:
        return
    cursor.execute("SELECT coalesce(max(position), 0) FROM events_event")
    [last] = cursor.fetchone()
    with cursor.copy(_WRITE) as copy:
        for position, (event, payload) in enumerate(_written(told), last + 1):
            copy.write_row(
                (
                    position,
                    uuid7(),
                    event.type,
                    event.kind,
                    event.subject,
                    event.sequence,
                    event.occurred_at,
                    payload,
                )
            )


def _written(told: Iterable[Told]) -> Iterator[tuple[Told, str]]:
    """Write each document once, however many events have it."""
    texts: dict[int, str] = {}
    for event in told:
        key = id(event.payload)
        if key not in texts:
            texts[key] = _json(event.payload)
        yield event, texts[key]


class Waiting(NamedTuple):
    """What has committed and is not numbered yet: how many rows, and for how many seconds."""

    rows: int
    seconds: float


_WAITING = """
SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(occurred_at)), 0)::float
FROM (SELECT occurred_at FROM events_outbox ORDER BY ordinal LIMIT %s) AS waiting
"""


def waiting(at_most: int = 10_000) -> Waiting:
    """Look how far the feed is behind. No more than `at_most` rows are counted."""
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, [at_most])
        return Waiting(*cursor.fetchone())


def forget_of_this_transaction() -> None:
    """Leave untold what this transaction has written, for whoever makes a shop's past by the row.

    The logs of its stocks are told from here on.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO events_toldstock (stock_id, first, last) "
            "SELECT stock_id, max(last) + 1, max(last) FROM events_outbox, "
            "unnest(stocks, lasts) AS entry (stock_id, last) "
            "WHERE xid = pg_current_xact_id() AND kind = 'stock' GROUP BY stock_id "
            "ON CONFLICT (stock_id) DO UPDATE SET first = excluded.first, last = excluded.last"
        )
        cursor.execute("DELETE FROM events_outbox WHERE xid = pg_current_xact_id()")
