"""The page on which somebody says what the columns of a file are."""

import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminSelectWidget

from backoffice.actions import Case, SeeingForm, written_standing
from backoffice.sheets import shown
from inventory.models import Sheet
from inventory.services.sheets import columns as columns_of_sheets
from inventory.services.sheets import processing
from inventory.services.sheets.cells import Wrong, number
from inventory.services.sheets.columns import Doubt, Doubts
from inventory.services.sheets.registry import KINDS

NOT_READ = "Not read"
_YES_OR_NO = {"yes": True, "no": False}


class ColumnsForm(SeeingForm):
    """A choice for each column and, where cells can be read in two ways, how they are meant."""

    # They are asked only of some columns: what was answered of others has no place any more.
    beside = ("day_first", "decimal_comma")

    def __init__(self, data: Any, *, sheet: Sheet, hidden: Collection[str] = ()) -> None:
        super().__init__(data, auto_id="id_%s")
        self.sheet = sheet
        self.fields["seen"].initial = written_standing(sheet.standing())
        guess = columns_of_sheets.guess(sheet.header, KINDS)
        self._columns = sheet.columns or guess.columns
        self._hidden = hidden
        choices = list(_choices(hidden))
        for place, name in enumerate(sheet.header):
            self.fields[_field(place)] = forms.ChoiceField(
                label=name or f"Column {place + 1}, which has no name",
                choices=choices,
                initial="" if self._columns[place] in hidden else self._columns[place],
                required=False,
                widget=UnfoldAdminSelectWidget,
            )
        self._add_doubts(columns_of_sheets.doubts(sheet, self._chosen_so_far(), KINDS))

    def _chosen_so_far(self) -> list[str]:
        names = [_field(place) for place in range(len(self.sheet.header))]
        if self.is_bound:
            return [self.data.get(name, "")[:100] for name in names]
        return [str(self.fields[name].initial) for name in names]

    def _add_doubts(self, doubts: Doubts) -> None:
        if doubts.day_first.cells:
            self.fields["day_first"] = _question(
                "Which of the two is the day?",
                doubts.day_first,
                ("The first: 3/4/2026 is 3 April", "The second: 3/4/2026 is 4 March"),
            )
        if doubts.decimal_comma.cells:
            cell = doubts.decimal_comma.cells[0]
            self.fields["decimal_comma"] = _question(
                "Which sign stands before the fraction?",
                doubts.decimal_comma,
                (
                    f"A comma, as in 1.234,50: {_meant(cell, True)}",
                    f"A point, as in 1,234.50: {_meant(cell, False)}",
                ),
            )

    @property
    def columns(self) -> list[str]:
        """What was chosen for each column."""
        return [self.cleaned_data[_field(place)] for place in range(len(self.sheet.header))]

    def answer(self, question: str) -> bool | None:
        return _YES_OR_NO.get(self.cleaned_data.get(question, ""))

    def rows(self) -> Iterator["ColumnRow"]:
        """What the page has of each column."""
        for place, cells in enumerate(columns_of_sheets.samples(self.sheet)):
            is_hidden = self._columns[place] in self._hidden
            yield ColumnRow(self[_field(place)], [] if is_hidden else cells)

    def questions(self) -> list[Any]:
        return [self[name] for name in ("day_first", "decimal_comma") if name in self.fields]


@dataclass(frozen=True)
class ColumnRow:
    field: Any
    samples: list[str]


def _field(place: int) -> str:
    return f"column_{place}"


def _choices(hidden: Collection[str]) -> Iterator[Any]:
    """Each column once: those that name a product, and then what each kind has beyond them."""
    yield "", NOT_READ
    listed = {*hidden}
    for code, kind in KINDS.items():
        for group, names_products in (("Which product", True), (code.label, False)):
            columns = [
                column
                for column in kind.columns()
                if column.name not in listed and (column.name in kind.named_by) == names_products
            ]
            listed.update(column.name for column in columns)
            if columns:
                yield group, [(column.name, column.label) for column in columns]


def _question(label: str, doubt: Doubt, choices: tuple[str, str]) -> forms.ChoiceField:
    answered = {True: "yes", False: "no", None: None}[doubt.answer]
    return forms.ChoiceField(
        label=f"{', '.join(doubt.cells)}: {label[:1].lower()}{label[1:]}",
        choices=list(zip(_YES_OR_NO, choices, strict=True)),
        initial=answered,
        required=False,
        widget=forms.RadioSelect,
    )


def _meant(cell: str, decimal_comma: bool) -> str:
    try:
        return f"{cell} is {number(cell, decimal_comma=decimal_comma)}"
    except Wrong:
        return f"{cell} is none"


def choose(case: Case[uuid.UUID], form: ColumnsForm) -> str:
    """Have the file checked by what was chosen. Raises: Refusal."""
    processing.choose_columns(
        case.subject,
        form.columns,
        day_first=form.answer("day_first"),
        decimal_comma=form.answer("decimal_comma"),
        actor=case.actor,
        may=shown.kinds_of(case.request),
        hidden=shown.hidden_from(case.request),
        seen=form.saw,
        key=form.key(case.request),
    )
    processing.hurry(case.subject)
    return ""
