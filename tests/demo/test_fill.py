"""The large shop that `manage.py fill` makes, made small."""

import shutil
from datetime import timedelta
from io import StringIO
from pathlib import Path
from random import Random
from threading import Event
from types import SimpleNamespace

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import OutputWrapper
from django.db import connection
from django.db.models import Count, Max, Min

from api import clock
from api.actors import SYSTEM
from api.models import Change
from backoffice.figures import days
from demo import fill_goods_in, fill_orders, fill_progress, fill_room, fill_stock
from demo.fill_goods_in import Deliveries
from demo.fill_progress import Progress
from demo.management.commands.fill import ENTRIES_MAX
from events.models import Outbox
from events.services import sequencing
from inventory.errors import DeliveryNotUndoable
from inventory.models import (
    Action,
    Delivery,
    DeliveryLine,
    Parent,
    Price,
    Product,
    Stock,
    Stocktake,
    StockTransaction,
)
from inventory.services import booking, stock
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


def test_nobody_is_told_of_its_year_but_of_what_happens_after_it():
    fill()

    assert not Outbox.objects.exists()
    assert sequencing.number_all() == 0
    moved = Product.objects.latest("pk")
    stock.record(moved.pk, Action.INCREMENT, 1, actor=MERCHANT)
    assert audit.differences() == []
    assert sequencing.number_all() == 1
    assert audit.differences() == []


def test_t51_the_last_entry_of_the_longest_log_is_made_before_now():
    now = clock.now()
    began = now - timedelta(days=fill_orders.DAYS)
    dice = Random()
    no_goods = Deliveries(0, began, now, MERCHANT, dice)
    year = fill_orders._Year([], "USD", ENTRIES_MAX, 0, began, now, dice, no_goods)
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


def test_t51_what_is_complete_is_written_at_once_and_forgotten(monkeypatch):
    monkeypatch.setattr(fill_stock, "ENTRIES_A_COPY", 100)
    monkeypatch.setattr(fill_stock, "PRODUCTS_AT_ONCE", 50)
    monkeypatch.setattr(fill_goods_in, "DELIVERIES_KEPT", 2)
    store, left = fill_orders._Year.store_complete, []

    def watched(year: fill_orders._Year) -> None:
        store(year)
        # But for the one that is being moved.
        left.append(year.placed - len(year.waiting) - Order.objects.count())
        assert len(year.goods_in.kept) <= 1

    monkeypatch.setattr(fill_orders._Year, "store_complete", watched)

    fill(deliveries=20)

    assert len(left) == 15
    assert max(left) <= 1
    assert Order.objects.count() == 60
    assert Delivery.objects.count() == 20
    assert DeliveryLine.objects.filter(delivery__state="open").exists()
    assert audit.differences() == []


def test_t51_more_than_the_disk_has_room_for_is_refused_before_anything_is_made(monkeypatch):
    needed = fill_room.needed(120, 1500, 60, 9)
    monkeypatch.setattr(fill_room, "free", lambda: needed - 1)

    with pytest.raises(CommandError, match=r"GB of disk, .* only .* GB are free"):
        fill()
    assert not Product.objects.exists()

    monkeypatch.setattr(fill_room, "free", lambda: needed)
    assert "of disk" not in fill()


def test_t51_whoever_cannot_see_the_disk_says_so(monkeypatch):
    monkeypatch.setattr(fill_room, "free", lambda: None)

    assert "cannot be seen from here" in fill(10, 20, 0)


def test_where_the_database_lies_is_known_if_that_is_here():
    """Whoever may not ask the server for its folder finds it noted beside the socket."""
    host = connection.settings_dict["HOST"]
    note = Path(host, f".s.PGSQL.{connection.settings_dict['PORT'] or 5432}.lock")
    if not (host.startswith("/") and note.exists()):
        pytest.skip("the tests' database is another one than their own")

    assert fill_room._data() == Path(note.read_text().splitlines()[1])
    assert fill_room.free() == pytest.approx(shutil.disk_usage(host).free, rel=0.05)


def test_t51_an_interrupted_fill_leaves_nothing_and_may_be_run_again(monkeypatch):
    def interrupt() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(days, "forget", interrupt)
        with pytest.raises(CommandError, match="Interrupted") as ended:
            fill()

    assert ended.value.returncode == 130
    assert not Product.objects.exists()
    assert not StockTransaction.objects.exists()
    fill()
    assert Order.objects.count() == 60


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def seconds(monkeypatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(fill_progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_t51_long_work_tells_every_few_seconds_how_far_it_is(seconds):
    told = StringIO()
    progress = Progress(OutputWrapper(told))
    progress.step("Rows", 200)
    for done in range(1, 201):
        seconds[0] += 1
        progress.at(done)

    lines = told.getvalue().splitlines()
    assert lines[0].split() == ["0.0", "s", "Rows"]
    assert lines[1] == "    5.0 s    5 of 200, some 3 min to go"
    assert lines[-1] == "  200.0 s    200 of 200"
    assert len(lines) == 41


def test_on_a_terminal_one_line_is_written_again(seconds):
    told = Terminal()
    progress = Progress(OutputWrapper(told))
    progress.step("Rows", 10)
    for done in range(1, 11):
        seconds[0] += 0.25
        progress.at(done)
    progress.step("Done.")

    assert told.getvalue().count("\n") == 2
    assert told.getvalue().count("\r") == 12


def test_what_cannot_be_counted_says_that_it_goes_on(monkeypatch):
    monkeypatch.setattr(fill_progress, "SECONDS", 0.001)
    said = Event()

    class Heard(StringIO):
        def write(self, text: str) -> int:
            if "still at it" in text:
                said.set()
            return super().write(text)

    with Progress(OutputWrapper(Heard())).waiting():
        assert said.wait(10)
