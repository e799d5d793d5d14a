"""What every action on an order or a payment knows and says."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from django import forms
from unfold.widgets import UnfoldAdminTextInputWidget

from api.errors import Standing
from backoffice import attention
from backoffice.actions import Case
from orders.models import Order, ReturnLine, Shipment
from payments.models import Attempt, Gateway, Payment
from payments.services import bookkeeping


@dataclass(frozen=True)
class OrderCase(Case[Order]):
    """An order, or one payment, shipment or line of a return of it."""

    # Its attempts are at hand.
    the_payment: Payment | None = None
    # Its lines and their items are at hand.
    the_shipment: Shipment | None = None
    the_return_line: ReturnLine | None = None

    sent_differently = "This form was sent before, with other values. See the order."

    @property
    def order(self) -> Order:
        return self.subject

    @property
    def payment(self) -> Payment:
        assert self.the_payment, "an action on an order knows of no one payment"
        return self.the_payment

    @property
    def shipment(self) -> Shipment:
        assert self.the_shipment, "an action on an order knows of no one shipment"
        return self.the_shipment

    @property
    def return_line(self) -> ReturnLine:
        assert self.the_return_line, "an action on an order knows of no one return"
        return self.the_return_line

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

    def again(self) -> Self:
        for part in (self.the_payment, self.the_shipment, self.the_return_line):
            if part:
                part.refresh_from_db()
        return super().again()

    def standing(self) -> Standing:
        if self.the_payment:
            return bookkeeping.standing(self.order, self.the_payment)
        return self.order.standing()

    def worded(self, part: Any) -> str:
        return self.money(part) if isinstance(part, int) else super().worded(part)

    def money(self, amount: int) -> str:
        return self.order.currency.formatted(amount)

    def held(self) -> int:
        return sum(self.order.items.values_list("allocated", flat=True))


def reason_field(placeholder: str = "") -> forms.CharField:
    return forms.CharField(
        max_length=400,
        widget=UnfoldAdminTextInputWidget({"placeholder": placeholder}),
        error_messages={"required": "Say why: it is kept with the order."},
    )


def became(refund: Attempt) -> str:
    return "is on its way back" if refund.is_pending else "is refunded"
