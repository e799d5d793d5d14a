"""Files as tables: the first row, and the others one at a time, however they were written.

Whatever is too much is refused while it is read, before anything is made of it.
"""

import csv
import io
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice

from inventory.errors import SheetUnreadable
from inventory.services.sheets import workbooks
from inventory.services.sheets.kinds import normalised

BYTES_MAX = 20_000_000
LINES_MAX = 200_000
# A spreadsheet may write rows of nothing down to its own last one. They are no lines, but each
# takes its time.
ROWS_MAX = LINES_MAX + 1_048_576
# Of one row, over however many lines its quoted cells go. A description has up to 20,000 letters.
ROW_LENGTH_MAX = 50_000
# Of all rows: a workbook may write one long text once, and show it in every row.
LENGTH_MAX = 40_000_000
COLUMNS_MAX = 50
DELIMITERS = ",;\t|"
# A title may stand above the names of the columns, and the date, and so on.
ROWS_BEFORE_HEADER_MAX = 10
# As many as there are names in a row that can be taken for nothing else.
_NAMES_OF_A_HEADER = 2
# A row may go beyond the columns that have names, and is wrong then. No more of it is kept.
_CELLS_BEYOND = 5
_SAVE_AS = "Save it as .xlsx or as CSV (UTF-8)."
_NO_CSV = "This is no CSV file. In a spreadsheet, save it as .xlsx or as CSV (UTF-8)."

Row = tuple[int, list[str]]
# What files begin with that are neither.
_OTHERS = (
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "This is an old Excel file (.xls), or one with a password. Save it as .xlsx without a "
        "password, or as CSV (UTF-8).",
    ),
    (b"%PDF", f"This is a PDF. Open the table that it was made from. {_SAVE_AS}"),
    (b"\x89PNG", f"This is a picture. {_SAVE_AS}"),
    (b"\xff\xd8\xff", f"This is a picture. {_SAVE_AS}"),
    (b"GIF8", f"This is a picture. {_SAVE_AS}"),
    (b"<!doctype html", f"This is a web page, whatever its name. Open it in Excel. {_SAVE_AS}"),
    (b"<html", f"This is a web page, whatever its name. Open it in Excel. {_SAVE_AS}"),
    (b"<?xml", f"This is an XML file, whatever its name. Open it in Excel. {_SAVE_AS}"),
    (b"{\\rtf", f"This is a text document. {_SAVE_AS}"),
)


@dataclass
class Table:
    """A file whose first row has been read.

    The others are read while they are taken, so that they are never in memory all at once.
    """

    header: list[str]
    # Those that hold anything, by the numbers of their lines. Raises SheetUnreadable on the way.
    rows: Iterator[Row]
    # What parts the cells; nothing does in a workbook.
    delimiter: str
    # What people are to know of what was read.
    note: str = ""


def require_at_most(size: int) -> None:
    """Raises: SheetUnreadable."""
    if size > BYTES_MAX:
        raise SheetUnreadable(
            f"The file has {size / 1e6:.0f} MB. Split it: at most {BYTES_MAX / 1e6:.0f} MB "
            "are taken at once."
        )


def is_workbook(content: bytes) -> bool:
    # With parts, or without any.
    return content.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def read(content: bytes, known: Collection[str]) -> Table:
    """Read how a file is written, and its first row: of the first few, one with known names.

    `known` are names of columns, as `normalised` writes them. Raises: SheetUnreadable, if it is no
    such file at all.
    """
    require_at_most(len(content))
    note, delimiter = "", ""
    if is_workbook(content):
        rows, note = workbooks.read(
            content,
            rows_max=ROWS_MAX,
            columns_max=COLUMNS_MAX,
            is_header=lambda row: _has_names(row, known),
        )
    else:
        rows, delimiter = _read_text(content, known)
    header, others = _header(_filled(rows), known)
    return Table(header, _lines(others, len(header)), delimiter, note)


def _filled(rows: Iterator[Row]) -> Iterator[Row]:
    """Leave out rows of nothing, and what is empty at the end of the others."""
    for number, row in rows:
        last = len(row)
        while last and not row[last - 1].strip():
            last -= 1
        if last:
            yield number, row[:last]


def _header(rows: Iterator[Row], known: Collection[str]) -> tuple[list[str], Iterator[Row]]:
    first: list[Row] = []
    for row in islice(rows, ROWS_BEFORE_HEADER_MAX):
        first.append(row)
        if _has_names(row[1], known):
            break
    if not first:
        raise SheetUnreadable("The file is empty.")
    # Where no names are known, titles still have a row for themselves.
    several = (place for place, (_, row) in enumerate(first) if _are_several(row))
    at = len(first) - 1 if _has_names(first[-1][1], known) else next(several, 0)
    number, names = first[at]
    if len(names) > COLUMNS_MAX:
        raise SheetUnreadable(
            f"Line {number} names {_many(len(names))} columns: at most {COLUMNS_MAX} are read."
        )
    header = [name.strip().strip('\ufeff" ') for name in names]
    return header, chain(first[at + 1 :], rows)


def _many(columns: int) -> str:
    # Of a workbook nobody has looked how many more there are.
    return "more" if columns == COLUMNS_MAX + 1 else f"{columns:,}"


def _are_several(row: Sequence[str]) -> bool:
    return sum(bool(cell.strip()) for cell in row) >= _NAMES_OF_A_HEADER


def _has_names(row: Sequence[str], known: Collection[str]) -> bool:
    names = {normalised(name) for name in row[: COLUMNS_MAX + 1]}
    return len(names.intersection(known)) >= _NAMES_OF_A_HEADER


def _lines(rows: Iterator[Row], columns: int) -> Iterator[Row]:
    lines = length = 0
    for number, row in rows:
        lines += 1
        if lines > LINES_MAX:
            raise _too_many_lines()
        of_row = sum(map(len, row))
        if of_row > ROW_LENGTH_MAX:
            raise _too_long(number)
        length += of_row
        if length > LENGTH_MAX:
            raise SheetUnreadable("There is too much text in the file. Split it into several.")
        # The database knows no such sign.
        cells = [cell.replace("\x00", "") for cell in row[: columns + _CELLS_BEYOND]]
        if len(row) > len(cells) and not any(cell.strip() for cell in cells[columns:]):
            cells[-1] = row[-1]
        yield number, cells
    if not lines:
        raise SheetUnreadable("There is no line below the names of the columns.")


def _too_many_lines() -> SheetUnreadable:
    return SheetUnreadable(f"The file has more than {LINES_MAX:,} lines. Split it into several.")


def _too_long(line: int) -> SheetUnreadable:
    return SheetUnreadable(
        f"Line {line} is longer than {ROW_LENGTH_MAX:,} letters. If it should not be, a quotation "
        "mark before it may have no end."
    )


# Text.


def _read_text(content: bytes, known: Collection[str]) -> tuple[Iterator[Row], str]:
    beginning = content.lstrip()[:20].lower()
    for begins, said in _OTHERS:
        if content.startswith(begins) or beginning.startswith(begins):
            raise SheetUnreadable(said)
    encoding = _encoding(content)
    delimiter, said_in = _delimiter(content, encoding, known)
    return _rows(_Lines(content, encoding), delimiter, said_in), delimiter


def _encoding(content: bytes) -> str:
    """Find out how it is written: in UTF-8, UTF-16 or, by older spreadsheets, Windows-1252."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        candidates = ["utf-16"]
    elif b"\x00" in content[:200]:
        # Every other byte of Latin letters is empty: the second of each, or the first.
        candidates = ["utf-16-le" if content[1:2] == b"\x00" else "utf-16-be"]
    else:
        candidates = ["utf-8-sig", "cp1252"]
    for encoding in candidates:
        if _is_text(content, encoding):
            return encoding
    raise SheetUnreadable(_NO_CSV)


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
    """The lines of a file, one at a time, as far as they may be a file of lines."""

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
            raise _too_long(self._lines)
        if self._lines > ROWS_MAX:
            raise _too_many_lines()
        return line

    def end_row(self) -> None:
        self._row_length = 0


def _delimiter(content: bytes, encoding: str, known: Collection[str]) -> tuple[str, int]:
    """Return the delimiter, and the number of the line that says so, if one does.

    It is the one that splits one of the first lines into the most known names or else, where none
    is known, the first line into the most cells or, if that is a title, all of them.
    """
    first = list(_first_lines(content, encoding))
    if not first:
        raise SheetUnreadable("The file is empty.")
    number, line = first[0]
    if line.lower().startswith("sep=") and line[4:] in DELIMITERS:
        return line[4:], number

    def splits(delimiter: str) -> tuple[int, int, int]:
        cells = [line.split(delimiter, 2 * COLUMNS_MAX) for _, line in first]
        names = [{normalised(cell) for cell in row} for row in cells]
        return (
            max(len(each.intersection(known)) for each in names),
            len(cells[0]),
            sum(map(len, cells)),
        )

    return max(DELIMITERS, key=splits), 0


def _first_lines(content: bytes, encoding: str) -> Iterator[tuple[int, str]]:
    filled = 0
    for number, line in enumerate(_each_a_row(_Lines(content, encoding)), start=1):
        if stripped := line.strip(" \r\n"):
            filled += 1
            yield number, stripped
        if filled == ROWS_BEFORE_HEADER_MAX:
            return


def _each_a_row(lines: _Lines) -> Iterator[str]:
    for line in lines:
        lines.end_row()
        yield line


def _rows(lines: _Lines, delimiter: str, after: int) -> Iterator[Row]:
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
        if number > after:
            yield number, row
