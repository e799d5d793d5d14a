"""Orders that are shipped in parts, and shipments that are undone."""

import importlib
import re
import uuid
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from api import clock
from api.errors import Moved
from api.ids import uuid7
from inventory.errors import AwayThen, CountedSinceShipped, FoundByCount, StockTooLow
from inventory.models import StockTransaction
from inventory.services import products
from inventory.services import stock as inventory
from inventory.services.stock import Whereabouts
from orders.errors import (
    NoUnits,
    OrderItemNotFound,
    OrderNotCancellable,
    OrderNotShippable,
    ShipmentNotFound,
    ShipNotUndoable,
    UnitsNotLeft,
)
from orders.models import Order, OrderItem, Return, ReturnLine, Shipment, ShipmentLine
from orders.services import cancelling, returns, shipments, units
from orders.services.returns import TakenBack
from payments.services import payments
from tests.factories import MERCHANT, paid_order, product, shipped_order, unpaid_order
from tests.orders.statements import statements_of
from tests.stock import entries, numbers
from tests.tampering import tampering

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("impatient")]


def ship(order: Order, *units: int, **more: Any) -> Shipment:
    """Ship so many of each line, in the lines' order; without numbers, all that is left."""
    lines = order.items.order_by("position")
    picked = {line.pk: n for line, n in zip(lines, units, strict=False) if n} if units else None
    return shipments.ship(order.pk, actor=MERCHANT, units=picked, **more)


def undo(order: Order, shipment: Shipment, whereabouts: Whereabouts | None = None) -> None:
    shipments.undo(order.pk, shipment.pk, actor=MERCHANT, reason="mistake", whereabouts=whereabouts)


def lines(order: Order) -> list[tuple[bool, int, int, int]]:
    """Whether each line is stocked, and its units: allocated, shipped, left."""
    found = order.items.order_by("position")
    return [(line.stocked, line.allocated, line.shipped, line.left) for line in found]


# In parts.


def test_f31_a_part_is_shipped_and_what_is_left_stays_allocated():
    shirt, cap = product(stock=10), product(stock=5)
    order = paid_order({shirt: 4, cap: 2})

    first = ship(order, 3, carrier="DHL", tracking="0034")

    order.refresh_from_db()
    assert (order.shipping, order.is_partly_shipped, order.shipped_at) == (
        "unfulfilled",
        True,
        None,
    )
    assert (numbers(shirt), numbers(cap)) == ((7, 6, 1), (5, 3, 2))
    assert entries(shirt)[-2:] == [("deallocate", 3, "shipped"), ("decrement", 3, "shipped")]
    assert lines(order) == [(True, 1, 3, 1), (True, 2, 0, 2)]
    assert list(Order.objects.to_ship()) == list(Order.objects.holding_units()) == [order]
    assert (first.number, first.carrier, first.tracking) == (1, "DHL", "0034")

    second = ship(order)

    order.refresh_from_db()
    assert (order.shipping, order.is_partly_shipped) == ("fulfilled", False)
    assert second.number == 2
    assert (numbers(shirt), numbers(cap)) == ((6, 6, 0), (3, 3, 0))
    assert not Order.objects.to_ship().exists()
    assert not Order.objects.holding_units().exists()
    told = order.events.order_by("pk").values_list("text", flat=True)
    assert list(told) == [f"Shipment 1: DHL 0034: 3 of {shirt.sku}", "Shipment 2"]


def test_two_lines_of_one_product_leave_by_one_entry_of_the_log():
    shirt = product(stock=10)
    order = paid_order({shirt: 4})
    [line] = order.items.all()
    OrderItem.objects.filter(pk=line.pk).update(quantity=3, allocated=3)
    OrderItem.objects.create(
        order=order,
        position=1,
        product=shirt,
        cart_item_id=uuid.uuid4(),
        name=line.name,
        sku=line.sku,
        quantity=1,
        unit_price=line.unit_price,
        stocked=True,
        allocated=1,
    )

    shipment = ship(order)
    undo(order, shipment)

    assert [action for action, *_ in entries(shirt)] == [
        *("allocate", "deallocate", "decrement"),
        *("increment", "allocate"),
    ]
    assert lines(order) == [(True, 3, 0, 3), (True, 1, 0, 1)]


@pytest.mark.parametrize(
    ("units", "refusal"),
    [
        ({0: 5}, UnitsNotLeft),
        ({0: 1, 1: 3}, UnitsNotLeft),
        ({0: 0}, NoUnits),
        ({0: -1}, NoUnits),
        ({}, NoUnits),
        ({2: 1}, OrderItemNotFound),
    ],
)
def test_nothing_is_shipped_but_what_is_left_of_the_order(units, refusal):
    shirt, cap = product(stock=10), product(stock=5)
    order = paid_order({shirt: 4, cap: 2})
    ids = [*order.items.order_by("position").values_list("pk", flat=True), uuid.uuid4()]
    before = (numbers(shirt), numbers(cap))

    with pytest.raises(refusal):
        shipments.ship(order.pk, actor=MERCHANT, units={ids[line]: n for line, n in units.items()})

    assert (numbers(shirt), numbers(cap)) == before
    assert not Shipment.objects.exists()


def test_what_is_refused_names_the_product_and_what_is_left():
    order = paid_order({product(stock=10, sku="SHIRT"): 4})
    ship(order, 3)

    with pytest.raises(UnitsNotLeft, match=r"Of SHIRT, 1 of 4 is left; 2 asked for\."):
        ship(order, 2)


def test_a_pick_that_is_refused_names_the_line():
    one_left = OrderItem(name="Mug", sku="MUG", quantity=3, shipped=2)
    none_left = OrderItem(name="Cap", sku="CAP", quantity=3, shipped=2, cancelled=1)
    unknown = uuid7()

    with pytest.raises(UnitsNotLeft) as too_many:
        units.pick([one_left, none_left], {one_left.pk: 2})
    with pytest.raises(OrderItemNotFound) as not_found:
        units.pick([one_left], {unknown: 1})

    assert too_many.value.meta == {"id": str(one_left.pk), "sku": "MUG", "left": 1}
    assert not_found.value.meta == {"id": str(unknown)}
    assert units.pick([one_left, none_left], None) == [(one_left, 1)]
    assert units.pick([one_left, none_left], {one_left.pk: 1}) == [(one_left, 1)]


def test_the_lines_of_an_order_are_its_own_and_in_their_order():
    order = paid_order({product(stock=10): 1, product(stock=10): 2, product(stock=10): 3})
    paid_order({product(stock=10): 4})

    assert [line.quantity for line in units.lines_of(order)] == [1, 2, 3]


def test_what_has_no_stock_is_shipped_in_parts_without_it():
    download = product(managed=False)
    order = paid_order({download: 5})

    ship(order, 2)
    order.refresh_from_db()
    partly = order.is_partly_shipped
    ship(order)

    order.refresh_from_db()
    assert (partly, order.is_shipped) == (True, True)
    assert lines(order) == [(False, 0, 5, 0)]
    assert not StockTransaction.objects.exists()


def test_an_order_of_which_a_part_is_shipped_is_not_cancelled_as_a_whole():
    order = paid_order({product(stock=10): 4})
    ship(order, 3)

    with pytest.raises(OrderNotCancellable, match="Cancel the rest instead"):
        payments.cancel(order.pk, actor=MERCHANT)


def test_nothing_more_is_shipped_once_all_money_went_back():
    order = paid_order({product(stock=10): 4})
    ship(order, 3)
    payments.refund(order.pk, order.payments.get().pk, None, actor=MERCHANT)

    with pytest.raises(OrderNotShippable, match="Only a paid order"):
        ship(order)


def test_a_shipment_is_on_record_with_who_sent_it():
    order = paid_order({product(stock=10): 4})

    made = shipments.ship(order.pk, actor=MERCHANT, carrier="DHL", tracking="JJ1")

    shipment = Shipment.objects.get(pk=made.pk)
    assert (shipment.order_id, shipment.number, shipment.actor) == (order.pk, 1, MERCHANT)
    assert (shipment.carrier, shipment.tracking) == ("DHL", "JJ1")


def test_who_ships_what_was_left_a_moment_ago_is_told():
    order = paid_order({product(stock=10): 4})
    seen = order.standing()
    ship(order, 1)

    with pytest.raises(Moved):
        shipments.ship(order.pk, actor=MERCHANT, seen=seen)


# Undoing one of several.


def test_f31_one_of_two_shipments_is_undone_and_the_other_stays_gone():
    shirt = product(stock=10)
    order = paid_order({shirt: 5})
    first = ship(order, 2)
    ship(order)

    undo(order, first)

    order.refresh_from_db()
    assert (order.shipping, order.shipped_at, order.is_partly_shipped) == (
        "unfulfilled",
        None,
        True,
    )
    assert numbers(shirt) == (7, 5, 2)
    assert lines(order) == [(True, 2, 3, 2)]
    with pytest.raises(ShipNotUndoable, match="Shipment 1 was undone already"):
        undo(order, first)
    ship(order)
    assert list(order.shipments.order_by("number").values_list("number", flat=True)) == [1, 2, 3]


def test_a_shipment_of_another_order_is_not_undone():
    order, other = shipped_order({product(stock=10): 1}), paid_order({product(stock=10): 1})

    with pytest.raises(ShipmentNotFound):
        undo(other, order.shipments.get())


def test_only_so_much_is_undone_that_what_was_taken_back_had_been_shipped():
    shirt = product(stock=10, sku="SHIRT")
    order = paid_order({shirt: 5})
    first, second = ship(order, 2), ship(order)
    [line] = order.items.all()
    returns.take_back(order.pk, [TakenBack(line.pk, 3, "discarded")], actor=MERCHANT)

    undo(order, first)

    with pytest.raises(ShipNotUndoable, match="Of SHIRT, 3 of the 3 shipped were taken back"):
        undo(order, second)
    assert numbers(shirt) == (7, 5, 2)


def test_a_line_without_a_sku_is_told_by_its_name():
    order = paid_order({product(managed=False): 2})
    order.items.update(product=None, name="Gift wrapping", sku="")
    shipment = ship(order)
    [line] = order.items.all()
    returns.take_back(order.pk, [TakenBack(line.pk, 1, "missing")], actor=MERCHANT)

    with pytest.raises(ShipNotUndoable, match="Of Gift wrapping, 1 of the 2 shipped"):
        undo(order, shipment)
    order.refresh_from_db()
    assert order.standing()["units of Gift wrapping"] == "1 returned, 2 shipped"


def test_each_shipment_knows_its_own_moment_and_asks_for_the_counts_since_then():
    shirt = product(stock=10, sku="SHIRT")
    order = paid_order({shirt: 5})
    first = ship(order, 2)
    inventory.count(shirt.pk, 8, actor=MERCHANT)
    second = ship(order)

    assert [sku for sku, _ in shipments.counted_since(first)] == ["SHIRT"]
    assert shipments.counted_since(second) == []
    with pytest.raises(CountedSinceShipped):
        undo(order, first)
    undo(order, second)
    undo(order, first, Whereabouts.CAME_BACK)

    assert numbers(shirt) == (10, 5, 5)


def test_whoever_undoes_a_shipment_knows_of_the_counts_since_and_of_the_order_or_is_told():
    shirt = product(stock=10, sku="SHIRT")
    order = paid_order({shirt: 5})
    shipment = ship(order, 2)
    came_back = partial(
        shipments.undo,
        order.pk,
        shipment.pk,
        actor=MERCHANT,
        reason="mistake",
        whereabouts=Whereabouts.CAME_BACK,
    )

    def standing() -> Any:
        return shipments.standing_to_undo(Order.objects.get(), shipment)

    uncounted = standing()
    assert uncounted == Order.objects.get().standing()
    inventory.count(shirt.pk, 8, actor=MERCHANT)
    counted = standing()
    assert counted.keys() - uncounted.keys() == {"count of SHIRT"}
    with pytest.raises(Moved):
        came_back(seen=uncounted)
    ship(order, 1)
    with pytest.raises(Moved):
        came_back(seen=counted)
    came_back(seen=standing())

    assert numbers(shirt) == (9, 5, 4)


def test_whoever_undoes_a_shipment_of_what_has_no_stock_knows_of_the_order_or_is_told():
    order = paid_order({product(managed=False): 5})
    shipment = ship(order, 2)
    seen = shipments.standing_to_undo(Order.objects.get(), shipment)
    ship(order, 1)

    with pytest.raises(Moved):
        shipments.undo(order.pk, shipment.pk, actor=MERCHANT, reason="mistake", seen=seen)


def test_units_that_a_count_found_after_the_first_shipment_do_not_come_back_once_more():
    shirt = product(stock=10, sku="SHIRT")
    order = paid_order({shirt: 5})
    first = ship(order, 2)
    inventory.count(shirt.pk, 10, actor=MERCHANT)
    ship(order)
    [line] = order.items.all()

    with pytest.raises(FoundByCount):
        returns.take_back(order.pk, [TakenBack(line.pk, 1, "restocked")], actor=MERCHANT)

    undo(order, first, Whereabouts.ON_THE_SHELF)
    returns.take_back(order.pk, [TakenBack(line.pk, 1, "restocked")], actor=MERCHANT)
    assert numbers(shirt) == (8, 6, 2)


def test_a_part_of_which_nobody_knows_any_more_what_was_counted_with_it_counts_as_away():
    """It left with one of two shipments, and one of them before the moment of the count."""
    shirt = product(stock=10)
    order = paid_order({shirt: 5})
    ship(order, 2)
    moment = clock.now()
    ship(order)
    [line] = order.items.all()
    returns.take_back(order.pk, [TakenBack(line.pk, 1, "restocked")], actor=MERCHANT)

    with pytest.raises(AwayThen):
        inventory.count(shirt.pk, 3, counted_at=moment, actor=MERCHANT)


def test_what_an_order_wrote_off_before_a_count_was_not_away_then():
    shirt = product(stock=10)
    order = paid_order({shirt: 3})
    [line] = order.items.all()
    write_off(order, {line.pk: 1})
    moment = clock.now()
    ship(order)
    returns.take_back(order.pk, [TakenBack(line.pk, 1, "restocked")], actor=MERCHANT)

    assert inventory.count(shirt.pk, 8, counted_at=moment, actor=MERCHANT) == -1

    assert numbers(shirt) == (7, 7, 0)


# What became of the product meanwhile.


def test_t19_a_line_that_went_off_stock_is_shipped_and_returned_without_it_later():
    shirt, cap = product(stock=4), product(stock=10, sku="CAP")
    order = paid_order({cap: 3, shirt: 2})
    shipment = ship(order)
    products.stop_managing(cap.pk, actor=MERCHANT)
    undo(order, shipment)
    products.start_managing(cap.pk, 6, actor=MERCHANT)

    again = ship(order)
    undo(order, again)

    assert shipments.not_coming_back(again) == []
    assert lines(order)[0] == (False, 0, 0, 3)
    assert numbers(cap) == (6, 6, 0)


def test_t19_what_left_without_stock_comes_back_without_it_though_the_product_is_managed_since():
    download, shirt = product(managed=False), product(stock=10)
    for order in (paid_order({download: 5}), paid_order({download: 5, shirt: 1})):
        shipment = ship(order)
        products.start_managing(download.pk, 3, actor=MERCHANT)

        assert shipments.not_coming_back(shipment) == []
        undo(order, shipment)

        assert lines(order)[0] == (False, 0, 0, 5)
        assert numbers(download) == (3, 3, 0)
        products.stop_managing(download.pk, actor=MERCHANT)


@pytest.mark.parametrize(
    ("anew", "whereabouts", "expected"),
    [
        (6, Whereabouts.ON_THE_SHELF, (6, 3, 3)),
        (2, Whereabouts.ON_THE_SHELF, StockTooLow),
        # They may be among those with which it began anew.
        (6, Whereabouts.CAME_BACK, FoundByCount),
        (0, Whereabouts.CAME_BACK, (3, 0, 3)),
        (6, None, CountedSinceShipped),
    ],
)
def test_t19_managing_a_product_anew_is_a_count_for_who_undoes_a_shipment(
    anew, whereabouts, expected
):
    cap = product(stock=10, sku="CAP")
    order = paid_order({cap: 3})
    shipment = ship(order)
    products.stop_managing(cap.pk, actor=MERCHANT)
    products.start_managing(cap.pk, anew, actor=MERCHANT)

    if isinstance(expected, tuple):
        undo(order, shipment, whereabouts)
        assert numbers(cap) == expected
        return
    with pytest.raises(expected):
        undo(order, shipment, whereabouts)
    assert numbers(cap) == (anew, anew, 0)


# Statements.


def cancel(order: Order, units: dict[uuid.UUID, int]) -> None:
    cancelling.cancel_items(order.pk, units, actor=MERCHANT, reason="late")


def write_off(order: Order, units: dict[uuid.UUID, int]) -> None:
    cancelling.cancel_items(order.pk, units, actor=MERCHANT, reason="late", restock=False)


def take_back(order: Order, units: dict[uuid.UUID, int]) -> None:
    back = [TakenBack(line, number, "inspection") for line, number in units.items()]
    returns.take_back(order.pk, back, actor=MERCHANT)


def ship_these(order: Order, units: dict[uuid.UUID, int]) -> None:
    shipments.ship(order.pk, actor=MERCHANT, units=units)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("act", [ship_these, cancel, write_off, take_back])
def test_a_part_takes_as_many_statements_for_twenty_lines_as_for_one(act):
    """The order's lock comes first, and the stock's as late as can be."""

    def statements(number: int) -> list[str]:
        order = paid_order({product(stock=10): 3 for _ in range(number)})
        ship(order, *[1] * number)
        return statements_of(
            partial(act, order, dict.fromkeys([line.pk for line in order.items.all()], 1))
        )

    few, many = statements(1), statements(20)

    assert few == many
    assert few[1] == "lock orders_order"
    assert not [each for each in few[few.index("lock inventory_stock") :] if "orders_" in each]
    assert [each for each in few if each.startswith("lock")] == [
        "lock orders_order",
        "lock inventory_stock",
    ]


# What there was before shipments.


def _as_before() -> None:
    """Make of today's orders what they were when an order was shipped as a whole."""
    with tampering(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE orders_orderitem DROP CONSTRAINT order_item_stocked_adds_up")
        cursor.execute("ALTER TABLE orders_order DROP CONSTRAINT order_shipped_by_shipments")
        for table in ("shipmentline", "shipment", "returnline", "return"):
            cursor.execute(f"DELETE FROM orders_{table}")
        cursor.execute("UPDATE orders_order SET shipments_made = 0, shipments_undone = 0")
        cursor.execute(
            "UPDATE orders_orderitem SET cancelled = 0, stocked = false, "
            "shipped = CASE WHEN stocked THEN shipped ELSE 0 END"
        )


def _rows() -> list[object]:
    items = OrderItem.objects.order_by("pk")
    return [
        *items.values_list("stocked", "allocated", "shipped", "cancelled", "returned"),
        *Order.objects.order_by("pk").values_list("shipments_made", "shipments_undone"),
        *Shipment.objects.order_by("order").values_list("order", "number", "actor_name"),
        *ShipmentLine.objects.order_by("item").values_list("item", "quantity", "entry_id"),
        *Return.objects.order_by("order").values_list("order", "number", "reason", "actor_name"),
        *ReturnLine.objects.order_by("item").values_list("item", "quantity", "disposition"),
    ]


def test_the_orders_that_there_were_get_their_shipments_and_returns():
    shirt, download = product(stock=20), product(managed=False)
    gone = shipped_order({shirt: 3, download: 2})
    line = gone.items.get(product=shirt)
    returns.take_back(
        gone.pk, [TakenBack(line.pk, 1, "restocked")], actor=MERCHANT, reason="did not fit"
    )
    payments.cancel(paid_order({shirt: 1, download: 1}).pk, actor=MERCHANT)
    payments.cancel(unpaid_order({shirt: 1}).pk, actor=MERCHANT)
    paid_order({shirt: 2, download: 1})
    unpaid_order({shirt: 2})
    expected = _rows()

    _as_before()
    [name] = [name for name in _migrations() if re.fullmatch(r"\d+_shipments", name)]
    with connection.cursor() as cursor:
        cursor.execute(importlib.import_module(f"orders.migrations.{name}").SO_FAR)

    assert _rows() == expected


def _migrations() -> list[str]:
    applied = MigrationRecorder(connection).applied_migrations()
    return [name for app, name in applied if app == "orders"]
