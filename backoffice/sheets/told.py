"""What a line of a sheet of products does, field by field, as people read it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.utils.text import Truncator

from backoffice.history import LENGTH_SHOWN, NOTHING
from inventory.models import ProductLine
from inventory.services.sheets.product_lines import words_of, written

# Fields whose values are for those with a permission; others learn that there is one.
_PRIVATE = {"cost": "inventory.view_cost"}


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
                is_private=name in _PRIVATE and not may(_PRIVATE[name]),
                was_taken_back=told.get("back", False),
            )
            for told in line.fields
            for name in [told["field"]]
        ]


def _shortened(text: str) -> str:
    return Truncator(text).chars(LENGTH_SHOWN) or NOTHING
