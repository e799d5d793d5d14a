"""What a crash, a silent gateway or a buyer who never came back has left open.

Every function here may run in any number of processes at once: it decides under an order's lock,
and a second process finds it done.
"""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from django.conf import settings
from django.db.models import Count, Exists, F, Min, OuterRef, Q, QuerySet

from api import clock, store
from api.actors import SYSTEM, Actor
from api.errors import Refusal, Standing
from api.idempotency import Key, claim
from api.transactions import in_transaction
from orders.models import Order, OrderEvent
from orders.services import orders
from payments import gateways
from payments.errors import NotOpen, StillUnderWay
from payments.gateways.base import Answer, Outcome
from payments.models import Attempt, Payment
from payments.services import installation, payments
from payments.services.bookkeeping import lock
from payments.services.gateway_calls import (
    ask,
    ask_whether,
    asks_nobody,
    waiting_at_most,
    what_became_of,
)
from payments.services.settling import apply, apply_to_attempt, settle

log = structlog.get_logger(__name__)
T = TypeVar("T", Payment, Attempt)
Second = TypeVar("Second")

BATCH = 100
# More than every shopper at one address can leave unpaid in a day, every ten minutes.
EXPIRED_AT_ONCE = 1000


# Asking again.


def settle_pending(*, limit: int = BATCH) -> int:
    """Ask the gateways about everything that is still open and settle it; return how many."""
    return _settle(_left_alone(), limit)


def settle_left_behind(*, limit: int = BATCH) -> int:
    """Do so for what a process left that was killed while it asked, once: that cannot wait.

    Whoever lives writes down what it was told, be it nothing, before its time to ask is over.
    """
    return _settle(_left_alone() & Q(charging_until__gt=F("updated_at")), limit)


def _settle(these: Q, limit: int) -> int:
    if installation.are_closed():
        return 0
    payments = Payment.objects.filter(these, _not_queued()).order_by("updated_at")
    attempts = Attempt.objects.filter(these).select_related("payment")
    results = [_recover_one(_recover_payment, payment) for payment in payments[:limit]]
    results += [
        _recover_one(_recover_attempt, attempt)
        for attempt in attempts.order_by("updated_at")[:limit]
    ]
    return sum(results)


def _left_alone() -> Q:
    """Match pending payments or attempts for which no process waits for the gateway any more."""
    return Q(status=Payment.Status.PENDING) & ~Q(charging_until__gt=clock.now())


def _not_queued() -> Q:
    return ~Q(queued_until__gt=clock.now())


def _recover_one(recover: Callable[[T], T], left_open: T) -> bool:
    """Recover one and tell whether it is settled; its failure must not keep others waiting."""
    try:
        with waiting_at_most(settings.GATEWAY_TIMEOUT_SECONDS):
            return not recover(left_open).is_pending
    except Exception:
        log.exception("recovery_failed", left_open=str(left_open.pk))
        # Move it to the end of the queue, or a few of its kind would keep all others waiting.
        type(left_open).objects.filter(pk=left_open.pk).update(updated_at=clock.now())
        return False


def _recover_payment(payment: Payment) -> Payment:
    return settle(payment, what_became_of(payment))


def _recover_attempt(attempt: Attempt) -> Attempt:
    """Ask what became of an attempt, and perform it if the gateway never heard of it."""
    adapter = gateways.adapter(attempt.payment.gateway)
    answer = ask_whether(attempt.payment.gateway, lambda: adapter.find(attempt))
    if answer is None:
        answer = ask(attempt.payment.gateway, lambda: adapter.perform(attempt))
    return payments.settle_performed(attempt, answer)


def check_now(order_id: uuid.UUID, payment_id: uuid.UUID, *, actor: Actor) -> Payment:
    """Ask the gateway at once, on a person's request, which is put on the order's record.

    Raises: OrderNotFound, PaymentNotFound, GatewaysClosed; StillUnderWay while some process waits
    for the gateway.
    """
    _note_check(order_id, payment_id, actor)
    look_at(order_id, payment_id)
    return payments.payment_of(order_id, payment_id)


@in_transaction
def _note_check(order_id: uuid.UUID, payment_id: uuid.UUID, actor: Actor) -> None:
    installation.require_open()
    order, payment = lock(order_id, payment_id)
    require_left_alone(payment, payment.attempts.filter(status=Attempt.Status.PENDING))
    money = order.currency.formatted(payment.amount)
    orders.note_event(order, OrderEvent.Kind.PAYMENT_CHECKED, actor=actor, text=money)


def look_at(order_id: uuid.UUID, payment_id: uuid.UUID) -> bool:
    """Ask the gateway about a payment and all that was done with it, and settle it.

    False if the gateway was silent about something that is not asked for again; recovery asks about
    what is pending. Raises: PaymentNotFound; StillUnderWay while some process waits for the
    gateway.
    """
    payment = payments.payment_of(order_id, payment_id)
    attempts = list(payment.attempts.filter(status=Attempt.Status.PENDING))
    require_left_alone(payment, attempts)
    if not asks_nobody(payment):
        for attempt in attempts:
            attempt.payment = payment
            _recover_attempt(attempt)
        answer = what_became_of(payment)
        settle(payment, answer)
        answered = payment.is_pending or answer.outcome is not Outcome.UNKNOWN
        return payments.look_after_refunds(payment) and answered
    return True


def require_left_alone(payment: Payment, open_attempts: Iterable[Attempt]) -> None:
    """Raises: StillUnderWay while some process waits for the gateway, or is about to ask it."""
    now = clock.now()
    open_things: list[Payment | Attempt] = [payment, *open_attempts]
    if any(each.is_under_way(now) for each in open_things):
        raise StillUnderWay


@in_transaction
def settle_by_hand(
    order_id: uuid.UUID,
    payment_id: uuid.UUID,
    *,
    succeeded: bool,
    reference: str,
    reason: str,
    actor: Actor,
    seen: Standing | None = None,
    key: Key | None = None,
) -> Payment:
    """Write down what a person found out about a stuck payment, or about its stuck attempt.

    Of several refunds it is the oldest: one may turn out to be made and another not. The order's
    record says who settled it and why. If the gateway turns out to know better, its answer counts
    as it would after any other.
    Raises: OrderNotFound, PaymentNotFound, NotOpen; StillUnderWay while a gateway is being asked;
    Moved.
    """
    claim(key, payment_id)
    order, payment = lock(order_id, payment_id, seen=seen)
    attempt = payment.attempts.filter(status=Attempt.Status.PENDING).order_by("created_at").first()
    require_left_alone(payment, [attempt] if attempt else [])
    outcome = Outcome.SUCCEEDED if succeeded else Outcome.FAILED
    # The gateway's own name, by which it is asked, takes precedence over what a person typed.
    gateway_reference = payment.reference if payment.is_pending and payment.reference else reference
    answer = Answer(outcome, gateway_reference, "" if succeeded else reason)
    text = f"{outcome.value}, {reference}: {reason}" if reference else f"{outcome.value}: {reason}"
    if payment.is_pending or attempt:
        orders.note_event(order, OrderEvent.Kind.PAYMENT_SETTLED_BY_HAND, actor=actor, text=text)
    if payment.is_pending:
        apply(order, payment, answer, actor)
    elif attempt:
        attempt.payment = payment
        apply_to_attempt(order, attempt, answer)
    else:
        raise NotOpen
    return payment


# What lapses with time.


def void_lapsed_authorizations(*, limit: int = BATCH) -> int:
    """Void authorizations that have lapsed at their gateway, and so release the units they held.

    One that its gateway refuses to let go is for people to look at. It is tried again only after as
    many days, since every try stays on record.
    """
    if installation.are_closed():
        return 0
    long_ago = clock.now() - timedelta(days=settings.AUTHORIZATION_DAYS)
    tried = Q(kind=Attempt.Kind.VOID, created_at__gt=long_ago)
    lapsed = Payment.objects.filter(
        ~Exists(
            Attempt.objects.filter(tried | Q(status=Attempt.Status.PENDING), payment=OuterRef("pk"))
        ),
        status=Payment.Status.COMPLETE,
        method=Payment.Method.AUTHORIZE,
        captured_amount=0,
        created_at__lt=long_ago,
    ).exclude(gateway__in=gateways.ASKING_NOBODY)
    return _each(
        lapsed.order_by("created_at").values_list("order_id", "pk")[:limit],
        lambda order_id, payment_id: payments.void(
            order_id, payment_id, actor=SYSTEM, reason="authorization lapsed"
        ),
    )


def expire_orders(*, limit: int = EXPIRED_AT_ONCE) -> int:
    """Cancel orders that have waited for their money longer than the store allows.

    Each is cancelled in a transaction of its own, the oldest first: a run that ends early has done
    what it has done, and the next one goes on. While gateways are closed, none is: somebody may
    have paid what this copy of the shop does not know of.
    """
    if installation.are_closed():
        return 0
    store_settings = store.current()
    overdue = [
        *_waiting_since(store_settings.unpaid_order_expiry_hours, [Order.Payment.UNPAID], limit),
        *_waiting_since(
            store_settings.partly_paid_order_expiry_hours,
            # A part that was refunded is still a part.
            [
                Order.Payment.PARTIALLY_PAID,
                Order.Payment.PARTIALLY_AUTHORIZED,
                Order.Payment.REFUNDED,
            ],
            limit,
        ),
    ]
    return _each(
        overdue,
        lambda order_id, payment: payments.expire(order_id, while_payment=payment),
    )


def _waiting_since(
    hours: int, states: list[Order.Payment], limit: int
) -> Iterable[tuple[uuid.UUID, str]]:
    """Return the orders in these states that are older than `hours`; none if that is 0."""
    if not hours:
        return []
    rows: QuerySet[Order] = Order.objects.unpaid().filter(
        payment__in=states,
        attempts_open=0,
        created_at__lt=clock.now() - timedelta(hours=hours),
    )
    return rows.order_by("created_at").values_list("pk", "payment")[:limit]


def _each(
    rows: Iterable[tuple[uuid.UUID, Second]], act: Callable[[uuid.UUID, Second], object]
) -> int:
    """Act on each row and count; a refusal means that the row has changed since it was found.

    One that fails for a reason that nobody foresaw must not keep the others waiting.
    """
    count = 0
    for row in rows:
        try:
            act(*row)
        except Refusal as refusal:
            log.info("left_as_it_is", row=str(row[0]), refusal=refusal.code)
        except Exception:
            log.exception("did_not_lapse", row=str(row[0]))
        else:
            count += 1
    return count


# What could not be settled so far.


@dataclass(frozen=True)
class Unresolved:
    """How many payments and attempts of a gateway are open, and since when the oldest is."""

    gateway: str
    count: int
    since: datetime


def unresolved(*, older_than: timedelta = timedelta(0)) -> list[Unresolved]:
    """Count what has been open for longer than `older_than`, one row per gateway."""
    until = clock.now() - older_than
    by_gateway: dict[str, Unresolved] = {}
    payments = Payment.objects.filter(status=Payment.Status.PENDING)
    attempts = Attempt.objects.filter(status=Attempt.Status.PENDING)
    for rows, gateway in ((payments, F("gateway")), (attempts, F("payment__gateway"))):
        overdue = rows.filter(created_at__lte=until)
        sums = overdue.values(slug=gateway).annotate(count=Count("pk"), since=Min("created_at"))
        for row in sums:
            previous = by_gateway.get(row["slug"])
            by_gateway[row["slug"]] = Unresolved(
                row["slug"],
                row["count"] + (previous.count if previous else 0),
                min(row["since"], previous.since) if previous else row["since"],
            )
    return sorted(by_gateway.values(), key=lambda each: each.gateway)
