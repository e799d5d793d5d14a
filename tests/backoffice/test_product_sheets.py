"""The pages of files of products: what is said before, what became of each line, and who may."""

import csv
import io
from typing import Any

import openpyxl
import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from inventory.models import Product, Sheet
from inventory.services import currencies, products
from inventory.services.products import Money
from tests.backoffice.pages import client_with, hidden
from tests.backoffice.products.test_export import exported
from tests.backoffice.test_sheets import page_of, press, send, text
from tests.factories import MERCHANT, product, stock_of
from tests.product_sheets import apply, named, prices_of, sheet_of_rows, worked

pytestmark = pytest.mark.django_db

CLERK = (
    *("view_sheet", "view_product", "add_product", "change_product", "change_stock"),
    *("view_cost", "view_stock", "view_stocktransaction"),
)


def the_sheet() -> Sheet:
    return Sheet.objects.latest("pk")


def test_a_file_is_checked_applied_and_taken_back_while_somebody_waits():
    clerk = client_with(*CLERK)
    shirt = product(sku="A", name="Shirt", price=1250)

    page = text(send(clerk, "sku,name,price_usd\nA,Blue shirt,13\nN,Mug,4\nX,,4\n", "new.csv"))

    assert "Applying it makes or changes 2 products" in page
    assert 'Name: Shirt → <span class="hf-strong">Blue shirt</span>' in page
    assert 'Price in USD: $12.50 → <span class="hf-strong">$13.00</span>' in page
    assert "a new one needs a name" in page
    assert named("A").name == "Shirt"

    page = text(press(clerk, the_sheet(), "apply", follow=True))
    assert "It made or changed 2 products" in page
    assert f'href="/admin/inventory/product/{named("N").pk}/change/">Mug (N)</a>' in page
    history = text(clerk.get(reverse("admin:inventory_product_stock_history", args=[shirt.pk])))
    assert f'href="{page_of(the_sheet())}?after=1">new.csv, line 2</a>' in history

    page = text(press(clerk, the_sheet(), "revert", follow=True))
    assert "(taken back)" in page
    assert (named("A").name, prices_of(shirt)) == ("Shirt", {"USD": 1250})
    assert not Product.objects.kept().filter(sku="N").exists()


def test_tabs_part_what_is_new_from_what_changes():
    clerk = client_with(*CLERK)
    product(sku="A", name="Shirt")
    product(sku="B", name="Same")
    send(clerk, "sku,name\nA,Blue shirt\nB,Same\nN,Mug\n")

    def shown(tab: str) -> list[str]:
        page = clerk.get(page_of(the_sheet()), {"show": tab})
        return [line.sku for line in page.context["page"].lines]

    tabs = ("all", "created", "changes", "unchanged", "errors")
    assert [shown(tab) for tab in tabs] == [["A", "B", "N"], ["N"], ["A"], ["B"], []]


def test_costs_on_the_page_are_for_those_who_may_see_them():
    product(sku="A")
    worked(sheet_of_rows(["sku", "cost"], [["A", "4.20"]]))

    without = text(client_with("view_sheet", "view_product").get(page_of(the_sheet())))

    assert "Cost: changed" in without
    assert "4.20" not in without


@pytest.mark.parametrize("cell", ["4.2075", "4.20.75", "4.20 per dozen", "-4.20", "4.20 XYZ"])
def test_a_cost_that_is_refused_is_not_told_in_the_error(cell):
    product(sku="A")
    sheet = worked(sheet_of_rows(["sku", "cost"], [["A", cell]]))
    viewer = client_with("view_sheet", "view_product")

    page = text(viewer.get(page_of(sheet)))

    assert (sheet.refused, "4.20" in page) == (1, False)


@pytest.mark.parametrize("missing", ["add_product", "change_product"])
def test_whoever_may_not_make_and_change_products_does_neither_by_a_file(missing):
    product(sku="A", name="Shirt")
    sheet = worked(sheet_of_rows(["sku", "name"], [["A", "Blue"]]))
    clerk = client_with(*[each for each in CLERK if each != missing])

    page = text(clerk.get(page_of(sheet)))

    assert "Name: Shirt" in page
    assert ">Apply" not in page
    for action in ("apply", "discard", "revert"):
        assert clerk.post(page_of(sheet, action), {"seen": ""}).status_code == 403
    answer = send(clerk, "sku,name\nA,Blue\n")
    assert Sheet.objects.count() == 1
    assert "may" in text(answer)


@pytest.mark.parametrize("also", [(), ("delete_product",)])
def test_whoever_may_not_delete_products_archives_none_by_a_file(also):
    made = product(sku="A", name="Shirt")
    sheet = worked(sheet_of_rows(["sku", "status"], [["A", "archived"]]))
    clerk = client_with(*CLERK, *also)

    answer = press(clerk, sheet, "apply")

    made.refresh_from_db()
    assert (answer.status_code, made.archived_at is not None) == (
        (302, True) if also else (403, False)
    )


def test_whoever_may_not_change_stock_ends_no_managing_by_a_file():
    made = product(5, sku="A", name="Shirt")
    sheet = worked(sheet_of_rows(["sku", "manage_stock"], [["A", "no"]]))
    clerk = client_with(*[each for each in CLERK if each != "change_stock"])

    assert press(clerk, sheet, "apply").status_code == 403
    assert stock_of(made).managed


def test_a_workbook_of_the_exported_list_changes_nothing():
    clerk = client_with(*CLERK)
    currencies.create(code="EUR", actor=MERCHANT)
    product(sku="0042", name="=1+1", barcode="0012345678905", description="two\nlines")
    product(sku="B", name="Mütze", price=1210, low_stock_threshold=0, managed=False)
    book = openpyxl.Workbook()
    for row in exported(clerk):
        book.active.append([_as_typed(cell) for cell in row])
    file = io.BytesIO()
    book.save(file)

    sent = SimpleUploadedFile("products.xlsx", file.getvalue())
    clerk.post(reverse("admin:inventory_sheet_add"), {"file": sent}, follow=True)

    sheet = the_sheet()
    assert (sheet.state, sheet.changed, sheet.unchanged, sheet.refused) == ("checked", 0, 2, 0)


def _as_typed(cell: str) -> Any:
    """What a spreadsheet makes of a cell: prices become numbers, and lose their zeros."""
    return float(cell) if cell.count(".") == 1 and cell.replace(".", "").isdecimal() else cell


def test_refused_lines_are_sent_again_with_what_was_wrong_corrected():
    clerk = client_with(*CLERK)
    product(sku="A", name="Shirt")
    send(clerk, "sku,name,price_usd\nA,Blue,x\nN,Mug,4\n")
    press(clerk, the_sheet(), "apply", follow=True)

    answer: Any = clerk.get(page_of(the_sheet(), "refused"))
    rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert rows[1][:3] == ["A", "Blue", "x"]
    assert "is no number" in rows[1][3]
    rows[1][2] = "13"
    again = io.StringIO()
    csv.writer(again).writerows(rows)
    send(clerk, again.getvalue(), "again.csv")

    assert (the_sheet().changed, the_sheet().refused) == (1, 0)


def test_the_page_of_lines_asks_a_fixed_number_of_questions(django_assert_max_num_queries):
    clerk: Client = client_with(*CLERK)
    for number in range(30):
        product(sku=f"A{number}", name="Shirt")
    rows = [[f"A{number}", "Blue", "13", "4"] for number in range(30)]
    sheet = worked(sheet_of_rows(["sku", "name", "price_usd", "cost"], rows))

    with django_assert_max_num_queries(14):
        clerk.get(page_of(sheet))


def test_whoever_may_not_see_costs_writes_none_by_a_file():
    made = product(sku="A")
    clerk = client_with(*[each for each in CLERK if each != "view_cost"])

    answer = send(clerk, "sku,cost\nA,4.20\n")

    assert "cost of products, which you may not see" in text(answer)
    assert not Sheet.objects.exists()
    sheet = worked(sheet_of_rows(["sku", "cost"], [["A", "4.20"]]))
    assert ">Apply" not in text(clerk.get(page_of(sheet)))
    assert clerk.post(page_of(sheet, "apply"), {"seen": ""}).status_code == 403
    made.refresh_from_db()
    assert made.cost is None


def test_of_a_file_that_is_asked_about_costs_are_neither_shown_nor_offered():
    product(sku="A", name="Shirt")
    clerk = client_with(*[each for each in CLERK if each != "view_cost"])
    send(clerk, "sku,title,cost\nA,Blue shirt,4.20\n")
    sheet = the_sheet()

    page = text(clerk.get(page_of(sheet)))
    chosen = {"column_0": "sku", "column_1": "name", "column_2": "cost"}
    once = hidden(clerk, page_of(sheet))
    refused = clerk.post(page_of(sheet, "columns"), {**once, **chosen})
    clerk.post(page_of(sheet, "columns"), {**once, **chosen, "column_2": ""})

    assert "4.20" not in page
    assert "Select a valid choice" in text(refused)
    sheet.refresh_from_db()
    assert (sheet.state, sheet.columns) == ("checked", ["sku", "name", ""])


@pytest.mark.parametrize("may", ["add_product", "change_product", "change_stock"])
def test_whoever_may_do_half_of_it_is_offered_what_they_may(may):
    send(client_with(*CLERK), "sku,title\nA,Blue shirt\n")
    User.objects.all().delete()
    client = client_with("view_product", "view_sheet", may)

    is_offered = "sheet/add/" in text(client.get("/admin/inventory/product/"))
    may_upload = client.get("/admin/inventory/sheet/add/").status_code == 200
    asked = text(client.get(page_of(the_sheet())))
    discarded = client.post(page_of(the_sheet(), "discard"), {"seen": ""})

    assert is_offered == may_upload == (may == "change_stock")
    assert ("Discard" in asked) == (discarded.status_code == 302)


def test_what_became_of_costs_is_told_without_them():
    made = product(sku="A")
    sheet = worked(sheet_of_rows(["sku", "cost"], [["A", "4.20"]]))
    products.change_prices(
        made.pk, {}, actor=MERCHANT, cost=products.NewCost(Money("USD", 555), None)
    )
    apply(sheet)

    page = text(client_with("view_sheet", "view_product").get(page_of(sheet)))

    assert "The cost changed since this was checked." in page
    assert "5.55" not in page
