"""The words of people for what moves stock."""

import pytest

from backoffice import movements
from inventory.models import EFFECTS, Action, StockTransaction
from inventory.services import booking, deliveries
from inventory.services import stock as inventory
from orders.services import shipments
from payments.services import payments
from tests.factories import MERCHANT, delivery, paid_order, product

pytestmark = pytest.mark.django_db


def test_there_is_a_word_for_whatever_the_law_of_stock_knows():
    entries = [
        StockTransaction(action=action, by_order=by_order, quantity=1)
        for action, by_order in EFFECTS
    ]

    assert {movements.word(entry) for entry in entries} <= set(movements.WORDS)


def test_t26_the_log_tells_in_words_what_happened():
    shirt = product(50)
    for action in (Action.DECREMENT, Action.ALLOCATE, Action.DEALLOCATE):
        inventory.record(shirt.pk, action, 2, actor=MERCHANT)
    inventory.count(shirt.pk, 45, actor=MERCHANT)
    received = delivery({shirt: 3})
    deliveries.scan(received.pk, shirt.sku, 3)
    booking.book(received.pk, actor=MERCHANT)
    shipments.ship(paid_order({shirt: 2}).pk, actor=MERCHANT)
    payments.cancel(paid_order({shirt: 1}).pk, actor=MERCHANT, reason="Torn", restock=False)

    log = list(StockTransaction.objects.order_by("pk"))

    assert [movements.word(entry) for entry in log] == [
        *("Added", "Removed", "Set aside", "Released", "Adjusted", "Received"),
        *("Allocated", "Taken to ship", "Shipped", "Allocated", "Released", "Removed"),
    ]
    # Whatever goes by a word is found by it, and by no other.
    for wanted in movements.WORDS:
        found = set(StockTransaction.objects.filter(movements.called(wanted)))
        assert found == {entry for entry in log if movements.word(entry) == wanted}
