"""The large shop that `manage.py fill` makes, made small."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Count, Max, Min

from inventory.models import Price, Product, Stock, StockTransaction
from orders.models import Order
from orders.services import audit
from payments.models import Payment
from tests.conftest import money_differences
from tests.factories import product

pytestmark = pytest.mark.django_db


def fill(products: int = 120, entries: int = 1500, orders: int = 60, **options: bool) -> str:
    told = StringIO()
    call_command("fill", products=products, entries=entries, orders=orders, stdout=told, **options)
    return told.getvalue()


def test_it_makes_exactly_what_was_asked_for():
    told = fill()

    assert Product.objects.count() == Price.objects.count() == Stock.objects.count() == 120
    assert StockTransaction.objects.count() == 1500
    assert Order.objects.count() == 60
    assert "120 products" in told
    assert "Done." in told


def test_log_stock_orders_and_money_agree():
    fill()

    assert audit.differences() == []
    assert money_differences() == []
    assert not Stock.objects.filter(last_moved_at=None).exists()


@pytest.mark.parametrize(
    ("products", "entries", "orders"),
    [(1, 1, 0), (1, 10, 1), (8, 50, 0), (30, 390, 40), (7, 907, 100)],
)
def test_any_size_adds_up(products, entries, orders):
    fill(products, entries, orders)

    assert StockTransaction.objects.count() == entries
    assert audit.differences() == []
    assert money_differences() == []


def test_every_state_of_stock_and_orders_is_there():
    fill()

    assert Stock.objects.filter(available=0).exists()
    assert Stock.objects.filter(available__gt=0, available__lte=7).exists()
    assert Stock.objects.filter(held__gt=0).exists()
    states = set(Order.objects.values_list("status", "payment", "shipping"))
    assert states == {
        ("incomplete", "unpaid", "unfulfilled"),
        ("cancelled", "unpaid", "unfulfilled"),
        ("complete", "paid", "unfulfilled"),
        ("complete", "paid", "fulfilled"),
    }
    assert Payment.objects.count() == Order.objects.filter(payment="paid").count()


def test_time_runs_one_way_and_ids_follow_it():
    fill()

    by_id = list(StockTransaction.objects.order_by("pk").values_list("created_at", flat=True))
    assert by_id == sorted(by_id)
    of_a_stock = StockTransaction.objects.order_by("stock", "sequence")
    times = list(of_a_stock.values_list("stock", "created_at"))
    assert times == sorted(times)
    bounds = StockTransaction.objects.values("stock").annotate(
        first=Min("sequence"), last=Max("sequence"), number=Count("pk")
    )
    assert all(row["first"] == 1 and row["last"] == row["number"] for row in bounds)


def test_it_can_be_made_again_beside_the_first():
    fill(10, 20, 0)
    fill(10, 20, 0)

    assert Product.objects.count() == 20
    assert audit.differences() == []


def test_a_shop_that_is_no_demo_is_left_alone_unless_forced(settings):
    settings.HOLDFAST_DEMO = False
    product(5)

    with pytest.raises(CommandError, match="--force"):
        fill(10, 20, 0)
    assert Product.objects.count() == 1

    fill(10, 20, 0, force=True)
    assert Product.objects.count() == 11


def test_an_empty_database_needs_no_force(settings):
    settings.HOLDFAST_DEMO = False

    fill(10, 20, 0)

    assert Product.objects.count() == 10


@pytest.mark.parametrize(
    ("products", "entries", "orders", "said"),
    [
        (0, 10, 0, "--products"),
        (-5, 10, 0, "--products"),
        (10, 9, 0, "between 10"),
        (10, 18, 1, "between 19"),
        (10, 10**9, 0, "50,000,000"),
        (10, 10, -1, "--orders"),
    ],
)
def test_what_cannot_be_made_is_said_before_anything_is(products, entries, orders, said):
    with pytest.raises(CommandError, match=said):
        fill(products, entries, orders)

    assert not Product.objects.exists()
