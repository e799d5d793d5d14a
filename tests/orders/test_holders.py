"""Why is it not available? `GET /v2/inventories/{product}/holders`, and the same for the pages."""

import uuid
from typing import Any

import pytest

from inventory.errors import StockNotFound
from inventory.models import Action, Product
from inventory.services import stock as inventory
from orders.services import holders, shipments
from payments.models import Payment
from payments.services import payments
from payments.services.payments import PaymentRequest
from tests.factories import MERCHANT, holding_order, paid_order, product, stock_of, unpaid_order
from tests.http import a_moment, administrator, an_id, assert_shape, shopper, statements

pytestmark = pytest.mark.django_db

HOLDERS: dict[str, Any] = {
    "id": an_id,
    "type": "stock-holders",
    "total": int,
    "available": int,
    "allocated": int,
    "orders": [
        {
            "id": an_id,
            "type": "order",
            "order_number": str,
            "units": int,
            "status": str,
            "payment": str,
            "shipping": str,
            "payment_in_flight": bool,
            "since": a_moment,
            "links": {"self": str},
        }
    ],
    "units_of_more_orders": int,
    "by_hand": [
        {
            "id": an_id,
            "type": "stock-transaction",
            "action": str,
            "units": int,
            "reason": str,
            "actor": {"type": str, "id": str, "name": str},
            "since": a_moment,
        }
    ],
    "units_set_aside_before": int,
}


def told(made: Product) -> Any:
    answer = administrator().get(f"/v2/inventories/{made.pk}/holders")
    assert answer.status_code == 200
    return answer.json()["data"]


def parts(shown: Any) -> int:
    named = sum(part["units"] for part in [*shown["orders"], *shown["by_hand"]])
    return int(named + shown["units_of_more_orders"] + shown["units_set_aside_before"])


def by_hand(made: Product, action: Action, quantity: int, reason: str = "") -> None:
    inventory.record(made.pk, action, quantity, actor=MERCHANT, reason=reason)


def test_orders_and_people_who_hold_units_are_named_and_sum_to_what_is_allocated():
    shirt = product(100)
    first, second = paid_order({shirt: 9}), holding_order({shirt: 4})
    by_hand(shirt, Action.ALLOCATE, 5, "photographs")
    by_hand(shirt, Action.DEALLOCATE, 2, "back from the studio")

    shown = told(shirt)

    assert_shape(shown, HOLDERS)
    assert shown.keys() == HOLDERS.keys()
    assert shown["orders"][0].keys() == HOLDERS["orders"][0].keys()
    assert shown["by_hand"][0].keys() == HOLDERS["by_hand"][0].keys()
    assert (shown["total"], shown["available"], shown["allocated"]) == (100, 84, 16)
    assert [(each["id"], each["units"]) for each in shown["orders"]] == [
        (str(first.pk), 9),
        (str(second.pk), 4),
    ]
    assert [(each["units"], each["reason"]) for each in shown["by_hand"]] == [
        (-2, "back from the studio"),
        (5, "photographs"),
    ]
    assert parts(shown) == 16


def test_an_order_is_told_with_its_state_and_its_address():
    shirt = product(100)
    order = paid_order({shirt: 9})

    [shown] = told(shirt)["orders"]

    assert shown["order_number"] == str(order.number)
    assert (shown["status"], shown["payment"], shown["shipping"]) == (
        "complete",
        "paid",
        "unfulfilled",
    )
    assert shown["payment_in_flight"] is False
    assert shown["links"]["self"].endswith(f"/v2/orders/{order.pk}")
    assert administrator().get(f"/v2/orders/{order.pk}").status_code == 200


def test_a_payment_in_flight_is_told():
    shirt = product(100)
    order = unpaid_order({shirt: 2})
    payments.pay(order.pk, PaymentRequest("test", token="unknown"), actor=MERCHANT)
    assert Payment.objects.get().is_pending

    [shown] = told(shirt)["orders"]

    assert (shown["id"], shown["payment_in_flight"]) == (str(order.pk), True)


def test_two_lines_of_one_order_are_one_holder():
    shirt, mug = product(100), product(100)
    order = paid_order({shirt: 2, mug: 3})

    assert [(each["id"], each["units"]) for each in told(mug)["orders"]] == [(str(order.pk), 3)]


def test_what_is_shipped_or_cancelled_holds_nothing():
    shirt = product(100)
    shipments.ship(paid_order({shirt: 2}).pk, actor=MERCHANT)
    payments.cancel(paid_order({shirt: 3}).pk, actor=MERCHANT)
    unpaid_order({shirt: 4})

    shown = told(shirt)

    assert (shown["orders"], shown["by_hand"], shown["allocated"]) == ([], [], 0)


def test_what_was_set_aside_and_freed_again_is_told_no_longer():
    shirt = product(100)
    by_hand(shirt, Action.ALLOCATE, 5, "long ago")
    by_hand(shirt, Action.DEALLOCATE, 5, "done")
    by_hand(shirt, Action.INCREMENT, 1)
    by_hand(shirt, Action.ALLOCATE, 2, "now")

    assert [each["reason"] for each in told(shirt)["by_hand"]] == ["now"]


def test_the_rest_is_summed_up_where_there_are_too_many():
    shirt = product(100)
    for units in (1, 2, 3):
        holding_order({shirt: units})
        by_hand(shirt, Action.ALLOCATE, units)

    found = holders.of_product(shirt.pk, limit=2)

    assert [holder.units for holder in found.orders] == [1, 2]
    assert [entry.set_aside for entry in found.by_hand] == [3, 2]
    assert (found.units_of_more_orders, found.units_set_aside_before) == (3, 1)


def test_stock_and_orders_are_read_in_one_statement():
    """Or an order that came between the two would make the sum wrong."""
    shirt = product(100)
    paid_order({shirt: 9})

    assert statements(lambda: holders.stock_and_orders(shirt.pk, 10)) == 1


def test_it_costs_the_same_however_many_hold():
    shirt = product(100)
    back_office = administrator()
    path = f"/v2/inventories/{shirt.pk}/holders"

    def fill() -> int:
        for _ in range(3):
            holding_order({shirt: 1})
            by_hand(shirt, Action.ALLOCATE, 1)
        return statements(lambda: back_office.get(path))

    back_office.get(path)
    assert [fill(), fill()] == [3, 3]


def test_it_is_for_administrators_and_for_managed_stock():
    shirt, gift = product(1), product(managed=False)
    back_office = administrator()

    assert shopper().get(f"/v2/inventories/{shirt.pk}/holders").status_code == 403
    for unknown in (gift.pk, uuid.uuid4()):
        answer = back_office.get(f"/v2/inventories/{unknown}/holders")
        assert answer.status_code == 404
        assert answer.json()["errors"][0]["code"] == "stock_not_found"
    with pytest.raises(StockNotFound):
        holders.of_product(gift.pk, limit=1)


def test_stock_that_nobody_holds_has_no_holders():
    shown = told(product(3))

    assert (shown["orders"], shown["by_hand"]) == ([], [])
    assert parts(shown) == stock_of(Product.objects.get()).allocated == 0


def test_orders_are_told_in_the_order_in_which_they_took_their_units():
    shirt = product(10)
    first, second = (unpaid_order({shirt: quantity}) for quantity in (1, 2))
    for order in (second, first):
        payments.pay(order.pk, PaymentRequest("manual"), actor=MERCHANT)

    stock, units = holders.stock_and_orders(shirt.pk, 9)

    assert (stock, list(units.items())) == (stock_of(shirt), [(second.pk, 2), (first.pk, 1)])
