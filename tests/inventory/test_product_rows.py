"""Products with all that belongs to them: what is read and set, and which slugs are made."""

import pytest
from django.db import transaction

from api.models import Change
from inventory.models import Product
from inventory.services import currencies, product_rows, products
from inventory.services.product_rows import Whole
from inventory.services.products import Money
from tests.factories import MERCHANT, category, product
from tests.inventory.test_pictures import attach, rows
from tests.product_sheets import applied

pytestmark = pytest.mark.django_db


def _whole(made: Product) -> Whole:
    return product_rows.read([Product.objects.get(pk=made.pk)], with_pictures=True)[made.pk]


def test_slugs_are_made_that_nobody_has_or_gets():
    product(slug="mug")
    products.archive(product(slug="cup").pk, actor=MERCHANT)
    named = [
        *(("Mug", "1"), ("Cup", "2"), ("Cup", "3"), ("Plate", "4"), ("y" * 150, "5")),
        *(("x" * 100, f"{'s' * 98} t"), ("杯", "甲")),
    ]
    wanted = [Product(name=name, sku=sku) for name, sku in named]

    slugs = product_rows.free_slugs(wanted, ["plate", "y" * 150, "x" * 100])

    assert slugs == [
        *("mug-1", "cup", "cup-3", "plate-4", f"{'y' * 100}-5"),
        *(f"{'x' * 100}-{'s' * 98}", wanted[-1].pk.hex),
    ]


def test_those_without_a_slug_get_one_beside_those_that_have_theirs():
    made = [Product(name="Mug", sku="1"), Product(name="Cup", sku="2", slug="mug")]

    product_rows.give_slugs(made, ["mug-1"])

    assert [each.slug for each in made] == [made[0].pk.hex, "mug"]


def test_the_products_that_are_asked_for_are_locked_and_no_others():
    made, _ = product(), product()

    with transaction.atomic():
        assert product_rows.lock([made.pk]) == [made]
        assert product_rows.lock([]) == []


def test_what_belongs_to_a_product_is_read_with_it():
    currencies.create(code="EUR", actor=MERCHANT)
    made = product(
        status="draft",
        cost=Money("EUR", 420),
        prices=[Money("USD", 1250), Money("EUR", 1100)],
        category_ids=[category("Sale").pk],
        managed=False,
    )
    product(cost=Money("USD", 1), category_ids=[category("Other").pk])
    attach(made, *rows(2))

    whole = _whole(made)

    names = ("status", "cost", "price_USD", "price_EUR", "price_SEK", "categories", "picture")
    assert [whole.value(name) for name in (*names, "manage_stock", "sku")] == [
        *("draft", [420, "EUR"], 1250, 1100, None, "Sale", "0.png", False, made.sku)
    ]
    bare = _whole(product(prices=[]))
    assert [bare.value(name) for name in (*names, "manage_stock")] == [
        *("live", None, None, None, None, "", "", True)
    ]


def test_what_is_set_of_a_product_is_what_it_has_and_what_was_stays_known():
    currencies.create(code="EUR", actor=MERCHANT)
    made = product(cost=Money("USD", 420), status="draft", prices=[Money("USD", 1250, False)])
    attach(made, *rows(3))
    whole = _whole(made)

    for name, value in (
        *(("price_USD", 900), ("price_EUR", 800), ("cost", [300, "EUR"]), ("status", "archived")),
        *(("picture", "2.png"), ("name", "Blue"), ("manage_stock", False), ("categories", "Sale")),
    ):
        whole.set(name, value)
        assert whole.value(name) == value
    assert (whole.product.status, whole.product.archived_at is None) == ("draft", False)
    assert whole.prices["USD"].includes_tax is False
    assert [each.name for each in whole.pictures] == ["2.png", "0.png", "1.png"]
    assert whole.before["name"] == made.name
    assert whole.before["price_in_USD"] == "12.50, tax not included"

    for field, gone, now in (
        *(("status", "live", "live"), ("cost", None, None), ("price_EUR", None, None)),
        ("picture", "", "0.png"),
    ):
        whole.set(field, gone)
        assert whole.value(field) == now
    assert (whole.product.archived_at, whole.product.cost_currency) == (None, None)


def test_a_product_that_is_hidden_is_on_record_as_changed_and_an_archived_one_as_deleted():
    made = product(sku="A")

    applied("sku | status\nA | draft")
    applied("sku | status\nA | archived")

    entries = Change.objects.filter(thing_id=str(made.pk)).order_by("pk")
    assert [each.what for each in entries] == ["created", "changed", "deleted"]
