"""The store's settings, its currencies and its locations."""

import re
from copy import copy
from decimal import Decimal
from typing import Any, ClassVar
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from unfold.decorators import display
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget

from api import store
from api.models import CART_EXPIRY_DAYS_MAX, PAGE_LENGTH_MAX, StoreSettings
from backoffice.base import ServiceAdmin, actor_of
from backoffice.forms import EditForm, WholeNumberField
from backoffice.history import NOTHING
from inventory.errors import CurrencyTaken
from inventory.models import Currency, Location
from inventory.services import currencies, locations


class CurrencyForm(forms.ModelForm):
    """What a currency must be for its amounts to be written and read again without doubt."""

    class Meta:
        model = Currency
        fields = ["code", "format", "decimal_point", "thousand_separator", "decimal_places"]
        help_texts = {
            "code": "Three letters, as USD.",
            "format": "{price} stands for the number: ${price} or {price} kr.",
            "decimal_places": "Empty: as many as the currency has in the world. Fixed once it is "
            "made: amounts are stored in its smallest unit.",
            "exchange_rate": "Kept for API clients; Holdfast converts nothing.",
            "enabled": "While it is off, nothing is sold in it: carts that are in it cannot be "
            "checked out. Orders in it stay as they are.",
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if separator := self.fields.get("thousand_separator"):
            # In much of the world it is a space.
            separator.strip = False  # type: ignore[attr-defined]
        if digits := self.fields.get("decimal_places"):
            digits.required, self.initial["decimal_places"] = False, None

    def clean_code(self) -> str:
        code = str(self.cleaned_data["code"]).upper()
        if not re.fullmatch("[A-Z]{3}", code):
            raise ValidationError("A currency code is three letters.")
        return code

    def clean_exchange_rate(self) -> Decimal:
        rate: Decimal = self.cleaned_data["exchange_rate"]
        if rate <= 0:
            raise ValidationError("Above 0.")
        return rate

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


# A year.
ORDER_EXPIRY_HOURS_MAX = 8760


def _time_zones() -> list[tuple[str, str]]:
    server = f"As the server has it ({settings.TIME_ZONE})"
    return [("", server), *((zone, zone) for zone in sorted(available_timezones()))]


def _enabled_currencies() -> list[tuple[str, str]]:
    return sorted((each.code, each.code) for each in currencies.by_code().values() if each.enabled)


class StoreSettingsForm(EditForm, forms.ModelForm):
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
    cart_expiry_days = WholeNumberField(
        label="Carts are kept for (days)",
        min_value=1,
        max_value=CART_EXPIRY_DAYS_MAX,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="After their last change.",
    )
    unpaid_order_expiry_hours = WholeNumberField(
        label="Unpaid orders are cancelled after (hours)",
        min_value=0,
        max_value=ORDER_EXPIRY_HOURS_MAX,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="0: never; 336 are 14 days. What a cancelled order holds becomes available "
        "again.",
    )
    partly_paid_order_expiry_hours = WholeNumberField(
        label="Partly paid orders are cancelled after (hours)",
        min_value=0,
        max_value=ORDER_EXPIRY_HOURS_MAX,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="0: never. What was captured stays with you until it is refunded.",
    )
    page_length = WholeNumberField(
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
            *("custom_items_by_shoppers", "defer_inventory_check", "page_length"),
        ]
        field_classes = {"low_stock_threshold": WholeNumberField}
        labels = {
            "custom_items_by_shoppers": "Shoppers may add custom items",
            "defer_inventory_check": "Check stock at checkout only",
        }
        help_texts = {
            "name": "Stands at the top of these pages. Empty: Holdfast.",
            "low_stock_threshold": "With this many available units or fewer, stock is low, where "
            "a product says nothing else.",
            "custom_items_by_shoppers": "On: a storefront puts things into carts that are no "
            "products, such as gift wrapping, at a price that the call itself names. Anybody can "
            "send such a call. Orders show which of their lines are priced so.",
            "defer_inventory_check": "On: carts take more than is available, and only the checkout "
            "refuses it.",
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.initial["default_currency"] = currencies.named("").code


@admin.register(Currency)
class CurrencyAdmin(ServiceAdmin):
    form = CurrencyForm
    refusal_fields: ClassVar = {CurrencyTaken: "code"}
    list_display = ["code", "example", "decimal_places", "default", "enabled"]
    ordering = ["-default", "code"]
    fields = [
        *("code", "format", "decimal_point", "thousand_separator", "decimal_places"),
        *("exchange_rate", "enabled", "default"),
    ]

    @display(description="looks like")
    def example(self, currency: Currency) -> str:
        return currency.formatted(123456)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        # Amounts are stored in the smallest unit: with other digits they would mean other money.
        fixed = ["code", "decimal_places"] if obj else []
        return [*fixed, "default", *(["enabled"] if obj and obj.default else [])]

    def save_model(self, request: HttpRequest, obj: Currency, form: Any, change: bool) -> None:
        if change:
            changed = {name: form.cleaned_data[name] for name in form.changed_data}
            currencies.change(obj.pk, **changed, actor=actor_of(request), seen=form.seen)
        else:
            currencies.create(currency_id=obj.pk, **form.cleaned_data, actor=actor_of(request))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Prices and orders are in it; one that is not needed is disabled."""
        return False


@admin.register(Location)
class LocationAdmin(ServiceAdmin):
    """Until there are several, the one location can only be named."""

    list_display = ["name", "slug", "enabled"]
    fields = ["name", "slug"]
    readonly_fields = ["slug"]

    def save_model(self, request: HttpRequest, obj: Location, form: Any, change: bool) -> None:
        if "name" in form.changed_data:
            locations.rename(obj.pk, obj.name, actor=actor_of(request), seen=form.seen)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(StoreSettings)
class StoreSettingsAdmin(ServiceAdmin):
    """One page for the one row. It stands here, because the default currency is among it."""

    form = StoreSettingsForm
    fieldsets = [
        ("Store", {"fields": ["name", "time_zone", "default_currency"]}),
        ("Stock", {"fields": ["low_stock_threshold", "defer_inventory_check"]}),
        (
            "Carts and orders",
            {
                "fields": [
                    "cart_expiry_days",
                    "unpaid_order_expiry_hours",
                    "partly_paid_order_expiry_hours",
                    "custom_items_by_shoppers",
                ]
            },
        ),
        ("API", {"fields": ["page_length"]}),
    ]
    empty_value_display = NOTHING

    @display(description="default currency")
    def default_currency(self, row: StoreSettings) -> str:
        return currencies.named("").code

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        return redirect("admin:api_storesettings_change", store.current().pk)

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> StoreSettings | None:
        """There is one row, which nobody need have saved yet."""
        store.forget()
        currencies.forget()
        current = store.current()
        return copy(current) if object_id == str(current.pk) else None

    def save_model(
        self, request: HttpRequest, obj: StoreSettings, form: StoreSettingsForm, change: bool
    ) -> None:
        """Change what was changed on the form, so that two people's changes can both stand."""
        changed = {name: form.cleaned_data[name] for name in form.changed_data}
        seen, actor = form.seen, actor_of(request)
        code, was = changed.pop("default_currency", ""), seen.pop("default_currency", "")
        if code:
            currencies.change_store(code, was, actor=actor, seen=seen, **changed)
        elif changed:
            store.change(actor=actor, seen=seen, **changed)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
