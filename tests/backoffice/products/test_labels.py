"""The Labels page: which products, how many of each, on which paper, and what stands on them."""

import uuid
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from backoffice.products import labels
from inventory.models import DeliveryLine, Product
from inventory.services import currencies, products
from inventory.services.products import Money
from tests.backoffice.pages import client_with, text
from tests.factories import MERCHANT, delivery, product

pytestmark = pytest.mark.django_db

PAGE = "/admin/inventory/product/labels/"
EAN = "4006381333931"
CHOICE = {"code": "sku", "paper": "a4-24", "copies": "each", "each": "1", "start": "1"}


def asked(*made: Product, page: str = PAGE, **choice: Any) -> str:
    return f"{page}?{urlencode([*(('ids', each.pk) for each in made), *choice.items()])}"


def shown(client: Client, *made: Product, **choice: Any) -> dict[str, Any]:
    answer: Any = client.get(asked(*made, **{**CHOICE, **choice}))
    context: dict[str, Any] = answer.context
    return context


def told(context: Any) -> list[tuple[str, int, str]]:
    return [(label.product.sku, label.copies, " ".join(label.notes)) for label in context["labels"]]


def sheets(client: Client, *made: Product, **choice: Any) -> list[list[str]]:
    """What is printed, sheet by sheet: skus, and nothing on labels that are left out."""
    answer = client.get(asked(*made, page=f"{PAGE}print/", **{**CHOICE, **choice}))
    return [
        [label.product.sku if label else "" for label in sheet]
        for sheet in answer.context["sheets"]
    ]


def test_labels_come_in_the_order_that_was_chosen_and_each_product_once(admin_client):
    first, second = product(sku="A"), product(sku="B")
    products.archive(product(sku="GONE").pk, actor=MERCHANT)
    gone = Product.objects.get(sku="GONE")

    assert told(shown(admin_client, second, gone, first, second)) == [("B", 1, ""), ("A", 1, "")]


def test_begun_sheets_are_gone_on_with_and_full_ones_followed_by_the_next(admin_client):
    shirt, mug = product(sku="SHIRT"), product(sku="MUG")

    [first, second] = sheets(admin_client, shirt, mug, start=23, each=2)

    assert first == [*[""] * 22, "SHIRT", "SHIRT"]
    assert second == ["MUG", "MUG"]


def test_as_many_labels_are_printed_as_units_are_available(admin_client):
    made = [
        product(3, sku="THREE"),
        product(sku="NONE"),
        product(sku="UNCOUNTED", managed=False),
    ]

    assert told(shown(admin_client, *made, copies="available", each=7)) == [
        ("THREE", 3, ""),
        ("NONE", 0, "None: no label is printed."),
        ("UNCOUNTED", 1, "Its stock is not managed: one label is printed."),
    ]
    assert sheets(admin_client, *made, copies="available") == [["THREE"] * 3 + ["UNCOUNTED"]]


def test_as_many_labels_are_printed_as_units_a_delivery_brought(admin_client):
    shirt, mug = product(sku="SHIRT"), product(sku="MUG")
    boxes = delivery({shirt: 9, mug: 1})
    DeliveryLine.objects.filter(product=shirt).update(received=4)

    opened = admin_client.get(f"{PAGE}?delivery={boxes.pk}")

    assert told(opened.context) == [("SHIRT", 4, ""), ("MUG", 0, "None: no label is printed.")]
    assert f"/admin/inventory/delivery/{boxes.pk}/goods/" in opened.content.decode()
    printed = admin_client.get(
        f"{PAGE}print/?{urlencode({'delivery': boxes.pk, **CHOICE, 'copies': 'received'})}"
    )
    assert len(printed.context["sheets"][0]) == 4


def test_whoever_may_not_see_deliveries_gets_no_labels_of_one():
    clerk = client_with("view_product")

    assert clerk.get(f"{PAGE}?delivery={uuid.uuid4()}").status_code == 403


def test_all_that_a_filter_finds_gets_labels(admin_client):
    for sku, status in (("A", "draft"), ("B", "live"), ("C", "draft")):
        product(sku=sku, name=f"Shirt {sku}", status=status)

    found = admin_client.get(f"{PAGE}?{urlencode({'found': 'status__exact=draft'})}")
    searched = admin_client.get(f"{PAGE}?{urlencode({'found': 'q=shirt&status__exact=live'})}")
    nonsense = admin_client.get(f"{PAGE}?{urlencode({'found': 'nonsense=1'})}")

    assert [sku for sku, _, _ in told(found.context)] == ["A", "C"]
    assert [sku for sku, _, _ in told(searched.context)] == ["B"]
    assert (nonsense.status_code, nonsense.url) == (302, "/admin/inventory/product/")


def test_what_is_too_much_is_refused_before_anything_is_drawn(admin_client, monkeypatch):
    monkeypatch.setattr(labels, "PRODUCTS_MAX", 2)
    monkeypatch.setattr(labels, "LABELS_MAX", 5)
    made = [product() for _ in range(3)]

    many = shown(admin_client, *made)
    long = shown(admin_client, *made[:2], each=3)
    printed = admin_client.get(asked(*made[:2], page=f"{PAGE}print/", **{**CHOICE, "each": 3}))
    every = admin_client.get(f"{PAGE}?found=")

    assert "for 2 products at once, and these are more" in str(many["form"].non_field_errors())
    assert "5 labels are printed at once, and these are 6." in str(long["form"].non_field_errors())
    assert (many["labels"], long["labels"], every.context["labels"]) == ([], [], [])
    assert printed.status_code == 302
    assert printed.url.startswith(f"{PAGE}?ids=")


@pytest.mark.parametrize(
    ("field", "typed", "why"),
    [
        ("start", "25", "There are 24 labels on it."),
        ("start", "0", "greater than or equal to 1"),
        ("each", "0", "greater than or equal to 1"),
        ("each", "2001", "less than or equal to 2000"),
        ("each", "1.5", "Enter a whole number."),
        ("paper", "wall", "not one of the available choices"),
        ("code", "runes", "not one of the available choices"),
        ("copies", "received", "not one of the available choices"),
    ],
)
def test_what_cannot_be_printed_is_said_at_its_field(admin_client, field, typed, why):
    form = shown(admin_client, product(), **{field: typed})["form"]

    assert list(form.errors) == [field]
    assert why in str(form.errors[field])


def test_a_label_says_what_was_chosen_and_nothing_twice(admin_client):
    currencies.create(code="EUR", format="{price} \N{EURO SIGN}", actor=MERCHANT)
    shirt = product(
        sku="SHIRT", name="Shirt, navy", barcode=EAN, prices=[Money("EUR", 990)], stock=1
    )
    everything = {"code": "barcode", "name": "on", "sku": "on", "text": "on", "price": "on"}

    [label] = shown(admin_client, shirt, **everything, currency="EUR")["labels"]
    assert (label.text, label.sku, label.price) == (EAN, "SHIRT", "9.90 \N{EURO SIGN}")
    [label] = shown(admin_client, shirt, **{**everything, "code": "sku"}, currency="USD")["labels"]
    assert (label.text, label.sku, label.price) == ("SHIRT", "", "")
    assert label.notes == ["It has no price in USD."]
    [label] = shown(admin_client, shirt, currency="EUR")["labels"]
    assert (label.text, label.sku, label.price) == ("", "", "")


def test_what_is_printed_otherwise_than_chosen_is_said_of_its_product(admin_client):
    page = text(
        admin_client.get(asked(product(sku="Gr\xf6\xdfe"), **{**CHOICE, "code": "barcode"}))
    )

    assert "1 not quite as chosen" in page
    assert "It has no barcode: its SKU is printed. Code 128 has no such letters" in page


def test_a_code_that_stands_on_many_labels_is_drawn_once(admin_client):
    shirt = product(sku="SHIRT")

    page = text(admin_client.get(asked(shirt, page=f"{PAGE}print/", **{**CHOICE, "each": 9})))

    assert page.count('<path id="code-') == 1
    assert page.count('<use href="#code-') == 9


@pytest.mark.parametrize("address", [PAGE, f"{PAGE}print/"])
def test_labels_carry_no_style_of_their_own(admin_client, address):
    name = "</p><b style='color:red' onclick=''>"
    answer = text(admin_client.get(asked(product(name=name), page=address, **CHOICE, name="on")))

    own = answer.partition('class="label')[2]
    assert " style=" not in own.replace("<b style='color:red' onclick=''>", "")


@pytest.mark.parametrize("asks", ["ids", "found", "delivery"])
@pytest.mark.parametrize("address", [PAGE, f"{PAGE}print/"])
def test_labels_for_many_cost_as_many_statements_as_for_one(admin_client, asks, address):
    boxes = delivery()

    def statements(made: list[Product]) -> int:
        DeliveryLine.objects.bulk_create(
            [DeliveryLine(delivery=boxes, product=each, received=1) for each in made]
        )
        ways = {"ids": asked(*made, page=address, **CHOICE)}
        ways["found"] = f"{address}?{urlencode({'found': '', **CHOICE})}"
        ways["delivery"] = f"{address}?{urlencode({'delivery': boxes.pk, **CHOICE})}"
        with CaptureQueriesContext(connection) as queries:
            assert admin_client.get(ways[asks]).status_code == 200
        return len(queries)

    statements([product()])
    one = statements([product()])

    assert statements([product() for _ in range(5)]) == one


def test_no_product_is_said_to_be_none(admin_client):
    assert "No product was chosen" in text(admin_client.get(f"{PAGE}?ids=nonsense"))
    assert "No product was chosen" in text(admin_client.get(f"{PAGE}?delivery={uuid.uuid4()}"))
    assert admin_client.get(f"{PAGE}print/").status_code == 302


@pytest.mark.parametrize("across", ["0", "1"])
def test_labels_are_asked_for_in_the_list_of_products(admin_client, across):
    made = [product(sku=f"SHIRT-{number}", name=f"Shirt {number}") for number in range(3)]
    product(sku="MUG", name="Mug")
    sent = {"action": "print_labels_selected", "_selected_action": [made[1].pk]}

    answer = admin_client.post(
        "/admin/inventory/product/?q=shirt", {**sent, "select_across": across}, follow=True
    )

    found = [sku for sku, _, _ in told(answer.context)]
    assert found == (["SHIRT-0", "SHIRT-1", "SHIRT-2"] if across == "1" else ["SHIRT-1"])
