"""Lists as CSV files: what stands in them, for whom, and that no cell is a formula."""

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from api import clock, store
from api.spreadsheets import _lines, csv_response, escaped, unescaped
from backoffice.exports import EXPORTS_MAX
from inventory.models import Sheet
from inventory.services.sheets import processing
from orders.services import shipments
from orders.services.orders import Buyer
from tests.factories import (
    MERCHANT,
    paid_order,
    product,
    shipped_order,
    stock_of,
    unpaid_order,
)

pytestmark = pytest.mark.django_db

STOCK = "/admin/inventory/product/export/"
ORDERS = "/admin/orders/order/export/"
LINES = "/admin/orders/order/export-lines/"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def client_with(*permissions: str) -> Client:
    user = User.objects.create_user(f"clerk {permissions}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def admin_client() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("admin"))
    return client


def exported(client: Client, path: str, **filters: str) -> list[dict[str, str]]:
    response = client.get(path, filters)
    assert response.status_code == 200
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(_text(response).removeprefix("\ufeff"))))


def _text(response: Any) -> str:
    return b"".join(response.streaming_content).decode()


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "'=x", "''"]
WIDE = ["\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20A", "\ufe661", "\u22121"]


@pytest.mark.parametrize(
    "cell", [*FORMULAS, *WIDE, " =1+1", "\ufeff=1+1", "\u200b+1", '"=1+1', "\xa0\n@A", "\u2066=1"]
)
def test_t28_what_could_be_a_formula_is_escaped_and_reads_the_same_again(cell):
    assert escaped(cell).startswith(f"'{cell[:1]}")
    assert unescaped(escaped(cell)) == cell


@pytest.mark.parametrize("formula", ["=1+1", ' "=1+1', "\uff1d1+1", "'=1"])
@pytest.mark.parametrize("separator", [";", "\t", "\n", "\r\n"])
def test_t28_no_cell_begins_a_formula_where_another_separator_is_known(formula, separator):
    text = f"x{separator}{formula}"

    written = "".join(_lines(["a", "b"], [["first", text]])).removeprefix("\ufeff")

    read = [cell for row in csv.reader(io.StringIO(written, newline="")) for cell in row]
    assert [unescaped(cell) for cell in read] == ["a", "b", "first", text]
    for delimiter in ";\t":
        for row in csv.reader(io.StringIO(written, newline=""), delimiter=delimiter):
            assert not any(cell.strip('" ').startswith(("=", "\uff1d")) for cell in row)


def test_t28_a_text_of_many_lines_is_escaped_in_no_time():
    text = "\n" * 200_000 + "x"

    assert escaped(text) == f"'{text}"
    assert unescaped(escaped(text)) == text


def test_t28_every_text_is_quoted_and_every_number_is_none():
    row = ["0042", 5, -3, Decimal("12.50"), None, 'a "b", c']

    [_, written] = _lines(["x"], [row])

    assert written == '"0042",5,-3,12.50,"","a ""b"", c"\r\n'


@pytest.mark.parametrize("cell", ["A-1", "it's", "", "0042", "1+1", "Berlin, -5", "2 x A; 1 x B"])
def test_what_cannot_be_a_formula_stays_as_it_is(cell):
    assert escaped(cell) == cell
    assert unescaped(cell) == cell


def test_the_stock_of_what_is_managed_is_listed_with_its_numbers(admin_client):
    shirt = product(10, sku="0042", name="Shirt", barcode="007")
    product(sku="FREE", managed=False)
    paid_order({shirt: 4})

    assert exported(admin_client, STOCK) == [
        {
            "sku": "0042",
            "barcode": "007",
            "name": "Shirt",
            "total": "10",
            "available": "6",
            "allocated": "4",
            "count": "",
            "counted_at": "",
        }
    ]


def test_the_file_is_filtered_and_searched_as_the_list_is(admin_client):
    product(1, sku="A", name="Red shirt")
    product(0, sku="B", name="Red mug")
    product(1, sku="C", name="Blue shirt")

    found = exported(admin_client, STOCK, q="red", stock_state="in")

    assert [row["sku"] for row in found] == ["A"]
    link = f'href="{STOCK}?q=red&amp;stock_state=in"'
    page = admin_client.get("/admin/inventory/product/", {"q": "red", "stock_state": "in"})
    assert link in page.content.decode()


def test_an_exported_file_can_be_edited_and_uploaded(admin_client):
    shirt = product(10, sku="=SHIRT", name='A "shirt", red')
    mug = product(5, sku="MUG")
    text = _text(admin_client.get(STOCK))
    assert "'=SHIRT" in text

    rows = list(csv.reader(io.StringIO(text)))
    for row in rows[1:]:
        if row[0] == "'=SHIRT":
            row[6] = "8"
    edited = io.StringIO()
    csv.writer(edited, delimiter=";").writerows(rows)
    file, _ = processing.upload("stock.csv", edited.getvalue().encode(), actor=MERCHANT)
    processing.take_a_batch(file.pk)
    processing.apply(file.pk, actor=MERCHANT)
    processing.take_a_batch(file.pk)

    file = Sheet.objects.get()
    assert (file.changed, file.refused, file.left_out) == (1, 0, 1)
    assert stock_of(shirt).available == 8
    assert stock_of(mug).available == 5


def test_orders_are_lines_with_plain_money(admin_client):
    shirt, mug = product(10, sku="SHIRT", price=123456), product(10, sku="-MUG", price=5)
    order = paid_order({shirt: 2, mug: 1})

    [row] = exported(admin_client, ORDERS)

    assert row["number"] == str(order.number)
    assert (row["status"], row["payment"], row["shipping"]) == ("complete", "paid", "unfulfilled")
    assert (row["currency"], row["total"], row["captured"]) == ("USD", "2469.17", "2469.17")
    assert (row["items"], row["units"]) == ("2 x SHIRT; 1 x -MUG", "3")
    assert row["email"] == "ada@example.com"


def test_t23_lines_are_rows_of_their_own_with_what_each_comes_to(admin_client):
    shirt, mug = product(10, sku="SHIRT", price=123456), product(10, sku="MUG", price=5)
    order = paid_order({shirt: 2, mug: 3})
    for number in ("RX 1", "RX 2"):
        units = dict.fromkeys(order.items.values_list("pk", flat=True), 1)
        shipments.ship(order.pk, actor=MERCHANT, units=units, tracking=number)

    rows = exported(admin_client, LINES, list="all")

    assert [(row["number"], row["line"], row["sku"], row["quantity"]) for row in rows] == [
        (str(order.number), "1", "SHIRT", "2"),
        (str(order.number), "2", "MUG", "3"),
    ]
    assert [(row["unit price"], row["value"]) for row in rows] == [
        ("1234.56", "2469.12"),
        ("0.05", "0.15"),
    ]
    assert [(row["units shipped"], row["tracking"]) for row in rows] == [("2", "RX 1; RX 2")] * 2


@pytest.mark.parametrize("path", [ORDERS, LINES])
def test_t23_both_addresses_stand_in_columns(admin_client, path):
    billing = {"first_name": "Ada", "line_1": "1 Quay", "postcode": "0123", "country": "IE"}
    shipping = {**billing, "line_1": "2 Pier", "phone_number": "+353 1", "instructions": "Ring"}
    unpaid_order({product(10): 1}, buyer=Buyer("Ada", "ada@example.com", billing, shipping))

    [row] = exported(admin_client, path, list="all")

    assert (row["billing line 1"], row["shipping line 1"]) == ("1 Quay", "2 Pier")
    assert (row["billing postcode"], row["shipping country"]) == ("0123", "IE")
    # What begins like a formula is escaped here as everywhere.
    assert (row["billing phone"], row["shipping phone"]) == ("", "'+353 1")
    assert (row["shipping instructions"], row["shipping city"]) == ("Ring", "")


@pytest.mark.parametrize("path", [ORDERS, LINES])
def test_orders_are_filtered_as_the_list_is(admin_client, path):
    shirt = product(10)
    paid = paid_order({shirt: 1})
    unpaid_order({shirt: 1})

    found = exported(admin_client, path, payment="paid")

    assert [row["number"] for row in found] == [str(paid.number)]


def test_t20_whatever_is_computed_while_a_file_is_sent_is_in_the_stores_zone(admin_client):
    store.change(time_zone="America/New_York", actor=MERCHANT)
    with clock.replaced(lambda: datetime(2026, 11, 27, 7, 10, tzinfo=UTC)):
        shirt = product(10)
        shipped_order({shirt: 1})
    history = f"/admin/inventory/product/{shirt.pk}/stock-history/export/"
    placed = "2026-11-27 02:10:00-05:00"

    [order] = exported(admin_client, ORDERS, list="all")
    [line] = exported(admin_client, LINES, list="all")

    assert {order["placed"], order["shipped"], line["placed"], line["shipped"]} == {placed}
    entry = exported(admin_client, history)[-1]
    assert entry["when"] == placed.replace(" ", "T")


def test_t20_a_files_rows_are_made_in_the_zone_of_its_request_and_nothing_else_is():
    with timezone.override("America/New_York"):
        response = csv_response("x", ["at"], ([timezone.localtime(NOON)] for _ in range(1)))
    assert '"2026-01-01 07:00:00-05:00"' in _text(response)
    assert timezone.get_current_timezone_name() == "UTC"


@pytest.mark.parametrize("path", [ORDERS, LINES])
def test_statements_do_not_grow_with_the_rows(admin_client, django_assert_num_queries, path):
    shirt = product(10)
    for _ in range(5):
        paid_order({shirt: 1})

    with django_assert_num_queries(7):
        exported(admin_client, path)


@pytest.mark.parametrize("path", [STOCK, ORDERS, LINES])
def test_a_filter_that_no_list_offers_leads_back_to_the_list(admin_client, path):
    response = admin_client.get(path, {"nonsense__exact": "1"})

    assert response.status_code == 302


@pytest.mark.parametrize(
    ("path", "permission"), [(STOCK, "view_product"), (STOCK, "view_stock"), (ORDERS, "view_order")]
)
def test_one_permission_alone_is_not_enough(path, permission):
    assert client_with(permission).get(path).status_code == 403


def test_who_may_see_products_and_stock_may_have_the_file():
    client = client_with("view_product", "view_stock")

    assert exported(client, STOCK) == []


def test_t27_to_see_orders_and_customers_is_not_to_take_them_out_of_the_house():
    may_look = client_with("view_order", "view_orderitem")
    may_export = client_with("view_order", "view_orderitem", "export_customers")
    orders = "/admin/orders/order/"

    assert may_look.get(ORDERS).status_code == 403
    assert "Orders as CSV" not in may_look.get(orders).content.decode()
    assert exported(may_export, ORDERS) == []
    assert "Orders as CSV" in may_export.get(orders).content.decode()


def test_t40_only_so_many_files_are_fetched_at_a_time(admin_client, monkeypatch):
    monkeypatch.setattr("backoffice.exports.TURN_SECONDS", 0)
    history = f"/admin/inventory/product/{product(stock=9).pk}/stock-history/export/"
    answers: list[Any] = [admin_client.get(STOCK) for _ in range(EXPORTS_MAX)]

    assert [admin_client.get(path).status_code for path in (STOCK, ORDERS, history)] == [503] * 3
    # None that was promised comes empty, and what has come makes room.
    assert all(len(list(answer.streaming_content)) > 1 for answer in answers)
    assert exported(admin_client, STOCK)
