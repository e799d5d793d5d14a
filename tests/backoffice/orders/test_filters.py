"""Orders in the admin by when, how much, in which state, of what and of whom."""

from datetime import UTC, datetime

import pytest

from api import clock, store
from inventory.services import currencies
from orders.models import Order
from orders.services.orders import Buyer
from tests.backoffice.orders.test_list import ORDERS, found
from tests.backoffice.pages import text
from tests.factories import MERCHANT, cancelled_order, paid_order, product, unpaid_order

pytestmark = pytest.mark.django_db


def placed(at: str) -> int:
    """Make an order at this moment, and return its number."""
    order = unpaid_order({product(9): 1})
    Order.objects.filter(pk=order.pk).update(created_at=datetime.fromisoformat(at))
    return order.number


def test_t23_orders_are_found_by_the_days_of_the_store(admin_client):
    store.change(time_zone="Asia/Tokyo", actor=MERCHANT)
    last_month, first, today = map(placed, ("2026-10-31T14Z", "2026-10-31T15Z", "2026-11-20T14Z"))
    placed("2026-11-20T15Z")

    def of(**asked: str) -> list[int]:
        with clock.replaced(lambda: datetime(2026, 11, 20, 14, 30, tzinfo=UTC)):
            return found(admin_client, **asked)

    assert of(placed="today") == of(since="2026-11-20", until="2026-11-20") == [today]
    assert of(placed="7-days") == [today]
    assert of(placed="yesterday") == []
    assert of(placed="this-month") == of(since="2026-11-01", until="2026-11-20") == [today, first]
    assert of(placed="last-month") == of(until="2026-10-31") == [last_month]
    assert of(list="unpaid", placed="last-month") == [last_month]
    assert of(list="to-ship", placed="last-month") == []


def test_t23_orders_are_found_by_their_total_in_one_currency(admin_client):
    cheap, dear = unpaid_order({product(9, price=999): 1}), unpaid_order({product(9): 2})

    assert found(admin_client, at_least="10") == [dear.number]
    assert found(admin_client, at_most="9.99") == [cheap.number]
    currencies.create(code="JPY", decimal_places=0, actor=MERCHANT)
    assert found(admin_client, at_least="10", currency="JPY") == []
    assert found(admin_client, currency="USD") == [dear.number, cheap.number]


def test_t23_orders_are_found_by_state_product_and_customer_together(admin_client):
    shirt = product(9, sku="SHIRT", barcode="4006381333931")
    zed = Buyer("Zed", "Zed@Example.com")
    unpaid = unpaid_order({shirt: 1}, buyer=zed)
    cancelled, paid = cancelled_order({shirt: 1}), paid_order({product(9): 1})

    assert found(admin_client, state="cancelled") == [cancelled.number]
    assert found(admin_client, state="to-ship") == found(admin_client, payment="paid")
    assert found(admin_client, payment="paid") == [paid.number]
    assert found(admin_client, sku="4006381333931") == [cancelled.number, unpaid.number]
    assert found(admin_client, sku="shirt", state="unpaid") == [unpaid.number]
    assert found(admin_client, email="ZED@example.COM", sku="SHIRT") == [unpaid.number]
    assert found(admin_client, q="zed", payment="paid", list="unpaid") == []
    assert found(admin_client, q=str(unpaid.number), payment="unpaid") == [unpaid.number]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"placed": "never"}, "There is no such choice."),
        ({"state": "\x00"}, "There is no such choice."),
        ({"since": "yesterday"}, "Enter a valid date."),
        ({"until": "9999-12-31"}, "Too far away."),
        ({"since": "2026-11-02", "until": "2026-11-01"}, "This day is before the first one."),
        ({"placed": "today", "since": "2026-11-02"}, "Choose this or days, not both."),
        ({"at_least": "much"}, "much"),
        ({"at_most": "9" * 30}, "This amount is too large."),
        ({"at_least": "2", "at_most": "1"}, "This is less than the smallest total."),
        ({"email": "a" * 300}, "Ensure this value has at most 254 characters"),
        ({"sku": "\x00"}, "Null characters are not allowed."),
    ],
)
def test_what_cannot_be_asked_for_is_said_at_its_field_and_nothing_is_shown(
    admin_client, asked, said
):
    unpaid_order({product(9): 1})

    shown = admin_client.get(ORDERS, asked)

    assert shown.status_code == 200
    assert list(shown.context["cl"].result_list) == []
    assert said in text(shown)


def test_tabs_keep_the_filter_and_count_nothing_of_it(admin_client):
    tabs = admin_client.get(ORDERS, {"payment": "paid", "list": "all"}).context["lists"]

    assert tabs[0].link == "?list=to-ship&payment=paid"
    assert {tab.how_many for tab in tabs} == {""}
