"""That the comparison after each test is blind to nothing that the audit sees."""

import pytest
from django.db import connection

from payments.services import audit
from tests import books
from tests.factories import paid_order, product
from tests.tampering import tampering

pytestmark = pytest.mark.django_db


def test_all_that_the_audit_asks_is_asked_after_a_test():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_functiondef('tests.books_differ'::regproc)")
        [function] = cursor.fetchone()

    asked = books.queries()

    assert len(asked) == function.count("IF EXISTS") > 10
    assert [query for query in asked if query not in function] == []


@pytest.mark.tampers_with_the_books
@pytest.mark.parametrize(
    "spoiled",
    [
        "inventory_stock SET available = available + 1",
        "inventory_stocktransaction SET sequence = sequence + 7",
        "orders_order SET total = total + 1",
        "payments_payment SET captured_amount = 1, amount = 1",
    ],
)
def test_what_a_test_spoils_fails_it_in_the_words_of_the_audit(spoiled):
    paid_order({product(stock=9): 2})
    assert books.differences() == []

    with tampering(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE {spoiled}")

    assert books.differences() == [str(difference) for difference in audit.differences()] != []
