"""A shelf beside the books: whatever is counted, mistaken and taken back, and in whatever order."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api import clock
from api.errors import Refusal
from inventory.errors import CountedSinceShipped, FoundByCount
from inventory.models import Action, Delivery, Product, Sheet, Stocktake
from inventory.services import booking, deliveries, evidence, products, stocktakes
from inventory.services import log as stock_log
from inventory.services import stock as inventory
from inventory.services.sheets import processing
from inventory.services.stock import Whereabouts
from orders.models import Order
from orders.services import cancelling, shipments
from orders.services.returns import TakenBack
from payments.services import payments
from tests.factories import MERCHANT, delivery, paid_order, product, stock_of, undo_ship
from tests.product_sheets import worked

pytestmark = [pytest.mark.thorough, pytest.mark.django_db]

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
UNHURRIED = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@contextmanager
def a_clock_that_ticks() -> Iterator[None]:
    seconds = itertools.count()
    with clock.replaced(lambda: NOON + timedelta(seconds=next(seconds))):
        yield


def _file(made: Product, column: str, units: int, moment: datetime | None = None) -> Sheet:
    """Apply a file of one line about the product."""
    header, at = f"sku,{column}", ""
    if moment:
        header, at = f"{header},counted_at", f",{moment.isoformat()}"
    # The same bytes would be the same file.
    blank = "\n" * Sheet.objects.count()
    content = f"{header}\n{made.sku},{units}{at}\n{blank}".encode()
    file, _ = processing.upload("sheet.csv", content, actor=MERCHANT)
    worked(file)
    processing.apply(file.pk, actor=MERCHANT, looked_at=True)
    worked(file)
    return file


def _reverted(file: Sheet) -> bool:
    processing.revert(file.pk, actor=MERCHANT)
    worked(file)
    return file.state == Sheet.State.REVERTED


def _booked(wanted: Product, units: int) -> Delivery:
    made = delivery(number=f"D-{Delivery.objects.count()}")
    deliveries.scan(made.pk, wanted.sku, units)
    booking.book(made.pk, actor=MERCHANT)
    return made


@dataclass
class Difference:
    """Something that happened to the shelf or to the books, but not to both."""

    at: datetime
    units: int


@dataclass
class Shop:
    """One product, what is truly on its shelf, and what people do.

    People count what is there and answer truly, but make mistakes, which they take back if they
    can. What they know nothing of is not in the books, until it is counted.
    """

    made: Product
    shelf: int
    # What left or came without anybody writing it down.
    unwritten: list[Difference] = field(default_factory=list)
    # What was written down, and did not happen.
    mistakes: list[Difference] = field(default_factory=list)
    sheets: list[tuple[datetime, int]] = field(default_factory=list)
    # How each mistake that is there could be taken back.
    remedies: list[tuple[Difference, Callable[[], bool]]] = field(default_factory=list)
    applied: list[Sheet] = field(default_factory=list)
    parcels: list[tuple[Order, int]] = field(default_factory=list)
    # Orders of which a part has left, and all that was ordered.
    parts: list[tuple[Order, int]] = field(default_factory=list)
    stocktakes: list[Stocktake] = field(default_factory=list)

    def must_have(self) -> int:
        """What the books must say: the last count, and what came and went since then."""
        last = evidence.last_count(self.made.pk)
        since = last.counted_at if last else NOON
        hidden = sum(each.units for each in self.unwritten if each.at > since)
        wrong = sum(each.units for each in self.mistakes if each.at > since)
        return self.shelf - hidden + wrong

    # What happens on the shelf.

    def deliver(self, units: int) -> None:
        inventory.record(self.made.pk, Action.INCREMENT, units, actor=MERCHANT)
        self.shelf += units

    def unpack(self, units: int) -> None:
        _booked(self.made, units)
        self.shelf += units

    def lose(self, units: int) -> None:
        units = min(units, self.shelf)
        self.unwritten.append(Difference(clock.now(), -units))
        self.shelf -= units

    def send(self, units: int) -> None:
        units = min(units, self.shelf)
        if order := self._paid(units):
            shipments.ship(order.pk, actor=MERCHANT)
            self.shelf -= units
            self.parcels.append((order, units))

    def send_a_part(self, units: int) -> None:
        units = min(units, self.shelf)
        if units > 1 and (order := self._paid(units)):
            self._ship(order, units // 2)
            self.parts.append((order, units))

    def send_the_rest(self, which: int) -> None:
        """Or cancel it, where it is not to be found."""
        if not self.parts:
            return
        order, units = self.parts.pop(which % len(self.parts))
        rest = units - units // 2
        if rest <= self.shelf:
            self._ship(order, rest)
            self.parcels.append((order, units))
        else:
            cancelling.cancel_items(order.pk, None, actor=MERCHANT, reason="lost")
            self.parcels.append((order, units // 2))

    def _ship(self, order: Order, units: int) -> None:
        picked = {order.items.get().pk: units}
        shipments.ship(order.pk, actor=MERCHANT, units=picked)
        self.shelf -= units

    def come_home(self, which: int) -> None:
        if not self.parcels:
            return
        order, units = self.parcels.pop(which % len(self.parcels))
        at = clock.now()
        self.shelf += units
        payment, line = order.payments.get(), order.items.get()
        back = Whereabouts.CAME_BACK
        try:
            [shipment, *more] = order.shipments.order_by("number")
            if which % 2 and not more and shipments.counted_since(shipment):
                undo_ship(order, reason="back", whereabouts=back)
                payments.cancel(order.pk, actor=MERCHANT)
            else:
                payments.refund(
                    order.pk,
                    payment.pk,
                    1,
                    actor=MERCHANT,
                    taken_back=[TakenBack(line.pk, units, "restocked")],
                )
        except FoundByCount:
            # The next count finds them.
            self.unwritten.append(Difference(at, units))

    def _paid(self, units: int) -> Order | None:
        available = stock_of(self.made).available
        return paid_order({self.made: units}) if 0 < units <= available else None

    # What people count.

    def look(self, _: int) -> None:
        self.sheets.append((clock.now(), self.shelf))

    def write_down(self, which: int) -> None:
        if not self.sheets:
            return
        moment, found = self.sheets.pop(which % len(self.sheets))
        if which % 2:
            file = _file(self.made, "count", found, moment)
            self.applied.append(file)
            return
        with suppress(Refusal):
            inventory.count(self.made.pk, found, counted_at=moment, actor=MERCHANT)

    def walk_along_the_shelves(self, units: int) -> None:
        """Scan it, in two places perhaps; what was scanned elsewhere by mistake is taken back."""
        made = stocktakes.begin("All", actor=MERCHANT)
        self.stocktakes.append(made)
        line = stocktakes.scan(made.pk, self.made.sku, units).line
        if self.shelf <= units:
            stocktakes.count(made.pk, line.pk, self.shelf, seen=units)
            return
        stocktakes.scan(made.pk, self.made.sku, self.shelf)
        stocktakes.take_back_scan(made.pk, line.pk, units)

    def close_a_stocktake(self, which: int) -> None:
        if not self.stocktakes:
            return
        made = self.stocktakes.pop(which % len(self.stocktakes))
        file = stocktakes.close(made.pk, actor=MERCHANT)
        worked(file)
        processing.apply(file.pk, actor=MERCHANT, looked_at=True)
        worked(file)
        self.applied.append(file)

    def begin_anew(self, unwritten: int) -> None:
        """Manage the stock no longer, and then again, with what is there by then."""
        if stock_of(self.made).allocated:
            return
        products.stop_managing(self.made.pk, actor=MERCHANT)
        self.shelf += unwritten
        products.start_managing(self.made.pk, self.shelf, actor=MERCHANT)

    def revert_a_count(self, which: int) -> None:
        if self.applied:
            _reverted(self.applied.pop(which % len(self.applied)))

    # What people do by mistake.

    def mistake(self, units: int) -> None:
        action = Action.INCREMENT if units % 2 else Action.DECREMENT
        if action == Action.DECREMENT and stock_of(self.made).available < units:
            return
        inventory.record(self.made.pk, action, units, actor=MERCHANT)
        number = stock_of(self.made).sequence

        def undo() -> bool:
            inventory.undo(self.made.pk, number, actor=MERCHANT)
            return True

        self._mistaken(units if units % 2 else -units, undo)

    def mistaken_file(self, units: int) -> None:
        file = _file(self.made, "change", units)
        self._mistaken(units, lambda: _reverted(file))

    def mistaken_delivery(self, units: int) -> None:
        made = _booked(self.made, units)

        def undo() -> bool:
            booking.undo(made.pk, actor=MERCHANT)
            return True

        self._mistaken(units, undo)

    def mistaken_count(self, units: int) -> None:
        """Somebody notices at once, as of a wrong number that was typed."""
        before = stock_of(self.made)
        try:
            inventory.count(self.made.pk, before.total + units, actor=MERCHANT)
        except Refusal:
            return
        inventory.undo(self.made.pk, before.sequence + 1, actor=MERCHANT)

    def mistaken_shipment(self, units: int) -> None:
        order = self._paid(units)
        if order is None:
            return
        shipments.ship(order.pk, actor=MERCHANT)

        def undo() -> bool:
            try:
                undo_ship(order, reason="never left")
            except CountedSinceShipped:
                there = Whereabouts.ON_THE_SHELF
                undo_ship(order, reason="there", whereabouts=there)
            payments.cancel(order.pk, actor=MERCHANT)
            return True

        self._mistaken(-units, undo)

    def _mistaken(self, units: int, remedy: Callable[[], bool]) -> None:
        # It counts from when it was written.
        at = stock_of(self.made).last_moved_at
        assert at
        mistake = Difference(at, units)
        self.mistakes.append(mistake)
        self.remedies.append((mistake, remedy))

    def mend(self, which: int) -> None:
        if not self.remedies:
            return
        mistake, remedy = self.remedies.pop(which % len(self.remedies))
        try:
            is_mended = remedy()
        except Refusal:
            return
        if is_mended:
            self.mistakes.remove(mistake)


HAPPENINGS = [
    *(Shop.deliver, Shop.unpack, Shop.lose, Shop.send, Shop.come_home),
    *(Shop.send_a_part, Shop.send_the_rest),
    *(Shop.look, Shop.look, Shop.write_down, Shop.write_down, Shop.revert_a_count),
    *(Shop.walk_along_the_shelves, Shop.close_a_stocktake, Shop.begin_anew),
    *(Shop.mistake, Shop.mistaken_file, Shop.mistaken_count, Shop.mistaken_shipment),
    Shop.mistaken_delivery,
    *(Shop.mend, Shop.mend),
]


@UNHURRIED
@given(
    st.lists(st.tuples(st.sampled_from(HAPPENINGS), st.integers(1, 6)), min_size=15, max_size=30)
)
def test_t01_the_books_say_what_was_counted_last_and_what_moved_since(monkeypatch, happenings):
    # The stocktakes of all histories stand in one database.
    monkeypatch.setattr(stocktakes, "OPEN_MAX", 1_000)
    with a_clock_that_ticks():
        shop = Shop(product(20), shelf=20)
        for happening, number in happenings:
            happening(shop, number)

            stock = stock_of(shop.made)
            assert stock.total == shop.must_have(), happening.__name__
            [now] = stock_log.at_moments(stock, [clock.now()])
            assert now[:3] == (stock.available, stock.allocated, stock.held)


# What was taken back, and was as if it had never been.

# It happens between the minutes 1 and 7, and nothing is written down meanwhile: whoever counts then
# is told so when it is taken back, as tests/inventory/test_evidence.py shows.
Happening = tuple[int, int, tuple[Any, ...]]
BEGIN, END = st.integers(1, 3), st.integers(5, 7)
WRITTEN, MOMENT = st.sampled_from([0, 8, 9]), st.integers(0, 9)
COUNTED = st.tuples(WRITTEN, MOMENT, st.integers(97, 103), st.booleans())


@UNHURRIED
@given(
    st.sampled_from(["shipment", "part", "file", "delivery"]),
    *(BEGIN, END),
    st.lists(COUNTED, min_size=1, max_size=4),
    st.dictionaries(MOMENT, st.integers(1, 3), max_size=3),
)
def test_t01_without_a_movement_and_its_reversal_every_count_ends_the_same(
    kind, begin, end, counted, delivered
):
    happenings: list[Happening] = [
        (minute, 0, ("deliver", units)) for minute, units in delivered.items()
    ]
    for written, moment, units, by_file in counted:
        happenings.append((written, 3, ("count", units, min(written, moment), by_file)))
    happenings += [(0, 0, ("ship 1",)), (4, 0, ("ship 1",))] if kind == "part" else []
    it: list[Happening] = [(begin, 1, ("do",)), (end, 2, ("take back",))]

    assert _told(kind, happenings + it) == _told(kind, happenings)


def _told(kind: str, happenings: Sequence[Happening]) -> list[object]:
    """Let it all happen, and tell what became of each count, and of the stock."""
    now = NOON
    with clock.replaced(lambda: now):
        made = product(100)
        order = paid_order({made: 5 if kind == "part" else 3})
        told: list[object] = []
        for minute, second, (what, *how) in sorted(happenings, key=lambda each: each[:2]):
            now = NOON + timedelta(minutes=minute + 1, seconds=10 * second)
            match what:
                case "deliver":
                    inventory.record(made.pk, Action.INCREMENT, how[0], actor=MERCHANT)
                case "do" if kind == "file":
                    file = _file(made, "change", -3)
                case "do" if kind == "delivery":
                    goods = _booked(made, 3)
                case "do":
                    picked = {order.items.get().pk: 3}
                    shipment = shipments.ship(order.pk, actor=MERCHANT, units=picked)
                case "ship 1":
                    picked = {order.items.get().pk: 1}
                    shipments.ship(order.pk, actor=MERCHANT, units=picked)
                case "take back" if kind == "file":
                    assert _reverted(file)
                case "take back" if kind == "delivery":
                    booking.undo(goods.pk, actor=MERCHANT)
                case "take back":
                    shipments.undo(order.pk, shipment.pk, actor=MERCHANT, reason="never left")
                case "count":
                    told.append(_counted(made, *how))
        stock = stock_of(made)
        return [*told, stock.total, stock.available, stock.allocated]


def _counted(made: Product, units: int, minute: int, by_file: bool) -> tuple[int | None, str]:
    moment = NOON + timedelta(minutes=minute + 1, seconds=25)
    if moment > clock.now():
        moment = clock.now()
    if by_file:
        line = _file(made, "count", units, moment).lines.get()
        return line.change, line.error
    try:
        return inventory.count(made.pk, units, counted_at=moment, actor=MERCHANT), ""
    except Refusal as refusal:
        return None, str(refusal)
