"""What people type of variants: options, patterns, and what all of them begin with."""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.datastructures import MultiValueDict
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from api.errors import Refusal
from api.fields import UNITS_MAX
from backoffice.actions import ActionForm
from backoffice.forms import OnceForm, WholeNumberField
from backoffice.products.categories import CategoriesField, ids_of
from backoffice.products.money import price_field
from backoffice.products.prices_tab import price_fields
from inventory.models import Category, Currency, Parent, Product
from inventory.services import variants
from inventory.services.category_tree import Tree
from inventory.services.products import Money
from inventory.services.variants import (
    NAME_LENGTH_MAX,
    OPTIONS_MAX,
    SKU_LENGTH_MAX,
    VALUES_MAX,
    WORD_LENGTH_MAX,
    Pattern,
    Planned,
    Shared,
)

# Of fifty values with what stands between them.
VALUES_LENGTH_MAX = VALUES_MAX * (WORD_LENGTH_MAX + 2)


def words(
    length: int, label: str, help_text: str = "", *, required: bool = True
) -> forms.CharField:
    return forms.CharField(
        max_length=length,
        label=label,
        required=required,
        help_text=help_text,
        widget=UnfoldAdminTextInputWidget({"autocomplete": "off"}),
    )


class SharedFields(forms.Form):
    """What all variants that are made at once begin with, but for their prices."""

    status = forms.ChoiceField(
        choices=Product.Status.choices,
        initial=Product.Status.LIVE,
        widget=UnfoldAdminSelectWidget,
    )
    manage_stock = forms.BooleanField(
        label="Stock managed", required=False, initial=True, widget=UnfoldBooleanSwitchWidget
    )
    initial_stock = WholeNumberField(
        label="Units of each that are there now",
        required=False,
        initial=0,
        min_value=0,
        max_value=UNITS_MAX,
        widget=UnfoldAdminIntegerFieldWidget,
    )
    # Field name to currency; the store's default currency comes first.
    currencies: Mapping[str, Currency]

    def add_prices(self, amounts: Mapping[str, int] | None = None) -> None:
        """Add a field for each currency, with the amount that all variants cost so far."""
        self.currencies = price_fields()
        for name, currency in self.currencies.items():
            amount = (amounts or {}).get(currency.code)
            self.fields[name] = price_field(currency, initial=amount)

    def check_stock(self) -> None:
        if self.cleaned_data.get("initial_stock") and not self.cleaned_data.get("manage_stock"):
            self.add_error("initial_stock", "Only managed stock can start with units.")

    def shared(self, category_ids: Collection[Any]) -> Shared:
        typed = self.cleaned_data
        amounts = {code: typed[name] for name, code in self._codes()}
        return Shared(
            prices=[Money(code, amount) for code, amount in amounts.items() if amount is not None],
            status=typed["status"],
            manage_stock=typed["manage_stock"],
            initial_stock=typed["initial_stock"] or 0,
            category_ids=category_ids,
        )

    def _codes(self) -> Iterator[tuple[str, str]]:
        return ((name, currency.code) for name, currency in self.currencies.items())


class NewParentForm(OnceForm, SharedFields):
    """A parent with all its combinations: seen first, then made."""

    # Which of the combinations are ticked, and which were seen when they were.
    beside = ("make", "previewed")

    name = words(NAME_LENGTH_MAX, "Name", "What they share, such as Linen shirt.")
    sku_pattern = words(
        SKU_LENGTH_MAX,
        "SKUs",
        "{Size} stands for a variant's size. Empty: the name and every option.",
        required=False,
    )
    name_pattern = words(
        NAME_LENGTH_MAX, "Names", "Empty: the name and every option.", required=False
    )
    categories = CategoriesField()

    def __init__(self, data: Any = None) -> None:
        super().__init__(data)
        for number in range(1, OPTIONS_MAX + 1):
            is_first = number == 1
            self.fields[f"option_{number}"] = words(
                WORD_LENGTH_MAX, f"Option {number}", required=is_first
            )
            self.fields[f"values_{number}"] = words(
                VALUES_LENGTH_MAX,
                f"Values of option {number}",
                "With commas between them." if is_first else "",
                required=is_first,
            )
        self.fields["option_1"].widget.attrs["placeholder"] = "Size"
        self.fields["values_1"].widget.attrs["placeholder"] = "S, M, L"
        self.fields["categories"].show(Tree())  # type: ignore[attr-defined]
        self.add_prices()
        self.planned: list[Planned] = []

    @property
    def differing(self) -> list[Any]:
        """The fields of the options, each beside its values."""
        names = [(f"option_{n}", f"values_{n}") for n in range(1, OPTIONS_MAX + 1)]
        return [(self[option], self[values]) for option, values in names]

    @property
    def beginning(self) -> list[Any]:
        """The fields of what they begin with."""
        return [
            self[name] for name in (*self.currencies, "status", "manage_stock", "initial_stock")
        ]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        self.check_stock()
        if not self.errors:
            try:
                self.options = variants.options(self._named(cleaned))
                self.pattern = self._pattern(cleaned)
                self.planned = variants.plan(self.pattern, variants.combinations(self.options))
            except Refusal as refusal:
                self.add_error(None, str(refusal))
        return cleaned

    def _named(self, typed: Mapping[str, Any]) -> list[tuple[str, Sequence[str]]]:
        named = [(typed[f"option_{n}"], typed[f"values_{n}"]) for n in range(1, OPTIONS_MAX + 1)]
        return [(name, values.split(",")) for name, values in named if name or values]

    def _pattern(self, typed: Mapping[str, Any]) -> Pattern:
        values = [f"{{{option.name}}}" for option in self.options]
        name = str(typed["name"]).replace("{", "").replace("}", "")
        return Pattern(
            typed["name_pattern"] or ", ".join([name, *values]),
            typed["sku_pattern"] or "-".join(["-".join(name.upper().split()), *values]),
        )

    @property
    def mark(self) -> str:
        """By which it is known whether what was ticked is what will be made."""
        return hashlib.sha256(repr(self.planned).encode()).hexdigest()[:16]

    @property
    def category_ids(self) -> set[Any]:
        chosen: Collection[Category] = self.cleaned_data["categories"]
        return ids_of(chosen)

    def is_to_be_seen_again(self, request: HttpRequest, **now: str) -> None:
        ticked = request.POST.getlist("categories")
        super().is_to_be_seen_again(request, **now)
        data: MultiValueDict[str, Any] = MultiValueDict(
            {name: [value] for name, value in self.data.items()}
        )
        data.setlist("categories", ticked)
        self.data = data


class RenameForm(ActionForm):
    name = words(NAME_LENGTH_MAX, "Name")

    def __init__(self, data: Any, *, case: Any) -> None:
        super().__init__(data, case=case)
        self.fields["name"].initial = case.subject.name


class AddValueForm(ActionForm, SharedFields):
    value = words(WORD_LENGTH_MAX, "New value")
    sku_pattern = words(SKU_LENGTH_MAX, "SKUs")
    name_pattern = words(NAME_LENGTH_MAX, "Names")
    field_order = ("option", "value", "sku_pattern", "name_pattern")

    def __init__(self, data: Any, *, case: Any) -> None:
        super().__init__(data, case=case)
        parent: Parent = case.subject
        self.fields["option"] = choice(
            "Option", [each.name for each in variants.options_of(parent)]
        )
        for name in ("sku_pattern", "name_pattern"):
            self.fields[name].initial = getattr(parent, name)
        self.add_prices(case.prices)
        self.order_fields(self.field_order)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        self.check_stock()
        return cleaned


class PutInForm(ActionForm):
    product = words(SKU_LENGTH_MAX, "SKU or barcode of the product")

    def __init__(self, data: Any, *, case: Any) -> None:
        super().__init__(data, case=case)
        self.options = variants.options_of(case.subject)
        for number, option in enumerate(self.options):
            self.fields[f"option_{number}"] = choice(option.name, option.values)

    @property
    def combination(self) -> dict[str, str]:
        return {
            option.name: self.cleaned_data[f"option_{number}"]
            for number, option in enumerate(self.options)
        }


def choice(label: str, values: Sequence[str]) -> forms.ChoiceField:
    return forms.ChoiceField(
        label=label,
        choices=[(value, value) for value in values],
        initial=values[0],
        widget=UnfoldAdminSelectWidget,
    )
