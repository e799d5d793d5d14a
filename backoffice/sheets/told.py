"""What a sheet of products does, and what each of its lines does field by field, in words."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.text import Truncator

from backoffice.history import LENGTH_SHOWN, NOTHING
from inventory.models import ProductLine, Sheet
from inventory.services import currencies
from inventory.services.sheets.product_lines import words_of, written

# Fields whose values are for those with a permission; others learn that there is one.
PRIVATE = {"cost": "inventory.view_cost"}


@dataclass(frozen=True)
class Told:
    label: str
    before: str
    after: str
    # A new product had nothing before.
    is_new: bool
    is_private: bool
    was_taken_back: bool


def tell(lines: Iterable[ProductLine], may: Callable[[str], bool]) -> None:
    """Give each line its fields in words, as `told`."""
    for line in lines:
        line.told = [  # type: ignore[attr-defined]
            Told(
                label=words_of(name)[:1].upper() + words_of(name)[1:],
                before=_shortened(written(name, told["before"])),
                after=_shortened(written(name, told["after"])),
                is_new=line.what == ProductLine.What.CREATE,
                is_private=name in PRIVATE and not may(PRIVATE[name]),
                was_taken_back=told.get("back", False),
            )
            for told in line.fields
            for name in [told["field"]]
        ]


def told_prices(sheet: Sheet) -> list[str]:
    """Say in a sentence for each currency what the sheet does to prices, if it changes several."""
    return [_told_prices(each) for each in sheet.price_sums if sheet.changed > 1]


def _told_prices(sums: Mapping[str, Any]) -> str:
    currency = currencies.by_code().get(sums["currency"])
    what = {"up": "up", "down": "down", "new": "new", "gone": "taken away"}
    counts = [f"{sums[name]:,} {words}" for name, words in what.items() if sums[name]]
    sentence = f"Prices in {sums['currency']}: {', '.join(counts)}"
    if currency is None or sums["least"] is None:
        return f"{sentence}."
    least, greatest = (currency.formatted(sums[name]) for name in ("least", "greatest"))
    return f"{sentence}; the lowest is {least} then, and the highest {greatest}."


def _shortened(text: str) -> str:
    return Truncator(text).chars(LENGTH_SHOWN) or NOTHING
