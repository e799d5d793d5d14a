"""What becomes of the orders that `manage.py fill` makes, once they are paid.

Of twenty, one waits to be shipped and one is half way; one left in two shipments, the rest of one
was cancelled, and of one a unit came back. The others were shipped at once.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial
from random import Random
from typing import NamedTuple

from api.actors import Actor
from demo.fill_stock import id_at
from demo.parcels import parcel_to
from inventory.models import BY_HAND, FOR_ORDER, Action, Stock
from orders.models import Order, OrderItem, Return, ReturnLine, Shipment, ShipmentLine
from payments.models import Attempt, Payment
from payments.services.bookkeeping import payment_state

CLERK = Actor("user", "clerk", "Clerk")
LINES_MAX = 3
# Allocate, deallocate and decrement, for each line of a shipped order.
ENTRIES_A_LINE = 3
ENTRIES_A_ORDER = LINES_MAX * ENTRIES_A_LINE

_NEVER_PAID, _CANCELLED, _TO_SHIP, _HALF_WAY, _IN_TWO, _CUT_SHORT, _CAME_BACK = range(7)
# With how many entries of the log units come back. A full order has none to spare for that.
_BACK = {"discarded": 0, "missing": 0, "restocked": 1, "inspection": 2}


class Move(NamedTuple):
    """A future entry of the log."""

    stock: Stock
    action: Action
    units: int
    reason: str
    by_order: bool = FOR_ORDER
    # What is to name the entry.
    line: ShipmentLine | None = None


class Step(NamedTuple):
    """Something that is to happen to an order, and how many entries it takes."""

    do: "Callable[[Sale, datetime, Random], Iterator[Move]]"
    entries: int


@dataclass
class Books:
    """What is to be written of an order, or of many, but for what the log says."""

    shipments: list[Shipment] = field(default_factory=list)
    shipped: list[ShipmentLine] = field(default_factory=list)
    returns: list[Return] = field(default_factory=list)
    returned: list[ReturnLine] = field(default_factory=list)
    refunds: list[Attempt] = field(default_factory=list)

    def add(self, others: "Books") -> None:
        self.shipments += others.shipments
        self.shipped += others.shipped
        self.returns += others.returns
        self.returned += others.returned
        self.refunds += others.refunds

    def store(self, size: int) -> None:
        Attempt.objects.bulk_create(self.refunds, size)
        Shipment.objects.bulk_create(self.shipments, size)
        ShipmentLine.objects.bulk_create(self.shipped, size)
        Return.objects.bulk_create(self.returns, size)
        ReturnLine.objects.bulk_create(self.returned, size)


@dataclass
class Sale:
    """An order, what is in it, and how far it gets."""

    order: Order
    items: list[OrderItem]
    stocks: list[Stock]
    payment: Payment | None = None
    to_come: list[Step] = field(default_factory=list)
    books: Books = field(default_factory=Books)


def is_paid(position: int) -> bool:
    return position % 20 not in {_NEVER_PAID, _CANCELLED}


def is_cancelled(position: int) -> bool:
    return position % 20 == _CANCELLED


def plan(sale: Sale, position: int) -> None:
    """Decide what is to happen to a paid order."""
    lines, what = range(len(sale.items)), position % 20
    first, rest = lines[:1], lines[1:]
    if what == _TO_SHIP or (what == _HALF_WAY and not rest):
        return
    sale.to_come.append(_shipping(first if rest and what in _IN_PARTS else lines))
    if what == _IN_TWO and rest:
        sale.to_come.append(_shipping(rest))
    if what == _CUT_SHORT and rest:
        sale.to_come.append(Step(partial(_cancel, lines=rest), len(rest)))
    if what == _CAME_BACK:
        ways = [*_BACK][: 2 if len(lines) == LINES_MAX else None]
        becomes = ways[position // 20 % len(ways)]
        sale.to_come.append(Step(partial(_take_back, becomes=becomes), _BACK[becomes]))


_IN_PARTS = {_HALF_WAY, _IN_TWO, _CUT_SHORT}


@cache
def _shipping(lines: range) -> Step:
    return Step(partial(_ship, lines=lines), (ENTRIES_A_LINE - 1) * len(lines))


def _ship(sale: Sale, at: datetime, dice: Random, *, lines: range) -> Iterator[Move]:
    order, books = sale.order, sale.books
    order.shipments_made += 1
    parcel = parcel_to(order.shipping_address["country"], dice)
    shipment = Shipment(
        id=id_at(at, dice),
        order=order,
        number=order.shipments_made,
        carrier=parcel.carrier,
        tracking=parcel.tracking,
        created_at=at,
    )
    shipment.actor = CLERK
    books.shipments.append(shipment)
    for line in lines:
        item = sale.items[line]
        units = item.left
        item.ship(units)
        sent = ShipmentLine(id=id_at(at, dice), shipment=shipment, item=item, quantity=units)
        books.shipped.append(sent)
        yield Move(sale.stocks[line], Action.DEALLOCATE, units, "shipped")
        yield Move(sale.stocks[line], Action.DECREMENT, units, "shipped", line=sent)
    order.restate_shipping(sale.items, at)


def _cancel(sale: Sale, at: datetime, dice: Random, *, lines: range) -> Iterator[Move]:
    value = 0
    for line in lines:
        item = sale.items[line]
        units = item.left
        item.cancel(units)
        value += units * item.unit_price
        yield Move(sale.stocks[line], Action.DEALLOCATE, units, "items cancelled")
    sale.order.restate_shipping(sale.items, at)
    sale.books.refunds.append(_refund(sale, value, at, dice, "No more of it"))


def _take_back(sale: Sale, at: datetime, dice: Random, *, becomes: str) -> Iterator[Move]:
    """Take a unit of the first line back. Its money goes back, unless it was all of the order's."""
    item, stock, order, books = sale.items[0], sale.stocks[0], sale.order, sale.books
    item.returned += 1
    order.updated_at = at
    attempt_id = None
    if item.unit_price < order.total:
        refund = _refund(sale, item.unit_price, at, dice, "Sent back")
        books.refunds.append(refund)
        attempt_id = refund.pk
    back = Return(
        id=id_at(at, dice),
        order=order,
        number=1,
        reason="Sent back",
        created_at=at,
        attempt_id=attempt_id,
    )
    back.actor = CLERK
    books.returns.append(back)
    books.returned.append(
        ReturnLine(id=id_at(at, dice), of_return=back, item=item, quantity=1, disposition=becomes)
    )
    if becomes in {"restocked", "inspection"}:
        yield Move(stock, Action.INCREMENT, 1, "Sent back")
    if becomes == "inspection":
        reason = f"return {back} of order #{order.number}"
        yield Move(stock, Action.ALLOCATE, 1, reason, BY_HAND)


def _refund(sale: Sale, amount: int, at: datetime, dice: Random, reason: str) -> Attempt:
    payment = sale.payment
    assert payment
    sale.order.refunded = payment.refunded_amount = amount
    sale.order.payment = payment_state(sale.order)
    payment.updated_at = at
    attempt = Attempt(
        id=id_at(at, dice),
        payment=payment,
        kind=Attempt.Kind.REFUND,
        status=Attempt.Status.SUCCEEDED,
        amount=amount,
        reason=reason,
        created_at=at,
        updated_at=at,
    )
    attempt.actor = CLERK
    return attempt
