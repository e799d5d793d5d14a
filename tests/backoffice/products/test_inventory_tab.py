"""The Inventory tab: live numbers, counts, undo, and the way to it from a scanner."""

import re
from datetime import UTC, date, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from api import clock, store
from api.actors import Actor
from backoffice import dates
from inventory.models import Action, Product, StockCount, StockTransaction
from inventory.services import booking, deliveries, products
from inventory.services import stock as inventory
from inventory.services.sheets import processing
from orders.services import shipments
from tests.backoffice.pages import client_with, send
from tests.factories import MERCHANT, delivery, holding_order, paid_order, product, stock_of
from tests.http import statements

pytestmark = pytest.mark.django_db

PRODUCTS = "/admin/inventory/product/"
# Session, person and product; the stock with its orders; the last count; the latest movements, and
# whether a file of counts or a delivery made the last one; what is expected, and which deliveries
# made the latest.
COST_OF_AN_EMPTY_TAB = 10


@pytest.fixture
def owner() -> Client:
    return _signed_in(User.objects.create_superuser("owner"))


def _signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def tab(made: Product, page: str = "") -> str:
    return f"{PRODUCTS}{made.pk}/inventory/{page}"


def text(response: Any) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", response.content.decode())))


def numbers(made: Product) -> tuple[int, int, int, int]:
    stock = stock_of(made)
    return stock.total, stock.available, stock.allocated, stock.held


def last_entry(made: Product) -> StockTransaction:
    return StockTransaction.objects.filter(stock__product=made).latest("sequence")


def sent(form: Any, **fields: Any) -> dict[str, Any]:
    """Return what a browser sends of the card, filled in like this."""
    names = ("once", "seen", "confirmed", "counted_at", "quantity", "reason")
    untouched = {name: form[name].value() for name in names}
    filled = {name: value for name, value in untouched.items() if value not in (None, "", False)}
    return {**filled, **fields}


# Live.


def test_what_is_shown_already_is_not_sent_again(owner):
    shirt = product(10)
    shown = owner.get(tab(shirt)).context["shown"]

    unchanged = owner.get(tab(shirt, "live/"), {"shown": shown})
    paid_order({shirt: 4})
    changed = owner.get(tab(shirt, "live/"), {"shown": shown})

    assert (unchanged.status_code, unchanged.content) == (204, b"")
    assert "Total 10 = Available 6 + Allocated 4 (orders 4, set aside 0)" in text(changed)
    assert "payment started" in text(changed)
    assert b"<form" not in changed.content


def test_the_live_numbers_are_for_those_who_may_see_products():
    shirt = product(10)

    assert client_with().get(tab(shirt, "live/")).status_code == 403
    assert Client().get(tab(shirt, "live/")).status_code == 302


def test_a_product_that_was_archived_meanwhile_has_no_live_numbers(owner):
    shirt = product(10)
    products.archive(shirt.pk, actor=MERCHANT)

    assert owner.get(tab(shirt, "live/")).status_code == 404
    assert owner.get(tab(shirt, "then/")).status_code == 404


@pytest.mark.parametrize("part", ["", "live/"])
def test_the_tab_costs_the_same_however_many_hold_and_have_moved(owner, part):
    store.current()
    shirt = product(100)
    empty = statements(lambda: owner.get(tab(shirt, part)))

    def fill() -> None:
        for _ in range(6):
            holding_order({shirt: 1})
            inventory.record(shirt.pk, Action.ALLOCATE, 1, actor=MERCHANT)

    fill()
    costs = [statements(lambda: owner.get(tab(shirt, part)))]
    fill()
    costs.append(statements(lambda: owner.get(tab(shirt, part))))

    # The orders, their payments, their names in the log, and what was set aside.
    assert (empty, costs) == (COST_OF_AN_EMPTY_TAB, [COST_OF_AN_EMPTY_TAB + 4] * 2)


def test_the_card_opens_with_the_operation_that_was_asked_for(owner):
    shirt = product(10)

    def chosen(**query: str) -> list[str]:
        page = owner.get(tab(shirt), query)
        return [each.action for each in page.context["operations"] if each.chosen]

    assert chosen() == ["increment"]
    assert chosen(do="count") == ["count"]
    assert chosen(do="<script>") == ["increment"]


# Who may see what.


def test_who_may_not_see_orders_or_the_log_learns_only_how_many():
    shirt = product(10)
    order = paid_order({shirt: 4})
    grace = Actor("user", "9", "Grace")
    inventory.record(shirt.pk, Action.ALLOCATE, 1, actor=grace, reason="for Ada")

    page = text(client_with("view_product").get(tab(shirt)))

    assert "An order 4" in page
    assert "Set aside by hand 1" in page
    for hidden in (str(order), "for Ada", "Grace", "Latest movements", "History"):
        assert hidden not in page


def test_undo_is_offered_to_those_who_may_move_stock():
    shirt = product(10)
    client = client_with("view_product", "view_stocktransaction")

    assert "Undo" not in text(client.get(tab(shirt)))
    undo = {"action": "undo", "sequence": 1}
    assert client.post(tab(shirt), undo).status_code == 403
    assert client.post(tab(shirt), {"action": "count", "quantity": 1}).status_code == 403
    assert numbers(shirt) == (10, 10, 0, 0)


# Undo.


def test_the_last_movement_by_hand_is_undone(owner):
    shirt = product(10)
    inventory.record(shirt.pk, Action.DECREMENT, 4, actor=MERCHANT, reason="wrong shelf")
    page = owner.get(tab(shirt)).content.decode()
    assert page.count('form="undo"') == 1
    assert 'name="sequence" value="2"' in page

    answer = owner.post(tab(shirt), {"action": "undo", "sequence": 2}, follow=True)

    assert "Undone: removed 4 units." in text(answer)
    assert numbers(shirt) == (10, 10, 0, 0)
    entry = last_entry(shirt)
    assert (entry.action, entry.reason) == ("increment", "undo: wrong shelf")
    assert entry.actor_name == "owner"


def test_what_an_order_moved_offers_no_undo(owner):
    shirt = product(10)
    holding_order({shirt: 4})

    assert "Undo" not in text(owner.get(tab(shirt)))


def test_what_a_file_of_counts_moved_offers_no_undo(owner):
    shirt = product(10, sku="A")
    file, _ = processing.upload("a.csv", b"sku,change\nA,5\n", actor=MERCHANT)
    processing.take_a_batch(file.pk)
    processing.apply(file.pk, actor=MERCHANT)
    processing.take_a_batch(file.pk)

    assert "Undo" not in text(owner.get(tab(shirt)))
    answer = owner.post(tab(shirt), {"action": "undo", "sequence": 2}, follow=True)
    assert "A file of counts wrote this entry" in text(answer)
    assert numbers(shirt) == (15, 15, 0, 0)


def test_what_is_expected_stands_beside_the_numbers_and_leads_to_the_deliveries(owner):
    shirt = product(4)
    soon = delivery({shirt: 12}, number="D-7", expected_on=date(2026, 12, 1))
    delivery({shirt: 20}, number="D-8")
    deliveries.scan(soon.pk, shirt.sku, 2)

    answer = owner.get(tab(shirt))

    told = (
        f"Expected: 30 (10 {dates.said(date(2026, 12, 1))} by D-7 , 20 by D-8 ), "
        "not available before it is booked."
    )
    assert told in text(answer)
    assert f"/admin/inventory/delivery/{soon.pk}/goods/" in answer.content.decode()
    assert "Total 4 = Available 4" in text(answer)
    looks_only = client_with("view_product")
    assert "Expected" not in text(looks_only.get(tab(shirt)))


def test_what_a_delivery_brought_leads_to_it_and_is_undone_there(owner):
    shirt = product(4)
    made = delivery({shirt: 2})
    deliveries.scan(made.pk, shirt.sku)
    booking.book(made.pk, actor=MERCHANT)

    for page in (tab(shirt), f"{PRODUCTS}{shirt.pk}/stock-history/"):
        shown = owner.get(page).content.decode()
        assert f'/admin/inventory/delivery/{made.pk}/goods/">D-1001</a>' in shown
        assert 'form="undo"' not in shown
        assert "Delivery D-1001" in shown


def test_a_movement_that_is_no_longer_the_last_is_not_undone(owner):
    shirt = product(10)
    holding_order({shirt: 4})

    answer = owner.post(tab(shirt), {"action": "undo", "sequence": 1}, follow=True)

    assert "Only the log's last entry can be undone" in text(answer)
    assert numbers(shirt) == (10, 6, 4, 0)


@pytest.mark.parametrize("sequence", ["", "x", "-1", "9" * 30])
def test_an_entry_that_cannot_be_is_refused(owner, sequence):
    answer = owner.post(tab(product(1)), {"action": "undo", "sequence": sequence})

    assert answer.status_code == 400


# Counting.


def test_a_count_corrects_the_total_and_the_log_says_so(owner):
    shirt = product(50)
    form = owner.get(tab(shirt)).context["form"]

    answer = owner.post(
        tab(shirt), sent(form, action="count", quantity=47, reason="shelf 4"), follow=True
    )

    assert "Counted 47 units. Adjusted: 3 units fewer." in text(answer)
    assert numbers(shirt) == (47, 47, 0, 0)
    assert last_entry(shirt).reason == "count of 47: shelf 4"
    assert last_entry(shirt).actor_name == "owner"


def test_a_count_that_agrees_says_that_nothing_was_written(owner):
    shirt = product(1)

    answer = send(owner, tab(shirt), {"action": "count", "quantity": 1}, follow=True)

    assert "Counted 1 unit, as the log says: nothing to correct." in text(answer)
    assert stock_of(shirt).sequence == 1


def test_a_count_of_an_earlier_moment_than_another_one_says_so(owner):
    shirt = product(50)
    earlier = clock.now()
    inventory.count(shirt.pk, 47, actor=MERCHANT)
    written = f"{earlier:%Y-%m-%dT%H:%M:%S.%f}"

    answer = send(owner, tab(shirt), {"action": "count", "quantity": 47, "counted_at": written})

    assert "It was counted later, at" in text(answer)
    assert numbers(shirt) == (47, 47, 0, 0)


@pytest.mark.parametrize(
    ("counted", "said"),
    [
        (50, "as the log said"),
        (48, "2 fewer than the log said"),
        (51, "1 more than the log said"),
    ],
)
def test_t02_the_tab_says_when_who_counted_last_and_what_was_found(owner, counted, said):
    shirt = product(50)
    never = text(owner.get(tab(shirt)))
    send(owner, tab(shirt), {"action": "count", "quantity": counted})

    page = text(owner.get(tab(shirt)))

    at = StockCount.objects.get().counted_at
    assert "Never counted." in never
    assert f"Last counted {dates.said(at)} by owner, {counted} found, {said}." in page


def test_an_entry_that_was_counted_since_is_not_undone_on_the_tab(owner):
    shirt = product(50)
    inventory.record(shirt.pk, Action.INCREMENT, 3, actor=MERCHANT)
    inventory.count(shirt.pk, 53, actor=MERCHANT)

    answer = owner.post(tab(shirt), {"action": "undo", "sequence": 2}, follow=True)

    assert "It was counted later, at" in text(answer)
    assert numbers(shirt) == (53, 53, 0, 0)


def test_nothing_may_be_on_the_shelf(owner):
    shirt = product(5)

    send(owner, tab(shirt), {"action": "count", "quantity": 0})

    assert numbers(shirt) == (0, 0, 0, 0)


def test_f37_a_count_begun_before_a_sale_says_so_first_and_is_confirmed(owner):
    shirt = product(50)
    form = owner.get(tab(shirt)).context["form"]
    order = paid_order({shirt: 3})
    shipments.ship(order.pk, actor=MERCHANT)

    asked = owner.post(tab(shirt), sent(form, action="count", quantity=50))

    assert "it was 50 = 50 available + 0 allocated, and is 47 = 47 available + 0" in text(asked)
    assert "Count all the same" in text(asked)
    assert numbers(shirt) == (47, 47, 0, 0)

    again = asked.context["form"]
    owner.post(tab(shirt), sent(again, action="count"))

    assert numbers(shirt) == (50, 50, 0, 0)
    assert (last_entry(shirt).action, last_entry(shirt).quantity) == ("increment", 3)


def test_a_confirmed_count_is_of_the_moment_at_which_it_was_sent_first(owner):
    """However busy the product is: what is sold while somebody reads the warning is no surprise."""
    shirt = product(50)
    form = owner.get(tab(shirt)).context["form"]
    inventory.record(shirt.pk, Action.INCREMENT, 1, actor=MERCHANT)
    asked = owner.post(tab(shirt), sent(form, action="count", quantity=49))
    inventory.record(shirt.pk, Action.DECREMENT, 10, actor=MERCHANT)

    owner.post(tab(shirt), sent(asked.context["form"], action="count"))

    assert numbers(shirt) == (39, 39, 0, 0)


def test_a_count_of_a_past_moment_is_measured_from_that_moment(owner):
    with clock.replaced(lambda: timezone.now() - timedelta(days=2)):
        shirt = product(50)
    inventory.record(shirt.pk, Action.INCREMENT, 30, actor=MERCHANT)
    yesterday = f"{timezone.localtime() - timedelta(days=1):%Y-%m-%dT%H:%M}"

    then = owner.get(tab(shirt, "then/"), {"counted_at": yesterday})
    send(owner, tab(shirt), {"action": "count", "quantity": 45, "counted_at": yesterday})

    assert "The log says 50 then." in text(then)
    assert numbers(shirt) == (75, 75, 0, 0)


@pytest.mark.parametrize(
    "moment", ["2999-01-01T00:00", "yesterday", "2026-02-30T10:00", "0001-01-01T00:00"]
)
def test_a_moment_at_which_nothing_was_counted_is_refused(owner, moment):
    shirt = product(50)

    answer = send(owner, tab(shirt), {"action": "count", "quantity": 45, "counted_at": moment})

    assert "counted_at" in answer.context["form"].errors
    assert numbers(shirt) == (50, 50, 0, 0)
    assert text(owner.get(tab(shirt, "then/"), {"counted_at": moment})).strip() == ""


@pytest.mark.parametrize(
    ("moment", "why"), [("2026-03-29T02:30", "There was no"), ("2025-10-26T02:30", "there twice")]
)
def test_t07_the_tab_reads_a_time_as_a_file_does(owner, moment, why):
    shirt = product(50)
    store.change(time_zone="Europe/Berlin", actor=MERCHANT)

    answer = owner.post(tab(shirt), {"action": "count", "quantity": 45, "counted_at": moment})
    history = owner.get(f"{PRODUCTS}{shirt.pk}/stock-history/", {"at": moment})

    assert why in str(answer.context["form"].errors["counted_at"])
    assert why in str(history.context["moment_form"].errors["at"])


def test_t07_a_count_is_confirmed_also_in_the_hour_that_is_there_twice(owner):
    store.change(time_zone="Europe/Berlin", actor=MERCHANT)
    with clock.replaced(lambda: datetime(2026, 10, 25, 0, 30, tzinfo=UTC)):
        shirt = product(50)
        form = owner.get(tab(shirt)).context["form"]
        inventory.record(shirt.pk, Action.INCREMENT, 3, actor=MERCHANT)
        count = sent(form, action="count", quantity=52)

        told = owner.post(tab(shirt), count).context["form"]
        confirmed = owner.post(tab(shirt), sent(told, action="count"))

    assert confirmed.status_code == 302
    assert numbers(shirt) == (52, 52, 0, 0)


def test_a_count_below_what_is_allocated_is_refused_and_names_the_holders(owner):
    shirt = product(50)
    order = paid_order({shirt: 30})
    inventory.record(shirt.pk, Action.ALLOCATE, 12, actor=MERCHANT)

    answer = send(owner, tab(shirt), {"action": "count", "quantity": 40})

    assert "10 fewer than the log says, but only 8 of 50 are available" in text(answer)
    assert f"Held by order {order} (30), and set aside by hand (12)." in text(answer)
    assert f'href="/admin/orders/order/{order.pk}/change/"' in answer.content.decode()
    assert numbers(shirt) == (50, 8, 42, 12)


def test_a_count_sent_twice_counts_once(owner):
    shirt = product(50)
    form = owner.get(tab(shirt)).context["form"]
    body = sent(form, action="count", quantity=47)

    owner.post(tab(shirt), body)
    answer = owner.post(tab(shirt), body, follow=True)

    assert "recorded already" in text(answer)
    assert stock_of(shirt).sequence == 2


# From the list, by scanner.


def test_a_whole_sku_or_barcode_opens_the_inventory_tab(owner):
    shirt = product(5, sku="SHIRT-1", barcode="4006381333931")

    for code in ("SHIRT-1", "4006381333931", " SHIRT-1 "):
        assert owner.get(PRODUCTS, {"q": code}).url == tab(shirt)
    assert owner.get(PRODUCTS, {"q": "SHIRT-1", "do": "count"}).url == f"{tab(shirt)}?do=count"


@pytest.mark.parametrize("barcode", ["4006381333948", "20124518"])
def test_a_barcode_scanned_into_the_quantity_is_no_quantity(owner, barcode):
    """The cursor is there when the next product is scanned; an EAN-8 would be a number of units."""
    shirt, cup = product(5), product(5, barcode=barcode)

    answer = send(owner, tab(shirt), {"action": "count", "quantity": barcode})

    assert answer.url == f"{tab(cup)}?do=count"
    assert numbers(shirt) == numbers(cup) == (5, 5, 0, 0)


def test_a_quantity_that_is_nobodys_barcode_is_a_quantity(owner):
    shirt = product(5, barcode="123")

    send(owner, tab(shirt), {"action": "count", "quantity": "20124518"})
    assert numbers(shirt)[0] == 20124518
    send(owner, tab(shirt), {"action": "count", "quantity": "123"})
    assert numbers(shirt)[0] == 123


def test_the_cursor_waits_in_the_quantity(owner):
    page = owner.get(tab(product(5))).content.decode()

    [field] = re.findall(r'<input[^>]*name="quantity"[^>]*>', page)
    assert "autofocus" in field


def test_part_of_a_code_or_a_code_of_several_products_lists_them(owner):
    product(5, sku="SHIRT-1", barcode="123")
    product(5, sku="SHIRT-2", barcode="123")

    def listed(code: str) -> list[str]:
        answer = owner.get(PRODUCTS, {"q": code, "do": "count"})
        return [each.sku for each in answer.context["cl"].result_list]

    assert listed("SHIRT") == listed("123") == ["SHIRT-1", "SHIRT-2"]
    assert owner.get(PRODUCTS, {"q": "no\x00thing"}).status_code == 200


def test_an_archived_product_is_not_opened(owner):
    shirt = product(sku="SHIRT-1")
    products.archive(shirt.pk, actor=MERCHANT)

    assert owner.get(PRODUCTS, {"q": "SHIRT-1"}).status_code == 200


def test_a_scanner_opens_nothing_for_whom_products_are_closed():
    product(sku="SHIRT-1")

    assert client_with().get(PRODUCTS, {"q": "SHIRT-1"}).status_code == 403
