"""Payments that only wait for an act of their buyer, such as 3-D Secure, and giving them up.

They are taken up under the order's lock, as a charge is, so that nobody else asks about them. Then
their gateway is asked, with nothing locked, and its answer decides: what it cancelled can never
succeed any more, and what succeeded meanwhile counts. Whoever takes their place writes the answer
down in the transaction that does it; if that comes to nothing, it is written down alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from api import clock
from api.actors import Actor
from api.errors import Refusal
from api.idempotency import Answered
from api.transactions import assert_in_transaction
from orders.models import Order
from payments import gateways
from payments.errors import GatewayNotFound
from payments.gateways.base import UNKNOWN, Answer, Outcome
from payments.models import Payment
from payments.services.gateway_calls import a_wait, lease, what_became_of
from payments.services.settling import settle

T = TypeVar("T")

_ENDED = frozenset({Outcome.FAILED, Outcome.CANCELLED})
_DECIDED = _ENDED | {Outcome.SUCCEEDED, Outcome.CAPTURED}


@dataclass(frozen=True)
class GivenUp:
    """A payment that waited, and what its gateway said when it was to be given up."""

    payment: Payment
    answer: Answer


def waiting_of(order: Order) -> list[Payment]:
    """Return the order's payments that only wait for their buyer, oldest first."""
    now = clock.now()
    pending = order.payments.filter(status=Payment.Status.PENDING).order_by("pk")
    return [payment for payment in pending if payment.waits_for_buyer(now)]


def in_the_way(order: Order, amount: int | None) -> list[Payment]:
    """Choose the fewest that have to be given up for a payment of so much, or of all that is left.

    One of that very amount is taken for the same buyer's. None if nobody is in the way, or if that
    would not suffice.
    """
    room = order.payable
    if room and (amount is None or amount <= room):
        return []
    waiting = waiting_of(order)[::-1]
    if amount is None:
        return waiting
    if same := [payment for payment in waiting if payment.amount == amount]:
        return same[:1]
    chosen: list[Payment] = []
    for payment in waiting:
        if room < amount:
            chosen.append(payment)
            room += payment.amount
    return chosen if 0 < amount <= room else []


def take_up(payments: Sequence[Payment]) -> Sequence[Payment]:
    """Keep everybody else from asking about payments of the locked order; return them."""
    assert_in_transaction()
    for payment in payments:
        payment.charging_until = lease()
        payment.write()
    return payments


def give_up(payments: Sequence[Payment], *, why: str, actor: Actor) -> list[GivenUp]:
    """Have the gateways give up payments that were taken up. None, if not all of it is decided.

    Nothing may be locked. What has been decided by then is written down, and the rest waits again.
    """
    given_up: list[GivenUp] = []
    with a_wait() as may_wait:
        for payment in payments:
            answer = _given_up(payment, may_wait)
            if answer.outcome not in _DECIDED:
                break
            reason = why if answer.outcome in _ENDED else ""
            given_up.append(GivenUp(payment, replace(answer, failure=reason)))
    undecided = payments[len(given_up) :]
    if undecided:
        _write_down([*given_up, *(GivenUp(payment, UNKNOWN) for payment in undecided)], actor)
        return []
    return given_up


def _given_up(payment: Payment, may_wait: bool) -> Answer:
    try:
        if may_wait or not gateways.asks_outside(payment):
            return what_became_of(payment, is_given_up=True)
    except GatewayNotFound:
        pass
    return UNKNOWN


def in_their_place(
    given_up: Sequence[GivenUp], act: Callable[[Sequence[GivenUp]], T], *, actor: Actor
) -> T:
    """Act in a transaction that writes the answers down; if it is refused, write them down alone.

    If this dies before, recovery learns the same from the gateways.
    """
    try:
        return act(given_up)
    except (Answered, Refusal):
        _write_down(given_up, actor)
        raise


def _write_down(given_up: Sequence[GivenUp], actor: Actor) -> None:
    for each in given_up:
        settle(each.payment, each.answer, actor=actor)
