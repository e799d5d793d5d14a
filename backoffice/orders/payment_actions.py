"""Capture, let go, refund, and settle what hangs: what people do with one payment of an order."""

from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from api import clock
from backoffice.actions import Action, ActionForm
from backoffice.base import units
from backoffice.orders.case import OrderCase, became, reason_field
from backoffice.products.money import MoneyField
from payments.errors import NotCapturable, NotOpen, NotRefundable, NotVoidable
from payments.models import Attempt
from payments.services import gateway_calls, payments, recovery

# Capture, or let go.


def _require_capturable(case: OrderCase) -> None:
    payment = case.payment
    if payment.late or case.order.is_cancelled:
        raise NotCapturable
    if not payment.authorized_amount or case.open_attempts:
        raise NotCapturable


class CaptureForm(ActionForm):
    def __init__(self, data: Any, *, case: OrderCase) -> None:
        super().__init__(data, case=case)
        authorized = case.payment.authorized_amount
        self.fields["amount"] = MoneyField(case.order.currency, initial=authorized)

    def clean_amount(self) -> int:
        amount: int = self.cleaned_data["amount"]
        authorized = self.case.payment.authorized_amount
        if authorized and not 0 < amount <= authorized:
            formatted = self.case.money(authorized)
            raise forms.ValidationError(f"Between 0 and {formatted}, which is authorized.")
        return amount


def _capture(case: OrderCase, form: CaptureForm) -> str:
    attempt = payments.capture(
        case.order.pk,
        case.payment.pk,
        form.cleaned_data["amount"],
        actor=case.actor,
        seen=form.saw,
        key=form.key(case.request),
    )
    how_far = "is on its way" if attempt.is_pending else "is captured"
    return f"{case.money(attempt.amount)} {how_far}."


CAPTURE = Action(
    "capture",
    "Capture",
    "payments.change_payment",
    _capture,
    effects=lambda case: [
        f"Takes the authorized {case.money(case.payment.amount)} through {case.gateway}.",
        "If you take less, the rest is let go at once, and that much of the order is owing again.",
        "Stock stays as it is.",
    ],
    guard=_require_capturable,
    form=CaptureForm,
)


def _require_voidable(case: OrderCase) -> None:
    if gateway_calls.asks_nobody(case.payment):
        raise NotVoidable
    if case.payment.waits_for_buyer(clock.now()):
        return
    if not case.payment.authorized_amount or case.open_attempts:
        raise NotVoidable


def _what_void_does(case: OrderCase) -> list[str]:
    order, payment = case.order, case.payment
    if payment.is_pending:
        money = f"Gives up the {case.money(payment.amount)} that waits for its buyer."
        holds = order.captured or order.authorized or order.attempts_open > 1
    else:
        money = f"Lets the authorized {case.money(payment.amount)} go: it is not taken."
        holds = order.captured or order.authorized > payment.amount or order.attempts_open
    held = 0 if holds or payment.late else case.held()
    return [money, f"Gives {units(held)} back to available." if held else "Stock stays as it is."]


class VoidForm(ActionForm):
    reason = reason_field("Wants to pay by transfer")


def _void(case: OrderCase, form: VoidForm) -> str:
    attempt = payments.let_go(
        case.order.pk,
        case.payment.pk,
        actor=case.actor,
        reason=form.cleaned_data["reason"],
        seen=form.saw,
        key=form.key(case.request),
    )
    if attempt is None:
        return f"{case.money(case.payment.amount)} is given up."
    how_far = "is about to be let go" if attempt.is_pending else "is let go"
    return f"{case.money(attempt.amount)} {how_far}."


VOID = Action(
    "void",
    "Let go",
    "payments.refund_payment",
    _void,
    effects=_what_void_does,
    guard=_require_voidable,
    form=VoidForm,
    dangerous=True,
)


# Refund.


class RefundForm(ActionForm):
    reason = reason_field("Did not fit")
    elsewhere = forms.BooleanField(
        required=False,
        label="It was given back elsewhere already: only mark it as refunded, all of it",
        widget=UnfoldBooleanSwitchWidget,
    )

    def __init__(self, data: Any, *, case: OrderCase) -> None:
        super().__init__(data, case=case)
        left = case.payment.refundable_amount
        self.fields["amount"] = MoneyField(case.order.currency, initial=left)
        self.order_fields(["amount", "reason", "elsewhere"])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        amount, left = cleaned.get("amount"), self.case.payment.refundable_amount
        if amount is None:
            return cleaned
        formatted = self.case.money(left)
        if left and not 0 < amount <= left:
            self.add_error("amount", f"Between 0 and {formatted}, which can go back.")
        elif cleaned.get("elsewhere") and amount != left:
            self.add_error("amount", f"Only all of it can be marked as refunded: {formatted}.")
        return cleaned


def _require_refundable(case: OrderCase) -> None:
    may_go_back = case.order.fully_paid_at or case.order.is_cancelled or case.payment.late
    if not may_go_back or not case.payment.refundable_amount:
        raise NotRefundable


def _what_refund_does(case: OrderCase) -> list[str]:
    left = case.money(case.payment.refundable_amount)
    if gateway_calls.asks_nobody(case.payment):
        money = f"Records that you give money back yourself, outside of Holdfast: up to {left}."
    else:
        money = f"Gives money back through {case.gateway}: up to {left}."
    if held := case.held():
        stock = f"Stock stays as it is: the order goes on holding {units(held)} until cancelled."
    else:
        stock = "Stock stays as it is."
    return [money, stock]


def _refund(case: OrderCase, form: RefundForm) -> str:
    typed = form.cleaned_data
    attempt = payments.refund(
        case.order.pk,
        case.payment.pk,
        None if typed["elsewhere"] else typed["amount"],
        actor=case.actor,
        reason=typed["reason"],
        seen=form.saw,
        key=form.key(case.request),
    )
    return f"{case.money(attempt.amount)} {became(attempt)}."


REFUND = Action(
    "refund",
    "Refund",
    "payments.refund_payment",
    _refund,
    effects=_what_refund_does,
    guard=_require_refundable,
    form=RefundForm,
    dangerous=True,
)

# What hangs: ask again, or settle what somebody found out.


def _what_is_open(case: OrderCase) -> list[str]:
    payment = case.payment
    open_things = [
        f"{attempt.kind} of {case.money(attempt.amount)}" for attempt in case.open_attempts
    ]
    if payment.is_pending:
        open_things.insert(0, f"{payment.method} of {case.money(payment.amount)}")
    return open_things


def _require_open(case: OrderCase) -> None:
    if not case.payment.is_pending and not case.open_attempts:
        raise NotOpen
    recovery.require_left_alone(case.payment, case.open_attempts)


def _what_either_outcome_does(case: OrderCase) -> str:
    known = "If the money moved, it counts; if not, the order is as unpaid as before"
    if (held := case.held()) and case.payment.is_pending:
        return f"{known}, and gives {units(held)} back to available unless other money holds them."
    return f"{known}."


def _what_checking_does(case: OrderCase) -> list[str]:
    return [
        f"Asks {case.gateway} what became of the {' and the '.join(_what_is_open(case))}, and "
        "settles it by the answer.",
        _what_either_outcome_does(case),
        "That you asked is kept with the order.",
    ]


def _check_now(case: OrderCase, form: ActionForm) -> str:
    payment = recovery.check_now(case.order.pk, case.payment.pk, actor=case.actor)
    if payment.is_pending or payment.attempts.filter(status=Attempt.Status.PENDING).exists():
        return f"{case.gateway} was asked and does not know yet. It will be asked again."
    return f"{case.gateway} was asked: the payment is {payment.get_status_display().lower()}."


CHECK_NOW = Action(
    "check_now",
    "Check now",
    "payments.change_payment",
    _check_now,
    effects=_what_checking_does,
    guard=_require_open,
)


class SettleForm(ActionForm):
    outcome = forms.ChoiceField(
        choices=[
            ("", "Choose"),
            (Attempt.Status.SUCCEEDED, "The money moved"),
            (Attempt.Status.FAILED, "It did not"),
        ],
        widget=UnfoldAdminSelectWidget,
        error_messages={"required": "Say what you found out."},
    )
    reference = forms.CharField(
        max_length=200,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="By which it is found at the gateway or the bank.",
    )
    reason = reason_field("Seen in the gateway's dashboard")


def _what_settling_does(case: OrderCase) -> list[str]:
    # None where it was settled since the page was opened.
    first, *others = _what_is_open(case) or ["payment"]
    after = f" Then comes the {' and the '.join(others)}." if others else ""
    return [
        f"Writes down what you found out about the {first}.{after} "
        f"{case.gateway} is not asked, and no money moves by it.",
        _what_either_outcome_does(case),
        "It is kept with the order, with your name and reason.",
    ]


def _settle_by_hand(case: OrderCase, form: SettleForm) -> str:
    typed = form.cleaned_data
    payment = recovery.settle_by_hand(
        case.order.pk,
        case.payment.pk,
        succeeded=typed["outcome"] == Attempt.Status.SUCCEEDED,
        reference=typed["reference"],
        reason=typed["reason"],
        actor=case.actor,
        seen=form.saw,
        key=form.key(case.request),
    )
    return f"Settled by hand: the payment is {payment.get_status_display().lower()}."


SETTLE_BY_HAND = Action(
    "settle_by_hand",
    "Settle by hand",
    "payments.settle_payment",
    _settle_by_hand,
    effects=_what_settling_does,
    guard=_require_open,
    form=SettleForm,
    dangerous=True,
)

# In the order in which they are offered.
PAYMENT_ACTIONS = (CAPTURE, REFUND, VOID, CHECK_NOW, SETTLE_BY_HAND)
