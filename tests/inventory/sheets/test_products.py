"""Products by file: what a check promises, what applying and reverting write."""

from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from api.models import Change
from inventory.errors import LinesMarked, TooManyCategories
from inventory.models import (
    Action,
    Category,
    CategoryQuerySet,
    Price,
    Product,
    Sheet,
    StockTransaction,
)
from inventory.services import (
    categories,
    category_tree,
    currencies,
    pictures,
    products,
    variants,
)
from inventory.services import stock as inventory
from inventory.services.products import Money, NewCost
from inventory.services.sheets import processing, selections
from inventory.services.variants import Option
from tests.factories import MERCHANT, category, paid_order, parent, product, stock_of
from tests.inventory.test_pictures import attach, rows
from tests.product_sheets import (
    applied,
    apply,
    checked,
    lines_of,
    named,
    prices_of,
    reverted,
    sheet_of_rows,
    the_line,
    told,
    worked,
)

pytestmark = pytest.mark.django_db


# What others do meanwhile.


def _archive(made: Product) -> None:
    products.archive(made.pk, actor=MERCHANT)


def _restore_live(made: Product) -> None:
    products.restore(made.pk, sku=made.sku, slug=made.slug, actor=MERCHANT)
    products.update(made.pk, status="live", actor=MERCHANT)


def _describe(made: Product) -> None:
    products.update(made.pk, description="x" * 61, actor=MERCHANT)


def _rename(made: Product) -> None:
    products.update(made.pk, name="x" * 60, actor=MERCHANT)


def _begin_managing(made: Product) -> None:
    products.start_managing(made.pk, 0, actor=MERCHANT)


def _begin_with_units(made: Product) -> None:
    products.start_managing(made.pk, 5, actor=MERCHANT)


def _begin_and_end(made: Product) -> None:
    products.start_managing(made.pk, 2, actor=MERCHANT)
    products.stop_managing(made.pk, actor=MERCHANT)


def _find_units(made: Product) -> None:
    inventory.record(made.pk, Action.INCREMENT, 2, actor=MERCHANT)


def _allocate(made: Product) -> None:
    _find_units(made)
    inventory.record(made.pk, Action.ALLOCATE, 2, actor=MERCHANT)


def _delete_sale(made: Product) -> None:
    categories.delete(Category.objects.get(name="Sale").pk, actor=MERCHANT)


def _cost_more(made: Product) -> None:
    made.refresh_from_db()
    cost = NewCost(Money("USD", 600), seen=products.cost_of(made))
    products.change_prices(made.pk, {}, cost=cost, actor=MERCHANT)


def _all_of(made: Product) -> list[Any]:
    stock = stock_of(made)
    rows = Product.objects.filter(pk=made.pk).values_list()
    return [*rows, categories.of([made.pk]), stock.managed, stock.sequence, stock.available]


# Checking.


def test_a_check_says_what_is_made_changed_left_and_refused_and_changes_nothing():
    product(sku="OLD", name="Old shirt", price=1250)
    product(sku="SAME", name="Same", price=900)

    sheet = checked(
        """
        sku  | name      | price_usd
        NEW  | New shirt | 12.50
        OLD  |           | 13.00
        SAME | Same      | 9.00
        BAD  |           | one
        """
    )

    new, old, same, bad = lines_of(sheet)
    assert (sheet.changed, sheet.unchanged, sheet.refused, sheet.marked) == (2, 1, 1, 0)
    assert (new.what, old.what, same.what, bad.what) == ("create", "change", "leave", "")
    assert told(old) == {"price_USD": (1250, 1300)}
    assert told(new)["name"] == (None, "New shirt")
    assert '"one" is no number' in bad.error
    assert "a new one needs a name" in bad.error
    assert Product.objects.count() == 2


def test_empty_cells_leave_and_a_word_clears():
    made = product(sku="A", barcode="4006381333931", description="Long", low_stock_threshold=3)

    line = the_line(
        checked(
            """
            sku | name | barcode | description | threshold
            A   |      | (empty) | (Empty)     |
            """
        )
    )

    assert told(line) == {"barcode": ("4006381333931", ""), "description": ("Long", "")}
    assert made.low_stock_threshold == 3


@pytest.mark.parametrize(
    ("column", "cell", "said"),
    [
        ("price_usd", "12.505", "USD has at most 2 digits after the decimal point"),
        ("price_usd", "1.234.50", "is no number"),
        ("price_usd", "$12", "Write the amount alone"),
        ("price_usd", "#N/A", "a formula of the spreadsheet came to nothing"),
        ("price_usd", "-1", "cannot be negative"),
        ("price_usd", "9" * 30, "too large"),
        ("price_usd", "90071992547409.92", "too large"),
        ("price_jpy", "12.5", "JPY has no digits"),
        ("threshold", "1.5", "no whole number"),
        ("threshold", "-1", "below zero"),
        ("threshold", "12.000", "12 or 12000"),
        ("barcode", "4.00638E+12", "has shortened"),
        ("threshold", "2147483648", "more than a product can hold"),
        ("status", "sold", "none of live, draft and archived"),
        ("name", "x" * 201, "At most 200 letters"),
        ("name", "(empty)", "cannot be empty"),
        ("description", "x" * 20_001, "At most 20,000"),
        ("barcode", "1\u200b2", "cannot be seen"),
        ("barcode", "1" * 65, "at most 64"),
        ("slug", "a b", "letters, digits"),
        ("slug", "taken", "another product has it"),
        ("commodity_type", "paper", "neither physical nor digital"),
        ("manage_stock", "perhaps", "neither yes nor no"),
        ("initial_stock", "5", "a file of counts"),
        ("image", "http://example.com/a.jpg", "begins with https"),
        ("image", "javascript:alert(1)", "begins with https"),
        ("image", "nowhere.jpg", "no picture of this name"),
        ("categories", "A > B > C > D > E > F", "at most 5 levels"),
        ("cost", "4.20 XXX", "XXX is not enabled"),
    ],
)
def test_a_cell_that_breaks_a_rule_refuses_its_line_and_says_why(column, cell, said):
    currencies.create(code="JPY", actor=MERCHANT)
    product(sku="A", name="Shirt")
    product(sku="B", slug="taken")

    line = the_line(worked(sheet_of_rows(["sku", column], [["A", cell]])))

    assert said in line.error
    assert line.error.startswith(f"{column}: ") or cell == "#N/A"


@pytest.mark.parametrize(
    ("column", "cell", "after"),
    [
        ("threshold", "12.0", 12),
        ("threshold", "1 000", 1000),
        ("threshold", "1,234", 1234),
        ("barcode", '="0012"', "0012"),
    ],
)
def test_t06_what_can_be_read_in_one_way_only_is_read(column, cell, after):
    product(sku="A")

    [(_, read)] = told(the_line(checked(f"sku | {column}\nA | {cell}"))).values()

    assert read == after


def test_a_sku_that_a_spreadsheet_has_shortened_makes_no_product():
    line = the_line(worked(sheet_of_rows(["sku", "name"], [["1.23457E+12", "Shirt"]])))

    assert "sku: A spreadsheet has shortened 1.23457E+12" in line.error


def test_a_comma_is_the_decimal_point_where_people_said_so():
    product(sku="A", price=1250)

    line = the_line(checked("sku | price_usd\nA | 13,5", decimal_comma=True))

    assert told(line) == {"price_USD": (1250, 1350)}


def test_lines_with_one_sku_are_refused_and_name_each_other():
    product(sku="A", name="Shirt")

    sheet = checked("sku | name\nA | One\nA | Two\nN | New\nN | New\nB | Fine")

    errors = [line.error for line in lines_of(sheet)]
    assert "Lines 2, 3 have this sku" in errors[0] == errors[1]
    assert "Lines 4, 5 have this sku" in errors[2] == errors[3]
    assert errors[4] == ""
    assert (sheet.changed, sheet.refused) == (1, 4)


def test_lines_that_want_one_slug_are_refused():
    sheet = checked("sku | name | slug\nA | One | same\nB | Two | same\nC | Three | other")

    assert ["same slug" in line.error for line in lines_of(sheet)] == [True, True, False]


@pytest.mark.parametrize(
    ("price", "is_marked"),
    [
        *(("12.50", False), ("18.75", False), ("6.25", False)),
        *(("125", True), ("18.76", True), ("6.24", True), ("1.25", True), ("0", True)),
    ],
)
def test_a_great_change_of_a_price_is_marked(price, is_marked):
    product(sku="A", price=1250)

    assert checked(f"sku | price_usd\nA | {price}").marked == is_marked


def test_codes_that_read_like_another_products_are_marked():
    product(sku="ABC", name="Other", barcode="012345678905")
    product(sku="B", name="Shirt")

    sheet = checked("sku | name | barcode\nabc | New |\nB | | 12345678905\nC | New | 0012345678905")

    small, digits, longer = lines_of(sheet)
    assert "is the code of Other (ABC), too" in small.mark
    assert digits.mark == "It has no price, so nobody can buy it." or digits.mark == ""
    assert "is the code of Other (ABC), too" in longer.mark
    with pytest.raises(LinesMarked):
        processing.apply(sheet.pk, actor=MERCHANT)


def test_t04_a_new_sku_that_may_have_lost_its_zeros_is_marked():
    product(sku="0042")

    sheet = checked("sku | name | price_usd\n42 | Mug | 5\n43 | Mug | 5")

    assert [line.mark for line in lines_of(sheet)] == [
        "There is a product 0042: has a spreadsheet taken the zeros away?",
        "",
    ]


def test_t04_a_sku_and_a_barcode_of_different_products_are_refused():
    product(sku="0042", name="Mug", barcode="4006381333931")
    product(sku="42", name="Shirt", price=1250)

    sheet = checked("sku | barcode | price_usd\n42 | 4006381333931 | 9.00")

    assert the_line(sheet).error == (
        "barcode: it is the code of Mug (0042), and the sku of Shirt (42)."
    )


def test_a_new_category_is_marked_once_and_made_when_it_is_applied():
    categories.create("Clothes", actor=MERCHANT)
    for sku in "ABC":
        product(sku=sku)

    sheet = checked(
        "sku | categories\nA | clothes > Shirts; Sale\nB | Clothes > Shirts\nC | Clothes"
    )

    first, second, third = lines_of(sheet)
    assert "Makes the category Clothes > Shirts." in first.mark
    assert "Makes the category Sale." in first.mark
    assert (second.mark, third.mark) == ("", "")
    assert sorted(category_tree.paths().values()) == ["Clothes"]

    apply(sheet)

    assert sorted(category_tree.paths().values()) == ["Clothes", "Clothes > Shirts", "Sale"]
    texts = categories.texts([named("A").pk, named("B").pk])
    assert sorted(texts.values()) == ["Clothes > Shirts", "Clothes > Shirts; Sale"]


# Applying.


def test_a_new_product_has_all_that_its_line_says_and_is_on_record():
    currencies.create(code="EUR", actor=MERCHANT)

    cells = {
        "sku": "N-1",
        "name": "Mug",
        "description": "One\ntwo",
        "status": "draft",
        "barcode": "4006381333931",
        "price_usd": "12.50",
        "price_eur": "11",
        "cost": "4.20 EUR",
        "threshold": "3",
        "image": "https://example.com/a.jpg",
        "categories": "Home",
        "slug": "mug-1",
        "commodity_type": "digital",
        "initial_stock": "7",
    }

    sheet = apply(worked(sheet_of_rows(list(cells), [list(cells.values())])))

    made = named("N-1")
    assert (made.name, made.description, made.status) == ("Mug", "One\ntwo", "draft")
    assert (made.barcode, made.slug, made.commodity_type) == ("4006381333931", "mug-1", "digital")
    assert (made.cost, made.cost_currency_id) == (420, "EUR")
    assert (made.low_stock_threshold, made.image_url) == (3, "https://example.com/a.jpg")
    assert prices_of(made) == {"USD": 1250, "EUR": 1100}
    assert categories.texts([made.pk])[made.pk] == "Home"
    stock = stock_of(made)
    assert (stock.managed, stock.available) == (True, 7)
    entry = StockTransaction.objects.get(stock=stock)
    assert entry.reason == "initial stock (catalogue.csv, line 2)"
    assert entry.effective_at == made.created_at
    [change] = Change.objects.filter(thing_id=str(made.pk))
    assert (change.what, change.actor_name) == ("created", MERCHANT.name)
    on_record = {each["field"]: each["after"] for each in change.fields}
    assert on_record["price_in_USD"] == "12.50"
    assert on_record["categories"] == "Home"
    assert on_record["cost"] == "4.20 EUR"
    assert (sheet.changed, sheet.refused) == (1, 0)


def test_what_a_file_makes_is_on_record_as_what_a_form_makes():
    applied("sku | name | price_usd\nA | Shirt | 12.50")
    product(sku="B", name="Shirt", price=1250, slug="shirt-b")

    def on_record(sku: str) -> list[str]:
        change = Change.objects.get(thing_id=str(named(sku).pk))
        return sorted(each["field"] for each in change.fields)

    assert on_record("A") == on_record("B")


def test_a_change_writes_the_named_fields_alone_and_is_on_record():
    made = product(sku="A", name="Shirt", price=1250, description="Soft", barcode="1")

    applied("sku | name | price_usd | threshold\nA | Blue shirt | 13 | 5")

    changed = named("A")
    assert (changed.name, changed.description, changed.barcode) == ("Blue shirt", "Soft", "1")
    assert (changed.low_stock_threshold, prices_of(changed)) == (5, {"USD": 1300})
    assert changed.slug == made.slug
    assert changed.updated_at > made.updated_at
    change = Change.objects.filter(thing_id=str(made.pk)).latest("pk")
    assert {each["field"] for each in change.fields} == {
        *("name", "price_in_USD", "low_stock_threshold")
    }


def test_a_price_without_tax_stays_without_it():
    made = product(sku="A")
    products.update(made.pk, prices=[Money("USD", 1000, includes_tax=False)], actor=MERCHANT)

    applied("sku | price_usd\nA | 11")

    assert Price.objects.get(product=made).includes_tax is False


def test_slugs_are_made_of_names_and_none_is_taken_twice():
    product(sku="OLD", name="Mug")

    applied("sku | name\nA | Mug\nB | Cup\nC | Cup\nD | 杯")

    slugs = [named(sku).slug for sku in "ABC"]
    assert slugs == ["mug-a", "cup", "cup-c"]
    assert named("D").slug


def test_a_field_that_changed_since_the_check_refuses_its_line_and_no_other():
    first, second = product(sku="A", name="A", price=1250), product(sku="B", name="B")
    sheet = checked("sku | price_usd | name\nA | 13 | AA\nB | 13 | BB")
    products.change_prices(first.pk, {"USD": 1400}, actor=MERCHANT)
    products.update(second.pk, description="New", actor=MERCHANT)

    apply(sheet)

    refused, other = lines_of(sheet)
    assert refused.error == (
        "The price in USD changed since this was checked: it was $12.50, and is $14.00 now."
    )
    assert (prices_of(first), named("A").name) == ({"USD": 1400}, "A")
    assert (other.error, named("B").name) == ("", "BB")
    assert (sheet.changed, sheet.refused) == (1, 1)


def test_what_is_so_by_now_is_left_and_not_taken_back():
    made = product(sku="A", name="Shirt", price=1250)
    sheet = checked("sku | price_usd | name\nA | 13 | Blue")
    products.change_prices(made.pk, {"USD": 1300}, actor=MERCHANT)

    apply(sheet)
    assert set(told(the_line(sheet))) == {"name"}
    reverted(sheet)

    assert (prices_of(made), named("A").name) == ({"USD": 1300}, "Shirt")


def test_a_sku_that_was_taken_since_the_check_is_refused():
    sheet = checked("sku | name\nA | Mine\nB | Fine")
    product(sku="A", name="Theirs")

    apply(sheet)

    assert [line.error for line in lines_of(sheet)] == ["Another product has this sku.", ""]
    assert (sheet.changed, sheet.refused) == (1, 1)
    assert named("A").name == "Theirs"


def test_archiving_writes_off_what_there_is_and_is_refused_where_units_are_allocated():
    product(sku="A", stock=5)
    allocated = product(sku="B", stock=5)
    paid_order({allocated: 2})

    sheet = checked("sku | status\nA | archived\nB | archived")
    first, second = lines_of(sheet)
    assert first.mark == "5 units are written off."
    assert "are allocated" in second.error
    apply(sheet)

    gone = Product.objects.get(sku="A")
    assert gone.archived_at
    stock = stock_of(gone)
    assert (stock.managed, stock.total) == (False, 0)
    last = StockTransaction.objects.filter(stock=stock).latest("sequence")
    assert (last.action, last.quantity) == ("decrement", 5)
    assert last.reason == "stock no longer managed (catalogue.csv, line 2)"
    assert Change.objects.filter(thing_id=str(gone.pk)).latest("pk").what == "deleted"


def test_units_that_came_since_the_check_are_not_written_off_unseen():
    made = product(sku="A")
    sheet = checked("sku | status\nA | archived")
    inventory.record(made.pk, Action.INCREMENT, 3, actor=MERCHANT, reason="found")

    apply(sheet)

    assert "The units changed since this was checked" in the_line(sheet).error
    assert named("A").archived_at is None
    assert stock_of(made).available == 3


def test_stock_begins_and_ends_being_managed():
    product(sku="A", managed=False)
    product(sku="B", stock=2)

    sheet = applied("sku | manage_stock\nA | yes\nB | no")

    assert stock_of(named("A")).managed is True
    assert (stock_of(named("B")).managed, stock_of(named("B")).total) == (False, 0)
    reverted(sheet)
    assert stock_of(named("A")).managed is False
    assert (stock_of(named("B")).managed, stock_of(named("B")).total) == (True, 2)


# Taking back.


def test_reverting_brings_back_exactly_what_was_where_nothing_changed_since():
    currencies.create(code="EUR", actor=MERCHANT)
    made = product(sku="A", name="Shirt", price=1250, description="Soft", stock=3)
    sheet = applied(
        """
        sku | name | description | price_usd | price_eur | categories | cost | threshold | status
        A   | Blue | (empty)     | (empty)   | 11        | Sale       | 4    | 2         | draft
        """
    )
    assert prices_of(made) == {"EUR": 1100}

    assert reverted(sheet).state == "reverted"

    back = named("A")
    assert (back.name, back.description, back.status) == ("Shirt", "Soft", "live")
    assert (back.cost, back.cost_currency_id, back.low_stock_threshold) == (None, None, None)
    assert prices_of(made) == {"USD": 1250}
    assert categories.texts([made.pk])[made.pk] == ""
    assert stock_of(made).available == 3
    assert sheet.reverted == 1


def test_a_field_that_changed_since_stays_and_the_others_go_back():
    made = product(sku="A", name="Shirt", price=1250)
    sheet = applied("sku | name | price_usd\nA | Blue | 13")
    products.update(made.pk, name="Green", actor=MERCHANT)

    reverted(sheet)

    assert (named("A").name, prices_of(made)) == ("Green", {"USD": 1250})
    assert the_line(sheet).error == "The name stays: it was changed since, to Green."
    assert (sheet.state, sheet.reverted, sheet.not_reverted) == ("applied", 0, 1)
    products.update(made.pk, name="Blue", actor=MERCHANT)
    reverted(sheet)
    assert (named("A").name, sheet.state) == ("Shirt", "reverted")


def test_products_that_were_made_are_archived_unless_something_became_of_them():
    sheet = applied(
        "sku | name | initial_stock\nA | A | 5\nB | B | 5\nC | C | 5\nD | D |\nE | E | 5"
    )
    products.update(named("B").pk, name="BB", actor=MERCHANT)
    inventory.record(named("C").pk, Action.DECREMENT, 1, actor=MERCHANT, reason="sold")
    products.archive(named("E").pk, actor=MERCHANT)

    reverted(sheet)

    errors = [line.error for line in lines_of(sheet)]
    assert errors == [
        *("", "It stays: it was changed since.", "It stays: its stock has moved since.", "", "")
    ]
    kept = set(Product.objects.kept().values_list("sku", flat=True))
    assert kept == {"B", "C"}
    assert (sheet.reverted, sheet.not_reverted) == (3, 2)
    assert stock_of(Product.objects.get(sku="A")).total == 0


def test_an_archived_product_comes_back_with_its_units():
    made = product(sku="A", stock=5)
    sheet = applied("sku | status\nA | archived")

    reverted(sheet)

    assert named("A").status == "live"
    stock = stock_of(made)
    assert (stock.managed, stock.available) == (True, 5)
    assert the_line(sheet).reverted


def test_an_archived_product_whose_sku_is_taken_by_now_stays():
    product(sku="A", name="Old")
    sheet = applied("sku | status\nA | archived")
    product(sku="A", name="New")

    reverted(sheet)

    assert the_line(sheet).error == "The status stays: New (A) has its sku by now."
    assert named("A").name == "New"
    assert sheet.state == "applied"


def test_applying_and_reverting_twice_do_nothing_more():
    made = product(sku="A", name="Shirt")
    sheet = applied("sku | name | initial_stock\nA | Blue |\nN | New | 3")

    assert not processing.take_a_batch(sheet.pk)
    reverted(sheet)
    assert not processing.take_a_batch(sheet.pk)

    changes = Change.objects.filter(thing_id=str(made.pk))
    assert [each.what for each in changes.order_by("pk")] == ["created", "changed", "changed"]


def test_the_number_of_statements_does_not_grow_with_the_lines():
    def statements(lines: int, prefix: str) -> list[int]:
        for number in range(lines):
            product(sku=f"{prefix}{number}", stock=1)
        rows = [[f"{prefix}{number}", "", "13", "Sale", "", "no"] for number in range(lines)]
        rows += [
            [f"{prefix}N{number}", f"New {prefix} {number}", "12", "Sale", "4", ""]
            for number in range(lines)
        ]
        header = ["sku", "name", "price_usd", "categories", "initial_stock", "manage_stock"]
        sheet = sheet_of_rows(header, rows)
        found = []
        for state in ("checked", "applied", "reverted"):
            if state == "applied":
                processing.apply(sheet.pk, actor=MERCHANT, looked_at=True)
            if state == "reverted":
                processing.revert(sheet.pk, actor=MERCHANT)
            with CaptureQueriesContext(connection) as captured:
                assert worked(sheet).state == state
            found.append(len(captured))
        assert sheet.not_reverted == 0
        return found

    categories.create("Sale", actor=MERCHANT)

    assert statements(1, "X") == statements(6, "Y")


# What stands in each other's way.


def test_a_slug_that_is_made_is_none_that_another_line_wants():
    made = product(sku="OLD", name="Other")

    sheet = applied(
        """
        sku | name  | slug  | price_usd
        NEW | Shirt |       | 5
        OLD |       | shirt |
        """
    )

    made.refresh_from_db()
    assert (sheet.refused, made.slug, named("NEW").slug) == (0, "shirt", "shirt-new")


def test_a_price_without_tax_that_was_taken_away_comes_back_without_it():
    made = product(sku="A", prices=[Money("USD", 1250, includes_tax=False)])

    reverted(applied("sku | price_usd\nA | (empty)"))

    price = Price.objects.get(product=made)
    assert (price.amount, price.includes_tax) == (1250, False)


@pytest.mark.parametrize(
    ("meanwhile", "said"),
    [
        (lambda currency: currencies.delete(currency.pk, actor=MERCHANT), "no currency EUR"),
        (
            lambda currency: currencies.change(currency.pk, actor=MERCHANT, decimal_places=0),
            "more or fewer digits",
        ),
        (
            lambda currency: currencies.change(currency.pk, actor=MERCHANT, enabled=False),
            "EUR is not enabled any more",
        ),
    ],
    ids=["deleted", "digits", "disabled"],
)
def test_an_amount_in_a_currency_that_is_another_by_now_is_refused(meanwhile, said):
    made = product(sku="A")
    euro = currencies.create(actor=MERCHANT, code="EUR", enabled=True, format="€{price}")
    sheet = checked("sku | name | price_eur | cost\nA | | 12.50 | 3.00 EUR\nN | New | 5 | 3.00 EUR")

    meanwhile(euro)
    apply(sheet)

    for line in lines_of(sheet):
        assert line.error.startswith("price in EUR: ")
        assert said in line.error
        assert "cost: " in line.error
    assert prices_of(made) == {"USD": 1250}
    assert Product.objects.count() == 1


def test_a_price_is_not_taken_back_into_a_currency_that_is_another_by_now():
    made = product(sku="A", prices=[Money("USD", 900)])
    euro = currencies.create(actor=MERCHANT, code="EUR", enabled=True, format="€{price}")
    products.update(made.pk, actor=MERCHANT, prices=[Money("USD", 900), Money("EUR", 1250)])
    sheet = applied("sku | price_eur\nA | (empty)")

    currencies.change(euro.pk, actor=MERCHANT, decimal_places=0)

    assert reverted(sheet).not_reverted == 1
    assert "The price in EUR stays: EUR has more or fewer digits" in the_line(sheet).error


def test_a_line_that_could_not_be_taken_back_is_looked_at_anew_the_next_time():
    made = product(sku="A", slug="before")
    sheet = applied("sku | slug\nA | after")
    products.archive(made.pk, actor=MERCHANT)
    assert the_line(reverted(sheet)).what == "change"
    products.restore(made.pk, sku="A", slug="after", actor=MERCHANT)
    product(slug="before")

    assert reverted(sheet).not_reverted == 1
    assert "another product has the one before" in the_line(sheet).error


def test_pictures_are_shown_by_their_names_and_go_back_to_their_places():
    a, b, c, d = rows(4)
    shirt, mug = product(sku="SHIRT"), product(sku="MUG")
    attach(shirt, a, b, c)

    def shown() -> list[list[str]]:
        ids = [pictures.of_products([each.pk])[each.pk] for each in (shirt, mug)]
        return [[{each.pk: each.name for each in (a, b, c, d)}[pk] for pk in of] for of in ids]

    sheet = applied("sku | image | name\nSHIRT | 2.png |\nMUG | 3.png |\nNEW | 3.png | New")

    assert shown() == [["2.png", "0.png", "1.png"], ["3.png"]]
    assert pictures.of_products([named("NEW").pk])[named("NEW").pk] == [d.pk]
    assert reverted(sheet).not_reverted == 0
    assert shown() == [["0.png", "1.png", "2.png"], []]


def test_a_category_that_is_gone_since_the_check_is_not_made_anew_unasked():
    made = product(sku="A")
    gone = category("Clothes > Shirts")
    sheet = checked("sku | categories\nA | Clothes > Shirts; Sale\nB | Sale")

    categories.delete(gone.pk, actor=MERCHANT)
    apply(sheet)

    assert lines_of(sheet)[0].error == "categories: there is no Clothes > Shirts any more."
    assert categories.of([made.pk])[made.pk] == set()
    assert not Category.objects.filter(name="Shirts").exists()


def test_what_becomes_of_lines_is_counted_from_batch_to_batch(monkeypatch):
    small = {state: replace(work, batch=2) for state, work in processing._WORK.items()}
    monkeypatch.setattr(processing, "_WORK", small)
    for number in range(7):
        product(sku=f"A{number}", name="Shirt")
    sheet = checked("sku | name\n" + "\n".join(f"A{number} | Blue" for number in range(7)))
    for sku, name in (("A0", "Blue"), ("A1", "Red"), ("A4", "Red"), ("A5", "Blue")):
        products.update(named(sku).pk, name=name, actor=MERCHANT)

    apply(sheet)
    assert (sheet.changed, sheet.unchanged, sheet.refused) == (3, 2, 2)
    assert [line.what for line in lines_of(sheet)] == [
        *("leave", "", "change", "change", "", "leave", "change")
    ]
    for sku, name in (("A0", "Red"), ("A2", "Red")):
        products.update(named(sku).pk, name=name, actor=MERCHANT)

    assert (reverted(sheet).reverted, sheet.not_reverted) == (2, 1)


def test_a_new_category_for_which_there_is_no_room_refuses_its_lines_alone(monkeypatch):
    category("Sale")
    for sku in "ABC":
        product(sku=sku)
    sheet = checked("sku | categories\nA | Shirts\nB | Sale\nC | Sale; Shirts")
    monkeypatch.setattr(categories, "CATEGORIES_MAX", 1)

    apply(sheet)

    refused = f"categories: {TooManyCategories()}"
    assert [line.error for line in lines_of(sheet)] == [refused, "", refused]
    assert categories.texts([named("B").pk])[named("B").pk] == "Sale"
    assert [each.name for each in Category.objects.all()] == ["Sale"]


def test_a_category_that_goes_while_a_file_is_about_to_take_it_is_made_again(monkeypatch):
    made = product(sku="A")
    sheet = checked("sku | categories\nA | Sale")
    sale, lock = category("Sale"), CategoryQuerySet.lock_tree
    looks: list[bool] = []

    def after_somebody_else(rows: CategoryQuerySet, *, shared: bool = False) -> None:
        if not looks:
            Category.objects.filter(pk=sale.pk).delete()
        looks.append(shared)
        lock(rows, shared=shared)

    monkeypatch.setattr(CategoryQuerySet, "lock_tree", after_somebody_else)

    apply(sheet)

    # It is rolled back with what was written by then, and so is what somebody else did.
    assert looks == [True, True]
    assert categories.texts([made.pk])[made.pk] == "Sale"


def test_categories_that_are_written_in_other_ways_by_now_are_those_all_the_same():
    made = product(sku="A")
    sheet = checked("sku | categories\nA | Sale; Shirts")
    category("SHIRTS")

    apply(sheet)

    assert categories.texts([made.pk])[made.pk] == "SHIRTS; Sale"
    assert told(the_line(sheet)) == {"categories": ("", "SHIRTS; Sale")}
    assert reverted(sheet).not_reverted == 0
    assert categories.texts([made.pk])[made.pk] == ""


@pytest.mark.parametrize(
    ("cells", "meanwhile", "said"),
    [
        ("status\nA | archived", _begin_managing, "The stock managed changed"),
        ("status\nA | archived", _begin_with_units, "The stock managed changed"),
        ("manage_stock\nA | yes", _archive, "This product is archived."),
        ("description\nA | New", _describe, f": it was nothing, and is {'x' * 60}… now."),
        ("name\nA | New", _rename, f": it was Shirt, and is {'x' * 60} now."),
        ("cost\nA | 5", _cost_more, "The cost changed since this was checked."),
        ("name\nA | New", _archive, "This product is archived."),
    ],
)
def test_a_line_is_refused_for_what_it_says_nothing_of(cells, meanwhile, said):
    made = product(sku="A", name="Shirt", managed=False)
    sheet = checked(f"sku | {cells}")
    meanwhile(made)
    before = _all_of(made)

    apply(sheet)

    assert said in the_line(sheet).error
    assert _all_of(made) == before
    assert sheet.refused == 1


def test_units_that_came_since_are_not_written_off_with_the_managing_of_stock():
    made = product(sku="A")
    sheet = checked("sku | manage_stock\nA | no")
    inventory.record(made.pk, Action.INCREMENT, 3, actor=MERCHANT)

    apply(sheet)

    assert "The units changed since this was checked: it was 0, and is 3" in the_line(sheet).error
    assert stock_of(made).available == 3


@pytest.mark.parametrize(
    ("units", "cells", "meanwhile", "said"),
    [
        (0, "manage_stock\nA | yes", _find_units, "stock managed stays: there are units of it"),
        (0, "manage_stock\nA | yes", _allocate, "stock managed stays: there are units of it"),
        (5, "manage_stock\nA | no", _begin_with_units, "The units stays: its stock has moved"),
        (0, "categories\nA | (empty)", _delete_sale, "there is no category Sale any more."),
        (0, "cost\nA | 5", _cost_more, "The cost stays: it was changed since."),
        (0, "description\nA | New", _archive, "It stays: it is archived by now."),
    ],
)
def test_a_field_that_cannot_be_as_it_was_stays_and_says_why(units, cells, meanwhile, said):
    made = product(
        units,
        sku="A",
        slug="a",
        managed="yes" not in cells,
        category_ids=[category("Sale").pk],
        cost=Money("USD", 400),
    )
    sheet = applied(f"sku | {cells}")
    meanwhile(made)
    before = _all_of(made)

    reverted(sheet)

    assert said in the_line(sheet).error
    assert _all_of(made) == before
    assert (sheet.state, sheet.not_reverted) == ("applied", 1)


def test_t01_no_units_come_back_into_stock_that_somebody_has_begun_anew():
    made = product(5, sku="A")
    sheet = applied("sku | manage_stock\nA | no")
    _begin_managing(made)

    assert reverted(sheet).not_reverted == 1

    assert stock_of(made).available == 0
    assert the_line(sheet).error == (
        "The stock managed stays: it was changed since, to yes. "
        "The units stays: its stock began anew since."
    )


def test_units_that_were_written_off_stay_so_once_others_have_come_and_gone():
    made = product(5, sku="A")
    sheet = applied("sku | manage_stock\nA | no")
    _begin_and_end(made)

    assert reverted(sheet).not_reverted == 1

    assert (stock_of(made).managed, stock_of(made).available) == (True, 0)
    assert the_line(sheet).error == "The units stays: its stock has moved since."


def test_what_nobody_changed_comes_back_beside_a_status_that_somebody_did():
    made = product(5, sku="A", slug="a")
    sheet = applied("sku | status\nA | archived")
    _restore_live(made)

    assert reverted(sheet).not_reverted == 1

    assert (named("A").status, stock_of(made).managed, stock_of(made).available) == (
        "live",
        True,
        5,
    )
    assert the_line(sheet).error == "The status stays: it was changed since, to live."


def test_a_product_that_a_file_brought_back_is_archived_again_unless_its_stock_is_managed():
    sheets = []
    for sku in "AB":
        products.archive(product(sku=sku).pk, actor=MERCHANT)
        line = selections.the_same(status="draft")
        chosen = Product.objects.filter(sku=sku)
        sheets.append(apply(worked(selections.make("Restore", chosen, line, actor=MERCHANT))))
    _begin_managing(named("B"))

    for sheet in sheets:
        reverted(sheet)

    assert [sheet.not_reverted for sheet in sheets] == [0, 1]
    assert "The status stays: its stock is managed by now." in the_line(sheets[1]).error
    assert list(Product.objects.kept().values_list("sku", flat=True)) == ["B"]


def test_a_new_product_without_managed_stock_is_archived_when_its_file_is_taken_back():
    sheet = applied("sku | name | manage_stock\nA | Shirt | no")
    assert not stock_of(named("A")).managed

    assert reverted(sheet).not_reverted == 0
    assert Product.objects.get().archived_at


def test_units_that_are_put_back_say_which_file_was_taken_back():
    made = product(5, sku="A")

    reverted(applied("sku | manage_stock\nA | no"))
    reverted(applied("sku | name | initial_stock\nN | New | 3"))

    def last(of: Product) -> tuple[str, int, str]:
        entry = StockTransaction.objects.filter(stock__product=of).latest("sequence")
        return entry.action, entry.quantity, entry.reason

    why = "Reverted: catalogue.csv, line 2"
    assert last(made) == ("increment", 5, why)
    assert last(Product.objects.get(sku="N")) == ("decrement", 3, why)


def test_a_picture_that_a_file_added_before_others_goes_again():
    *own, added = rows(3)
    shirt = product(sku="A")
    attach(shirt, *own)

    sheet = applied("sku | image\nA | 2.PNG")
    assert told(the_line(sheet)) == {"picture": ("0.png", "2.png")}
    assert pictures.of_products([shirt.pk])[shirt.pk] == [added.pk, *[each.pk for each in own]]

    assert reverted(sheet).not_reverted == 0
    assert pictures.of_products([shirt.pk])[shirt.pk] == [each.pk for each in own]


def test_a_file_adds_no_picture_to_as_many_as_there_may_be():
    some = rows(21)
    attach(product(sku="A"), *some[:20])
    attach(product(sku="B"), *some[:19])

    sheet = checked("sku | image\nA | 20.png\nA2 | 20.png\nB | 20.png")

    full, _, other = lines_of(sheet)
    assert full.error == "image: a product has at most 20 pictures."
    assert other.error == ""


def test_an_uploaded_picture_is_not_taken_away_by_a_file():
    attach(product(sku="A", image_url="https://x/a.png"), *rows(1))

    assert the_line(checked("sku | image\nA | (empty)")).error == (
        "image: an uploaded picture is taken away on the product's own page."
    )


def test_a_product_with_pictures_is_changed_beside_the_one_that_it_shows():
    attach(product(sku="A", name="Shirt"), *rows(1))

    line = the_line(checked("sku | image | name\nA | 0.png | Blue"))

    assert (line.error, told(line)) == ("", {"name": ("Shirt", "Blue")})


def test_what_a_file_says_nothing_of_stays_also_pictures_and_categories():
    some, made = rows(2), product(sku="A", category_ids=[category("Sale").pk])
    attach(made, *some)

    applied("sku | name\nA | Blue")

    assert pictures.of_products([made.pk])[made.pk] == [each.pk for each in some]
    assert categories.texts([made.pk])[made.pk] == "Sale"


def test_units_are_written_off_where_there_are_any():
    product(5, sku="A")
    product(sku="B")

    some, none = lines_of(checked("sku | manage_stock\nA | no\nB | no"))

    assert [each["field"] for each in some.fields] == ["manage_stock", "stock"]
    assert told(some) == {"manage_stock": (True, False), "stock": (5, 0)}
    assert told(none) == {"manage_stock": (True, False)}


def test_categories_that_a_file_took_away_come_back():
    made = product(sku="A", category_ids=[category("Sale").pk])

    assert reverted(applied("sku | categories\nA | (empty)")).not_reverted == 0

    assert categories.texts([made.pk])[made.pk] == "Sale"


@pytest.mark.parametrize(
    ("cells", "error"),
    [
        ("manage_stock | initial_stock\nN | New | no | 5", "initial_stock: only managed stock"),
        ("manage_stock | initial_stock\nN | New | no | 0", ""),
        ("manage_stock | initial_stock\nN | New | yes | 5", ""),
        ("status | slug\nN | New | archived | n", "status: a new product cannot be archived."),
        ("slug | barcode\nN | New | taken | 1", "slug: another product has it."),
    ],
)
def test_a_new_product_is_one_that_can_be(cells, error):
    product(slug="taken")

    line = the_line(checked(f"sku | name | {cells}"))

    assert line.error[: len(error) or None] == error
    assert line.what == ("" if error else "create")


def test_a_new_product_is_live_and_managed_and_has_nothing_that_is_taken_away():
    line = the_line(checked("sku | name | description | threshold\nN | New | (empty) | (empty)"))

    assert told(line) == {
        "name": (None, "New"),
        "status": (None, "live"),
        "manage_stock": (None, True),
    }
    assert line.mark == "It has no price, so nobody can buy it."


def test_a_product_may_have_its_sku_as_its_barcode():
    product(sku="4006381333931")

    line = the_line(checked("sku | barcode\n4006381333931 | 4006381333931"))

    assert (line.error, line.mark) == ("", "")
    assert told(line) == {"barcode": ("", "4006381333931")}


def test_a_product_keeps_its_own_slug_and_takes_no_other_ones():
    product(sku="A", slug="mine", name="Shirt")
    product(sku="B", slug="theirs")
    gone = product(sku="C", slug="free")
    products.archive(gone.pk, actor=MERCHANT)

    sheet = checked("sku | slug | name\nA | mine | Blue\nB | mine |\nB2 | free | New")

    assert [line.error for line in lines_of(sheet)] == ["", "slug: another product has it.", ""]


def test_what_is_archived_has_no_stock():
    product(sku="A", managed=False)

    assert the_line(checked("sku | status | manage_stock\nA | archived | yes")).error == (
        "manage_stock: an archived product has no stock."
    )


def test_what_a_product_has_is_no_change_whatever_it_is():
    currencies.create(code="EUR", actor=MERCHANT)
    product(sku="A", name="Shirt", prices=[Money("USD", 1250), Money("EUR", 1100)])
    currencies.change(currencies.by_code()["EUR"].pk, enabled=False, actor=MERCHANT)

    same, other = lines_of(
        worked(
            sheet_of_rows(
                ["sku", "price_eur", "name"], [["A", "11.00", "Blue"], ["B", "11.00", "New"]]
            )
        )
    )

    assert (same.error, told(same)) == ("", {"name": ("Shirt", "Blue")})
    assert "The currency EUR is not enabled." in other.error


def test_a_line_that_is_refused_changes_nothing_and_is_no_products():
    product(sku="A", price=1250)
    product(sku="B")
    sheet = worked(
        sheet_of_rows(["sku", "price_usd"], [["A", "125"], ["A2", "x"], ["B", "1", "2"]])
    )

    great, bad, long = lines_of(sheet)
    assert (great.mark, bad.mark, long.mark) == (
        "The price goes from $12.50 to $125.00.",
        "",
        "",
    )
    assert (bad.what, bad.fields, long.product) == ("", [], None)
    assert (sheet.changed, sheet.unchanged, sheet.refused, sheet.marked) == (1, 0, 2, 1)


def test_one_unit_is_told_as_one():
    product(1, sku="A")

    assert the_line(checked("sku | manage_stock\nA | no")).mark == "1 unit is written off."


def test_new_lines_that_people_read_alike_are_marked():
    sheet = checked(
        "sku | name | price_usd | barcode\nN-1 | New | 5 | ab\nn-1 | New | 5 | AB\nC | New | 5 | c"
    )

    together = "To people, lines 2, 3 have the same sku. Lines 2, 3 have the same barcode."
    assert [line.mark for line in lines_of(sheet)] == [together, together, ""]


def _brought_back(*gone: Product) -> Sheet:
    chosen = Product.objects.filter(pk__in=[each.pk for each in gone]).order_by("sku")
    want = selections.the_same(status="live")
    return worked(selections.make("Restore", chosen, want, actor=MERCHANT))


def test_what_comes_back_meets_nobody_who_has_its_slug_or_is_its_variant():
    made = parent(Option("Size", ["S"]), sku="TOP")
    small = made.variants.get()
    shirt, mug = product(sku="SHIRT", slug="shirt"), product(sku="MUG", slug="mug")
    for each in (small, shirt, mug):
        products.archive(each.pk, actor=MERCHANT)
    product(sku="OTHER", name="Other", slug="shirt")
    again = product(sku="NEW", name="New")
    variants.put_in(made.pk, again.pk, {"Size": "S"}, actor=MERCHANT)

    sheet = _brought_back(small, shirt, mug)

    assert [(line.sku, line.error) for line in lines_of(sheet)] == [
        ("MUG", ""),
        ("SHIRT", "Other (OTHER) has its slug by now."),
        ("TOP-S", "New (NEW) is the same variant."),
    ]


def test_what_is_archived_already_is_not_archived_again():
    gone = product(sku="A")
    products.archive(gone.pk, actor=MERCHANT)
    want = selections.the_same(status="archived")

    sheet = worked(selections.make("Archive", Product.objects.all(), want, actor=MERCHANT))

    assert (sheet.changed, sheet.unchanged) == (0, 1)


@pytest.mark.parametrize("change", [_describe, _begin_managing])
def test_a_new_product_stays_for_whatever_became_of_it_until_it_is_archived(change):
    sheet = applied("sku | name | manage_stock\nA | New | no")
    made = named("A")
    change(made)

    assert reverted(sheet).not_reverted == 1
    assert the_line(sheet).error == "It stays: it was changed since."
    _archive(made)

    assert reverted(sheet).not_reverted == 0
    assert (the_line(sheet).reverted, the_line(sheet).error) == (True, "")


def test_of_an_archived_product_that_cannot_come_back_nothing_goes_back():
    old = product(sku="A", name="Old")
    sheet = applied("sku | name | status\nA | Blue | archived")
    product(sku="A", name="New")

    assert reverted(sheet).not_reverted == 1

    assert the_line(sheet).error == "The status stays: New (A) has its sku by now."
    old.refresh_from_db()
    assert (old.name, old.archived_at is None) == ("Blue", False)


def test_what_came_back_and_was_archived_again_by_somebody_stays_so():
    product(sku="A", slug="before", stock=5)
    sheet = applied("sku | slug | status\nA | after | archived")
    other = product(sku="B", slug="before")
    assert reverted(sheet).not_reverted == 1
    _archive(named("A"))
    _archive(other)

    assert reverted(sheet).not_reverted == 1

    assert the_line(sheet).error == "It stays: it is archived by now."
    assert not Product.objects.kept().exists()


def test_a_field_that_stayed_is_taken_back_later_beside_those_that_went_back():
    made = product(sku="A", name="Shirt", slug="before", price=1250, cost=Money("USD", 420))
    sheet = applied("sku | name | slug | cost | price_usd\nA | Blue | after | 5 | 13")
    products.change_prices(made.pk, {"USD": 1400}, actor=MERCHANT)

    assert reverted(sheet).not_reverted == 1
    assert (named("A").name, named("A").slug, prices_of(made)) == (
        *("Shirt", "before"),
        {"USD": 1400},
    )
    assert products.cost_of(named("A")) == Money("USD", 420)
    products.change_prices(made.pk, {"USD": 1300}, actor=MERCHANT)
    products.update(made.pk, name="Green", actor=MERCHANT)

    assert reverted(sheet).not_reverted == 0
    assert (named("A").name, prices_of(made)) == ("Green", {"USD": 1250})


def test_what_is_archived_is_not_changed_by_who_says_nothing_of_its_status():
    gone = product(sku="A")
    products.archive(gone.pk, actor=MERCHANT)
    want = selections.the_same(low_stock_threshold=3)

    sheet = worked(selections.make("Set", Product.objects.all(), want, actor=MERCHANT))

    assert the_line(sheet).error == "This product is archived."
