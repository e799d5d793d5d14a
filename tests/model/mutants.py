"""What the machines would find: the shop with one thing wrong, each until a machine notices.

HOLDFAST_DEMO=1 .venv/bin/python -m tests.model --mutants
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from django.db.models import Q

from api import clock, idempotency
from inventory.models import BY_HAND, EFFECTS, FOR_ORDER, Action, CountLine, Effect, Sheet
from inventory.services import log
from inventory.services import stock as inventory
from inventory.services.writing import Cause
from orders.models import ClaimedLine, Order, OrderItem
from orders.services import orders
from payments.gateways.base import Answer, Outcome
from payments.models import Attempt, Payment
from payments.services import bookkeeping, payments, recovery, settling


@dataclass(frozen=True)
class Mutant:
    """One thing that is wrong, and which machine is to find it."""

    what: str
    wrong: Callable[[], AbstractContextManager[Any]]
    machine: str = "services"


def _together(*patches: AbstractContextManager[Any]) -> ExitStack:
    """Enter patches at once; whoever uses the stack leaves them."""
    with ExitStack() as stack:
        for each in patches:
            stack.enter_context(each)
        return stack.pop_all()


# Stock.


def _release_twice(*of: Any, **how: Any) -> None:
    for _ in range(2):
        _DEALLOCATE(*of, **how)


_DEALLOCATE = inventory.deallocate


def _ship_from_the_order_alone(
    quantities: Mapping[Any, int], *, order_id: Any, actor: Any, entry_ids: Mapping[Any, Any]
) -> None:
    inventory.deallocate(quantities, order_id=order_id, actor=actor, reason="shipped")


def _undo_without_the_order(
    quantities: Mapping[Any, int], *, order_id: Any, actor: Any, reason: str, **_: Any
) -> None:
    stocks = inventory._lock_for_order(quantities)
    cause = Cause(actor, reason, order_id)
    inventory.move(stocks, [Action.INCREMENT], quantities, cause, by_order=FOR_ORDER)


def _put_back_without_inspection(*of: Any, **how: Any) -> None:
    _PUT_BACK(*of, **{**how, "to_inspect": {}})


_PUT_BACK = inventory.put_back


def _totals_now(moments: Any) -> list[log.Then]:
    return [log.Then(stock.available + stock.allocated) for stock, _ in moments]


def _without_later_counts(moments: Any) -> list[log.Then]:
    return [then._replace(counted_later_at=None) for then in _TOTALS_AT(moments)]


_TOTALS_AT = log.totals_at


def _revert_again() -> ExitStack:
    return _together(
        patch.object(Sheet, "require", lambda sheet, *states: None),
        patch.object(CountLine, "is_applied", property(lambda line: line.sequence is not None)),
    )


# Orders.


def _last_of_each(quantities: Any) -> dict[Any, int]:
    return dict(quantities)


def _claimed_though_off_sale(order: Order) -> list[ClaimedLine]:
    return [line._replace(is_live=True) for line in _CLAIM_UNITS(order)]


_CLAIM_UNITS = OrderItem.claim_units


def _may_cancel(order: Order) -> None:
    """Whatever money is on its way."""
    attempts, order.attempts_open = order.attempts_open, 0
    try:
        _REQUIRE_CANCELLABLE(order)
    finally:
        order.attempts_open = attempts


_REQUIRE_CANCELLABLE = Order.require_cancellable


def _overdue(hours: int, states: Any, limit: int) -> Any:
    found = Order.objects.unpaid().filter(
        payment__in=states, created_at__lt=clock.now() - timedelta(hours=hours)
    )
    return found.order_by("created_at").values_list("pk", "payment")[:limit]


# Money.


def _take_again(order: Order, payment: Payment, answer: Answer, actor: Any) -> None:
    bookkeeping.take_money(order, payment, answer)
    payment.write()
    orders.save_and_mind(order)


def _capture_all(order: Order, payment: Payment, amount: int, succeeded: bool) -> None:
    bookkeeping._conclude_capture(order, payment, payment.amount, succeeded)


def _accept_whatever_comes(order: Order, payment: Payment, answer: Answer, actor: Any) -> None:
    settling._take(order, payment, answer, actor)
    bookkeeping.save_and_allocate(order, actor)


def _always_release(order: Order, actor: Any, *, reason: str) -> None:
    orders.release_and_save(order, actor=actor, reason=reason)


def _always_allocate(order: Order, actor: Any) -> None:
    orders.allocate_and_save(order, actor=actor)


def _refundable(payment: Payment) -> int:
    return payment.captured_amount - payment.refunded_amount


_TWICE = {(settling.State.CAPTURED, Outcome.SUCCEEDED): _take_again}
_ALL_OF_IT = {Attempt.Kind.CAPTURE: _capture_all}
_LATE = {(settling.State.FAILED, Outcome.SUCCEEDED): _accept_whatever_comes}
_FORGETS_HELD = {(Action.DEALLOCATE, BY_HAND): Effect(1, -1, 0)}

MUTANTS = [
    Mutant(
        "a cancel gives the units back twice",
        lambda: patch.object(inventory, "deallocate", _release_twice),
    ),
    Mutant(
        "deallocating by hand forgets what is set aside",
        lambda: patch.dict(EFFECTS, _FORGETS_HELD),
    ),
    Mutant(
        "shipping leaves the units in the total",
        lambda: patch.object(inventory, "ship", _ship_from_the_order_alone),
    ),
    Mutant(
        "an undone shipment is not held by its order again",
        lambda: patch.object(inventory, "undo_ship", _undo_without_the_order),
    ),
    Mutant(
        "what is to be inspected is available at once",
        lambda: patch.object(inventory, "put_back", _put_back_without_inspection),
    ),
    Mutant(
        "what came back is put into stock though a count may have found it",
        lambda: patch.object(inventory, "_require_not_found", lambda *of: None),
    ),
    Mutant(
        "a count by hand ignores what moved since its moment",
        lambda: patch.object(inventory, "totals_at", _totals_now),
    ),
    Mutant(
        "a count corrects what a later one has found already",
        lambda: patch.object(inventory, "totals_at", _without_later_counts),
    ),
    Mutant("a file that was taken back can be taken back again", _revert_again),
    Mutant(
        "two lines of a product need the units of one",
        lambda: patch.object(orders, "summed", _last_of_each),
    ),
    Mutant(
        "what went off sale after checkout can be paid",
        lambda: patch.object(OrderItem, "claim_units", _claimed_though_off_sale),
    ),
    Mutant(
        "shipped units are left to be shipped",
        lambda: patch.object(
            OrderItem, "left", property(lambda item: item.quantity - item.cancelled)
        ),
    ),
    Mutant(
        "an order is cancelled while money is on its way",
        lambda: patch.object(Order, "require_cancellable", _may_cancel),
    ),
    Mutant(
        "an order expires while money is on its way",
        lambda: _together(
            patch.object(Order, "require_cancellable", _may_cancel),
            patch.object(payments, "all_that_is_open", lambda order: []),
            patch.object(recovery, "_waiting_since", _overdue),
        ),
    ),
    Mutant(
        "the same answer again adds the money again",
        lambda: patch.dict(settling.TRANSITIONS, _TWICE),
    ),
    Mutant(
        "capturing a part takes all",
        lambda: patch.dict(bookkeeping._CONCLUDE, _ALL_OF_IT),
    ),
    Mutant(
        "late money is accepted by whatever the order has become",
        lambda: patch.dict(settling.TRANSITIONS, _LATE),
    ),
    Mutant(
        "the first part that fails gives all units back",
        lambda: patch.object(bookkeeping, "save_and_release", _always_release),
    ),
    Mutant(
        "each part of a payment takes the units anew",
        lambda: patch.object(payments, "save_and_allocate", _always_allocate),
    ),
    Mutant(
        "refunds on their way may be refunded again",
        lambda: patch.object(Payment, "refundable_amount", property(_refundable)),
    ),
    Mutant(
        "recovery asks about what somebody is just asking about",
        lambda: patch.object(recovery, "_left_alone", lambda: Q(status="pending")),
    ),
    Mutant(
        "a key is not looked at",
        lambda: patch.object(idempotency.Key, "of", lambda request: None),
        machine="http",
    ),
    Mutant(
        "a key is good for another body",
        lambda: patch.object(idempotency, "_of_same_body", lambda key, record: record),
        machine="http",
    ),
    Mutant(
        "a refusal is not kept",
        lambda: patch.object(idempotency, "_store", lambda *of: True),
        machine="http",
    ),
]
