"""What people do with a stocktake as a whole, or with one product of it, by hand."""

from dataclasses import dataclass
from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
    UnfoldBooleanWidget,
)

from api.errors import Standing
from api.fields import UNITS_MAX
from backoffice.actions import Action, ActionForm, Case
from backoffice.base import is_number, number_of
from backoffice.forms import OnceForm
from backoffice.scanning import QuantityField
from inventory.models import Stocktake, StocktakeLine
from inventory.services import category_tree, stocktakes

MAY_SCAN = "inventory.change_stocktake"
# What it ends in changes stock, once it is applied.
MAY_CLOSE = "inventory.change_stock"


class BeginForm(OnceForm):
    name = forms.CharField(max_length=100, widget=UnfoldAdminTextInputWidget)
    category = forms.TypedChoiceField(
        label="What is counted",
        required=False,
        coerce=lambda written: written,
        empty_value=None,
        widget=UnfoldAdminSelectWidget,
        help_text="Those below a category are counted, too. What comes to the store later is not "
        "on the list, and can be scanned all the same.",
    )
    is_blind = forms.BooleanField(
        label="Keep what the books say from those who count",
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text="Until it is closed its pages show what was counted, and nothing else.",
    )

    def __init__(self, data: Any, **options: Any) -> None:
        super().__init__(data, **options)
        named = ((str(pk), path) for pk, path in category_tree.paths().items())
        self.fields["category"].choices = [("", "All products"), *named]  # type: ignore[attr-defined]


@dataclass(frozen=True)
class StocktakeCase(Case[Stocktake]):
    recorded_already = "This was done already, and not a second time."

    def standing(self) -> Standing:
        return self.subject.standing()


def _of(products: int) -> str:
    return number_of(products, "product")


# Closing.


class CloseForm(ActionForm):
    rest = forms.ChoiceField(
        label="What was not counted",
        choices=[
            ("leave", "Leave it as the books have it"),
            ("none", "Count it as 0: there is none of it on any shelf"),
        ],
        initial="leave",
        widget=UnfoldAdminRadioSelectWidget,
    )

    def __init__(self, data: Any, *, case: StocktakeCase) -> None:
        super().__init__(data, case=case)
        if not case.subject.left:
            del self.fields["rest"]


def _what_closing_does(case: StocktakeCase) -> list[str]:
    stocktake = case.subject
    effects = [
        f"Makes a sheet of {_of(stocktake.counted)}, each counted when it was scanned last. Next "
        "you see what it will change, and nothing is changed before you apply it."
    ]
    if stocktake.left:
        were = "was" if stocktake.left == 1 else "were"
        effects.append(f"{_of(stocktake.left).capitalize()} on the list {were} not counted.")
    return effects


def _require_closable(case: StocktakeCase) -> None:
    case.subject.require_counted()


def _close(case: StocktakeCase, form: CloseForm) -> str:
    stocktakes.close(
        case.subject.pk,
        actor=case.actor,
        rest_is_none=form.cleaned_data.get("rest") == "none",
        seen=form.saw,
        key=form.key(case.request),
    )
    return f"{case.subject} is closed. Here is what it comes to."


CLOSE: Action[StocktakeCase] = Action(
    "close",
    "Close",
    MAY_CLOSE,
    _close,
    effects=_what_closing_does,
    guard=_require_closable,
    form=CloseForm,
    heading="Close {subject}?",
)


# Giving it up, and going on with it.


def _require_open(case: StocktakeCase) -> None:
    case.subject.require(Stocktake.State.OPEN)


def _what_discarding_does(case: StocktakeCase) -> list[str]:
    return [
        f"What was counted of {_of(case.subject.counted)} is forgotten, and cannot be brought "
        "back. The stock stays as it is."
    ]


def _discard(case: StocktakeCase, form: ActionForm) -> str:
    key = form.key(case.request)
    stocktakes.discard(case.subject.pk, actor=case.actor, seen=form.saw, key=key)
    return f"{case.subject} is discarded. Nothing was changed."


DISCARD: Action[StocktakeCase] = Action(
    "discard",
    "Discard",
    MAY_SCAN,
    _discard,
    effects=_what_discarding_does,
    guard=_require_open,
    dangerous=True,
    heading="Discard {subject}?",
)


def _require_reopenable(case: StocktakeCase) -> None:
    case.subject.require_reopenable()


def _reopen(case: StocktakeCase, form: ActionForm) -> str:
    key = form.key(case.request)
    stocktakes.reopen(case.subject.pk, actor=case.actor, seen=form.saw, key=key)
    return f"{case.subject} is open again."


REOPEN: Action[StocktakeCase] = Action(
    "reopen",
    "Go on counting",
    MAY_SCAN,
    _reopen,
    effects=lambda case: ["What was counted until it was closed is still there."],
    guard=_require_reopenable,
    heading="Open {subject} again?",
)


# One product, by hand.


@dataclass(frozen=True)
class LineCase(Case[StocktakeLine]):
    sent_differently = "This form was sent before, with another number."

    def standing(self) -> Standing:
        units = self.subject.units
        return {"counted": "" if units is None else str(units)}

    def worded(self, part: Any) -> str:
        return str(part) if part else "not counted"


class LineForm(ActionForm):
    units = QuantityField(
        label="Units that are there in all, counted now",
        required=False,
        min_value=0,
        max_value=UNITS_MAX,
        widget=UnfoldAdminIntegerFieldWidget({"min": 0, "autocomplete": "off", "autofocus": True}),
        help_text="0 if there is none. Empty if it was not counted after all.",
    )
    # Offered with many units only, which look like a mistake.
    confirmed = forms.BooleanField(
        label="It is a quantity, and right", required=False, widget=UnfoldBooleanWidget
    )

    def __init__(self, data: Any, *, case: LineCase) -> None:
        super().__init__(data, case=case)
        self.fields["units"].initial = case.subject.units
        typed = str((data or {}).get("units", "")).strip()
        if len(typed) < len(str(stocktakes.MANY_UNITS)):
            self.fields["confirmed"].widget = forms.HiddenInput()


def _require_open_line(case: LineCase) -> None:
    case.subject.stocktake.require(Stocktake.State.OPEN)


def _count(case: LineCase, form: LineForm) -> str:
    saw = str(form.saw.get("counted", ""))
    line = stocktakes.count(
        case.subject.stocktake_id,
        case.subject.pk,
        form.cleaned_data["units"],
        seen=int(saw) if is_number(saw) else None,
        confirmed=form.cleaned_data["confirmed"],
        key=form.key(case.request),
    )
    counted = "not counted" if line.units is None else f"{line.units:,} counted"
    return f"{line.product}: {counted}."


COUNT_LINE: Action[LineCase] = Action(
    "count",
    "Count",
    MAY_SCAN,
    _count,
    guard=_require_open_line,
    form=LineForm,
    heading="{subject.product}",
    label=lambda case: "Save",
)
