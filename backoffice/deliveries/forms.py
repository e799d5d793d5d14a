"""What people type about a delivery, scan into it, and correct of its lines."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldBooleanWidget

from api.codes import fault_of, tidied
from api.fields import UNITS_MAX
from backoffice.actions import ActionForm
from backoffice.products.forms import DayField
from backoffice.scanning import QuantityField, ScanForm
from inventory.errors import DeliveryNumberTaken
from inventory.models import Delivery
from inventory.services import deliveries

NOTE_LENGTH_MAX = 2_000


class DeliveryForm(forms.ModelForm):
    expected_on = DayField(label="Expected on")

    class Meta:
        model = Delivery
        fields = ["number", "supplier", "expected_on", "note"]
        help_texts = {
            "number": "As on the paper that comes with it. The log names it as the reason.",
        }

    def clean_number(self) -> str:
        written = str(self.cleaned_data["number"])
        if "number" not in self.changed_data:
            return written
        number = tidied(written)
        if fault := fault_of(number):
            raise ValidationError(fault, code="unseen")
        if not number:
            raise ValidationError("There is nothing in it that can be seen.", code="unseen")
        others = Delivery.objects.exclude(pk=self.instance.pk)
        if others.filter(number__iexact=number).exists():
            raise ValidationError(DeliveryNumberTaken.detail, code="taken")
        return number


class GoodsForm(ScanForm):
    """A scan of what has come or, if `expecting`, of what is to come."""

    expecting = forms.BooleanField(required=False, widget=forms.HiddenInput)


class LineForm(ActionForm):
    """What is expected and was received of one product, typed by hand."""

    expected = QuantityField(
        label="Expected",
        min_value=0,
        max_value=UNITS_MAX,
        widget=UnfoldAdminIntegerFieldWidget({"min": 0, "autocomplete": "off"}),
    )
    received = QuantityField(
        label="Received",
        min_value=0,
        max_value=UNITS_MAX,
        widget=UnfoldAdminIntegerFieldWidget({"min": 0, "autocomplete": "off"}),
    )
    # Offered with many units only, which look like a mistake.
    confirmed = forms.BooleanField(
        label="It is a quantity, and right", required=False, widget=UnfoldBooleanWidget
    )

    def __init__(self, data: Any, *, case: Any) -> None:
        super().__init__(data, case=case)
        self.fields["expected"].initial = case.subject.expected
        self.fields["received"].initial = case.subject.received
        typed = [str((data or {}).get(name, "")).strip() for name in ("expected", "received")]
        if max(map(len, typed)) < len(str(deliveries.MANY_UNITS)):
            self.fields["confirmed"].widget = forms.HiddenInput()
