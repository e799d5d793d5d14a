"""The large shop that `manage.py fill` makes, made small."""

from datetime import timedelta
from io import StringIO
from random import Random

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Count, Max, Min

from api import clock
from api.actors import SYSTEM
from api.models import Change
from demo import fill_orders
from demo.fill_goods_in import Deliveries
from demo.management.commands.fill import ENTRIES_MAX
from inventory.errors import DeliveryNotUndoable
from inventory.models import (
    Delivery,
    DeliveryLine,
    Parent,
    Price,
    Product,
    Stock,
    Stocktake,
    StockTransaction,
)
from inventory.services import booking
from inventory.services.category_tree import LEVELS_MAX, Tree
from orders.models import Order, OrderItem, ReturnLine, ShipmentLine
from orders.services import finding
from payments.models import Payment
from payments.services import audit
from tests.factories import MERCHANT, product

pytestmark = pytest.mark.django_db


def fill(products: int = 120, entries: int = 1500, orders: int = 60, **options: int) -> str:
    told = StringIO()
    wanted = {"products": products, "entries": entries, "orders": orders, "deliveries": 9}
    call_command("fill", stdout=told, **wanted | options)
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
    assert not Stock.objects.filter(last_moved_at=None).exists()


def test_t51_the_last_entry_of_the_longest_log_is_made_before_now():
    now = clock.now()
    began = now - timedelta(days=fill_orders.DAYS)
    dice = Random()
    no_goods = Deliveries(0, began, now, MERCHANT, dice)
    year = fill_orders._Year([], "USD", ENTRIES_MAX, 0, began, now, dice, print, no_goods)
    year.written = ENTRIES_MAX - 1

    assert now - timedelta(seconds=2) < year._time() < now


@pytest.mark.parametrize(
    ("products", "entries", "orders"),
    [(1, 1, 0), (1, 10, 1), (8, 50, 0), (30, 390, 40), (7, 907, 100)],
)
def test_any_size_adds_up(products, entries, orders):
    fill(products, entries, orders)

    assert StockTransaction.objects.count() == entries
    assert audit.differences() == []


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


def test_orders_leave_in_parts_are_cut_short_and_come_back():
    fill(entries=3000, orders=200)

    assert Order.objects.filter(shipments_made=2, shipping="fulfilled").exists()
    assert any(order.is_partly_shipped for order in Order.objects.filter(shipping="unfulfilled"))
    cut_short = OrderItem.objects.filter(cancelled__gt=0, order__status="complete")
    assert {*cut_short.values_list("order__shipping", flat=True)} == {"fulfilled"}
    assert not cut_short.filter(order__refunded=0).exists()
    assert {*ReturnLine.objects.values_list("disposition", flat=True)} == {*ReturnLine.Disposition}
    assert not ShipmentLine.objects.filter(entry_id=None).exists()
    assert audit.differences() == []


def test_an_order_is_found_by_its_buyer_and_town():
    fill(entries=500, orders=20)

    order = Order.objects.latest("number")
    found = Order.objects.annotate(is_found=finding.matches(order.shipping_address["city"]))
    assert found.filter(is_found=True, pk=order.pk).exists()


def test_products_are_in_a_tree_of_categories_and_some_are_variants():
    fill()

    tree = Tree()
    assert max(level for _, level in tree.walk()) == LEVELS_MAX
    placed = Product.objects.annotate(number=Count("categories"))
    assert {*placed.values_list("number", flat=True)} == {1, 2, 3}
    sizes = Parent.objects.annotate(number=Count("variants")).values_list("number", flat=True)
    assert sizes
    assert all(4 <= number <= 12 for number in sizes)
    assert all(each.variant for each in Product.objects.exclude(parent=None))
    assert Product.objects.exclude(cost=None).count() == 108


def test_what_was_created_is_on_record():
    fill()

    created = Change.objects.filter(kind="inventory.product", what="created")
    assert created.count() == 120
    variant = Product.objects.exclude(parent=None).exclude(cost=None)[0]
    fields = {each["field"]: each["after"] for each in created.get(thing_id=variant.pk).fields}
    assert fields["options"] == variant.variant
    assert fields["cost"] == variant.written_cost()


def test_deliveries_brought_what_the_log_says():
    fill()

    assert Delivery.objects.count() == 9
    booked = DeliveryLine.objects.filter(delivery__state="booked").select_related("delivery")
    assert {line.delivery_id for line in booked} == {
        each.pk for each in Delivery.objects.filter(state="booked")
    }
    for line in booked:
        entry = StockTransaction.objects.get(
            stock__product=line.product_id, sequence=line.entries[0]
        )
        assert (entry.quantity, entry.reason) == (line.received, line.delivery.reason)
    to_come = DeliveryLine.objects.filter(delivery__state="open")
    assert to_come.filter(received=0).exists()
    assert to_come.filter(received__gt=0).exists()


def test_a_booking_is_undone_as_one_that_people_made():
    fill()

    undone = [each for each in Delivery.objects.filter(state="booked") if is_undone(each)]

    assert undone
    assert audit.differences() == []


def is_undone(delivery: Delivery) -> bool:
    """Units that went since then, as the dice had it, cannot be taken back."""
    try:
        booking.undo(delivery.pk, actor=SYSTEM)
    except DeliveryNotUndoable:
        return False
    return True


def test_stocktakes_are_in_the_middle():
    fill()

    for stocktake in Stocktake.objects.all():
        counted = stocktake.lines.exclude(units=None).count()
        assert stocktake.is_open
        assert 0 < counted == stocktake.counted < stocktake.products == stocktake.lines.count()


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


def test_nor_are_too_many_deliveries():
    with pytest.raises(CommandError, match="--deliveries"):
        fill(10, 10, 0, deliveries=-1)
