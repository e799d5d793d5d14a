"""The feed of events in the admin: looked at, searched, and never changed."""

from datetime import timedelta
from typing import Any

import pytest

from api import clock, store
from api.ids import uuid7
from backoffice.events import words
from backoffice.events.subjects import about
from events.models import Event, Outbox
from events.services import sequencing
from orders.services import returns, shipments
from orders.services.returns import TakenBack
from payments.services import payments
from tests.backoffice.events.making import delivery, event, integration
from tests.backoffice.pages import client_with, text
from tests.drawn import picture
from tests.factories import MERCHANT, filled_cart, paid_order, product

pytestmark = pytest.mark.django_db

FEED = "/admin/events/event/"


def found(client: Any, **query: str) -> list[int]:
    return [row.position for row in client.get(FEED, query).context["cl"].result_list]


def test_the_feed_tells_newest_first_what_happened_and_leads_there(admin_client):
    shirt = product(9, name="Shirt, navy, M")
    order = paid_order({shirt: 2})
    event("order.paid", order.pk)
    event("stock.low", uuid7(), {"product_id": str(shirt.pk)})
    moved = {"action": "allocate", "quantity": 2, "order_id": str(order.pk), "reason": ""}
    event("stock-transaction.created", uuid7(), {"product_id": str(shirt.pk), **moved})
    event("cart.deleted", "gone")

    rows = admin_client.get(FEED).context["cl"].result_list
    shown = text(admin_client.get(FEED))

    assert [(row.told.words, row.told.name) for row in rows] == [
        ("Cart deleted", ""),
        ("Stock: allocated, 2", str(shirt)),
        ("Stock is low", str(shirt)),
        ("Order paid", f"Order {order}"),
    ]
    assert f'/admin/orders/order/{order.pk}/change/">Order {order}</a>' in shown
    assert f'/admin/inventory/product/{shirt.pk}/inventory/">' in shown


def test_what_really_happens_is_told_by_name(admin_client):
    shirt = product(9, name="Shirt, navy, M")
    order = paid_order({shirt: 2})
    shipments.ship(order.pk, actor=MERCHANT)
    returns.take_back(order.pk, [TakenBack(order.items.get().pk, 1, "restocked")], actor=MERCHANT)
    cart = filled_cart({shirt: 1})
    picture()
    store.change(name="Harbour Goods", actor=MERCHANT)
    payments.set_gateway("manual", enabled=False, actor=MERCHANT)
    sequencing.number_all()

    told: dict[str, set[str]] = {}
    for row in admin_client.get(FEED).context["cl"].result_list:
        told.setdefault(row.told.name, set()).add(row.told.words)

    assert told[f"Order {order}"] == {
        *("Order placed", "Order paid", "Order shipped"),
        *("Payment begun", "Shipment sent", "Return taken"),
    }
    assert told[str(shirt)] > {"Product added", "Stock: shipped, 2", "Stock: allocated, 2"}
    assert told[str(cart)] == {"Cart changed"}
    assert told["Manual"] == {"Gateway changed"}
    assert "Picture added" in told["shirt.png"]


def test_the_feed_is_filtered_by_type_and_by_what_it_is_about(admin_client):
    shirt, mug = product(9), product(9, sku="MUG", barcode="012345678905")
    order = paid_order({shirt: 2})
    [payment] = order.payments.all()
    for type_, subject in (
        ("order.paid", order.pk),
        ("transaction.updated", payment.pk),
        ("product.updated", mug.pk),
        ("order.paid", uuid7()),
        ("cart.updated", "c-1"),
    ):
        event(type_, subject)

    assert found(admin_client, type="order.paid") == [4, 1]
    assert found(admin_client, about=str(order.pk)) == [2, 1]
    for typed in (f"#{order.number}", str(order.number), str(order.pk)):
        assert found(admin_client, q=typed) == [2, 1]
    for typed in ("mug", "012345678905", str(mug.pk)):
        assert found(admin_client, q=typed) == [3]
    assert found(admin_client, q="c-1") == [5]
    assert found(admin_client, q="c") == []
    assert f"Order {order}" in text(admin_client.get(FEED, {"about": str(order.pk)}))


def test_an_orders_page_and_a_products_lead_to_their_events(admin_client):
    shirt = product(9)
    order = paid_order({shirt: 2})

    for page, subject in (
        (f"/admin/orders/order/{order.pk}/change/", order.pk),
        (f"/admin/inventory/product/{shirt.pk}/stock-history/", shirt.pk),
    ):
        assert f'href="{FEED}?about={subject}"' in text(admin_client.get(page))
    assert str(order.payments.get().pk) in about(str(order.pk))


def test_an_event_shows_its_payload_and_whom_it_was_told(admin_client):
    told = event("product.updated", uuid7(), {"name": "Blue <mug>"})
    on_its_way = delivery(integration(), told)

    page = text(admin_client.get(f"{FEED}{told.pk}/change/"))

    assert '"name": "Blue <mug>"' in page
    assert "Blue <mug>" not in admin_client.get(f"{FEED}{told.pk}/change/").content.decode()
    assert f'/admin/events/delivery/{on_its_way.pk}/change/">Accounts</a>: waiting' in page


def test_what_an_event_is_about_is_for_those_who_may_see_such_a_thing():
    order = paid_order({product(9): 2})
    event("order.paid", order.pk, {"customer": {"name": "Ada Buyer"}})
    looking = client_with("view_event", "view_product")

    listed, shown = looking.get(FEED), looking.get(f"{FEED}1/change/")

    for page in map(text, (listed, shown)):
        assert "Order paid" in page
        assert "Ada Buyer" not in page
        assert str(order.pk) not in page


@pytest.mark.parametrize("page", ["add/", "1/delete/"])
def test_nobody_writes_into_the_feed(admin_client, page):
    event("cart.updated", "c-1")

    assert admin_client.get(FEED + page).status_code == 403
    assert admin_client.post(f"{FEED}1/change/", {"type": "order.paid"}).status_code == 403
    assert Event.objects.get().type == "cart.updated"


def test_the_feed_is_never_counted_and_asks_once_for_all_orders(
    admin_client, django_assert_max_num_queries
):
    for _ in range(9):
        event("order.paid", paid_order({product(9): 2}).pk)
    admin_client.get(FEED)

    with django_assert_max_num_queries(6) as queries:
        admin_client.get(FEED)

    assert not any("COUNT(" in query["sql"] for query in queries.captured_queries)


def test_a_day_is_found_in_the_feed_by_halves(admin_client):
    today = clock.now()
    for days in (9, 9, 5, 5, 0):
        event("cart.updated", "c-1", numbered_at=today - timedelta(days=days))

    def on(days: int) -> list[int]:
        return found(admin_client, day=f"{today - timedelta(days=days):%Y-%m-%d}")

    assert on(9) == [2, 1]
    assert on(7) == [2, 1]
    assert on(5) == [4, 3, 2, 1]
    assert on(0) == [5, 4, 3, 2, 1]
    assert on(20) == []


def test_what_waits_to_be_told_is_said_where_it_has_waited_for_long(admin_client):
    assert "wait to be told" not in text(admin_client.get(FEED))

    product(9)
    sequencing.number_all()
    Outbox.objects.create(kind="order", subject="1", occurred_at=clock.now())
    assert "wait to be told" not in text(admin_client.get(FEED))

    Outbox.objects.create(kind="order", occurred_at=clock.now() - timedelta(hours=2))
    Outbox.objects.filter(subject="1").delete()
    assert "1 changes wait" not in (shown := text(admin_client.get(FEED)))
    assert "1 change waits to be told" in shown


def test_types_are_summed_up_in_few_words():
    assert words.summed_up(["order.paid", "order.created"]) == "Order placed, paid"
    assert words.summed_up(["cart.updated", "cart.deleted", "stock.out"]) == "Carts · Stock is out"
    assert words.summed_up(["thing.done"]) == words.words("thing.done") == "thing.done"
