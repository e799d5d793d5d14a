"""Which days are asked for."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import ValidationError

from backoffice import dates
from backoffice.figures.days import Period
from backoffice.products.forms import DayField

USUAL = "30-days"
MONTHS = 12


# Of these days each page offers what is short enough for it.
PRESETS = {
    "today": "Today",
    "7-days": "7 days",
    "30-days": "30 days",
    "this-month": "This month",
    "last-month": "Last month",
    "this-year": "This year",
}


class PeriodForm(forms.Form):
    since = DayField(label="From")
    until = DayField(label="To")

    def __init__(self, data: Any, *, longest: int) -> None:
        first, last = dates.spans()[USUAL]
        asked = {"since": str(first), "until": str(last)}
        asked.update({name: data[name] for name in asked if data.get(name)})
        super().__init__(asked, label_suffix="")
        self.longest = longest

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not self.errors:
            length = self.period.length
            if length < 1:
                raise ValidationError({"until": "That is before the first day."})
            if length > self.longest:
                raise ValidationError({"since": f"At most {self.longest} days at a time."})
        return cleaned

    @property
    def period(self) -> Period:
        return Period(self.cleaned_data["since"], self.cleaned_data["until"])


class Preset(NamedTuple):
    title: str
    link: str
    is_open: bool


def presets(chosen: Period | None, longest: int) -> Iterator[Preset]:
    """Offer what people mostly ask for, as far as it is short enough."""
    spans = dates.spans()
    for name, title in PRESETS.items():
        period = Period(*spans[name])
        if period.length <= longest:
            yield Preset(title, f"?{query_of(period)}", period == chosen)


def query_of(period: Period, **more: str) -> str:
    return urlencode({"since": period.first, "until": period.last, **more})


def month_of(day: date) -> Period:
    after = (day.replace(day=1) + timedelta(days=31)).replace(day=1)
    return Period(day.replace(day=1), after - timedelta(days=1))


def months_until(day: date) -> list[Period]:
    """The twelve months of which the last one has this day, newest first."""
    months = [month_of(day)]
    while len(months) < MONTHS:
        months.append(month_of(months[-1].first - timedelta(days=1)))
    return months
