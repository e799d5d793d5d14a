"""The pages of variants: their list, all combinations at once, and a parent's grid."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from api import store
from inventory.models import Parent, Product
from inventory.services import currencies, products, variants
from inventory.services.variants import Option
from tests.backoffice.pages import client_with, filled_in, signed_in, text
from tests.factories import MERCHANT, category, holding_order, parent, product, stock_of

pytestmark = pytest.mark.django_db

PARENTS = "/admin/inventory/parent/"
PRODUCTS = "/admin/inventory/product/"
ADD = f"{PARENTS}add/"


MANY = ",".join(map(str, range(20)))


@pytest.fixture
def owner() -> Client:
    return signed_in(User.objects.create_superuser("boss"))


def shirts(*sizes: str, **given: Any) -> Parent:
    return parent(Option("Size", sizes or ("S", "M")), **given)


def page_of(made: Parent, page: str = "change") -> str:
    return f"{PARENTS}{made.pk}/{page}/"


def as_shown(response: Any) -> dict[str, list[str]]:
    """What a browser would send of a form that nobody has touched."""
    sent = filled_in(response)
    # The search in the sidebar is no part of it.
    sent.pop("s", None)
    return sent


def typed(**changes: Any) -> dict[str, Any]:
    return {
        "name": "Linen shirt",
        "option_1": "Size",
        "values_1": "S, M",
        "option_2": "Colour",
        "values_2": "Red,Blue",
        "option_3": "",
        "values_3": "",
        "sku_pattern": "",
        "name_pattern": "",
        "price_usd": "12.50",
        "status": "live",
        "manage_stock": "on",
        "initial_stock": "3",
        **changes,
    }


def previewed(client: Client, **changes: Any) -> Any:
    sent = as_shown(client.get(ADD))
    return client.post(ADD, {**sent, **typed(**changes), "_preview": "1"})


def send_preview(client: Client, shown: Any, **changes: Any) -> Any:
    return client.post(ADD, {**as_shown(shown), "_make": "1", **changes}, follow=True)


# All combinations at once.


def test_all_combinations_are_seen_first_and_then_made(owner):
    sale = category("Sale")

    shown = previewed(owner, categories=[str(sale.pk)])
    assert not Product.objects.exists()
    assert [each.sku for each, *_ in shown.context["rows"]] == [
        *("LINEN-SHIRT-S-Red", "LINEN-SHIRT-S-Blue", "LINEN-SHIRT-M-Red", "LINEN-SHIRT-M-Blue"),
    ]
    done = send_preview(owner, shown)

    assert "4 variants were made." in text(done)
    [made] = Parent.objects.all()
    first = made.variants.get(sku="LINEN-SHIRT-S-Red")
    assert (first.name, stock_of(first).available) == ("Linen shirt, S, Red", 3)
    assert list(first.categories.all()) == [sale]


def test_what_is_unticked_is_not_made(owner):
    shown = previewed(owner)

    send_preview(owner, shown, make=["0", "3"])

    skus = set(Product.objects.values_list("sku", flat=True))
    assert skus == {"LINEN-SHIRT-S-Red", "LINEN-SHIRT-M-Blue"}


def test_a_sku_that_is_there_is_named_and_left_out_unless_somebody_ticks_it(owner):
    product(sku="LINEN-SHIRT-S-Red", name="Old shirt")

    shown = previewed(owner)
    assert "Old shirt has this SKU." in text(shown)
    assert as_shown(shown)["make"] == ["1", "2", "3"]
    refused = send_preview(owner, shown, make=["0", "1"])

    assert "LINEN-SHIRT-S-Red: Old shirt has this SKU." in text(refused)
    assert Product.objects.count() == 1


def test_what_changed_since_the_preview_is_looked_at_again(owner):
    shown = previewed(owner)

    again = send_preview(owner, shown, values_1="S,M,L")

    assert "Look at what will be made as it is now" in text(again)
    assert len(again.context["rows"]) == 6
    assert not Product.objects.exists()


def test_a_form_that_is_sent_twice_makes_its_variants_once(owner):
    sent = {**as_shown(previewed(owner)), "_make": "1"}

    for _ in range(2):
        owner.post(ADD, sent)

    assert (Parent.objects.count(), Product.objects.count()) == (1, 4)


def test_a_form_that_is_shown_again_keeps_what_was_ticked(owner):
    ticked = [str(category(name).pk) for name in ("Sale", "Shirts")]

    shown = previewed(owner, categories=ticked)

    assert sorted(as_shown(shown)["categories"]) == sorted(ticked)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"values_1": "S, s"}, '"s" is there twice'),
        ({"values_2": ""}, "An option or a value has 1 to 50 letters"),
        ({"sku_pattern": "{Length}"}, "There is no option Length"),
        ({"price_usd": "much"}, "Write the amount"),
        ({"manage_stock": ""}, "Only managed stock can start with units"),
        ({"values_1": MANY, "values_2": MANY}, "400 combinations"),
    ],
    ids=["twice", "no values", "no such option", "price", "stock", "too many"],
)
def test_what_makes_no_variants_is_said(owner, changes, why):
    shown = previewed(owner, **changes)

    assert why in text(shown)
    assert not shown.context["rows"]


# The list, and a parent's grid.


def test_the_list_names_parents_with_how_many_variants_each_has(owner, django_assert_num_queries):
    store.current()
    products.archive(shirts().variants.all()[0].pk, actor=MERCHANT)
    with django_assert_num_queries(4):
        shown = owner.get(PARENTS)
    assert [(each.name, each.count) for each in shown.context["cl"].result_list] == [("Shirt", 1)]
    assert "Size: S, M" in text(shown)

    for number in range(5):
        shirts(sku=f"N{number}")
    with django_assert_num_queries(4):
        owner.get(PARENTS)


def test_a_grid_shows_each_variant_with_its_numbers(owner, django_assert_num_queries):
    store.current()
    currencies.by_code()
    few, many = shirts("S", stock=9), shirts(*map(str, range(20)), sku="MANY")
    holding_order({few.variants.all()[0]: 2})
    owner.get(page_of(few))

    with django_assert_num_queries(6):
        shown = text(owner.get(page_of(few)))
    with django_assert_num_queries(6):
        owner.get(page_of(many))

    numbers = re.findall(r'hf-number">(?:<a[^>]*>)?([^<]+)<', shown)
    assert numbers[-4:] == ["$12.50", "7", "2", "9"]


def test_a_value_is_added_with_prices_and_categories_that_all_have_so_far(owner):
    sale = category("Sale")
    made = shirts(category_ids=[sale.pk])
    add = page_of(made, "add-value")

    shown = owner.get(add)
    assert "categories that all other variants are in" in text(shown)
    sent = as_shown(shown)
    assert sent["price_usd"] == ["12.50"]
    done = owner.post(add, {**sent, "option": "Size", "value": "L"}, follow=True)

    assert "1 variant was made." in text(done)
    large = made.variants.get(sku="SHIRT-L")
    assert (large.name, list(large.categories.all())) == ("Shirt L", [sale])
    refused = owner.post(add, {**as_shown(owner.get(add)), "option": "Size", "value": "l"})
    assert "is there twice" in text(refused)


def test_a_product_is_put_in_and_taken_out(owner):
    made = shirts("S", "M", "L")
    products.archive(made.variants.get(sku="SHIRT-L").pk, actor=MERCHANT)
    old = product(sku="OLD", name="Old shirt")
    put = page_of(made, "put-in")

    sent = as_shown(owner.get(put))
    assert "No product, or more than one" in text(
        owner.post(put, {**sent, "product": "NONE", "option_0": "L"})
    )
    taken = owner.post(put, {**sent, "product": "OLD", "option_0": "S"})
    assert "has a variant with these options already" in text(taken)
    owner.post(put, {**as_shown(taken), "product": "OLD", "option_0": "L"})
    old.refresh_from_db()
    assert (old.parent, old.options) == (made, {"Size": "L"})

    out = page_of(made, f"take-out/{old.pk}")
    owner.post(out, as_shown(owner.get(out)))
    old.refresh_from_db()
    assert old.parent is None
    assert owner.get(out).status_code == 302


def test_a_parent_is_renamed_and_deleted_once_it_has_no_variants(owner):
    made = shirts("S")
    rename, delete = page_of(made, "rename"), page_of(made, "delete")

    owner.post(rename, {**as_shown(owner.get(rename)), "name": "Top"})
    assert Parent.objects.get().name == "Top"
    assert "It has variants. Take them out of it first" in text(owner.get(delete))
    variants.take_out(made.pk, made.variants.all()[0].pk, actor=MERCHANT)
    owner.post(delete, as_shown(owner.get(delete)))

    assert not Parent.objects.exists()


def test_who_may_only_look_is_offered_nothing_else():
    made = shirts()
    viewer = client_with("view_parent")

    shown = text(viewer.get(page_of(made)))

    assert "SHIRT-S" in shown
    assert not re.search("Add a value|Put a product in|Rename|Take out|Delete", shown)
    for page in ("add-value", "put-in", "rename", "delete"):
        assert viewer.get(page_of(made, page)).status_code == 403


# Where products are.


def test_a_product_names_its_parent_and_its_options(owner):
    made = shirts()
    small = made.variants.get(sku="SHIRT-S")

    assert "Shirt: Size S" in text(owner.get(PRODUCTS))
    page = text(owner.get(f"{PRODUCTS}{small.pk}/change/"))
    assert f'href="{page_of(made)}">Shirt</a>: Size S' in page
