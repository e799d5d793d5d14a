"""What people type in the admin: money in major units, quantities, reasons."""

import re
from collections.abc import Mapping
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from api.admin import OnceForm
from api.fields import AMOUNT_MAX, UNITS_MAX
from api.models import CART_EXPIRY_DAYS_MAX, PAGE_LENGTH_MAX, StoreSettings
from inventory.models import Currency, Product
from inventory.services import currencies, currency_named


class MoneyField(forms.Field):
    """An amount as people write it, 12.50, read as the currency's smallest unit, 1250."""

    def __init__(self, currency: Currency, **options: Any) -> None:
        self.currency = currency
        options.setdefault("widget", _money_widget(currency))
        super().__init__(**options)

    def prepare_value(self, value: Any) -> Any:
        return self.currency.major_units(value) if isinstance(value, int) else value

    def to_python(self, value: Any) -> int | None:
        written = self._without_symbol(str(value or ""))
        if not written:
            return None
        if written.startswith("-"):
            raise ValidationError("An amount cannot be negative.", code="negative")
        match = self._pattern().fullmatch(written)
        if match is None:
            raise ValidationError(self._wrong(written), code="invalid")
        whole = match["whole"].replace(self.currency.thousand_separator, "")
        fraction = (match["fraction"] or "").ljust(self.currency.decimal_places, "0")
        # Not made a number before its length is known: that would take Python long.
        if len(whole) > len(str(AMOUNT_MAX)) or int(whole + fraction) > AMOUNT_MAX:
            raise ValidationError("This amount is too large.", code="too_large")
        return int(whole + fraction)

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.to_python(data) != initial)
        except ValidationError:
            return True

    def _without_symbol(self, written: str) -> str:
        """Accept the price as it is shown elsewhere, $12.50, too."""
        before, _, after = self.currency.format.partition("{price}")
        return written.strip().removeprefix(before).removesuffix(after).strip()

    def _pattern(self) -> re.Pattern[str]:
        digits = self.currency.decimal_places
        group = re.escape(self.currency.thousand_separator)
        whole = rf"[0-9]+|[0-9]{{1,3}}(?:{group}[0-9]{{3}})+" if group else "[0-9]+"
        point = re.escape(self.currency.decimal_point)
        fraction = rf"(?:{point}(?P<fraction>[0-9]{{1,{digits}}}))?" if digits else "(?P<fraction>)"
        return re.compile(rf"(?P<whole>{whole}){fraction}")

    def _wrong(self, written: str) -> str:
        digits = self.currency.decimal_places
        _, point, fraction = written.rpartition(self.currency.decimal_point)
        if point and fraction.isdecimal() and len(fraction) > digits:
            allowed = f"at most {digits} digits" if digits else "no digits"
            return f"{self.currency.code} has {allowed} after the decimal point."
        return f"Write the amount in {self.currency.code} like {_example(self.currency)}."


def _example(currency: Currency) -> str:
    return currency.major_units(1250 if currency.decimal_places == 2 else 12345)


def _money_widget(currency: Currency) -> forms.Widget:
    return UnfoldAdminTextInputWidget(
        {"inputmode": "decimal", "autocomplete": "off", "placeholder": _example(currency)}
    )


class ProductForm(forms.ModelForm):
    """A product and its price in each currency. The admin adds the price fields: `price_fields`."""

    # Field name to currency; the store's default currency comes first, as `price`.
    currencies: Mapping[str, Currency] = {}

    class Meta:
        model = Product
        fields = [
            *("name", "sku", "slug", "description", "status", "commodity_type", "barcode"),
            "image_url",
            "low_stock_threshold",
        ]
        labels = {"image_url": "Image URL", "sku": "SKU"}
        help_texts = {
            "slug": "Part of the product's address. Made from the name if left empty.",
            "status": "Shoppers see live products only.",
            "low_stock_threshold": "With this many available units or fewer, the dashboard names "
            "it. Empty: the store's threshold.",
            "barcode": "EAN, UPC or any other code that is scanned.",
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.instance.pk and not self.instance._state.adding:
            amounts = {price.currency_id: price.amount for price in self.instance.prices.all()}
            for name, currency in self.currencies.items():
                self.initial.setdefault(name, amounts.get(currency.code))

    @property
    def amounts(self) -> dict[str, int]:
        """The prices that were typed, by currency code."""
        typed = {
            currency.code: self.cleaned_data.get(name) for name, currency in self.currencies.items()
        }
        return {code: amount for code, amount in typed.items() if amount is not None}


class NewProductForm(ProductForm):
    manage_stock = forms.BooleanField(
        label="Stock managed",
        required=False,
        initial=True,
        widget=UnfoldBooleanSwitchWidget,
        help_text="Off: it never runs out, and nothing is counted or logged.",
    )
    initial_stock = forms.IntegerField(
        required=False,
        initial=0,
        min_value=0,
        max_value=UNITS_MAX,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="Units that are there now. Afterwards stock moves on the Inventory tab only.",
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("initial_stock") and not cleaned.get("manage_stock"):
            self.add_error("initial_stock", "Only managed stock can start with units.")
        return cleaned


def with_prices(form: type[ProductForm], currencies: Mapping[str, Currency]) -> type[ProductForm]:
    """Give a product form one price field for each currency."""
    fields = {
        name: MoneyField(
            currency,
            label=f"Price ({currency.code})",
            required=currency.default,
            help_text=f"As people write it: {_example(currency)}",
        )
        for name, currency in currencies.items()
    }
    return type(form.__name__, (form,), {**fields, "currencies": currencies})


class CurrencyForm(forms.ModelForm):
    """What a currency must be for its amounts to be written and read again without doubt."""

    class Meta:
        model = Currency
        fields = ["code", "format", "decimal_point", "thousand_separator", "decimal_places"]
        help_texts = {
            "code": "Three letters, as USD.",
            "format": "{price} stands for the number: ${price} or {price} kr.",
            "decimal_places": "Fixed once the currency is made: amounts are stored in its "
            "smallest unit.",
            "exchange_rate": "Kept for API clients; Holdfast converts nothing.",
        }

    def clean_code(self) -> str:
        code = str(self.cleaned_data["code"]).upper()
        if not re.fullmatch("[A-Z]{3}", code):
            raise ValidationError("A currency code is three letters.")
        return code

    def clean_format(self) -> str:
        written = str(self.cleaned_data["format"])
        if written.count("{price}") != 1:
            raise ValidationError("Write {price} once, where the number belongs.")
        return written

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        point, separator = cleaned.get("decimal_point"), cleaned.get("thousand_separator")
        if point == separator:
            self.add_error("thousand_separator", "It cannot be the decimal point too.")
        if any(sign and sign.isdigit() for sign in (point, separator)):
            self.add_error(None, "Digits cannot separate digits.")
        return cleaned


class MovementForm(OnceForm):
    """Allocate, deallocate, increment or decrement, by hand."""

    quantity = forms.IntegerField(
        min_value=1,
        max_value=UNITS_MAX,
        widget=UnfoldAdminIntegerFieldWidget({"placeholder": "0", "min": 1}),
    )
    reason = forms.CharField(
        max_length=500,
        widget=UnfoldAdminTextInputWidget,
        error_messages={"required": "Say why: the log keeps it."},
    )


class StartManagingForm(OnceForm):
    quantity = forms.IntegerField(
        label="Units that are there now",
        min_value=0,
        max_value=UNITS_MAX,
        initial=0,
        widget=UnfoldAdminIntegerFieldWidget,
    )


# A year.
ORDER_EXPIRY_HOURS_MAX = 8760


def _time_zones() -> list[tuple[str, str]]:
    server = f"As the server has it ({settings.TIME_ZONE})"
    return [("", server), *((zone, zone) for zone in sorted(available_timezones()))]


def _enabled_currencies() -> list[tuple[str, str]]:
    return sorted((each.code, each.code) for each in currencies().values() if each.enabled)


class StoreSettingsForm(forms.ModelForm):
    """The store's settings, and which of its currencies is the default."""

    time_zone = forms.ChoiceField(
        choices=_time_zones,
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text="In which times are shown here, and named. Stored times are UTC.",
    )
    default_currency = forms.ChoiceField(
        choices=_enabled_currencies,
        widget=UnfoldAdminSelectWidget,
        help_text="For prices and carts that name none. Others are made under Currencies.",
    )
    cart_expiry_days = forms.IntegerField(
        label="Carts are kept for (days)",
        min_value=1,
        max_value=CART_EXPIRY_DAYS_MAX,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="After their last change.",
    )
    unpaid_order_expiry_hours = forms.IntegerField(
        label="Unpaid orders are cancelled after (hours)",
        min_value=0,
        max_value=ORDER_EXPIRY_HOURS_MAX,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="0: never. What a cancelled order holds becomes available again.",
    )
    partly_paid_order_expiry_hours = forms.IntegerField(
        label="Partly paid orders are cancelled after (hours)",
        min_value=0,
        max_value=ORDER_EXPIRY_HOURS_MAX,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="0: never. What was captured stays with you until it is refunded.",
    )
    page_length = forms.IntegerField(
        min_value=1,
        max_value=PAGE_LENGTH_MAX,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="How many rows the API's lists have where a call does not say.",
    )

    class Meta:
        model = StoreSettings
        fields = [
            *("name", "time_zone", "low_stock_threshold", "cart_expiry_days"),
            *("unpaid_order_expiry_hours", "partly_paid_order_expiry_hours"),
            *("defer_inventory_check", "page_length"),
        ]
        labels = {"defer_inventory_check": "Check stock at checkout only"}
        help_texts = {
            "name": "Stands at the top of these pages. Empty: Holdfast.",
            "low_stock_threshold": "With this many available units or fewer, stock is low, where "
            "a product says nothing else.",
            "defer_inventory_check": "On: carts take more than is available, and only the checkout "
            "refuses it.",
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.initial["default_currency"] = currency_named("").code
