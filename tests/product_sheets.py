"""Sheets of products as tests write them, and what jobs do with them."""

from typing import Any

from api import clock
from inventory.models import Price, Product, ProductLine, Sheet
from inventory.services.sheets import processing
from tests.factories import MERCHANT


def sheet_of(table: str, **fields: Any) -> Sheet:
    """Make a sheet of products from a table of words: columns parted by |, lines by line ends."""
    header, *rows = [
        [cell.strip().replace("\\n", "\n") for cell in row.split("|")]
        for row in table.strip().splitlines()
    ]
    return sheet_of_rows(header, rows, **fields)


def sheet_of_rows(header: list[str], rows: list[list[str]], **fields: Any) -> Sheet:
    now = clock.now()
    sheet = Sheet(
        name="catalogue.csv",
        kind=Sheet.Kind.PRODUCTS,
        header=header,
        columns=header,
        lines_total=len(rows),
        uploaded_by=MERCHANT.name,
        created_at=now,
        updated_at=now,
        **fields,
    )
    sheet.actor = MERCHANT
    sheet.save()
    ProductLine.objects.bulk_create(
        ProductLine(sheet=sheet, number=number, cells=cells)
        for number, cells in enumerate(rows, start=2)
    )
    return sheet


def worked(sheet: Sheet) -> Sheet:
    """Do what jobs would do."""
    while processing.take_a_batch(sheet.pk):
        pass
    sheet.refresh_from_db()
    return sheet


def checked(table: str, **fields: Any) -> Sheet:
    sheet = worked(sheet_of(table, **fields))
    assert sheet.state == "checked"
    return sheet


def applied(table: str, **fields: Any) -> Sheet:
    return apply(checked(table, **fields))


def apply(sheet: Sheet) -> Sheet:
    processing.apply(sheet.pk, actor=MERCHANT, looked_at=True)
    assert worked(sheet).state == "applied"
    return sheet


def reverted(sheet: Sheet) -> Sheet:
    processing.revert(sheet.pk, actor=MERCHANT)
    return worked(sheet)


def lines_of(sheet: Sheet) -> list[ProductLine]:
    return list(ProductLine.objects.filter(sheet=sheet).order_by("number"))


def the_line(sheet: Sheet) -> ProductLine:
    [line] = lines_of(sheet)
    return line


def told(line: ProductLine) -> dict[str, tuple[Any, Any]]:
    return {each["field"]: (each["before"], each["after"]) for each in line.fields}


def named(sku: str) -> Product:
    return Product.objects.kept().get(sku=sku)


def prices_of(made: Product) -> dict[str, int]:
    return {price.currency_id: price.amount for price in Price.objects.filter(product=made)}
