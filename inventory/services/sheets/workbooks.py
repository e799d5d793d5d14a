"""Workbooks as Excel writes them (.xlsx), read with openpyxl, a row at a time.

A workbook is a zip of XML: a few bytes may unfold to very many, and openpyxl keeps what stands
between two rows as a tree. So all of it is looked at, as bytes, before openpyxl sees any.
"""

import io
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

from openpyxl import load_workbook
from openpyxl.styles.numbers import BUILTIN_FORMATS
from openpyxl.utils.escape import unescape

from inventory.errors import SheetUnreadable, listed

# Unfolded, of all parts together; and how many times what was sent.
UNFOLDED_MAX = 300_000_000
UNFOLDS_TIMES_MAX = 250
PARTS_MAX = 2_000
# A part of this size may hold anything; a larger one only rows, or texts, that are read one by one.
PART_MAX = 1_000_000
# The tags of all rows, beginnings and ends: some five million cells.
TAGS_MAX = 20_000_000
# As many rows as a spreadsheet has.
ROWS_MAX = 1_048_576
# To find the sheet that is meant, so many are looked at, and so much of each: a row of nothing
# takes its time, too.
_SHEETS_LOOKED_AT = 100
_ROWS_LOOKED_AT = 1_000
_ROWS_WITH_HEADER = 10
# What may stand between one row and the next, and after the last one.
_TAGS_BETWEEN_ROWS = 500_000
_BYTES_BETWEEN_ROWS = 16_000_000
_PIECE = 262_144
_ROW = re.compile(rb"<(?:\w+:)?(?:row|si)[\s/>]")
_LONGEST_TAG_BEGINNING = 40
_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".emf", ".wmf", ".bin")
# Excel shows 42 as 0042 then, and so people know it.
_ZEROS = re.compile(r"0+")
_FRACTION_OF_THREE = re.compile(r"-?[0-9]+\.[0-9]{3}")
Row = tuple[int, list[str]]
_NO_WORKBOOK = "This is no .xlsx file, whatever its name. Save it as .xlsx or as CSV (UTF-8)."
_BROKEN = "This .xlsx file cannot be read. Open it in a spreadsheet and save it again, or as CSV."
_TOO_LARGE = (
    "Unpacked, this .xlsx file is larger than what is read at once. Split it, or save it as CSV."
)
# By a part that only files of that program have.
_OTHERS = {
    "mimetype": "an OpenDocument file",
    "xl/workbook.bin": "a binary Excel file (.xlsb)",
    "word/document.xml": "a Word file",
    "Index/Document.iwa": "a Numbers file",
    "Index.zip": "a Numbers file",
}


def unfolded_size(content: bytes) -> int:
    """Return how many bytes it unfolds to, by its own account. Raises: SheetUnreadable."""
    with _understood(), zipfile.ZipFile(io.BytesIO(content)) as archive:
        return sum(part.file_size for part in archive.infolist())


def read(
    content: bytes,
    *,
    rows_max: int,
    columns_max: int,
    is_header: Callable[[Sequence[str]], bool] = lambda row: True,
) -> tuple[Iterator[Row], str]:
    """Read a sheet, and say which it is, if there are others.

    It is the first that has a header among its first rows, or else the first that holds anything.
    The rows have at most one cell more than `columns_max`. Raises: SheetUnreadable; so do the rows
    on the way.
    """
    with _understood():
        _require_bounded(content)
        book = load_workbook(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
        seen = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
        sheets = seen or book.worksheets
        if not sheets:
            raise SheetUnreadable("The file is empty.")
    begin = {}
    for place, sheet in enumerate(sheets[:_SHEETS_LOOKED_AT]):
        rows = _rows(book, sheet, _ROWS_LOOKED_AT, columns_max)
        if first := [row for _, row in islice(rows, _ROWS_WITH_HEADER)]:
            begin[place] = any(map(is_header, first))
    # Of equals, max takes the first.
    chosen = sheets[max(begin, key=begin.__getitem__, default=0)]
    others = [other.title for other in sheets if other is not chosen]
    rows = _rows(book, chosen, min(rows_max, ROWS_MAX), columns_max)
    return rows, _note(chosen.title, others)


def _note(title: str, others: list[str]) -> str:
    if not others:
        return ""
    return f"The sheet {title[:100]} was read, and not {listed([other[:60] for other in others])}."


@contextmanager
def _understood() -> Iterator[None]:
    """Refuse a file over which the libraries stumble, whatever they say then."""
    try:
        yield
    except SheetUnreadable:
        raise
    except Exception as error:
        raise SheetUnreadable(_BROKEN) from error


# Before it is opened.


def _require_bounded(content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = archive.infolist()
        names = {part.filename for part in parts}
        if "xl/workbook.xml" not in names:
            for name, what in _OTHERS.items():
                if name in names:
                    raise SheetUnreadable(f"This is {what}. Save it as .xlsx or as CSV (UTF-8).")
            if "[Content_Types].xml" not in names:
                raise SheetUnreadable(_NO_WORKBOOK)
        unfolded = sum(part.file_size for part in parts)
        is_bomb = unfolded > max(UNFOLDS_TIMES_MAX * len(content), 2 * PART_MAX)
        if unfolded > UNFOLDED_MAX or len(parts) > PARTS_MAX or is_bomb:
            raise SheetUnreadable(_TOO_LARGE)
        for part in parts:
            if part.file_size > PART_MAX and not part.filename.lower().endswith(_PICTURES):
                _require_rows(archive, part)


def _require_rows(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> None:
    """Require that a part is made of rows, none of them long, and of not too many."""
    tags = rows = 0
    tags_since = bytes_since = 0
    before = b""
    with archive.open(part) as stream:
        while piece := stream.read(_PIECE):
            # What is written as neither tag nor text would hide what is looked for.
            if b"<!" in before[-1:] + piece or b"\x00" in piece:
                raise SheetUnreadable(_BROKEN)
            found = len(_ROW.findall(before + piece))
            of_piece = piece.count(b"<")
            tags, rows = tags + of_piece, rows + found
            tags_since, bytes_since = (
                (0, 0) if found else (tags_since + of_piece, bytes_since + len(piece))
            )
            if (
                tags > TAGS_MAX
                or rows > ROWS_MAX
                or tags_since > _TAGS_BETWEEN_ROWS
                or bytes_since > _BYTES_BETWEEN_ROWS
            ):
                raise SheetUnreadable(_TOO_LARGE)
            before = piece[-_LONGEST_TAG_BEGINNING:]


# Its cells.


def _rows(book: Any, sheet: Any, rows_max: int, columns_max: int) -> Iterator[Row]:
    """Yield the rows that hold anything, each with its number."""
    zeros = _Zeros(book)
    # Rows that are not there are this one row, and there may be very many of them.
    nothing: Any = None
    with _understood():
        for number, row in enumerate(sheet.iter_rows(max_row=rows_max, max_col=columns_max + 1), 1):
            if row is nothing:
                continue
            cells = [_text(cell, zeros) for cell in row]
            if any(cells):
                yield number, cells
            else:
                nothing = row


class _Zeros:
    """By the number of a style: how many digits it shows at least."""

    def __init__(self, book: Any) -> None:
        self._book = book
        self._digits: dict[int, int] = {}

    def of(self, style: int) -> int:
        if style not in self._digits:
            self._digits[style] = self._looked_up(style)
        return self._digits[style]

    def _looked_up(self, style: int) -> int:
        number = self._book._cell_styles[style].numFmtId
        written = BUILTIN_FORMATS.get(number)
        if written is None:
            written = self._book._number_formats[number - 164]
        return len(written) if _ZEROS.fullmatch(written) else 0


def _text(cell: Any, zeros: _Zeros) -> str:
    """Write a value as text, in one way: 12.0 as 12, a moment as 2026-05-04 17:30:00."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, str):
        return unescape(value) if "_x" in value else value
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return _number(value, zeros.of(cell._style_id))
    if isinstance(value, datetime):
        # What a day's fraction has lost.
        whole = (value + timedelta(milliseconds=500)).replace(microsecond=0)
        return whole.date().isoformat() if whole.time() == time() else whole.isoformat(" ")
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)


def _number(value: float, digits: int) -> str:
    # As many digits as a spreadsheet keeps, and none of the dust behind them.
    exact = value if isinstance(value, int) else Decimal(f"{value:.15g}")
    written = format(exact, "d" if isinstance(exact, int) else "f")
    if digits and written.isdecimal():
        return written.zfill(digits)
    # 1.234 as text would be one of two numbers; this is one.
    return f"{written}0" if _FRACTION_OF_THREE.fullmatch(written) else written
