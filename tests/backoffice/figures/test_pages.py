"""The pages of figures: each number is a link to a list that comes to the same."""

import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from operator import add
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from api import clock
from backoffice.base import PER_PAGE
from backoffice.figures import days, pages, sums
from backoffice.figures.lists import KINDS
from backoffice.figures.pages import PAGES
from inventory.models import Action, Currency
from inventory.services import currencies, stock
from inventory.services.products import Money
from orders.services import carts, orders, shipments
from orders.services.cart_lines import CustomItem
from payments.services import payments
from payments.services.payments import PaymentRequest
from tests.backoffice.pages import client_with, text
from tests.factories import BUYER, MERCHANT, filled_cart, paid_order, product

pytestmark = pytest.mark.django_db

FIGURES = "/admin/orders/order/figures/"
LINK = re.compile(r'<a class="hf-link" href="([^"]*/figures/[^"]*\?[^"]*)">([^<]*)</a>')
MONEY = ("view_order", "view_payment")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def a_month() -> Iterator[None]:
    """Sales of three days in two currencies, refunds, a cancellation and movements by hand."""
    moment = NOON
    with clock.replaced(lambda: moment):
        Currency.objects.create(
            code="JPY", format="¥{price}", decimal_places=0, created_at=NOON, updated_at=NOON
        )
        currencies.forget()
        shirt = product(99, sku="SHIRT", prices=[Money("USD", 1250), Money("JPY", 900)])
        mug = product(99, sku="MUG", prices=[Money("USD", 300), Money("JPY", 200)])
        for number in range(3):
            moment = NOON + timedelta(days=number)
            order = paid_order({shirt: 2, mug: 1 + number})
            payments.refund(order.pk, order.payments.get().pk, 250, actor=MERCHANT)
            shipments.ship(paid_order({mug: 1}).pk, actor=MERCHANT)
            payments.cancel(paid_order({mug: 1}).pk, actor=MERCHANT)
            stock.record(mug.pk, Action.INCREMENT, 7, actor=MERCHANT, reason="Found & kept")
        wrapped = filled_cart({shirt: 1}, currency="JPY")
        carts.add_one(wrapped, CustomItem(3, "Gift wrapping", 100), currency="JPY")
        yen, _ = orders.checkout(wrapped, BUYER)
        payments.pay(yen.pk, PaymentRequest("manual"), actor=MERCHANT)
        yield
    currencies.forget()


def shown(client: Client, name: str, **query: str) -> Any:
    return client.get(f"{FIGURES}{name}/", query)


def file_of(client: Client, path: str) -> list[dict[str, str]]:
    response: Any = client.get(path)
    written = b"".join(response.streaming_content).decode().removeprefix("\ufeff")
    return list(csv.DictReader(io.StringIO(written)))


def number_in(written: str) -> int:
    """Read a figure without its currency's signs, as -$12.50 is -1250."""
    return int(re.sub(r"[^0-9-]", "", written) or 0)


@pytest.mark.parametrize("name", PAGES)
def test_every_number_is_a_link_to_a_list_that_comes_to_the_same(admin_client, a_month, name):
    # Two of the days are kept, and the third is not over.
    days.add_up()

    links = LINK.findall(text(shown(admin_client, name)))

    listed = [(link, figure) for link, figure in links if "/figures/list/" in link]
    assert listed
    for link, figure in listed:
        found = admin_client.get(link)
        assert "rows" in found.context, (
            link,
            found.context["form"].errors,
            found.context["is_late"],
        )
        rows, context = found.context["rows"], found.context
        last = context["kind"].columns
        summed = {
            column.title: sum(number_in(row.cells[place].text) for row in rows)
            for place, column in enumerate(last)
            if column.is_number
        }
        assert context["number"] == len(rows) <= PER_PAGE, link
        assert number_in(figure) in {*summed.values(), len(rows)}, link
        amounts = [number_in(each) for each in context["amount"].split(" for ")]
        assert {*amounts} <= {*summed.values()}, link
        assert number_in(figure) in (*amounts, len(rows)), link
        assert len(file_of(admin_client, context["file"])) == len(rows), link


def test_money_is_told_by_day_and_currency(admin_client, a_month):
    rows = file_of(admin_client, f"{FIGURES}revenue/export/")

    assert [tuple(row.values()) for row in rows] == [
        ("2026-11-22", "JPY", "1200", "0", "1200", "1"),
        ("2026-11-22", "USD", "40.00", "2.50", "37.50", "3"),
        ("2026-11-21", "USD", "37.00", "2.50", "34.50", "3"),
        ("2026-11-20", "USD", "34.00", "2.50", "31.50", "3"),
    ]


def test_best_sellers_are_told_by_units_or_by_what_they_came_to(admin_client, a_month):
    by_units = file_of(admin_client, f"{FIGURES}best-sellers/export/")
    by_amount = file_of(admin_client, f"{FIGURES}best-sellers/export/?by=amount")

    assert [(row["sku"], row["currency"], row["units"]) for row in by_units] == [
        ("MUG", "USD", "12"),
        ("SHIRT", "USD", "6"),
        ("", "JPY", "3"),
        ("SHIRT", "JPY", "1"),
    ]
    assert {row["product"] for row in by_units if not row["sku"]} == {"What is no product"}
    assert by_amount[0]["amount"] == "75.00"


def test_a_month_has_what_was_sold_refunded_and_cancelled_of_each_currency(admin_client, a_month):
    days.add_up()

    rows = file_of(admin_client, f"{FIGURES}months/export/")

    assert [tuple(row.values()) for row in rows] == [
        ("2026-11", "JPY", "1", "1200", "1200", "0", "0", "0", "0", "0"),
        ("2026-11", "USD", "9", "111.00", "111.00", "7.50", "3", "9.00", "3", "9.00"),
    ]
    assert "Nothing was sold" in text(shown(admin_client, "months", until="2025-11"))


def test_cover_tells_what_lasts_shortest_first(admin_client, a_month):
    mug, shirt = sums.cover(limit=9)

    # Made two days ago, with 99 units of each: orders took nine mugs and gave three back.
    assert (mug.sku, mug.available, mug.ordered, mug.over) == ("MUG", 111, 9, 2)
    assert (shirt.sku, shirt.available, shirt.ordered) == ("SHIRT", 92, 7)
    assert "24 days" in text(shown(admin_client, "cover"))


def test_movements_are_told_by_reason_with_what_each_did(admin_client, a_month):
    rows = {row["reason"]: row for row in file_of(admin_client, f"{FIGURES}movements/export/")}

    assert (rows["Found & kept"]["added"], rows["Found & kept"]["entries"]) == ("21", "3")
    assert rows["shipped"]["taken out"] == "3"


def test_a_long_list_has_pages_from_whichever_days(admin_client):
    mug = product(999, sku="MUG")
    first = clock.now() - timedelta(days=9)
    for number in range(PER_PAGE + 5):
        with clock.replaced(partial(add, first, timedelta(hours=number * 4))):
            stock.record(mug.pk, Action.INCREMENT, 1, actor=MERCHANT, reason="Found")
    link = next(link for link, _ in LINK.findall(text(shown(admin_client, "movements"))))

    one, two, three = (admin_client.get(f"{link}&page={page}").context for page in (1, 2, 3))

    assert (len(one["rows"]), len(two["rows"]), three["rows"]) == (PER_PAGE, 5, [])
    told = [row.written for row in [*one["rows"], *two["rows"]]]
    assert told == sorted(told, reverse=True)
    assert len(file_of(admin_client, one["file"])) == PER_PAGE + 5


def test_the_last_page_that_there_may_be_leads_to_no_other(admin_client, monkeypatch):
    mug = product(PER_PAGE, sku="MUG")
    for _ in range(PER_PAGE + 1):
        stock.record(mug.pk, Action.INCREMENT, 1, actor=MERCHANT, reason="Found")
    link = next(link for link, _ in LINK.findall(text(shown(admin_client, "movements"))))

    assert admin_client.get(link).context["older"] == 2
    monkeypatch.setattr(pages, "PAGES_MAX", 1)
    assert admin_client.get(link).context["older"] == 0


@pytest.mark.parametrize("name", PAGES)
def test_a_page_without_figures_says_so(admin_client, name):
    assert "hf-empty" in text(shown(admin_client, name))
    assert '<svg class="hf-bars"' not in text(shown(admin_client, name))


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"since": "2026-13-45"}, "Enter a valid date."),
        ({"since": "2026-02-02", "until": "2026-02-01"}, "That is before the first day."),
        ({"since": "2001-01-01"}, "At most 366 days at a time."),
        ({"since": "0001-01-01"}, "Too far away."),
        ({"until": "9999-12-31"}, "Too far away."),
    ],
)
def test_days_that_make_no_sense_are_told_at_the_field(admin_client, query, told):
    page = shown(admin_client, "revenue", **query)

    assert told in text(page)
    assert page.status_code == 200
    assert admin_client.get(f"{FIGURES}revenue/export/", query).status_code == 302


NONSENSE = (
    "",
    "currency=XXX",
    "currency=USD&product=nonsense",
    "currency=USD&product=none&page=99999999",
    "currency=USD&product=none&page=-1",
    "action=nonsense",
    "since=9999-12-31&currency=USD",
    f"reason={'x' * 600}",
)


def test_no_list_fails_whatever_its_address(admin_client):
    for kind in KINDS:
        for query in NONSENSE:
            found = admin_client.get(f"{FIGURES}list/{kind}/?{query}")
            assert found.status_code == 200, query
        assert admin_client.get(f"{FIGURES}list/{kind}/export/?{query}").status_code == 302, kind


def test_too_much_that_is_not_added_up_is_said_and_not_waited_for(admin_client):
    with clock.replaced(lambda: datetime.now(UTC) - timedelta(days=400)):
        paid_order({product(9): 1})

    page = shown(admin_client, "months")

    assert "are being added up" in text(page)
    assert admin_client.get(f"{FIGURES}months/export/").status_code == 302


def test_who_may_see_money_sees_no_stock_and_the_other_way_round():
    def open_to(*permissions: str) -> set[str]:
        client = client_with(*permissions)
        client.raise_request_exception = True
        names = [*PAGES, *(f"list/{kind}" for kind in KINDS)]
        found = {name for name in names if shown(client, name).status_code == 200}
        assert (client.get(FIGURES).status_code == 302) == bool(found)
        return found

    money = open_to(*MONEY)
    assert {"revenue", "best-sellers", "months", "list/taken"} <= money
    assert not {"cover", "movements", "list/moved"} & money
    assert reverse("admin:figures_revenue") == f"{FIGURES}revenue/"


@pytest.mark.parametrize(
    ("name", "queries"),
    [
        *[("revenue", 4), ("best-sellers", 4), ("refunds", 4)],
        *[("cover", 4), ("movements", 4), ("months", 4)],
    ],
)
def test_statements_do_not_grow_with_what_there_is(
    admin_client, a_month, django_assert_num_queries, name, queries
):
    days.add_up()
    shown(admin_client, name)

    with django_assert_num_queries(queries):
        shown(admin_client, name)


def test_no_file_of_figures_names_a_customer(admin_client, a_month):
    for kind in ("sold", "cancelled", "taken"):
        link = f"{FIGURES}list/{kind}/export/?currency=USD"
        assert all(BUYER.name not in str(row) for row in file_of(admin_client, link))
