"""What people type at the desk: into a draft, and to make an order of it."""

from collections.abc import Mapping
from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from api.fields import UNITS_MAX
from backoffice.actions import ActionForm
from backoffice.desk.addresses import billing_part, is_same, shipping_part
from backoffice.forms import OnceForm
from backoffice.products.money import MoneyField
from backoffice.scanning import QuantityField, ScanForm
from inventory.models import Currency
from orders.models import Order
from orders.services.cart_lines import CustomItem
from orders.services.orders import Buyer

NOTE_LENGTH_MAX = 2_000


def units_field(**options: Any) -> QuantityField:
    least = options.setdefault("min_value", 1)
    return QuantityField(
        **{
            "label": "Quantity",
            "max_value": UNITS_MAX,
            "widget": UnfoldAdminIntegerFieldWidget({"min": least, "autocomplete": "off"}),
            **options,
        }
    )


# Of one field, as long as it is not sent.
TYPED_MAX = NOTE_LENGTH_MAX


class BegunField(forms.BooleanField):
    """Tell whether something was on the draft that was seen, which is gone if it is discarded."""

    def __init__(self) -> None:
        super().__init__(required=False, widget=forms.HiddenInput)


class DeskScanForm(ScanForm):
    """What is to go into the draft next. The currency is chosen while there is nothing in it."""

    begun = BegunField()

    def __init__(self, *args: Any, currencies: Mapping[str, Currency], **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["currency"] = forms.ChoiceField(
            choices=[(code, code) for code in currencies], widget=UnfoldAdminSelectWidget
        )
        code = self.fields["code"]
        code.label = "Name, SKU or barcode"
        code.error_messages["required"] = "Scan or type what is wanted."


class DraftLineForm(OnceForm):
    """How many units are to be on a line that had `was` of them."""

    beside = ("action",)

    line = forms.UUIDField(widget=forms.HiddenInput)
    was = forms.IntegerField(widget=forms.HiddenInput, min_value=1, max_value=UNITS_MAX)
    quantity = units_field(min_value=0)


class CustomForm(OnceForm):
    """Something that is no product of the store, such as engraving: its price is agreed here."""

    beside = ("action",)

    name = forms.CharField(
        max_length=200, widget=UnfoldAdminTextInputWidget({"autocomplete": "off"})
    )
    currency = forms.CharField(max_length=3, widget=forms.HiddenInput)
    quantity = units_field(initial=1)
    begun = BegunField()

    def __init__(self, *args: Any, currency: Currency, **options: Any) -> None:
        super().__init__(*args, **{"auto_id": "id_custom_%s", **options})
        self.fields["price"] = MoneyField(currency, label="Price of one")
        self.fields["currency"].initial = currency.code
        self.order_fields(["name", "price", "quantity", "currency"])

    @property
    def item(self) -> CustomItem:
        typed = self.cleaned_data
        return CustomItem(
            typed["quantity"], typed["name"], typed["price"], currency=typed["currency"]
        )


class KnownCustomerForm(forms.Form):
    """By whose earlier order the next one is filled in."""

    known = forms.EmailField(
        label="E-mail of somebody who has ordered before",
        max_length=254,
        widget=UnfoldAdminTextInputWidget({"autocomplete": "off", "inputmode": "email"}),
    )


class CustomerFields(forms.Form):
    """Who buys."""

    name = forms.CharField(
        label="Customer's name",
        max_length=200,
        widget=UnfoldAdminTextInputWidget({"autocomplete": "off"}),
    )
    email = forms.EmailField(
        label="E-mail",
        max_length=254,
        widget=UnfoldAdminTextInputWidget({"autocomplete": "off", "inputmode": "email"}),
    )


class CheckOutForm(ActionForm, CustomerFields):
    """Who buys, where it goes, and who gets the bill: the same address unless told otherwise."""

    same = forms.BooleanField(
        label="The bill goes to the same address",
        required=False,
        initial=True,
        widget=UnfoldBooleanSwitchWidget,
    )
    note = forms.CharField(
        label="Note for colleagues",
        required=False,
        max_length=NOTE_LENGTH_MAX,
        widget=UnfoldAdminTextareaWidget({"rows": 3}),
        help_text="Kept in the order's timeline. The customer never sees it.",
    )

    def __init__(
        self,
        data: Any,
        *,
        case: Any,
        last: Order | None = None,
        typed: Mapping[str, str] | None = None,
    ) -> None:
        """Begin with what was `typed` before, but for what the customer's `last` order says."""
        super().__init__(data, case=case)
        self.shipping = shipping_part(self, "shipping_")
        self.billing = billing_part(self, "billing_")
        self.shipping.add(last.shipping_address if last else None)
        self.billing.add()
        for name in typed or {}:
            if name in self.fields and (name == "note" or not last):
                self.fields[name].initial = (typed or {})[name]
        if last:
            self.fields["name"].initial = last.customer_name
            self.fields["email"].initial = last.customer_email
            if not is_same(last.billing_address, last.shipping_address):
                self.fields["same"].initial = False
                self.billing.add(last.billing_address)
        if data is None or data.get("same"):
            self.billing.leave_out()
        self.addresses: dict[str, Any] = {}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        shipping = self.shipping.read()
        if not cleaned.get("same"):
            self.addresses = {"billing_address": self.billing.read(), "shipping_address": shipping}
        elif self.billing.is_typed:
            self.add_error("same", "Another address is typed for the bill: empty it, or untick.")
        else:
            self.addresses = {"billing_address": shipping, "shipping_address": shipping}
        return cleaned

    @property
    def buyer(self) -> Buyer:
        return Buyer(self.cleaned_data["name"], self.cleaned_data["email"], **self.addresses)
