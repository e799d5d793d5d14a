"""Tables of figures: as people read them, each number with its list, and as files hold them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from inventory.models import Currency
from inventory.services import currencies


class Column(NamedTuple):
    title: str
    is_number: bool = False


class Cell(NamedTuple):
    text: str
    link: str = ""
    # Of a hundred, where a bar is drawn beside it.
    share: int | None = None
    note: str = ""
    is_number: bool = False


@dataclass(frozen=True)
class Row:
    cells: Sequence[Cell]
    # The same for a file, in its columns.
    written: Sequence[Any] = ()


@dataclass(frozen=True)
class Table:
    columns: Sequence[Column]
    rows: Sequence[Row]
    file_columns: Sequence[str]
    # Said where there are no rows.
    empty: str
    totals: Sequence[Row] = field(default_factory=list)


def currency_of(code: str) -> Currency:
    return currencies.by_code()[code]


def formatted(amount: int, code: str) -> str:
    return currency_of(code).formatted(amount)


def plain(amount: int, code: str) -> Decimal:
    """Write an amount in major units, as a number that spreadsheets add up."""
    return currency_of(code).in_major_units(amount)


def share_of(number: int, highest: int) -> int:
    return round(100 * number / highest) if highest > 0 and number > 0 else 0


def percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ""
