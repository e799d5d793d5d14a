"""Correct whom an order is for, and where it and its bill go: until it is shipped."""

from collections.abc import Mapping
from typing import Any, ClassVar

from api.errors import Standing
from backoffice.actions import Action, ActionForm
from backoffice.desk.addresses import AddressPart, billing_part, shipping_part
from backoffice.desk.forms import CustomerFields
from backoffice.orders.case import OrderCase
from orders.errors import OrderNotChangeable
from orders.services import orders

MAY_CHANGE = "orders.change_order"


def _require_changeable(case: OrderCase) -> None:
    """Say beforehand what the service would, and leave what is cancelled as it is."""
    if case.order.is_cancelled or case.order.is_shipped:
        state = "cancelled" if case.order.is_cancelled else "shipped"
        raise OrderNotChangeable(f"The order is {state} already.")


class DetailForm(ActionForm):
    """A form about some fields of the order, by which whoever sends it decides."""

    columns: ClassVar[tuple[str, ...]]

    def sees(self) -> Standing:
        return orders.standing_of(self.case.order, self.columns)

    def changes(self) -> Mapping[str, Any]:
        raise NotImplementedError


class CustomerForm(DetailForm, CustomerFields):
    columns = ("customer_name", "customer_email")

    def __init__(self, data: Any, *, case: OrderCase) -> None:
        super().__init__(data, case=case)
        self.fields["name"].initial = case.order.customer_name
        self.fields["email"].initial = case.order.customer_email

    def changes(self) -> Mapping[str, Any]:
        typed = self.cleaned_data
        return {"customer_name": typed["name"], "customer_email": typed["email"]}


class AddressForm(DetailForm):
    @property
    def part(self) -> AddressPart:
        raise NotImplementedError

    @property
    def was(self) -> Mapping[str, Any]:
        address: Mapping[str, Any] = getattr(self.case.order, self.columns[0])
        return address

    def __init__(self, data: Any, *, case: OrderCase) -> None:
        super().__init__(data, case=case)
        self.part.add(self.was)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        self.address = self.part.read()
        return cleaned

    def changes(self) -> Mapping[str, Any]:
        return {self.columns[0]: {**self.was, **self.address}}


class ShippingForm(AddressForm):
    columns = ("shipping_address",)

    @property
    def part(self) -> AddressPart:
        return shipping_part(self)


class BillingForm(AddressForm):
    columns = ("billing_address",)

    @property
    def part(self) -> AddressPart:
        return billing_part(self)


def _change(case: OrderCase, form: DetailForm) -> str:
    orders.change(
        case.order.pk,
        actor=case.actor,
        seen=form.saw,
        key=form.key(case.request),
        **form.changes(),
    )
    return f"Order {case.order} is changed."


def _action(name: str, what: str, form: type[DetailForm], effect: str) -> Action[OrderCase]:
    return Action(
        name,
        f"Change the {what}",
        MAY_CHANGE,
        _change,
        effects=lambda case: [effect, "The timeline says who changed it, and not what it was."],
        guard=_require_changeable,
        form=form,
        label=lambda case: "Save",
    )


CUSTOMER = _action(
    "customer", "customer", CustomerForm, "Moves neither stock nor money, and tells nobody."
)
SHIPPING = _action(
    "shipping_address",
    "shipping address",
    ShippingForm,
    "It stands on every slip that is printed from now on.",
)
BILLING = _action(
    "billing_address", "billing address", BillingForm, "Payments stay with their gateway's own."
)
DETAIL_ACTIONS = (CUSTOMER, SHIPPING, BILLING)
