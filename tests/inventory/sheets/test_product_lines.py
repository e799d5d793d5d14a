"""What the cells of a file of products say, and how the same is written into one."""

from decimal import Decimal
from typing import Any

import pytest

from inventory.models import Product, ProductLine, Sheet
from inventory.services import currencies, product_rows, products
from inventory.services.products import Money
from inventory.services.sheets import product_lines
from tests.factories import MERCHANT, category, product
from tests.inventory.test_pictures import attach, rows
from tests.product_sheets import checked, lines_of, sheet_of_rows, the_line, told, worked

pytestmark = pytest.mark.django_db


def _in_other_currencies() -> None:
    for code, digits in (("EUR", 2), ("JPY", 0), ("KWD", 3), ("CHF", 1)):
        written = f"{code} {{price}}"
        currencies.create(code=code, format=written, decimal_places=digits, actor=MERCHANT)


def test_a_file_may_say_what_there_is_of_a_product_the_default_currency_first():
    _in_other_currencies()
    currencies.create(code="SEK", enabled=False, actor=MERCHANT)

    columns = product_lines.columns()

    assert [column.name for column in columns] == [
        *("sku", "name", "description", "status", "barcode", "price_usd", "price_chf"),
        *("price_eur", "price_jpy", "price_kwd", "cost", "threshold", "categories", "image"),
        *("slug", "commodity_type", "manage_stock", "initial_stock"),
    ]
    assert [column.name for column in columns if column.required] == ["sku"]
    holds = {column.name: column.holds for column in columns}
    assert {name for name in holds if holds[name] == "whole number"} == {
        *("threshold", "initial_stock")
    }
    assert {name for name in holds if holds[name] == "money"} == {
        *("price_usd", "price_chf", "price_eur", "price_jpy", "price_kwd", "cost")
    }


@pytest.mark.parametrize(
    ("word", "column"),
    [
        *((word, "sku") for word in ("article", "artikelnummer", "item_number", "variant_sku")),
        *((word, "name") for word in ("title", "product", "product_name", "bezeichnung")),
        *((word, "description") for word in ("body", "body_html", "beschreibung")),
        ("published", "status"),
        *((word, "barcode") for word in ("ean", "gtin", "upc", "isbn", "variant_barcode")),
        *((word, "price_usd") for word in ("price", "variant_price", "preis")),
        *((word, "cost") for word in ("cost_price", "cost_per_item")),
        ("low_stock", "threshold"),
        *((word, "categories") for word in ("category", "collection", "kategorie")),
        *((word, "image") for word in ("image_url", "picture", "image_src")),
        *((word, "slug") for word in ("handle", "url_key")),
        ("type", "commodity_type"),
        ("track_stock", "manage_stock"),
        ("stock", "initial_stock"),
    ],
)
def test_a_column_is_known_by_the_words_of_other_programs(word, column):
    _in_other_currencies()

    known = [each.name for each in product_lines.columns() if word in each.other_names]

    assert known == [column]


@pytest.mark.parametrize(
    ("column", "cell", "after"),
    [
        ("price_usd", "0", 0),
        ("price_usd", "90071992547409.91", 2**53 - 1),
        ("price_usd", f"{'0' * 20}13.50", 1350),
        ("price_usd", "(Empty)", None),
        ("price_jpy", "12", 12),
        ("price_chf", "12.5", 125),
        ("price_kwd", "1.234", 1234),
        ("cost", "4", [400, "USD"]),
        ("cost", "4.20 EUR", [420, "EUR"]),
        ("cost", "1 200 jpy", [1200, "JPY"]),
        ("cost", "(empty)", None),
        ("threshold", "0", 0),
        ("threshold", "2147483647", 2**31 - 1),
        ("threshold", "1,000", 1000),
        ("threshold", "(empty)", None),
        ("status", "Unpublished", "draft"),
        ("status", "INACTIVE", "draft"),
        ("status", "draft", "draft"),
        ("status", "archived", "archived"),
        ("name", "x" * 200, "x" * 200),
        ("name", "'(empty)", "(empty)"),
        ("description", "x" * 20_000, "x" * 20_000),
        ("description", "a\r\nb\rc", "a\nb\nc"),
        ("description", "'''(Empty)", "'(Empty)"),
        ("description", "(empty) box", "(empty) box"),
        ("barcode", "1" * 64, "1" * 64),
        ("barcode", "12\u200b", "12"),
        ("slug", "x" * 200, "x" * 200),
        ("slug", "Under_score-9", "Under_score-9"),
        ("commodity_type", "Digital", "digital"),
        *(("manage_stock", cell, False) for cell in ("No", "FALSE", "0", "n")),
        ("image", "/static/a.png", "/static/a.png"),
        ("image", f"https://x/{'a' * 490}", f"https://x/{'a' * 490}"),
        ("categories", " b ; Sale>c;b", "Sale > c; b"),
        ("categories", "(empty)", ""),
    ],
)
def test_a_cell_says_what_its_product_is_to_have(column, cell, after):
    _in_other_currencies()
    product(sku="A", price=1250, cost=Money("USD", 300), category_ids=[category("Old").pk])
    Product.objects.update(low_stock_threshold=5, description="Old")

    line = the_line(worked(sheet_of_rows(["sku", column], [["A", cell]])))

    assert line.error == ""
    assert [value for _, value in told(line).values()][:1] == [after]


@pytest.mark.parametrize(
    ("status", "cell"), [("draft", "Live"), ("draft", "Published"), ("draft", "active")]
)
def test_a_product_is_live_by_several_words(status, cell):
    product(sku="A", status=status)

    assert told(the_line(checked(f"sku | status\nA | {cell}"))) == {"status": ("draft", "live")}


@pytest.mark.parametrize("cell", ["Yes", "TRUE", "1", "y"])
def test_stock_is_managed_by_several_words(cell):
    product(sku="A", managed=False)

    line = the_line(checked(f"sku | manage_stock\nA | {cell}"))

    assert told(line) == {"manage_stock": (False, True)}


@pytest.mark.parametrize(
    ("column", "cell", "error"),
    [
        ("price_usd", f"{'0' * 21}13.50", "The amount is too large."),
        ("price_usd", "90071992547409.92", "The amount is too large."),
        ("price_usd", "-0.01", "An amount cannot be negative."),
        (
            "price_usd",
            "12.505",
            "USD has at most 2 digits after the decimal point, not 12.505.",
        ),
        ("price_chf", "1.25", "CHF has at most 1 digit after the decimal point, not 1.25."),
        ("price_jpy", "1.5", "JPY has no digits after the decimal point, not 1.5."),
        ("price_usd", "5 kg", '"5 kg" is no number. Write the amount alone, as in 1250.50.'),
        ("cost", "5 kg", "This is no amount. Write the amount alone, as in 1250.50."),
        ("cost", "4.205", "USD has at most 2 digits after the decimal point."),
        ("cost", "EUR", "This is no amount. Write the amount alone, as in 1250.50."),
        ("threshold", "999.000", "Is 999.000 999 or 999000? Write it without that sign."),
        ("threshold", "1.000", "Is 1.000 1 or 1000? Write it without that sign."),
        ("description", "x" * 20_001, "At most 20,000 letters, not 20,001."),
        ("barcode", "\u200b", "There is nothing in the barcode that can be seen."),
        ("barcode", "1" * 65, "A barcode has at most 64 letters."),
        ("barcode", "4,5E+12", "A spreadsheet has shortened 4,5E+12."),
        ("slug", "x" * 201, "At most 200 letters, not 201."),
        ("slug", "(empty)", "It cannot be empty."),
        ("status", "(empty)", "It cannot be empty."),
        ("image", "a" * 201, "At most 200 letters, not 201."),
        ("image", f"https://x/{'a' * 491}", "At most 500 letters, not 501."),
        ("categories", "A > > B", "A category needs a name."),
    ],
)
def test_a_cell_that_cannot_be_meant_is_refused_in_words(column, cell, error):
    _in_other_currencies()
    product(sku="A", price=1250)

    line = the_line(worked(sheet_of_rows(["sku", column], [["A", cell]])))

    assert line.error.startswith(f"{column}: {error}")


def _said(*cells: str, columns: tuple[str, ...] = ("name", "sku")) -> product_lines.Said:
    sheet = Sheet(columns=list(columns))
    return product_lines.said(sheet, ProductLine(number=2, cells=list(cells)))


def test_a_row_is_taken_apart_by_its_columns():
    assert _said(" Mug ", "A") == ("A", {"name": "Mug"}, "")
    assert _said("", "A") == ("A", {}, "")
    # As it is: a product of former days may have signs around its own.
    assert _said("Mug", " A") == (" A", {"name": "Mug"}, "")


@pytest.mark.parametrize(
    ("cells", "error"),
    [
        (("Mug",), "There is no sku."),
        (("Mug", " \u200b"), "There is no sku."),
        (("Mug", "A", "more"), "There are more cells than columns."),
        (("\x00", "A"), "There is a sign in it that cannot be kept."),
        (("Mug", "A\ud800"), "There is a sign in it that cannot be kept."),
    ],
)
def test_a_row_that_cannot_be_taken_apart_says_why(cells, error):
    assert _said(*cells).error == error


def test_a_sku_is_found_as_it_is_before_it_is_tidied():
    odd, plain = product(sku="B"), product(sku="A")
    Product.objects.filter(pk=odd.pk).update(sku="A\u200b")

    sheet = worked(sheet_of_rows(["sku", "name"], [["A\u200b", "Odd"], ["A", "Plain"]]))

    assert [line.product_id for line in lines_of(sheet)] == [odd.pk, plain.pk]


def _whole(made: Product) -> product_rows.Whole:
    return product_rows.read([made], with_pictures=True)[made.pk]


FULL = {
    "sku": "A",
    "name": "Shirt",
    "description": "'(Empty) ",
    "status": "draft",
    "barcode": "0012",
    "price_usd": Decimal("12.50"),
    "price_eur": Decimal("0.05"),
    "price_jpy": "",
    "cost": "4.200 KWD",
    "threshold": 0,
    "categories": "Clothes > Shirts; Sale",
    "image": "https://x/a.png",
    "slug": "shirt-a",
    "commodity_type": "digital",
    "manage_stock": "no",
    "initial_stock": "",
}
BARE = {
    **FULL,
    "name": "'''(empty)",
    "description": "",
    "status": "archived",
    "barcode": "",
    "price_usd": "",
    "price_eur": "",
    "price_jpy": Decimal(7),
    "cost": Decimal("4.20"),
    "threshold": "",
    "categories": "",
    "image": "0.png",
    "slug": "bare",
    "commodity_type": "physical",
    "manage_stock": "yes",
}


def test_what_a_product_has_is_written_as_it_is_read():
    _in_other_currencies()
    full = product(
        sku="A",
        name="Shirt",
        slug="shirt-a",
        description="(Empty) ",
        status="draft",
        barcode="0012",
        prices=[Money("USD", 1250), Money("EUR", 5)],
        cost=Money("KWD", 4200),
        low_stock_threshold=0,
        category_ids=[category("Sale").pk, category("Clothes > Shirts").pk],
        image_url="https://x/a.png",
        commodity_type="digital",
        managed=False,
    )

    assert {name: product_lines.cell_of(_whole(full), name) for name in FULL} == FULL
    assert all(
        product_lines.says_the_same(_whole(full), name, str(cell).strip())
        for name, cell in FULL.items()
    )


def test_what_a_product_has_not_is_written_as_nothing():
    _in_other_currencies()
    bare = product(
        sku="A", name="''(empty)", slug="bare", cost=Money("USD", 420), prices=[Money("JPY", 7)]
    )
    attach(bare, *rows(1))
    products.archive(bare.pk, actor=MERCHANT)
    whole = _whole(Product.objects.get())
    whole.managed = True

    assert {name: product_lines.cell_of(whole, name) for name in BARE} == BARE
    assert product_lines.cell_of(_whole(product()), "cost") == ""


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("price_USD", 1250, "price in USD: $12.50"),
        ("cost", [420, "EUR"], "cost: EUR 4.20"),
        ("manage_stock", True, "stock managed: yes"),
        ("manage_stock", False, "stock managed: no"),
        ("stock", 1200, "units: 1,200"),
        ("initial_stock", 0, "initial stock: 0"),
        ("low_stock_threshold", None, "low-stock threshold: "),
        ("image_url", "", "picture's address: "),
        ("commodity_type", "digital", "commodity type: digital"),
        ("sku", "A", "SKU: A"),
        ("name", "Shirt", "name: Shirt"),
    ],
)
def test_a_field_is_told_as_people_know_it(name: str, value: Any, words: str):
    _in_other_currencies()

    assert f"{product_lines.words_of(name)}: {product_lines.written(name, value)}" == words
