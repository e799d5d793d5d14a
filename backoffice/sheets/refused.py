"""The lines of a sheet that were refused, as a file to correct and send again."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.http import StreamingHttpResponse
from django.utils import timezone

from backoffice.exports import EXPORT_ROWS, exported
from backoffice.sheets.told import PRIVATE
from inventory.models import Sheet
from inventory.services.sheets.cells import text_of
from inventory.services.sheets.columns import WHY_REFUSED, WHY_REFUSED_NAME, WITH_REFUSED_COUNTS
from inventory.services.sheets.kinds import normalised
from inventory.services.sheets.registry import KINDS

# Such a number loses nothing as one; any other text stays as it is.
_PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})")


def refused_file(sheet: Sheet, may: Callable[[str], bool]) -> StreamingHttpResponse:
    """Answer with the file's own columns and cells, and why, to whom may see them. Raises: Busy."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", sheet.name.rsplit(".", 1)[0]).strip("-")[:60]
    places = _places(sheet, may)
    rows = _of_file(sheet, places) if sheet.header else _of_selection(sheet)
    return exported(f"{name or 'sheet'}-refused.csv", _header(sheet, places), rows)


def _header(sheet: Sheet, places: Sequence[int]) -> list[str]:
    names = [sheet.header[place] for place in places] or ["sku"]
    return [*names, *_beside(sheet), WHY_REFUSED]


def _places(sheet: Sheet, may: Callable[[str], bool]) -> list[int]:
    """All columns but that of an earlier file of refused lines, and what not everybody may see."""
    private = {name for name, permission in PRIVATE.items() if not may(permission)}
    return [
        place
        for place, (name, column) in enumerate(zip(sheet.header, sheet.columns, strict=True))
        if normalised(name) != WHY_REFUSED_NAME and column not in private
    ]


def _beside(sheet: Sheet) -> list[str]:
    """Columns that the file has not, and without which it would say something else later."""
    if sheet.kind != Sheet.Kind.COUNTS:
        return []
    if not sheet.header:
        return ["count", WITH_REFUSED_COUNTS]
    return [] if WITH_REFUSED_COUNTS in sheet.columns else [WITH_REFUSED_COUNTS]


def _of_file(sheet: Sheet, places: Sequence[int]) -> Iterator[Sequence[Any]]:
    holds = {column.name: column.holds for column in KINDS[Sheet.Kind(sheet.kind)].columns()}
    numbers = {
        place for place, name in enumerate(sheet.columns) if holds.get(name) == "whole number"
    }
    beside = [_moment(sheet)] if _beside(sheet) else []
    for cells, error in _refused(sheet, "cells", "error"):
        row = [text_of(cells[place]) if place < len(cells) else "" for place in places]
        yield [
            *(
                int(cell) if place in numbers and _PLAIN_NUMBER.fullmatch(cell) else cell
                for place, cell in zip(places, row, strict=True)
            ),
            *beside,
            error,
        ]


def _of_selection(sheet: Sheet) -> Iterator[Sequence[Any]]:
    if sheet.kind == Sheet.Kind.COUNTS:
        fields = ("sku", "units", "counted_at", "error")
        for sku, units, counted_at, error in _refused(sheet, *fields):
            yield sku, units, counted_at.isoformat() if counted_at else "", error
    else:
        yield from _refused(sheet, "product__sku", "error")


def _refused(sheet: Sheet, *fields: str) -> Iterator[Any]:
    lines = sheet.lines.exclude(error="").order_by("number").values_list(*fields)
    return iter(lines.iterator(EXPORT_ROWS))


def _moment(sheet: Sheet) -> str:
    """Lines that name no moment speak of the upload, also when they are sent again."""
    return timezone.localtime(sheet.as_of).isoformat(" ")
