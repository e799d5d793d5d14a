"""What the stock is worth at cost, of each category and in all."""

import threading

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from api import clock
from inventory.models import Product
from inventory.services import currencies, products, stock_value
from inventory.services.products import Money
from inventory.services.stock_value import Value
from tests.concurrency import PATIENCE_SECONDS, run_together
from tests.factories import MERCHANT, category, paid_order, product

pytestmark = pytest.mark.django_db


def stocked(units: int, cost: int | None = 100, *paths: str, currency: str = "USD") -> Product:
    """Make a product with units that cost so much each, in the categories of these paths."""
    made = product(units, cost=None if cost is None else Money(currency, cost))
    made.categories.set([category(path) for path in paths])
    return made


def told(value: Value) -> tuple[int, int, int, dict[str, int]]:
    return value.products, value.units, value.without_cost, dict(value.amounts)


def by_path() -> dict[str, tuple[int, int, int, dict[str, int]]]:
    figures = stock_value.read()
    rows = {each.path: told(each.value) for each in figures.categories}
    return {**rows, "none": told(figures.no_category), "total": told(figures.total)}


def test_a_category_is_worth_what_is_in_it_and_below_it():
    stocked(2, 100, "Clothes")
    stocked(3, 200, "Clothes > Shirts")
    stocked(5, 50)

    assert by_path() == {
        "Clothes": (2, 5, 0, {"USD": 800}),
        "Clothes > Shirts": (1, 3, 0, {"USD": 600}),
        "none": (1, 5, 0, {"USD": 250}),
        "total": (3, 10, 0, {"USD": 1050}),
    }


def test_a_product_counts_once_in_whatever_is_above_several_of_its_categories():
    stocked(2, 100, "Clothes > Shirts", "Clothes > Blue", "Sale")

    rows = by_path()

    assert rows.pop("none") == (0, 0, 0, {})
    assert set(rows) == {"Clothes", "Clothes > Shirts", "Clothes > Blue", "Sale", "total"}
    assert {row[:2] for row in rows.values()} == {(1, 2)}


def test_amounts_of_different_currencies_are_not_added_up():
    currencies.create(code="EUR", actor=MERCHANT)
    stocked(2, 100, "Clothes")
    stocked(3, 100, "Clothes", currency="EUR")

    rows = by_path()

    assert rows["Clothes"] == rows["total"] == (2, 5, 0, {"USD": 200, "EUR": 300})
    assert stock_value.read().currencies == ["EUR", "USD"]


def test_units_without_a_cost_are_counted_and_worth_nothing():
    stocked(2, None, "Clothes")
    stocked(1, 0, "Clothes")

    assert by_path()["Clothes"] == (2, 3, 1, {"USD": 0})
    stocked(4, None, "Clothes > Shirts")
    assert by_path()["Clothes"] == (3, 7, 2, {"USD": 0})


def test_what_orders_hold_is_worth_something_and_what_is_not_there_is_not():
    held = stocked(4, 100)
    paid_order({held: 3})
    stocked(0, 100)
    product(cost=Money("USD", 100), managed=False)
    products.archive(stocked(7, 100).pk, actor=MERCHANT)

    assert by_path()["total"] == (1, 4, 0, {"USD": 400})


def test_the_largest_stock_at_the_largest_cost_is_reckoned():
    stocked(2**31 - 1, 2**53 - 1)

    assert by_path()["total"][3] == {"USD": (2**31 - 1) * (2**53 - 1)}


def test_figures_cost_the_same_for_however_many_products_and_categories():
    def statements() -> int:
        with CaptureQueriesContext(connection) as queries:
            stock_value.read()
        return len([query for query in queries if "SELECT" in query["sql"]])

    stocked(1, 100, "A")
    one = statements()
    for number in range(3):
        stocked(1, 100, f"A > {number}", f"B > {number}")

    assert statements() == one == 2


def test_figures_are_shown_again_for_a_minute(monkeypatch):
    now = 1000.0
    monkeypatch.setattr("inventory.services.stock_value.time.monotonic", lambda: now)
    first = stock_value.latest()
    stocked(2)

    now += stock_value.KEPT_SECONDS
    again = stock_value.latest()
    now += 1
    later = stock_value.latest()

    assert again is first
    assert (first.total.units, later.total.units) == (0, 2)
    assert first.at < later.at <= clock.now()


class Door:
    """The lock of the figures, which tells when the second one stands before it."""

    def __init__(self) -> None:
        self.lock, self.count, self.second_is_here = threading.Lock(), 0, threading.Event()

    def __enter__(self) -> None:
        self.count += 1
        if self.count == 2:
            self.second_is_here.set()
        self.lock.acquire()

    def __exit__(self, *raised: object) -> None:
        self.lock.release()


def test_figures_that_two_ask_for_at_once_are_read_once(monkeypatch):
    figures, asked, door = stock_value.read(), [], Door()

    def read() -> stock_value.Figures:
        asked.append(threading.current_thread())
        assert door.second_is_here.wait(PATIENCE_SECONDS)
        return figures

    monkeypatch.setattr(stock_value, "read", read)
    monkeypatch.setattr(stock_value, "_reading", door)
    shown = run_together(stock_value.latest, stock_value.latest)

    assert shown == [figures, figures]
    assert len(asked) == 1
