"""What becomes of a payment by what its gateway says: one state machine, drawn in docs/payments.md.

However an answer arrives (to the request that asked, to a worker, from recovery, after a message of
the gateway's own, by hand) it ends here, under the order's lock.
"""

from collections.abc import Callable, Mapping
from enum import Enum

import structlog

from api import clock
from api.actors import SYSTEM, Actor
from api.transactions import assert_in_transaction, in_transaction
from orders.errors import InsufficientStock, NotForSale
from orders.models import Order, OrderEvent
from orders.services import orders
from payments.gateways.base import SUCCEEDED, Answer, Outcome, Refunded
from payments.models import Attempt, Payment
from payments.services import bookkeeping

log = structlog.get_logger(__name__)

TOO_LATE = "The payment came too late for the order."
LAPSED = "The authorization has lapsed."
CAPTURED_THERE = "Captured at the gateway itself."
REFUNDED_THERE = "Refunded at the gateway itself."


# Payments.


class State(Enum):
    PENDING = "pending"
    # Money is reserved, neither captured nor let go.
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    FAILED = "failed"
    # An authorization that was let go.
    CANCELLED = "cancelled"


def state_of(payment: Payment) -> State:
    if payment.status == Payment.Status.COMPLETE:
        return State.AUTHORIZED if payment.is_authorized else State.CAPTURED
    return State(payment.status)


def settle(payment: Payment, answer: Answer, *, actor: Actor = SYSTEM) -> Payment:
    """Write down what the gateway said of a charge. The same answer again changes nothing.

    Money that comes after the payment had failed is accepted if the order can still take it, and
    sent back otherwise.
    """
    try:
        return _settle(payment, answer, actor)
    except (InsufficientStock, NotForSale):
        return _settle_by_giving_back(payment, answer, actor)


@in_transaction
def _settle(payment: Payment, answer: Answer, actor: Actor) -> Payment:
    order, payment = bookkeeping.lock(payment.order_id, payment.pk)
    apply(order, payment, answer, actor)
    return payment


def apply(order: Order, payment: Payment, answer: Answer, actor: Actor) -> None:
    """Change a locked order and its payment as TRANSITIONS says; without an entry, do nothing."""
    assert_in_transaction()
    transition = TRANSITIONS.get((state_of(payment), answer.outcome))
    if transition is not None:
        transition(order, payment, answer, actor)


def _accept(order: Order, payment: Payment, answer: Answer, actor: Actor) -> None:
    bookkeeping.stop_waiting(order, payment)
    _take(order, payment, answer, actor)
    orders.save_and_mind(order)


def _take(order: Order, payment: Payment, answer: Answer, actor: Actor) -> None:
    """Book money and save its payment; the caller saves the order."""
    bookkeeping.take_money(order, payment, answer)
    if payment.is_authorized and answer.outcome is Outcome.CAPTURED:
        _book_capture(order, payment, answer, actor)
    else:
        payment.write()


def _book_capture(order: Order, payment: Payment, answer: Answer, actor: Actor) -> None:
    amount = payment.amount if answer.captured is None else answer.captured
    bookkeeping.record_attempt(
        Attempt.Kind.CAPTURE, order, payment, amount, actor, CAPTURED_THERE, at_once=SUCCEEDED
    )


def _fail(order: Order, payment: Payment, answer: Answer, actor: Actor) -> None:
    _write_failed(order, payment, answer)
    bookkeeping.save_and_release(order, actor, reason="payment failed")


def _write_failed(order: Order, payment: Payment, answer: Answer) -> None:
    bookkeeping.stop_waiting(order, payment)
    payment.status = Payment.Status.FAILED
    bookkeeping.count(payment, "failed")
    payment.failure = answer.failure
    payment.reference = answer.reference or payment.reference
    payment.write()


def make_way(order: Order, payment: Payment, answer: Answer, actor: Actor) -> Payment:
    """Settle a payment of the locked order whose place is taken in this same transaction.

    Returns it as it is then. If it has failed, the units stay with the order: the caller keeps them
    for what takes the place, or gives them back, and saves the order.
    """
    assert_in_transaction()
    payment = bookkeeping.payment_of(order, payment.pk)
    if payment.is_pending and answer.outcome in {Outcome.FAILED, Outcome.CANCELLED}:
        _write_failed(order, payment, answer)
    else:
        apply(order, payment, answer, actor)
    return payment


def _wait(order: Order, payment: Payment, answer: Answer, actor: Actor) -> None:
    """Leave the payment to recovery, which asks first about those it has not asked for longest."""
    payment.charging_until = payment.queued_until = None
    payment.reference = answer.reference or payment.reference
    payment.action = answer.action or payment.action
    payment.updated_at = clock.now()
    payment.write()


def _lapse(order: Order, payment: Payment, answer: Answer, actor: Actor) -> None:
    """Book that the gateway let an authorization go by itself. An open attempt learns it itself.

    Or that it never had one: then it says why, and somebody had settled it by hand as made.
    """
    if bookkeeping.has_open_attempt(payment):
        return
    bookkeeping.let_go(order, payment)
    payment.failure = answer.failure if answer.outcome is Outcome.FAILED else LAPSED
    payment.write()
    _note(order, OrderEvent.Kind.AUTHORIZATION_LAPSED, payment, actor)
    bookkeeping.save_and_release(order, actor, reason="authorization lapsed")


def _captured_there(order: Order, payment: Payment, answer: Answer, actor: Actor) -> None:
    """Book a capture that was made at the gateway itself. An open attempt learns it itself."""
    if bookkeeping.has_open_attempt(payment):
        return
    _book_capture(order, payment, answer, actor)
    if payment.late:
        _send_back(Attempt.Kind.REFUND, order, payment, payment.captured_amount, actor)
    orders.save_and_mind(order)


def _accept_late(order: Order, payment: Payment, answer: Answer, actor: Actor) -> None:
    if order.is_cancelled or order.fully_paid_at or payment.amount > order.payable:
        _give_back(order, payment, answer, actor)
        return
    # It may have come too late once, and counts now.
    payment.late = False
    _take(order, payment, answer, actor)
    bookkeeping.save_and_allocate(order, actor)


@in_transaction
def _settle_by_giving_back(payment: Payment, answer: Answer, actor: Actor) -> Payment:
    order, payment = bookkeeping.lock(payment.order_id, payment.pk)
    if TRANSITIONS.get((state_of(payment), answer.outcome)) is _accept_late:
        _give_back(order, payment, answer, actor)
    return payment


def _give_back(order: Order, payment: Payment, answer: Answer, actor: Actor) -> None:
    """Keep money that the order cannot take out of the order's books, and record its way back."""
    payment.status = Payment.Status.COMPLETE
    payment.late = True
    bookkeeping.count(payment, "came_late")
    payment.reference = answer.reference or payment.reference
    payment.updated_at = order.updated_at = clock.now()
    if payment.is_authorization and answer.outcome is not Outcome.CAPTURED:
        _send_back(Attempt.Kind.VOID, order, payment, payment.amount, actor)
    else:
        amount = payment.amount if answer.captured is None else answer.captured
        payment.captured_amount = amount
        payment.captured_at = payment.updated_at
        _send_back(Attempt.Kind.REFUND, order, payment, amount, actor)
    orders.save_and_mind(order)
    _note(order, OrderEvent.Kind.MONEY_CAME_LATE, payment, actor)


def _send_back(
    kind: Attempt.Kind, order: Order, payment: Payment, amount: int, actor: Actor
) -> None:
    """Record that late money goes back. Nobody waits for it: recovery asks the gateway."""
    bookkeeping.record_attempt(kind, order, payment, amount, actor, TOO_LATE, somebody_waits=False)


def _note(order: Order, kind: OrderEvent.Kind, payment: Payment, actor: Actor) -> None:
    orders.note_event(order, kind, actor=actor, text=order.currency.formatted(payment.amount))


Transition = Callable[[Order, Payment, Answer, Actor], None]

TRANSITIONS: Mapping[tuple[State, Outcome], Transition] = {
    (State.PENDING, Outcome.SUCCEEDED): _accept,
    (State.PENDING, Outcome.FAILED): _fail,
    (State.PENDING, Outcome.CANCELLED): _fail,
    (State.PENDING, Outcome.ACTION): _wait,
    (State.PENDING, Outcome.OPEN): _wait,
    (State.PENDING, Outcome.UNKNOWN): _wait,
    (State.PENDING, Outcome.CAPTURED): _accept,
    (State.AUTHORIZED, Outcome.CANCELLED): _lapse,
    (State.AUTHORIZED, Outcome.FAILED): _lapse,
    (State.AUTHORIZED, Outcome.CAPTURED): _captured_there,
    (State.FAILED, Outcome.SUCCEEDED): _accept_late,
    (State.FAILED, Outcome.CAPTURED): _accept_late,
    (State.CANCELLED, Outcome.CAPTURED): _accept_late,
}


@in_transaction
def settle_attempt(attempt: Attempt, answer: Answer) -> Attempt:
    """Write down what became of a capture, void or refund. The same answer changes nothing."""
    order, payment = bookkeeping.lock(attempt.payment.order_id, attempt.payment_id)
    attempt = Attempt.objects.get(pk=attempt.pk)
    attempt.payment = payment
    apply_to_attempt(order, attempt, answer)
    return attempt


@in_transaction
def settle_refunded(payment: Payment, refunded: Refunded) -> None:
    """Write down what the gateway says of a refund. A pending attempt settles by itself."""
    order, payment = bookkeeping.lock(payment.order_id, payment.pk)
    answer = refunded.answer
    attempt = _matching_refund(payment, refunded)
    if attempt and attempt.is_pending:
        return
    if attempt and refunded.attempt_id == str(attempt.pk) and answer.outcome is Outcome.FAILED:
        # A person who said that it was made need not have known the gateway's name for it.
        attempt.reference = attempt.reference or answer.reference
    if attempt and (attempt.reference or attempt.status == Attempt.Status.FAILED):
        attempt.payment = payment
        apply_to_attempt(order, attempt, answer)
    elif attempt and answer.outcome is not Outcome.FAILED:
        # The attempt was marked as refunded, or settled so by hand: this is the refund it meant. By
        # its name it is found again, should it fail yet.
        attempt.reference = answer.reference
        attempt.save(update_fields=["reference"])
    elif answer.outcome is not Outcome.SUCCEEDED:
        return
    elif refunded.amount > payment.refundable_amount:
        # We are about to refund the same money, which the gateway will refuse.
        log.warning("refund_there_does_not_fit", reference=answer.reference)
    else:
        bookkeeping.record_attempt(
            *(Attempt.Kind.REFUND, order, payment, refunded.amount, SYSTEM, REFUNDED_THERE),
            at_once=answer,
        )
        orders.save_and_mind(order)


def _matching_refund(payment: Payment, refunded: Refunded) -> Attempt | None:
    """Find the attempt by its name, or one of the same amount that was only marked as made."""
    refunds = list(payment.attempts.filter(kind=Attempt.Kind.REFUND).order_by("created_at"))
    by_name = [
        attempt
        for attempt in refunds
        if str(attempt.pk) == refunded.attempt_id or attempt.reference == refunded.answer.reference
    ]
    by_amount = [
        attempt
        for attempt in refunds
        if attempt.status == Attempt.Status.SUCCEEDED
        and not attempt.reference
        and attempt.amount == refunded.amount
    ]
    return next(iter([*by_name, *by_amount]), None)


def apply_to_attempt(order: Order, attempt: Attempt, answer: Answer) -> None:
    """Change an attempt of a locked order as its table says; without an entry, do nothing."""
    assert_in_transaction()
    transition = ATTEMPT_TRANSITIONS.get((Attempt.Status(attempt.status), answer.outcome))
    if transition is not None:
        transition(order, attempt, answer)


def _end(order: Order, attempt: Attempt, answer: Answer) -> None:
    bookkeeping.conclude_and_save(order, attempt.payment, attempt, answer)
    bookkeeping.save_and_release(order, attempt.actor, reason="payment voided")


def _go_on_waiting(order: Order, attempt: Attempt, answer: Answer) -> None:
    attempt.charging_until = None
    attempt.updated_at = clock.now()
    attempt.save(update_fields=["charging_until", "updated_at"])


def _take_up_again(order: Order, attempt: Attempt, answer: Answer) -> None:
    """Book an attempt that had been given up and turns out to have succeeded."""
    payment = attempt.payment
    is_refund = attempt.kind == Attempt.Kind.REFUND
    remaining = payment.refundable_amount if is_refund else payment.authorized_amount
    if attempt.amount > remaining:
        # The money it moved can no longer be booked; its reference lets a person find it.
        log.error("attempt_succeeded_too_late", attempt_id=str(attempt.pk))
        attempt.reference = answer.reference
        attempt.save(update_fields=["reference"])
        return
    bookkeeping.open_attempt(order, payment, attempt)
    _end(order, attempt, answer)


def _came_back(order: Order, attempt: Attempt, answer: Answer) -> None:
    """Take back a refund that never reached its buyer: the gateway has the money again."""
    if attempt.kind != Attempt.Kind.REFUND or answer.reference != attempt.reference:
        return
    payment = attempt.payment
    attempt.status = Attempt.Status.FAILED
    attempt.failure = answer.failure
    attempt.updated_at = payment.updated_at = order.updated_at = clock.now()
    bookkeeping.take_back_refund(order, payment, attempt.amount)
    bookkeeping.count(payment, "refund_came_back")
    attempt.save()
    payment.write()
    orders.save_and_mind(order)
    money = order.currency.formatted(attempt.amount)
    orders.note_event(order, OrderEvent.Kind.REFUND_CAME_BACK, actor=SYSTEM, text=money)


AttemptTransition = Callable[[Order, Attempt, Answer], None]

ATTEMPT_TRANSITIONS: Mapping[tuple[Attempt.Status, Outcome], AttemptTransition] = {
    (Attempt.Status.PENDING, Outcome.SUCCEEDED): _end,
    (Attempt.Status.PENDING, Outcome.FAILED): _end,
    (Attempt.Status.PENDING, Outcome.UNKNOWN): _go_on_waiting,
    (Attempt.Status.FAILED, Outcome.SUCCEEDED): _take_up_again,
    (Attempt.Status.SUCCEEDED, Outcome.FAILED): _came_back,
}
