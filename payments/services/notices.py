"""What buyers are told of their money by mail: that some of it was sent back."""

from collections.abc import Iterable

from django.db.models import QuerySet

from events.models import Event
from events.services.notices import Letter, Notice, Words
from inventory.services import currencies
from orders.services import notices as of_orders
from payments.models import Attempt


def _refunded(event: Event) -> Iterable[Letter]:
    """Tell each refund of a payment by itself, with its own amount.

    Several may be told in one event, and one in several: what was told already is told by its id.
    """
    for refund in _refunds().filter(payment_id=event.subject):
        order = refund.payment.order
        words = _words(refund)
        yield Letter(str(refund.pk), order.customer_email, words, refund.updated_at, order.pk)


def _refunds() -> "QuerySet[Attempt]":
    rows = Attempt.objects.filter(kind=Attempt.Kind.REFUND, status=Attempt.Status.SUCCEEDED)
    return rows.select_related("payment__order").order_by("updated_at")


def _words(refund: Attempt) -> Words:
    money = currencies.by_code()[refund.payment.currency].formatted
    return {
        **of_orders.words_of(refund.payment.order),
        "refund": {"amount": money(refund.amount)},
    }


def _example(number: str) -> Words | None:
    order = of_orders.found(number)
    refund = _refunds().filter(payment__order=order).last() if order else None
    return _words(refund) if refund else None


REFUNDED = Notice(
    "order-refunded",
    "Money refunded",
    "To the buyer, for each refund that has gone through, with its amount.",
    sample={**of_orders.SAMPLE, "refund": {"amount": "$12.50"}},
    types=frozenset({"transaction.created", "transaction.updated"}),
    letters=_refunded,
    example=_example,
)
