"""Variants: products that share a parent and differ by its options."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from api.errors import Moved
from api.ids import uuid7
from api.models import Change
from inventory.errors import (
    CurrencyUnknown,
    OptionsWrong,
    ParentInUse,
    ParentNotFound,
    ProductNotFound,
    VariantElsewhere,
    VariantsNotPossible,
    VariantTaken,
)
from inventory.models import Parent, ParentQuerySet, Product
from inventory.services import products, variants
from inventory.services.products import Money
from inventory.services.variants import Option, Pattern, Shared
from tests.concurrency import PATIENCE_SECONDS, run_together
from tests.factories import MERCHANT, category, product, stock_of
from tests.inventory.movements import log_of

pytestmark = pytest.mark.django_db

SIZE, COLOUR = Option("Size", ["S", "M"]), Option("Colour", ["Red", "Blue"])
PATTERN = Pattern("Shirt {size} {Colour}", "SHIRT-{Size}-{Colour}")
SHARED = Shared(prices=[Money("USD", 1250)])


def parent(*options: Option, **given: Any) -> Parent:
    made = {"pattern": PATTERN, "shared": SHARED, **given}
    return variants.create("Shirt", options or (SIZE, COLOUR), actor=MERCHANT, **made)


def skus_of(made: Parent) -> list[str]:
    return list(made.variants.order_by("pk").values_list("sku", flat=True))


def test_all_combinations_are_made_at_once_each_with_prices_stock_and_categories():
    shirts = category("Clothes > Shirts")
    shared = Shared([Money("USD", 990)], "draft", initial_stock=7, category_ids=[shirts.pk])

    made = parent(shared=shared)

    assert skus_of(made) == ["SHIRT-S-Red", "SHIRT-S-Blue", "SHIRT-M-Red", "SHIRT-M-Blue"]
    first = made.variants.get(sku="SHIRT-S-Red")
    assert (first.name, first.slug, first.status) == ("Shirt S Red", "shirt-s-red", "draft")
    assert first.options == {"Size": "S", "Colour": "Red"}
    assert [price.amount for price in first.prices.all()] == [990]
    assert list(first.categories.all()) == [shirts]
    assert (stock_of(first).managed, stock_of(first).available) == (True, 7)
    [entry] = log_of(first)
    assert (entry.action, entry.quantity, entry.reason) == ("increment", 7, "initial stock")
    [told] = Change.objects.filter(thing_id=str(first.pk))
    assert {each["field"]: each["after"] for each in told.fields}.items() >= {
        "parent": "Shirt",
        "options": "Size S, Colour Red",
        "categories": "Clothes > Shirts",
        "price_in_USD": "9.90",
        "stock_managed": True,
    }.items()


def test_a_product_made_with_others_is_like_one_that_is_made_alone():
    [made] = parent(Option("Size", ["S"]), pattern=Pattern("Shirt", "A")).variants.all()
    alone = product(name="Shirt", sku="B", price=1250)

    def told(each: Product) -> dict[str, Any]:
        entry = Change.objects.get(thing_id=str(each.pk))
        return {told["field"]: told["after"] for told in entry.fields}

    differ = {"name", "sku", "slug", "parent", "options"}
    assert told(made).keys() - told(alone).keys() == {"parent", "options"}
    assert {k: v for k, v in told(made).items() if k not in differ} == {
        k: v for k, v in told(alone).items() if k not in differ
    }
    assert (made.slug, alone.slug) == ("shirt", "shirt-b")


def test_however_many_combinations_there_are_it_takes_as_many_statements():
    def statements(count: int, sku: str) -> int:
        sizes = Option("Size", [str(number) for number in range(count)])
        with CaptureQueriesContext(connection) as asked:
            parent(sizes, pattern=Pattern("Shirt {Size}", sku + "-{Size}"))
        return len(asked)

    statements(1, "the store's currencies, which are kept")
    assert statements(2, "A") == statements(50, "B")


def test_combinations_that_are_left_out_are_not_made():
    assert skus_of(parent(left_out=[1, 2])) == ["SHIRT-S-Red", "SHIRT-M-Blue"]


def test_names_that_make_one_slug_get_slugs_of_their_own():
    made = parent(pattern=Pattern("Shirt", "SHIRT-{Size}-{Colour}"))

    slugs = list(made.variants.order_by("pk").values_list("slug", flat=True))
    assert slugs == ["shirt", "shirt-shirt-s-blue", "shirt-shirt-m-red", "shirt-shirt-m-blue"]


@pytest.mark.parametrize(
    "named",
    [
        [],
        [(name, ["x"]) for name in "abcd"],
        [("Size", [])],
        [("Size", ["S", "s "])],
        [("Size", ["S"]), ("size", ["M"])],
        [("", ["S"])],
        [("Size", ["S,M"])],
        [("Size", ["x" * 51])],
        [("Size", ["S\u200bM"])],
        [("Size", [str(n) for n in range(51)])],
        [("Size", [str(n) for n in range(15)]), ("Colour", [str(n) for n in range(14)])],
    ],
    ids=[
        *("none", "four", "no values", "a value twice", "an option twice", "no name", "a comma"),
        *("a long value", "unseen", "too many values", "too many combinations"),
    ],
)
def test_options_that_make_no_variants_are_refused(named):
    with pytest.raises(OptionsWrong):
        variants.options(named)


def test_options_are_kept_as_they_are_read():
    assert variants.options([(" Size ", [" S", "M  L"])]) == [Option("Size", ["S", "M L"])]


def test_a_plan_says_of_each_variant_why_it_cannot_be_made():
    product(sku="SHIRT-S-Red", name="Old shirt")
    product(sku="shirt-s-blue")

    planned = variants.plan(PATTERN, variants.combinations([SIZE, COLOUR]))

    assert [each.error.partition(" ")[0] for each in planned] == ["Old", "Another", "", ""]
    twice = variants.plan(Pattern("Shirt", "SHIRT-{Size}"), variants.combinations([SIZE, COLOUR]))
    assert all("Several" in each.error for each in twice)


@pytest.mark.parametrize(
    ("pattern", "refusal"),
    [
        (Pattern("Shirt {Length}", "{Size}{Colour}"), OptionsWrong),
        (Pattern("Shirt", "SHIRT-{Size}"), VariantsNotPossible),
        (Pattern("", "{Size}{Colour}"), VariantsNotPossible),
        (Pattern("Shirt", "x" * 98 + "{Size}{Colour}"), OptionsWrong),
        (Pattern("Shirt", "TAKEN{Size}{Colour}"), VariantsNotPossible),
    ],
    ids=["no such option", "one sku twice", "no name", "a long sku", "taken"],
)
def test_variants_are_made_all_or_none(pattern, refusal):
    product(sku="TAKENMBlue", name="Old")

    with pytest.raises(refusal):
        parent(pattern=pattern)

    assert (Parent.objects.count(), Product.objects.count()) == (0, 1)


def test_variants_are_not_priced_in_a_currency_that_there_is_not():
    with pytest.raises(CurrencyUnknown):
        parent(shared=Shared([Money("XXX", 1)]))


def test_another_value_brings_the_combinations_with_it_and_no_others():
    made = parent()
    products.archive(made.variants.get(sku="SHIRT-S-Red").pk, actor=MERCHANT)

    count = variants.add_value(made.pk, "Size", "L", PATTERN, SHARED, actor=MERCHANT)

    kept = made.variants.filter(archived_at=None).order_by("pk").values_list("sku", flat=True)
    assert count == 2
    assert list(kept)[3:] == ["SHIRT-L-Red", "SHIRT-L-Blue"]
    assert Change.objects.filter(thing_id=str(made.pk)).latest("pk").fields == [
        {
            "field": "options",
            "before": "Size: S, M; Colour: Red, Blue",
            "after": "Size: S, M, L; Colour: Red, Blue",
        }
    ]


@pytest.mark.parametrize(("option", "value"), [("Length", "L"), ("Size", "m"), ("Size", "")])
def test_a_value_that_is_there_or_has_no_option_is_refused(option, value):
    with pytest.raises(OptionsWrong):
        variants.add_value(parent().pk, option, value, PATTERN, SHARED, actor=MERCHANT)


def test_a_product_becomes_a_variant_and_one_of_its_own_again():
    made = parent(left_out=[0])
    old = product(sku="OLD")
    red = {"Size": "S", "Colour": "Red"}

    variants.put_in(made.pk, old.pk, red, actor=MERCHANT)
    assert [each.sku for each in made.variants.filter(options=red)] == ["OLD"]
    variants.take_out(made.pk, old.pk, actor=MERCHANT)

    old.refresh_from_db()
    assert (old.parent, old.options) == (None, {})
    told = Change.objects.filter(thing_id=str(old.pk)).order_by("pk")
    assert [
        [(each["before"], each["after"]) for each in entry.fields] for entry in list(told)[1:]
    ] == [
        [(None, "Shirt"), ("", "Size S, Colour Red")],
        [("Shirt", None), ("Size S, Colour Red", "")],
    ]


def test_a_product_that_cannot_be_this_variant_is_refused():
    made, other = parent(), parent(pattern=Pattern("Top {Size}", "TOP-{Size}-{Colour}"))
    red = {"Size": "S", "Colour": "Red"}

    def put(into: Parent, each: Product, options: dict[str, str]) -> Any:
        return variants.put_in(into.pk, each.pk, options, actor=MERCHANT)

    gone = product()
    products.archive(gone.pk, actor=MERCHANT)
    with pytest.raises(VariantTaken):
        put(made, product(), red)
    with pytest.raises(VariantElsewhere):
        put(made, other.variants.all()[0], red)
    with pytest.raises(OptionsWrong):
        put(made, product(), {"Size": "S"})
    with pytest.raises(OptionsWrong):
        put(made, product(), {"Size": "XL", "Colour": "Red"})
    with pytest.raises(ProductNotFound):
        put(made, gone, red)
    with pytest.raises(ProductNotFound):
        variants.take_out(made.pk, other.variants.all()[0].pk, actor=MERCHANT)


def test_a_parent_is_named_anew_if_it_is_named_as_seen():
    made = parent()

    with pytest.raises(Moved):
        variants.rename(made.pk, "Top", seen={"name": "Other"}, actor=MERCHANT)
    variants.rename(made.pk, "Top", seen={"name": "Shirt"}, actor=MERCHANT)

    made.refresh_from_db()
    assert made.name == "Top"


def test_a_parent_is_deleted_once_it_has_no_variants_but_archived_ones():
    made = parent(Option("Size", ["S", "M"]), pattern=Pattern("Shirt", "{Size}"))
    small, medium = made.variants.order_by("pk")

    variants.take_out(made.pk, small.pk, actor=MERCHANT)
    with pytest.raises(ParentInUse):
        variants.delete(made.pk, actor=MERCHANT)
    products.archive(medium.pk, actor=MERCHANT)
    variants.delete(made.pk, actor=MERCHANT)

    medium.refresh_from_db()
    assert (medium.parent, Parent.objects.count()) == (None, 0)
    with pytest.raises(ParentNotFound):
        variants.delete(uuid7(), actor=MERCHANT)


# Two at once with one parent.


def _without_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only read the parent, and let nobody go on before both have."""
    both_have_read = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    def read(rows: ParentQuerySet, parent_id: Any) -> Parent | None:
        found = rows.filter(pk=parent_id).first()
        both_have_read.wait()
        return found

    monkeypatch.setattr(ParentQuerySet, "lock", read)


def _add(made: Parent, value: str, sku: str = "") -> Callable[[], int]:
    pattern = Pattern("Shirt", sku + "{Size}")
    return partial(variants.add_value, made.pk, "Size", value, pattern, SHARED, actor=MERCHANT)


def _small_only() -> Parent:
    return parent(Option("Size", ["S"]), pattern=Pattern("Shirt", "{Size}"))


def _sizes(made: Parent) -> set[str]:
    [option] = variants.options_of(Parent.objects.get(pk=made.pk))
    return set(option.values)


@pytest.mark.thorough
@pytest.mark.django_db(transaction=True)
def test_two_who_add_one_value_make_its_variants_once():
    made = _small_only()

    outcomes = run_together(_add(made, "L", "A"), _add(made, "L", "B"))

    assert {type(each) for each in outcomes} == {int, OptionsWrong}
    assert made.variants.count() == 2


@pytest.mark.thorough
@pytest.mark.django_db(transaction=True)
def test_two_who_add_a_value_each_add_both():
    made = _small_only()

    assert run_together(_add(made, "L"), _add(made, "M")) == [1, 1]
    assert _sizes(made) == {"S", "M", "L"}


@pytest.mark.thorough
@pytest.mark.django_db(transaction=True)
def test_control_without_the_lock_one_of_two_values_is_lost(monkeypatch):
    made = _small_only()
    _without_the_lock(monkeypatch)

    assert run_together(_add(made, "L"), _add(made, "M")) == [1, 1]
    assert len(_sizes(made)) == 2
    assert made.variants.count() == 3


@pytest.mark.thorough
@pytest.mark.django_db(transaction=True)
def test_the_database_keeps_a_combination_to_one_product_whoever_makes_it():
    made = parent(SIZE, pattern=Pattern("Shirt", "{Size}"), left_out=[1])
    put = [
        partial(variants.put_in, made.pk, product().pk, {"Size": "M"}, actor=MERCHANT)
        for _ in range(2)
    ]

    outcomes = run_together(*put)

    assert {type(each) for each in outcomes} == {Product, VariantTaken}
