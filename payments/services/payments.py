"""Taking money and giving it back: no crash leaves money without goods or goods without money.

Pay is *begin*, *charge*, *settle*. Begin and settle are each one committed transaction; between
them the gateway is asked with no transaction and no lock held. Captures, voids and refunds are
attempts with the same life. A payment and its attempts change only under their order's lock.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from django.conf import settings
from django.db import OperationalError
from django.db.models import Q, QuerySet
from procrastinate.contrib.django import app

from api import changes, clock, compiled
from api.actors import SYSTEM, Actor
from api.errors import Busy, Refusal, Standing
from api.idempotency import Key, claim
from api.ids import uuid7
from api.transactions import in_transaction
from orders.errors import OrderNotCancellable, OrderNotFound, PaymentUnderWay
from orders.models import Order
from orders.services import orders, returns
from orders.services.returns import TakenBack
from payments import gateways
from payments.errors import (
    AmountRefused,
    CaptureRefused,
    GatewayNotConfigured,
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
    TooManyPayments,
)
from payments.gateways.base import SUCCEEDED, UNKNOWN, Answer, Outcome
from payments.models import Attempt, Gateway, Payment
from payments.services import bookkeeping, installation, waiting
from payments.services.bookkeeping import has_open_attempt, lock, record_attempt, save_and_allocate
from payments.services.gateway_calls import (
    a_wait,
    ask,
    ask_whether,
    asks_nobody,
    can_move,
    lease,
    refunds_of,
    waiting_at_most,
    what_became_of,
)
from payments.services.settling import make_way, settle, settle_attempt, settle_refunded
from payments.services.waiting import GivenUp

log = structlog.get_logger(__name__)

# How long a payment may wait for a worker to charge it. After that, recovery calls it failed.
QUEUED_FOR = timedelta(minutes=5)
# An order that has so many gets no more from shoppers. Whatever becomes of one, it stays on record,
# and so do the units that it took and gave back.
PAYMENTS_MAX = 50
GIVEN_UP_FOR_ANOTHER = "Given up while it waited for its buyer, who paid otherwise."
GIVEN_UP_BY_SHOP = "Given up while it waited for its buyer."
GIVEN_UP_TO_CANCEL = "Given up while it waited for its buyer: the order was cancelled."
# Payments that people recorded as more than was owed: no gateway is late that nobody asks.
EXCESS = Q(late=True, gateway__in=gateways.ASKING_NOBODY)
UNREACHABLE = "The payment gateway could not be reached. Nothing was charged."


@dataclass(frozen=True)
class PaymentRequest:
    """A request to pay. `amount` None means all that is left to pay.

    With `takes_excess`, what is beyond that is put on record, too, as money to give back: only
    where nobody is asked, since the money is here.
    """

    gateway: str
    method: Payment.Method = Payment.Method.PURCHASE
    amount: int | None = None
    token: str = ""
    name: str = ""
    custom_reference: str = ""
    takes_excess: bool = False


# Paying.


def pay(
    order_id: uuid.UUID,
    request: PaymentRequest,
    *,
    actor: Actor,
    by_shopper: bool = False,
    payment_id: uuid.UUID | None = None,
    seen: Standing | None = None,
    key: Key | None = None,
) -> Payment:
    """Pay an order or a part of it. The payment may come back pending: nobody knows yet.

    Where only payments that wait for their buyer leave no room for it, it takes their place.
    Raises: OrderNotFound, GatewayNotEnabled, GatewaysClosed, ManualNotForShoppers, TooManyPayments,
    AmountRefused, OrderNotPayable, RestIsPending, NotForSale, InsufficientStock, or what the
    gateway says it could never charge, or Moved, all before the gateway is asked; PaymentDeclined,
    PaymentReturned after.
    """
    begin_it = partial(
        begin,
        order_id,
        request,
        actor=actor,
        by_shopper=by_shopper,
        payment_id=payment_id,
        seen=seen,
        key=key,
    )
    try:
        payment = begin_it()
    except (RestIsPending, AmountRefused):
        given_up = waiting.give_up(
            _in_the_way(order_id, request), why=GIVEN_UP_FOR_ANOTHER, actor=actor
        )
        if not given_up:
            raise
        payment = waiting.in_their_place(
            given_up, lambda answers: begin_it(in_place_of=answers), actor=actor
        )
    if payment.is_pending:
        payment = _charge_now_or_later(payment, actor)
    return require_not_refused(payment)


def require_not_refused(payment: Payment) -> Payment:
    """Return the payment if it holds, or if its result is not known yet.

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
    request: PaymentRequest,
    *,
    actor: Actor,
    by_shopper: bool = False,
    payment_id: uuid.UUID | None = None,
    seen: Standing | None = None,
    in_place_of: Sequence[GivenUp] = (),
    key: Key | None = None,
) -> Payment:
    """Put a payment on record and, if it is the order's first, take the order's units.

    It is pending until its gateway has answered, or complete at once where none is to be asked. The
    units of those that it takes the place of stay with the order.
    """
    payment_id = payment_id or uuid7()
    claim(key, payment_id)
    installation.require_enabled(request.gateway)
    order = Order.objects.lock(order_id, seen=seen)
    if request.gateway == "manual" and by_shopper:
        _require_manual_for_shoppers()
    if by_shopper:
        _require_few_payments(order)
    for given_up in in_place_of:
        make_way(order, given_up.payment, given_up.answer, actor)
    amount = _payable_amount(order, request)
    payment = _made(order, request, amount)
    payment.id = payment_id
    payment.actor = actor
    if asks_nobody(payment):
        bookkeeping.take_money(order, payment, SUCCEEDED)
    else:
        _require_chargeable(payment)
        payment.charging_until = lease()
        order.pending += amount
        order.attempts_open += 1
    compiled.insert([payment, *_excess(order, request, amount, actor)])
    save_and_allocate(order, actor)
    return payment


def _excess(order: Order, request: PaymentRequest, counts: int, actor: Actor) -> list[Payment]:
    """Make the payment of what came beyond what `counts`, if any did: it is to be given back."""
    beyond = (request.amount or 0) - counts
    if beyond <= 0:
        return []
    payment = _made(order, request, beyond)
    payment.actor = actor
    payment.late = True
    payment.status = Payment.Status.COMPLETE
    payment.captured_amount = beyond
    payment.captured_at = payment.updated_at
    return [payment]


def _made(order: Order, request: PaymentRequest, amount: int) -> Payment:
    now = order.updated_at = clock.now()
    return Payment(
        order=order,
        gateway=request.gateway,
        method=request.method,
        currency=order.currency_id,
        amount=amount,
        token=request.token,
        name=request.name,
        custom_reference=request.custom_reference,
        created_at=now,
        updated_at=now,
    )


def _require_chargeable(payment: Payment) -> None:
    """Raises: AmountRefused, or what its gateway says that it could never charge."""
    gateways.adapter(payment.gateway).require_chargeable(payment)
    if not can_move(payment, payment.amount):
        raise AmountRefused(source="data.amount")


@in_transaction
def _in_the_way(order_id: uuid.UUID, request: PaymentRequest) -> Sequence[Payment]:
    """Take up whom to give up for a payment, and refuse one that would come to nothing then."""
    order = Order.objects.lock(order_id)
    wanted = request.amount
    if wanted is not None and request.takes_excess:
        wanted = min(wanted, left_to_pay(order))
    chosen = waiting.in_the_way(order, wanted)
    if chosen and request.gateway not in gateways.ASKING_NOBODY:
        amount = request.amount or sum(payment.amount for payment in chosen)
        _require_chargeable(_made(order, request, amount))
    return waiting.take_up(chosen)


def _require_manual_for_shoppers() -> None:
    """An order of nothing is no exception: somebody priced it, and not always the merchant."""
    if not settings.MANUAL_GATEWAY_FOR_SHOPPERS:
        raise ManualNotForShoppers


def _require_few_payments(order: Order) -> None:
    """Raises: TooManyPayments. A first payment, before which nothing changed, costs no look."""
    if order.updated_at > order.created_at and order.payments.count() >= PAYMENTS_MAX:
        raise TooManyPayments


def is_excess(payment: Payment) -> bool:
    return payment.late and asks_nobody(payment)


def _payable_amount(order: Order, request: PaymentRequest) -> int:
    if order.is_cancelled or order.fully_paid_at or (order.total and not order.balance_owing):
        raise OrderNotPayable
    if not order.payable and order.attempts_open:
        raise RestIsPending
    if not order.total and request.gateway != "manual":
        raise AmountRefused(source="data.gateway")
    amount = order.payable if request.amount is None else request.amount
    if amount > order.payable and request.takes_excess:
        assert request.gateway in gateways.ASKING_NOBODY
        if order.attempts_open:
            # What is beyond is known when it is known what counts.
            raise RestIsPending
        amount = order.payable
    if amount > order.payable or (amount <= 0 < order.total) or amount < 0:
        raise AmountRefused(source="data.amount")
    return amount


def _charge_now_or_later(payment: Payment, actor: Actor) -> Payment:
    """Charge within this request, or leave it to a worker while enough threads wait already."""
    try:
        if not gateways.asks_outside(payment):
            return _charge(payment, actor) or payment
        with a_wait() as may_wait:
            result = _charge(payment, actor) if may_wait else None
            return result or _queue(payment)
    except (Busy, OperationalError):
        # The gateway may have answered, but our books could not be written: recovery asks again.
        log.exception("payment_not_settled", payment_id=str(payment.pk))
        return payment


def charge_queued(payment_id: uuid.UUID) -> None:
    """Charge a payment that was left to a worker, unless it has been settled meanwhile.

    While gateways are closed it is let be, and never charged later: whoever made the copy may have.
    """
    if installation.are_closed():
        return
    payment = _take_up(payment_id)
    if payment is None:
        return
    with waiting_at_most(settings.GATEWAY_WORKER_TIMEOUT_SECONDS):
        result = _charge(payment, payment.actor)
    if result is None and clock.now() < payment.created_at + QUEUED_FOR:
        _queue(payment, again_in_seconds=10)
    elif result is None:
        settle(payment, Answer(Outcome.FAILED, failure=UNREACHABLE), actor=payment.actor)


def _charge(payment: Payment, actor: Actor) -> Payment | None:
    """Ask the gateway for the money of a payment on record and write down what it says.

    None: the gateway cannot be reached, and nothing can have been charged.
    """
    adapter = gateways.adapter(payment.gateway)
    announcement = ask_whether(payment.gateway, lambda: adapter.announce(payment))
    if announcement is not None:
        if announcement.outcome is Outcome.UNKNOWN:
            return None
        if announcement.outcome is not Outcome.OPEN:
            return settle(payment, announcement, actor=actor)
        payment = note_reference(payment, announcement.reference)
        if not payment.is_pending:
            return payment
    return settle(payment, ask(payment.gateway, lambda: adapter.charge(payment)), actor=actor)


@in_transaction
def note_reference(payment: Payment, reference: str) -> Payment:
    """Commit the gateway's name for a charge before anything is charged by that name.

    Returns the payment as it is now: one that was settled meanwhile must not be charged any more.
    """
    _, payment = lock(payment.order_id, payment.pk)
    payment.reference = reference
    payment.write()
    return payment


@in_transaction
def _queue(payment: Payment, *, again_in_seconds: int = 0) -> Payment:
    """Leave a payment that has not been charged so far to a worker."""
    _, payment = lock(payment.order_id, payment.pk)
    if payment.is_pending:
        payment.charging_until = None
        payment.queued_until = clock.now() + QUEUED_FOR
        payment.write()
        charging = app.configure_task(
            "payments.jobs.charge_queued",
            queue="payments",
            schedule_in={"seconds": again_in_seconds},
        )
        charging.defer(payment_id=str(payment.pk))
    return payment


@in_transaction
def _take_up(payment_id: uuid.UUID) -> Payment | None:
    """Take a queued payment off the queue: a second worker finds it taken."""
    order_id = Payment.objects.values_list("order_id", flat=True).get(pk=payment_id)
    _, payment = lock(order_id, payment_id)
    if not payment.is_pending or payment.queued_until is None:
        return None
    payment.queued_until = None
    payment.charging_until = lease(settings.GATEWAY_WORKER_TIMEOUT_SECONDS)
    payment.write()
    return payment


def confirm(order_id: uuid.UUID, payment_id: uuid.UUID, *, key: Key | None = None) -> Payment:
    """Go on with a payment after its buyer has done what the gateway asked for.

    Raises: OrderNotFound, PaymentNotFound; PaymentDeclined, PaymentReturned.
    """
    payment = _begin_confirm(order_id, payment_id, key=key)
    if payment.is_pending and not payment.is_under_way(clock.now()):
        with a_wait() as may_wait:
            if may_wait or not gateways.asks_outside(payment):
                payment = settle(payment, what_became_of(payment, confirmed=True))
    return require_not_refused(payment)


@in_transaction
def _begin_confirm(order_id: uuid.UUID, payment_id: uuid.UUID, *, key: Key | None) -> Payment:
    claim(key, payment_id)
    return lock(order_id, payment_id)[1]


# Captures, voids and refunds.


def capture(
    order_id: uuid.UUID,
    payment_id: uuid.UUID,
    amount: int | None = None,
    *,
    actor: Actor,
    custom_reference: str | None = None,
    seen: Standing | None = None,
    key: Key | None = None,
) -> Attempt:
    """Take authorized money: all of it, or `amount`, and then the rest is let go with it.

    A part of the order is owing again then, and can be paid as any other.
    Raises: OrderNotFound, PaymentNotFound, NotCapturable, CaptureRefused, Moved;
    GatewayRefused.
    """
    attempt = begin_capture(
        order_id,
        payment_id,
        amount,
        actor=actor,
        custom_reference=custom_reference,
        seen=seen,
        key=key,
    )
    return performed(attempt)


@in_transaction
def begin_capture(
    order_id: uuid.UUID,
    payment_id: uuid.UUID,
    amount: int | None = None,
    *,
    actor: Actor,
    custom_reference: str | None = None,
    seen: Standing | None = None,
    key: Key | None = None,
) -> Attempt:
    claim(key, payment_id)
    order, payment = lock(order_id, payment_id, seen=seen)
    capturable = payment.authorized_amount and not payment.late and not order.is_cancelled
    if not capturable or has_open_attempt(payment):
        raise NotCapturable
    amount = payment.amount if amount is None else amount
    if not 0 < amount <= payment.amount or not can_move(payment, amount):
        raise CaptureRefused(source="data.amount")
    if custom_reference is not None:
        payment.custom_reference = custom_reference
        payment.save(update_fields=["custom_reference"])
    attempt = record_attempt(Attempt.Kind.CAPTURE, order, payment, amount, actor)
    orders.save_and_mind(order)
    return attempt


def refund(
    order_id: uuid.UUID,
    payment_id: uuid.UUID,
    amount: int | None,
    *,
    actor: Actor,
    reason: str = "",
    taken_back: Sequence[TakenBack] = (),
    seen: Standing | None = None,
    key: Key | None = None,
) -> Attempt:
    """Give captured money back through the gateway. Without an amount, mark all as refunded.

    Marking moves no money: it was given back elsewhere. Stock stays where it is, except for shipped
    units that are `taken_back` with it: as soon as the refund is on record, whatever its gateway
    answers then.
    Raises: OrderNotFound, PaymentNotFound, NotRefundable, Moved, what `returns.record` does;
    GatewayRefused.
    """
    attempt = begin_refund(
        order_id,
        payment_id,
        amount,
        actor=actor,
        reason=reason,
        taken_back=taken_back,
        seen=seen,
        key=key,
    )
    return performed(attempt)


@in_transaction
def begin_refund(
    order_id: uuid.UUID,
    payment_id: uuid.UUID,
    amount: int | None,
    *,
    actor: Actor,
    reason: str = "",
    taken_back: Sequence[TakenBack] = (),
    seen: Standing | None = None,
    key: Key | None = None,
) -> Attempt:
    """Put a refund on record. One that is only marked as made has succeeded at once."""
    claim(key, payment_id)
    order, payment = lock(order_id, payment_id, seen=seen)
    may_go_back = order.fully_paid_at or order.is_cancelled or payment.late
    is_marking = amount is None
    amount = payment.refundable_amount if amount is None else amount
    if not may_go_back or not 0 < amount <= payment.refundable_amount:
        raise NotRefundable
    if not is_marking and not can_move(payment, amount):
        raise NotRefundable
    attempt = record_attempt(
        Attempt.Kind.REFUND,
        order,
        payment,
        amount,
        actor,
        reason,
        at_once=SUCCEEDED if is_marking else None,
    )
    orders.save_and_mind(order)
    if taken_back:
        returns.record(order, taken_back, actor=actor, reason=reason, attempt_id=attempt.pk)
    return attempt


def void(
    order_id: uuid.UUID,
    payment_id: uuid.UUID,
    *,
    actor: Actor,
    reason: str = "",
    seen: Standing | None = None,
    key: Key | None = None,
) -> Attempt:
    """Release authorized money.

    Raises: OrderNotFound, PaymentNotFound, ManualNotVoidable, NotVoidable, Moved;
    GatewayRefused.
    """
    attempt = begin_void(order_id, payment_id, actor=actor, reason=reason, seen=seen, key=key)
    return performed(attempt)


@in_transaction
def begin_void(
    order_id: uuid.UUID,
    payment_id: uuid.UUID,
    *,
    actor: Actor,
    reason: str = "",
    seen: Standing | None = None,
    key: Key | None = None,
) -> Attempt:
    claim(key, payment_id)
    order, payment = lock(order_id, payment_id, seen=seen)
    if asks_nobody(payment):
        raise ManualNotVoidable
    if not payment.authorized_amount or has_open_attempt(payment):
        raise NotVoidable
    attempt = record_attempt(Attempt.Kind.VOID, order, payment, payment.amount, actor, reason)
    orders.save_and_mind(order)
    return attempt


def let_go(
    order_id: uuid.UUID,
    payment_id: uuid.UUID,
    *,
    actor: Actor,
    reason: str = "",
    seen: Standing | None = None,
    key: Key | None = None,
) -> Attempt | None:
    """Release authorized money, or give up a payment that only waits for its buyer: then None.

    Raises: OrderNotFound, PaymentNotFound, ManualNotVoidable, Moved; NotVoidable, also if it turns
    out to have succeeded; PaymentUnderWay without an answer; GatewayRefused.
    """
    try:
        return void(order_id, payment_id, actor=actor, reason=reason, seen=seen, key=key)
    except NotVoidable:
        chosen = _if_it_waits(order_id, payment_id)
        if not chosen:
            raise
    given_up = waiting.give_up(chosen, why=reason or GIVEN_UP_BY_SHOP, actor=actor)
    if not given_up:
        raise PaymentUnderWay
    waiting.in_their_place(
        given_up, lambda answers: _end(answers[0], actor=actor, seen=seen, key=key), actor=actor
    )
    return None


@in_transaction
def _if_it_waits(order_id: uuid.UUID, payment_id: uuid.UUID) -> Sequence[Payment]:
    _, payment = lock(order_id, payment_id)
    return waiting.take_up([payment] if payment.waits_for_buyer(clock.now()) else [])


@in_transaction
def _end(given_up: GivenUp, *, actor: Actor, seen: Standing | None, key: Key | None) -> None:
    claim(key, given_up.payment.pk)
    order, _ = lock(given_up.payment.order_id, given_up.payment.pk, seen=seen)
    payment = make_way(order, given_up.payment, given_up.answer, actor)
    if payment.status != Payment.Status.FAILED:
        raise NotVoidable
    bookkeeping.save_and_release(order, actor, reason="payment given up")


def performed(attempt: Attempt) -> Attempt:
    """Have the gateway perform the attempt, unless it is done. Raises: GatewayRefused."""
    if not attempt.is_pending:
        return attempt
    try:
        attempt = _perform_now_or_later(attempt)
    except (Busy, OperationalError):
        log.exception("attempt_not_settled", attempt_id=str(attempt.pk))
    if attempt.status == Attempt.Status.FAILED:
        raise GatewayRefused(attempt.failure)
    return attempt


def _perform_now_or_later(attempt: Attempt) -> Attempt:
    adapter = gateways.adapter(attempt.payment.gateway)
    if not gateways.asks_outside(attempt.payment):
        return settle_performed(
            attempt, ask(attempt.payment.gateway, lambda: adapter.perform(attempt))
        )
    with a_wait() as may_wait:
        # Without an answer, recovery takes over and performs what the gateway never heard of.
        answer = (
            ask(attempt.payment.gateway, lambda: adapter.perform(attempt)) if may_wait else UNKNOWN
        )
        return settle_performed(attempt, answer)


def settle_performed(attempt: Attempt, answer: Answer) -> Attempt:
    """Settle an attempt. If it failed, somebody may have done the same at the gateway itself."""
    attempt = settle_attempt(attempt, answer)
    if attempt.status == Attempt.Status.FAILED and attempt.kind == Attempt.Kind.REFUND:
        look_after_refunds(attempt.payment)
    elif attempt.status == Attempt.Status.FAILED:
        settle(attempt.payment, what_became_of(attempt.payment))
    return attempt


def look_after_refunds(payment: Payment) -> bool:
    """Write down what became of refunds that nobody waits for any more; False without an answer.

    A refund may fail days after it succeeded, have been made though it was called failed, or have
    been made by somebody at the gateway itself.
    """
    gateway_refunds = refunds_of(payment)
    for gateway_refund in gateway_refunds or []:
        settle_refunded(payment, gateway_refund)
    return gateway_refunds is not None


# Cancelling an order, with the money it holds.


def cancel(
    order_id: uuid.UUID,
    *,
    actor: Actor,
    reason: str = "",
    restock: bool = True,
    seen: Standing | None = None,
    key: Key | None = None,
) -> None:
    """Cancel an order, give its units back and void its authorizations. Captured money stays.

    Without `restock` its units are written off instead: they are damaged, or not to be found.
    The voids are on record with the cancellation; their gateways are asked after it is committed.
    Payments that only wait for their buyer are given up first. One that turns out to have succeeded
    counts, and the order is cancelled as a paid one.
    Raises: OrderNotFound, OrderNotCancellable, PaymentUnderWay, Moved.
    """
    begin_it = partial(
        begin_cancel, order_id, actor=actor, reason=reason, restock=restock, seen=seen, key=key
    )
    try:
        voids = begin_it()
    except PaymentUnderWay:
        given_up = waiting.give_up(_all_that_is_open(order_id), why=GIVEN_UP_TO_CANCEL, actor=actor)
        if not given_up:
            raise
        voids = waiting.in_their_place(
            given_up, lambda answers: begin_it(given_up=answers), actor=actor
        )
    _perform_voids(voids)


@in_transaction
def _all_that_is_open(order_id: uuid.UUID) -> Sequence[Payment]:
    return waiting.take_up(all_that_is_open(Order.objects.lock(order_id)))


def all_that_is_open(order: Order) -> list[Payment]:
    """Return what has to be given up to cancel the order; none if more than that is open."""
    waiting_payments = waiting.waiting_of(order)
    return waiting_payments if len(waiting_payments) == order.attempts_open else []


def left_to_pay(order: Order) -> int:
    """Return what may be paid now, if need be in the place of those who wait for their buyer."""
    return order.payable + sum(payment.amount for payment in waiting.waiting_of(order))


def require_cancellable(order: Order) -> None:
    """Say beforehand what `cancel` would. Raises: OrderNotCancellable, PaymentUnderWay."""
    try:
        order.require_cancellable()
    except PaymentUnderWay:
        if not all_that_is_open(order):
            raise


def expire(order_id: uuid.UUID, *, while_payment: str) -> None:
    """Cancel an order that has waited too long for its money, unless the money came meanwhile.

    Raises: OrderNotFound, OrderNotCancellable, PaymentUnderWay.
    """
    reason = f"expired {Order.Payment(while_payment).label.lower()}"
    voids = begin_cancel(order_id, actor=SYSTEM, while_payment=while_payment, reason=reason)
    _perform_voids(voids)


def _perform_voids(voids: Iterable[Attempt]) -> None:
    for attempt in voids:
        try:
            performed(attempt)
        except Refusal:
            # The order is cancelled all the same, and the failed void is listed beside its payment.
            log.exception("void_refused", payment_id=str(attempt.payment_id))


@in_transaction
def begin_cancel(
    order_id: uuid.UUID,
    *,
    actor: Actor,
    while_payment: str = "",
    reason: str = "",
    restock: bool = True,
    seen: Standing | None = None,
    given_up: Sequence[GivenUp] = (),
    key: Key | None = None,
) -> list[Attempt]:
    """Cancel the order; return the voids that are still to be asked for.

    `while_payment` is the state that its payment must still be in.
    """
    claim(key, order_id)
    order = Order.objects.lock(order_id, seen=seen)
    for each in given_up:
        make_way(order, each.payment, each.answer, actor)
    order.require_cancellable()
    if while_payment and order.payment != while_payment:
        raise OrderNotCancellable("The order has been paid meanwhile.")
    authorizations = order.payments.filter(
        status=Payment.Status.COMPLETE,
        method=Payment.Method.AUTHORIZE,
        captured_amount=0,
        late=False,
    )
    voids = [
        record_attempt(Attempt.Kind.VOID, order, payment, payment.amount, actor, "order cancelled")
        for payment in authorizations
    ]
    orders.cancel_and_save(order, actor=actor, reason=reason, restock=restock)
    return voids


# Gateways and reading.


@in_transaction
def set_gateway(
    slug: str,
    *,
    actor: Actor,
    enabled: bool | None = None,
    name: str | None = None,
    seen: Mapping[str, Any] | None = None,
    key: Key | None = None,
) -> Gateway:
    """Change what is given. `seen` is what stood there before.

    Raises: GatewayNotFound; GatewayNotConfigured for a gateway whose keys are missing; Moved.
    """
    claim(key, slug)
    gateway = gateway_named(slug, known_gateways().select_for_update(no_key=True))
    if enabled and not is_usable(slug):
        raise GatewayNotConfigured
    wanted = {"enabled": enabled, "name": name}
    with changes.recorded(actor, gateway, seen=seen):
        for field, value in wanted.items():
            if value is not None:
                setattr(gateway, field, value)
        gateway.save(update_fields=list(wanted))
    if enabled:
        installation.remember(slug)
    return gateway


def is_usable(slug: str) -> bool:
    """Tell whether a gateway can be enabled: if not, its keys are missing in the environment."""
    return slug in gateways.usable()


def known_gateways() -> QuerySet[Gateway]:
    """Return the gateways to show to the store; not all of them can be used."""
    return Gateway.objects.filter(slug__in=gateways.known())


def gateway_named(slug: str, among: QuerySet[Gateway] | None = None) -> Gateway:
    """Raises: GatewayNotFound."""
    among = known_gateways() if among is None else among
    gateway = among.filter(slug=slug).first()
    if gateway is None:
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
