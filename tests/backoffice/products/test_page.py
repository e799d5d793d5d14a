"""What all pages of a product share: one row of tabs, and the field for the next product."""

import re

import pytest

from inventory.services import products
from inventory.services.variants import Option
from tests.backoffice.pages import client_with, text
from tests.factories import MERCHANT, parent, product

pytestmark = pytest.mark.django_db

PRODUCTS = "/admin/inventory/product/"
ACTIVE = {
    "change": "General",
    "delete": "General",
    "inventory": "Inventory",
    "inventory/stop": "Inventory",
    "prices": "Prices",
    "pictures": "Pictures",
    "stock-history": "History",
    "history": "History",
}


def bar(response) -> tuple[list[str], str, str]:
    """What is on the row of tabs, which is chosen, and where the next product is opened."""
    page = text(response)
    tabs = page.split('id="tabs-items"')[1].split("</nav>")[0]
    items = re.findall(r'class="(active)?"\s*>\s*(\w+)', tabs)
    [at] = re.findall(r'name="tab" value="(\w+)"', page)
    return [title for _, title in items], next(t for active, t in items if active), at


def test_all_pages_of_a_product_have_the_same_tabs_and_the_field_for_the_next(admin_client):
    shirt = parent(Option("Size", ("S", "M"))).variants.order_by("pk")[0]
    pages = {f"{PRODUCTS}{shirt.pk}/{page}/": tab for page, tab in ACTIVE.items()}
    pages[f"{PRODUCTS}labels/?ids={shirt.pk}"] = "Labels"
    pages[f"/admin/inventory/parent/{shirt.parent_id}/change/?of={shirt.pk}"] = "Variants"
    everything = ["General", "Inventory", "Prices", "Pictures", "Variants", "Labels", "History"]

    assert {page: bar(admin_client.get(page)) for page in pages} == {
        page: (everything, tab, tab) for page, tab in pages.items()
    }


def test_a_new_and_an_archived_product_have_the_tabs_that_there_are(admin_client):
    mug = product(0)
    products.archive(mug.pk, actor=MERCHANT)
    archived = f"{PRODUCTS}archived/{mug.pk}/"

    assert bar(admin_client.get(f"{PRODUCTS}add/")) == (["General"], "General", "General")
    for page in (archived, f"{archived}restore/"):
        assert bar(admin_client.get(page)) == (["Archived", "History"], "Archived", "Archived")
    assert bar(admin_client.get(f"{PRODUCTS}{mug.pk}/stock-history/"))[0] == ["Archived", "History"]


def test_nobody_sees_tabs_that_would_refuse_them():
    shirt = parent(Option("Size", ("S", "M"))).variants.order_by("pk")[0]

    shown, _, _ = bar(client_with("view_product").get(f"{PRODUCTS}{shirt.pk}/prices/"))
    assert shown == ["General", "Inventory", "Prices", "Pictures", "Labels"]


@pytest.mark.parametrize(
    ("tab", "opened"),
    [
        ("Prices", "prices/"),
        ("Pictures", "pictures/"),
        ("History", "stock-history/"),
        ("General", "change/"),
        ("Inventory", "inventory/"),
        # What this product has not, or nobody knows.
        ("Variants", "change/"),
        ("Archived", "change/"),
        ("<script>", "change/"),
    ],
)
def test_the_next_product_is_opened_at_the_same_tab(admin_client, tab, opened):
    mug = product(sku="MUG")

    answer = admin_client.get(PRODUCTS, {"q": "mug", "tab": tab})
    assert answer["Location"] == f"{PRODUCTS}{mug.pk}/{opened}"
    # What nothing is called by is searched for as ever.
    assert admin_client.get(PRODUCTS, {"q": "cup", "tab": tab}).status_code == 200
