"""The page of what the stock is worth, and its files."""

import csv
import io
from typing import Any

import pytest
from django.test import Client

from inventory.services import currencies
from inventory.services.products import Money
from tests.backoffice.pages import client_with, text
from tests.factories import MERCHANT, category, product

pytestmark = pytest.mark.django_db

PAGE = "/admin/inventory/product/stock-value/"
PRODUCTS = "/admin/inventory/product/"
PERMISSIONS = ("view_product", "view_stock", "view_cost")


def file(client: Client, name: str) -> list[list[str]]:
    answer: Any = client.get(f"{PAGE}{name}/")
    return list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))


@pytest.fixture
def euro() -> None:
    currencies.create(
        code="EUR",
        format="{price} \N{EURO SIGN}",
        decimal_point=",",
        thousand_separator=".",
        actor=MERCHANT,
    )


def fill() -> None:
    shirt = product(3, sku="SHIRT", name="Shirt", cost=Money("USD", 420))
    shirt.categories.set([category("Clothes > Shirts"), category("Sale")])
    product(2, sku="MUG", name="Mug", cost=Money("EUR", 150))
    product(1, sku="TIN", name="Tin")
    product(0, sku="GONE", name="Gone", cost=Money("USD", 1))
    category("Empty")


def test_the_page_shows_each_category_with_units_and_the_total(admin_client, euro):
    fill()

    shown = admin_client.get(PAGE)

    rows = [
        (row.name, row.level, row.products, row.units, row.amounts)
        for row in [*shown.context["rows"], shown.context["total"]]
    ]
    nothing = "\N{EN DASH}"
    assert shown.context["currencies"] == ["EUR", "USD"]
    assert rows == [
        ("Clothes", 1, "1", "3", [nothing, "$12.60"]),
        ("Shirts", 2, "1", "3", [nothing, "$12.60"]),
        ("Sale", 1, "1", "3", [nothing, "$12.60"]),
        ("No category", 1, "2", "3", ["3,00 \N{EURO SIGN}", nothing]),
        ("Total", 1, "3", "6", ["3,00 \N{EURO SIGN}", "$12.60"]),
    ]
    assert "as of" in text(shown)


def test_the_sidebar_shows_that_the_page_is_open_and_not_the_list_of_products(admin_client):
    def opened(address: str) -> list[str]:
        groups = admin_client.get(address).context["sidebar_navigation"]
        return [item["title"] for group in groups for item in group["items"] if item["active"]]

    assert opened(PAGE) == ["Stock value"]
    assert opened(PRODUCTS) == opened(f"{PRODUCTS}add/") == ["Products"]
    assert opened("/admin/") == ["Dashboard"]


def test_what_has_no_cost_is_one_click_away(admin_client, euro):
    fill()

    page = text(admin_client.get(PAGE))
    listed = admin_client.get(f"{PRODUCTS}?cost=missing")

    assert f'href="{PRODUCTS}?cost=missing">1 product with units has no cost</a>' in page
    assert [each.sku for each in listed.context["cl"].result_list] == ["TIN"]


@pytest.mark.parametrize(
    ("asked", "found"),
    [("known", ["GONE", "SHIRT"]), ("none", ["BARE", "TIN"]), ("missing", ["TIN"])],
)
def test_the_list_is_filtered_by_cost_for_whoever_may_see_it(asked, found):
    product(1, sku="SHIRT", name="Shirt", cost=Money("USD", 420))
    product(0, sku="GONE", name="Gone", cost=Money("USD", 1))
    product(1, sku="TIN", name="Tin")
    product(0, sku="BARE", name="Bare")

    seen = client_with(*PERMISSIONS).get(f"{PRODUCTS}?cost={asked}")

    assert [each.sku for each in seen.context["cl"].result_list] == found


def test_whoever_may_not_see_costs_learns_none_from_the_list():
    product(1, sku="SHIRT", cost=Money("USD", 420))
    product(1, sku="TIN")

    asked = client_with("view_product", "view_stock").get(f"{PRODUCTS}?cost=none")

    assert asked.status_code == 302


@pytest.mark.parametrize("missing", PERMISSIONS)
@pytest.mark.parametrize("address", [PAGE, f"{PAGE}export/", f"{PAGE}products/"])
def test_the_value_is_shown_to_whoever_may_see_stock_and_costs(missing, address):
    clerk = client_with(*(each for each in PERMISSIONS if each != missing))

    assert clerk.get(address).status_code == 403


def test_categories_are_written_to_a_file_as_numbers(admin_client, euro):
    fill()

    assert file(admin_client, "export") == [
        [
            *("category", "products", "units", "products without a cost"),
            *("value in EUR", "value in USD"),
        ],
        ["Clothes", "1", "3", "0", "0.00", "12.60"],
        ["Clothes > Shirts", "1", "3", "0", "0.00", "12.60"],
        ["Sale", "1", "3", "0", "0.00", "12.60"],
        ["Empty", "0", "0", "0", "0.00", "0.00"],
        ["No category", "2", "3", "1", "3.00", "0.00"],
        ["Total", "3", "6", "1", "3.00", "12.60"],
    ]


def test_products_are_written_to_a_file_with_their_categories(admin_client, euro):
    fill()

    assert file(admin_client, "products") == [
        ["sku", "name", "categories", "units", "cost", "currency", "value"],
        ["MUG", "Mug", "", "2", "1.50", "EUR", "3.00"],
        ["SHIRT", "Shirt", "Clothes > Shirts; Sale", "3", "4.20", "USD", "12.60"],
        ["TIN", "Tin", "", "1", "", "", ""],
    ]


def test_a_store_without_units_says_so(admin_client):
    product(0, cost=Money("USD", 420))

    assert "There are no units of anything." in text(admin_client.get(PAGE))


def test_the_page_asks_for_nothing_while_its_figures_are_fresh(
    admin_client, django_assert_num_queries
):
    product(1, cost=Money("USD", 420))
    admin_client.get(PAGE)

    # The session and the person.
    with django_assert_num_queries(2):
        admin_client.get(PAGE)
