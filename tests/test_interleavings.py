"""Two at once, step by step: who wins, what the other one hears, and what is left.

Each case is one line: the first one is stopped at a point of its work, the rival comes, and the
first one goes on when the rival has ended or waits for a lock. So every line is the same order of
events each time. The controls are the same meetings with the lock taken away.

What is not here, because it stands elsewhere: many at once (orders/test_races.py,
inventory/test_races.py, payments/test_races.py, which has captures, voids and recovery, too), two
who ship, cancel, undo or take back the same (orders/test_part_races.py), carts, and deliveries,
stocktakes, categories and pictures beside their services.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction

from inventory.models import Action, Product, Stock, StockQuerySet
from inventory.services import products
from inventory.services import stock as inventory
from inventory.services.sheets import processing
from orders.models import Order, OrderEvent, OrderQuerySet
from orders.services import audit, cancelling, shipments
from payments.gateways.base import Answer, Outcome, Refunded
from payments.models import Attempt, Payment
from payments.services import payments, recovery, settling
from payments.services.audit import money_differences
from payments.services.payments import PaymentRequest
from tests.concurrency import (
    PATIENCE_SECONDS,
    Met,
    Point,
    meet,
    outcome_of,
    wait_until_somebody_waits,
)
from tests.factories import MERCHANT, paid_order, product, stock_of, unpaid_order
from tests.fake_gateway import DECLINED, OK
from tests.product_sheets import worked
from tests.stock import numbers

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.thorough]

# Where the first one is stopped.
BEFORE_ORDER = Point("orders.models.OrderQuerySet.lock")
ORDER_LOCKED = Point("orders.models.OrderQuerySet.lock", after=True)
BEFORE_STOCK = Point("inventory.models.StockQuerySet.lock")
STOCK_LOCKED = Point("inventory.models.StockQuerySet.lock", after=True)
ALL_WRITTEN = Point("django.db.backends.base.base.BaseDatabaseWrapper._commit")
# Between the two transactions of paying, and of giving money back.
BEFORE_CHARGE = Point("tests.fake_gateway.FakeGateway.charge")
CHARGED = Point("tests.fake_gateway.FakeGateway.charge", after=True)
REFUNDED = Point("tests.fake_gateway.FakeGateway.perform", after=True)


# What there is.


@dataclass(frozen=True)
class Shop:
    """Five shirts at 1000, and an order of some of them."""

    shirt: Product
    order: Order
    sheet: Any = None

    @property
    def payment(self) -> Payment:
        return Payment.objects.filter(order=self.order).earliest("created_at")

    @property
    def now(self) -> str:
        """Tell how the order stands, and the shirts: their total, and how many are allocated."""
        order = Order.objects.get(pk=self.order.pk)
        total, _, allocated = numbers(self.shirt)
        shipped = ", shipped" if order.is_shipped else ""
        return f"{order.status}, {order.payment}{shipped}: {total}, {allocated}"


def unpaid(units: int = 1) -> Shop:
    shirt = product(stock=5, price=1000)
    return Shop(shirt, unpaid_order({shirt: units}))


def wants_all() -> Shop:
    return unpaid(units=5)


def pending() -> Shop:
    shop = unpaid()
    begin(shop)
    return shop


def declined() -> Shop:
    shop = pending()
    settle_declined(shop)
    return shop


def paid() -> Shop:
    shop = unpaid()
    pay(shop)
    return shop


def shipped() -> Shop:
    shop = paid()
    ship(shop)
    return shop


def with_sheet() -> Shop:
    """Of its five shirts, four came by a file that is about to be reverted."""
    shirt = product(stock=1, price=1000, sku="SHIRT")
    sheet, _ = processing.upload("more.csv", b"sku,change\nSHIRT,4\n", actor=MERCHANT)
    worked(sheet)
    processing.apply(sheet.pk, actor=MERCHANT)
    worked(sheet)
    processing.revert(sheet.pk, actor=MERCHANT)
    return Shop(shirt, unpaid_order({shirt: 2}), sheet)


# What somebody does.


def begin(shop: Shop, amount: int | None = None) -> Any:
    """The first transaction of paying: it takes the order's units."""
    return payments.begin(shop.order.pk, PaymentRequest("fake", amount=amount), actor=MERCHANT)


def begin_part(shop: Shop) -> Any:
    return begin(shop, 400)


def begin_most(shop: Shop) -> Any:
    return begin(shop, 600)


def pay(shop: Shop) -> Any:
    return payments.pay(shop.order.pk, PaymentRequest("fake"), actor=MERCHANT)


def settle(shop: Shop) -> Any:
    """The second transaction of paying: the gateway has taken the money."""
    return settling.settle(shop.payment, OK)


def settle_declined(shop: Shop) -> Any:
    return settling.settle(shop.payment, DECLINED)


def cancel(shop: Shop) -> Any:
    return payments.cancel(shop.order.pk, actor=MERCHANT)


def expire(shop: Shop) -> Any:
    return payments.expire(shop.order.pk, while_payment="unpaid")


def ship(shop: Shop) -> Any:
    return shipments.ship(shop.order.pk, actor=MERCHANT)


def undo_ship(shop: Shop) -> Any:
    shipment = shop.order.shipments.get()
    return shipments.undo(shop.order.pk, shipment.pk, actor=MERCHANT, reason="mistake")


def begin_refund(shop: Shop) -> Any:
    return payments.begin_refund(shop.order.pk, shop.payment.pk, 1000, actor=MERCHANT)


def refund(shop: Shop) -> Any:
    return payments.refund(shop.order.pk, shop.payment.pk, 1000, actor=MERCHANT)


def hear_of_refund(shop: Shop) -> Any:
    """A message made us ask, and the gateway tells of a refund that was made there."""
    told = Refunded("", 1000, Answer(Outcome.SUCCEEDED, "re_1"))
    return settling.settle_refunded(shop.payment, told)


def hear_of_our_refund(shop: Shop) -> Any:
    """The gateway tells of the very refund that somebody is just waiting for."""
    told = Refunded(str(shop.payment.attempts.get().pk), 1000, Answer(Outcome.SUCCEEDED, "re_1"))
    return settling.settle_refunded(shop.payment, told)


def hear_that_our_refund_failed(shop: Shop) -> Any:
    """Whoever waits for the refund writes down what became of it, and nobody else."""
    attempt = shop.payment.attempts.get()
    told = Refunded(str(attempt.pk), 1000, Answer(Outcome.FAILED, "re_1"))
    settling.settle_refunded(shop.payment, told)
    return shop.payment.attempts.get().status


def look(shop: Shop) -> Any:
    """What a message makes us do."""
    return recovery.look_at(shop.order.pk, shop.payment.pk)


def decrement(shop: Shop) -> Any:
    return inventory.record(shop.shirt.pk, Action.DECREMENT, 1, actor=MERCHANT)


def increment(shop: Shop) -> Any:
    return inventory.record(shop.shirt.pk, Action.INCREMENT, 1, actor=MERCHANT)


def count_none(shop: Shop) -> Any:
    return inventory.count(shop.shirt.pk, 0, actor=MERCHANT)


def count_four(shop: Shop) -> Any:
    return inventory.count(shop.shirt.pk, 4, actor=MERCHANT)


def count_five(shop: Shop) -> Any:
    return inventory.count(shop.shirt.pk, 5, actor=MERCHANT)


def stop_managing(shop: Shop) -> Any:
    return products.stop_managing(shop.shirt.pk, actor=MERCHANT)


def revert(shop: Shop) -> Any:
    """Take back a batch of the file; a line that cannot be is told of in the sheet."""
    processing.take_a_batch(shop.sheet.pk)
    shop.sheet.refresh_from_db()
    return f"{shop.sheet.reverted} line reverted"


# The meetings: what there is; the first one, and where; the rival; what either hears; what is left.


@dataclass(frozen=True)
class Case:
    made: Callable[[], Shop]
    first: Callable[[Shop], Any]
    at: Point
    rival: Callable[[Shop], Any]
    # What the first one hears, and the rival: "done", the name of a refusal, or what was returned.
    first_hears: str
    rival_hears: str
    waits: bool
    left: str

    def __str__(self) -> str:
        where = f"{'after' if self.at.after else 'before'} {self.at.name.rpartition('.')[0]}"
        where += f".{self.at.name.rpartition('.')[2]}"
        return f"{self.first.__name__}, {self.rival.__name__} comes {where}"


DONE, WAITS, COMES_THROUGH = "done", True, False

MEETINGS = {
    "pay and cancel": [
        Case(unpaid, begin, BEFORE_ORDER, cancel, "OrderNotPayable", DONE, COMES_THROUGH,
             "cancelled, unpaid: 5, 0"),
        Case(unpaid, begin, ORDER_LOCKED, cancel, DONE, "PaymentUnderWay", WAITS,
             "incomplete, unpaid: 5, 1"),
        Case(unpaid, begin, STOCK_LOCKED, cancel, DONE, "PaymentUnderWay", WAITS,
             "incomplete, unpaid: 5, 1"),
        Case(unpaid, begin, ALL_WRITTEN, cancel, DONE, "PaymentUnderWay", WAITS,
             "incomplete, unpaid: 5, 1"),
        Case(unpaid, pay, BEFORE_CHARGE, cancel, DONE, "PaymentUnderWay", COMES_THROUGH,
             "complete, paid: 5, 1"),
        Case(unpaid, pay, CHARGED, cancel, DONE, "PaymentUnderWay", COMES_THROUGH,
             "complete, paid: 5, 1"),
        Case(pending, settle, BEFORE_ORDER, cancel, DONE, "PaymentUnderWay", COMES_THROUGH,
             "complete, paid: 5, 1"),
        Case(pending, settle, ORDER_LOCKED, cancel, DONE, DONE, WAITS,
             "cancelled, paid: 5, 0"),
        Case(pending, settle_declined, ORDER_LOCKED, cancel, DONE, DONE, WAITS,
             "cancelled, unpaid: 5, 0"),
        Case(pending, settle_declined, STOCK_LOCKED, cancel, DONE, DONE, WAITS,
             "cancelled, unpaid: 5, 0"),
        Case(unpaid, cancel, BEFORE_ORDER, begin, "PaymentUnderWay", DONE, COMES_THROUGH,
             "incomplete, unpaid: 5, 1"),
        Case(unpaid, cancel, ORDER_LOCKED, begin, DONE, "OrderNotPayable", WAITS,
             "cancelled, unpaid: 5, 0"),
        Case(unpaid, cancel, ALL_WRITTEN, begin, DONE, "OrderNotPayable", WAITS,
             "cancelled, unpaid: 5, 0"),
    ],
    "pay and pay": [
        Case(unpaid, begin, BEFORE_ORDER, begin, "RestIsPending", DONE, COMES_THROUGH,
             "incomplete, unpaid: 5, 1"),
        Case(unpaid, begin, ORDER_LOCKED, begin, DONE, "RestIsPending", WAITS,
             "incomplete, unpaid: 5, 1"),
        Case(unpaid, begin, STOCK_LOCKED, begin, DONE, "RestIsPending", WAITS,
             "incomplete, unpaid: 5, 1"),
        Case(unpaid, begin_most, ORDER_LOCKED, begin_most, DONE, "AmountRefused", WAITS,
             "incomplete, unpaid: 5, 1"),
        Case(unpaid, begin_most, ORDER_LOCKED, begin_part, DONE, DONE, WAITS,
             "incomplete, unpaid: 5, 1"),
        Case(unpaid, begin_most, ALL_WRITTEN, begin_part, DONE, DONE, WAITS,
             "incomplete, unpaid: 5, 1"),
        Case(unpaid, pay, BEFORE_CHARGE, pay, DONE, "RestIsPending", COMES_THROUGH,
             "complete, paid: 5, 1"),
        Case(unpaid, pay, CHARGED, pay, DONE, "RestIsPending", COMES_THROUGH,
             "complete, paid: 5, 1"),
        Case(pending, settle, ORDER_LOCKED, pay, DONE, "OrderNotPayable", WAITS,
             "complete, paid: 5, 1"),
        Case(pending, settle, ORDER_LOCKED, settle, DONE, DONE, WAITS,
             "complete, paid: 5, 1"),
        Case(pending, settle_declined, ALL_WRITTEN, settle_declined, DONE, DONE, WAITS,
             "incomplete, unpaid: 5, 0"),
        Case(pending, settle_declined, BEFORE_STOCK, pay, DONE, DONE, WAITS,
             "complete, paid: 5, 1"),
    ],
    "ship and cancel": [
        Case(paid, ship, BEFORE_ORDER, cancel, "OrderNotShippable", DONE, COMES_THROUGH,
             "cancelled, paid: 5, 0"),
        Case(paid, ship, ORDER_LOCKED, cancel, DONE, "OrderNotCancellable", WAITS,
             "complete, paid, shipped: 4, 0"),
        Case(paid, ship, STOCK_LOCKED, cancel, DONE, "OrderNotCancellable", WAITS,
             "complete, paid, shipped: 4, 0"),
        Case(paid, ship, ALL_WRITTEN, cancel, DONE, "OrderNotCancellable", WAITS,
             "complete, paid, shipped: 4, 0"),
        Case(paid, cancel, BEFORE_ORDER, ship, "OrderNotCancellable", DONE, COMES_THROUGH,
             "complete, paid, shipped: 4, 0"),
        Case(paid, cancel, ORDER_LOCKED, ship, DONE, "OrderNotShippable", WAITS,
             "cancelled, paid: 5, 0"),
        Case(paid, cancel, STOCK_LOCKED, ship, DONE, "OrderNotShippable", WAITS,
             "cancelled, paid: 5, 0"),
        Case(paid, cancel, ALL_WRITTEN, ship, DONE, "OrderNotShippable", WAITS,
             "cancelled, paid: 5, 0"),
    ],
    "refund and message": [
        Case(paid, begin_refund, BEFORE_ORDER, hear_of_refund, "NotRefundable", DONE,
             COMES_THROUGH, "complete, refunded: 5, 1"),
        Case(paid, begin_refund, ORDER_LOCKED, hear_of_refund, DONE, DONE, WAITS,
             "complete, paid: 5, 1"),
        Case(paid, begin_refund, ALL_WRITTEN, hear_of_refund, DONE, DONE, WAITS,
             "complete, paid: 5, 1"),
        Case(paid, refund, REFUNDED, hear_of_our_refund, DONE, DONE, COMES_THROUGH,
             "complete, refunded: 5, 1"),
        Case(paid, refund, REFUNDED, hear_that_our_refund_failed, DONE, "pending", COMES_THROUGH,
             "complete, refunded: 5, 1"),
        Case(paid, refund, REFUNDED, look, DONE, "StillUnderWay", COMES_THROUGH,
             "complete, refunded: 5, 1"),
        Case(paid, hear_of_refund, BEFORE_ORDER, begin_refund, DONE, DONE, COMES_THROUGH,
             "complete, paid: 5, 1"),
        Case(paid, hear_of_refund, ORDER_LOCKED, begin_refund, DONE, "NotRefundable", WAITS,
             "complete, refunded: 5, 1"),
        Case(paid, hear_of_refund, ALL_WRITTEN, begin_refund, DONE, "NotRefundable", WAITS,
             "complete, refunded: 5, 1"),
    ],
    "pay and decrement": [
        Case(wants_all, begin, BEFORE_ORDER, decrement, "InsufficientStock", DONE, COMES_THROUGH,
             "incomplete, unpaid: 4, 0"),
        Case(wants_all, begin, BEFORE_STOCK, decrement, "InsufficientStock", DONE, COMES_THROUGH,
             "incomplete, unpaid: 4, 0"),
        Case(wants_all, begin, STOCK_LOCKED, decrement, DONE, "StockTooLow", WAITS,
             "incomplete, unpaid: 5, 5"),
        Case(wants_all, begin, ALL_WRITTEN, decrement, DONE, "StockTooLow", WAITS,
             "incomplete, unpaid: 5, 5"),
        Case(wants_all, pay, BEFORE_CHARGE, decrement, DONE, "StockTooLow", COMES_THROUGH,
             "complete, paid: 5, 5"),
        Case(wants_all, decrement, BEFORE_STOCK, begin, "StockTooLow", DONE, COMES_THROUGH,
             "incomplete, unpaid: 5, 5"),
        Case(wants_all, decrement, STOCK_LOCKED, begin, DONE, "InsufficientStock", WAITS,
             "incomplete, unpaid: 4, 0"),
        Case(wants_all, decrement, ALL_WRITTEN, begin, DONE, "InsufficientStock", WAITS,
             "incomplete, unpaid: 4, 0"),
    ],
    "settle and expire": [
        Case(pending, settle, BEFORE_ORDER, expire, DONE, "PaymentUnderWay", COMES_THROUGH,
             "complete, paid: 5, 1"),
        Case(pending, settle, ORDER_LOCKED, expire, DONE, "OrderNotCancellable", WAITS,
             "complete, paid: 5, 1"),
        Case(pending, settle_declined, STOCK_LOCKED, expire, DONE, DONE, WAITS,
             "cancelled, unpaid: 5, 0"),
        Case(declined, settle, BEFORE_ORDER, expire, DONE, DONE, COMES_THROUGH,
             "cancelled, unpaid: 5, 0"),
        Case(declined, settle, ORDER_LOCKED, expire, DONE, "OrderNotCancellable", WAITS,
             "complete, paid: 5, 1"),
        Case(declined, settle, ALL_WRITTEN, expire, DONE, "OrderNotCancellable", WAITS,
             "complete, paid: 5, 1"),
        Case(declined, expire, BEFORE_ORDER, settle, "OrderNotCancellable", DONE, COMES_THROUGH,
             "complete, paid: 5, 1"),
        Case(declined, expire, ORDER_LOCKED, settle, DONE, DONE, WAITS,
             "cancelled, unpaid: 5, 0"),
        Case(declined, expire, ALL_WRITTEN, settle, DONE, DONE, WAITS,
             "cancelled, unpaid: 5, 0"),
    ],
    "stop managing and pay": [
        Case(unpaid, stop_managing, BEFORE_STOCK, begin, "UnitsAllocated", DONE, COMES_THROUGH,
             "incomplete, unpaid: 5, 1"),
        Case(unpaid, stop_managing, STOCK_LOCKED, begin, DONE, DONE, WAITS,
             "incomplete, unpaid: 0, 0"),
        Case(unpaid, stop_managing, ALL_WRITTEN, begin, DONE, DONE, WAITS,
             "incomplete, unpaid: 0, 0"),
        Case(unpaid, begin, BEFORE_ORDER, stop_managing, DONE, DONE, COMES_THROUGH,
             "incomplete, unpaid: 0, 0"),
        # It has looked which lines have stock by then, and looks again.
        Case(unpaid, begin, BEFORE_STOCK, stop_managing, DONE, DONE, COMES_THROUGH,
             "incomplete, unpaid: 0, 0"),
        Case(unpaid, begin, STOCK_LOCKED, stop_managing, DONE, "UnitsAllocated", WAITS,
             "incomplete, unpaid: 5, 1"),
        Case(unpaid, begin, ALL_WRITTEN, stop_managing, DONE, "UnitsAllocated", WAITS,
             "incomplete, unpaid: 5, 1"),
    ],
    "count and pay": [
        Case(unpaid, count_none, BEFORE_STOCK, begin, "CountTooLow", DONE, COMES_THROUGH,
             "incomplete, unpaid: 5, 1"),
        Case(unpaid, count_none, STOCK_LOCKED, begin, DONE, "InsufficientStock", WAITS,
             "incomplete, unpaid: 0, 0"),
        Case(unpaid, count_none, ALL_WRITTEN, begin, DONE, "InsufficientStock", WAITS,
             "incomplete, unpaid: 0, 0"),
        Case(unpaid, begin, BEFORE_STOCK, count_none, "InsufficientStock", DONE, COMES_THROUGH,
             "incomplete, unpaid: 0, 0"),
        Case(unpaid, begin, STOCK_LOCKED, count_none, DONE, "CountTooLow", WAITS,
             "incomplete, unpaid: 5, 1"),
        Case(unpaid, begin, ALL_WRITTEN, count_none, DONE, "CountTooLow", WAITS,
             "incomplete, unpaid: 5, 1"),
    ],
    "undo a ship and count": [
        # Whoever counts five has the one on the shelf that is said to have left.
        Case(shipped, undo_ship, BEFORE_ORDER, count_five, "CountedSinceShipped", DONE,
             COMES_THROUGH, "complete, paid, shipped: 5, 0"),
        Case(shipped, undo_ship, BEFORE_STOCK, count_five, "CountedSinceShipped", DONE,
             COMES_THROUGH, "complete, paid, shipped: 5, 0"),
        Case(shipped, undo_ship, STOCK_LOCKED, count_five, DONE, DONE, WAITS,
             "complete, paid: 5, 1"),
        Case(shipped, undo_ship, STOCK_LOCKED, count_four, DONE, DONE, WAITS,
             "complete, paid: 4, 1"),
        Case(shipped, undo_ship, ALL_WRITTEN, count_five, DONE, DONE, WAITS,
             "complete, paid: 5, 1"),
        Case(shipped, count_five, BEFORE_STOCK, undo_ship, DONE, DONE, COMES_THROUGH,
             "complete, paid: 5, 1"),
        Case(shipped, count_five, STOCK_LOCKED, undo_ship, DONE, "CountedSinceShipped", WAITS,
             "complete, paid, shipped: 5, 0"),
        Case(shipped, count_five, ALL_WRITTEN, undo_ship, DONE, "CountedSinceShipped", WAITS,
             "complete, paid, shipped: 5, 0"),
    ],
    "revert and sale": [
        Case(with_sheet, revert, BEFORE_STOCK, begin, "0 line reverted", DONE, COMES_THROUGH,
             "incomplete, unpaid: 5, 2"),
        Case(with_sheet, revert, STOCK_LOCKED, begin, "1 line reverted", "InsufficientStock",
             WAITS, "incomplete, unpaid: 1, 0"),
        Case(with_sheet, revert, ALL_WRITTEN, begin, "1 line reverted", "InsufficientStock",
             WAITS, "incomplete, unpaid: 1, 0"),
        Case(with_sheet, begin, BEFORE_STOCK, revert, "InsufficientStock", "1 line reverted",
             COMES_THROUGH, "incomplete, unpaid: 1, 0"),
        Case(with_sheet, begin, STOCK_LOCKED, revert, DONE, "0 line reverted", WAITS,
             "incomplete, unpaid: 5, 2"),
        Case(with_sheet, begin, ALL_WRITTEN, revert, DONE, "0 line reverted", WAITS,
             "incomplete, unpaid: 5, 2"),
    ],
}  # fmt: skip


def heard(outcome: Any) -> str:
    if isinstance(outcome, str):
        return outcome
    return type(outcome).__name__ if isinstance(outcome, Exception) else DONE


def meeting(monkeypatch: pytest.MonkeyPatch, case: Case, shop: Shop) -> Met:
    return meet(monkeypatch, partial(case.first, shop), partial(case.rival, shop), case.at)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{pair}: {case}")
        for pair, cases in MEETINGS.items()
        for case in cases
    ],
)
@pytest.mark.usefixtures("gateway")
def test_of_two_at_once_each_hears_what_is_so(monkeypatch, case: Case):
    shop = case.made()

    met = meeting(monkeypatch, case, shop)

    assert (heard(met.first), heard(met.rival)) == (case.first_hears, case.rival_hears)
    assert met.waited == case.waits
    assert shop.now == case.left


@pytest.mark.usefixtures("gateway")
def test_who_waits_for_somebody_else_is_not_taken_for_the_rival(monkeypatch):
    shop, is_held, is_over = unpaid(), threading.Event(), threading.Event()

    @transaction.atomic
    def take_another_lock() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(4711)")
        is_held.set()
        is_over.wait(PATIENCE_SECONDS)

    with ThreadPoolExecutor(2) as others:
        try:
            others.submit(outcome_of, take_another_lock)
            assert is_held.wait(PATIENCE_SECONDS)
            others.submit(outcome_of, take_another_lock)
            wait_until_somebody_waits()
            met = meet(monkeypatch, partial(begin, shop), partial(cancel, shop), BEFORE_ORDER)
        finally:
            is_over.set()

    assert (heard(met.first), met.waited) == ("OrderNotPayable", False)


# The log's numbers are given in the order in which their transactions are committed: nobody sees a
# number before all lower ones.


def numbers_seen(shop: Shop) -> Any:
    return str(list(stock_of(shop.shirt).log.order_by("sequence").values_list("sequence")))


@pytest.mark.parametrize(
    ("at", "rival", "hears", "waits"),
    [
        (BEFORE_STOCK, increment, "2", COMES_THROUGH),
        (STOCK_LOCKED, numbers_seen, "[(1,)]", COMES_THROUGH),
        (STOCK_LOCKED, increment, "3", WAITS),
        (ALL_WRITTEN, numbers_seen, "[(1,)]", COMES_THROUGH),
        (ALL_WRITTEN, increment, "3", WAITS),
    ],
)
def test_the_log_is_committed_in_the_order_of_its_numbers(monkeypatch, at, rival, hears, waits):
    shirt = product(stock=5)
    shop = Shop(shirt, Order())

    def entered(shop: Shop) -> Any:
        made = rival(shop)
        return made if isinstance(made, str) else str(stock_of(shirt).log.get(pk=made).sequence)

    met = meet(monkeypatch, partial(decrement, shop), partial(entered, shop), at)

    assert (met.rival, met.waited) == (hears, waits)
    assert numbers_seen(shop) in ("[(1,), (2,)]", "[(1,), (2,), (3,)]")


# The same without the lock. Where a CHECK would still stop one of the two, the case is another one,
# in which nothing but the lock stands between them; where stock is written, there is always a
# second net, and whoever meets it learns nothing that a person could understand.

LINES_READ = Point("orders.services.shipments.lines_of", after=True)
PAYMENT_READ = Point("payments.services.payments.lock", after=True)
COUNTS_READ = Point("inventory.services.stock.shipments", after=True)


def without_the_orders_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(orders: OrderQuerySet, order_id: Any, **seen: Any) -> Order:
        return orders.get(pk=order_id)

    monkeypatch.setattr(OrderQuerySet, "lock", read)


def without_the_stocks_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(rows: StockQuerySet, product_ids: Any) -> list[Stock]:
        return list(rows.filter(product_id__in=product_ids).order_by("pk"))

    monkeypatch.setattr(StockQuerySet, "lock", read)


def without_stock() -> Shop:
    """An order whose line has no stock: no CHECK on units that it holds can come between."""
    shirt = product(managed=False, price=1000)
    return Shop(shirt, unpaid_order({shirt: 1}))


def declined_without_stock() -> Shop:
    shop = without_stock()
    begin(shop)
    settle_declined(shop)
    return shop


def paid_with_more() -> Shop:
    """Beside it another order holds units of the shirt, which can be taken from it."""
    shirt = product(stock=5, price=1000)
    paid_order({shirt: 2})
    return Shop(shirt, paid_order({shirt: 1, product(stock=5): 1}))


def ship_line(shop: Shop) -> Any:
    return shipments.ship(shop.order.pk, actor=MERCHANT, units={the_line(shop): 1})


def cancel_line(shop: Shop) -> Any:
    picked = {the_line(shop): 1}
    return cancelling.cancel_items(shop.order.pk, picked, actor=MERCHANT, reason="late")


def the_line(shop: Shop) -> Any:
    return shop.order.items.get(product=shop.shirt).pk


def contradicts_itself(shop: Shop) -> bool:
    """More goes back than came, or an order that somebody cancelled goes on."""
    order = Order.objects.get(pk=shop.order.pk)
    refunds = Attempt.objects.filter(payment__order=order, kind=Attempt.Kind.REFUND)
    was_cancelled = order.events.filter(kind=OrderEvent.Kind.CANCELLED).exists()
    return sum(refund.amount for refund in refunds) > 1000 or (
        was_cancelled and not order.is_cancelled
    )


WITHOUT_THE_ORDERS_LOCK = [
    Case(without_stock, begin, ORDER_LOCKED, cancel, DONE, DONE, COMES_THROUGH,
         "incomplete, unpaid: 0, 0"),
    Case(unpaid, begin_most, ORDER_LOCKED, begin_most, DONE, DONE, COMES_THROUGH,
         "incomplete, unpaid: 5, 2"),
    Case(paid_with_more, ship_line, LINES_READ, cancel_line, DONE, DONE, COMES_THROUGH,
         "complete, paid: 4, 1"),
    Case(paid, begin_refund, PAYMENT_READ, hear_of_refund, DONE, DONE, COMES_THROUGH,
         "complete, paid: 5, 1"),
    Case(declined_without_stock, settle, ORDER_LOCKED, expire, DONE, DONE, COMES_THROUGH,
         "complete, paid: 0, 0"),
]  # fmt: skip

WITHOUT_THE_STOCKS_LOCK = [
    Case(wants_all, begin, STOCK_LOCKED, decrement, "RowMoved", DONE, COMES_THROUGH,
         "incomplete, unpaid: 4, 0"),
    Case(unpaid, stop_managing, STOCK_LOCKED, begin, "RowMoved", DONE, COMES_THROUGH,
         "incomplete, unpaid: 5, 1"),
    Case(unpaid, count_none, STOCK_LOCKED, begin, "RowMoved", DONE, COMES_THROUGH,
         "incomplete, unpaid: 5, 1"),
    # A count that agrees writes nothing to the log, and no second net knows of it.
    Case(shipped, undo_ship, COUNTS_READ, count_four, DONE, DONE, COMES_THROUGH,
         "complete, paid: 5, 1"),
    Case(with_sheet, revert, STOCK_LOCKED, begin, "RowMoved", DONE, COMES_THROUGH,
         "incomplete, unpaid: 5, 2"),
    Case(unpaid, increment, STOCK_LOCKED, decrement, "RowMoved", DONE, COMES_THROUGH,
         "incomplete, unpaid: 4, 0"),
]  # fmt: skip


@pytest.mark.tampers_with_the_books
@pytest.mark.parametrize("case", WITHOUT_THE_ORDERS_LOCK, ids=str)
@pytest.mark.usefixtures("gateway")
def test_control_without_the_orders_lock_both_do_what_excludes_the_other(monkeypatch, case: Case):
    shop = case.made()
    without_the_orders_lock(monkeypatch)

    met = meeting(monkeypatch, case, shop)

    assert (heard(met.first), heard(met.rival), met.waited) == (DONE, DONE, False)
    assert shop.now == case.left
    assert audit.differences() or money_differences() or contradicts_itself(shop)


@pytest.mark.tampers_with_the_books
@pytest.mark.parametrize("case", WITHOUT_THE_STOCKS_LOCK, ids=str)
@pytest.mark.usefixtures("gateway")
def test_control_without_the_stocks_lock_one_acts_on_what_is_so_no_more(monkeypatch, case: Case):
    shop = case.made()
    without_the_stocks_lock(monkeypatch)

    met = meeting(monkeypatch, case, shop)

    assert (heard(met.first), heard(met.rival)) == (case.first_hears, case.rival_hears)
    assert not met.waited
    assert shop.now == case.left
