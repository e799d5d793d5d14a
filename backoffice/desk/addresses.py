"""An address on a form, with the limits that the API has for it.

People may leave out what the API asks for and many countries do not have: a county or region.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from django import forms
from django.forms import BoundField
from rest_framework import serializers
from unfold.widgets import UnfoldAdminTextInputWidget

from orders.serializers import BillingAddress, ShippingAddress

_LABELS = {
    "company_name": "Company",
    "line_1": "Street and number",
    "line_2": "Address line 2",
    "line_3": "Address line 3",
    "phone_number": "Phone",
}


_FOR_THE_PARCEL = ("phone_number", "instructions")


class AddressPart:
    """The fields of one address on a form: they bear its prefix."""

    def __init__(
        self, form: forms.Form, prefix: str, serializer: type[serializers.Serializer[Any]]
    ) -> None:
        self.form, self.prefix, self.serializer = form, prefix, serializer
        self.names = list(serializer().fields)

    def add(self, address: Mapping[str, Any] | None = None) -> None:
        """Put the fields on the form, with what stands in an address already."""
        for name, field in self.serializer().fields.items():
            is_optional = getattr(field, "allow_blank", False)
            self.form.fields[self.prefix + name] = forms.CharField(
                label=_LABELS.get(name, name.replace("_", " ").capitalize()),
                max_length=getattr(field, "max_length", None),
                required=not is_optional,
                initial=(address or {}).get(name, ""),
                widget=UnfoldAdminTextInputWidget({"autocomplete": "off"}),
            )

    def leave_out(self) -> None:
        """Ask for none of it."""
        for name in self.names:
            self.form.fields[self.prefix + name].required = False

    def __iter__(self) -> Iterator[BoundField]:
        return (self.form[self.prefix + name] for name in self.names)

    @property
    def is_typed(self) -> bool:
        return any(self.form.cleaned_data.get(self.prefix + name) for name in self.names)

    def read(self) -> dict[str, Any]:
        """Read the address; what is wrong with it stands at its field."""
        typed = {name: self.form.cleaned_data.get(self.prefix + name, "") for name in self.names}
        try:
            return dict(self.serializer().to_internal_value(typed))
        except serializers.ValidationError as error:
            for name, faults in error.detail.items():  # type: ignore[union-attr]
                if self.prefix + name not in self.form.errors:
                    self.form.add_error(self.prefix + name, [str(fault) for fault in faults])
            return {}


def shipping_part(form: forms.Form, prefix: str = "") -> AddressPart:
    return AddressPart(form, prefix, ShippingAddress)


def billing_part(form: forms.Form, prefix: str = "") -> AddressPart:
    return AddressPart(form, prefix, BillingAddress)


def is_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether two addresses say the same, as far as a bill is concerned."""
    said = [
        {name: part for name, part in address.items() if part and name not in _FOR_THE_PARCEL}
        for address in (one, other)
    ]
    return said[0] == said[1]
