"""CSV files for spreadsheets, in which no cell is taken for a formula."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.http import StreamingHttpResponse

# Cells that begin so are run instead of shown by a spreadsheet. The apostrophe that prevents that
# is escaped too, so that a file read again says what was written.
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "'")


def escaped(cell: Any) -> Any:
    """Put an apostrophe before text that a spreadsheet would take for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_DANGEROUS) else cell


def unescaped(cell: str) -> str:
    """Remove the apostrophe that `escaped` put there."""
    is_escaped = cell.startswith("'") and cell[1:].startswith(_DANGEROUS)
    return cell[1:] if is_escaped else cell


class _Echo:
    """The file that a CSV writer needs: it gives back what it was given."""

    def write(self, line: str) -> str:
        return line


def csv_response(
    name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> StreamingHttpResponse:
    """Answer with a file, written while it is sent, however long it is."""
    response = StreamingHttpResponse(_lines(columns, rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    return response


def _lines(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    # The mark by which spreadsheets recognize UTF-8.
    yield "\ufeff" + writer.writerow(columns)
    for row in rows:
        yield writer.writerow([escaped(cell) for cell in row])
