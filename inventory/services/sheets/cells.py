"""What people write into cells: numbers and moments, where they can be read in one way only."""

import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from api import store
from api.spreadsheets import unescaped
from inventory.models import Sheet, SheetLine

# Of a cell, so much is repeated.
LENGTH_TOLD = 40
# What a spreadsheet shows where a formula came to nothing.
_BROKEN = frozenset(
    {"#REF!", "#N/A", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#GETTING_DATA", "#SPILL!"}
)
_SPACES = "\u0020\u00a0\u2009\u202f'\u2019"
_SPACED = re.compile(rf"[0-9]{{1,3}}(?:[{_SPACES}][0-9]{{3}})+(?=[.,]|\Z)")
_PLAIN = re.compile(r"[0-9]+")
# With a point for the fraction. In India groups have two digits before the last: 1,00,000.
_GROUPED = re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{2,3})*,[0-9]{3}(?:\.[0-9]+)?")
_FRACTION = re.compile(r"[0-9]*\.[0-9]+")
# Such a fraction is no group of three digits, whichever sign parts it.
_SHORT_OR_LONG = re.compile(r"[0-9]+\.(?:[0-9]{1,2}|[0-9]{4,})|0*\.[0-9]+")
# However a program writes it that has no other way to keep the zeros of a code: ="0012".
_KEPT = re.compile(r'\s*="((?:[^"]|"")*)"\s*')
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]+")
_OTHER_WAY = str.maketrans(",.", ".,")
# 4/5/2026 and 04.05.2026, each with a time.
_DAY_AND_MONTH = re.compile(r"([0-9]{1,2})([./-])([0-9]{1,2})\2([0-9]{4})(?=[ T,])")
_TIME = re.compile(r"(.+?)[ T,]+([0-9]{1,2}):([0-9]{2})(:[0-9]{2})?(?: ?([ap])\.?m\.?)?", re.I)


class Wrong(Exception):
    """What is wrong with a line, in words."""


def by_name(sheet: Sheet, line: SheetLine) -> dict[str, str]:
    """Return a row's cells by the names of the columns that are read. Raises: Wrong."""
    row = line.cells
    if any(cell.strip() for cell in row[len(sheet.columns) :]):
        raise Wrong("There are more cells than columns.")
    cells = {
        name: text_of(cell).strip() for name, cell in zip(sheet.columns, row, strict=False) if name
    }
    for cell in cells.values():
        if cell in _BROKEN:
            raise Wrong(f"{cell} stands there: a formula of the spreadsheet came to nothing.")
    return cells


def text_of(cell: str) -> str:
    """Return what a cell says, without what was put around it for spreadsheets."""
    kept = _KEPT.fullmatch(cell)
    return kept[1].replace('""', '"') if kept else unescaped(cell)


def says_nothing(sheet: Sheet, line: SheetLine, names: Sequence[str]) -> bool:
    """Tell whether a row has nothing in any of these columns."""
    row = line.cells
    return not any(
        name in names and cell.strip() for name, cell in zip(sheet.columns, row, strict=False)
    )


def number(cell: str, *, decimal_comma: bool | None) -> Decimal:
    """Read a number, with the groups and the decimal sign that people write.

    Whether 1.234 is more than a thousand is what `decimal_comma` says; None reads points as
    decimal. Where there is only one way to read the cell, that is read, whatever it says: 12,50.
    Raises: Wrong.
    """
    text = cell.strip()
    sign = ""
    if text.startswith("(") and text.endswith(")"):
        # So accountants write what is less than nothing.
        sign, text = "-", text[1:-1].strip()
    elif text[:1] in {"+", "-", "\N{MINUS SIGN}"}:
        sign, text = "" if text[0] == "+" else "-", text[1:].strip()
    if spaced := _SPACED.match(text):
        text = "".join(_PLAIN.findall(spaced[0])) + text[spaced.end() :]
    other_way = text.translate(_OTHER_WAY)
    first, second = (other_way, text) if decimal_comma else (text, other_way)
    if _PLAIN.fullmatch(text):
        plain = text
    elif _GROUPED.fullmatch(first) or _FRACTION.fullmatch(first):
        plain = first.replace(",", "")
    elif _SHORT_OR_LONG.fullmatch(second):
        plain = second
    elif _GROUPED.fullmatch(second) and len(re.findall("[.,]", second)) > 1:
        plain = second.replace(",", "")
    else:
        raise Wrong(f'"{cell[:LENGTH_TOLD]}" is no number.')
    return Decimal(sign + plain)


def whole(cell: str, *, decimal_comma: bool | None, most: int) -> int:
    """Read a whole number, as `number` reads one: 12.0 is 12.

    One with more digits than anybody needs is told as one more than `most`. Raises: Wrong.
    """
    if _WHOLE_NUMBER.fullmatch(cell):
        # The length is checked first: converting a very long number would take Python long.
        return int(cell) if len(cell) <= LENGTH_TOLD else most + 1
    no_whole_number = Wrong(f'"{cell[:LENGTH_TOLD]}" is no whole number.')
    if len(cell) > LENGTH_TOLD:
        raise no_whole_number
    try:
        read = number(cell, decimal_comma=decimal_comma)
    except Wrong as wrong:
        raise no_whole_number from wrong
    if read != int(read):
        raise no_whole_number
    return int(read)


def moment(cell: str, *, day_first: bool | None) -> datetime:
    """Read a date with a time, in the store's zone unless it names another.

    `day_first` says what 3/4/2026 is; None, that nobody knows. Raises: Wrong.
    """
    try:
        return store.moment_written(_as_iso(cell.strip(), day_first))
    except store.NoMoment as wrong:
        raise Wrong(str(wrong)) from wrong


def _as_iso(written: str, day_first: bool | None) -> str:
    dated = _DAY_AND_MONTH.match(written)
    if dated:
        first, sign, second, year = dated.groups()
        is_day_first = sign == "." or int(first) > 12 or (int(second) <= 12 and day_first)
        if sign != "." and day_first is None and int(first) <= 12 and int(second) <= 12:
            raise Wrong(
                f'Nobody can tell the day from the month in "{written[:LENGTH_TOLD]}". Write it '
                "as 2026-05-04 17:30."
            )
        day, month = (first, second) if is_day_first else (second, first)
        written = f"{year}-{int(month):02}-{int(day):02}{written[dated.end() :]}"
    timed = _TIME.fullmatch(written)
    if timed is None:
        return written
    date, hour, minutes, seconds, half = timed.groups()
    hours = int(hour)
    if half:
        if not 1 <= hours <= 12:
            return written
        hours = hours % 12 + 12 * (half.lower() == "p")
    return f"{date} {hours:02}:{minutes}{seconds or ''}"
