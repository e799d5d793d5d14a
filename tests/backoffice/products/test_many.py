"""Many products at once: what the list offers, what the forms ask, and the sheets of them."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from inventory.models import Product, Sheet
from inventory.services import categories, currencies, products
from inventory.services.sheets import processing
from tests.backoffice.pages import client_with, send, signed_in, text
from tests.factories import MERCHANT, product

pytestmark = pytest.mark.django_db

PRODUCTS = "/admin/inventory/product/"
MANY = f"{PRODUCTS}many/"


@pytest.fixture
def clerk() -> Client:
    return client_with("view_product", "change_product", "delete_product", "view_sheet")


def chosen(client: Client, action: str, *rows: Product, **more: Any) -> str:
    """Choose rows in the list, and return where that leads."""
    address = more.pop("address", PRODUCTS)
    sent = {"action": action, "index": 0, "_selected_action": [row.pk for row in rows], **more}
    return str(client.post(address, sent)["Location"])


def sheet_of(answer: Any) -> Sheet:
    """The sheet that a form has made, and led to."""
    sheet = Sheet.objects.get()
    assert answer["Location"] == f"/admin/inventory/sheet/{sheet.pk}/change/"
    return sheet


def wanted(sheet: Sheet) -> list[Any]:
    return [line.wanted for line in sheet.lines.order_by("number")]


CHANGES: dict[str, dict[str, str]] = {
    "publish": {},
    "unpublish": {},
    "set-price": {"price": "9.90"},
    "change-prices": {"way": "up", "by": "10", "unit": "per_cent", "rounding": "0"},
    "threshold": {"threshold": "5"},
    "delete": {},
}
WANTED: dict[str, tuple[str, dict[str, Any]]] = {
    "publish": ("Publish 1 product", {"status": "live"}),
    "unpublish": ("Unpublish 1 product", {"status": "draft"}),
    "set-price": ("Price $9.90 of 1 product", {"price_USD": 990}),
    "change-prices": ("Prices +10 % of 1 product", {"price_USD": 1375}),
    "threshold": ("Low-stock threshold 5 for 1 product", {"low_stock_threshold": 5}),
    "delete": ("Delete 1 product", {"status": "archived"}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_chosen_becomes_a_sheet_that_is_checked_at_once(name, clerk):
    shirt, _ = product(3, price=1250, name="Shirt"), product()

    address = chosen(clerk, f"{name.replace('-', '_')}_selected", shirt)
    assert address == f"{MANY}{name}/?ids={shirt.pk}"
    page = text(clerk.get(address))
    assert "1 product" in page
    assert f"Shirt ({shirt.sku})" in page
    sheet = sheet_of(send(clerk, address, CHANGES[name]))

    named, fields = WANTED[name]
    assert (sheet.name, wanted(sheet)) == (named, [fields])
    assert (sheet.state, sheet.actor.name) == ("checked", "clerk")
    # Nothing has happened yet.
    assert Product.objects.kept().filter(status="live", low_stock_threshold=None).count() == 2
    assert [each.amount for each in shirt.prices.all()] == [1250]


def test_the_page_says_what_becomes_of_prices_in_all_and_of_each(clerk):
    rows = [product(price=amount) for amount in (1000, 4000)]
    query = "&".join(f"ids={row.pk}" for row in rows)
    sheet = sheet_of(send(clerk, f"{MANY}change-prices/?{query}", CHANGES["change-prices"]))

    page = text(clerk.get(f"/admin/inventory/sheet/{sheet.pk}/change/"))

    assert "Prices in USD: 2 up; the lowest is $11.00 then, and the highest $44.00." in page
    assert '$40.00 → <span class="hf-strong">$44.00' in page
    assert "Applying it changes" in page
    assert "Apply 2 changes" in page


@pytest.mark.parametrize(("name", "may"), [("publish", True), ("delete", False)])
def test_who_may_change_and_not_delete_applies_what_changes_alone(name, may, clerk):
    sheet = sheet_of(send(clerk, f"{MANY}{name}/?ids={product().pk}"))
    changer = User.objects.create_user("changer", is_staff=True)
    may_do = ("view_product", "change_product", "view_sheet")
    changer.user_permissions.set(Permission.objects.filter(codename__in=may_do))
    client, address = signed_in(changer), f"/admin/inventory/sheet/{sheet.pk}/"

    assert (f"{address}discard/" in text(client.get(f"{address}change/"))) is may
    assert (client.post(f"{address}discard/").status_code == 403) is not may


def test_all_that_a_filter_finds_are_chosen(clerk):
    *_, shirt = [
        product(name=f"Shirt {number}", status="draft" if number else "live") for number in range(3)
    ]
    product(name="Mug", sku="MUG", status="draft")
    listed = f"{PRODUCTS}?status__exact=draft&q=shirt"

    address = chosen(clerk, "publish_selected", shirt, address=listed, select_across="1")

    page = clerk.get(address)
    assert "Publish 2 products?" in text(page)
    assert page.context["chosen"].back == listed
    sheet = sheet_of(send(clerk, address))
    assert sheet.name == "Publish 2 products"
    assert [line.product.name for line in sheet.lines.order_by("number")] == ["Shirt 1", "Shirt 2"]


def test_a_form_that_is_sent_twice_makes_one_sheet(clerk):
    address = f"{MANY}publish/?ids={product(status='draft').pk}"
    typed = {"once": "abc"}

    first, second = (clerk.post(address, typed)["Location"] for _ in range(2))

    assert first == second
    assert Sheet.objects.count() == 1


@pytest.mark.parametrize(
    ("name", "typed", "said"),
    [
        ("set-price", {"price": ""}, "This field is required."),
        ("set-price", {"price": "9.999"}, "USD has at most 2 digits after the decimal point."),
        ("set-price", {"price": "-1"}, "An amount cannot be negative."),
        ("change-prices", {"by": ""}, "This field is required."),
        ("change-prices", {"by": "ten"}, "Enter a number."),
        ("change-prices", {"by": "0"}, "Above 0, and at most 1,000 per cent."),
        ("change-prices", {"by": "101", "way": "down"}, "Above 0, and at most 100 per cent."),
        ("change-prices", {"by": "1001"}, "Above 0, and at most 1,000 per cent."),
        ("change-prices", {"by": "1.234"}, "no more than 2 decimal places"),
        ("change-prices", {"by": "0", "unit": "amount"}, "Nothing would change."),
        ("change-prices", {"by": "1", "rounding": "99"}, "Select a valid choice."),
        ("threshold", {"threshold": "-1"}, "greater than or equal to 0"),
        ("threshold", {"threshold": "1.5"}, "Enter a whole number."),
        ("categories", {"way": "add"}, "Choose at least one category."),
        ("categories", {"way": "add", "categories": "none"}, "is not a valid"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_makes_no_sheet(name, typed, said, clerk):
    address = f"{MANY}{name}/?ids={product().pk}"
    sensible = {"way": "up", "unit": "per_cent", "rounding": "0"}
    sensible = sensible if name == "change-prices" else {}

    assert said in text(send(clerk, address, {**sensible, **typed}))
    assert not Sheet.objects.exists()


@pytest.mark.parametrize(
    ("typed", "named", "amount"),
    [
        ({"by": "2,5"}, "Prices +2.5 % of 1 product", 1281),
        ({"way": "down", "by": "10 %"}, "Prices \N{MINUS SIGN}10 % of 1 product", 1125),
        ({"unit": "amount", "by": "0.60"}, "Prices +$0.60 of 1 product", 1310),
        ({"by": "10", "rounding": "4"}, "Prices +10 % of 1 product", 1399),
    ],
)
def test_prices_change_by_per_cent_or_by_an_amount_and_are_rounded(typed, named, amount, clerk):
    address = f"{MANY}change-prices/?ids={product(price=1250).pk}"
    form = {"way": "up", "unit": "per_cent", "rounding": "0", **typed}

    sheet = sheet_of(send(clerk, address, form))

    assert (sheet.name, wanted(sheet)) == (named, [{"price_USD": amount}])


def test_prices_are_changed_in_one_currency(clerk):
    currencies.create(code="JPY", format="¥{price}", decimal_places=0, actor=MERCHANT)
    address = f"{MANY}set-price/?ids={product().pk}"

    assert "currency=JPY" in text(clerk.get(address))
    sheet = sheet_of(send(clerk, f"{address}&currency=JPY", {"price": "990"}))

    assert wanted(sheet) == [{"price_JPY": 990}]


def test_categories_are_chosen_by_their_paths(clerk):
    clothes = categories.create(name="Clothes", actor=MERCHANT)
    kids = categories.create(name="Kids", parent_id=clothes.pk, actor=MERCHANT)
    address = f"{MANY}categories/?ids={product().pk}"

    assert "Clothes &gt; Kids" in clerk.get(address).content.decode()
    sheet = sheet_of(send(clerk, address, {"way": "add", "categories": [str(kids.pk)]}))

    assert (sheet.name, wanted(sheet)) == (
        "Into Clothes > Kids: 1 product",
        [{"categories": "Clothes > Kids"}],
    )


def test_archived_products_are_brought_back_together(clerk):
    old = product()
    products.archive(old.pk, actor=MERCHANT)
    archived = f"{PRODUCTS}archived/"

    address = chosen(clerk, "restore_selected", old, address=archived)
    assert address == f"{archived}many/restore/?ids={old.pk}"
    sheet = sheet_of(send(clerk, address))
    processing.apply(sheet.pk, actor=MERCHANT)
    processing.hurry(sheet.pk)

    old.refresh_from_db()
    assert (old.archived_at, old.status) == (None, "draft")


def test_labels_are_printed_of_what_was_chosen(clerk):
    shirt = product()

    listed = f"{PRODUCTS}?status__exact=live"
    one = chosen(clerk, "print_labels_selected", shirt)
    found = chosen(clerk, "print_labels_selected", shirt, address=listed, select_across="1")

    for address in (one, found):
        assert "/labels/?" in address
        assert shirt.sku in text(clerk.get(address))


@pytest.mark.parametrize("asked", ["", "?ids=nothing", "?ids=%00", "?found=q%3Dno+such+thing"])
def test_nothing_chosen_is_said(asked, clerk):
    page = f"{MANY}publish/{asked}"

    assert "No product was chosen" in text(clerk.get(page))
    assert "No product was chosen" in text(send(clerk, page))
    assert not Sheet.objects.exists()


def test_what_is_no_product_is_not_chosen(clerk):
    answer = clerk.post(PRODUCTS, {"action": "publish_selected", "_selected_action": ["nothing"]})

    assert answer.status_code == 400
    assert clerk.get(f"{MANY}publish/?found=status__exact%3D%00").status_code == 400


def test_the_list_offers_what_somebody_may_do():
    product()
    viewer = client_with("view_product")

    page = text(viewer.get(PRODUCTS))
    assert "Print labels" in page
    assert "Change prices" not in page
    assert "delete_selected" not in page
    assert viewer.get(f"{MANY}publish/").status_code == 403


def test_the_form_costs_the_same_however_many_are_chosen(clerk, django_assert_num_queries):
    few = [product()]
    many = [*few, *(product() for _ in range(12))]
    # The currencies are known from now on.
    clerk.get(f"{MANY}change-prices/")
    for rows in (few, many):
        query = "&".join(f"ids={row.pk}" for row in rows)
        with django_assert_num_queries(6):
            clerk.get(f"{MANY}change-prices/?{query}")
