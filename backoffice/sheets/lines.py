"""Some of a sheet's lines: found by their numbers, so that every page costs the same."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import Count

from backoffice.base import PER_PAGE
from backoffice.sheets import shown
from inventory.models import Sheet


@dataclass(frozen=True)
class LinesTab:
    label: str
    query: str
    lines: str
    is_shown: bool


@dataclass(frozen=True)
class LinesPage:
    lines: list[Any]
    # The number that the neighbouring page begins after; None where there is none.
    next: int | None
    previous: int | None
    when_empty: str


def tabs(sheet: Sheet, asked: str) -> list[LinesTab]:
    of_kind = shown.of(sheet).tabs
    counts = sheet.lines.aggregate(
        **{name: Count("pk", filter=condition) for name, (_, condition, _) in of_kind.items()}
    )
    return [
        LinesTab(label, f"?show={name}", f"{counts[name]:,}", name == asked)
        for name, (label, *_) in of_kind.items()
    ]


def page(sheet: Sheet, asked: str, after: str, may: Callable[[str], bool]) -> LinesPage:
    """Return the lines after a number. `may` tells whether who looks has a permission."""
    _, condition, when_empty = shown.of(sheet).tabs[asked]
    lines = sheet.lines.filter(condition).defer("cells")
    begin = int(after) if after.isdecimal() and len(after) < 10 else 0
    following = lines.filter(number__gt=begin).order_by("number")
    found = list(following.select_related(*shown.of(sheet).related)[: PER_PAGE + 1])
    before = lines.filter(number__lte=begin).order_by("-number").values_list("number", flat=True)
    numbers = list(before[:PER_PAGE])
    has_more = len(found) > PER_PAGE
    found = found[:PER_PAGE]
    shown.of(sheet).tell(found, may)
    return LinesPage(
        found,
        next=found[-1].number if has_more else None,
        previous=numbers[-1] - 1 if numbers else None,
        when_empty=when_empty,
    )
