"""Orders in the admin as a list of work: its tabs, its search, and several orders at once."""

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from backoffice import attention, base
from backoffice.orders import filters
from backoffice.orders import list as order_lists
from backoffice.orders.case import OrderCase
from orders.models import Order
from orders.services import orders
from payments.models import Attempt
from payments.services import payments
from payments.services.payments import PaymentRequest
from tests.backoffice.pages import hidden, send, text
from tests.factories import (
    MERCHANT,
    cancelled_order,
    holding_order,
    paid_order,
    product,
    shipped_order,
    stock_of,
    undo_ship,
    unpaid_order,
)
from tests.roles import as_owner

pytestmark = pytest.mark.django_db

ORDERS = "/admin/orders/order/"


def found(client: Client, **query: str) -> list[int]:
    return [order.number for order in client.get(ORDERS, query).context["cl"].result_list]


# The tabs.


def test_the_list_opens_on_what_is_to_be_shipped_the_longest_waiting_first(admin_client):
    shirt = product(9)
    first, second = unpaid_order({shirt: 1}), unpaid_order({shirt: 1})
    for order in (second, first):
        payments.pay(order.pk, PaymentRequest("manual"), actor=MERCHANT)
    shipped_order({shirt: 1})
    unpaid_order({shirt: 1})

    assert found(admin_client) == [second.number, first.number]


def test_each_list_has_its_orders_and_no_others(admin_client):
    shirt = product(9)
    made = {
        "to-ship": paid_order({shirt: 1}),
        "unpaid": unpaid_order({shirt: 1}),
        "shipped": shipped_order({shirt: 1}),
        "cancelled": cancelled_order({shirt: 1}),
    }

    for name, order in made.items():
        assert found(admin_client, list=name) == [order.number], name
    assert found(admin_client, list="all") == sorted(
        (order.number for order in made.values()), reverse=True
    )
    assert found(admin_client, list="attention") == []
    assert found(admin_client, list="nonsense") == [made["to-ship"].number]


def test_what_was_refunded_as_a_whole_is_not_to_be_shipped(admin_client):
    order = paid_order({product(9): 1})
    payments.refund(order.pk, order.payments.get().pk, None, actor=MERCHANT)

    assert found(admin_client) == []


def test_an_order_whose_ship_was_undone_is_to_be_shipped_again(admin_client):
    order = shipped_order({product(9): 1})
    undo_ship(order, reason="mistake")

    assert found(admin_client) == [order.number]
    assert found(admin_client, list="shipped") == []


def test_t22_money_that_is_left_be_is_still_on_a_list_of_its_own(admin_client):
    shirt = product(9)
    held, returned = paid_order({shirt: 1}), paid_order({shirt: 1})
    payments.cancel(held.pk, actor=MERCHANT)
    payments.cancel(returned.pk, actor=MERCHANT)
    payments.refund(returned.pk, returned.payments.get().pk, None, actor=MERCHANT)
    attention.leave_be(held.pk, actor=MERCHANT, reason="the fee")

    assert found(admin_client, list="money-held") == [held.number]
    assert found(admin_client, list="attention") == []


def test_t22_what_holds_units_is_listed_the_longest_first_and_nothing_that_holds_none(admin_client):
    shirt = product(9)
    second, first = unpaid_order({shirt: 1}), holding_order({shirt: 1})
    payments.pay(second.pk, PaymentRequest("manual"), actor=MERCHANT)
    paid_order({product(managed=False): 1})

    assert found(admin_client, list="holding") == [first.number, second.number]


def test_t22_each_reason_has_a_list_of_its_own(admin_client):
    order = paid_order({product(9): 1})
    payments.cancel(order.pk, actor=MERCHANT)

    for why, slug in attention.SLUGS.items():
        listed = [order.number] if why == attention.HELD else []
        assert found(admin_client, list="attention", why=slug) == listed, slug
    refused = admin_client.get(ORDERS, {"list": "attention", "why": "nonsense"}, follow=True)
    assert "This list has no such filter." in text(refused)


def test_t22_a_tab_says_how_much_work_is_on_its_list(admin_client, monkeypatch):
    shirt = product(9)
    for _ in range(2):
        paid_order({shirt: 1})
    unpaid_order({shirt: 1})

    def counts() -> dict[str, str]:
        return {tab.title: tab.how_many for tab in admin_client.get(ORDERS).context["lists"]}

    assert counts() == {
        "To ship": "2",
        "Needs attention": "0",
        "Unpaid": "1",
        "Holding units": "2",
        "Money held": "0",
        "Shipped": "",
        "Cancelled": "",
        "All": "",
    }
    monkeypatch.setattr(order_lists, "COUNTED", 2)
    monkeypatch.setattr(base, "COUNTED", 2)
    assert counts()["To ship"] == "2+"


def test_an_empty_list_says_what_that_means(admin_client):
    assert "Every paid order is on its way." in text(admin_client.get(ORDERS))


def test_a_list_costs_the_same_for_one_order_and_for_a_page_of_them(
    admin_client, django_assert_num_queries
):
    shirt = product(200)
    queries = [{"list": name} for name in order_lists.LISTS] + [{"q": "ada@example.com"}]

    def make() -> None:
        paid_order({shirt: 1})
        unpaid_order({shirt: 1})
        shipped_order({shirt: 1})
        cancelled_order({shirt: 1})
        held = paid_order({shirt: 1})
        payments.cancel(held.pk, actor=MERCHANT)

    def lengths() -> set[int]:
        found_by = []
        for query in queries:
            further = 2 if "q" in query else 1 if query == {"list": "attention"} else 0
            with django_assert_num_queries(6 + further):
                found_by.append(len(found(admin_client, **query)))
        return set(found_by)

    make()
    assert max(lengths()) < 6

    for _ in range(29):
        make()
    with as_owner(), connection.cursor() as cursor:
        # Autovacuum sees none of these rows, and may have told the planner that there are none.
        cursor.execute("ANALYZE")

    assert lengths() == {25}


_OTHER_INDEXES = """
SELECT indexname FROM pg_indexes
WHERE tablename = 'orders_order' AND indexname <> %s
    AND indexname NOT IN (SELECT conname FROM pg_constraint)
"""


@pytest.mark.parametrize(
    ("listed", "index"),
    [
        ("to_ship", "orders_to_ship"),
        ("unpaid", "orders_unpaid"),
        ("shipped", "orders_shipped"),
        ("cancelled", "orders_cancelled"),
        ("holding_units", "orders_holding_units"),
        ("cancelled_with_money", "orders_cancelled_with_money"),
        ("partly_paid", "orders_partly_paid"),
    ],
)
def test_a_list_can_be_found_by_an_index_of_its_own(listed, index):
    with as_owner(), connection.cursor() as cursor:
        # Of an empty table another one that would do may seem as cheap.
        cursor.execute(_OTHER_INDEXES, [index])
        for (other,) in cursor.fetchall():
            cursor.execute(f'DROP INDEX "{other}"')
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
        plan = getattr(Order.objects.all(), listed)().explain()

    assert f"using {index} " in plan or f"on {index} " in plan, plan


def test_what_is_held_of_cancelled_orders_is_listed_in_the_order_of_its_index(admin_client):
    with CaptureQueriesContext(connection) as captured:
        admin_client.get(f"{ORDERS}?list=attention&why=held")

    [listed] = [each["sql"] for each in captured.captured_queries if "LIMIT 26" in each["sql"]]
    assert 'ORDER BY "orders_order"."cancelled_at" ASC' in listed


# Several at once.


def chosen(client: Client, action: str, *selected: Order) -> str:
    """Choose orders on the list, and follow to the page about them."""
    data = {"action": action, "_selected_action": [order.pk for order in selected]}
    response = client.post(f"{ORDERS}?list=all", data)
    assert response.status_code == 302, text(response)
    return str(response["Location"])


@pytest.mark.parametrize("selected", ["nothing", "\x00", ""])
def test_what_is_no_order_is_not_chosen(admin_client, selected):
    data = {"action": "ship_selected", "_selected_action": [selected]}

    assert admin_client.post(ORDERS, data).status_code == 400


@pytest.mark.parametrize("name", ["status__exact", *filters.NAMES, "list", "why", "q", "p"])
def test_a_filter_that_no_text_can_be_is_no_server_error(admin_client, name):
    assert admin_client.get(ORDERS, {name: "\x00"}).status_code < 500


def test_several_are_shipped_and_each_has_its_result(admin_client):
    shirt = product(20)
    here, unpaid, gone = paid_order({shirt: 2}), unpaid_order({shirt: 1}), shipped_order({shirt: 1})
    page = chosen(admin_client, "ship_selected", here, unpaid, gone)

    asked = text(admin_client.get(page))
    before = stock_of(shirt).total
    results = send(admin_client, page).context["results"]

    assert "refused: Only a paid order can be shipped." in asked
    assert before == 19
    assert [(each.order.number, each.refusal) for each in results] == [
        (here.number, ""),
        (unpaid.number, "Only a paid order can be shipped."),
        (gone.number, "The order is shipped already."),
    ]
    assert stock_of(shirt).total == 17
    assert here.events.get().actor_name == "admin"


def test_several_sent_twice_are_shipped_once(admin_client):
    shirt = product(20)
    order = paid_order({shirt: 2})
    page = chosen(admin_client, "ship_selected", order)
    send(admin_client, page)

    again = send(admin_client, page)

    assert "The order is shipped already." in text(again)
    assert stock_of(shirt).total == 18


def test_t11_several_are_shipped_once_however_often_the_button_is_pressed(admin_client):
    shirt = product(20)
    order, back = paid_order({shirt: 2}), paid_order({shirt: 1})
    page = chosen(admin_client, "ship_selected", order, back)
    sent = hidden(admin_client, page)
    admin_client.post(page, sent)
    undo_ship(back, reason="still here")

    again = admin_client.post(page, sent).context["results"]

    assert [each.refusal for each in again] == ["", OrderCase.recorded_already]
    assert stock_of(shirt).total == 18


def test_t11_of_several_that_one_is_not_shipped_which_is_not_as_it_was_seen(admin_client):
    shirt = product(20, price=1000)
    same, moved = paid_order({shirt: 1}), paid_order({shirt: 2})
    page = chosen(admin_client, "ship_selected", same, moved)
    seen = hidden(admin_client, page)
    payments.refund(moved.pk, moved.payments.get().pk, 500, actor=MERCHANT)

    results = admin_client.post(page, seen).context["results"]
    unseen = admin_client.post(page).context["results"]

    assert [each.refusal == "" for each in results] == [True, False]
    assert "Refunded: was $0.00, and is $5.00 now." in results[1].refusal
    assert "It changed since this form was opened." in unseen[1].refusal
    assert stock_of(shirt).total == 19


def test_shipping_several_is_for_those_who_may():
    order = paid_order({product(20): 2})
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_order"))
    client = Client()
    client.force_login(user)

    page = f"{ORDERS}ship-selected/?order={order.pk}"

    assert client.get(page).status_code == client.post(page).status_code == 403
    assert "ship_selected" not in text(client.get(ORDERS))
    order.refresh_from_db()
    assert not order.is_shipped


def test_a_pick_list_sums_up_each_sku_and_slips_name_no_price(admin_client):
    address = {"first_name": "Ada", "last_name": "Buyer", "line_1": "12 Square"}
    buyer = orders.Buyer("Ada Buyer", "ada@example.com", {}, address)
    shirt = product(20, sku="SHIRT", price=1250, barcode="4006381333931")
    mug = product(20, sku="MUG", price=800)
    download = product(sku="SONG", managed=False, commodity_type="digital")
    first = unpaid_order({shirt: 2, download: 1}, buyer=buyer)
    second = unpaid_order({shirt: 1, mug: 1}, buyer=buyer)
    for order in (first, second):
        payments.pay(order.pk, PaymentRequest("manual"), actor=MERCHANT)
    unpaid = unpaid_order({mug: 5})

    response = admin_client.get(chosen(admin_client, "print_selected", first, second, unpaid))

    assert [(pick.sku, pick.units, pick.numbers) for pick in response.context["picks"]] == [
        ("MUG", 1, [second.number]),
        ("SHIRT", 3, [first.number, second.number]),
    ]
    shown = text(response)
    assert "12 Square" in shown
    assert "4006381333931" in shown
    assert f"Left out: #{unpaid.number}. Only a paid order can be shipped." in shown
    assert "SONG" not in shown
    assert "12.50" not in shown
    assert shown.count("Not to be sent. Only a paid order can be shipped.") == 1


@pytest.mark.parametrize("shipped", [True, False])
def test_t25_an_order_in_any_state_prints_its_slip(admin_client, shipped):
    shirt = product(20, sku="SHIRT")
    order = shipped_order({shirt: 1}) if shipped else unpaid_order({shirt: 1})

    offered = text(admin_client.get(f"{ORDERS}{order.pk}/change/"))
    printed = text(admin_client.get(f"{ORDERS}print/", {"order": order.pk}))

    assert f"{ORDERS}print/?order={order.pk}" in offered
    assert f"Order {order}" in printed
    assert "SHIRT" in printed
    assert ("Not to be sent." in printed) is not shipped


def test_pages_about_several_cost_the_same_for_one_and_for_many(
    admin_client, django_assert_num_queries
):
    shirt = product(100)
    few, many = [paid_order({shirt: 1})], [paid_order({shirt: 1}) for _ in range(9)]

    for page, queries in (("print", 6), ("ship-selected", 5)):
        for selected in (few, many):
            ids = [order.pk for order in selected]
            with django_assert_num_queries(queries):
                admin_client.get(f"{ORDERS}{page}/", {"order": ids})


def test_pages_about_none_or_nonsense_say_so(admin_client):
    assert "No order was chosen." in text(admin_client.get(f"{ORDERS}ship-selected/"))
    assert "nothing to pick" in text(admin_client.get(f"{ORDERS}print/", {"order": "nonsense"}))
    assert not Attempt.objects.exists()
