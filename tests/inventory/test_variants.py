"""Variants: products that share a parent and differ by its options."""

import threading
import uuid
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
    CategoryNotFound,
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
    assert entry.effective_at == first.created_at
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
    assert variants.options([("Size", ["XL"])]) == [Option("Size", ["XL"])]


def test_a_parent_is_made_under_the_id_that_was_given():
    assert parent(parent_id=uuid.UUID(int=7)).pk == uuid.UUID(int=7)


def test_as_many_options_values_and_letters_as_there_may_be_are_taken():
    fifty = [f"{number:050}" for number in range(50)]
    three = [("a", fifty), ("b", ["x", "y"]), ("c", ["x", "y"])]

    assert len(variants.combinations(variants.options(three))) == 200


@pytest.mark.parametrize(
    ("pattern", "size", "error"),
    [
        (Pattern("x" * 194 + "{Size}", "A"), "6digit", ""),
        (Pattern("x" * 194 + "{Size}", "A"), "7digits", "The name needs"),
        (Pattern("Shirt", "x" * 94 + "{Size}"), "6digit", ""),
        (Pattern("Shirt", "x" * 94 + "{Size}"), "7digits", "The SKU needs"),
        (Pattern("Shirt", ""), "S", "The SKU needs"),
        (Pattern("{Size}", "A\u200bB"), "S", "There is a sign"),
        (Pattern("Shirt", "GONE"), "S", ""),
        (Pattern("Shirt", "there"), "S", "Another product has a code"),
        (Pattern("Shirt", "THERE"), "S", "Shirt THERE has this SKU"),
    ],
)
def test_a_variant_is_planned_within_what_names_and_skus_may_be(pattern, size, error):
    product(sku="THERE")
    products.archive(product(sku="GONE").pk, actor=MERCHANT)

    [planned] = variants.plan(pattern, [{"Size": size}])

    assert planned.error[: len(error) or None] == error


@pytest.mark.parametrize("pattern", [Pattern("x" * 201, "A"), Pattern("Shirt", "x" * 101)])
def test_a_pattern_is_not_longer_than_what_it_names(pattern):
    with pytest.raises(OptionsWrong):
        variants.plan(pattern, [{"Size": "S"}])


@pytest.mark.parametrize(("one", "other"), [("x", "X"), ("x  y", "X y")])
def test_no_two_variants_get_skus_that_people_read_as_one(one, other):
    planned = variants.plan(Pattern("Shirt", "{Size}"), [{"Size": one}, {"Size": other}])

    assert ["Several" in each.error for each in planned] == [True, True]


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


def test_of_many_variants_that_cannot_be_made_the_first_are_told():
    product(sku="SHIRT-S-Red", name="Old")
    nameless = Pattern("", "{Size}-{Colour}")

    with pytest.raises(VariantsNotPossible, match=r"^SHIRT-S-Red: Old has this SKU\.$"):
        parent()
    with pytest.raises(VariantsNotPossible, match=r"M-Red: The name .*letters\. And 1 more\.$"):
        parent(pattern=nameless)
    with pytest.raises(VariantsNotPossible, match=r"M-Blue: The name needs 1 to 200 letters\.$"):
        parent(pattern=nameless, left_out=[0])


@pytest.mark.django_db(transaction=True)
def test_whoever_is_faster_with_one_sku_keeps_all_variants_from_being_made(monkeypatch):
    possible = variants._possible

    def and_somebody_is_faster(*wanted: Any) -> Any:
        planned = possible(*wanted)
        run_together(partial(product, sku="SHIRT-M-Red"))
        return planned

    monkeypatch.setattr(variants, "_possible", and_somebody_is_faster)

    with pytest.raises(VariantsNotPossible, match="Another product has this sku"):
        parent()

    assert (Parent.objects.count(), Product.objects.get().sku) == (0, "SHIRT-M-Red")


def test_variants_begin_without_managed_stock_and_tax_where_that_is_wanted():
    prices = [Money("USD", 990, includes_tax=False)]

    made = parent(shared=Shared(prices, manage_stock=False))

    for each in made.variants.all():
        assert not stock_of(each).managed
        assert not each.prices.get().includes_tax


def test_variants_are_put_into_no_category_that_is_gone():
    gone = Shared([], category_ids=[category("Sale").pk, uuid7()])
    made = parent()

    with pytest.raises(CategoryNotFound):
        parent(pattern=Pattern("Top", "TOP-{Size}-{Colour}"), shared=gone)
    with pytest.raises(CategoryNotFound):
        variants.add_value(made.pk, "Size", "L", PATTERN, gone, actor=MERCHANT)

    assert (Parent.objects.count(), made.variants.count()) == (1, 4)


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


def test_another_value_brings_its_variants_with_what_they_begin_with():
    made, sale = parent(), category("Sale")
    shared = Shared([Money("USD", 990)], "draft", initial_stock=4, category_ids=[sale.pk])
    pattern = Pattern("Top {Size} {Colour}", "TOP-{Size}-{Colour}")

    variants.add_value(made.pk, "Size", "L", pattern, shared, actor=MERCHANT)

    changed = Parent.objects.get(pk=made.pk)
    assert (changed.name_pattern, changed.sku_pattern) == (pattern.name, pattern.sku)
    assert changed.updated_at > made.updated_at == made.created_at
    first = made.variants.get(sku="TOP-L-Red")
    assert (first.name, first.status, stock_of(first).available) == ("Top L Red", "draft", 4)
    assert list(first.categories.all()) == [sale]


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

    renamed = Parent.objects.get()
    assert renamed.name == "Top"
    assert renamed.updated_at > made.updated_at


def test_what_becomes_of_a_parent_is_on_record():
    made = parent(Option("Size", ["S"]), pattern=Pattern("Shirt", "{Size}"))
    variants.rename(made.pk, "Top", actor=MERCHANT)
    [small] = made.variants.all()
    products.archive(small.pk, actor=MERCHANT)
    variants.delete(made.pk, actor=MERCHANT)

    def told(thing: Any) -> list[Any]:
        return [
            (entry.what, {each["field"]: (each["before"], each["after"]) for each in entry.fields})
            for entry in Change.objects.filter(thing_id=str(thing)).order_by("pk")
        ]

    as_it_was = {"options": "Size: S", "name_pattern": "Shirt", "sku_pattern": "{Size}"}
    assert told(made.pk) == [
        ("created", {"name": (None, "Shirt"), **{k: (None, v) for k, v in as_it_was.items()}}),
        ("changed", {"name": ("Shirt", "Top")}),
        ("deleted", {"name": ("Top", None), **{k: (v, None) for k, v in as_it_was.items()}}),
    ]
    assert told(small.pk)[-1] == (
        "changed",
        {"parent": ("Top", None), "options": ("Size S", "")},
    )
    left = Product.objects.get()
    assert left.archived_at
    assert left.updated_at > left.archived_at


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
