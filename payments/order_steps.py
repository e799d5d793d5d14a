"""What people can do with an order: each step says what it will do before it does it."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from api import clock
from api.admin import OnceForm, actor_of
from api.errors import Refusal
from api.idempotency import Answered, KeyReused
from inventory.forms import MoneyField
from orders import services as orders
from orders.errors import InsufficientStock
from orders.models import Order, OrderItem
from payments import gateways, recovery, services
from payments.errors import (
    NotCapturable,
    NotOpen,
    NotRefundable,
    NotVoidable,
    OrderNotPayable,
    RestIsPending,
    StillUnderWay,
)
from payments.models import Attempt, Gateway, Payment
from payments.order_pages import units
from payments.services import Request


@dataclass(frozen=True)
class Case:
    """An order, or one payment of it, and who is about to do something with it."""

    order: Order
    request: HttpRequest
    # Its attempts are at hand.
    the_payment: Payment | None = None

    @property
    def payment(self) -> Payment:
        assert self.the_payment, "a step of an order knows of no one payment"
        return self.the_payment

    @property
    def open_attempts(self) -> list[Attempt]:
        return [attempt for attempt in self.payment.attempts.all() if attempt.is_pending]

    @property
    def gateway(self) -> str:
        found = Gateway.objects.filter(slug=self.payment.gateway).first()
        return found.name if found else self.payment.gateway

    def may(self, permission: str) -> bool:
        return self.request.user.has_perm(permission)

    def money(self, amount: int) -> str:
        return self.order.currency.formatted(amount)

    def held(self) -> int:
        return sum(self.order.items.values_list("allocated", flat=True))


class StepForm(OnceForm):
    """A confirmation with nothing to fill in."""

    def __init__(self, data: Any, *, case: Case) -> None:
        super().__init__(data)
        self.case = case


@dataclass(frozen=True)
class Step:
    """Something that can be done with an order, after it was said what it will do."""

    # As in its address.
    name: str
    title: str
    permission: str
    effects: Callable[[Case], list[str]]
    # Does it, and says so.
    take: Callable[[Case, Any], str]
    # What would refuse it, asked before anybody confirms in vain.
    guard: Callable[[Case], None]
    form: type[StepForm] = StepForm
    # Whether what was typed is shown again after a refusal.
    shown_again: bool = False
    dangerous: bool = False

    @property
    def page(self) -> str:
        """The name of its page's address."""
        return f"orders_order_{self.name.replace('-', '_')}"

    def refusal(self, case: Case) -> str:
        try:
            self.guard(case)
        except Refusal as refusal:
            return words(refusal)
        return ""

    def is_offered(self, case: Case) -> bool:
        return case.may(self.permission) and not self.refusal(case)

    def taken(self, case: Case, form: StepForm) -> bool:
        """Take the step and tell how it went."""
        try:
            messages.success(case.request, self.take(case, form))
        except Answered:
            messages.info(case.request, "This was recorded already, and not a second time.")
        except KeyReused:
            messages.error(
                case.request, "This form was sent before, with other values. See the order."
            )
        except Refusal as refusal:
            messages.error(case.request, words(refusal))
            return False
        return True


def words(refusal: Refusal) -> str:
    """What a merchant may know: behind the shopper's sentence stand the numbers."""
    if isinstance(refusal, InsufficientStock) and isinstance(refusal.__cause__, Refusal):
        return f"{refusal}. {refusal.__cause__}"
    return str(refusal)


def _reason(placeholder: str = "") -> forms.CharField:
    return forms.CharField(
        max_length=400,
        widget=UnfoldAdminTextInputWidget({"placeholder": placeholder}),
        error_messages={"required": "Say why: it is kept with the order."},
    )


# Ship, and undo it.


class ShipForm(StepForm):
    tracking = forms.CharField(
        max_length=200,
        required=False,
        label="Tracking number",
        widget=UnfoldAdminTextInputWidget,
        help_text="Kept with the order. May be left empty.",
    )


def _what_ship_does(case: Case) -> list[str]:
    held = case.held()
    stock = f"Takes {units(held)} out of the total." if held else "Moves no stock."
    return [stock, "Money stays as it is."]


def _ship(case: Case, form: ShipForm) -> str:
    tracking = form.cleaned_data["tracking"]
    orders.ship(case.order.pk, actor=actor_of(case.request), tracking=tracking)
    return f"Order {case.order} is shipped."


SHIP = Step(
    "ship",
    "Ship",
    "orders.change_order",
    _what_ship_does,
    _ship,
    guard=lambda case: case.order.require_shippable(),
    form=ShipForm,
)


class ReasonForm(StepForm):
    reason = _reason("Packed by mistake")


def _what_undoing_does(case: Case) -> list[str]:
    shipped = sum(case.order.items.values_list("shipped", flat=True))
    stock = (
        f"Brings {units(shipped)} back into the total and lets this order hold them again; "
        "available stays as it is."
        if shipped
        else "Moves no stock."
    )
    return [stock, "Money stays as it is. The order can be shipped again, or cancelled."]


def _undo_ship(case: Case, form: ReasonForm) -> str:
    reason = form.cleaned_data["reason"]
    orders.undo_ship(case.order.pk, actor=actor_of(case.request), reason=reason)
    return f"Order {case.order} is to be shipped again."


UNDO_SHIP = Step(
    "undo-ship",
    "Undo ship",
    "orders.undo_ship_order",
    _what_undoing_does,
    _undo_ship,
    guard=lambda case: case.order.require_ship_undoable(),
    form=ReasonForm,
    shown_again=True,
    dangerous=True,
)


# Cancel.


class CancelForm(StepForm):
    refund = forms.BooleanField(required=False, initial=True, widget=UnfoldBooleanSwitchWidget)

    def __init__(self, data: Any, *, case: Case) -> None:
        super().__init__(data, case=case)
        kept = case.order.captured - case.order.refunded
        if kept and case.may("payments.refund_payment"):
            self.fields["refund"].label = f"and refund {case.money(kept)}"
        else:
            del self.fields["refund"]


def _what_cancel_does(case: Case) -> list[str]:
    order, held = case.order, case.held()
    kept = order.captured - order.refunded
    stock = f"Gives {units(held)} back to available" if held else "Moves no stock"
    effects = []
    if kept:
        stock += f"; {case.money(kept)} stays captured until it is refunded"
    effects.append(f"{stock}.")
    if order.authorized:
        effects.append(f"Lets the authorized {case.money(order.authorized)} go.")
    return [*effects, "A cancelled order cannot be opened again."]


def _cancel(case: Case, form: CancelForm) -> str:
    services.cancel(case.order.pk, actor=actor_of(case.request))
    if form.cleaned_data.get("refund"):
        _refund_all(case)
    return f"Order {case.order} is cancelled."


def _refund_all(case: Case) -> None:
    """Give back what was captured. The order stays cancelled where a gateway refuses."""
    for payment in services.payments_of(case.order.pk):
        if not payment.refundable_amount:
            continue
        money = case.money(payment.refundable_amount)
        try:
            attempt = services.refund(
                case.order.pk,
                payment.pk,
                payment.refundable_amount,
                actor=actor_of(case.request),
                reason="order cancelled",
            )
        except Refusal as refusal:
            messages.error(case.request, f"{money} could not be refunded: {refusal}")
        else:
            messages.success(case.request, f"{money} {_became(attempt)}.")


def _became(refund: Attempt) -> str:
    return "is on its way back" if refund.is_pending else "is refunded"


CANCEL = Step(
    "cancel",
    "Cancel order",
    "orders.change_order",
    _what_cancel_does,
    _cancel,
    guard=lambda case: case.order.require_cancellable(),
    form=CancelForm,
    dangerous=True,
)


# Record a payment.


class PaymentForm(StepForm):
    reference = forms.CharField(
        max_length=200,
        required=False,
        widget=UnfoldAdminTextInputWidget({"placeholder": "Bank transfer of 3 May"}),
        help_text="By which it is found in your books.",
    )

    def __init__(self, data: Any, *, case: Case) -> None:
        super().__init__(data, case=case)
        self.fields["amount"] = MoneyField(case.order.currency, initial=case.order.payable)
        self.order_fields(["amount", "reference"])

    def clean_amount(self) -> int:
        amount: int = self.cleaned_data["amount"]
        left = self.case.order.payable
        if left > 0 and not 0 < amount <= left:
            formatted = self.case.money(left)
            raise forms.ValidationError(f"Between 0 and {formatted}, which is left to pay.")
        return amount


def _require_payable(case: Case) -> None:
    """Say beforehand what the service would: it decides again under the order's lock."""
    order = case.order
    if order.is_cancelled or order.fully_paid_at:
        raise OrderNotPayable
    if order.total and not order.payable:
        raise RestIsPending if order.attempts_open else OrderNotPayable


def _what_recording_does(case: Case) -> list[str]:
    effects = ["Records money that you received outside of Holdfast, in cash or by bank transfer."]
    if case.order.allocated_at is None:
        stocked = OrderItem.objects.filter(order=case.order, product__stocks__managed=True)
        if wanted := sum(stocked.values_list("quantity", flat=True)):
            effects.append(f"Takes {units(wanted)} from available for this order.")
    return effects


def _record_payment(case: Case, form: PaymentForm) -> str:
    payment = services.pay(
        case.order.pk,
        Request(
            "manual",
            amount=form.cleaned_data["amount"],
            custom_reference=form.cleaned_data["reference"],
        ),
        actor=actor_of(case.request),
        key=form.key(case.request),
    )
    return f"{case.money(payment.amount)} recorded for order {case.order}."


RECORD_PAYMENT = Step(
    "record-payment",
    "Record payment",
    "payments.add_payment",
    _what_recording_does,
    _record_payment,
    guard=_require_payable,
    form=PaymentForm,
    shown_again=True,
)


# An internal note.


class NoteForm(StepForm):
    text = forms.CharField(
        max_length=2000,
        label="Note",
        widget=UnfoldAdminTextareaWidget({"rows": 4}),
        error_messages={"required": "Write something."},
    )


def _write_note(case: Case, form: NoteForm) -> str:
    orders.write_note(
        case.order.pk,
        form.cleaned_data["text"],
        actor=actor_of(case.request),
        key=form.key(case.request),
    )
    return "The note is kept with the order."


NOTE = Step(
    "note",
    "Add note",
    "orders.change_order",
    lambda case: [
        "Moves neither stock nor money. Kept in the order's timeline for good, for colleagues only."
    ],
    _write_note,
    guard=lambda case: None,
    form=NoteForm,
    shown_again=True,
)


# Capture, or let go.


def _require_capturable(case: Case) -> None:
    payment = case.payment
    if payment.late or case.order.is_cancelled:
        raise NotCapturable
    if not payment.authorized_amount or case.open_attempts:
        raise NotCapturable


def _capture(case: Case, form: StepForm) -> str:
    attempt = services.capture(case.order.pk, case.payment.pk, actor=actor_of(case.request))
    became = "is on its way" if attempt.is_pending else "is captured"
    return f"{case.money(attempt.amount)} {became}."


CAPTURE = Step(
    "capture",
    "Capture",
    "payments.change_payment",
    lambda case: [
        f"Takes the authorized {case.money(case.payment.amount)} through {case.gateway}.",
        "Stock stays as it is.",
    ],
    _capture,
    guard=_require_capturable,
)


def _require_voidable(case: Case) -> None:
    if case.payment.gateway in gateways.ASKING_NOBODY:
        raise NotVoidable
    if not case.payment.authorized_amount or case.open_attempts:
        raise NotVoidable


def _what_void_does(case: Case) -> list[str]:
    order, payment = case.order, case.payment
    money = f"Lets the authorized {case.money(payment.amount)} go: it is not taken."
    holds = order.captured or order.authorized > payment.amount or order.attempts_open
    held = 0 if holds or payment.late else case.held()
    return [money, f"Gives {units(held)} back to available." if held else "Stock stays as it is."]


def _void(case: Case, form: ReasonForm) -> str:
    attempt = services.void(
        case.order.pk,
        case.payment.pk,
        actor=actor_of(case.request),
        reason=form.cleaned_data["reason"],
    )
    became = "is about to be let go" if attempt.is_pending else "is let go"
    return f"{case.money(attempt.amount)} {became}."


VOID = Step(
    "void",
    "Let go",
    "payments.refund_payment",
    _what_void_does,
    _void,
    guard=_require_voidable,
    form=ReasonForm,
    shown_again=True,
    dangerous=True,
)


# Refund.


class RefundForm(StepForm):
    reason = _reason("Did not fit")
    elsewhere = forms.BooleanField(
        required=False,
        label="It was given back elsewhere already: only mark it as refunded, all of it",
        widget=UnfoldBooleanSwitchWidget,
    )

    def __init__(self, data: Any, *, case: Case) -> None:
        super().__init__(data, case=case)
        left = case.payment.refundable_amount
        self.fields["amount"] = MoneyField(case.order.currency, initial=left)
        self.order_fields(["amount", "reason", "elsewhere"])
        self.lines = {f"back_{item.pk.hex}": item for item in _gone(case.order)}
        for name, item in self.lines.items():
            left = item.shipped - item.returned
            self.fields[name] = forms.IntegerField(
                label=f"Put back of {item.sku}",
                help_text=f"{item.name}: of the {units(left)} that left, how many came back and "
                "can be sold again.",
                required=False,
                initial=0,
                min_value=0,
                max_value=left,
                widget=UnfoldAdminIntegerFieldWidget({"min": 0, "max": left}),
            )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        amount, left = cleaned.get("amount"), self.case.payment.refundable_amount
        if amount is None:
            return cleaned
        formatted = self.case.money(left)
        if left and not 0 < amount <= left:
            self.add_error("amount", f"Between 0 and {formatted}, which can go back.")
        elif cleaned.get("elsewhere") and amount != left:
            self.add_error("amount", f"Only all of it can be marked as refunded: {formatted}.")
        return cleaned

    def put_back(self) -> dict[uuid.UUID, int]:
        """How many units of which line came back."""
        typed = {item.pk: self.cleaned_data.get(name) or 0 for name, item in self.lines.items()}
        return {line_id: quantity for line_id, quantity in typed.items() if quantity}


def _gone(order: Order) -> list[OrderItem]:
    """The lines of which units left and could still come back."""
    lines = order.items.filter(shipped__gt=0).order_by("position")
    return [line for line in lines if line.shipped > line.returned]


def _require_refundable(case: Case) -> None:
    may_go_back = case.order.fully_paid_at or case.order.is_cancelled or case.payment.late
    if not may_go_back or not case.payment.refundable_amount:
        raise NotRefundable


def _what_refund_does(case: Case) -> list[str]:
    left = case.money(case.payment.refundable_amount)
    if case.payment.gateway in gateways.ASKING_NOBODY:
        money = f"Records that you give money back yourself, outside of Holdfast: up to {left}."
    else:
        money = f"Gives money back through {case.gateway}: up to {left}."
    if case.order.is_shipped:
        stock = "Stock stays as it is, but for the units that you put back below."
    elif held := case.held():
        stock = f"Stock stays as it is: the order goes on holding {units(held)} until cancelled."
    else:
        stock = "Stock stays as it is."
    return [money, stock]


def _refund(case: Case, form: RefundForm) -> str:
    typed = form.cleaned_data
    attempt = services.refund(
        case.order.pk,
        case.payment.pk,
        None if typed["elsewhere"] else typed["amount"],
        actor=actor_of(case.request),
        reason=typed["reason"],
        put_back=form.put_back(),
        key=form.key(case.request),
    )
    done = f"{case.money(attempt.amount)} {_became(attempt)}."
    back = sum(form.put_back().values())
    return f"{done} {units(back)} put back." if back else done


REFUND = Step(
    "refund",
    "Refund",
    "payments.refund_payment",
    _what_refund_does,
    _refund,
    guard=_require_refundable,
    form=RefundForm,
    shown_again=True,
    dangerous=True,
)

# What hangs: ask again, or settle what somebody found out.


def _what_is_open(case: Case) -> list[str]:
    payment = case.payment
    open_things = [
        f"{attempt.kind} of {case.money(attempt.amount)}" for attempt in case.open_attempts
    ]
    if payment.is_pending:
        open_things.insert(0, f"{payment.method} of {case.money(payment.amount)}")
    return open_things


def _require_open(case: Case) -> None:
    if not case.payment.is_pending and not case.open_attempts:
        raise NotOpen
    now = clock.now()
    attempts_wait = any(attempt.is_under_way(now) for attempt in case.open_attempts)
    if case.payment.is_under_way(now) or attempts_wait:
        raise StillUnderWay


def _what_either_outcome_does(case: Case) -> str:
    known = "If the money moved, it counts; if not, the order is as unpaid as before"
    if (held := case.held()) and case.payment.is_pending:
        return f"{known}, and gives {units(held)} back to available unless other money holds them."
    return f"{known}."


def _what_checking_does(case: Case) -> list[str]:
    return [
        f"Asks {case.gateway} what became of the {' and the '.join(_what_is_open(case))}, and "
        "settles it by the answer.",
        _what_either_outcome_does(case),
    ]


def _check_now(case: Case, form: StepForm) -> str:
    payment = recovery.check_now(case.order.pk, case.payment.pk)
    if payment.is_pending or payment.attempts.filter(status=Attempt.Status.PENDING).exists():
        return f"{case.gateway} was asked and does not know yet. It will be asked again."
    return f"{case.gateway} was asked: the payment is {payment.get_status_display().lower()}."


CHECK_NOW = Step(
    "check-now",
    "Check now",
    "payments.change_payment",
    _what_checking_does,
    _check_now,
    guard=_require_open,
)


class SettleForm(StepForm):
    outcome = forms.ChoiceField(
        choices=[("", "Choose"), ("succeeded", "The money moved"), ("failed", "It did not")],
        widget=UnfoldAdminSelectWidget,
        error_messages={"required": "Say what you found out."},
    )
    reference = forms.CharField(
        max_length=200,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="By which it is found at the gateway or the bank.",
    )
    reason = _reason("Seen in the gateway's dashboard")


def _what_settling_does(case: Case) -> list[str]:
    return [
        f"Writes down what you found out about the {' and the '.join(_what_is_open(case))}. "
        f"{case.gateway} is not asked, and no money moves by it.",
        _what_either_outcome_does(case),
        "It is kept with the order, with your name and reason.",
    ]


def _settle_by_hand(case: Case, form: SettleForm) -> str:
    typed = form.cleaned_data
    payment = recovery.settle_by_hand(
        case.order.pk,
        case.payment.pk,
        succeeded=typed["outcome"] == "succeeded",
        reference=typed["reference"],
        reason=typed["reason"],
        actor=actor_of(case.request),
    )
    return f"Settled by hand: the payment is {payment.get_status_display().lower()}."


SETTLE_BY_HAND = Step(
    "settle-by-hand",
    "Settle by hand",
    "payments.settle_payment",
    _what_settling_does,
    _settle_by_hand,
    guard=_require_open,
    form=SettleForm,
    shown_again=True,
    dangerous=True,
)

# In the order in which they are offered.
ORDER_STEPS = (SHIP, RECORD_PAYMENT, UNDO_SHIP, NOTE, CANCEL)
PAYMENT_STEPS = (CAPTURE, REFUND, VOID, CHECK_NOW, SETTLE_BY_HAND)
