"""What people type about products in the admin: their fields, quantities, reasons, moments."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from api import clock, store
from api.codes import fault_of, tidied
from api.fields import UNITS_MAX
from backoffice import movements
from backoffice.actions import UNSEEN, ActionForm, Case
from backoffice.dates import midnight
from backoffice.forms import OnceForm, WholeForm, WholeNumberField
from backoffice.products.categories import CategoriesField
from backoffice.products.money import CostField, price_field
from backoffice.scanning import QuantityField
from inventory.models import Action, Currency, Product
from inventory.services import codes, pictures
from inventory.services.category_tree import Tree
from inventory.services.products import Money

# Beyond these the arithmetic of dates ends.
FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(2999, 12, 31)

# The box that says that somebody has read of other products with such a code, and of which.
TOLD_OF = "_told_of"
ALIKE_SHOWN = 3

# What the Inventory tab does besides the log's actions.
COUNT = "count"
BIGINT_MAX = 2**63 - 1


class ProductForm(forms.ModelForm):
    categories = CategoriesField()

    class Meta:
        model = Product
        fields = [
            *("name", "sku", "slug", "description", "status", "commodity_type", "barcode"),
            "image_url",
            *("low_stock_threshold", "categories"),
        ]
        field_classes = {"low_stock_threshold": WholeNumberField}
        labels = {"image_url": "Image URL", "sku": "SKU"}
        help_texts = {
            "slug": "Part of the product's address. Made from the name if left empty.",
            "status": "Shoppers see live products only.",
            "low_stock_threshold": "With this many available units or fewer, the dashboard names "
            "it. Empty: the store's threshold.",
            "image_url": "A picture on another server, over https. Shown where the product has no "
            "picture of its own.",
            "barcode": "EAN, UPC or any other code that is scanned.",
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if "categories" in self.fields:
            self.fields["categories"].show(Tree())  # type: ignore[attr-defined]

    def clean_image_url(self) -> str:
        """Keep an address that was not changed; any other must be one that browsers show."""
        address = str(self.cleaned_data["image_url"])
        if "image_url" in self.changed_data and (fault := pictures.fault_of_address(address)):
            raise ValidationError(fault, code="address")
        return address

    def clean_sku(self) -> str:
        return self._code("sku")

    def clean_barcode(self) -> str:
        return self._code("barcode")

    def _code(self, name: str) -> str:
        """Keep a code that was not changed; any other must be one that people can type again."""
        written = str(self.cleaned_data[name])
        if name not in self.changed_data:
            return written
        code = tidied(written)
        if written and not code:
            raise ValidationError("There is nothing in it that can be seen.", code="unseen")
        if fault := fault_of(code):
            raise ValidationError(fault, code="unseen")
        return code

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        alike = {
            name: self._look_alikes(name, cleaned[name])
            for name in ("sku", "barcode")
            if cleaned.get(name) and name in self.changed_data
        }
        ids = {str(each.id) for products in alike.values() for each in products}
        if not ids <= set(self.data.get(TOLD_OF, "").split()):
            for name, products in alike.items():
                if products:
                    self.add_error(name, _are_alike(products, ids))
        return cleaned

    def _look_alikes(self, name: str, code: str) -> list[codes.Spelled]:
        found = codes.look_alikes([code], besides=self.instance.pk)
        # The very same sku is refused anyway.
        return [each for each in found if name != "sku" or each.sku != code]


def _are_alike(products: Sequence[codes.Spelled], ids: Collection[str]) -> SafeString:
    """Say which products would be taken for this one, and let it be saved all the same."""
    shown = [
        f"{each.name} ({each.sku}{f', {each.barcode}' if each.barcode else ''})"
        for each in products[:ALIKE_SHOWN]
    ]
    if len(products) > ALIKE_SHOWN:
        shown.append(f"{len(products) - ALIKE_SHOWN} more")
    return format_html(
        "To people and scanners this is the code of another product, too: {}. <label><input "
        'type="checkbox" name="{}" value="{}"> Save it all the same</label>',
        "; ".join(shown),
        TOLD_OF,
        " ".join(sorted(ids)),
    )


class NewProductForm(WholeForm, ProductForm):
    """A product with its prices and its first stock. The admin adds the fields of money."""

    # Field name to currency; the store's default currency comes first.
    currencies: Mapping[str, Currency] = {}
    cost_fields: Mapping[str, CostField] = {}

    manage_stock = forms.BooleanField(
        label="Stock managed",
        required=False,
        initial=True,
        widget=UnfoldBooleanSwitchWidget,
        help_text="Off: it never runs out, and nothing is counted or logged.",
    )
    initial_stock = WholeNumberField(
        required=False,
        initial=0,
        min_value=0,
        max_value=UNITS_MAX,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="Units that are there now. Afterwards stock moves on the Inventory tab only.",
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if cleaned.get("initial_stock") and not cleaned.get("manage_stock"):
            self.add_error("initial_stock", "Only managed stock can start with units.")
        return cleaned

    @property
    def amounts(self) -> dict[str, int]:
        """The prices that were typed, by currency code."""
        typed = {
            currency.code: self.cleaned_data.get(name) for name, currency in self.currencies.items()
        }
        return {code: amount for code, amount in typed.items() if amount is not None}

    @property
    def cost(self) -> Money | None:
        return next((self.cleaned_data.get(name) for name in self.cost_fields), None)


def with_money(
    currencies: Mapping[str, Currency], cost_fields: Mapping[str, CostField]
) -> type[NewProductForm]:
    """Give the form of a new product one price field for each currency, and the cost."""
    prices = {name: price_field(currency) for name, currency in currencies.items()}
    known = {"currencies": currencies, "cost_fields": cost_fields}
    return type("PricedProductForm", (NewProductForm,), {**prices, **cost_fields, **known})


class MomentField(forms.DateTimeField):
    """A moment in the store's time, picked in the browser, and read as in a file of counts."""

    def __init__(self, **options: Any) -> None:
        widget = UnfoldAdminTextInputWidget({"type": "datetime-local", "step": "any"})
        super().__init__(required=False, widget=widget, **options)

    def to_python(self, value: Any) -> datetime | None:
        written = str(value or "").strip()
        try:
            return store.moment_written(written) if written else None
        except store.NoMoment as wrong:
            raise ValidationError(str(wrong), code="invalid") from wrong

    def clean(self, value: Any) -> datetime | None:
        moment: datetime | None = super().clean(value)
        if moment and not FIRST_DAY < moment.date() < LAST_DAY:
            raise ValidationError("Too far away.")
        return moment


class DayField(forms.DateField):
    def __init__(self, **options: Any) -> None:
        widget = UnfoldAdminTextInputWidget({"type": "date"})
        super().__init__(required=False, widget=widget, **options)

    def clean(self, value: Any) -> date | None:
        day: date | None = super().clean(value)
        if day and not FIRST_DAY < day < LAST_DAY:
            raise ValidationError("Too far away.")
        return day


class OperationForm(OnceForm):
    """Allocate, deallocate, increment, decrement or count, by hand: one form with five tabs."""

    action = forms.ChoiceField(
        choices=[*Action.choices, (COUNT, "Count")], widget=forms.HiddenInput
    )
    quantity = QuantityField(
        min_value=0,
        max_value=UNITS_MAX,
        widget=UnfoldAdminIntegerFieldWidget(
            {"placeholder": "0", "min": 0, "autocomplete": "off", "autofocus": True}
        ),
    )
    reason = forms.CharField(
        # A count writes its own words before it.
        max_length=400,
        required=False,
        widget=UnfoldAdminTextInputWidget({"list": "reasons", "autocomplete": "off"}),
    )
    counted_at = MomentField()
    # The number of the last entry of the log that this form was made after.
    seen = WholeNumberField(
        required=False, min_value=0, max_value=BIGINT_MAX, widget=forms.HiddenInput
    )
    confirmed = forms.BooleanField(required=False, widget=forms.HiddenInput)

    def clean_counted_at(self) -> datetime | None:
        moment: datetime | None = self.cleaned_data["counted_at"]
        if moment and moment > clock.now():
            raise ValidationError("Nothing was counted at a moment to come.")
        return moment

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if "counted_at" in self.errors:
            # What may have to be written instead, a moment in UTC, no picker takes.
            self._write_moment_as_text()
        if cleaned.get("seen") is None:
            self.add_error(None, UNSEEN)
        if cleaned.get("action") == COUNT:
            return cleaned
        if cleaned.get("quantity") == 0:
            self.add_error("quantity", "At least 1.")
        if not cleaned.get("reason") and "reason" not in self.errors:
            self.add_error("reason", "Say why: the log keeps it.")
        return cleaned

    @property
    def moment_of_count(self) -> datetime | None:
        return self.cleaned_data.get("counted_at") if self.is_bound else None

    def to_be_confirmed(self, now: datetime, warning: str) -> "OperationForm":
        """Make the form that is sent next, if the stock moved while this one was open.

        Its moment is fixed: whatever moves until it is sent again moved after the count.
        """
        moment = timezone.localtime(self.cleaned_data["counted_at"] or now)
        written = moment.replace(tzinfo=None).isoformat(timespec="milliseconds")
        fixed = {**dict(self.data.items()), "confirmed": "on"}
        again = OperationForm({**fixed, "counted_at": written})
        if not again.is_valid() and "counted_at" in again.errors:
            # This local time was there twice.
            again = OperationForm({**fixed, "counted_at": moment.astimezone(UTC).isoformat()})
            again.is_valid()
            again._write_moment_as_text()
        again.add_error(None, warning)
        return again

    def _write_moment_as_text(self) -> None:
        self.fields["counted_at"].widget.attrs["type"] = "text"


class StartManagingForm(ActionForm):
    beside = ("action",)

    quantity = QuantityField(
        label="Units that are there now",
        min_value=0,
        max_value=UNITS_MAX,
        initial=0,
        widget=UnfoldAdminIntegerFieldWidget,
    )

    def __init__(self, data: Any, *, case: Case[Product]) -> None:
        super().__init__(data, case=case)
        self.auto_id = "id_start_%s"


class HistoryForm(forms.Form):
    """What of a product's log is asked for."""

    movement = forms.ChoiceField(
        choices=[("", "Any"), *((word, word) for word in movements.WORDS)],
        required=False,
        widget=UnfoldAdminSelectWidget,
    )
    who = forms.CharField(max_length=200, required=False, widget=UnfoldAdminTextInputWidget)
    order = forms.CharField(
        max_length=64,
        required=False,
        widget=UnfoldAdminTextInputWidget({"placeholder": "#1001"}),
    )
    since = DayField(label="From")
    until = DayField(label="To")

    def __init__(self, data: Any, *, with_orders: bool) -> None:
        super().__init__(data, label_suffix="")
        if not with_orders:
            del self.fields["order"]

    @property
    def filled(self) -> dict[str, Any]:
        """What was asked, as it is asked again for the next page."""
        return {name: self.data[name] for name in self.fields if self.data.get(name)}

    @property
    def period(self) -> tuple[datetime | None, datetime | None]:
        """The beginning of the first day, and the end of the last one, in the store's time."""
        since, until = self.cleaned_data.get("since"), self.cleaned_data.get("until")
        return since and midnight(since), until and midnight(until + timedelta(days=1))


class MomentForm(forms.Form):
    at = MomentField(label="At this moment")

    def clean_at(self) -> datetime | None:
        moment: datetime | None = self.cleaned_data["at"]
        if moment and moment > clock.now():
            raise ValidationError("Nobody knows the stock of a moment to come.")
        return moment

    def __init__(self, data: Any) -> None:
        super().__init__(data, label_suffix="", auto_id="id_moment_%s")
