import itertools
from contextlib import nullcontext
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from api import clock
from api.fields import UNITS_MAX
from api.ids import uuid7
from inventory.errors import (
    CurrencyAmbiguous,
    LinesMarked,
    StocktakeNotReady,
    StockTooLow,
    TooManyUnits,
)
from inventory.models import (
    BY_HAND,
    DEFAULT_LOCATION_ID,
    EFFECTS,
    FOR_ORDER,
    Action,
    Category,
    CountLine,
    Currency,
    Delivery,
    DeliveryLine,
    Effect,
    Parent,
    Price,
    Product,
    ProductLine,
    Sheet,
    Stock,
    StockCount,
    Stocktake,
    StockTransaction,
)
from tests.factories import MERCHANT, product, stock_of

SOMETHING = uuid7()


@pytest.mark.django_db
def test_the_database_knows_the_same_effects_as_the_code():
    stock = stock_of(product())

    with transaction.atomic():
        _log_one_entry_of_each_kind(stock, quantity=3)
        in_the_database = _effects_in_the_database()
        # No stock moved with these entries, so the database would refuse them in the end.
        transaction.set_rollback(True)

    assert in_the_database == [
        Effect(effect.available * 3, effect.allocated * 3, effect.held * 3)
        for effect in EFFECTS.values()
    ]


def _log_one_entry_of_each_kind(stock: Stock, *, quantity: int) -> None:
    for number, (action, by_order) in enumerate(EFFECTS, start=1):
        StockTransaction.objects.create(
            stock=stock,
            sequence=number,
            action=action,
            quantity=quantity,
            by_order=by_order,
            available=0,
            allocated=0,
            held=0,
            created_at=clock.now(),
        )


def _effects_in_the_database() -> list[Effect]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT available, allocated, held FROM inventory_stock_effect ORDER BY sequence"
        )
        return [Effect(*row) for row in cursor.fetchall()]


def test_every_action_has_an_effect():
    assert set(EFFECTS) == set(itertools.product(Action, (BY_HAND, FOR_ORDER)))


def _stock(*, available: int = 10, allocated: int = 7, held: int = 3) -> Stock:
    return Stock(available=available, allocated=allocated, held=held, sequence=5)


def _numbers(stock: Stock) -> tuple[int, int, int, int]:
    return stock.available, stock.allocated, stock.held, stock.sequence


@pytest.mark.parametrize(
    ("action", "by_order", "available", "allocated", "held"),
    [
        (Action.INCREMENT, BY_HAND, 12, 7, 3),
        (Action.DECREMENT, BY_HAND, 8, 7, 3),
        (Action.ALLOCATE, BY_HAND, 8, 9, 5),
        (Action.DEALLOCATE, BY_HAND, 12, 5, 1),
        (Action.INCREMENT, FOR_ORDER, 12, 7, 3),
        (Action.ALLOCATE, FOR_ORDER, 8, 9, 3),
        (Action.DEALLOCATE, FOR_ORDER, 12, 5, 3),
        (Action.DECREMENT, FOR_ORDER, 8, 7, 3),
    ],
)
def test_an_action_moves_exactly_these_numbers(action, by_order, available, allocated, held):
    stock = _stock(available=10, allocated=7, held=3)

    step = stock.move(action, 2, by_order=by_order)

    assert _numbers(stock) == (available, allocated, held, 6)
    assert step == (stock, 6, action, 2, by_order, available, allocated, held)


@pytest.mark.parametrize(
    ("action", "by_order", "quantity", "message"),
    [
        (Action.DECREMENT, BY_HAND, 11, "Only 10 are available; 11 asked for."),
        (Action.ALLOCATE, BY_HAND, 11, "Only 10 are available; 11 asked for."),
        (Action.ALLOCATE, FOR_ORDER, 11, "Only 10 are available; 11 asked for."),
        (Action.DECREMENT, FOR_ORDER, 11, "Only 10 are available; 11 asked for."),
        (Action.DEALLOCATE, FOR_ORDER, 5, "Only 4 are allocated to orders; 5 asked for."),
        (Action.DEALLOCATE, BY_HAND, 8, "Only 3 are set aside by hand; 8 asked for."),
    ],
)
def test_what_does_not_fit_is_refused_and_not_clamped(action, by_order, quantity, message):
    stock = _stock(available=10, allocated=7, held=3)

    with pytest.raises(StockTooLow) as refusal:
        stock.move(action, quantity, by_order=by_order)

    assert str(refusal.value) == message
    assert _numbers(stock) == (10, 7, 3, 5)


def test_f33_a_deallocate_by_hand_cannot_take_the_units_of_orders():
    stock = _stock(allocated=7, held=3)

    with pytest.raises(StockTooLow, match="Only 3 are set aside by hand; 4 asked for"):
        stock.move(Action.DEALLOCATE, 4, by_order=BY_HAND)

    assert stock.for_orders == 4


def test_an_order_cannot_give_back_the_units_that_were_set_aside_by_hand():
    stock = _stock(allocated=3, held=3)

    with pytest.raises(StockTooLow, match="None are allocated to orders; 1 asked for"):
        stock.move(Action.DEALLOCATE, 1, by_order=FOR_ORDER)


@pytest.mark.parametrize(
    ("available", "message"),
    [(0, "None is available; 2 asked for."), (1, "Only 1 is available; 2 asked for.")],
)
def test_a_merchant_reads_in_plain_words_what_is_left(available, message):
    with pytest.raises(StockTooLow) as refusal:
        _stock(available=available).move(Action.DECREMENT, 2, by_order=BY_HAND)

    assert str(refusal.value) == message


def test_the_total_may_reach_the_largest_number_and_not_pass_it():
    stock = _stock(available=UNITS_MAX - 8, allocated=7)

    stock.move(Action.INCREMENT, 1, by_order=BY_HAND)
    with pytest.raises(TooManyUnits):
        stock.move(Action.INCREMENT, 1, by_order=BY_HAND)

    assert _numbers(stock) == (UNITS_MAX - 7, 7, 3, 6)


@pytest.mark.parametrize("quantity", [0, -1])
def test_a_quantity_below_one_is_the_mistake_of_a_programmer(quantity):
    stock = _stock()

    with pytest.raises(AssertionError):
        stock.move(Action.INCREMENT, quantity, by_order=BY_HAND)


@pytest.mark.django_db
def test_stock_is_locked_as_select_for_update_locks_it():
    """The lock's SQL is written by hand; what Django makes of the same must say the same."""
    wanted = [product(1).pk]
    djangos = (
        Stock.objects.filter(location_id=DEFAULT_LOCATION_ID, product_id__in=wanted)
        .order_by("pk")
        .select_for_update(no_key=True)
    )

    with transaction.atomic(), CaptureQueriesContext(connection) as queries:
        assert Stock.objects.lock(wanted) == list(djangos)

    ours, expected = (query["sql"].replace('"', "") for query in queries)
    expected = expected.replace("inventory_stock.", "").replace(" ASC", "")
    assert ours.partition(" WHERE ")[0] == expected.partition(" WHERE ")[0]
    assert ours.partition(" ORDER ")[2] == expected.partition(" ORDER ")[2]


@pytest.mark.django_db
def test_f05_twenty_rows_are_locked_by_one_query_in_key_order():
    products = [product(1) for _ in range(20)]
    backwards = [made.pk for made in reversed(products)]

    with (
        transaction.atomic(),
        CaptureQueriesContext(
            connection,
        ) as queries,
    ):
        locked = Stock.objects.lock(backwards)

    assert len(queries) == 1
    assert queries[0]["sql"].endswith(" ORDER BY id FOR NO KEY UPDATE")
    assert [stock.pk for stock in locked] == sorted(stock.pk for stock in locked)
    assert {stock.product_id for stock in locked} == set(backwards)


@pytest.mark.django_db(transaction=True)
def test_stock_is_locked_only_inside_a_transaction():
    made = product(1)

    with pytest.raises(AssertionError, match="a lock needs a transaction"):
        Stock.objects.lock([made.pk])


@pytest.mark.django_db
def test_a_locked_row_is_as_complete_as_any_other():
    made = product(5)

    with transaction.atomic():
        [locked] = Stock.objects.lock([made.pk])

    read = stock_of(made)
    fields = [field.attname for field in Stock._meta.concrete_fields]
    assert [getattr(locked, name) for name in fields] == [getattr(read, name) for name in fields]
    assert locked.get_deferred_fields() == set()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("lock", "told"),
    [
        (Currency.objects.lock_all, ['"inventory_currency"."id" ASC FOR NO KEY UPDATE']),
        (
            lambda: Parent.objects.lock(SOMETHING),
            ['WHERE "inventory_parent"."id" = ', "FOR NO KEY UPDATE"],
        ),
        (
            lambda: Sheet.objects.lock(SOMETHING),
            ['WHERE "inventory_sheet"."id" = ', "FOR NO KEY UPDATE"],
        ),
        (
            lambda: Stocktake.objects.lock(SOMETHING),
            ['WHERE "inventory_stocktake"."id" = ', "FOR NO KEY UPDATE"],
        ),
        (
            lambda: Delivery.objects.lock(SOMETHING),
            ['"follows_id" = ', 'ORDER BY "inventory_delivery"."id" ASC FOR NO KEY UPDATE'],
        ),
        (Category.objects.lock_tree, ["SELECT pg_advisory_xact_lock("]),
        (
            lambda: Category.objects.lock_tree(shared=True),
            ["SELECT pg_advisory_xact_lock_shared("],
        ),
    ],
    ids=["currencies", "parent", "sheet", "stocktake", "delivery", "tree", "shared tree"],
)
def test_a_lock_takes_its_rows_in_key_order_and_leaves_their_keys_to_others(lock, told):
    with transaction.atomic(), CaptureQueriesContext(connection) as queries:
        lock()

    assert [words for words in told if words not in queries[0]["sql"]] == []


@pytest.mark.django_db
def test_currencies_are_read_again_after_their_lock_and_in_the_same_order():
    Currency.objects.create(code="EUR", created_at=clock.now(), updated_at=clock.now())

    with transaction.atomic():
        assert Currency.objects.lock_all() == list(Currency.objects.order_by("pk"))


@pytest.mark.parametrize(
    ("point", "separator", "places", "is_refused"),
    [
        (".", ",", 2, False),
        (".", ".", 2, True),
        ("1", ",", 2, True),
        (".", "1", 2, True),
        ("\u200b", ",", 2, True),
        ("\u200b", ",", 0, False),
    ],
)
def test_an_amount_reads_in_one_way(point, separator, places, is_refused):
    currency = Currency(decimal_point=point, thousand_separator=separator, decimal_places=places)

    with pytest.raises(CurrencyAmbiguous) if is_refused else nullcontext():
        currency.require_unambiguous()


def test_what_a_product_costs_is_written_with_its_currency():
    assert Product(cost=420, cost_currency=Currency(code="USD")).written_cost() == "4.20 USD"
    assert Product().written_cost() is None


def test_spreadsheets_get_an_amount_as_a_number():
    assert Currency(decimal_places=2).in_major_units(1250) == Decimal("12.50")


@pytest.mark.django_db
def test_total_is_derived_by_the_database():
    made = product(5)

    stock = stock_of(made)

    assert (stock.total, str(stock)) == (5, "5 = 5 available + 0 allocated")


@pytest.mark.parametrize(
    ("currency", "amount", "text"),
    [
        (Currency(format="${price}"), 1250, "$12.50"),
        (Currency(format="${price}"), 5, "$0.05"),
        (Currency(format="${price}"), 0, "$0.00"),
        (Currency(format="${price}"), -1250, "-$12.50"),
        (Currency(format="${price}"), 123456789, "$1,234,567.89"),
        (Currency(format="¥{price}", decimal_places=0), 1250, "¥1,250"),
        (
            Currency(format="{price} €", decimal_point=",", thousand_separator="."),
            123456,
            "1.234,56 €",
        ),
        (Currency(format="{price} KD", decimal_places=3), 1250, "1.250 KD"),
    ],
)
def test_an_amount_is_written_as_people_read_it(currency, amount, text):
    assert currency.formatted(amount) == text


def test_people_decide_by_these_words():
    stock = Stock(managed=True, available=1, allocated=2, held=3)
    file = Sheet(state="checked", columns=["sku", "count"], changed=1, reverted=2, not_reverted=3)

    empty = Stock(managed=False, available=0, allocated=0, held=0)

    assert [row.standing() for row in (stock, empty, file)] == [
        {"managed": "yes", "available": "1", "allocated": "2", "set aside": "3"},
        {"managed": "no", "available": "0", "allocated": "0", "set aside": "0"},
        {
            "state": "ready to apply",
            "columns": "sku, count",
            "changes": "1",
            "taken back": "2",
            "not taken back": "3",
        },
    ]
    for row in (Delivery(revision=4), Stocktake(revision=4)):
        assert row.standing() == {"state": "open", "changes made to it": "4"}


@pytest.mark.parametrize(
    ("changed", "unchanged", "kind", "comes_to_something"),
    [
        (1, 0, "products", True),
        (0, 1, "products", False),
        (0, 1, "counts", True),
        (0, 0, "counts", False),
    ],
)
def test_a_file_in_which_all_agrees_comes_to_something_if_it_counts(
    changed, unchanged, kind, comes_to_something
):
    file = Sheet(changed=changed, unchanged=unchanged, kind=kind)

    assert file.comes_to_something is comes_to_something


@pytest.mark.parametrize(
    ("refused", "state", "reverted_at", "may"),
    [
        (1, "applied", None, True),
        (0, "applied", None, False),
        (1, "checked", None, False),
        (1, "applied", clock.now(), False),
    ],
)
def test_refused_lines_may_be_tried_again_once_the_rest_is_applied(
    refused, state, reverted_at, may
):
    file = Sheet(refused=refused, state=state, reverted_at=reverted_at)

    assert file.may_try_again is may


def test_a_file_knows_how_far_it_is_and_of_when_it_speaks():
    now = clock.now()

    assert [Sheet(lines_done=done, lines_total=8).percent_done for done in (0, 3, 8)] == [
        0,
        37,
        100,
    ]
    assert Sheet(lines_done=0, lines_total=0).percent_done == 0
    assert Sheet(created_at=now).as_of == now
    assert Sheet(created_at=now, speaks_of=now - timedelta(days=1)).as_of == now - timedelta(days=1)
    under_way = [state for state in Sheet.State.values if Sheet(state=state).is_under_way]
    assert under_way == ["reading", "checking", "applying", "reverting"]


def test_only_what_looks_like_a_mistake_must_be_looked_at():
    Sheet(marked=0).require_looked_at(False)
    Sheet(marked=2).require_looked_at(True)
    with pytest.raises(LinesMarked):
        Sheet(marked=2).require_looked_at(False)


def test_a_file_that_begins_anew_forgets_what_it_came_to():
    def begun(state: str) -> dict[str, int]:
        file = Sheet(lines_total=8, left_out=2, position=9)
        numbers = ("changed", "unchanged", "refused", "units_added", "units_removed", "marked")
        for name in (*numbers, "lines_done", "not_reverted"):
            setattr(file, name, 5)
        file.begin(Sheet.State(state), position=1)
        assert (file.state, file.position) == (state, 1)
        assert (file.lines_done, file.not_reverted) == (0, 0)
        return {name: getattr(file, name) for name in (*numbers, "lines_total", "left_out")}

    zeros = {"changed": 0, "unchanged": 0, "refused": 0, "units_added": 0, "units_removed": 0}
    fives = dict.fromkeys(zeros, 5)

    assert begun("checking") == zeros | {"marked": 0, "lines_total": 10, "left_out": 0}
    assert begun("applying") == zeros | {"marked": 5, "lines_total": 8, "left_out": 2}
    assert begun("reverting") == fives | {"marked": 5, "lines_total": 8, "left_out": 2}


def test_a_line_is_applied_until_it_is_taken_back():
    assert not CountLine().is_applied
    assert CountLine(sequence=2).is_applied
    assert not CountLine(sequence=2, reverted_sequence=3).is_applied
    assert not ProductLine().is_applied
    assert ProductLine(applied=True).is_applied
    assert not ProductLine(applied=True, reverted=True).is_applied
    assert [CountLine(change=change).agreed for change in (None, 0, 1)] == [False, True, False]
    assert not CountLine(change=0, error="unknown").agreed


def _sheet(kind: Sheet.Kind) -> Sheet:
    now = clock.now()
    sheet = Sheet(name="shelf.csv", kind=kind, lines_total=1, created_at=now, updated_at=now)
    sheet.actor = MERCHANT
    sheet.save()
    return sheet


@pytest.mark.django_db
def test_the_line_of_an_entry_is_found_by_its_product_and_number():
    shirt, mug = product(), product()
    sheet = _sheet(Sheet.Kind.COUNTS)

    def line(number: int, of: Product, *entries: int | None) -> CountLine:
        sequence, reverted = entries
        return CountLine.objects.create(
            sheet=sheet, number=number, product=of, sequence=sequence, reverted_sequence=reverted
        )

    ours = line(2, shirt, 5, 7)
    line(3, shirt, 6, None)
    line(4, mug, 5, 7)
    # Of an agreeing count there is no entry.
    line(5, shirt, None, None)

    found = [list(CountLine.objects.of_entry(shirt.pk, number)) for number in (5, 7, 8)]
    assert found == [[ours], [ours], []]


@pytest.mark.django_db
def test_the_lines_of_a_product_are_those_that_were_applied_to_it_the_newest_first():
    shirt, mug = product(), product()
    sheets = [_sheet(Sheet.Kind.PRODUCTS) for _ in range(2)]
    lines = [
        ProductLine.objects.create(sheet=sheet, number=number, product=of, applied=applied)
        for sheet in sheets
        for number, of, applied in ((2, shirt, True), (3, mug, True), (4, shirt, False))
    ]

    assert list(ProductLine.objects.of_product(shirt.pk)) == [lines[3], lines[0]]


@pytest.mark.django_db
def test_jobs_take_the_lines_after_the_last_in_their_order_and_back_again():
    sheet, other = _sheet(Sheet.Kind.COUNTS), _sheet(Sheet.Kind.COUNTS)
    for each in (sheet, other):
        for number in (5, 3, 6, 2, 4):
            CountLine.objects.create(sheet=each, number=number, left_out=number == 4)

    def numbers(state: str, position: int) -> list[int]:
        sheet.state, sheet.position = state, position
        return [line.number for line in sheet.next_lines(2)]

    # Which say nothing is found out by checking them.
    assert [numbers("checking", after) for after in (0, 3)] == [[2, 3], [4, 5]]
    assert [numbers("applying", after) for after in (0, 3, 6)] == [[2, 3], [5, 6], []]
    assert [numbers("reverting", before) for before in (9, 5, 2)] == [[6, 5], [3, 2], []]


def test_a_count_tells_how_many_units_were_missing():
    assert StockCount(change=-3).fewer == 3


@pytest.mark.django_db
def test_a_currency_is_in_use_when_something_refers_to_it_and_no_other_one():
    made = product()
    euro = Currency.objects.create(code="EUR", created_at=clock.now(), updated_at=clock.now())

    assert Currency.objects.get(code="USD").is_in_use()
    assert not euro.is_in_use()
    Product.objects.filter(pk=made.pk).update(cost=1, cost_currency="EUR")
    assert euro.is_in_use()


def test_a_delivery_says_what_is_still_to_come_and_where_it_came_from():
    lines = [DeliveryLine(expected=4, received=received) for received in (3, 4, 6)]

    assert [(line.short, line.over) for line in lines] == [(1, 0), (0, 0), (0, 2)]
    assert Delivery(number="D-1").reason == "Delivery D-1"
    assert Delivery(number="D-1", supplier="Mill").reason == "Delivery D-1 from Mill"
    assert (Delivery().is_open, Delivery(state="booked").is_open) == (True, False)


def test_a_stocktake_hides_the_books_while_it_is_open_if_it_is_blind():
    assert Stocktake(is_blind=True).hides_the_books
    assert not Stocktake(is_blind=False).hides_the_books
    assert not Stocktake(is_blind=True, state="closed").hides_the_books
    assert Stocktake(products=5, counted=2).left == 3


def test_a_stocktake_is_closed_when_something_was_counted_and_reopened_without_its_sheet():
    Stocktake(counted=1).require_counted()
    Stocktake(state="closed").require_reopenable()
    for refused in (
        lambda: Stocktake(counted=0).require_counted(),
        lambda: Stocktake(counted=1, state="closed").require_counted(),
        lambda: Stocktake().require_reopenable(),
        lambda: Stocktake(state="closed", sheet_id=uuid7()).require_reopenable(),
    ):
        with pytest.raises(StocktakeNotReady):
            refused()


def test_a_variant_is_told_in_the_order_of_its_parents_options():
    parent = Parent(options=[{"name": "Size"}, {"name": "Colour"}, {"name": "Cut"}])

    assert Product(parent=parent, options={"Colour": "Red", "Size": "S"}).variant == (
        "Size S, Colour Red"
    )
    assert Product(options={}).variant == ""


def test_a_price_on_record_says_if_the_tax_comes_on_top():
    dollars = Currency(code="USD")

    assert Price(amount=1250, currency=dollars).written() == "12.50"
    assert Price(amount=1250, currency=dollars, includes_tax=False).written() == (
        "12.50, tax not included"
    )
