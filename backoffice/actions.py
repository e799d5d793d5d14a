"""What all steps share: each says what it will do with an order, and does it when confirmed."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminTextInputWidget

from api.errors import Refusal
from api.idempotency import Answered, KeyReused
from backoffice import attention
from backoffice.base import OnceForm
from orders.errors import InsufficientStock
from orders.models import Order
from payments.models import Attempt, Gateway, Payment


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

    @cached_property
    def needs_attention(self) -> list[str]:
        """Why the order does, if it does."""
        return attention.why(self.order.pk)

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


def reason_field(placeholder: str = "") -> forms.CharField:
    return forms.CharField(
        max_length=400,
        widget=UnfoldAdminTextInputWidget({"placeholder": placeholder}),
        error_messages={"required": "Say why: it is kept with the order."},
    )


def became(refund: Attempt) -> str:
    return "is on its way back" if refund.is_pending else "is refunded"
