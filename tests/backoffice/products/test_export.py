"""The list of products as a file, which read again changes nothing."""

import csv
import io
import itertools
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.spreadsheets import _lines
from inventory.models import Product
from inventory.services import categories, currencies, pictures, product_rows, products
from inventory.services.products import Money
from inventory.services.sheets import product_lines
from tests.backoffice.pages import client_with
from tests.drawn import picture
from tests.factories import MERCHANT, product
from tests.product_sheets import apply, lines_of, sheet_of_rows, worked

pytestmark = pytest.mark.django_db

ADDRESS = "/admin/inventory/product/export-products/"
AWKWARD = [
    *("=1+1", "'=1+1", "-5", "@A1", '"quoted", with commas', "two\nlines", "two\r\nlines"),
    *("0042", "  around  ", "Mütze 帽子 🧢", "(empty)", "(Empty)", "'(empty)", "''(EMPTY)"),
    *("\ufeffmarked", "a;b\tc|d", "'", "1e5", "\uff1dwide", "\x85next", "tab\t=x", "x" * 200),
]


def exported(client: Client, **filters: str) -> list[list[str]]:
    answer: Any = client.get(ADDRESS, filters)
    assert answer.status_code == 200
    text = b"".join(answer.streaming_content).decode()
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")))


def what_reading_makes(table: list[list[str]]) -> list[tuple[str, str]]:
    sheet = worked(sheet_of_rows(table[0], table[1:]))
    return [(line.what, line.error) for line in lines_of(sheet)]


def test_all_that_can_be_edited_is_in_the_file_and_reads_as_no_change():
    currencies.create(code="JPY", actor=MERCHANT)
    gin = product(sku="=GIN", name="Gin", managed=False, status="draft", description="(empty)")
    prices = [Money("USD", 1250, includes_tax=False), Money("JPY", 300)]
    products.update(gin.pk, prices=prices, barcode="0042", actor=MERCHANT)
    products.update(gin.pk, low_stock_threshold=0, image_url="https://a.example/b", actor=MERCHANT)
    products.change_prices(
        gin.pk, {}, actor=MERCHANT, cost=products.NewCost(Money("JPY", 100), None)
    )
    sale = categories.create("Sale", actor=MERCHANT)
    shirts = categories.create("Shirts", parent_id=sale.pk, actor=MERCHANT)
    categories.set_for([gin.pk], [sale.pk, shirts.pk], actor=MERCHANT)
    shirt = product(sku="SHIRT", name="Shirt", low_stock_threshold=5)
    # Of former days, when anything was taken.
    Product.objects.filter(pk=shirt.pk).update(image_url="http://a.example/b", barcode=" 1\u200b2")
    shown = product(sku="SHOWN", name="Shown")
    pictures.attach(shown.pk, [picture("front.png").pk], actor=MERCHANT)

    table = exported(client_with("view_product", "view_cost"))

    first, *others = [dict(zip(table[0], row, strict=True)) for row in table[1:]]
    assert first == {
        "sku": "'=GIN",
        "name": "Gin",
        "description": "''(empty)",
        "status": "draft",
        "barcode": "0042",
        "price_usd": "12.50",
        "price_jpy": "300",
        "cost": "100 JPY",
        "threshold": "0",
        "categories": "Sale; Sale > Shirts",
        "image": "https://a.example/b",
        "slug": gin.slug,
        "commodity_type": "physical",
        "manage_stock": "no",
        "initial_stock": "",
    }
    assert [each["image"] for each in others] == ["http://a.example/b", "front.png"]
    assert what_reading_makes(table) == [("leave", "")] * 3


def test_the_file_is_the_list_filtered_as_it_stands():
    product(sku="A", name="Red shirt")
    product(sku="B", name="Blue shirt", status="draft")

    table = exported(client_with("view_product"), q="shirt", status__exact="draft")

    assert [row[0] for row in table] == ["sku", "B"]


def test_costs_are_for_those_who_may_see_them():
    assert "cost" not in exported(client_with("view_product"))[0]


def test_who_may_not_see_products_gets_no_file():
    assert client_with("view_order").get(ADDRESS).status_code == 403


def test_the_number_of_statements_does_not_grow_with_the_rows():
    client = client_with("view_product")
    exported(client)
    found = []
    for count in (2, 7):
        for _ in range(count):
            product(name="Shirt", stock=1)
        with CaptureQueriesContext(connection) as captured:
            exported(client)
        found.append(len(captured))

    assert found[0] == found[1] < 15


_numbers = itertools.count()
TEXTS = st.one_of(st.sampled_from(AWKWARD), st.text(st.characters(codec="utf-8"), max_size=30))


@pytest.mark.thorough
@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=5))
def test_whatever_a_product_says_is_no_change_when_it_is_read_again(texts):
    texts = [tuple(text.replace("\x00", "") for text in each) for each in texts]
    now = "2026-01-01T00:00:00Z"
    made = [
        Product(
            sku=f"S{next(_numbers)}",
            slug=f"s{next(_numbers)}",
            name=name[:200],
            description=description,
            barcode=barcode[:64],
            created_at=now,
            updated_at=now,
        )
        for name, description, barcode in texts
    ]
    Product.objects.bulk_create(made)
    names = [column.name for column in product_lines.columns()]
    wholes = product_rows.read(made)
    written = io.StringIO(newline="")
    rows = [[product_lines.cell_of(wholes[each.pk], name) for name in names] for each in made]
    written.writelines(_lines(names, rows))
    written.seek(1)

    assert what_reading_makes(list(csv.reader(written))) == [("leave", "")] * len(made)


def test_what_one_product_says_is_said_by_another_that_is_made_of_its_row():
    for text in AWKWARD:
        product(name=f"Of {text}"[:200], description=text)
    table = exported(client_with("view_product"))
    sku, slug = table[0].index("sku"), table[0].index("slug")
    for row in table[1:]:
        row[sku], row[slug] = f"NEW-{row[sku]}", ""

    sheet = apply(worked(sheet_of_rows(table[0], table[1:])))

    assert (sheet.changed, sheet.refused) == (len(AWKWARD), 0)
    made = Product.objects.filter(sku__startswith="NEW-")
    of = dict(made.values_list("sku", "description"))
    for old in Product.objects.exclude(sku__startswith="NEW-"):
        assert of[f"NEW-{old.sku}"] == old.description.replace("\r\n", "\n").strip()
