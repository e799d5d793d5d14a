"""Taking money and giving it back: no crash leaves money without goods or goods without money.

Pay is *begin*, *charge*, *settle*. Begin and settle are each one committed transaction; between
them the gateway is asked with no transaction and no lock held. Captures, voids and refunds are
attempts with the same life. A payment and its attempts change only under their order's lock.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from django.conf import settings
from django.db import OperationalError, connection
from django.db.models import Q

from api import clock, compiled
from api.actors import SYSTEM, Actor
from api.errors import Busy, Refusal
from api.idempotency import Key, claim
from api.ids import uuid7
from api.transactions import assert_no_transaction, in_transaction
from orders import services as orders
from orders.errors import InsufficientStock, OrderNotFound
from orders.models import Order
from payments import books, gateways
from payments.errors import (
    AmountRefused,
    GatewayNotEnabled,
    GatewayNotFound,
    GatewayRefused,
    ManualNotForShoppers,
    ManualNotVoidable,
    NotCapturable,
    NotRefundable,
    NotVoidable,
    OrderNotPayable,
    PaymentDeclined,
    PaymentNotFound,
    PaymentReturned,
    RestIsPending,
)
from payments.gateways.answers import SUCCEEDED, UNKNOWN, Answer, Outcome
from payments.models import Attempt, Gateway, Payment, enabled_gateway

log = structlog.get_logger(__name__)
T = TypeVar("T", Payment, Attempt)

# A process that waits for a gateway may take this much longer to write down what it heard.
_WRITE_DOWN = timedelta(seconds=10)


@dataclass(frozen=True)
class Request:
    """What somebody asks to pay. `amount` None is all that is left to pay."""

    gateway: str
    method: Payment.Method = Payment.Method.PURCHASE
    amount: int | None = None
    token: str = ""
    name: str = ""
    custom_reference: str = ""


# Paying.


def pay(
    order_id: uuid.UUID,
    request: Request,
    *,
    actor: Actor,
    by_shopper: bool = False,
    payment_id: uuid.UUID | None = None,
    key: Key | None = None,
) -> Payment:
    """Pay an order or a part of it. The payment may come back pending: nobody knows yet.

    Raises: OrderNotFound, GatewayNotEnabled, ManualNotForShoppers, AmountRefused, OrderNotPayable,
    RestIsPending, InsufficientStock, all before the gateway is asked; PaymentDeclined,
    PaymentReturned after.
    """
    payment = begin(
        order_id, request, actor=actor, by_shopper=by_shopper, payment_id=payment_id, key=key
    )
    if not payment.is_pending:
        return payment
    adapter = gateways.adapter(payment.gateway)
    answer = _ask(lambda: adapter.charge(payment))
    try:
        payment = settle(payment, answer, actor=actor)
    except (Busy, OperationalError):
        # The gateway has answered, and only our books could not be written: recovery asks again.
        log.exception("payment_not_settled", payment_id=str(payment.pk))
    return require_not_refused(payment)


def require_not_refused(payment: Payment) -> Payment:
    """Return a payment that holds, or that nobody knows of yet.

    Raises: PaymentDeclined, PaymentReturned.
    """
    if payment.status == Payment.Status.FAILED:
        raise PaymentDeclined
    if payment.late:
        raise PaymentReturned
    return payment


@in_transaction
def begin(
    order_id: uuid.UUID,
    request: Request,
    *,
    actor: Actor,
    by_shopper: bool = False,
    payment_id: uuid.UUID | None = None,
    key: Key | None = None,
) -> Payment:
    """Put a payment on record and, if it is the order's first, take the order's units.

    It is pending until its gateway has answered, or complete at once where nobody is to be asked.
    """
    payment_id = payment_id or uuid7()
    claim(key, payment_id)
    _require_enabled(request.gateway)
    order = Order.objects.lock(order_id)
    if request.gateway == "manual" and by_shopper:
        _require_manual_for_shoppers(order)
    amount = _payable_amount(order, request.amount, request.gateway)
    now = order.updated_at = clock.now()
    payment = Payment(
        id=payment_id,
        order=order,
        gateway=request.gateway,
        method=request.method,
        currency=order.currency_id,
        amount=amount,
        token=request.token,
        name=request.name,
        custom_reference=request.custom_reference,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=actor.name,
        created_at=now,
        updated_at=now,
    )
    if request.gateway in gateways.ASKING_NOBODY:
        books.take_money(order, payment, SUCCEEDED)
    else:
        payment.charging_until = _lease()
        order.pending += amount
        order.attempts_open += 1
    compiled.insert([payment])
    _save_and_allocate(order, actor)
    return payment


def _save_and_allocate(order: Order, actor: Actor) -> None:
    if order.allocated_at is None:
        orders.allocate(order, actor=actor)
    else:
        order.write()


def _require_enabled(slug: str) -> None:
    if slug not in gateways.known() or not enabled_gateway(slug=slug):
        raise GatewayNotEnabled


def _require_manual_for_shoppers(order: Order) -> None:
    if order.total and not settings.MANUAL_GATEWAY_FOR_SHOPPERS:
        raise ManualNotForShoppers


def _payable_amount(order: Order, asked: int | None, gateway: str) -> int:
    if order.is_cancelled or order.fully_paid_at or (order.total and not order.balance_owing):
        raise OrderNotPayable
    if not order.payable and order.attempts_open:
        raise RestIsPending
    if not order.total and gateway != "manual":
        raise AmountRefused(source="data.gateway")
    amount = order.payable if asked is None else asked
    if amount > order.payable or (amount <= 0 < order.total) or amount < 0:
        raise AmountRefused(source="data.amount")
    return amount


def _lease() -> datetime:
    return clock.now() + timedelta(seconds=settings.GATEWAY_TIMEOUT_SECONDS) + _WRITE_DOWN


def _ask(question: Callable[[], Answer]) -> Answer:
    """Ask a gateway with no transaction open and no connection held."""
    assert_no_transaction()
    if not connection.in_atomic_block:
        connection.close()
    try:
        return question()
    except Exception:
        # Whatever broke, the money may have moved: only asking again can tell.
        log.exception("gateway_failed")
        return UNKNOWN


# Settling: one state machine for every way in which an answer arrives.


def settle(payment: Payment, answer: Answer, *, actor: Actor = SYSTEM) -> Payment:
    """Write down what the gateway said of a charge. The same answer again changes nothing.

    Money that comes after the payment had failed is accepted if the order can still take it, and
    sent back otherwise.
    """
    try:
        return _settle(payment, answer, actor)
    except InsufficientStock:
        return _settle_by_giving_back(payment, answer, actor)


@in_transaction
def _settle(payment: Payment, answer: Answer, actor: Actor) -> Payment:
    order = Order.objects.lock(payment.order_id)
    payment = Payment.known(payment.pk)
    payment.order = order
    transition = _TRANSITIONS[Payment.Status(payment.status), answer.outcome]
    transition(order, payment, answer, actor)
    return payment


def _accept(order: Order, payment: Payment, answer: Answer, actor: Actor) -> None:
    books.stop_waiting(order, payment)
    books.take_money(order, payment, answer)
    _save(order, payment)


def _fail(order: Order, payment: Payment, answer: Answer, actor: Actor) -> None:
    books.stop_waiting(order, payment)
    payment.status = Payment.Status.FAILED
    payment.failure = answer.failure
    payment.write()
    _save_and_release(order, actor, reason="payment failed")


def _wait(order: Order, payment: Payment, answer: Answer, actor: Actor) -> None:
    payment.charging_until = None
    payment.reference = answer.reference or payment.reference
    # Recovery asks those first that it has not asked for longest.
    payment.updated_at = clock.now()
    payment.write()


def _same(order: Order, payment: Payment, answer: Answer, actor: Actor) -> None: ...


def _accept_late(order: Order, payment: Payment, answer: Answer, actor: Actor) -> None:
    if order.is_cancelled or order.fully_paid_at or payment.amount > order.payable:
        _give_back(order, payment, answer, actor)
        return
    books.take_money(order, payment, answer)
    payment.write()
    _save_and_allocate(order, actor)


@in_transaction
def _settle_by_giving_back(payment: Payment, answer: Answer, actor: Actor) -> Payment:
    order, payment = _lock(payment.order_id, payment.pk)
    if payment.status == Payment.Status.FAILED:
        _give_back(order, payment, answer, actor)
    return payment


def _give_back(order: Order, payment: Payment, answer: Answer, actor: Actor) -> None:
    """Keep money that the order cannot take out of its books, and put its way back on record."""
    payment.status = Payment.Status.COMPLETE
    payment.late = True
    payment.reference = answer.reference or payment.reference
    payment.updated_at = order.updated_at = clock.now()
    reason = "The payment came too late for the order."
    kind = Attempt.Kind.VOID if payment.is_authorization else Attempt.Kind.REFUND
    if not payment.is_authorization:
        payment.captured_amount = payment.amount
    attempt = _record(kind, order, payment, payment.amount, actor, reason)
    # Nobody waits for it: recovery takes it to the gateway.
    attempt.charging_until = None
    attempt.save(update_fields=["charging_until"])
    order.write()


_TRANSITIONS: dict[
    tuple[Payment.Status, Outcome], Callable[[Order, Payment, Answer, Actor], None]
] = {
    (Payment.Status.PENDING, Outcome.SUCCEEDED): _accept,
    (Payment.Status.PENDING, Outcome.FAILED): _fail,
    (Payment.Status.PENDING, Outcome.UNKNOWN): _wait,
    (Payment.Status.COMPLETE, Outcome.SUCCEEDED): _same,
    (Payment.Status.COMPLETE, Outcome.FAILED): _same,
    (Payment.Status.COMPLETE, Outcome.UNKNOWN): _same,
    (Payment.Status.FAILED, Outcome.SUCCEEDED): _accept_late,
    (Payment.Status.FAILED, Outcome.FAILED): _same,
    (Payment.Status.FAILED, Outcome.UNKNOWN): _same,
    (Payment.Status.CANCELLED, Outcome.SUCCEEDED): _same,
    (Payment.Status.CANCELLED, Outcome.FAILED): _same,
    (Payment.Status.CANCELLED, Outcome.UNKNOWN): _same,
}


def _save(order: Order, payment: Payment) -> None:
    payment.write()
    order.write()


def _save_and_release(order: Order, actor: Actor, *, reason: str) -> None:
    """Save the order and, if no part of its payment holds its units any more, give them back."""
    if order.captured or order.authorized or order.attempts_open or order.fully_paid_at:
        order.write()
    else:
        orders.release(order, actor=actor, reason=reason)


# Captures, voids and refunds.


def capture(
    order_id: uuid.UUID, payment_id: uuid.UUID, *, actor: Actor, key: Key | None = None
) -> Attempt:
    """Take authorized money.

    Raises: OrderNotFound, PaymentNotFound, NotCapturable, GatewayRefused.
    """
    return _performed(begin_capture(order_id, payment_id, actor=actor, key=key))


@in_transaction
def begin_capture(
    order_id: uuid.UUID, payment_id: uuid.UUID, *, actor: Actor, key: Key | None = None
) -> Attempt:
    claim(key, payment_id)
    order, payment = _lock(order_id, payment_id)
    capturable = payment.authorized_amount and not payment.late and not order.is_cancelled
    if not capturable or _has_open_attempt(payment):
        raise NotCapturable
    attempt = _record(Attempt.Kind.CAPTURE, order, payment, payment.amount, actor)
    order.write()
    return attempt


def refund(
    order_id: uuid.UUID,
    payment_id: uuid.UUID,
    amount: int | None,
    *,
    actor: Actor,
    reason: str = "",
    put_back: Mapping[uuid.UUID, int] | None = None,
    key: Key | None = None,
) -> Attempt:
    """Give captured money back through the gateway. Without an amount, mark all as refunded.

    To mark moves no money: it was given back elsewhere. Stock stays where it is, but for units of a
    shipped order that came back: `put_back` says how many of which line. They are available again
    as soon as the refund is on record, whatever its gateway says then.
    Raises: OrderNotFound, PaymentNotFound, NotRefundable, NotPutBack, StockNotFound,
    GatewayRefused.
    """
    attempt = begin_refund(
        order_id, payment_id, amount, actor=actor, reason=reason, put_back=put_back, key=key
    )
    return _performed(attempt)


@in_transaction
def begin_refund(
    order_id: uuid.UUID,
    payment_id: uuid.UUID,
    amount: int | None,
    *,
    actor: Actor,
    reason: str = "",
    put_back: Mapping[uuid.UUID, int] | None = None,
    key: Key | None = None,
) -> Attempt:
    """Put a refund on record. To mark one as made is all there is to it, and done at once."""
    claim(key, payment_id)
    order, payment = _lock(order_id, payment_id)
    may_go_back = order.fully_paid_at or order.is_cancelled or payment.late
    marked = amount is None
    amount = payment.refundable_amount if amount is None else amount
    if not may_go_back or not 0 < amount <= payment.refundable_amount:
        raise NotRefundable
    attempt = _record(Attempt.Kind.REFUND, order, payment, amount, actor, reason, at_once=marked)
    order.write()
    if put_back:
        orders.put_back(order, put_back, actor=actor, reason=reason or "came back")
    return attempt


def void(
    order_id: uuid.UUID,
    payment_id: uuid.UUID,
    *,
    actor: Actor,
    reason: str = "",
    key: Key | None = None,
) -> Attempt:
    """Let authorized money go.

    Raises: OrderNotFound, PaymentNotFound, ManualNotVoidable, NotVoidable, GatewayRefused.
    """
    return _performed(begin_void(order_id, payment_id, actor=actor, reason=reason, key=key))


@in_transaction
def begin_void(
    order_id: uuid.UUID,
    payment_id: uuid.UUID,
    *,
    actor: Actor,
    reason: str = "",
    key: Key | None = None,
) -> Attempt:
    claim(key, payment_id)
    order, payment = _lock(order_id, payment_id)
    if payment.gateway in gateways.ASKING_NOBODY:
        raise ManualNotVoidable
    if not payment.authorized_amount or _has_open_attempt(payment):
        raise NotVoidable
    attempt = _record(Attempt.Kind.VOID, order, payment, payment.amount, actor, reason)
    order.write()
    return attempt


def _lock(order_id: uuid.UUID, payment_id: uuid.UUID) -> tuple[Order, Payment]:
    order = Order.objects.lock(order_id)
    payment = Payment.objects.filter(pk=payment_id, order_id=order_id).first()
    if payment is None:
        raise PaymentNotFound
    payment.order = order
    return order, payment


def _has_open_attempt(payment: Payment) -> bool:
    return payment.attempts.filter(status=Attempt.Status.PENDING).exists()


def _record(
    kind: Attempt.Kind,
    order: Order,
    payment: Payment,
    amount: int,
    actor: Actor,
    reason: str = "",
    *,
    at_once: bool = False,
) -> Attempt:
    """Put an attempt on record, pending, or done at once where nobody is to be asked.

    The caller saves the locked order.
    """
    now = order.updated_at = clock.now()
    attempt = Attempt(
        payment=payment,
        kind=kind,
        amount=amount,
        reason=reason,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=actor.name,
        charging_until=_lease(),
        created_at=now,
        updated_at=now,
    )
    books.open_attempt(order, payment, attempt)
    if at_once or payment.gateway in gateways.ASKING_NOBODY:
        _conclude(order, payment, attempt, SUCCEEDED)
    else:
        attempt.save()
        payment.write()
    return attempt


def _performed(attempt: Attempt) -> Attempt:
    """Ask the gateway for what is on record, unless it is done. Raises: GatewayRefused."""
    if not attempt.is_pending:
        return attempt
    adapter = gateways.adapter(attempt.payment.gateway)
    answer = _ask(lambda: adapter.perform(attempt))
    try:
        attempt = settle_attempt(attempt, answer)
    except (Busy, OperationalError):
        log.exception("attempt_not_settled", attempt_id=str(attempt.pk))
    if attempt.status == Attempt.Status.FAILED:
        raise GatewayRefused(attempt.failure)
    return attempt


@in_transaction
def settle_attempt(attempt: Attempt, answer: Answer) -> Attempt:
    """Write down what became of a capture, void or refund. The same again changes nothing."""
    order, payment = _lock(attempt.payment.order_id, attempt.payment_id)
    attempt = Attempt.objects.get(pk=attempt.pk)
    attempt.payment = payment
    if attempt.status == Attempt.Status.FAILED and answer.outcome is Outcome.SUCCEEDED:
        _reopen(order, payment, attempt, answer)
    if attempt.is_pending:
        _conclude(order, payment, attempt, answer)
        actor = Actor(attempt.actor_kind, attempt.actor_id, attempt.actor_name)
        _save_and_release(order, actor, reason="payment voided")
    return attempt


def _reopen(order: Order, payment: Payment, attempt: Attempt, answer: Answer) -> None:
    """Take up an attempt again that was given up and then turned out to have succeeded."""
    is_refund = attempt.kind == Attempt.Kind.REFUND
    left = payment.refundable_amount if is_refund else payment.authorized_amount
    if attempt.amount > left:
        # What it moved can no longer be booked; its name at the gateway lets a person find it.
        log.error("attempt_succeeded_too_late", attempt_id=str(attempt.pk))
        attempt.reference = answer.reference
        attempt.save(update_fields=["reference"])
        return
    attempt.status = Attempt.Status.PENDING
    attempt.failure = ""
    books.open_attempt(order, payment, attempt)


def _conclude(order: Order, payment: Payment, attempt: Attempt, answer: Answer) -> None:
    """Apply an answer to a pending attempt and save all but the order, which the caller saves."""
    attempt.charging_until = None
    attempt.updated_at = clock.now()
    if answer.outcome is not Outcome.UNKNOWN:
        succeeded = answer.outcome is Outcome.SUCCEEDED
        attempt.status = Attempt.Status.SUCCEEDED if succeeded else Attempt.Status.FAILED
        attempt.reference, attempt.failure = answer.reference, answer.failure
        payment.updated_at = order.updated_at = attempt.updated_at
        books.conclude_attempt(order, payment, attempt, succeeded)
    attempt.save()
    payment.write()


# Cancelling an order, with the money it holds.


def cancel(order_id: uuid.UUID, *, actor: Actor, key: Key | None = None) -> None:
    """Cancel an order, give its units back and void its authorizations. Captured money stays.

    The voids are on record with the cancellation; their gateways are asked after it is committed.
    Raises: OrderNotFound, OrderNotCancellable, PaymentUnderWay.
    """
    for attempt in begin_cancel(order_id, actor=actor, key=key):
        try:
            _performed(attempt)
        except Refusal:
            # The order is cancelled all the same, and the failed void is listed beside its payment.
            log.exception("void_refused", payment_id=str(attempt.payment_id))


@in_transaction
def begin_cancel(order_id: uuid.UUID, *, actor: Actor, key: Key | None = None) -> list[Attempt]:
    """Cancel the order; return the voids that are still to be asked for."""
    claim(key, order_id)
    order = Order.objects.lock(order_id)
    order.require_cancellable()
    authorized = order.payments.filter(
        status=Payment.Status.COMPLETE,
        method=Payment.Method.AUTHORIZE,
        captured_amount=0,
        late=False,
    )
    voids = [
        _record(Attempt.Kind.VOID, order, payment, payment.amount, actor, "order cancelled")
        for payment in authorized
    ]
    orders.cancel(order, actor=actor)
    return voids


# What a crash or a silent gateway left open.


def settle_pending(*, limit: int = 100) -> int:
    """Ask the gateways what became of whatever is still open and settle it; return how many.

    Any number of processes may do this at once: every answer is settled once.
    """
    payments = Payment.objects.filter(_left_open()).order_by("updated_at")[:limit]
    attempts = Attempt.objects.filter(_left_open()).select_related("payment")
    settled = [_settled(_recover_payment, payment) for payment in payments]
    settled += [
        _settled(_recover_attempt, attempt) for attempt in attempts.order_by("updated_at")[:limit]
    ]
    return sum(settled)


def _settled(recover: Callable[[T], T], left_open: T) -> bool:
    """Recover one; what goes wrong with it must not keep the others waiting."""
    try:
        return not recover(left_open).is_pending
    except Exception:
        log.exception("recovery_failed", left_open=str(left_open.pk))
        # To the end of the queue, or a few of its kind would keep all others waiting.
        type(left_open).objects.filter(pk=left_open.pk).update(updated_at=clock.now())
        return False


def _recover_payment(payment: Payment) -> Payment:
    adapter = gateways.adapter(payment.gateway)
    return settle(payment, _ask(lambda: adapter.find_charge(payment)))


def _recover_attempt(attempt: Attempt) -> Attempt:
    """Ask what became of an attempt, and make it if the gateway never heard of it."""
    adapter = gateways.adapter(attempt.payment.gateway)
    answer = _ask(lambda: adapter.find(attempt) or adapter.perform(attempt))
    return settle_attempt(attempt, answer)


def _left_open() -> Q:
    """Pending, with nobody waiting for the gateway any more."""
    waiting = Q(charging_until__gt=clock.now())
    return Q(status="pending") & ~waiting


# Gateways and reading.


def set_gateway(slug: str, *, enabled: bool | None = None, name: str | None = None) -> Gateway:
    """Raises: GatewayNotFound."""
    gateway = gateway_named(slug)
    changes = {"enabled": enabled, "name": name}
    changed = {field: value for field, value in changes.items() if value is not None}
    for field, value in changed.items():
        setattr(gateway, field, value)
    gateway.save(update_fields=list(changed))
    return gateway


def gateway_named(slug: str) -> Gateway:
    """Raises: GatewayNotFound."""
    gateway = Gateway.objects.filter(slug=slug).first()
    if gateway is None or slug not in gateways.known():
        raise GatewayNotFound
    return gateway


def payment_of(order_id: uuid.UUID, payment_id: uuid.UUID) -> Payment:
    """Raises: PaymentNotFound."""
    payment = Payment.objects.filter(pk=payment_id, order_id=order_id).first()
    if payment is None:
        raise PaymentNotFound
    return payment


def payments_of(order_id: uuid.UUID) -> list[Payment]:
    """Raises: OrderNotFound."""
    if not Order.objects.filter(pk=order_id).exists():
        raise OrderNotFound
    payments = Payment.objects.filter(order_id=order_id).prefetch_related("attempts")
    return list(payments.order_by("pk"))
