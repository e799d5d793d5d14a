"""CSV files for spreadsheets, in which no cell is taken for a formula."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import tzinfo
from decimal import Decimal
from typing import Any

from django.http import StreamingHttpResponse
from django.utils import timezone

# What begins a formula, in full width and small too: East Asian spreadsheets run those as well. The
# apostrophe that prevents that is escaped itself, so that a file read again says what was written.
_BEGINS = "[=+\\-@'\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212]"
# What may stand before it without being seen.
_UNSEEN = (
    r'[\s"\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f'
    r"\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    r"\U000e0000-\U000e0fff]"
)
# The same, up to where a cell begins anew: so each sign is looked at once, however many lines a
# text has.
_UNSEEN_IN_LINE = rf"(?:(?![\t\r\n]){_UNSEEN})"
# A cell begins with its text and, for a spreadsheet that knows another separator than the comma and
# so has other quotes, after that separator and after the end of a line.
_ESCAPE = re.compile(
    rf"\A(?=[\t\r\n]|{_UNSEEN}*{_BEGINS})|(?<=[;\t\r\n])(?={_UNSEEN_IN_LINE}*{_BEGINS})"
)
_UNESCAPE = re.compile(_ESCAPE.pattern.replace("(?=", "'(?="))


def escaped(text: str) -> str:
    """Put an apostrophe before whatever a spreadsheet would take for a formula."""
    return _ESCAPE.sub("'", text)


def unescaped(cell: str) -> str:
    """Remove the apostrophes that `escaped` put there."""
    return _UNESCAPE.sub("", cell)


class _Echo:
    """The file that a CSV writer needs: it gives back what it was given."""

    def write(self, line: str) -> str:
        return line


def csv_response(
    name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> StreamingHttpResponse:
    """Answer with a file, written while it is sent, however long it is."""
    lines = _in_zone(_lines(columns, rows), timezone.get_current_timezone())
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    return response


def _in_zone(lines: Iterator[str], zone: tzinfo) -> Iterator[str]:
    """Make each line in the time zone of the request, which has ended when most of them are."""
    while True:
        with timezone.override(zone):
            line = next(lines, None)
        if line is None:
            return
        yield line


def _lines(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    writer = csv.writer(_Echo(), quoting=csv.QUOTE_NONNUMERIC)
    # The mark by which spreadsheets recognize UTF-8.
    yield "\ufeff" + writer.writerow(columns)
    for row in rows:
        yield writer.writerow([_cell(cell) for cell in row])


def _cell(cell: Any) -> int | Decimal | str:
    """Let numbers be numbers, which a spreadsheet adds up; whatever else there is is text."""
    if isinstance(cell, int | Decimal):
        return cell
    return escaped("" if cell is None else str(cell))
