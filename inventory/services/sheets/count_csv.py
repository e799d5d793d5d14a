"""Reading a file of counts or changes: what each line says, before any product is looked for."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

from api import codes, store
from api.fields import UNITS_MAX
from api.spreadsheets import unescaped
from inventory.errors import SheetUnreadable
from inventory.models import REASON_LENGTH_MAX, Sheet

BYTES_MAX = 20_000_000
LINES_MAX = 200_000
# A spreadsheet may write rows of nothing down to its own last one. They are no lines, but each
# takes its time.
ROWS_MAX = LINES_MAX + 1_048_576
# Of one row, over however many lines its quoted cells go: what may stand in it is far shorter.
ROW_LENGTH_MAX = 10_000
COLUMNS_MAX = 50
DELIMITERS = ",;\t"
COLUMNS = ("sku", "barcode", "count", "change", "counted_at", "reason")
_CODES = ("sku", "barcode")
_SAYING = ("count", "change", "counted_at", "reason")
# Columns that the export has for people to read.
_NUMBERS = ("available", "allocated", "total")
IGNORED = ("name", *_NUMBERS)
CODE_LENGTH_MAX = 100
# No earlier moment is accepted: far earlier ones are beyond what datetimes can add and subtract.
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
# What stands before and after a comma that parts a number into groups: 1,234 and 1,234.00; in
# India 1,00,000.
_GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2}")
_GROUPS = re.compile(r"((?:[0-9]{2},)*[0-9]{3})(?:\.[0-9]*)?(?:,|\Z)")
# So many cells may hold the rest of a number that is not too large.
_REST_CELLS = 4
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]+")


class Line(NamedTuple):
    """What a line says, under the field names of CountLine; there may be very many lines."""

    number: int
    sku: str
    barcode: str
    units: int | None
    counted_at: datetime | None
    reason: str
    error: str
    mark: str


@dataclass
class CountTable:
    """A file whose first line has been read.

    The others are read while they are taken, so that they are never in memory all at once.
    """

    kind: Sheet.Kind
    # Raises SheetUnreadable on the way.
    lines: Iterator[Line] = field(init=False)
    # How many lines name a product and say nothing about it: known when all have been read.
    left_out: int = 0


def read(content: bytes, *, now: datetime) -> CountTable:
    """Read what a file is; what is wrong with a line stands in its error.

    `now` is the upload's time. Raises: SheetUnreadable, if it is not such a file at all.
    """
    if len(content) > BYTES_MAX:
        raise SheetUnreadable(
            f"The file has {len(content) / 1e6:.0f} MB. Split it: at most {BYTES_MAX / 1e6:.0f} MB "
            "are taken at once."
        )
    encoding = _encoding(content)
    delimiter = _delimiter(content, encoding)
    rows = _rows(_Lines(content, encoding), delimiter)
    columns = _columns(rows)
    table = CountTable(_kind(columns))
    layout = _Layout(columns, table.kind, _after_the_number(columns) if delimiter == "," else None)
    table.lines = _read_lines(table, rows, layout, now)
    return table


def _columns(rows: Iterator[tuple[int, list[str]]]) -> list[str]:
    for _, row in rows:
        if any(cell.strip() for cell in row):
            # Around a name in quotes, a program that does not know the mark before it leaves both.
            names = [name.strip().strip('\ufeff" ') for name in row]
            return [name.lower().replace(" ", "_") for name in names]
    raise SheetUnreadable("The file is empty.")


class _Layout(NamedTuple):
    columns: Sequence[str]
    kind: Sheet.Kind
    # Where a cell would be the rest of a number that a comma has split.
    rest_at: int | None


def _after_the_number(columns: Sequence[str]) -> int | None:
    """Return the place of the column after the count or the change, if it holds no numbers."""
    place = next(place for place, name in enumerate(columns) if name in {"count", "change"}) + 1
    return None if place == len(columns) or columns[place] in _NUMBERS else place


def _read_lines(
    table: CountTable, rows: Iterator[tuple[int, list[str]]], layout: _Layout, now: datetime
) -> Iterator[Line]:
    # A row with none of these names only a product, which was not counted.
    says = [position for position, name in enumerate(layout.columns) if name in _SAYING]
    lines = 0
    for number, row in rows:
        if any(cell.strip() for cell in [row[p] for p in says if p < len(row)]):
            lines += 1
            yield _line(number, row, layout, now)
        elif any(cell.strip() for cell in row):
            table.left_out += 1
        if lines + table.left_out > LINES_MAX:
            raise _too_many_lines()
    if not lines:
        raise SheetUnreadable(f"No line says anything under {table.kind.value.removesuffix('s')}.")


def _encoding(content: bytes) -> str:
    """Find out how it is written: in UTF-8, UTF-16 or, by older spreadsheets, Windows-1252."""
    is_utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ["utf-16"] if is_utf16 else ["utf-8-sig", "cp1252"]:
        if _is_text(content, encoding):
            return encoding
    raise SheetUnreadable("This is no CSV file. In a spreadsheet, save it as CSV (UTF-8).")


def _is_text(content: bytes, encoding: str) -> bool:
    """Tell whether it can be decoded, a piece at a time: the whole text is never in memory."""
    with _opened(content, encoding) as text:
        try:
            return not any("\x00" in piece for piece in iter(partial(text.read, 2**16), ""))
        except UnicodeDecodeError:
            return False


def _opened(content: bytes, encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(content), encoding, newline="")


class _Lines:
    """The lines of a file, one at a time, as far as they may be a file of counts.

    Whatever is too much is refused while it is read, before anything is made of it.
    """

    def __init__(self, content: bytes, encoding: str) -> None:
        self._text = _opened(content, encoding)
        self._lines = 0
        self._row_length = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        """Raises: SheetUnreadable."""
        line = self._text.readline(ROW_LENGTH_MAX + 1)
        if not line:
            raise StopIteration
        self._lines += 1
        self._row_length += len(line)
        if self._row_length > ROW_LENGTH_MAX:
            raise SheetUnreadable(
                f"Line {self._lines} is longer than {ROW_LENGTH_MAX:,} letters. If it should not "
                "be, a quotation mark before it may have no end."
            )
        if self._lines > ROWS_MAX:
            raise _too_many_lines()
        return line

    def end_row(self) -> None:
        self._row_length = 0


def _too_many_lines() -> SheetUnreadable:
    return SheetUnreadable(f"The file has more than {LINES_MAX:,} lines. Split it into several.")


def _delimiter(content: bytes, encoding: str) -> str:
    """Return the delimiter that splits the first line into the most known column names."""
    lines = _Lines(content, encoding)
    for line in lines:
        if first := line.strip().lower():
            break
        lines.end_row()
    else:
        raise SheetUnreadable("The file is empty.")

    def known(delimiter: str) -> int:
        names = {name.strip(' "') for name in first.split(delimiter)}
        return len(names.intersection((*COLUMNS, *IGNORED)))

    return max(DELIMITERS, key=known)


def _rows(lines: _Lines, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each row with the number of the line in which it begins."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        number = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise SheetUnreadable(f"Line {number} cannot be read: {error}.") from error
        lines.end_row()
        yield number, row


def _kind(columns: Sequence[str]) -> Sheet.Kind:
    """Return what the columns say the file is. Raises: SheetUnreadable, if they do not."""
    permitted = [*COLUMNS, *IGNORED]
    if len(columns) > COLUMNS_MAX:
        raise SheetUnreadable(
            f"The first line names {len(columns):,} columns: at most {COLUMNS_MAX} are read."
        )
    if unknown := [name for name in columns if name not in permitted]:
        names = ", ".join(f'"{name}"' if name else "one without a name" for name in unknown)
        raise SheetUnreadable(
            f"Unknown columns: {names[:200]}. The first line names the columns; there may be "
            f"{', '.join(permitted)}. Nothing was changed."
        )
    if twice := {name for name in columns if columns.count(name) > 1}:
        raise SheetUnreadable(f"This column is there twice: {', '.join(sorted(twice))}.")
    if not {"sku", "barcode"}.intersection(columns):
        raise SheetUnreadable("There is no column sku and no column barcode.")
    if "count" in columns and "change" in columns:
        raise SheetUnreadable("A file holds counts or changes: remove one of the columns.")
    if "count" in columns:
        return Sheet.Kind.COUNTS
    if "change" not in columns:
        raise SheetUnreadable("There is no column count and no column change.")
    if "counted_at" in columns:
        raise SheetUnreadable("counted_at goes with counts, and this file holds changes.")
    return Sheet.Kind.CHANGES


def _line(
    number: int,
    row: Sequence[str],
    layout: _Layout,
    now: datetime,
) -> Line:
    columns, kind, rest_at = layout
    cells = {
        name: codes.tidied(unescaped(cell)) if name in _CODES else unescaped(cell).strip()
        for name, cell in zip(columns, row, strict=False)
    }
    units, counted_at, error, mark = None, None, "", ""
    try:
        if any(cell.strip() for cell in row[len(columns) :]):
            raise _Wrong("There are more cells than columns.")
        _require_lengths(cells)
        units = _units(cells, kind)
        if kind == Sheet.Kind.COUNTS:
            counted_at = _moment(cells.get("counted_at", ""), now)
        if rest_at is not None and rest_at < len(row):
            cells_after = [cell.strip() for cell in row[rest_at : rest_at + _REST_CELLS]]
            mark = _mark(row[rest_at - 1].strip(), ",".join(cells_after))
    except _Wrong as wrong:
        error = str(wrong)
    return Line(
        number,
        cells.get("sku", "")[:CODE_LENGTH_MAX],
        cells.get("barcode", "")[:CODE_LENGTH_MAX],
        units,
        counted_at,
        cells.get("reason", "")[:REASON_LENGTH_MAX],
        error,
        mark,
    )


def _mark(number: str, rest: str) -> str:
    """Say so if a cell and the next one look like one number with a comma in it: 1,234."""
    groups = _GROUPS.match(rest)
    if groups and _GROUPED.fullmatch(number):
        rest = groups[1]
        meant = f"{number}{rest.replace(',', '')}"
        return f"{number} is read, and {rest} stands in the next cell: was it {meant}?"
    return ""


class _Wrong(Exception):
    """What is wrong with a line, in words."""


def _require_lengths(cells: dict[str, str]) -> None:
    sku, barcode = cells.get("sku", ""), cells.get("barcode", "")
    if not sku and not barcode:
        raise _Wrong("There is no sku and no barcode.")
    if max(len(sku), len(barcode)) > CODE_LENGTH_MAX:
        raise _Wrong("No product has so long a code.")
    if len(cells.get("reason", "")) > REASON_LENGTH_MAX:
        raise _Wrong(f"The reason is longer than {REASON_LENGTH_MAX} letters.")


def _units(cells: dict[str, str], kind: Sheet.Kind) -> int:
    column = "count" if kind == Sheet.Kind.COUNTS else "change"
    cell = cells.get(column, "")
    if not cell:
        raise _Wrong(f"The {column} is missing.")
    if not _WHOLE_NUMBER.fullmatch(cell):
        raise _Wrong(f'"{cell[:40]}" is no whole number.')
    # The length is checked first: converting a very long number would take Python long.
    units = int(cell) if len(cell) <= 40 else UNITS_MAX + 1
    if abs(units) > UNITS_MAX:
        raise _Wrong("That is more than a product can hold.")
    if units < 0 and kind == Sheet.Kind.COUNTS:
        raise _Wrong("A count cannot be below zero.")
    return units


def _moment(cell: str, now: datetime) -> datetime:
    """Read when it was counted, in the store's time zone unless it names one; else `now`."""
    if not cell:
        return now
    try:
        moment = store.moment_written(cell)
    except store.NoMoment as wrong:
        raise _Wrong(str(wrong)) from wrong
    if moment > now:
        raise _Wrong("It was counted in the future.")
    if moment < _LONG_AGO:
        raise _Wrong("It was counted too long ago.")
    return moment
