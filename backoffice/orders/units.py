"""Forms that ask for units of an order's lines, and for the money that goes back with them."""

import uuid
from collections.abc import Iterable
from typing import Any, NamedTuple

from django import forms
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from backoffice.actions import ActionForm
from backoffice.forms import WholeNumberField
from backoffice.orders.case import OrderCase
from backoffice.products.money import MoneyField
from orders.models import OrderItem
from payments.services import giving_back

NO_UNITS = "Say of at least one line how many units."


class Row(NamedTuple):
    """A line of the order, its fields, and how many units there are to choose from."""

    item: OrderItem
    most: int
    fields: list[forms.BoundField]


class UnitsForm(ActionForm):
    """Asks of each line how many units. A subclass says of which lines, and how many there are."""

    lines_template = "admin/orders/order/units.html"

    def __init__(self, data: Any, *, case: OrderCase) -> None:
        super().__init__(data, case=case)
        items = case.order.items.order_by("position").select_related("product")
        self.items = [item for item in items if self.most(item) > 0]
        for item in self.items:
            self.add_fields(item)

    def most(self, item: OrderItem) -> int:
        raise NotImplementedError

    def suggested(self, item: OrderItem) -> int:
        return 0

    def add_fields(self, item: OrderItem) -> None:
        most = self.most(item)
        # The price is for the script that adds the amount up.
        widget = UnfoldAdminIntegerFieldWidget(
            {"min": 0, "max": most, "data-price": item.unit_price}
        )
        self.fields[_units(item)] = WholeNumberField(
            label=f"Units of {item.label}",
            required=False,
            initial=self.suggested(item),
            min_value=0,
            max_value=most,
            widget=widget,
        )

    def names_of(self, item: OrderItem) -> list[str]:
        return [_units(item)]

    def rows(self) -> list[Row]:
        return [
            Row(item, self.most(item), [self[name] for name in self.names_of(item)])
            for item in self.items
        ]

    def plain_fields(self) -> list[forms.BoundField]:
        of_rows = {name for item in self.items for name in self.names_of(item)}
        return [field for field in super().plain_fields() if field.name not in of_rows]

    def label_of(self, name: str) -> str:
        for item in self.case.order.items.all():
            if name == _units(item):
                return f'"Units of {item.label}"'
        return super().label_of(name)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if not self.errors and not self.chosen():
            self.add_error(None, NO_UNITS)
        return cleaned

    def chosen(self) -> dict[uuid.UUID, int]:
        """How many units of which line were typed."""
        typed = {item.pk: self.cleaned_data.get(_units(item)) or 0 for item in self.items}
        return {item_id: quantity for item_id, quantity in typed.items() if quantity}


def _units(item: OrderItem) -> str:
    return f"units_{item.pk.hex}"


class RefundedUnitsForm(UnitsForm):
    """Offers to give the price of the units back, or another amount that people type."""

    def __init__(self, data: Any, *, case: OrderCase) -> None:
        super().__init__(data, case=case)
        self.refundable = giving_back.refundable(case.order.payments.all())
        if self.refundable and case.may("payments.refund_payment"):
            self.fields["amount"] = _amount_field(case, self.refundable)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        amount = cleaned.get("amount")
        if amount is not None and amount > self.refundable:
            most = self.case.money(self.refundable)
            self.add_error("amount", f"At most {most}, which can go back.")
        return cleaned

    def amount(self) -> int:
        """What was typed or, where nothing was, what the units cost."""
        if "amount" not in self.fields:
            return 0
        typed: int | None = self.cleaned_data["amount"]
        return min(self._price(), self.refundable) if typed is None else typed

    def _price(self) -> int:
        chosen = self.chosen()
        return sum(item.unit_price * chosen.get(item.pk, 0) for item in self.items)


def _amount_field(case: OrderCase, most: int) -> MoneyField:
    field = MoneyField(
        case.order.currency,
        label="Give back",
        required=False,
        help_text=f"Left empty, the price of the units: up to {case.money(most)}, which can go "
        "back. With 0, no money moves.",
    )
    currency = case.order.currency
    # For the script, which shows the same before it is sent.
    field.widget.attrs |= {
        "data-adds-up": most,
        "data-decimals": currency.decimal_places,
        "data-point": currency.decimal_point,
    }
    return field


def effects_on_money(case: OrderCase) -> Iterable[str]:
    """Say beforehand what becomes of the money of units that are not sent, or came back."""
    left = giving_back.refundable(case.order.payments.all())
    if not left:
        return ["No money is left to give back."]
    if not case.may("payments.refund_payment"):
        return ["Money stays as it is, until somebody refunds it."]
    return ["Gives money back, through what it was paid with: oldest payment first."]
