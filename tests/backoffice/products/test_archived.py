"""Archived products: where they are found and read, and how they come back."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from inventory.models import Product
from inventory.services import products
from inventory.services.products import Money
from tests.backoffice.pages import client_with, send, signed_in, text
from tests.factories import MERCHANT, product

pytestmark = pytest.mark.django_db

PRODUCTS = "/admin/inventory/product/"
ARCHIVED = f"{PRODUCTS}archived/"


@pytest.fixture
def clerk() -> Client:
    return client_with(
        "view_product", "delete_product", "change_product", "view_stock", "view_stocktransaction"
    )


def archived(stock: int = 0, **fields: Any) -> Product:
    made = product(stock, **fields)
    products.archive(made.pk, actor=MERCHANT)
    return made


def test_archived_products_have_a_list_of_their_own(clerk, django_assert_num_queries):
    archived(sku="OLD-1", name="Old shirt", barcode="4006381333931")
    archived(sku="OLD-2", name="Old mug")
    product(sku="KEPT", name="Kept shirt")

    page = text(clerk.get(ARCHIVED))
    assert "Old shirt" in page
    assert "OLD-2" in page
    assert MERCHANT.name in page
    assert "Kept shirt" not in page
    for typed in ("old-1", "4006381333931"):
        found = text(clerk.get(ARCHIVED, {"q": typed}))
        assert ("Old shirt" in found, "Old mug" in found) == (True, False)
    assert "Old shirt" not in text(clerk.get(PRODUCTS))
    with django_assert_num_queries(7):
        clerk.get(ARCHIVED)


def test_an_archived_product_is_read_on_a_page_of_its_own(clerk):
    old = archived(7, sku="OLD", name="Old shirt")

    page = text(clerk.get(f"{ARCHIVED}{old.pk}/"))
    assert f"by {MERCHANT.name}" in page
    assert "$12.50" in page
    assert f"{ARCHIVED}{old.pk}/restore/" in page
    # Its log, too.
    assert "stock no longer managed" in text(clerk.get(f"{PRODUCTS}{old.pk}/stock-history/"))


@pytest.mark.parametrize("part", ["change/", "prices/", "inventory/", "history/", "delete/"])
def test_whoever_looks_for_an_archived_product_is_led_to_where_it_is_read(clerk, part):
    old = archived()

    answer = clerk.get(f"{PRODUCTS}{old.pk}/{part}")

    assert answer["Location"] == f"{ARCHIVED}{old.pk}/"
    kept = product()
    assert clerk.get(f"{ARCHIVED}{kept.pk}/")["Location"] == f"{PRODUCTS}{kept.pk}/inventory/"


def test_a_product_is_brought_back_as_it_was(clerk):
    old = archived(sku="OLD", slug="old")
    page = f"{ARCHIVED}{old.pk}/restore/"
    typed = {"sku": "OLD", "slug": "old"}

    answer = send(clerk, page, typed, follow=True)

    old.refresh_from_db()
    assert (old.archived_at, old.status, old.sku, old.slug) == (None, "draft", "OLD", "old")
    assert "is back, as a draft" in text(answer)
    # Once more, by somebody who had the form open.
    assert clerk.post(page, typed)["Location"] == f"{PRODUCTS}{old.pk}/inventory/"


def test_another_sku_is_offered_where_the_old_one_was_taken(clerk):
    old = archived(sku="SHIRT", slug="shirt")
    product(sku="SHIRT", slug="shirt-3", name="Successor")
    product(sku="SHIRT-2", slug="shirt-4")
    page = f"{ARCHIVED}{old.pk}/restore/"

    form = clerk.get(page)
    assert "Successor (SHIRT) has the sku SHIRT by now." in text(form)
    assert (form.context["form"]["sku"].value(), form.context["form"]["slug"].value()) == (
        "SHIRT-3",
        "shirt",
    )

    refused = send(clerk, page, {"sku": "SHIRT", "slug": "shirt"})
    assert "Successor (SHIRT) has the sku SHIRT by now." in text(refused)
    assert "There is nothing in it" in text(send(clerk, page, {"sku": "\u200b", "slug": "shirt"}))
    assert Product.objects.kept().count() == 2

    send(clerk, page, {"sku": "SHIRT-3", "slug": "shirt"})
    assert Product.objects.kept().get(sku="SHIRT-3") == old


def test_who_may_not_delete_may_not_bring_back():
    old = archived()
    viewer = client_with("view_product")

    assert viewer.get(f"{ARCHIVED}{old.pk}/restore/").status_code == 403
    assert viewer.post(f"{ARCHIVED}{old.pk}/restore/", {"sku": "A"}).status_code == 403
    assert "restore" not in text(viewer.get(f"{ARCHIVED}{old.pk}/"))
    assert (
        signed_in(User.objects.create_user("nobody", is_staff=True)).get(ARCHIVED).status_code
        == 403
    )


def test_what_an_archived_product_cost_is_told_to_whoever_may_see_costs(clerk):
    made = archived(cost=Money("USD", 98765))

    page = text(clerk.get(f"{ARCHIVED}{made.pk}/"))

    assert "Cost: changed" in page
    assert "987.65" not in page
