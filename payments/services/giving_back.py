"""Money that goes back with goods: for units that are cancelled, or that were taken back.

Goods and refunds are on record in one transaction; the gateways are asked after it. If one refuses,
the goods have moved all the same, and the failed refund needs attention.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence

from api import clock
from api.actors import Actor
from api.errors import Standing
from api.idempotency import Key, claim
from api.ids import uuid7
from api.transactions import in_transaction
from orders.models import Order
from orders.services import cancelling, orders, returns
from orders.services.returns import TakenBack
from payments.errors import GatewayRefused, NotRefundable
from payments.models import Attempt, Payment
from payments.services.bookkeeping import record_attempt
from payments.services.gateway_calls import can_move
from payments.services.payments import performed


def refundable(payments: Iterable[Payment]) -> int:
    """Return how much of these payments of an order may go back. What never counted is apart."""
    return sum(payment.refundable_amount for payment in payments if not payment.late)


def cancel_items(
    order_id: uuid.UUID,
    units: Mapping[uuid.UUID, int],
    amount: int,
    *,
    actor: Actor,
    reason: str,
    restock: bool = True,
    seen: Standing | None = None,
    key: Key | None = None,
) -> list[Attempt]:
    """Cancel units of a paid order, and give so much back for them. Return the refunds.

    Raises: OrderNotFound, NotRefundable, Moved, whatever `cancelling.record` does.
    """
    refunds = _begin_cancel_items(
        order_id, units, amount, actor=actor, reason=reason, restock=restock, seen=seen, key=key
    )
    return _each_performed(refunds)


@in_transaction
def _begin_cancel_items(
    order_id: uuid.UUID,
    units: Mapping[uuid.UUID, int],
    amount: int,
    *,
    actor: Actor,
    reason: str,
    restock: bool,
    seen: Standing | None,
    key: Key | None,
) -> list[Attempt]:
    claim(key, order_id)
    order = Order.objects.lock(order_id, seen=seen)
    order.require_items_cancellable()
    refunds = _record_refunds(order, amount, actor, reason)
    cancelling.record(order, units, actor=actor, reason=reason, restock=restock)
    return refunds


def take_back(
    order_id: uuid.UUID,
    lines: Sequence[TakenBack],
    amount: int,
    *,
    actor: Actor,
    reason: str,
    seen: Standing | None = None,
    key: Key | None = None,
) -> list[Attempt]:
    """Take back shipped units of an order, and give so much back for them. Return the refunds.

    Where it takes several refunds, the return names the first.
    Raises: OrderNotFound, NotRefundable, Moved, whatever `returns.record` does.
    """
    refunds = _begin_take_back(
        order_id, lines, amount, actor=actor, reason=reason, seen=seen, key=key
    )
    return _each_performed(refunds)


@in_transaction
def _begin_take_back(
    order_id: uuid.UUID,
    lines: Sequence[TakenBack],
    amount: int,
    *,
    actor: Actor,
    reason: str,
    seen: Standing | None,
    key: Key | None,
) -> list[Attempt]:
    return_id = uuid7()
    claim(key, return_id)
    order = Order.objects.lock(order_id, seen=seen)
    refunds = _record_refunds(order, amount, actor, reason)
    # Without a refund, the goods alone change it.
    order.updated_at = clock.now()
    orders.save_and_mind(order)
    returns.record(
        order,
        lines,
        actor=actor,
        reason=reason,
        return_id=return_id,
        attempt_id=refunds[0].pk if refunds else None,
    )
    return refunds


def _record_refunds(order: Order, amount: int, actor: Actor, reason: str) -> list[Attempt]:
    """Put refunds of so much on record, of the oldest payments first. The caller saves the order.

    Raises: NotRefundable.
    """
    if not amount:
        return []
    if amount < 0 or not order.fully_paid_at:
        raise NotRefundable
    refunds = []
    for payment in order.payments.filter(late=False).order_by("pk"):
        payment.order = order
        part = min(amount, payment.refundable_amount)
        if part and not can_move(payment, part):
            raise NotRefundable
        if part:
            refunds.append(record_attempt(Attempt.Kind.REFUND, order, payment, part, actor, reason))
            amount -= part
    if amount:
        raise NotRefundable("More was to be given back than the order still has.")
    return refunds


def _each_performed(refunds: Iterable[Attempt]) -> list[Attempt]:
    return [_performed(refund) for refund in refunds]


def _performed(refund: Attempt) -> Attempt:
    try:
        return performed(refund)
    except GatewayRefused:
        refund.refresh_from_db()
        return refund
