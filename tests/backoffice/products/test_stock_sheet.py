"""The stock sheet: the list as one table, in which each row is done and told of by itself."""

import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from api import store
from backoffice.products import stock_sheet
from backoffice.products.stock_sheet import ROWS_MAX
from inventory.models import (
    Action,
    Product,
    Stock,
    StockCount,
    StockQuerySet,
    StockTransaction,
)
from inventory.services import products
from inventory.services import stock as inventory
from inventory.services.writing import RowMoved
from orders.models import Order
from payments.services import payments
from payments.services.payments import PaymentRequest
from tests.backoffice.pages import client_with, filled_in, text
from tests.concurrency import PATIENCE_SECONDS, run_together
from tests.factories import MERCHANT, paid_order, product, stock_of, unpaid_order

pytestmark = pytest.mark.django_db
SHOPPERS = 3

PRODUCTS = "/admin/inventory/product/"
SHEET = f"{PRODUCTS}stock-sheet/"


def opened(client: Client, address: str = SHEET) -> dict[str, list[str]]:
    """What a browser would send of the sheet, with nothing typed."""
    return filled_in(client.get(address))


def typed(form: dict[str, list[str]], action: str, **rows: Any) -> dict[str, Any]:
    """Type numbers into the rows of products, by sku, and the reason for all of them."""
    ids = dict(Product.objects.values_list("sku", "pk"))
    numbers = {f"units-{ids[sku]}": str(units) for sku, units in rows.items()}
    return {**form, "action": action, "reason": "because", **numbers}


def rows_of(response: Any) -> dict[str, Any]:
    return {row.product.sku: row for row in response.context["rows"]}


def numbers(made: Product) -> tuple[int, int, int, int]:
    stock = stock_of(made)
    return stock.total, stock.available, stock.allocated, stock.held


def test_the_sheet_is_the_list_as_it_was_filtered_searched_and_ordered(admin_client):
    for sku, units in (("A-1", 3), ("A-2", 0), ("A-3", 1), ("B-1", 9)):
        product(units, sku=sku)
    by_sku = admin_client.get(PRODUCTS).context["cl"].list_display.index("code")
    query = f"?q=a-&stock_state=in&o=-{by_sku}"

    shown = admin_client.get(f"{SHEET}{query}")

    assert list(rows_of(shown)) == ["A-3", "A-1"]
    assert f'href="{PRODUCTS}{query.replace("&", "&amp;")}"' in shown.content.decode()
    listed = admin_client.get(f"{PRODUCTS}{query}").content.decode()
    assert f'href="{SHEET}{query.replace("&", "&amp;")}"' in listed


def test_a_page_costs_the_same_for_one_row_and_for_fifty(admin_client, django_assert_num_queries):
    store.current()
    product(1)
    with django_assert_num_queries(6):
        admin_client.get(SHEET)
    for _ in range(51):
        product(1)
    with django_assert_num_queries(6):
        assert len(admin_client.get(SHEET).context["rows"]) == 50

    assert len(admin_client.get(f"{SHEET}?p=2").context["rows"]) == 2
    assert "?p=2" in text(admin_client.get(SHEET))
    for beyond in ("0", "99999999999999999999"):
        assert admin_client.get(f"{SHEET}?p={beyond}")["Location"] == SHEET


def test_each_further_row_costs_the_same(admin_client, django_assert_num_queries):
    store.current()
    for sku in "ABC":
        product(5, sku=sku)
    form = opened(admin_client)
    # A key on record, the stock's lock, its last entries by hand, and the write; twice three for
    # the transaction, which here is a savepoint, and for whether it was done before.
    with django_assert_num_queries(16):
        admin_client.post(SHEET, typed(form, "increment", A=1))
    with django_assert_num_queries(16 + 7):
        admin_client.post(SHEET, typed(form, "increment", B=1, C=1))


@pytest.mark.parametrize(
    ("action", "units", "after"),
    [
        ("count", 7, (7, 3, 4, 4)),
        ("increment", 2, (12, 8, 4, 4)),
        ("decrement", 2, (8, 4, 4, 4)),
        ("allocate", 2, (10, 4, 6, 6)),
        ("deallocate", 2, (10, 8, 2, 2)),
    ],
)
def test_a_row_moves_stock_as_the_tab_does(admin_client, action, units, after):
    shirt = product(10, sku="SHIRT")
    inventory.record(shirt.pk, Action.ALLOCATE, 4, actor=MERCHANT)

    answer = admin_client.post(SHEET, typed(opened(admin_client), action, SHIRT=units))

    assert numbers(shirt) == after
    row = rows_of(answer)["SHIRT"]
    assert (row.done != "", row.error, row.typed) == (True, "", "")
    assert (row.stock.total, row.stock.available) == after[:2]
    entry = StockTransaction.objects.latest("sequence")
    assert (entry.actor_name, "because" in entry.reason) == ("admin", True)
    assert StockCount.objects.count() == (action == "count")


def test_a_refused_row_keeps_its_number_and_holds_up_no_other(admin_client):
    few, many, gone, odd = (
        product(n, sku=s) for n, s in ((1, "FEW"), (9, "MANY"), (0, "GONE"), (5, "ODD"))
    )
    form = opened(admin_client)
    products.stop_managing(gone.pk, actor=MERCHANT)

    answer = admin_client.post(SHEET, typed(form, "decrement", FEW=3, MANY=3, GONE=1, ODD="1.5"))

    assert [stock_of(each).total for each in (few, many, odd)] == [1, 6, 5]
    rows = rows_of(answer)
    assert rows["FEW"].error == "Only 1 is available; 3 asked for."
    assert rows["GONE"].error == "The stock of this product is not managed any more."
    assert rows["ODD"].error == "Enter a whole number."
    assert {sku: row.typed for sku, row in rows.items()} == {
        "FEW": "3", "GONE": "1", "ODD": "1.5", "MANY": "",
    }  # fmt: skip
    assert "1 done. 3 not done: see there." in text(answer)
    # As the browser would send it, once the numbers are right.
    again = {**filled_in(answer), f"units-{few.pk}": "1", f"units-{odd.pk}": ""}
    admin_client.post(SHEET, again)
    assert [stock_of(each).total for each in (few, many)] == [0, 6]


@pytest.mark.parametrize("action", ["count", "increment"])
def test_a_code_that_was_scanned_into_a_row_is_no_quantity(admin_client, action):
    made = product(5, sku="A", barcode="96385074")
    # Shorter than a barcode, it may be either.
    product(5, sku="7654321")

    shown = admin_client.post(SHEET, typed(opened(admin_client), action, A="96385074"))

    assert rows_of(shown)["A"].error == "96385074 is the code of a product, and no quantity."
    assert numbers(made)[0] == 5
    admin_client.post(SHEET, typed(opened(admin_client), "increment", A="7654321"))
    assert numbers(made)[0] == 7_654_326


def test_a_movement_wants_a_reason_before_anything_is_done(admin_client):
    shirt = product(5, sku="SHIRT")
    form = {**typed(opened(admin_client), "increment", SHIRT=2), "reason": ""}

    answer = admin_client.post(SHEET, form)

    assert "Say why: the log keeps it." in text(answer)
    assert (stock_of(shirt).total, rows_of(answer)["SHIRT"].typed) == (5, "2")
    assert admin_client.post(SHEET, {**form, "action": "burn"}).status_code == 200
    assert stock_of(shirt).total == 5


@pytest.mark.parametrize("action", ["count", "decrement"])
def test_a_doubled_click_does_each_row_once(admin_client, action):
    shirt = product(20, sku="SHIRT")
    form = typed(opened(admin_client), action, SHIRT=10)

    first, second = (admin_client.post(SHEET, form) for _ in range(2))

    assert "10" in rows_of(first)["SHIRT"].done
    assert rows_of(second)["SHIRT"].done == "This was recorded already, and not a second time."
    assert stock_of(shirt).total == 10
    other = admin_client.post(SHEET, {**form, f"units-{shirt.pk}": "11"})
    assert rows_of(other)["SHIRT"].error == "This form was sent before, with other values."
    # What is drawn then is another sending: of the one, there are too few left; of the other, it is
    # said that the stock has moved.
    again = rows_of(admin_client.post(SHEET, filled_in(other)))["SHIRT"]
    assert (again.doubt if action == "count" else again.error).startswith(
        {"count": "10 fewer available", "decrement": "Only 10 are available"}[action]
    )
    assert stock_of(shirt).total == 10


def test_what_sold_meanwhile_is_said_of_an_increment_that_is_done(admin_client):
    shirt = product(10, sku="SHIRT")
    form = opened(admin_client)
    paid_order({shirt: 3})

    answer = admin_client.post(SHEET, typed(form, "increment", SHIRT=5))

    assert numbers(shirt) == (15, 12, 3, 0)
    assert rows_of(answer)["SHIRT"].done == (
        "Incremented: 5 units. 3 fewer available and 3 more allocated than when you opened this."
    )


def test_the_same_recorded_by_somebody_else_meanwhile_is_told_first(admin_client):
    shirt = product(10, sku="SHIRT")
    form = opened(admin_client)
    inventory.record(shirt.pk, Action.INCREMENT, 5, actor=MERCHANT, reason="Delivery")

    told = admin_client.post(SHEET, typed(form, "increment", SHIRT=5))

    assert "somebody recorded the same 5 (Delivery)" in rows_of(told)["SHIRT"].error
    assert stock_of(shirt).total == 15
    admin_client.post(SHEET, filled_in(told))
    assert stock_of(shirt).total == 20


def test_a_count_of_what_moved_meanwhile_is_asked_about_and_stands_as_of_its_sending(admin_client):
    shirt = product(10, sku="SHIRT")
    form = typed(opened(admin_client), "count", SHIRT=9)
    paid_order({shirt: 3})

    told = admin_client.post(SHEET, form)
    asked = rows_of(told)["SHIRT"]
    assert asked.doubt.startswith("3 fewer available and 3 more allocated than when you opened")
    # Not ticked, it is asked once more.
    told = admin_client.post(SHEET, filled_in(told))
    assert (rows_of(told)["SHIRT"].doubt != "", stock_of(shirt).total) == (True, 10)
    moment = rows_of(told)["SHIRT"].asked.at

    inventory.record(shirt.pk, Action.INCREMENT, 4, actor=MERCHANT)
    done = admin_client.post(SHEET, {**filled_in(told), f"sure-{shirt.pk}": "on"})

    assert rows_of(done)["SHIRT"].done.startswith("Counted 9 units. Adjusted: 1 unit fewer.")
    assert stock_of(shirt).total == 13
    assert StockCount.objects.get().counted_at == moment


def test_a_number_that_was_corrected_after_it_was_asked_about_is_a_count_of_its_own(admin_client):
    shirt = product(10, sku="SHIRT")
    form = typed(opened(admin_client), "count", SHIRT=9)
    inventory.record(shirt.pk, Action.DECREMENT, 2, actor=MERCHANT)
    told = admin_client.post(SHEET, form)

    admin_client.post(SHEET, {**filled_in(told), f"units-{shirt.pk}": "8"})

    assert stock_of(shirt).total == 8


@pytest.mark.parametrize(("action", "units"), [("count", 4), ("decrement", 96)])
def test_a_great_drop_is_asked_about_first(admin_client, action, units):
    shirt = product(100, sku="SHIRT")

    told = admin_client.post(SHEET, typed(opened(admin_client), action, SHIRT=units))
    assert rows_of(told)["SHIRT"].doubt == "From 100 to 4: more than half would be gone."
    assert stock_of(shirt).total == 100
    unticked = admin_client.post(SHEET, filled_in(told))
    assert (rows_of(unticked)["SHIRT"].doubt != "", stock_of(shirt).total) == (True, 100)

    admin_client.post(SHEET, {**filled_in(unticked), f"sure-{shirt.pk}": "on"})
    assert stock_of(shirt).total == 4


def test_nobody_confirms_a_count_of_a_moment_to_come_or_of_long_ago(admin_client):
    shirt = product(100, sku="SHIRT")
    ahead, before = (f"4 {timezone.now() + timedelta(days=days)}" for days in (1, -2))
    form = typed(opened(admin_client), "count", SHIRT=4)

    for asked in (
        ahead,
        before,
        "4 never",
        "4",
        "x 2026-11-26T10:00:00Z",
        "4 2026-99-26T10:00:00Z",
    ):
        admin_client.post(SHEET, {**form, f"asked-{shirt.pk}": asked, f"sure-{shirt.pk}": "on"})

    assert stock_of(shirt).total == 100


@pytest.mark.parametrize("seen", ["", "1", "1 2 x", "9" * 40, "1 1 1 1"])
def test_a_row_that_does_not_say_what_it_was_made_from_does_nothing(admin_client, seen):
    shirt = product(5, sku="SHIRT")
    form = typed(opened(admin_client), "increment", SHIRT=1)

    answer = admin_client.post(SHEET, {**form, f"seen-{shirt.pk}": seen})

    assert "did not say what it was made from" in rows_of(answer)["SHIRT"].error
    assert stock_of(shirt).total == 5


def test_after_rows_have_left_the_list_it_offers_no_page_that_would_leave_others_out(
    admin_client, monkeypatch
):
    monkeypatch.setattr(stock_sheet, "ROWS", 1)
    for sku in "AB":
        product(0, sku=sku)
    address = f"{SHEET}?stock_state=out"
    assert "Next" in text(admin_client.get(address))

    answer = admin_client.post(address, typed(opened(admin_client, address), "increment", A=2))

    assert list(rows_of(answer)) == ["A"]
    assert "Next" not in text(answer)
    assert "see it as it is now" in text(answer)


def test_what_is_not_managed_has_no_field_and_a_list_of_nothing_says_so(admin_client):
    product(managed=False, sku="FREE")

    assert "not managed" in text(admin_client.get(SHEET))
    assert "No product is listed." in text(admin_client.get(f"{SHEET}?q=nothing"))


def test_more_rows_than_a_page_has_are_refused_as_a_whole(admin_client):
    shirt = product(5, sku="SHIRT")
    form = typed(opened(admin_client), "increment", SHIRT=1)
    ids = [shirt.pk, *(f"00000000-0000-7000-8000-{n:012}" for n in range(ROWS_MAX))]

    assert admin_client.post(SHEET, {**form, "row": ids}).status_code == 400
    assert stock_of(shirt).total == 5


def test_whoever_may_not_move_stock_has_no_sheet():
    product(5)
    viewer = client_with("view_product", "view_stock")

    assert viewer.get(SHEET).status_code == 403
    assert "Stock sheet" not in text(viewer.get("/admin/inventory/product/"))


# Against sales, at the same moment.


@pytest.fixture
def shirt(transactional_db: None) -> Product:
    return product(1, sku="SHIRT")


def takes_the_last_one(client: Client, form: dict[str, Any]) -> Callable[[], bool]:
    """Take it out by the sheet, and tell whether that was done."""

    def take() -> bool:
        return bool(rows_of(client.post(SHEET, form))["SHIRT"].done)

    return take


def buys(order: Order) -> Callable[[], object]:
    return partial(payments.pay, order.pk, PaymentRequest("manual"), actor=MERCHANT)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("action", ["decrement", "allocate"])
def test_the_last_unit_goes_to_the_sheet_or_to_one_shopper(admin_client, shirt, action):
    orders = [unpaid_order({shirt: 1}) for _ in range(SHOPPERS)]
    take = takes_the_last_one(admin_client, typed(opened(admin_client), action, SHIRT=1))

    taken, *bought = run_together(take, *map(buys, orders))

    assert taken + sum(not isinstance(each, Exception) for each in bought) == 1
    assert stock_of(shirt).available == 0


@pytest.mark.django_db(transaction=True)
def test_control_without_the_lock_the_sheet_and_a_shopper_take_the_last_unit_both(
    admin_client, shirt, monkeypatch
):
    order = unpaid_order({shirt: 1})
    take = takes_the_last_one(admin_client, typed(opened(admin_client), "decrement", SHIRT=1))
    both_have_read = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    def read(rows: StockQuerySet, product_ids: Any) -> list[Stock]:
        found = list(rows.filter(product_id__in=product_ids))
        both_have_read.wait()
        return found

    with monkeypatch.context() as patched:
        patched.setattr(StockQuerySet, "lock", read)
        outcomes = run_together(take, buys(order))

    # Only the guard of the write has kept it from being taken twice.
    assert [type(each) for each in outcomes].count(RowMoved) == 1


@pytest.mark.django_db(transaction=True)
def test_a_count_stands_before_a_sale_or_is_asked_about_after_it(admin_client, shirt):
    order = unpaid_order({shirt: 1})
    form = typed(opened(admin_client), "count", SHIRT=2)

    answer, _ = run_together(lambda: admin_client.post(SHEET, form), buys(order))

    row = rows_of(answer)["SHIRT"]
    assert bool(row.done) != bool(row.doubt)
    assert stock_of(shirt).total == (2 if row.done else 1)
