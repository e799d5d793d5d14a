"""Several people at once on parts of one order, and the same without its lock."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from api.idempotency import Key
from api.ids import uuid7
from orders.models import Order, OrderQuerySet, ReturnLine
from orders.services import audit, cancelling, returns, shipments, units
from orders.services.returns import TakenBack
from tests.concurrency import PATIENCE_SECONDS, run_together
from tests.factories import MERCHANT, paid_order, product, shipped_order
from tests.stock import numbers

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.thorough]

Act = Callable[[Order], Callable[[], Any]]


def kinds(outcomes: list[Any]) -> list[str]:
    """What came out, without order: `done` for whatever returned."""
    return sorted(type(one).__name__ if isinstance(one, Exception) else "done" for one in outcomes)


def _first_line(order: Order) -> Any:
    return order.items.order_by("position").values_list("pk", flat=True)[0]


def ship(order: Order) -> Callable[[], Any]:
    """Ship two units of the first line."""
    return partial(shipments.ship, order.pk, actor=MERCHANT, units={_first_line(order): 2})


def cancel(order: Order) -> Callable[[], Any]:
    picked = {_first_line(order): 2}
    return partial(cancelling.cancel_items, order.pk, picked, actor=MERCHANT, reason="late")


def undo(order: Order) -> Callable[[], Any]:
    shipment = order.shipments.get()
    return partial(shipments.undo, order.pk, shipment.pk, actor=MERCHANT, reason="mistake")


def take_back(order: Order) -> Callable[[], Any]:
    lines = [TakenBack(_first_line(order), 2, "restocked")]
    return partial(returns.take_back, order.pk, lines, actor=MERCHANT)


def settle(order: Order) -> Callable[[], Any]:
    line = ReturnLine.objects.get(of_return__order=order)
    return partial(returns.settle_inspected, order.pk, line.pk, "restocked", actor=MERCHANT)


def waiting(shirt: Any) -> Order:
    """An order of which, beside what is raced for, another line is left."""
    return paid_order({shirt: 2, product(stock=5): 1})


def inspected(shirt: Any) -> Order:
    order = shipped_order({shirt: 2})
    lines = [TakenBack(_first_line(order), 2, "inspection")]
    returns.take_back(order.pk, lines, actor=MERCHANT)
    return order


def shipped(shirt: Any) -> Order:
    return shipped_order({shirt: 2})


def test_f08_of_ship_and_cancel_of_one_line_exactly_one_happens():
    shirt = product(stock=100)
    total = 100

    for _ in range(6):
        order = waiting(shirt)
        outcomes = run_together(ship(order), cancel(order))

        line = order.items.get(position=0)
        assert kinds(outcomes) == ["UnitsNotLeft", "done"]
        assert (line.shipped, line.cancelled) in {(2, 0), (0, 2)}
        total -= line.shipped
        assert numbers(shirt) == (total, total, 0)


@pytest.mark.parametrize(
    ("made", "act", "refusal", "expected"),
    [
        (waiting, ship, "UnitsNotLeft", (8, 8, 0)),
        (waiting, cancel, "UnitsNotLeft", (10, 10, 0)),
        (shipped, undo, "ShipNotUndoable", (10, 8, 2)),
        (shipped, take_back, "NotPutBack", (10, 10, 0)),
        (inspected, settle, "NotPutBack", (10, 10, 0)),
    ],
    ids=["ship", "cancel", "undo", "take-back", "inspect"],
)
def test_f09_of_several_who_do_the_same_at_once_one_does_it(made, act: Act, refusal, expected):
    shirt = product(stock=10)
    order = made(shirt)

    outcomes = run_together(*[act(order)] * 3)

    assert kinds(outcomes) == [refusal, refusal, "done"]
    assert numbers(shirt) == expected


def test_f09_a_call_that_is_sent_several_times_at_once_ships_once():
    shirt = product(stock=10)
    order = waiting(shirt)
    picked = {_first_line(order): 1}

    def call() -> Any:
        key = Key("client", "POST", "/v2/orders/1/shipments", "click", "body", uuid7())
        return shipments.ship(order.pk, actor=MERCHANT, units=picked, key=key)

    outcomes = run_together(*[call] * 4)

    assert kinds(outcomes).count("done") == 1
    assert set(kinds(outcomes)) <= {"done", "Answered", "KeyInUse"}
    assert numbers(shirt) == (9, 8, 1)


def test_f09_of_undo_and_take_back_of_the_same_units_exactly_one_happens():
    shirt = product(stock=10)
    order = shipped(shirt)

    outcomes = run_together(undo(order), take_back(order))

    assert kinds(outcomes) in (["ShipNotUndoable", "done"], ["NotPutBack", "done"])
    assert numbers(shirt)[0] == 10


@pytest.mark.tampers_with_the_books
def test_f08_control_without_the_orders_lock_a_line_is_shipped_and_cancelled(monkeypatch):
    shirt = product(stock=10)
    paid_order({shirt: 4})
    order = waiting(shirt)
    all_have_looked = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    def read(self: OrderQuerySet, order_id: Any, **seen: Any) -> Order:
        return self.get(pk=order_id)

    def look_together(order: Order) -> Any:
        found = units.lines_of(order)
        all_have_looked.wait()
        return found

    monkeypatch.setattr(OrderQuerySet, "lock", read)
    monkeypatch.setattr(shipments, "lines_of", look_together)
    monkeypatch.setattr(cancelling, "lines_of", look_together)

    outcomes = run_together(ship(order), cancel(order))

    assert kinds(outcomes) == ["done", "done"]
    assert audit.differences() != []
