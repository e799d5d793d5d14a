"""The books of an order's money: its lock, how money changes the numbers, and who saves what.

Whatever changes an order's money locks the order first; no payment and no attempt changes under
any other lock.
"""

import uuid
from collections.abc import Callable

from api import clock, metrics
from api.actors import Actor
from api.errors import Standing, require_as_seen
from orders.models import Order
from orders.services import orders
from payments.errors import PaymentNotFound
from payments.gateways.base import SUCCEEDED, Answer, Outcome
from payments.models import Attempt, Payment
from payments.services import installation
from payments.services.gateway_calls import asks_nobody, lease


def lock(
    order_id: uuid.UUID, payment_id: uuid.UUID, *, seen: Standing | None = None
) -> tuple[Order, Payment]:
    """Lock the order and read its payment, which changes only under this lock.

    Raises: OrderNotFound, PaymentNotFound; Moved, if they are not as they were `seen`.
    """
    order = Order.objects.lock(order_id)
    payment = payment_of(order, payment_id)
    require_as_seen(seen, lambda: standing(order, payment))
    return order, payment


def payment_of(order: Order, payment_id: uuid.UUID) -> Payment:
    """Read a payment of the locked order. Raises: PaymentNotFound."""
    payment = Payment.known(payment_id)
    if payment is None or payment.order_id != order.pk:
        raise PaymentNotFound
    payment.order = order
    return payment


def standing(order: Order, payment: Payment) -> Standing:
    """What people decide by who do something with one payment of an order."""
    return {**order.standing(), **payment.standing()}


def save_and_allocate(order: Order, actor: Actor) -> None:
    """Save the locked order and, if it holds no units yet, take them.

    Raises: NotForSale, InsufficientStock.
    """
    if order.allocated_at is None:
        orders.allocate_and_save(order, actor=actor)
    else:
        orders.save_and_mind(order)


def save_and_release(order: Order, actor: Actor, *, reason: str) -> None:
    """Save the order and, if no payment holds its units any more, give them back."""
    if order.captured or order.authorized or order.attempts_open or order.fully_paid_at:
        orders.save_and_mind(order)
    else:
        orders.release_and_save(order, actor=actor, reason=reason)


def count(payment: Payment, outcome: str) -> None:
    metrics.once_committed(metrics.PAYMENTS, payment.gateway, outcome)


# Attempts: captures, voids and refunds.

# As they are counted, but for a void that succeeds, which lets the authorization go.
_OUTCOMES = {
    (Attempt.Kind.CAPTURE, True): "captured",
    (Attempt.Kind.CAPTURE, False): "capture_failed",
    (Attempt.Kind.REFUND, True): "refunded",
    (Attempt.Kind.REFUND, False): "refund_failed",
    (Attempt.Kind.VOID, False): "void_failed",
}


def has_open_attempt(payment: Payment) -> bool:
    return payment.attempts.filter(status=Attempt.Status.PENDING).exists()


def record_attempt(
    kind: Attempt.Kind,
    order: Order,
    payment: Payment,
    amount: int,
    actor: Actor,
    reason: str = "",
    *,
    at_once: Answer | None = None,
    somebody_waits: bool = True,
) -> Attempt:
    """Record an attempt as pending, or as ended at once where no gateway is to be asked.

    Raises: GatewaysClosed, if somebody waits for its gateway.
    """
    if somebody_waits and not at_once and not asks_nobody(payment):
        installation.require_open()
    now = order.updated_at = clock.now()
    attempt = Attempt(
        payment=payment,
        kind=kind,
        amount=amount,
        reason=reason,
        charging_until=lease() if somebody_waits else None,
        created_at=now,
        updated_at=now,
    )
    attempt.actor = actor
    open_attempt(order, payment, attempt)
    if at_once or asks_nobody(payment):
        conclude_and_save(order, payment, attempt, at_once or SUCCEEDED)
    else:
        attempt.save()
        payment.write()
    return attempt


def conclude_and_save(order: Order, payment: Payment, attempt: Attempt, answer: Answer) -> None:
    """End a pending attempt, and save it and its payment."""
    succeeded = answer.outcome is Outcome.SUCCEEDED
    if attempt.kind == Attempt.Kind.CAPTURE and succeeded and answer.captured is not None:
        attempt.amount = answer.captured
    attempt.charging_until = None
    attempt.status = Attempt.Status.SUCCEEDED if succeeded else Attempt.Status.FAILED
    attempt.reference, attempt.failure = answer.reference, answer.failure
    payment.updated_at = order.updated_at = attempt.updated_at = clock.now()
    conclude_attempt(order, payment, attempt, succeeded)
    if outcome := _OUTCOMES.get((Attempt.Kind(attempt.kind), succeeded)):
        count(payment, outcome)
    attempt.save()
    payment.write()


# How money changes, in memory, an order whose row is locked and its payment.


def stop_waiting(order: Order, payment: Payment) -> None:
    order.pending -= payment.amount
    order.attempts_open -= 1
    order.updated_at = payment.updated_at = clock.now()
    payment.charging_until = payment.queued_until = payment.action = None


def take_money(order: Order, payment: Payment, answer: Answer) -> None:
    payment.status = Payment.Status.COMPLETE
    payment.failure = ""
    payment.reference = answer.reference or payment.reference
    payment.updated_at = order.updated_at = clock.now()
    if payment.is_authorization:
        order.authorized += payment.amount
    else:
        order.captured += payment.amount
        payment.captured_amount = payment.amount
        payment.captured_at = payment.updated_at
    if not order.total:
        order.fully_paid_at = payment.updated_at
    count(payment, "authorized" if payment.is_authorization else "captured")
    restate(order)


def let_go(order: Order, payment: Payment) -> None:
    """Subtract an authorization that has ended from what holds the order."""
    payment.status = Payment.Status.CANCELLED
    count(payment, "let_go")
    payment.updated_at = order.updated_at = clock.now()
    order.authorized -= 0 if payment.late else payment.amount
    restate(order)


def restate(order: Order) -> None:
    """Set the order's states anew after its money changed."""
    if order.captured == order.total and order.total and not order.fully_paid_at:
        order.fully_paid_at = clock.now()
    was, order.payment = order.payment, payment_state(order)
    if order.payment != was:
        metrics.once_committed(metrics.ORDERS, order.payment)
    if not order.is_cancelled:
        order.status = _status(order)


def _status(order: Order) -> Order.Status:
    """A part that was paid and refunded at the gateway itself completes no order."""
    if order.fully_paid_at:
        return Order.Status.COMPLETE
    is_authorized = order.payment == Order.Payment.AUTHORIZED
    return Order.Status.PROCESSING if is_authorized else Order.Status.INCOMPLETE


def payment_state(order: Order) -> Order.Payment:
    """Return the state that an order's numbers amount to; captured money takes precedence."""
    if order.captured and order.refunded == order.captured and not order.authorized:
        return Order.Payment.REFUNDED
    if order.fully_paid_at:
        return Order.Payment.PAID
    if order.total and not order.balance_owing:
        return Order.Payment.AUTHORIZED
    if order.captured:
        return Order.Payment.PARTIALLY_PAID
    return Order.Payment.PARTIALLY_AUTHORIZED if order.authorized else Order.Payment.UNPAID


def open_attempt(order: Order, payment: Payment, attempt: Attempt) -> None:
    """Count a pending attempt, for as long as it may still change what is paid."""
    if attempt.kind == Attempt.Kind.REFUND:
        order.refunds_open += 1
        payment.refunding_amount += attempt.amount
    else:
        order.attempts_open += 1


def _conclude_capture(order: Order, payment: Payment, amount: int, succeeded: bool) -> None:
    order.attempts_open -= 1
    if succeeded:
        payment.captured_amount = amount
        payment.captured_at = payment.updated_at
        # Whatever was not captured of it is let go.
        order.authorized -= 0 if payment.late else payment.amount
        order.captured += 0 if payment.late else amount


def _conclude_refund(order: Order, payment: Payment, amount: int, succeeded: bool) -> None:
    order.refunds_open -= 1
    payment.refunding_amount -= amount
    if succeeded:
        payment.refunded_amount += amount
        order.refunded += 0 if payment.late else amount


def take_back_refund(order: Order, payment: Payment, amount: int) -> None:
    """Undo the counting of a refund that was counted as made."""
    payment.refunded_amount -= amount
    order.refunded -= 0 if payment.late else amount
    restate(order)


def _conclude_void(order: Order, payment: Payment, amount: int, succeeded: bool) -> None:
    order.attempts_open -= 1
    if succeeded:
        let_go(order, payment)


def conclude_attempt(order: Order, payment: Payment, attempt: Attempt, succeeded: bool) -> None:
    """Stop counting an attempt as pending and, if it succeeded, count what it did."""
    _CONCLUDE[Attempt.Kind(attempt.kind)](order, payment, attempt.amount, succeeded)
    restate(order)


_CONCLUDE: dict[Attempt.Kind, Callable[[Order, Payment, int, bool], None]] = {
    Attempt.Kind.CAPTURE: _conclude_capture,
    Attempt.Kind.REFUND: _conclude_refund,
    Attempt.Kind.VOID: _conclude_void,
}
