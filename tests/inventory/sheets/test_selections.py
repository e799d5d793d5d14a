"""Sheets of products that were chosen: what their lines want, and what becomes of them."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.idempotency import Answered, Key
from api.ids import uuid7
from inventory.errors import SelectionRefused
from inventory.models import Price, Product, ProductLine, Sheet
from inventory.services import categories, currencies, products
from inventory.services.repricing import PriceChange, Rounding
from inventory.services.sheets import processing, selections
from inventory.services.sheets.selections import Want
from payments.services import payments
from tests.factories import MERCHANT, paid_order, product, stock_of

pytestmark = pytest.mark.django_db

STATUSES = ["draft", "live", "archived"]
TEN_PER_CENT = PriceChange(Decimal(10))


def made(want: Want, *chosen: Product, named: str = "Change {products}") -> Sheet:
    rows = Product.objects.filter(pk__in=[each.pk for each in chosen]).order_by("name", "pk")
    return selections.make(named, rows, want, actor=MERCHANT)


def wanted(sheet: Sheet) -> list[tuple[str, dict[str, Any], str]]:
    return [(line.sku, line.wanted, line.error) for line in sheet.lines.order_by("number")]


def test_a_selection_is_a_sheet_with_a_line_for_each_product_in_the_order_of_the_list():
    shirt, mug = product(sku="SHIRT", name="Shirt"), product(sku="MUG", name="Mug")
    product(sku="OTHER")

    sheet = made(selections.the_same(status="draft"), shirt, mug, named="Unpublish {products}")

    assert (sheet.name, sheet.kind, sheet.source, sheet.lines_total) == (
        "Unpublish 2 products",
        "products",
        "selection",
        2,
    )
    assert wanted(sheet) == [("MUG", {"status": "draft"}, ""), ("SHIRT", {"status": "draft"}, "")]
    assert [line.product for line in ProductLine.objects.order_by("number")] == [mug, shirt]


def test_new_prices_are_reckoned_from_those_that_are_there_now():
    shirt, free = product(sku="A", price=1255), product(sku="B", price=0)
    without, dear = product(sku="C", prices=[]), product(sku="D", price=2**53 - 1)

    sheet = made(selections.new_prices("USD", TEN_PER_CENT), shirt, free, without, dear)

    assert wanted(sheet) == [
        ("A", {"price_USD": 1381}, ""),
        ("B", {"price_USD": 0}, ""),
        ("C", {}, "It has no price in USD."),
        ("D", {}, "The new price is too large."),
    ]


def test_nothing_chosen_makes_no_sheet():
    with pytest.raises(SelectionRefused):
        made(selections.the_same(status="draft"))
    assert not Sheet.objects.exists()


def test_too_much_is_refused_before_anything_is_made(monkeypatch):
    monkeypatch.setattr(selections, "LINES_MAX", 1)

    with pytest.raises(SelectionRefused, match="At most 1 products"):
        made(selections.the_same(status="draft"), product(), product())
    assert not Sheet.objects.exists()


def test_products_are_read_some_at_a_time_and_their_lines_go_on(monkeypatch):
    monkeypatch.setattr(selections, "BATCH_TO_READ", 2)
    monkeypatch.setattr(selections, "LINES_MAX", 3)
    chosen = [product(sku=sku, name=sku) for sku in "ABCD"]

    sheet = made(selections.the_same(status="draft"), *chosen[:3])
    lines = sheet.lines.order_by("number").values_list("number", "sku")
    assert list(lines) == [(1, "A"), (2, "B"), (3, "C")]
    with pytest.raises(SelectionRefused, match="At most 3 products"):
        made(selections.the_same(status="draft"), *chosen)
    assert Sheet.objects.get() == sheet


def test_a_selection_that_is_sent_twice_is_one_and_is_named_by_what_is_done():
    key = Key("user:7", "POST", "/", "one", "fingerprint", uuid7())
    rows = Product.objects.filter(pk=product().pk)
    make = partial(selections.make, "Unpublish {products}", rows, actor=MERCHANT, key=key)

    sheet = make(selections.the_same(status="draft"))
    with pytest.raises(Answered) as again:
        make(selections.the_same(status="draft"))

    assert again.value.record.resource_id == str(sheet.pk)
    assert (sheet.name, sheet.uploaded_by) == ("Unpublish 1 product", MERCHANT.name)
    assert Sheet.objects.get(pk=sheet.pk).name == sheet.name
    long = made(selections.the_same(status="draft"), product(), named="x" * 201)
    assert long.name == "x" * 200


def test_a_price_may_come_to_the_largest_amount():
    most, more = product(sku="A", price=2**53 - 2), product(sku="B", price=2**53 - 1)

    sheet = made(selections.new_prices("USD", PriceChange(amount=1)), most, more)

    assert wanted(sheet) == [
        ("A", {"price_USD": 2**53 - 1}, ""),
        ("B", {}, "The new price is too large."),
    ]


def test_no_product_comes_into_more_categories_than_may_be(monkeypatch):
    monkeypatch.setattr(selections, "A_PRODUCT_MAX", 1)
    sale, kids = (categories.create(name=name, actor=MERCHANT) for name in ("Sale", "Kids"))
    one, other = product(sku="A"), product(sku="B", category_ids=[kids.pk])

    sheet = made(selections.new_categories(add=[sale.pk]), one, other)

    assert wanted(sheet) == [
        ("A", {"categories": "Sale"}, ""),
        ("B", {}, "A product is in at most 1 categories."),
    ]


@pytest.mark.parametrize(
    ("way", "after"),
    [
        (
            lambda sale, kids: selections.new_categories(add=[sale]),
            ["Clothes > Kids; Sale", "Sale"],
        ),
        (lambda sale, kids: selections.new_categories(remove=[kids]), ["", "Sale"]),
        (lambda sale, kids: selections.only_categories([kids]), ["Clothes > Kids"] * 2),
        (lambda sale, kids: selections.only_categories([]), ["", ""]),
    ],
)
def test_categories_are_added_taken_away_or_set(way: Callable[..., Want], after: list[str]):
    clothes = categories.create(name="Clothes", actor=MERCHANT)
    kids = categories.create(name="Kids", parent_id=clothes.pk, actor=MERCHANT)
    sale = categories.create(name="Sale", actor=MERCHANT)
    shirt, mug = (
        product(sku="A", category_ids=[kids.pk]),
        product(sku="B", category_ids=[sale.pk]),
    )

    sheet = made(way(sale.pk, kids.pk), shirt, mug)

    assert [line[1]["categories"] for line in wanted(sheet)] == after


def test_as_many_statements_are_made_for_many_products_as_for_one(django_assert_max_num_queries):
    chosen = [product() for _ in range(5)]
    want = selections.new_prices("USD", PriceChange(amount=-100, rounding=Rounding(100, 99)))

    with django_assert_max_num_queries(12):
        made(want, *chosen)


# What becomes of them.


def worked(sheet: Sheet) -> Sheet:
    while processing.take_a_batch(sheet.pk):
        pass
    sheet.refresh_from_db()
    return sheet


def applied(sheet: Sheet) -> Sheet:
    processing.apply(worked(sheet).pk, actor=MERCHANT, looked_at=True)
    return worked(sheet)


def reverted(sheet: Sheet) -> Sheet:
    processing.revert(sheet.pk, actor=MERCHANT)
    return worked(sheet)


def usd(made: Product) -> int | None:
    return (
        Price.objects.filter(product=made, currency__code="USD")
        .values_list("amount", flat=True)
        .first()
    )


def test_prices_go_up_where_there_is_one_and_come_back():
    shirt, cheap, without = product(price=1250), product(price=3), product(prices=[])

    sheet = applied(made(selections.new_prices("USD", TEN_PER_CENT), shirt, cheap, without))

    assert (usd(shirt), usd(cheap), usd(without)) == (1375, 3, None)
    assert (sheet.changed, sheet.unchanged, sheet.refused) == (1, 1, 1)
    assert sheet.lines.get(product=without).error == "It has no price in USD."
    reverted(sheet)
    assert usd(shirt) == 1250


def test_what_a_sheet_does_to_prices_is_summed_up():
    currencies.create(code="EUR", actor=MERCHANT)
    rows = [product(price=amount) for amount in (1000, 200, 20)]
    change = PriceChange(amount=50, rounding=Rounding(100))

    up_and_down = worked(made(selections.new_prices("USD", change), *rows))
    new = worked(made(selections.the_same(price_EUR=990), *rows))

    assert up_and_down.price_sums == [
        {
            "currency": "USD",
            "up": 3,
            "down": 0,
            "new": 0,
            "gone": 0,
            "least": 100,
            "greatest": 1100,
        }
    ]
    assert [(each["currency"], each["new"], each["least"]) for each in new.price_sums] == [
        ("EUR", 3, 990)
    ]


def test_a_price_that_changed_since_it_was_seen_is_left_as_it_is():
    seen, moved = product(price=1000), product(price=1000)
    sheet = worked(made(selections.new_prices("USD", TEN_PER_CENT), seen, moved))
    products.change_prices(moved.pk, {"USD": 500}, actor=MERCHANT)

    applied(sheet)

    assert (usd(seen), usd(moved)) == (1100, 500)
    assert "changed since" in sheet.lines.get(product=moved).error


def test_what_is_archived_writes_off_what_there_is_and_is_brought_back():
    gone, sold = product(4), product(4)
    paid_order({sold: 1})

    sheet = applied(made(selections.the_same(status="archived"), gone, sold))

    assert list(Product.objects.kept()) == [sold]
    assert stock_of(gone).log.count() == 2
    assert "allocated" in sheet.lines.get(product=sold).error

    back = applied(made(selections.the_same(status="draft"), gone))
    assert back.changed == 1
    gone.refresh_from_db()
    assert (gone.archived_at, gone.status, stock_of(gone).managed) == (None, "draft", False)


def test_what_was_refused_is_tried_again_and_wants_the_same():
    sold = product(4)
    order = paid_order({sold: 1})
    sheet = applied(made(selections.the_same(status="archived"), sold))
    payments.cancel(order.pk, actor=MERCHANT)

    again = applied(processing.try_again(sheet.pk, actor=MERCHANT))

    assert (again.source, again.changed) == ("selection", 1)
    assert not Product.objects.kept().exists()


def test_whose_sku_is_taken_by_now_stays_archived():
    gone = product(sku="SHIRT")
    products.archive(gone.pk, actor=MERCHANT)
    product(sku="SHIRT", name="Successor")

    sheet = applied(made(selections.the_same(status="draft"), gone))

    assert (sheet.changed, sheet.refused) == (0, 1)
    assert "Successor (SHIRT) has its sku" in sheet.lines.get().error


def test_of_two_that_had_one_slug_one_comes_back():
    chosen = []
    for sku in ("A", "B"):
        chosen.append(product(sku=sku, name="Shirt"))
        products.archive(chosen[-1].pk, actor=MERCHANT)

    sheet = applied(made(selections.the_same(status="draft"), *chosen))

    assert (sheet.changed, sheet.refused) == (1, 1)
    assert "has its slug" in sheet.lines.exclude(error="").get().error


WANTS = st.one_of(
    st.builds(
        lambda per_cent, rounding: selections.new_prices("USD", PriceChange(per_cent, 0, rounding)),
        st.decimals(-100, 300, places=2),
        st.sampled_from([Rounding(), Rounding(5), Rounding(100, 99)]),
    ),
    st.builds(
        lambda amount: selections.new_prices("USD", PriceChange(amount=amount)),
        st.integers(-2000, 2000),
    ),
    st.builds(lambda status: selections.the_same(status=status), st.sampled_from(STATUSES)),
    st.builds(
        lambda threshold: selections.the_same(low_stock_threshold=threshold),
        st.none() | st.integers(0, 9),
    ),
)
PRODUCTS = st.lists(
    st.tuples(st.integers(0, 5000), st.sampled_from(["draft", "live"]), st.integers(0, 9)),
    min_size=1,
    max_size=4,
)


def everything(chosen: Sequence[Product]) -> list[Any]:
    ids = [each.pk for each in chosen]
    fields = ("pk", "status", "low_stock_threshold", "prices__amount", "archived_at")
    rows = Product.objects.filter(pk__in=ids).order_by("pk").values_list(*fields)
    return [*rows, *(stock_of(each).total for each in chosen)]


@settings(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(PRODUCTS, st.lists(WANTS, min_size=1, max_size=2))
def test_taking_back_what_was_done_brings_back_exactly_what_was(rows, wants):
    chosen = [
        product(units, price=price, status=status, low_stock_threshold=units)
        for price, status, units in rows
    ]
    before = everything(chosen)

    sheets = [applied(made(want, *chosen)) for want in wants]
    for sheet in reversed(sheets):
        if sheet.changed:
            assert reverted(sheet).not_reverted == 0

    assert everything(chosen) == before
