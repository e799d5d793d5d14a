"""How a gateway is asked: with no lock or connection held, and by few threads at once."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from django.conf import settings
from django.db import connection

from api import clock, metrics
from api.transactions import assert_no_transaction
from config import tracing
from payments import gateways
from payments.gateways import deadline
from payments.gateways.base import UNKNOWN, Answer, Outcome, Refunded
from payments.models import Payment
from payments.services import installation

T = TypeVar("T")
log = structlog.get_logger(__name__)

# A process that waited for a gateway may take this much longer to write down the answer.
_WRITE_DOWN = timedelta(seconds=10)


def asks_nobody(payment: Payment) -> bool:
    """Tell whether the money moves outside of Holdfast, so that what is recorded has happened."""
    return payment.gateway in gateways.ASKING_NOBODY


def can_move(payment: Payment, amount: int) -> bool:
    """Tell whether the payment's gateway can move exactly so much."""
    return asks_nobody(payment) or gateways.adapter(payment.gateway).can_move(
        amount, payment.currency
    )


def waiting_at_most(seconds: float) -> AbstractContextManager[None]:
    """Limit how long gateways are waited for inside the block to `seconds` altogether."""
    return deadline.at_most(seconds)


def lease(seconds: float | None = None) -> datetime:
    """Return until when a process that asks now may be waiting and writing down the answer."""
    wait = settings.GATEWAY_TIMEOUT_SECONDS if seconds is None else seconds
    return clock.now() + timedelta(seconds=wait) + _WRITE_DOWN


def ask(gateway: str, question: Callable[[], Answer]) -> Answer:
    """Ask a gateway with no transaction open and no connection held."""
    return ask_whether(gateway, question) or UNKNOWN


def ask_whether(gateway: str, question: Callable[[], Answer | None]) -> Answer | None:
    """Ask as `ask` does, where the gateway may have nothing to say."""
    unanswered: Answer | None = UNKNOWN
    return _asked(gateway, question, otherwise=unanswered)


def refunds_of(payment: Payment) -> list[Refunded] | None:
    """Ask for every refund of a payment. None: there was no answer."""
    adapter = gateways.adapter(payment.gateway)
    unanswered: list[Refunded] | None = None
    return _asked(payment.gateway, lambda: list(adapter.refunds(payment)), otherwise=unanswered)


def _asked(gateway: str, question: Callable[[], T], *, otherwise: T) -> T:
    assert_no_transaction()
    if why := installation.why_closed():
        # The last of the doors: whoever could say so to somebody has refused before.
        log.error("gateways_closed", why=why)
        return otherwise
    if not connection.in_atomic_block:
        connection.close()
    began, outcome = time.perf_counter(), "broke"
    try:
        with tracing.span(f"gateway {gateway}"):
            answer = question()
        outcome = answer.outcome.value if isinstance(answer, Answer) else "told"
        return answer
    except Exception:
        # Whatever broke, the money may have moved: only asking again can show that.
        log.exception("gateway_failed")
        return otherwise
    finally:
        taken = time.perf_counter() - began
        metrics.GATEWAY_SECONDS.labels(gateway, outcome).observe(taken)


# Limits how many threads of this process wait for gateways; the others serve other requests.
_waits = threading.BoundedSemaphore(max(1, settings.GATEWAY_WAITS_MAX))


@contextmanager
def a_wait() -> Iterator[bool]:
    """Take one of the process's waits, if one is free, and limit its seconds."""
    is_free = _waits.acquire(blocking=False)
    try:
        with waiting_at_most(settings.GATEWAY_TIMEOUT_SECONDS):
            yield is_free
    finally:
        if is_free:
            _waits.release()


def what_became_of(
    payment: Payment, *, confirmed: bool = False, is_given_up: bool = False
) -> Answer:
    """Learn what became of a charge that nobody waits for, and end one that nobody will finish.

    A buyer who has to act has until the deadline, unless the payment is given up; `confirmed` says
    that the buyer has acted.
    """
    adapter = gateways.adapter(payment.gateway)
    look = adapter.confirm if confirmed else adapter.find_charge
    answer = ask(payment.gateway, lambda: look(payment))
    ends = {Outcome.OPEN, Outcome.ACTION} if is_given_up else {Outcome.OPEN}
    if payment.is_pending and (answer.outcome in ends or _is_overdue(payment, answer)):
        return ask(payment.gateway, lambda: adapter.give_up(payment))
    return answer


def _is_overdue(payment: Payment, answer: Answer) -> bool:
    deadline = payment.created_at + timedelta(minutes=settings.PAYMENT_DEADLINE_MINUTES)
    return answer.outcome in {Outcome.UNKNOWN, Outcome.ACTION} and clock.now() > deadline
