"""Cancel, record a payment, note: what people do with an order as a whole."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest
from unfold.widgets import (
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from api.errors import Refusal, Standing
from backoffice import attention
from backoffice.actions import Action, ActionForm
from backoffice.base import units
from backoffice.orders.case import OrderCase, became, reason_field
from backoffice.orders.goods_actions import (
    CANCEL_ITEMS,
    SHIP,
    TAKE_BACK,
    WRITTEN_OFF,
    whereto_field,
)
from backoffice.products.money import MoneyField
from orders.models import OrderItem
from orders.services import orders
from payments.errors import OrderNotPayable, RestIsPending
from payments.services import payments
from payments.services.payments import PaymentRequest

# Cancel.


class CancelForm(ActionForm):
    reason = reason_field("Wants another size")
    whereto = whereto_field()
    refund = forms.BooleanField(required=False, initial=True, widget=UnfoldBooleanSwitchWidget)

    def __init__(self, data: Any, *, case: OrderCase) -> None:
        super().__init__(data, case=case)
        kept = case.order.captured - case.order.refunded
        if kept and case.may("payments.refund_payment"):
            self.fields["refund"].label = f"and refund {case.money(kept)}"
        else:
            del self.fields["refund"]
        if not case.held():
            del self.fields["whereto"]


def _what_cancel_does(case: OrderCase) -> list[str]:
    order, held = case.order, case.held()
    kept = order.captured - order.refunded
    effects = [
        f"Gives {units(held)} back to available, unless they are written off."
        if held
        else "Moves no stock."
    ]
    if kept and case.may("payments.refund_payment"):
        effects.append(
            f"Gives {case.money(kept)} back, too. Without that it stays held, and the order needs "
            "attention until it is refunded."
        )
    elif kept:
        effects.append(f"{case.money(kept)} stays held until somebody refunds it.")
    effects += [
        f"Gives up the payment of {case.money(payment.amount)} that waits for its buyer. If it "
        "turns out to have succeeded, it counts, and that money is to be refunded."
        for payment in payments.all_that_is_open(order)
    ]
    if order.authorized:
        effects.append(f"Lets the authorized {case.money(order.authorized)} go.")
    return [*effects, "A cancelled order cannot be opened again."]


def _cancel(case: OrderCase, form: CancelForm) -> str:
    typed = form.cleaned_data
    payments.cancel(
        case.order.pk,
        actor=case.actor,
        reason=typed["reason"],
        restock=typed.get("whereto") != WRITTEN_OFF,
        seen=form.saw,
        key=form.key(case.request),
    )
    if typed.get("refund"):
        _refund_all(case, f"order cancelled: {typed['reason']}")
    return f"Order {case.order} is cancelled."


def _refund_all(case: OrderCase, reason: str) -> None:
    """Give back what was captured. The order stays cancelled where a gateway refuses."""
    for payment in payments.payments_of(case.order.pk):
        if not payment.refundable_amount:
            continue
        money = case.money(payment.refundable_amount)
        try:
            attempt = payments.refund(
                case.order.pk,
                payment.pk,
                payment.refundable_amount,
                actor=case.actor,
                reason=reason,
            )
        except Refusal as refusal:
            messages.error(case.request, f"{money} could not be refunded: {refusal}")
        else:
            messages.success(case.request, f"{money} {became(attempt)}.")


CANCEL = Action(
    "cancel",
    "Cancel order",
    "orders.change_order",
    _cancel,
    effects=_what_cancel_does,
    guard=lambda case: payments.require_cancellable(case.order),
    form=CancelForm,
    dangerous=True,
)


# Record a payment.


class PaymentForm(ActionForm):
    reference = forms.CharField(
        max_length=200,
        required=False,
        widget=UnfoldAdminTextInputWidget({"placeholder": "Bank transfer of 3 May"}),
        help_text="By which it is found in your books.",
    )
    # What is more than owed, once its sender was told what becomes of it.
    beyond = forms.CharField(max_length=20, required=False, widget=forms.HiddenInput)
    asked_of: int | None = None

    def __init__(self, data: Any, *, case: OrderCase) -> None:
        super().__init__(data, case=case)
        initial = case.order.payable or payments.left_to_pay(case.order)
        self.fields["amount"] = MoneyField(
            case.order.currency,
            initial=initial,
            help_text="If it was more than is owed, type what you received.",
        )
        self.order_fields(["amount", "reference"])

    def clean_amount(self) -> int:
        amount: int = self.cleaned_data["amount"]
        left = payments.left_to_pay(self.case.order)
        if left > 0 and amount <= 0:
            raise forms.ValidationError(f"More than 0. {self.case.money(left)} is left to pay.")
        beyond = amount - left
        if beyond > 0 and self.data.get("beyond") != str(beyond):
            self.asked_of = beyond
            raise forms.ValidationError(
                f"{self.case.money(beyond)} more than is owed. Send it again, and it is recorded "
                "as money to give back."
            )
        return amount

    def is_to_be_seen_again(self, request: HttpRequest, **now: str) -> None:
        _ = self.errors
        asked_of = "" if self.asked_of is None else str(self.asked_of)
        super().is_to_be_seen_again(request, beyond=asked_of, **now)


def _require_payable(case: OrderCase) -> None:
    """Say beforehand what the service would: it decides again under the order's lock."""
    order = case.order
    if order.is_cancelled or order.fully_paid_at:
        raise OrderNotPayable
    if order.total and not (order.payable or payments.left_to_pay(order)):
        raise RestIsPending if order.attempts_open else OrderNotPayable


def _what_recording_does(case: OrderCase) -> list[str]:
    effects = ["Records money that you received outside of Holdfast, in cash or by bank transfer."]
    if case.order.allocated_at is None:
        stocked = OrderItem.objects.filter(order=case.order, product__stocks__managed=True)
        if wanted := sum(stocked.values_list("quantity", flat=True)):
            effects.append(f"Takes {units(wanted)} from available for this order.")
    free = case.order.payable
    if waiting := payments.left_to_pay(case.order) - free:
        beyond = f"Beyond {case.money(free)}, it takes" if free else "Takes"
        effects.append(
            f"{beyond} the place of {case.money(waiting)} that waits for its buyer, as far as "
            "needed: that is given up at its gateway first. If it turns out to have succeeded, it "
            "counts, and nothing is recorded."
        )
    return effects


def _record_payment(case: OrderCase, form: PaymentForm) -> str:
    payment = payments.pay(
        case.order.pk,
        PaymentRequest(
            "manual",
            amount=form.cleaned_data["amount"],
            custom_reference=form.cleaned_data["reference"],
            takes_excess=True,
        ),
        actor=case.actor,
        seen=form.saw,
        key=form.key(case.request),
    )
    said = f"{case.money(payment.amount)} recorded for order {case.order}"
    beyond = form.cleaned_data["amount"] - payment.amount
    return f"{said}, and {case.money(beyond)} to give back." if beyond else f"{said}."


RECORD_PAYMENT = Action(
    "record_payment",
    "Record payment",
    "payments.add_payment",
    _record_payment,
    effects=_what_recording_does,
    guard=_require_payable,
    form=PaymentForm,
)


# An internal note.


class NoteForm(ActionForm):
    text = forms.CharField(
        max_length=2000,
        label="Note",
        widget=UnfoldAdminTextareaWidget({"rows": 4}),
        error_messages={"required": "Write something."},
    )

    def sees(self) -> Standing:
        """It is right whatever happened to the order."""
        return {}


def _write_note(case: OrderCase, form: NoteForm) -> str:
    orders.write_note(
        case.order.pk,
        form.cleaned_data["text"],
        actor=case.actor,
        key=form.key(case.request),
    )
    return "The note is kept with the order."


NOTE = Action(
    "note",
    "Add note",
    "orders.change_order",
    _write_note,
    effects=lambda case: [
        "Moves neither stock nor money. Kept in the order's timeline for good, for colleagues only."
    ],
    guard=lambda case: None,
    form=NoteForm,
)


# Leave it be.


class LeaveForm(ActionForm):
    reason = reason_field("Kept as the fee that was agreed")


def _what_leaving_does(case: OrderCase) -> list[str]:
    why = "; ".join(case.needs_attention)
    return [
        f"Takes the order off the list of what needs attention ({why}). Your name and reason stand "
        "in its timeline.",
        "Moves neither stock nor money. It is back on the list when something happens to it: a "
        "payment, a refund, a shipment.",
    ]


def _leave_be(case: OrderCase, form: LeaveForm) -> str:
    attention.leave_be(
        case.order.pk,
        actor=case.actor,
        reason=form.cleaned_data["reason"],
        seen=form.saw,
        key=form.key(case.request),
    )
    return f"Order {case.order} is left be."


LEAVE_BE = Action(
    "leave_be",
    "Leave it be",
    "orders.change_order",
    _leave_be,
    effects=_what_leaving_does,
    guard=lambda case: attention.require_leavable(case.order, case.needs_attention),
    form=LeaveForm,
)

# In the order in which they are offered.
ORDER_ACTIONS = (SHIP, RECORD_PAYMENT, TAKE_BACK, NOTE, LEAVE_BE, CANCEL_ITEMS, CANCEL)
