"""What is left of a paid order is cancelled, in parts or as a whole."""

import uuid

import pytest

from api.errors import Moved
from orders.errors import OrderNotCancellable, OrderNotFound, UnitsNotLeft
from orders.models import Order
from orders.services import cancelling, shipments
from payments.models import Payment
from payments.services import payments
from payments.services.payments import PaymentRequest
from tests.factories import MERCHANT, paid_order, product, shipped_order, unpaid_order
from tests.stock import entries, numbers

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("impatient")]


def ship(order: Order, units: int) -> None:
    line = order.items.order_by("position")[0]
    shipments.ship(order.pk, actor=MERCHANT, units={line.pk: units})


def cancel(order: Order, units: int | None, *, restock: bool = True) -> None:
    """Cancel so many of the order's first line, or all that is left."""
    line = order.items.order_by("position")[0]
    picked = None if units is None else {line.pk: units}
    cancelling.cancel_items(order.pk, picked, actor=MERCHANT, reason="too late", restock=restock)


def test_f31_cancelling_the_rest_releases_only_the_rest():
    shirt = product(stock=10)
    order = paid_order({shirt: 5})
    ship(order, 3)

    cancel(order, None)

    order.refresh_from_db()
    assert (order.status, order.payment, order.shipping) == ("complete", "paid", "fulfilled")
    assert (order.allocated_at, order.shipped_at is None) == (None, False)
    assert numbers(shirt) == (7, 7, 0)
    assert entries(shirt)[-1] == ("deallocate", 2, "items cancelled")
    line = order.items.get()
    assert (line.allocated, line.shipped, line.cancelled, line.left) == (0, 3, 2, 0)
    assert order.events.latest("pk").text == f"2 of {line.sku}: too late"
    assert not Order.objects.holding_units().exists()


def test_f31_what_is_cancelled_in_parts_is_each_time_released_once():
    """vendure#2608: a second partial cancel was impossible."""
    shirt = product(stock=10)
    order = paid_order({shirt: 5})

    cancel(order, 2)
    cancel(order, 1)
    ship(order, 1)
    with pytest.raises(UnitsNotLeft):
        cancel(order, 2)
    cancel(order, 1)

    assert numbers(shirt) == (9, 9, 0)
    order.refresh_from_db()
    assert order.is_shipped


def test_f31_a_shipment_that_is_undone_after_the_rest_was_cancelled_is_held_again():
    shirt = product(stock=10)
    order = paid_order({shirt: 5})
    ship(order, 3)
    cancel(order, None)

    [shipment] = order.shipments.all()
    shipments.undo(order.pk, shipment.pk, actor=MERCHANT, reason="mistake")

    assert numbers(shirt) == (10, 7, 3)
    with pytest.raises(OrderNotCancellable, match="Cancel it as a whole"):
        cancel(order, None)
    payments.cancel(order.pk, actor=MERCHANT, reason="too late")
    assert numbers(shirt) == (10, 10, 0)
    line = order.items.get()
    assert (line.shipped, line.cancelled) == (0, 5)


def test_an_order_of_which_nothing_was_shipped_is_cancelled_as_a_whole():
    order = paid_order({product(stock=10): 5})

    for units in (5, None):
        with pytest.raises(OrderNotCancellable, match="Cancel it as a whole"):
            cancel(order, units)


def test_only_a_paid_order_is_cancelled_in_parts():
    shirt = product(stock=20)
    authorized = unpaid_order({shirt: 2})
    payments.pay(authorized.pk, PaymentRequest("manual", Payment.Method.AUTHORIZE), actor=MERCHANT)
    cancelled = paid_order({shirt: 2})
    payments.cancel(cancelled.pk, actor=MERCHANT)
    before = numbers(shirt)

    for order in (unpaid_order({shirt: 2}), authorized, cancelled):
        with pytest.raises(OrderNotCancellable):
            cancel(order, 1)
    assert numbers(shirt) == before
    with pytest.raises(OrderNotCancellable, match="shipped already"):
        cancel(shipped_order({shirt: 2}), 1)
    with pytest.raises(OrderNotFound):
        cancelling.cancel_items(uuid.uuid4(), None, actor=MERCHANT, reason="x")


def test_what_is_left_is_cancelled_after_all_money_went_back():
    shirt = product(stock=10)
    order = paid_order({shirt: 5})
    ship(order, 3)
    payments.refund(order.pk, order.payments.get().pk, None, actor=MERCHANT)

    cancel(order, None)

    assert numbers(shirt) == (7, 7, 0)


@pytest.mark.parametrize("whole", [True, False])
def test_f30_what_is_damaged_is_cancelled_and_leaves_the_total(whole):
    shirt = product(stock=10)
    order = paid_order({shirt: 5})

    if whole:
        payments.cancel(order.pk, actor=MERCHANT, reason="a flood", restock=False)
    else:
        cancel(order, 4, restock=False)

    assert numbers(shirt) == ((5, 5, 0) if whole else (6, 5, 1))
    units, why = (
        (5, "order cancelled, written off: a flood")
        if whole
        else (
            4,
            "items cancelled, written off: too late",
        )
    )
    assert entries(shirt)[-2:] == [("deallocate", units, why), ("decrement", units, why)]
    told = "a flood" if whole else f"4 of {shirt.sku}, written off: too late"
    assert order.events.latest("pk").text == told


def test_what_is_cancelled_without_a_reason_is_told_without_one():
    order = paid_order({product(stock=10, sku="SHIRT"): 5})

    cancelling.cancel_items(order.pk, {order.items.get().pk: 2}, actor=MERCHANT, reason="")

    assert order.events.latest("pk").text == "2 of SHIRT"


def test_who_cancels_what_is_shipped_meanwhile_is_told():
    order = paid_order({product(stock=10): 5})
    seen, [line] = order.standing(), order.items.all()
    ship(order, 1)

    with pytest.raises(Moved):
        cancelling.cancel_items(
            order.pk, {line.pk: 1}, actor=MERCHANT, reason="too late", seen=seen
        )


def test_what_is_cancelled_of_what_has_no_stock_moves_none():
    order = paid_order({product(managed=False): 5})

    cancel(order, 4)

    line = order.items.get()
    assert (line.stocked, line.cancelled, line.left) == (False, 4, 1)
