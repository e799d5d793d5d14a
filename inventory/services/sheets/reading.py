"""Reading a file into the lines of its sheet, and settling what its columns are."""

from collections.abc import Iterable
from itertools import islice

from django.db import connection

from inventory.models import LINES, Sheet, SheetContent
from inventory.services.sheets import columns, tables, workbooks
from inventory.services.sheets.kinds import Kinds
from inventory.services.sheets.tables import Row, Table

BATCH_TO_COPY = 5_000
# A file as small as this, sent and unfolded, is read while somebody waits for the answer.
SMALL = 200_000
SMALL_UNFOLDED = 3_000_000


def is_small(content: bytes) -> bool:
    """Tell whether it can be read in a request. Raises: SheetUnreadable."""
    return len(content) <= SMALL and (
        not tables.is_workbook(content) or workbooks.unfolded_size(content) <= SMALL_UNFOLDED
    )


def require_table(content: bytes, kinds: Kinds) -> None:
    """Refuse what shows at its beginning that it is none. Raises: SheetUnreadable."""
    tables.require_at_most(len(content))
    if tables.is_workbook(content):
        # That it is one, and how large; what is in it takes long to find out.
        workbooks.unfolded_size(content)
    else:
        tables.read(content, columns.names_known(kinds))


def read(sheet: Sheet, content: bytes, kinds: Kinds) -> None:
    """Write the rows of a file as lines of its sheet, which is locked or new.

    What its columns are is settled, or left to a person. The sheet is not saved.
    Raises: SheetUnreadable.
    """
    table = tables.read(content, columns.names_known(kinds))
    guess = columns.guess(table.header, kinds)
    sheet.header, sheet.delimiter, sheet.note = table.header, table.delimiter, table.note
    sheet.kind, sheet.columns = guess.kind, guess.columns
    sheet.lines_total = _copy(sheet, table)
    doubts = columns.doubts(sheet, guess.columns, kinds)
    sheet.day_first = doubts.day_first.answer
    sheet.decimal_comma = doubts.decimal_comma.answer
    is_settled = guess.is_sure and not doubts.are_open
    sheet.begin(Sheet.State.CHECKING if is_settled else Sheet.State.MAPPING)


def content_of(sheet: Sheet) -> bytes:
    return bytes(SheetContent.objects.get(pk=sheet.pk).content)


def forget_content(sheet: Sheet) -> None:
    SheetContent.objects.filter(pk=sheet.pk).delete()


def _copy(sheet: Sheet, table: Table) -> int:
    """Write the rows some thousands at a time, while they are read; return how many there were.

    So no statement takes as long as reading the whole file does.
    """
    written = 0
    while batch := list(islice(table.rows, BATCH_TO_COPY)):
        _copy_batch(sheet, batch)
        written += len(batch)
    return written


def _copy_batch(sheet: Sheet, rows: Iterable[Row]) -> None:
    lines = LINES[Sheet.Kind(sheet.kind)]._meta.db_table
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {lines} (sheet_id, number, cells) FROM STDIN") as copy,
    ):
        for number, cells in rows:
            copy.write_row((sheet.pk, number, cells))


def move_rows(sheet: Sheet, kind: Sheet.Kind) -> None:
    """Make the rows of a sheet lines of another kind: its columns say that it is one."""
    before, after = (LINES[Sheet.Kind(each)]._meta.db_table for each in (sheet.kind, kind))
    if before == after:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {after} (sheet_id, number, cells) "  # noqa: S608
            f"SELECT sheet_id, number, cells FROM {before} WHERE sheet_id = %s",
            [sheet.pk],
        )
        cursor.execute(f"DELETE FROM {before} WHERE sheet_id = %s", [sheet.pk])  # noqa: S608
