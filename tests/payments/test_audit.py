"""Whether the money of orders is what their payments add up to."""

import pytest
from django.db import connection

from orders.models import AuditResult, Order
from payments.models import Payment
from payments.services import audit, payments
from payments.services.payments import PaymentRequest
from tests.factories import MERCHANT, paid_order, product, unpaid_order

pytestmark = pytest.mark.django_db(transaction=True)


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.tampers_with_the_books
@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (
            "UPDATE payments_payment SET amount = 1, captured_amount = 1",
            "its payments say 1, 0, 0 and 0",
        ),
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


# Payments and their attempts.


@pytest.fixture
def of_two_kinds() -> Order:
    """Of one order, a purchase with a refund, one on its way, and an authorization, captured."""
    order = unpaid_order({product(9): 2})
    bought = payments.pay(order.pk, PaymentRequest("test", amount=1500), actor=MERCHANT)
    kept = payments.pay(
        order.pk, PaymentRequest("test", Payment.Method.AUTHORIZE, amount=1000), actor=MERCHANT
    )
    payments.capture(order.pk, kept.pk, actor=MERCHANT)
    payments.refund(order.pk, bought.pk, amount=300, actor=MERCHANT)
    payments.begin_refund(order.pk, bought.pk, amount=200, actor=MERCHANT)
    return order


_BOUGHT = "complete purchase of 1500, says 1500 captured, 300 refunded and 200 on its way back"
_KEPT = "complete authorize of 1000, says 1000 captured, 0 refunded and 0 on its way back"


@pytest.mark.tampers_with_the_books
@pytest.mark.parametrize(
    ("tampering", "says"),
    [
        ("refunded_amount = 200 WHERE method = 'purchase'", "its attempts say 0, 300 and 200"),
        ("refunding_amount = 0 WHERE method = 'purchase'", "its attempts say 0, 300 and 200"),
        ("captured_amount = 900 WHERE method = 'authorize'", "its attempts say 1000, 0 and 0"),
        ("method = 'purchase' WHERE method = 'authorize'", "its attempts say 1000, 0 and 0"),
        ("method = 'authorize' WHERE method = 'purchase'", "its attempts say 0, 300 and 200"),
    ],
)
def test_a_payment_that_is_not_what_its_attempts_say_is_named(of_two_kinds, tampering, says):
    assert audit.money_differences() == []
    _execute(f"UPDATE payments_payment SET {tampering}")

    found = [str(each) for each in audit.money_differences() if each.row == "payment"]

    assert [each.startswith(f"#{of_two_kinds.number}: the payment, ") for each in found] == [True]
    assert says in found[0]


@pytest.mark.tampers_with_the_books
@pytest.mark.parametrize(
    ("tampering", "says"),
    [
        ("amount = 301 WHERE amount = 300", f"{_BOUGHT}; its attempts say 0, 301 and 200"),
        ("status = 'failed' WHERE amount = 300", f"{_BOUGHT}; its attempts say 0, 0 and 200"),
        ("status = 'failed' WHERE amount = 200", f"{_BOUGHT}; its attempts say 0, 300 and 0"),
        ("kind = 'capture' WHERE amount = 300", f"{_BOUGHT}; its attempts say 300, 0 and 200"),
        ("amount = 999 WHERE kind = 'capture'", f"{_KEPT}; its attempts say 999, 0 and 0"),
        ("status = 'failed' WHERE kind = 'capture'", f"{_KEPT}; its attempts say 0, 0 and 0"),
        (
            "kind = 'void', amount = 999 WHERE kind = 'capture'",
            f"{_KEPT}; its attempts say 0, 0 and 0, and that another amount was let go",
        ),
    ],
)
def test_attempts_that_do_not_lead_to_their_payment_are_named(of_two_kinds, tampering, says):
    _execute(f"UPDATE payments_attempt SET {tampering}")

    found = [each.what for each in audit.money_differences() if each.row == "payment"]

    assert found == [f"the payment, {says}"]


@pytest.mark.tampers_with_the_books
def test_an_authorization_that_stands_although_it_was_let_go_is_named():
    order = unpaid_order({product(9): 2})
    kept = payments.pay(order.pk, PaymentRequest("test", Payment.Method.AUTHORIZE), actor=MERCHANT)
    payments.void(order.pk, kept.pk, actor=MERCHANT)
    assert audit.money_differences() == []
    _execute("UPDATE payments_payment SET status = 'complete'")

    assert any(each.what.endswith("and that it was let go") for each in audit.money_differences())


@pytest.mark.tampers_with_the_books
def test_a_payment_of_an_order_that_changed_is_compared_by_the_incremental_audit(of_two_kinds):
    audit.compare()
    _execute("UPDATE payments_payment SET refunding_amount = 0 WHERE method = 'purchase'")

    result, found = audit.compare()

    assert (result.kind, [each.row for each in found]) == ("incremental", ["payment"])
