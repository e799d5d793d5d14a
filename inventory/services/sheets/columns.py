"""What the columns of a file are: by their names, by what was said of such a file, or by a person.

A name counts as known if it is the column's own. Where other programs call it otherwise, that is
proposed, and asked about once.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from api import clock
from inventory.errors import ColumnsUnclear
from inventory.models import Sheet, SheetLayout
from inventory.services.sheets.kinds import Kind, Kinds, normalised

# Of the files of which something was said, so many are remembered.
LAYOUTS_MAX = 1_000
# Of the rows, so many show what a column holds.
SAMPLES = 3
SAMPLE_LENGTH = 60
# What a file of refused lines has: why they were. It is not read again.
WHY_REFUSED = "why refused"
WHY_REFUSED_NAME = normalised(WHY_REFUSED)
# And, before that, when they were counted, if the file did not say it.
WITH_REFUSED_COUNTS = "counted_at"
_NEVER_READ = frozenset({"", WHY_REFUSED_NAME})


def names_known(kinds: Kinds) -> frozenset[str]:
    """Return all names that columns of files may have, as `normalised` writes them."""
    return frozenset(
        normalised(name)
        for kind in kinds.values()
        for column in kind.columns()
        for name in (column.name, *column.other_names)
    ).union(*(kind.not_read for kind in kinds.values()))


@dataclass(frozen=True)
class Guess:
    """What the columns may be; sure, if there is nothing to ask about them."""

    kind: Sheet.Kind
    columns: list[str]
    is_sure: bool


def guess(header: Sequence[str], kinds: Kinds) -> Guess:
    """Say what a file with such a first row is likely to be."""
    if layout := _remembered(header):
        try:
            return Guess(kind_of(layout.columns, kinds), layout.columns, is_sure=True)
        except ColumnsUnclear:
            # A currency is gone, perhaps.
            pass
    names = [normalised(name) for name in header]
    guesses = [_guessed(code, kind, names) for code, kind in kinds.items()]
    # The first of the best: kinds stand in the order in which they are to be thought of.
    return max(guesses, key=lambda each: each[0])[1]


def _guessed(
    code: Sheet.Kind, kind: Kind[Any], names: Sequence[str]
) -> tuple[tuple[bool, bool, int, int], Guess]:
    """Return a guess with how good it is."""
    own = {normalised(column.name): column.name for column in kind.columns()}
    others = {
        normalised(other): column.name for column in kind.columns() for other in column.other_names
    }
    columns: list[str] = []
    exact = 0
    for name in names:
        column = own.get(name, "")
        exact += bool(column) and column not in columns
        columns.append("" if column in columns else column)
    for place, name in enumerate(names):
        other = others.get(name, "")
        if not columns[place] and other not in columns:
            columns[place] = other
    not_read = {*_NEVER_READ, *kind.not_read}
    is_known = all(
        name in not_read or (column and name in own)
        for name, column in zip(names, columns, strict=True)
    )
    is_whole = not _missing(columns, kind)
    found = sum(map(bool, columns))
    return (is_whole and is_known, is_whole, exact, found), Guess(
        code, columns, is_sure=is_whole and is_known
    )


def kind_of(columns: Sequence[str], kinds: Kinds) -> Sheet.Kind:
    """Return the kind of a sheet with such columns. Raises: ColumnsUnclear."""
    chosen = [name for name in columns if name]
    labels = {column.name: column.label for each in kinds.values() for column in each.columns()}
    if unknown := [name for name in chosen if name not in labels]:
        raise ColumnsUnclear(f"There is no such column any more: {', '.join(unknown)[:200]}.")
    if twice := sorted({name for name in chosen if chosen.count(name) > 1}):
        raise ColumnsUnclear(
            f"Only one column can be: {', '.join(labels[each] for each in twice)}."
        )
    complaints = []
    for code, kind in kinds.items():
        names = {column.name for column in kind.columns()}
        beyond = [labels[name] for name in chosen if name not in names]
        missing = _missing(chosen, kind)
        if not beyond and not missing:
            return code
        complaints.append((len(beyond), len(missing), beyond, missing, code))
    *_, beyond, missing, code = min(complaints, key=lambda each: each[:2])
    if missing:
        raise ColumnsUnclear(f"Say which column is: {'; and which: '.join(missing)}.")
    raise ColumnsUnclear(
        f"A file of {code} does not say this too: {', '.join(beyond)}. Leave it unread, and send "
        "another file for it."
    )


def _missing(columns: Iterable[str], kind: Kind[Any]) -> list[str]:
    """Say what a file of this kind must have, and these columns have not."""
    there = {*columns}
    known = {column.name: column for column in kind.columns()}
    missing = [
        column.label for column in known.values() if column.required and column.name not in there
    ]
    if not there.intersection(kind.named_by):
        missing.insert(0, " or ".join(known[name].label for name in kind.named_by))
    if not missing and len(there - {""}) < _COLUMNS_MIN:
        missing.append("what there is to say of the product")
    return missing


# One names the product, and one says something of it.
_COLUMNS_MIN = 2


# What was said before.


def remember(sheet: Sheet) -> None:
    """Take the columns of this file for those of every file with such a first row."""
    said = {
        "columns": sheet.columns,
        "day_first": sheet.day_first,
        "decimal_comma": sheet.decimal_comma,
        "used_at": clock.now(),
    }
    SheetLayout.objects.bulk_create(
        [SheetLayout(pk=_hash(sheet.header), **said)],
        update_conflicts=True,
        unique_fields=["header_sha256"],
        update_fields=list(said),
    )
    latest = SheetLayout.objects.order_by("-used_at").values("pk")[:LAYOUTS_MAX]
    SheetLayout.objects.exclude(pk__in=latest).delete()


def _remembered(header: Sequence[str]) -> SheetLayout | None:
    """Return what was said of such a file, or of the one whose refused lines this one has."""
    names = [normalised(name) for name in header]
    beside = [WHY_REFUSED_NAME] if names[-1:] == [WHY_REFUSED_NAME] else []
    if beside and names[-2:-1] == [WITH_REFUSED_COUNTS]:
        beside = names[-2:]
    own = SheetLayout.objects.filter(pk=_hash(header)).first()
    if own or not beside:
        return own
    layout = SheetLayout.objects.filter(pk=_hash(header[: -len(beside)])).first()
    if layout:
        layout.columns += ["" if name == WHY_REFUSED_NAME else name for name in beside]
    return layout


def _hash(header: Sequence[str]) -> str:
    written = json.dumps([normalised(name) for name in header])
    return hashlib.sha256(written.encode()).hexdigest()


# How dates and numbers are meant.


@dataclass(frozen=True)
class Doubt:
    """Cells that can be read in two ways, and what is known of how they are meant."""

    cells: list[str]
    # What other cells of these columns tell, or what was said of such a file before.
    answer: bool | None

    @property
    def is_open(self) -> bool:
        return bool(self.cells) and self.answer is None


@dataclass(frozen=True)
class Doubts:
    day_first: Doubt
    decimal_comma: Doubt

    @property
    def are_open(self) -> bool:
        return self.day_first.is_open or self.decimal_comma.is_open


@dataclass(frozen=True)
class _Signs:
    """Patterns of cells that tell how all are meant, and of those that do not."""

    yes: str
    no: str
    open: str


# 13/4/2026 or 4/13/2026, and 3/4/2026. After a dotted date nobody asks: 3.4.2026 is in April.
_DAYS = _Signs(
    r"^\s*(1[3-9]|2[0-9]|3[01])[/-][0-9]{1,2}[/-][0-9]{4}",
    r"^\s*[0-9]{1,2}[/-](1[3-9]|2[0-9]|3[01])[/-][0-9]{4}",
    r"^\s*(0?[1-9]|1[0-2])[/-](0?[1-9]|1[0-2])[/-][0-9]{4}",
)
# 12,50 or 12.50, and 1.234 or 1,234.
_COMMAS = _Signs(
    r"^[^0-9]*([0-9]+,([0-9]{1,2}|[0-9]{4,})|0,[0-9]+"
    r"|[0-9]{1,3}(\.[0-9]{3})+,[0-9]+|[0-9]{1,3}(\.[0-9]{3}){2,})[^0-9]*$",
    r"^[^0-9]*([0-9]+\.([0-9]{1,2}|[0-9]{4,})|0\.[0-9]+"
    r"|[0-9]{1,3}(,[0-9]{2,3})+\.[0-9]+|[0-9]{1,3}(,[0-9]{2,3})+,[0-9]{3})[^0-9]*$",
    r"^[^0-9]*[1-9][0-9]{0,2}[.,][0-9]{3}[^0-9]*$",
)


def doubts(sheet: Sheet, columns: Sequence[str], kinds: Kinds) -> Doubts:
    """Look through a sheet's rows for what could be read in two ways in these columns."""
    layout = _remembered(sheet.header)
    held = {column.name: column.holds for kind in kinds.values() for column in kind.columns()}

    def doubt(holds: Sequence[str], signs: _Signs, said: bool | None) -> Doubt:
        places = [place for place, name in enumerate(columns, 1) if held.get(name) in holds]
        cells = _open_cells(sheet, places, signs)
        answer = _told_by_others(sheet, places, signs) if cells else None
        return Doubt(cells, said if answer is None else answer)

    return Doubts(
        doubt(["moment"], _DAYS, layout.day_first if layout else None),
        doubt(["whole number", "money"], _COMMAS, layout.decimal_comma if layout else None),
    )


def _open_cells(sheet: Sheet, places: list[int], signs: _Signs) -> list[str]:
    if not places:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_look_through(sheet, _OPEN), [places, sheet.pk, signs.open, SAMPLES])
        return [cell.strip()[:SAMPLE_LENGTH] for (cell,) in cursor]


def _told_by_others(sheet: Sheet, places: list[int], signs: _Signs) -> bool | None:
    with connection.cursor() as cursor:
        cursor.execute(_look_through(sheet, _TOLD), [signs.yes, signs.no, places, sheet.pk])
        yes, no = cursor.fetchone()
    return None if bool(yes) == bool(no) else bool(yes)


def _look_through(sheet: Sheet, statement: str) -> str:
    return statement.format(lines=sheet.rows.model._meta.db_table)


_OPEN = """
SELECT cell FROM {lines} AS line, unnest(%s::int[]) AS place,
    LATERAL (SELECT line.cells[place]) AS of_line (cell)
WHERE line.sheet_id = %s AND cell ~ %s LIMIT %s
"""
_TOLD = """
SELECT bool_or(cell ~ %s), bool_or(cell ~ %s) FROM {lines} AS line, unnest(%s::int[]) AS place,
    LATERAL (SELECT line.cells[place]) AS of_line (cell)
WHERE line.sheet_id = %s
"""


def samples(sheet: Sheet) -> list[list[str]]:
    """Return, for each column, what its first rows say in it."""
    found: list[list[str]] = [[] for _ in sheet.header]
    rows = sheet.rows.order_by("number").values_list("cells", flat=True)[: 20 * SAMPLES]
    for row in rows:
        for column, cell in zip(found, row, strict=False):
            if cell.strip() and len(column) < SAMPLES:
                column.append(cell.strip()[:SAMPLE_LENGTH])
    return found
