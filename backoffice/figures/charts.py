"""Bars over days, as numbers that a template draws as SVG: no script, no style of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

# What a chart measures, in the SVG's own units: it is stretched to the width that there is.
WIDTH, HEIGHT = 1000, 160


class Bar(NamedTuple):
    x: float
    y: float
    width: float
    height: float
    series: str
    told: str


@dataclass(frozen=True)
class Chart:
    title: str
    bars: Sequence[Bar]
    # What its height stands for.
    highest: str
    first: str
    last: str
    # What those read who cannot see it; the numbers stand in the table below.
    told: str
    legend: Sequence[str]
    width: int = WIDTH
    height: int = HEIGHT


class Series(NamedTuple):
    name: str
    # By day; a day without is zero.
    amounts: Mapping[date, int]


def bars(title: str, days: Sequence[date], series: Sequence[Series], written: object) -> Chart:
    """Draw one bar for each day and series, those of a day beside each other."""
    say = written if callable(written) else str
    highest = max((amount for each in series for amount in each.amounts.values()), default=0)
    step = WIDTH / len(days)
    width = step * 0.8 / len(series)
    drawn = [
        Bar(
            round(position * step + step * 0.1 + number * width, 2),
            round(HEIGHT - _height(each.amounts.get(day, 0), highest), 2),
            round(width, 2),
            round(_height(each.amounts.get(day, 0), highest), 2),
            each.name.lower(),
            f"{day}: {each.name.lower()} {say(each.amounts[day])}",
        )
        for position, day in enumerate(days)
        for number, each in enumerate(series)
        if each.amounts.get(day)
    ]
    sums = ", ".join(
        f"{each.name.lower()} {say(sum(each.amounts.values()))} in all" for each in series
    )
    told = f"{title}, {days[0]} to {days[-1]}: {sums}; at most {say(highest)} on a day."
    names = [each.name for each in series]
    return Chart(title, drawn, say(highest), str(days[0]), str(days[-1]), told, names)


def _height(amount: int, highest: int) -> float:
    """Let the least amount be seen."""
    return max(2.0, HEIGHT * amount / highest) if amount > 0 else 0.0
