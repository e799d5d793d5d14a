"""What the lines of a file of counts or changes say, before any product is looked for."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from api import codes
from api.fields import UNITS_MAX
from inventory.models import REASON_LENGTH_MAX, CountLine, Sheet
from inventory.services.sheets import cells
from inventory.services.sheets.cells import Wrong
from inventory.services.sheets.kinds import normalised

# A row with none of these names only a product, which was not counted.
SAYING = ("count", "change", "counted_at", "reason")
# Columns that the export has for people to read.
NUMBERS = ("available", "allocated", "total")
CODE_LENGTH_MAX = 100
# No earlier moment is accepted: far earlier ones are beyond what datetimes can add and subtract.
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
# What stands before and after a comma that parts a number into groups: 1,234 and 1,234.00; in
# India 1,00,000.
_GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2}")
_GROUPS = re.compile(r"((?:[0-9]{2},)*[0-9]{3})(?:\.[0-9]*)?(?:,|\Z)")
# So many cells may hold the rest of a number that is not too large.
_REST_CELLS = 4
# As a number of three digits less it would look the same.
_THREE_ZEROS = re.compile(r"([+-]?[1-9][0-9]{0,2})[.,]000")


def read(sheet: Sheet, lines: Sequence[CountLine]) -> None:
    """Set what the cells of a file's lines say; what is wrong with one stands in its error."""
    rest_at = _after_the_number(sheet) if sheet.delimiter == "," else None
    for line in lines:
        line.left_out = cells.says_nothing(sheet, line, SAYING)
        sheet.left_out += line.left_out
        _forget(line)
        if line.left_out:
            continue
        try:
            said = cells.by_name(sheet, line)
            for name in ("sku", "barcode"):
                setattr(line, name, codes.tidied(said.get(name, ""))[:CODE_LENGTH_MAX])
            line.reason = said.get("reason", "")[:REASON_LENGTH_MAX]
            _require_lengths(said)
            _read_units(sheet, line, said)
            if sheet.kind == Sheet.Kind.COUNTS:
                line.counted_at = _moment(sheet, said.get("counted_at", ""))
        except Wrong as wrong:
            line.error = str(wrong)
        if rest_at is not None and not line.error and rest_at < len(line.cells):
            rest = [cell.strip() for cell in line.cells[rest_at : rest_at + _REST_CELLS]]
            line.mark = line.mark or _mark(line.cells[rest_at - 1].strip(), ",".join(rest))


def _forget(line: CountLine) -> None:
    """Whatever was read before, by other columns, is not so any more."""
    line.sku = line.barcode = line.reason = line.error = line.mark = ""
    line.units = line.counted_at = line.product_id = line.total_before = line.change = None


def _after_the_number(sheet: Sheet) -> int | None:
    """Return the place of the column after the count or the change, if it holds no numbers."""
    place = next(p for p, name in enumerate(sheet.columns) if name in {"count", "change"}) + 1
    is_last = place == len(sheet.header)
    return None if is_last or normalised(sheet.header[place]) in NUMBERS else place


def _mark(number: str, rest: str) -> str:
    """Say so if a cell and the next one look like one number with a comma in it: 1,234."""
    groups = _GROUPS.match(rest)
    if groups and _GROUPED.fullmatch(number):
        rest = groups[1]
        meant = f"{number}{rest.replace(',', '')}"
        return f"{number} is read, and {rest} stands in the next cell: was it {meant}?"
    return ""


def _require_lengths(said: Mapping[str, str]) -> None:
    sku, barcode = (codes.tidied(said.get(name, "")) for name in ("sku", "barcode"))
    if not sku and not barcode:
        raise Wrong("There is no sku and no barcode.")
    if max(len(sku), len(barcode)) > CODE_LENGTH_MAX:
        raise Wrong("No product has so long a code.")
    if len(said.get("reason", "")) > REASON_LENGTH_MAX:
        raise Wrong(f"The reason is longer than {REASON_LENGTH_MAX} letters.")


def _read_units(sheet: Sheet, line: CountLine, said: Mapping[str, str]) -> None:
    column = "count" if sheet.kind == Sheet.Kind.COUNTS else "change"
    cell = said.get(column, "")
    if not cell:
        raise Wrong(f"The {column} is missing.")
    units = cells.whole(cell, decimal_comma=sheet.decimal_comma, most=UNITS_MAX)
    if abs(units) > UNITS_MAX:
        raise Wrong("That is more than a product can hold.")
    if units < 0 and sheet.kind == Sheet.Kind.COUNTS:
        raise Wrong("A count cannot be below zero.")
    line.units = units
    grouped = _THREE_ZEROS.fullmatch(cell)
    if grouped and int(grouped[1]) == units:
        line.mark = f"{cell} is read as {units}: was it {units}000?"


def _moment(sheet: Sheet, cell: str) -> datetime:
    """Read when it was counted: without a moment, when the file was uploaded."""
    if not cell:
        return sheet.as_of
    moment = cells.moment(cell, day_first=sheet.day_first)
    if moment > sheet.created_at:
        raise Wrong("It was counted in the future.")
    if moment < _LONG_AGO:
        raise Wrong("It was counted too long ago.")
    return moment
