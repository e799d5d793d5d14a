"""The pages of categories, the boxes on a product's form, and the filter of the list."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from api import store
from inventory.models import Category, Product
from inventory.services import categories, category_tree, currencies
from tests.backoffice.pages import client_with, filled_in, signed_in, text
from tests.factories import MERCHANT, category, product

pytestmark = pytest.mark.django_db

TREE = "/admin/inventory/category/"
PRODUCTS = "/admin/inventory/product/"


@pytest.fixture
def owner() -> Client:
    return signed_in(User.objects.create_superuser("boss"))


def as_shown(response: Any) -> dict[str, list[str]]:
    """What a browser would send of a form that nobody has touched."""
    sent = filled_in(response)
    # The search in the sidebar is no part of it.
    sent.pop("s", None)
    return sent


def page_of(made: Category, page: str = "change") -> str:
    return f"{TREE}{made.pk}/{page}/"


def paths() -> list[str]:
    return list(category_tree.paths().values())


# The tree.


def test_the_tree_costs_the_same_however_many_categories_there_are(
    owner, django_assert_num_queries
):
    store.current()
    category("Clothes")
    with django_assert_num_queries(4):
        owner.get(TREE)

    categories.make([f"Clothes > Shirts {n}" for n in range(30)], actor=MERCHANT)
    product(category_ids=[category("Clothes").pk])

    with django_assert_num_queries(4):
        assert len(owner.get(TREE).context["rows"]) == 31


def test_the_tree_shows_how_many_products_are_in_each_and_leads_to_them(owner):
    shirts = category("Clothes > Shirts")
    for _ in range(2):
        product(category_ids=[shirts.pk])

    rows = owner.get(TREE).context["rows"]
    assert [(row.category.name, row.level, row.products) for row in rows] == [
        ("Clothes", 1, 0),
        ("Shirts", 2, 2),
    ]
    assert f"{PRODUCTS}?category={shirts.pk}" in text(owner.get(TREE))


def test_a_tree_of_many_is_shown_in_pages_and_searched(owner):
    categories.make([f"Number {n:03}" for n in range(203)], actor=MERCHANT)

    first = owner.get(TREE).context
    second = owner.get(f"{TREE}{first['next']}").context
    found = owner.get(TREE, {"q": "NUMBER 20"}).context

    assert [len(page["rows"]) for page in (first, second, found)] == [200, 3, 3]
    assert not second["next"]
    assert "No category is called so" in text(owner.get(TREE, {"q": "no such"}))


def test_without_categories_it_says_what_they_are_for(owner):
    assert "There are no categories yet" in text(owner.get(TREE))


def test_a_category_is_made_below_another_and_renamed(owner):
    clothes = category("Clothes")
    add = f"{TREE}add/?parent={clothes.pk}"

    sent = as_shown(owner.get(add))
    assert sent["parent"] == [str(clothes.pk)]
    owner.post(add, {**sent, "name": "Shirts"})
    assert paths() == ["Clothes", "Clothes > Shirts"]

    change = page_of(category("Clothes > Shirts"))
    owner.post(change, {**as_shown(owner.get(change)), "name": "Tops"})
    assert paths() == ["Clothes", "Clothes > Tops"]
    owner.post(change, {**as_shown(owner.get(change)), "name": "Hats", "parent": ""})
    assert paths() == ["Clothes", "Hats"]


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ({"name": "Clothes > Shirts"}, 'There can be no ">"'),
        ({"name": "SALE"}, "of this name in the same place"),
        ({"name": "More", "slug": "sale"}, "Another category has this slug"),
    ],
    ids=["a path", "a name that is there", "a slug that is there"],
)
def test_what_cannot_be_is_said_beside_its_field(owner, typed, why):
    category("Sale")

    shown = owner.post(f"{TREE}add/", {"name": "", "parent": "", "slug": "", **typed})

    assert why in str(shown.context["adminform"].form.errors.as_data())
    assert paths() == ["Sale"]


def test_two_who_edit_one_category_overwrite_nobody(owner):
    change = page_of(category("Shirts"))
    sent = as_shown(owner.get(change))
    categories.update(category("Shirts").pk, name="Tops", actor=MERCHANT)

    shown = owner.post(change, {**sent, "name": "Blouses"})

    assert "Somebody changed it since" in text(shown)
    assert paths() == ["Tops"]


def test_arrows_move_a_category_once_however_often_they_are_pressed(owner):
    categories.make(["A", "B", "C"], actor=MERCHANT)
    [up] = re.findall(r'value="(\S+ \d+ up)" aria-label="Move C up"', text(owner.get(TREE)))

    for _ in range(2):
        answer = owner.post(TREE, {"move": up}, follow=True)

    assert paths() == ["A", "C", "B"]
    assert "It changed since this form was opened" in text(answer)
    assert owner.post(TREE, {"move": "up"}).status_code == 400


def test_to_delete_a_category_says_first_what_it_does(owner):
    shirts = category("Clothes > Shirts")
    made = product(category_ids=[shirts.pk])

    assert "Below it there are Shirts" in text(owner.get(page_of(category("Clothes"), "delete")))
    delete = page_of(shirts, "delete")
    asked = owner.get(delete)
    assert "1 product loses it, and stays" in text(asked)
    owner.post(delete, as_shown(asked))

    assert paths() == ["Clothes"]
    assert not made.categories.exists()


def test_who_may_only_look_is_offered_nothing_else():
    category("Clothes")
    viewer = client_with("view_category")

    shown = text(viewer.get(TREE))

    assert not re.search("Add category|Add below|Move|Delete", shown)
    assert viewer.post(TREE, {"move": "x"}).status_code == 403


# A product's form.


def test_boxes_put_a_product_into_categories_and_take_it_out(owner):
    sale, shirts = category("Sale"), category("Clothes > Shirts")
    made = product(category_ids=[sale.pk])
    change = f"{PRODUCTS}{made.pk}/change/"

    sent = as_shown(owner.get(change))
    assert sent["categories"] == [str(sale.pk)]
    owner.post(change, {**sent, "categories": [str(shirts.pk)]})
    assert list(made.categories.all()) == [shirts]

    sent = as_shown(owner.get(change))
    sent.pop("categories")
    owner.post(change, sent)
    assert not made.categories.exists()


def test_boxes_do_not_overwrite_what_somebody_else_ticked_meanwhile(owner):
    sale, shirts = category("Sale"), category("Clothes > Shirts")
    made = product()
    change = f"{PRODUCTS}{made.pk}/change/"
    sent = as_shown(owner.get(change))
    categories.change_for([made.pk], add=[sale.pk], actor=MERCHANT)

    shown = owner.post(change, {**sent, "categories": [str(shirts.pk)]})

    assert "Somebody changed it since" in text(shown)
    assert list(made.categories.all()) == [sale]


@pytest.mark.parametrize(
    ("ticked", "why"),
    [(21, "A product is in at most 20 categories"), (0, "is not there any more")],
    ids=["too many", "one that is gone"],
)
def test_boxes_that_cannot_all_be_ticked_are_refused(owner, ticked, why):
    paths = [f"Sale {number}" for number in range(ticked)]
    ids = [str(pk) for pk in categories.make(paths, actor=MERCHANT).values()]
    made = product()
    change = f"{PRODUCTS}{made.pk}/change/"
    sent = as_shown(owner.get(change))

    shown = owner.post(change, {**sent, "categories": ids or [str(made.pk)]})

    assert why in text(shown)


def test_a_new_product_begins_in_its_categories(owner):
    sale = category("Sale")
    add = f"{PRODUCTS}add/"

    sent = as_shown(owner.get(add))
    owner.post(
        add,
        {**sent, "name": "Mug", "sku": "MUG", "price_usd": "9.00", "categories": [str(sale.pk)]},
    )

    assert [each.sku for each in Product.objects.filter(categories=sale)] == ["MUG"]


def test_a_thousand_categories_are_offered_with_as_many_queries(owner):
    store.current()
    currencies.by_code()
    made = product()
    change = f"{PRODUCTS}{made.pk}/change/"
    owner.get(change)
    with CaptureQueriesContext(connection) as without:
        owner.get(change)
    categories.make([f"Top {n // 50} > Below {n}" for n in range(1000)], actor=MERCHANT)

    with CaptureQueriesContext(connection) as asked:
        assert text(owner.get(change)).count('name="categories"') == 1020
    assert len(asked) == len(without)


# The list's filter.


def test_the_list_shows_what_is_in_a_category_or_below_it_each_once(owner):
    clothes, shirts = category("Clothes"), category("Clothes > Shirts")
    product(sku="shirt", category_ids=[shirts.pk, clothes.pk])
    product(sku="coat", category_ids=[clothes.pk])
    product(sku="mug")

    def listed(chosen: object) -> list[str]:
        page = owner.get(PRODUCTS, {"category": str(chosen), "o": "2"})
        return sorted(each.sku for each in page.context["cl"].result_list)

    assert listed(clothes.pk) == ["coat", "shirt"]
    assert listed(shirts.pk) == ["shirt"]
    assert listed("none") == ["mug"]
    assert listed(product(sku="cap").pk) == ["cap", "coat", "mug", "shirt"]


def test_the_filter_leads_from_the_top_down_level_by_level(owner):
    category("Clothes > Shirts > Short")
    category("Sale")

    def offered(**asked: object) -> list[str]:
        [spec] = [
            spec
            for spec in owner.get(PRODUCTS, asked).context["cl"].filter_specs
            if spec.title == "category"
        ]
        return [name for _, name in spec.lookup_choices]

    assert offered() == ["In none", "Clothes", "Sale"]
    chosen = category("Clothes").pk
    assert offered(category=chosen) == ["Clothes", "Clothes > Shirts"]
