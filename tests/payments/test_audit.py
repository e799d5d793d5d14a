"""Whether the money of orders is what their payments add up to."""

import pytest
from django.db import connection

from orders.models import AuditResult
from payments.services import audit
from tests.factories import paid_order, product, unpaid_order

pytestmark = pytest.mark.django_db(transaction=True)


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.tampers_with_the_books
@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE payments_payment SET captured_amount = 1", "its payments say 1, 0, 0 and 0"),
        ("UPDATE orders_order SET refunded = 5", "0 pending and 5 refunded; its payments"),
        (
            "UPDATE orders_order SET captured = 0, pending = 5",
            "0 captured, 0 authorized, 5 pending",
        ),
        ("UPDATE orders_order SET captured = 0, authorized = 7", "0 captured, 7 authorized"),
        ("UPDATE payments_payment SET late = true", "its payments say 0, 0, 0 and 0"),
    ],
)
def test_an_order_whose_money_is_not_that_of_its_payments_is_named(statement, says):
    order = paid_order({product(9): 2})
    _execute(statement)

    [difference] = audit.run()

    assert str(difference).startswith(f"#{order.number}: the order says")
    assert says in str(difference)
    assert AuditResult.objects.get().found == [str(difference)]


@pytest.mark.tampers_with_the_books
@pytest.mark.parametrize(
    ("counter", "says"),
    [("attempts_open", "1 attempts and 0"), ("refunds_open", "0 attempts and 1")],
)
def test_an_order_that_waits_for_what_nobody_began_is_named(counter, says):
    paid_order({product(9): 2})
    _execute(f"UPDATE orders_order SET {counter} = 1")

    [difference] = audit.run()

    assert difference.what == (f"the order says {says} refunds open; its payments say 0 and 0")


@pytest.mark.tampers_with_the_books
@pytest.mark.parametrize(
    ("tampering", "says"),
    [
        ("payment = 'unpaid'", "complete and unpaid, and its money says paid"),
        ("payment = 'refunded'", "complete and refunded, and its money says paid"),
        ("status = 'processing'", "processing and paid, and its money says paid"),
        ("status = 'cancelled'", "cancelled and paid, and its money says paid"),
        ("fully_paid_at = NULL", "complete and paid, and its money says paid, not since when"),
    ],
)
def test_an_order_whose_states_are_not_those_of_its_money_is_named(tampering, says):
    order = paid_order({product(9): 2})
    _execute(f"UPDATE orders_order SET {tampering}")

    [difference] = audit.run()

    assert str(difference).startswith(f"#{order.number}: the order is {says} (order")


@pytest.mark.tampers_with_the_books
def test_an_order_that_nobody_paid_and_that_says_paid_is_named():
    """It could be shipped, and what it takes from the shelf would be in no log."""
    order = unpaid_order({product(9): 2})
    _execute("UPDATE orders_order SET payment = 'paid'")

    [difference] = audit.run()

    assert difference.what == "the order is incomplete and paid, and its money says unpaid"
    assert difference.row_id == order.pk


def test_parts_of_a_payment_and_what_is_given_back_agree():
    paid_order({product(9): 2})

    assert audit.run() == []
