"""The tree of categories, and which products are in which of them."""

import uuid
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from api.errors import Moved
from api.ids import uuid7
from api.models import Change
from inventory.errors import (
    CategoryBelowItself,
    CategoryHasChildren,
    CategoryNameWrong,
    CategoryNotFound,
    CategorySlugTaken,
    CategoryTaken,
    CategoryTooFull,
    ProductNotFound,
    TooManyCategories,
    TooManyCategoriesOfProduct,
    TooManyLevels,
)
from inventory.models import Category, Product
from inventory.services import categories, category_tree, products
from tests.factories import MERCHANT, category, product

pytestmark = pytest.mark.django_db


def paths() -> list[str]:
    return list(category_tree.paths().values())


def paths_of(made: Product) -> str:
    return category_tree.text_of(category_tree.paths()[each.pk] for each in made.categories.all())


def told_of(thing: Any) -> list[tuple[str, list[tuple[str, Any, Any]]]]:
    return [
        (entry.what, [(each["field"], each["before"], each["after"]) for each in entry.fields])
        for entry in Change.objects.filter(thing_id=str(thing.pk)).order_by("pk")
    ]


# The tree.


def test_categories_stand_in_a_tree_in_the_order_they_were_made():
    category("Shoes")
    category("Clothes > Shirts > Short")
    category("Clothes > Hats")

    assert paths() == [
        *("Shoes", "Clothes", "Clothes > Shirts", "Clothes > Shirts > Short", "Clothes > Hats"),
    ]


def test_a_path_is_found_in_any_case_and_with_any_spaces_and_made_only_where_it_is_missing():
    shirts = category("Clothes > Shirts")

    found = category_tree.find([" clothes>SHIRTS ", "Clothes > Hats", ""])
    made = categories.make(["clothes >  shirts", "Clothes > Hats"], actor=MERCHANT)

    assert found == {" clothes>SHIRTS ": shirts.pk}
    assert made["clothes >  shirts"] == shirts.pk
    assert paths() == ["Clothes", "Clothes > Shirts", "Clothes > Hats"]


def test_making_many_paths_takes_a_few_statements():
    with CaptureQueriesContext(connection) as asked:
        categories.make(
            [f"Top {top} > Below {n}" for top in range(3) for n in range(20)], actor=MERCHANT
        )

    assert Category.objects.count() == 63
    # The lock, the tree, the rows, the record; and the transaction's savepoints.
    assert len([each for each in asked if "SAVEPOINT" not in each["sql"]]) == 4


@pytest.mark.parametrize(
    ("cell", "read"),
    [
        ("", []),
        ("Sale", ["Sale"]),
        (" Clothes>Shirts ;; sale;Sale ", ["Clothes > Shirts", "sale"]),
        (";".join(f"Sale {n}" for n in range(20)), [f"Sale {n}" for n in range(20)]),
    ],
    ids=["nothing", "one", "several, one of them twice", "twenty"],
)
def test_a_cell_names_several_paths(cell, read):
    assert [each.casefold() for each in category_tree.read(cell)] == [
        each.casefold() for each in read
    ]


@pytest.mark.parametrize(
    ("cell", "refusal"),
    [
        ("Clothes > > Shirts", CategoryNameWrong),
        ("x" * 101, CategoryNameWrong),
        ("Shi\u200brts", CategoryNameWrong),
        ("A > B > C > D > E > F", TooManyLevels),
        (";".join(f"Sale {n}" for n in range(21)), TooManyCategoriesOfProduct),
    ],
    ids=["a level without a name", "too long", "unseen", "six levels", "twenty-one"],
)
def test_a_cell_that_names_no_paths_is_refused(cell, refusal):
    with pytest.raises(refusal):
        category_tree.read(cell)


@pytest.mark.parametrize("name", ["", "  ", "a > b", "a; b", "x" * 101])
def test_a_name_that_could_not_be_written_in_a_path_is_refused(name):
    with pytest.raises(CategoryNameWrong):
        categories.create(name, actor=MERCHANT)


def test_siblings_have_names_of_their_own_in_any_case_also_at_the_top():
    shirts = category("Clothes > Shirts")
    category("Sale > Shirts")

    with pytest.raises(CategoryTaken):
        categories.create("SHIRTS", parent_id=shirts.parent_id, actor=MERCHANT)
    with pytest.raises(CategoryTaken):
        categories.create("clothes", actor=MERCHANT)
    with pytest.raises(CategoryTaken):
        categories.update(shirts.pk, name="sale", parent_id=None, actor=MERCHANT)


@pytest.mark.parametrize(
    ("name", "alike"),
    [("Straße", "STRASSE"), ("IRA", "\N{LATIN SMALL LETTER DOTLESS I}ra")],
)
def test_a_path_names_one_category_alone_in_any_language(name, alike):
    made = category(f"Top > {name}")
    other = categories.create("Other", parent_id=made.parent_id, actor=MERCHANT)

    assert categories.make([f"Top > {alike}"], actor=MERCHANT) == {f"Top > {alike}": made.pk}
    with pytest.raises(CategoryTaken):
        categories.create(alike, parent_id=made.parent_id, actor=MERCHANT)
    with pytest.raises(CategoryTaken):
        categories.update(other.pk, name=alike, actor=MERCHANT)


def test_slugs_are_made_of_names_then_of_paths_and_are_one_categorys():
    slugs = [category(path).slug for path in ("Shirts", "Sale > Shirts", "シャツ", "Sale")]

    assert slugs[:2] == ["shirts", "sale-shirts"]
    assert len(slugs[2]) == 32
    with pytest.raises(CategorySlugTaken):
        categories.create("More shirts", slug="shirts", actor=MERCHANT)


def test_there_are_five_levels_and_not_more():
    deep = category("A > B > C > D > E")
    top, other = category("X"), category("X > Y")

    for below in (
        lambda: categories.create("F", parent_id=deep.pk, actor=MERCHANT),
        lambda: categories.update(top.pk, parent_id=deep.parent_id, actor=MERCHANT),
    ):
        with pytest.raises(TooManyLevels):
            below()
    categories.update(other.pk, parent_id=deep.parent_id, actor=MERCHANT)
    three = category("T > U > V")
    top = Category.objects.get(name="T")
    with pytest.raises(TooManyLevels):
        categories.update(top.pk, parent_id=category("A > B > C").pk, actor=MERCHANT)
    categories.update(top.pk, parent_id=category("A > B").pk, actor=MERCHANT)
    assert category_tree.paths()[three.pk] == "A > B > T > U > V"


def test_what_is_below_some_categories_is_found_with_them():
    shirts, hats = category("Clothes > Shirts"), category("Clothes > Hats")
    short, sale = category("Clothes > Shirts > Short"), category("Sale")
    clothes = category("Clothes")

    below = category_tree.below([clothes.pk, sale.pk, uuid7()])

    assert below == {each.pk for each in (clothes, shirts, short, hats, sale)}
    assert category_tree.below([shirts.pk]) == {shirts.pk, short.pk}


def test_a_category_is_made_below_one_that_has_none_yet():
    clothes = category("Clothes")

    categories.create("x" * 100, parent_id=clothes.pk, actor=MERCHANT)

    assert paths() == ["Clothes", f"Clothes > {'x' * 100}"]


def test_a_category_moves_with_all_that_is_below_it_but_never_below_itself():
    clothes, shirts = category("Clothes"), category("Clothes > Shirts")
    category("Clothes > Shirts > Short")
    sale = category("Sale")

    with pytest.raises(CategoryBelowItself):
        categories.update(clothes.pk, parent_id=shirts.pk, actor=MERCHANT)
    with pytest.raises(CategoryBelowItself):
        categories.update(shirts.pk, parent_id=shirts.pk, actor=MERCHANT)
    categories.update(shirts.pk, parent_id=sale.pk, actor=MERCHANT)

    assert paths() == ["Clothes", "Sale", "Sale > Shirts", "Sale > Shirts > Short"]


def test_a_category_moves_among_its_siblings_if_it_is_where_it_was_seen():
    *_, third = [category(name) for name in ("A", "B", "C")]

    categories.move(third.pk, 1, seen=3, actor=MERCHANT)
    with pytest.raises(Moved):
        categories.move(third.pk, 2, seen=3, actor=MERCHANT)
    assert paths() == ["C", "A", "B"]
    categories.move(third.pk, 99, actor=MERCHANT)
    assert paths() == ["A", "B", "C"]
    categories.move(third.pk, 2, actor=MERCHANT)
    assert paths() == ["A", "C", "B"]
    assert [fields for _, fields in told_of(third)[1:]] == [
        [("place", 3, 1)],
        [("place", 1, 3)],
        [("place", 3, 2)],
    ]


def test_a_category_that_comes_below_another_is_the_last_there():
    sale = category("Sale")
    for path in ("Clothes > Hats", "Clothes > Shirts"):
        category(path)

    categories.update(sale.pk, parent_id=category("Clothes").pk, actor=MERCHANT)

    assert paths() == ["Clothes", "Clothes > Hats", "Clothes > Shirts", "Clothes > Sale"]


def test_a_category_is_made_under_the_id_and_slug_that_were_given_and_is_on_record():
    made = categories.create("Sale", category_id=uuid.UUID(int=7), slug="now", actor=MERCHANT)

    assert made.pk == uuid.UUID(int=7)
    assert told_of(made) == [
        ("created", [("name", None, "Sale"), ("slug", None, "now"), ("place", None, 1)])
    ]


def test_a_slug_is_changed_or_made_anew():
    made, _ = category("Sale"), category("Shirts")

    categories.update(made.pk, slug="now", actor=MERCHANT)
    categories.update(made.pk, name="Today", actor=MERCHANT)
    assert Category.objects.get(pk=made.pk).slug == "now"
    categories.update(made.pk, slug="", actor=MERCHANT)

    changed = Category.objects.get(pk=made.pk)
    assert changed.slug == "today"
    assert changed.updated_at > made.updated_at
    with pytest.raises(CategorySlugTaken):
        categories.update(made.pk, slug="shirts", actor=MERCHANT)


def test_a_slug_that_is_cut_off_does_not_end_in_a_hyphen():
    category("Sale")
    top, below = "a" * 100, "b" * 98

    assert category(f"{top} > {below} > Sale").slug == f"{top}-{below}"


def test_what_somebody_else_changed_meanwhile_is_not_overwritten():
    shirts = category("Shirts")

    with pytest.raises(Moved):
        categories.update(shirts.pk, name="Tops", seen={"name": "Shorts"}, actor=MERCHANT)
    categories.update(shirts.pk, name="Tops", seen={"name": "Shirts"}, actor=MERCHANT)

    assert paths() == ["Tops"]


def test_there_is_an_end_to_how_many_categories_a_store_has(monkeypatch):
    monkeypatch.setattr(categories, "CATEGORIES_MAX", 2)
    category("A > B")

    with pytest.raises(TooManyCategories):
        categories.create("C", actor=MERCHANT)
    with pytest.raises(TooManyCategories):
        categories.make(["C"], actor=MERCHANT)


@pytest.mark.parametrize(
    "change",
    [
        lambda gone: categories.update(gone, name="B", actor=MERCHANT),
        lambda gone: categories.move(gone, 1, actor=MERCHANT),
        lambda gone: categories.delete(gone, actor=MERCHANT),
        lambda gone: categories.create("B", parent_id=gone, actor=MERCHANT),
        lambda gone: categories.change_for([product().pk], add=[gone], actor=MERCHANT),
        lambda gone: products.update(product().pk, category_ids=[gone], actor=MERCHANT),
    ],
    ids=["update", "move", "delete", "create below", "put in", "put one in"],
)
def test_what_is_done_with_a_category_that_is_gone_is_refused(change):
    with pytest.raises(CategoryNotFound):
        change(uuid7())


def test_what_became_of_a_category_is_on_record():
    clothes, shirts = category("Clothes"), category("Shirts")

    categories.update(shirts.pk, name="Tops", parent_id=clothes.pk, actor=MERCHANT)
    categories.delete(shirts.pk, actor=MERCHANT)

    assert told_of(shirts) == [
        ("created", [("name", None, "Shirts"), ("slug", None, "shirts"), ("place", None, 2)]),
        (
            "changed",
            [("name", "Shirts", "Tops"), ("parent", "", "Clothes"), ("place", 2, 1)],
        ),
        (
            "deleted",
            [
                *(("name", "Tops", None), ("slug", "shirts", None)),
                *(("parent", "Clothes", None), ("place", 1, None)),
            ],
        ),
    ]


def test_a_category_with_others_below_it_is_not_deleted():
    category("Clothes > Shirts")

    with pytest.raises(CategoryHasChildren, match="Shirts"):
        categories.delete(category("Clothes").pk, actor=MERCHANT)


def test_some_of_those_below_a_category_are_named_in_their_order():
    clothes = category("Clothes")
    for name in ("Shirts", "Hats", "Socks"):
        category(f"Clothes > {name}")

    with pytest.raises(CategoryHasChildren, match=r"there are Shirts, Hats, Socks\. Move"):
        categories.delete(clothes.pk, actor=MERCHANT)
    category("Clothes > Belts")
    with pytest.raises(CategoryHasChildren, match=r"Shirts, Hats, Socks and others\. Move"):
        categories.delete(clothes.pk, actor=MERCHANT)


def test_products_lose_a_category_that_is_deleted_and_it_is_on_their_record(monkeypatch):
    sale, shirts = category("Sale"), category("Shirts")
    made = product(category_ids=[sale.pk, shirts.pk])
    away = product(category_ids=[sale.pk])
    products.archive(away.pk, actor=MERCHANT)

    monkeypatch.setattr(categories, "PRODUCTS_LOSE_MAX", 1)
    with pytest.raises(CategoryTooFull):
        categories.delete(sale.pk, actor=MERCHANT)
    monkeypatch.setattr(categories, "PRODUCTS_LOSE_MAX", 2)
    with pytest.raises(Moved):
        categories.delete(sale.pk, seen={"products": 2}, actor=MERCHANT)
    categories.delete(sale.pk, seen={"products": 1}, actor=MERCHANT)

    assert paths() == ["Shirts"]
    assert paths_of(made) == "Shirts"
    assert told_of(made)[-1] == ("changed", [("categories", "Sale; Shirts", "Shirts")])
    assert told_of(away)[-1] == ("changed", [("categories", "Sale", "")])


# Products.


def test_many_products_change_their_categories_at_once_on_the_record_of_each():
    sale, shirts = category("Sale"), category("Clothes > Shirts")
    other, *made = [product(category_ids=[shirts.pk]) for _ in range(4)]

    done = categories.change_for(
        [each.pk for each in made], add=[sale.pk], remove=[shirts.pk], actor=MERCHANT
    )
    again = categories.change_for([made[0].pk], add=[sale.pk], actor=MERCHANT)

    changed = Product.objects.in_bulk()
    assert paths_of(other) == "Clothes > Shirts"
    assert changed[other.pk].updated_at == other.updated_at
    assert all(changed[each.pk].updated_at > each.updated_at for each in made)
    assert done.changed == {each.pk for each in made}
    assert (done.refused, *again) == ({}, set(), {})
    assert told_of(made[0])[1:] == [("changed", [("categories", "Clothes > Shirts", "Sale")])]
    assert [paths_of(each) for each in made] == ["Sale"] * 3


def test_however_many_products_change_their_categories_it_takes_as_many_statements():
    sale = category("Sale")

    def statements(count: int) -> int:
        ids = [product().pk for _ in range(count)]
        with CaptureQueriesContext(connection) as asked:
            categories.change_for(ids, add=[sale.pk], actor=MERCHANT)
        return len(asked)

    assert statements(1) == statements(30)


def test_who_cannot_be_changed_is_refused_and_the_others_are_changed(monkeypatch):
    full = product(category_ids=[category(f"Full {n}").pk for n in range(20)])
    gone, made = product(), product()
    products.archive(gone.pk, actor=MERCHANT)

    done = categories.change_for(
        [full.pk, gone.pk, made.pk], add=[category("Sale").pk], actor=MERCHANT
    )

    assert done.changed == {made.pk}
    assert {pk: type(why) for pk, why in done.refused.items()} == {
        full.pk: TooManyCategoriesOfProduct,
        gone.pk: ProductNotFound,
    }
    with pytest.raises(TooManyCategoriesOfProduct):
        products.update(
            made.pk,
            category_ids=[*full.categories.values_list("pk", flat=True), category("Sale 2").pk],
            actor=MERCHANT,
        )


def test_a_product_is_in_as_many_categories_as_it_may_be():
    made = product(category_ids=[category(f"Of 20 {n}").pk for n in range(19)])

    done = categories.change_for([made.pk], add=[category("The last").pk], actor=MERCHANT)

    assert (done.changed, done.refused) == ({made.pk}, {})


def test_it_is_told_of_the_products_that_are_asked_about_and_no_others():
    sale = category("Sale")
    made, _ = product(category_ids=[sale.pk]), product(category_ids=[sale.pk])

    assert categories.texts([made.pk]) == {made.pk: "Sale"}
    assert categories.of([made.pk]) == {made.pk: {sale.pk}}


def test_products_are_put_into_exactly_the_categories_that_are_given():
    sale, shirts = category("Sale"), category("Shirts")
    made = product(category_ids=[sale.pk])

    categories.set_for([made.pk], [shirts.pk], actor=MERCHANT)
    assert paths_of(made) == "Shirts"
    categories.set_for([made.pk], [], actor=MERCHANT)
    assert paths_of(made) == ""


def test_a_product_changes_its_categories_with_its_other_fields_if_they_are_as_seen():
    sale, shirts = category("Sale"), category("Clothes > Shirts")
    made = product(category_ids=[sale.pk], name="Shirt")

    with pytest.raises(Moved):
        products.update(
            made.pk,
            category_ids=[shirts.pk],
            seen={"category_ids": set()},
            actor=MERCHANT,
        )
    products.update(
        made.pk,
        category_ids=[shirts.pk],
        name="Top",
        seen={"category_ids": {sale.pk}},
        actor=MERCHANT,
    )

    assert ("categories", None, "Sale") in told_of(made)[0][1]
    assert told_of(made)[-1] == (
        "changed",
        [("name", "Shirt", "Top"), ("categories", "Sale", "Clothes > Shirts")],
    )
