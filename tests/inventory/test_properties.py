"""Whatever happens in whatever order, the numbers stay true and the log replays to them."""

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.fields import UNITS_MAX
from api.ids import uuid7
from inventory.errors import StockTooLow, TooManyUnits
from inventory.models import EFFECTS, Action, Product, Stock
from inventory.services import stock as inventory
from tests.factories import MERCHANT, product, stock_of

pytestmark = pytest.mark.thorough

SHIP = "ship"
BY_HAND = st.tuples(st.sampled_from(Action), st.just(False))
FOR_ORDERS = st.tuples(st.sampled_from([Action.ALLOCATE, Action.DEALLOCATE, SHIP]), st.just(True))
QUANTITIES = st.one_of(st.integers(1, 12), st.sampled_from([UNITS_MAX - 10, UNITS_MAX]))
HAPPENINGS = st.lists(st.tuples(st.one_of(BY_HAND, FOR_ORDERS), QUANTITIES), max_size=25)


@pytest.mark.django_db
@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(HAPPENINGS)
def test_any_sequence_of_actions_keeps_the_numbers_true(happenings):
    made = product(10)

    for (action, by_order), quantity in happenings:
        before = _numbers(made)
        wanted = _wanted(before, action, by_order, quantity)
        try:
            _perform(made, action, by_order, quantity)
        except (StockTooLow, TooManyUnits):
            assert wanted is None
            assert _numbers(made) == before
        else:
            assert _numbers(made) == wanted

    _assert_the_log_replays(stock_of(made))
    _let_orders_go(made)


Numbers = tuple[int, int, int]


def _numbers(made: Product) -> Numbers:
    stock = stock_of(made)
    assert stock.total == stock.available + stock.allocated
    return stock.available, stock.allocated, stock.held


def _wanted(before: Numbers, action: Action | str, by_order: bool, quantity: int) -> Numbers | None:
    """Say what the documents make of it; None if it does not fit."""
    available, allocated, held = before
    for_orders = allocated - held
    if action == Action.INCREMENT and available + allocated + quantity <= UNITS_MAX:
        return available + quantity, allocated, held
    if action == Action.DECREMENT and quantity <= available:
        return available - quantity, allocated, held
    if action == Action.ALLOCATE and quantity <= available:
        return available - quantity, allocated + quantity, held if by_order else held + quantity
    if action == Action.DEALLOCATE and by_order and quantity <= for_orders:
        return available + quantity, allocated - quantity, held
    if action == Action.DEALLOCATE and not by_order and quantity <= held:
        return available + quantity, allocated - quantity, held - quantity
    if action == SHIP and quantity <= for_orders:
        return available, allocated - quantity, held
    return None


def _perform(made: Product, action: Action | str, by_order: bool, quantity: int) -> None:
    if not by_order:
        inventory.record(made.pk, Action(action), quantity, actor=MERCHANT)
        return
    lines, order_id = {made.pk: quantity}, uuid7()
    with transaction.atomic():
        if action == Action.ALLOCATE:
            inventory.allocate(lines, order_id=order_id, actor=MERCHANT)
        elif action == Action.DEALLOCATE:
            inventory.deallocate(lines, order_id=order_id, actor=MERCHANT, reason="cancelled")
        else:
            entry_ids = {made.pk: (uuid7(), uuid7())}
            inventory.ship(lines, order_id=order_id, actor=MERCHANT, entry_ids=entry_ids)


def _assert_the_log_replays(stock: Stock) -> None:
    available = allocated = held = 0
    entries = list(stock.log.order_by("sequence"))
    for entry in entries:
        effect = EFFECTS[Action(entry.action), entry.by_order]
        available += effect.available * entry.quantity
        allocated += effect.allocated * entry.quantity
        held += effect.held * entry.quantity
        assert (entry.available, entry.allocated, entry.held) == (available, allocated, held)
        assert available >= 0
        assert 0 <= held <= allocated
    assert (stock.available, stock.allocated, stock.held) == (available, allocated, held)
    assert [entry.sequence for entry in entries] == list(range(1, stock.sequence + 1))


def _let_orders_go(made: Product) -> None:
    """No order stands behind these units, and the books are compared in the end."""
    if for_orders := stock_of(made).for_orders:
        _perform(made, Action.DEALLOCATE, True, for_orders)
