"""The audit finds where orders, shipments, returns and log say different things."""

import pytest
from django.db import connection

from orders.services import audit, returns, shipments
from orders.services.returns import TakenBack
from tests.factories import MERCHANT, paid_order, product

pytestmark = [pytest.mark.django_db, pytest.mark.tampers_with_the_books]


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (
            "UPDATE orders_orderitem SET shipped = 2, allocated = 3",
            [
                "order #{} says 2 shipped and 1 returned; shipments and returns say 3 and 1",
                "orders hold 3 units, the stock says 2",
            ],
        ),
        (
            "UPDATE orders_returnline SET quantity = 2",
            ["order #{} says 3 shipped and 1 returned; shipments and returns say 3 and 2"],
        ),
        (
            "UPDATE orders_shipmentline SET quantity = 4",
            [
                "a shipment says 4 units, the log says decrement 3",
                "order #{} says 3 shipped and 1 returned; shipments and returns say 4 and 1",
            ],
        ),
        (
            "UPDATE orders_shipmentline SET entry_id = gen_random_uuid()",
            ["a shipment says 3 units, the log says nothing"],
        ),
        (
            "UPDATE orders_order SET shipping = 'fulfilled', shipped_at = now()",
            [
                "the order says complete, fulfilled, 0 of 1 shipments undone; its lines say 3 "
                "shipped and 2 left, and there are 0 of 1"
            ],
        ),
        (
            "UPDATE orders_order SET shipments_made = 2",
            [
                "the order says complete, unfulfilled, 0 of 2 shipments undone; its lines say 3 "
                "shipped and 2 left, and there are 0 of 1"
            ],
        ),
        (
            "UPDATE orders_order SET total = total + 1",
            ["the order comes to 6251, its lines to 6250"],
        ),
    ],
)
def test_what_does_not_agree_is_named(tamper, found):
    order = paid_order({product(stock=10): 5})
    [line] = order.items.all()
    shipments.ship(order.pk, actor=MERCHANT, units={line.pk: 3})
    returns.take_back(order.pk, [TakenBack(line.pk, 1, "restocked")], actor=MERCHANT)
    assert audit.differences() == []
    with connection.cursor() as cursor:
        cursor.execute(tamper)

    differences = audit.differences()

    assert sorted(each.what for each in differences) == [
        words.format(order.number) for words in found
    ]


def test_the_audit_takes_as_many_queries_for_many_orders(django_assert_num_queries):
    for _ in range(3):
        shipments.ship(paid_order({product(stock=10): 1}).pk, actor=MERCHANT)

    with django_assert_num_queries(7):
        audit.differences()
