"""Ship in parts, undo it, cancel items, take back: what people do with the units of an order."""

from typing import Any

from django import forms
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from api.errors import Standing
from backoffice.actions import Action, ActionForm
from backoffice.base import number_of, units
from backoffice.dates import exact
from backoffice.forms import WholeNumberField
from backoffice.orders.case import OrderCase, became, reason_field
from backoffice.orders.units import RefundedUnitsForm, UnitsForm, effects_on_money
from inventory.services import stock as inventory
from inventory.services.stock import Whereabouts
from orders.errors import NotPutBack, OrderNotCancellable
from orders.models import OrderItem, ReturnLine
from orders.services import returns, shipments
from orders.services.carriers import ADDRESSES
from orders.services.returns import TakenBack
from payments.models import Attempt
from payments.services import giving_back

Disposition = ReturnLine.Disposition

# Ship, all that is left or a part of it.


class CarrierWidget(UnfoldAdminTextInputWidget):
    """Suggests the carriers whose numbers lead somewhere; any other may be typed."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        attrs = {**(attrs or {}), "list": "carriers", "autocomplete": "off"}
        options = format_html_join("", '<option value="{}">', ([carrier] for carrier in ADDRESSES))
        field = super().render(name, value, attrs, renderer)
        return field + SafeString('<datalist id="carriers">') + options + SafeString("</datalist>")


class ShipForm(UnitsForm):
    carrier = forms.CharField(max_length=100, required=False, widget=CarrierWidget)
    tracking = forms.CharField(
        max_length=200,
        required=False,
        label="Tracking number",
        widget=UnfoldAdminTextInputWidget,
        help_text="Leads to the carrier's page if that is known here; an https:// address leads to "
        "itself. May be left empty.",
    )

    def most(self, item: OrderItem) -> int:
        return item.left

    suggested = most


def _what_ship_does(case: OrderCase) -> list[str]:
    held = case.held()
    stock = (
        f"Takes what is shipped out of the total: {units(held)} at most."
        if held
        else "Moves no stock."
    )
    return [stock, "What is left stays with the order. Money stays as it is."]


def _ship(case: OrderCase, form: ShipForm) -> str:
    typed = form.cleaned_data
    shipment = shipments.ship(
        case.order.pk,
        actor=case.actor,
        units=form.chosen(),
        carrier=typed["carrier"],
        tracking=typed["tracking"],
        seen=form.saw,
        key=form.key(case.request),
    )
    if shipment.order.is_shipped:
        return f"Order {case.order} is shipped."
    return f"{shipment} of order {case.order} is on its way. The rest is to be shipped."


SHIP = Action(
    "ship",
    "Ship",
    "orders.change_order",
    _ship,
    effects=_what_ship_does,
    guard=lambda case: case.order.require_shippable(),
    form=ShipForm,
    label=lambda case: "Ship the rest" if case.order.is_partly_shipped else "Ship",
)


# Undo a shipment.


def _what_undoing_does(case: OrderCase) -> list[str]:
    lines = shipments.lines_in(case.shipment)
    lost = shipments.not_coming_back(case.shipment)
    back = sum(line.quantity for line in lines if line.item.stocked and line.item.sku not in lost)
    effects = [
        f"Brings {units(back)} back into the total, as if they had never left, and lets this "
        "order hold them again; available stays as it is, but for what was counted since and has "
        "them already."
        if back
        else "Moves no stock."
    ]
    effects += [
        f"{line.quantity} of {line.item.sku} do not come back: its stock is no longer managed."
        for line in lines
        if line.item.sku in lost
    ]
    return [*effects, "Money stays as it is. The units can be shipped again, or cancelled."]


class UndoShipForm(ActionForm):
    """Asks where the units were, if their product was counted since: nobody else can know."""

    reason = reason_field("Packed by mistake")
    whereabouts = forms.TypedChoiceField(
        label="When it was counted, the units",
        choices=[
            ("", "choose"),
            (Whereabouts.ON_THE_SHELF, "were on the shelf: the count has them already"),
            (Whereabouts.CAME_BACK, "were away, and came back since"),
        ],
        coerce=Whereabouts,
        widget=UnfoldAdminSelectWidget,
    )

    def __init__(self, data: Any, *, case: OrderCase) -> None:
        super().__init__(data, case=case)
        counted = shipments.counted_since(case.shipment)
        if not counted:
            del self.fields["whereabouts"]
            return
        told = ", ".join(f"{sku} at {exact(at)}" for sku, at in counted)
        self.fields["whereabouts"].help_text = f"Counted since it was shipped: {told}."

    def sees(self) -> Standing:
        return shipments.standing_to_undo(self.case.order, self.case.shipment)


def _undo_ship(case: OrderCase, form: UndoShipForm) -> str:
    typed = form.cleaned_data
    shipments.undo(
        case.order.pk,
        case.shipment.pk,
        actor=case.actor,
        reason=typed["reason"],
        whereabouts=typed.get("whereabouts"),
        seen=form.saw,
        key=form.key(case.request),
    )
    return f"{case.shipment} of order {case.order} is undone. It is to be shipped again."


UNDO_SHIP = Action(
    "undo_ship",
    "Undo shipment",
    "orders.undo_ship_order",
    _undo_ship,
    effects=_what_undoing_does,
    guard=lambda case: case.shipment.require_undoable(case.shipment.lines.all()),
    form=UndoShipForm,
    dangerous=True,
    label=lambda case: f"Undo shipment {case.shipment.number}",
)


# Cancel what is left, or some of it.

BACK_TO_AVAILABLE, WRITTEN_OFF = "available", "written_off"


def whereto_field() -> forms.ChoiceField:
    return forms.ChoiceField(
        label="The units",
        choices=[
            (BACK_TO_AVAILABLE, "go back to available"),
            (WRITTEN_OFF, "are written off: damaged, or not to be found"),
        ],
        initial=BACK_TO_AVAILABLE,
        widget=UnfoldAdminSelectWidget,
    )


class CancelItemsForm(RefundedUnitsForm):
    whereto = whereto_field()
    reason = reason_field("Out of stock at the supplier")

    def __init__(self, data: Any, *, case: OrderCase) -> None:
        super().__init__(data, case=case)
        if not case.held():
            del self.fields["whereto"]

    def most(self, item: OrderItem) -> int:
        return item.left

    def suggested(self, item: OrderItem) -> int:
        """All that is left, which can only be cancelled so once something is shipped."""
        return item.left if self.case.order.is_partly_shipped else 0


def _require_items_cancellable(case: OrderCase) -> None:
    """Say beforehand what the service would: of one unit that is all of it, nothing is left."""
    order = case.order
    order.require_items_cancellable()
    if not order.is_partly_shipped and sum(item.left for item in order.items.all()) < 2:
        raise OrderNotCancellable("Nothing would be left of the order. Cancel it as a whole.")


def _what_cancelling_items_does(case: OrderCase) -> list[str]:
    held = "The units go back to available, unless they are written off. " if case.held() else ""
    return [
        f"{held}The rest of the order stays as it is, and so does what is shipped.",
        *effects_on_money(case),
    ]


def _cancel_items(case: OrderCase, form: CancelItemsForm) -> str:
    typed = form.cleaned_data
    refunds = giving_back.cancel_items(
        case.order.pk,
        form.chosen(),
        form.amount(),
        actor=case.actor,
        reason=typed["reason"],
        restock=typed.get("whereto") != WRITTEN_OFF,
        seen=form.saw,
        key=form.key(case.request),
    )
    said = f"{units(sum(form.chosen().values()))} of order {case.order} cancelled."
    return " ".join([said, *_of_refunds(case, refunds)])


def _of_refunds(case: OrderCase, refunds: list[Attempt]) -> list[str]:
    return [
        f"{case.money(refund.amount)} could not be refunded: {refund.failure}"
        if refund.status == Attempt.Status.FAILED
        else f"{case.money(refund.amount)} {became(refund)}."
        for refund in refunds
    ]


CANCEL_ITEMS = Action(
    "cancel_items",
    "Cancel items",
    "orders.change_order",
    _cancel_items,
    effects=_what_cancelling_items_does,
    guard=_require_items_cancellable,
    form=CancelItemsForm,
    dangerous=True,
    label=lambda case: "Cancel the rest" if case.order.is_partly_shipped else "Cancel items",
)


# Take back.

_BECAME = {
    Disposition.RESTOCKED: "restocked",
    Disposition.INSPECTION: "set aside for inspection",
    Disposition.DISCARDED: "discarded",
    Disposition.MISSING: "missing: never arrived",
}
_WITHOUT_STOCK = (Disposition.DISCARDED, Disposition.MISSING)


class TakeBackForm(RefundedUnitsForm):
    reason = reason_field("Did not fit")

    def __init__(self, data: Any, *, case: OrderCase) -> None:
        products = case.order.items.filter(product__isnull=False)
        self.managed = inventory.managed_among(products.values_list("product_id", flat=True))
        super().__init__(data, case=case)

    def most(self, item: OrderItem) -> int:
        return item.shipped - item.returned

    def add_fields(self, item: OrderItem) -> None:
        super().add_fields(item)
        # Nothing is put into stock that there is none of.
        offered = Disposition if item.product_id in self.managed else _WITHOUT_STOCK
        self.fields[_became(item)] = forms.ChoiceField(
            label=f"{item.label}: they are",
            choices=[(each, _BECAME[each]) for each in offered],
            widget=UnfoldAdminSelectWidget,
        )

    def names_of(self, item: OrderItem) -> list[str]:
        return [*super().names_of(item), _became(item)]

    def label_of(self, name: str) -> str:
        for item in self.case.order.items.all():
            if name == _became(item):
                return f'"what became of {item.label}"'
        return super().label_of(name)

    def taken_back(self) -> list[TakenBack]:
        by_id = {item.pk: item for item in self.items}
        return [
            TakenBack(item_id, quantity, self.cleaned_data[_became(by_id[item_id])])
            for item_id, quantity in self.chosen().items()
        ]


def _became(item: OrderItem) -> str:
    return f"became_{item.pk.hex}"


def _require_away(case: OrderCase) -> None:
    if not any(item.shipped > item.returned for item in case.order.items.all()):
        raise NotPutBack("No units of the order are away.")


def _what_taking_back_does(case: OrderCase) -> list[str]:
    return [
        "Records what came back. Restocked, units are available again; set aside, they are in the "
        "total until somebody has looked at them; discarded or missing, they are in no stock.",
        *effects_on_money(case),
    ]


def _take_back(case: OrderCase, form: TakeBackForm) -> str:
    refunds = giving_back.take_back(
        case.order.pk,
        form.taken_back(),
        form.amount(),
        actor=case.actor,
        reason=form.cleaned_data["reason"],
        seen=form.saw,
        key=form.key(case.request),
    )
    said = f"{units(sum(form.chosen().values()))} taken back."
    return " ".join([said, *_of_refunds(case, refunds)])


TAKE_BACK = Action(
    "take_back",
    "Take back",
    "orders.change_order",
    _take_back,
    effects=_what_taking_back_does,
    guard=_require_away,
    form=TakeBackForm,
)


# What was set aside for inspection.


class InspectForm(ActionForm):
    outcome = forms.ChoiceField(
        label="They are",
        choices=[
            ("", "choose"),
            (Disposition.RESTOCKED, "good: restocked, and available again"),
            (Disposition.DISCARDED, "not to be sold: written off"),
        ],
        widget=UnfoldAdminSelectWidget,
        error_messages={"required": "Say what you found."},
    )
    reason = reason_field("Worn, cannot be sold")

    def __init__(self, data: Any, *, case: OrderCase) -> None:
        super().__init__(data, case=case)
        waiting = case.return_line.quantity
        self.fields["quantity"] = WholeNumberField(
            label="Units",
            initial=waiting,
            min_value=1,
            max_value=waiting,
            widget=UnfoldAdminIntegerFieldWidget({"min": 1, "max": waiting}),
            help_text=f"{waiting} of {case.return_line.item.label} wait. Any rest goes on waiting.",
        )
        self.order_fields(["quantity", "outcome", "reason"])


def _require_to_inspect(case: OrderCase) -> None:
    if not case.return_line.is_to_inspect:
        looked_at = number_of(case.return_line.quantity, "unit was", "units were")
        raise NotPutBack(f"The {looked_at} looked at already.")


def _inspect(case: OrderCase, form: InspectForm) -> str:
    typed = form.cleaned_data
    returns.settle_inspected(
        case.order.pk,
        case.return_line.pk,
        typed["outcome"],
        actor=case.actor,
        quantity=typed["quantity"],
        reason=typed["reason"],
        seen=form.saw,
        key=form.key(case.request),
    )
    return f"{units(typed['quantity'])} {typed['outcome']}."


INSPECT = Action(
    "inspect",
    "Inspected",
    "orders.change_order",
    _inspect,
    effects=lambda case: [
        "The units are in the total and set aside. Good ones are available again, others are taken "
        "out of the total. No money moves."
    ],
    guard=_require_to_inspect,
    form=InspectForm,
)

SHIPMENT_ACTIONS = (UNDO_SHIP,)
RETURN_ACTIONS = (INSPECT,)
