"""The log of all stock in the admin: looked at, searched, and never changed."""

import re
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from api import clock, store
from api.ids import first_id_of
from inventory.models import Action, StockTransaction
from inventory.services import stock as inventory
from tests.backoffice.pages import client_with, text
from tests.factories import MERCHANT, paid_order, product

pytestmark = pytest.mark.django_db

LOG = "/admin/inventory/stocktransaction/"


@pytest.mark.parametrize("page", ["add/", "{}/delete/"])
def test_nobody_can_add_to_the_log_or_delete_from_it(admin_client, page):
    product(5)
    entry = StockTransaction.objects.get()

    assert admin_client.get(LOG + page.format(entry.pk)).status_code == 403
    assert admin_client.post(LOG + page.format(entry.pk), {"post": "yes"}).status_code == 403
    assert StockTransaction.objects.count() == 1


def test_nobody_can_change_the_log(admin_client):
    product(5)
    entry = StockTransaction.objects.get()
    page = f"{LOG}{entry.pk}/change/"

    assert admin_client.post(page, {"quantity": 99}).status_code == 403
    shown = text(admin_client.get(page))
    assert 'name="quantity"' not in shown
    assert 'name="_save"' not in shown
    bulk = {"action": "delete_selected", "_selected_action": [str(entry.pk)], "post": "yes"}
    admin_client.post(LOG, bulk)
    assert StockTransaction.objects.get().quantity == 5


def test_an_entry_is_told_in_the_words_of_people(admin_client):
    made = product(5)
    inventory.record(made.pk, Action.ALLOCATE, 3, actor=MERCHANT)
    entry = StockTransaction.objects.get(sequence=2)

    page = text(admin_client.get(f"{LOG}{entry.pk}/change/"))

    assert "Set aside" in page
    assert "Entry 2" in page
    assert "allocate 3" not in page.lower()


def test_the_whole_log_can_be_searched_by_sku_and_filtered(admin_client):
    shirt, mug = product(5, sku="SHIRT"), product(5, sku="MUG", barcode="012345678905")
    inventory.record(shirt.pk, Action.DECREMENT, 1, actor=MERCHANT)

    def found(**query: str) -> list[tuple[str, str]]:
        rows = admin_client.get(LOG, query).context["cl"].result_list
        return [(row.stock.product.sku, row.action) for row in rows]

    assert found() == [("SHIRT", "decrement"), ("MUG", "increment"), ("SHIRT", "increment")]
    for code in (mug.sku, "mug", "0012345678905"):
        assert found(q=code) == [("MUG", "increment")]
    assert found(q="mu") == []
    assert found(movement="Removed") == [("SHIRT", "decrement")]
    assert found(movement="increment") == []
    assert len(found(since="1")) == 3


def test_t25_the_log_names_the_order_for_whoever_may_see_orders(admin_client):
    order = paid_order({product(5): 2})

    assert f'/admin/orders/order/{order.pk}/change/">{order}</a>' in text(admin_client.get(LOG))
    entry = StockTransaction.objects.get(action=Action.ALLOCATE)
    assert f">{order}</a>" in text(admin_client.get(f"{LOG}{entry.pk}/change/"))
    looking = client_with("view_stocktransaction")
    assert f">{order}<" not in (shown := text(looking.get(LOG)))
    assert "an order" in shown


def test_the_log_is_never_counted(admin_client, django_assert_num_queries):
    product(5)
    store.current()

    with django_assert_num_queries(3) as queries:
        admin_client.get(LOG)

    assert not any("COUNT(" in query["sql"] for query in queries.captured_queries)


def test_the_last_days_are_looked_for_among_the_last_entries_alone(admin_client):
    product(5)

    with CaptureQueriesContext(connection) as captured:
        admin_client.get(LOG, {"since": "7"})

    [listed] = [each["sql"] for each in captured.captured_queries if "LIMIT 26" in each["sql"]]
    begin = clock.now() - timedelta(days=9)
    [bound] = re.findall(r'"inventory_stocktransaction"."id" >= \'([0-9a-f-]+)\'', listed)
    assert UUID(bound) > first_id_of(begin)
