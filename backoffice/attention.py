"""Which orders need a person, and why: one place that the list, the dashboard and the page ask.

An order needs attention while

- a payment, capture, void or refund of it has been pending for more than a few minutes
  (`ATTENTION_PENDING_MINUTES`), or its gateway was asked and has not said what became of it;
- a void or refund of it failed, and the money is still where it should not be;
- money that came too late for it is on its way back;
- more was paid outside of Holdfast than was owed, and was not given back;
- units of it that came back wait to be inspected;
- it is cancelled and money of its buyer is still held;
- only a part of it is paid, for longer than `ATTENTION_PARTLY_PAID_HOURS`.

Money on its way arrives, comes back or is settled by hand. The rest may be as it should be, such as
a fee that was kept of a cancelled order: people can leave that be, with a reason. The order is back
on the list as soon as something happens to it.

Each is found by a partial index that holds hardly more than the rows in question.
"""

import uuid
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce

from api import clock
from api.actors import Actor
from api.errors import Standing
from api.idempotency import Key, claim
from api.transactions import in_transaction
from events.services.notices import Matter, Notice
from orders.errors import PaymentUnderWay
from orders.models import Order, ReturnLine
from orders.services import orders
from payments.errors import NothingToLeaveBe
from payments.models import Attempt, Payment
from payments.services.payments import EXCESS

PENDING = "Money has been on its way for long"
UNKNOWN = "A gateway has not said what became of a payment"
FAILED = "A void or refund failed"
LATE = "Money that came late is on its way back"
OVERPAID = "Paid more than was owed"
TO_INSPECT = "Returned units wait to be inspected"
HELD = "Cancelled, and money is still held"
PARTLY_PAID = "Only a part has been paid, for long"

# Each reason in the address of its own list.
SLUGS = {
    PENDING: "on-its-way",
    UNKNOWN: "unknown",
    FAILED: "failed",
    LATE: "late",
    OVERPAID: "overpaid",
    TO_INSPECT: "to-inspect",
    HELD: "held",
    PARTLY_PAID: "partly-paid",
}
# With more on the list, people have other worries than which one is new.
MAILED_MAX = 1_000


def order_ids(reason: str = "", *, limit: int | None = None) -> "QuerySet[Any, Any]":
    """The id of every order that needs attention, for any reason or for this one, some twice.

    As many as `limit` of each way to need it, if there is one.
    """
    ids = [
        _ids(rows, order)[:limit] for why, order, rows in _found(clock.now()) if reason in ("", why)
    ]
    return ids[0].union(*ids[1:], all=True)


def reasons(order_ids: Collection[uuid.UUID] | None = None, *, limit: int = 1000) -> list[Any]:
    """Pair orders, or these orders, with each reason why they need attention. One query.

    As many as `limit` of each way to need it: many of one leave room for the others.
    """
    pairs = []
    for reason, order, rows in _found(clock.now()):
        asked = rows if order_ids is None else rows.filter(**{f"{order}__in": order_ids})
        labelled = asked.annotate(why=Value(reason, output_field=models.TextField()))
        pairs.append(_ids(labelled, order, "why")[:limit])
    return list(pairs[0].union(*pairs[1:], all=True))


def _ids(rows: "QuerySet[Any]", order: str, *more: str) -> "QuerySet[Any, Any]":
    """The orders that the rows are about, each once."""
    ids = rows.values_list(order, *more, flat=not more)
    # An order is itself only once, and to find that out would be a walk through all orders.
    return ids if rows.model is Order else ids.distinct()


def why(order_id: uuid.UUID) -> list[str]:
    """Each reason why this order needs attention."""
    return [reason for _, reason in reasons([order_id])]


def require_leavable(order: Order, why: Collection[str]) -> None:
    """Raises: PaymentUnderWay, NothingToLeaveBe."""
    if order.attempts_open or order.refunds_open:
        raise PaymentUnderWay
    if not why:
        raise NothingToLeaveBe


def _standing() -> list[Matter] | None:
    """Tell which orders need attention, for those who are told by mail; None: too many to say.

    What a gateway has not said yet is mostly said before anybody can look: then it is no matter.
    """
    pairs = [pair for pair in reasons(limit=MAILED_MAX) if pair[1] != UNKNOWN]
    if len(pairs) >= MAILED_MAX:
        return None
    ids = {order_id for order_id, _ in pairs}
    named = Order.objects.filter(pk__in=ids).values_list("pk", "order_number", "number")
    numbers = {order_id: written or str(number) for order_id, written, number in named}
    return [
        Matter(
            f"{order_id} {SLUGS[reason]}",
            {
                "number": numbers[order_id],
                "what": reason,
                "link": f"{settings.PUBLIC_URL}/admin/orders/order/{order_id}/change/",
            },
        )
        for order_id, reason in pairs
    ]


NOTICE = Notice(
    "attention",
    "Orders that need attention",
    "To staff, when an order comes on the list of those that need attention.",
    sample={
        "number": "1042",
        "what": FAILED,
        "link": f"{settings.PUBLIC_URL}/admin/orders/order/?list=attention",
    },
    standing=_standing,
)


@in_transaction
def leave_be(
    order_id: uuid.UUID,
    *,
    actor: Actor,
    reason: str,
    seen: Standing | None = None,
    key: Key | None = None,
) -> None:
    """Take an order off the list until something happens to it.

    Raises: OrderNotFound, PaymentUnderWay, NothingToLeaveBe, Moved.
    """
    claim(key, order_id)
    order = Order.objects.lock(order_id, seen=seen)
    require_leavable(order, why(order_id))
    orders.leave_be(order, actor=actor, reason=reason)


def _found(now: datetime) -> "Iterable[tuple[str, str, QuerySet[Any]]]":
    """Each reason, the field that names the order, and the rows in which it is found."""
    long_ago = now - timedelta(minutes=settings.ATTENTION_PENDING_MINUTES)
    deadline = long_ago - timedelta(minutes=settings.PAYMENT_DEADLINE_MINUTES)
    nobody_waits = Q(charging_until=None) | Q(charging_until__lt=now)
    nobody_waits &= Q(queued_until=None) | Q(queued_until__lt=now)
    payments, attempts = Payment.objects.all(), Attempt.objects.all()
    pending = payments.filter(status=Payment.Status.PENDING)
    # While its buyer has to do something, it is the buyer who is waited for, until the deadline.
    asked = pending.filter(action__isnull=True)
    yield PENDING, "order_id", asked.filter(created_at__lt=long_ago)
    yield PENDING, "order_id", pending.filter(action__isnull=False, created_at__lt=deadline)
    yield UNKNOWN, "order_id", asked.filter(nobody_waits, created_at__gte=long_ago)
    open_attempts = attempts.filter(status=Attempt.Status.PENDING)
    yield PENDING, "payment__order_id", open_attempts.filter(created_at__lt=long_ago)
    failed = _failed(attempts).filter(payment__order__left_be_at=None)
    yield FAILED, "payment__order_id", failed
    late = payments.filter(_MONEY_IS_HERE, late=True, order__left_be_at=None)
    yield LATE, "order_id", late.exclude(EXCESS)
    yield OVERPAID, "order_id", late.filter(EXCESS)
    to_inspect = ReturnLine.objects.filter(
        disposition=ReturnLine.Disposition.INSPECTION, settled_at=None
    )
    minded = to_inspect.filter(of_return__order__left_be_at=None)
    yield TO_INSPECT, "of_return__order_id", minded
    orders_minded = Order.objects.filter(left_be_at=None)
    yield HELD, "pk", orders_minded.cancelled_with_money()
    hours = timedelta(hours=settings.ATTENTION_PARTLY_PAID_HOURS)
    yield PARTLY_PAID, "pk", orders_minded.partly_paid().filter(created_at__lt=now - hours)


# Captured and not all given back, or authorized and neither captured nor let go.
_MONEY_IS_HERE = Q(captured_amount__gt=F("refunded_amount")) | Q(
    method=Payment.Method.AUTHORIZE, status=Payment.Status.COMPLETE, captured_amount=0
)


def _failed(attempts: "QuerySet[Attempt]") -> "QuerySet[Attempt]":
    """Voids and refunds that failed, and that no later ones made good.

    A refund may fail long after it was made: what was given back before then, or less than it, does
    not stand for it.
    """
    gives_back = [Attempt.Kind.VOID, Attempt.Kind.REFUND]
    failed = attempts.filter(status=Attempt.Status.FAILED, kind__in=gives_back)
    later = Attempt.objects.filter(
        payment=OuterRef("payment"), kind=OuterRef("kind"), created_at__gte=OuterRef("updated_at")
    ).exclude(status=Attempt.Status.FAILED)
    again = later.values("payment").annotate(amount_again=Sum("amount")).values("amount_again")
    here = Payment.objects.filter(_MONEY_IS_HERE, pk=OuterRef("payment"))
    return failed.alias(again=Coalesce(Subquery(again), 0)).filter(
        Exists(here), again__lt=F("amount")
    )
