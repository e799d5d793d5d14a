"""What `manage.py fill` makes: a large shop's year, in which every number adds up.

The services are not called, which would take hours; what they would have written is written in
bulk, in one transaction, so that an interrupted fill leaves nothing.
"""

import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from django.db import connection

from api.actors import SYSTEM
from api.transactions import in_transaction
from backoffice.figures import days
from demo import fill_buyers, fill_goods_in, fill_sales, fill_stock
from demo.fill_goods_in import Deliveries
from demo.fill_sales import CLERK, ENTRIES_A_ORDER, LINES_MAX, Books, Move, Sale
from demo.fill_stock import ROWS_A_STATEMENT, Entry, id_at
from inventory.models import Action, Price, Product, Stock
from inventory.services import currencies, products
from orders.models import Order, OrderItem
from payments.models import Payment

DAYS = 365
SEED = 1848
UNITS_MAX = 3
TELL_EVERY = 100_000


class TooFewEntries(Exception):
    """The log is too short to explain all the stock and all the orders."""


def entries_needed(products: int, orders: int) -> int:
    return products + orders * ENTRIES_A_ORDER


@in_transaction
def fill(
    *,
    products: int,
    entries: int,
    orders: int,
    now: datetime,
    tell: Callable[[str], None],
    deliveries: int = 0,
) -> None:
    """Make a catalogue with stock, the log that leads to it, deliveries, orders and so on.

    Raises: TooFewEntries.
    """
    if entries < entries_needed(products, orders):
        raise TooFewEntries
    with connection.cursor() as cursor:
        for limit in ("statement_timeout", "idle_in_transaction_session_timeout"):
            cursor.execute(f"SET LOCAL {limit} = 0")
    dice = Random(SEED)  # noqa: S311 - it makes up a shop and keeps no secret
    began = now - timedelta(days=DAYS)
    currency = currencies.named("")
    tell(f"{products:,} products with prices and categories ...")
    rows = fill_stock.make_products(products, currency=currency, at=began, actor=CLERK, dice=dice)
    goods_in = Deliveries(deliveries, began, now, CLERK, dice)
    year = _Year(rows, currency.code, entries, orders, began, now, dice, tell, goods_in)
    tell(f"{entries:,} entries of the log, and the stock they lead to ...")
    fill_stock.store(year.stocks, year.entries())
    tell(f"{orders:,} orders with their payments ...")
    year.store_orders()
    if deliveries:
        tell(f"{deliveries:,} deliveries, and stocktakes ...")
        goods_in.store(rows)
        fill_goods_in.store_stocktakes(rows, now, CLERK)
    # The days of the year that was made up were added up without it.
    days.forget()
    tell("Comparing the log with the stock ...")
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


@dataclass
class _Year:
    """The shop, as it moves through its year."""

    products: list[Product]
    currency: str
    length: int
    orders: int
    began: datetime
    now: datetime
    dice: Random
    tell: Callable[[str], None]
    goods_in: Deliveries
    stocks: list[Stock] = field(init=False)
    written: int = field(init=False, default=0)
    sales: list[Sale] = field(init=False, default_factory=list)
    books: Books = field(init=False, default_factory=Books)
    waiting: deque[Sale] = field(init=False, default_factory=deque)
    # Entries that it takes to do what these orders wait for.
    owed: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.stocks = [Stock(product=product) for product in self.products]
        for stock in self.stocks:
            stock.available = stock.allocated = stock.held = stock.sequence = 0
        # Orders are made of these products. There is always enough of them.
        self.bestsellers = range(0, len(self.stocks), 10)
        self.numbers = self._order_numbers()
        self.prices = self._prices() if self.orders else {}

    def _order_numbers(self) -> Iterator[int]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT nextval('orders_order_number') FROM generate_series(1, %s)", [self.orders]
            )
            return iter([number for (number,) in cursor.fetchall()])

    def _prices(self) -> dict[uuid.UUID, int]:
        bestsellers = [self.products[position].pk for position in self.bestsellers]
        prices = Price.objects.filter(product__in=bestsellers, currency__code=self.currency)
        return dict(prices.values_list("product_id", "amount"))

    # The log.

    def entries(self) -> Iterator[Entry]:
        """Live through the year: deliveries first, then hands and orders in turn."""
        for position, stock in enumerate(self.stocks):
            yield self._moved(
                stock, Action.INCREMENT, self._level(position) or 3, products.INITIAL_STOCK
            )
        # Entries by hand fill the room between the orders, which are spread over the year.
        every = max(1, (self.length - self.written) // (self.orders + 1))
        turn = 0
        while self.written < self.length:
            turn += 1
            due = self.orders - len(self.sales)
            spare = self.length - self.written - due * ENTRIES_A_ORDER - self.owed
            if self.waiting and (spare <= 0 or len(self.waiting) > self.orders // 10):
                yield from self._go_on(self.waiting.popleft())
            elif due and (spare <= 0 or turn % every == 0):
                yield from self._order()
            else:
                yield self._by_hand(turn)

    def _level(self, position: int) -> int:
        """Return around how many units there are: none of a few products, few of others."""
        if position in self.bestsellers:
            return 1_000 + self.orders * UNITS_MAX
        return {7: 0, 9: 2}.get(position % 50, 10 + position * 37 % 200)

    def _by_hand(self, turn: int) -> Entry:
        position = turn % len(self.stocks)
        stock, level = self.stocks[position], self._level(position)
        if not level and not stock.available:
            # This product is sold out for good. Its neighbour never is.
            return self._by_hand(turn + 1)
        if position % 20 == 11 and not stock.held and stock.available:
            return self._moved(stock, Action.ALLOCATE, 1, "Set aside for a customer")
        units = self.dice.randint(1, 5)
        if stock.available > level:
            return self._moved(stock, Action.DECREMENT, min(units, stock.available), "Sold here")
        return self.goods_in.bring(self._moved(stock, Action.INCREMENT, units, "Delivery"))

    def _moved(
        self, stock: Stock, action: Action, units: int, reason: str, order: Order | None = None
    ) -> Entry:
        return self._done(Move(stock, action, units, reason, order is not None), order)

    def _done(self, move: Move, order: Order | None) -> Entry:
        movement = move.stock.move(move.action, move.units, by_order=move.by_order)
        actor = SYSTEM if order else CLERK
        at = self._time()
        entry_id = id_at(at, self.dice)
        if move.line:
            move.line.entry_id = entry_id
        entry = Entry(at, movement, actor, move.reason, entry_id, order.pk if order else None)
        self.written += 1
        if self.written % TELL_EVERY == 0:
            self.tell(f"  {self.written:,} entries")
        return entry

    def _time(self) -> datetime:
        """Return when the next entry happens: evenly, from the first day to now."""
        # As a share: a year times millions is longer than any time may be.
        return self.began + (self.now - self.began) * ((self.written + 1) / (self.length + 1))

    # Orders. See demo.fill_sales for what becomes of them.

    def _order(self) -> Iterator[Entry]:
        position = len(self.sales)
        sale = self._sale(position)
        self.sales.append(sale)
        if fill_sales.is_cancelled(position):
            sale.order.status = Order.Status.CANCELLED
            sale.order.cancelled_at = sale.order.created_at
            for item in sale.items:
                item.cancelled = item.quantity
        if not fill_sales.is_paid(position):
            return
        self._pay(sale)
        for item, stock in zip(sale.items, sale.stocks, strict=True):
            item.stocked, item.allocated = True, item.quantity
            yield self._moved(stock, Action.ALLOCATE, item.quantity, "payment started", sale.order)
        fill_sales.plan(sale, position)
        self.owed += sum(step.entries for step in sale.to_come)
        self._let_wait(sale)

    def _let_wait(self, sale: Sale) -> None:
        if sale.to_come:
            self.waiting.append(sale)

    def _go_on(self, sale: Sale) -> Iterator[Entry]:
        step = sale.to_come.pop(0)
        self.owed -= step.entries
        for move in step.do(sale, self.books, self._time(), self.dice):
            yield self._done(move, sale.order)
        self._let_wait(sale)

    def _sale(self, position: int) -> Sale:
        at, dice = self._time(), self.dice
        buyer = fill_buyers.somebody(position, dice)
        lines = dice.randint(1, min(LINES_MAX, len(self.bestsellers)))
        positions = dice.sample(self.bestsellers, lines)
        order = Order(
            id=id_at(at, dice),
            number=next(self.numbers),
            cart_id=f"{dice.getrandbits(128):032x}",
            currency_id=self.currency,
            customer_name=buyer.name,
            customer_email=buyer.email,
            billing_address=buyer.address,
            shipping_address=buyer.address,
            found_by=buyer.words,
            created_at=at,
            updated_at=at,
        )
        items = [
            OrderItem(
                id=id_at(at, dice),
                order=order,
                position=line,
                product=self.products[number],
                cart_item_id=id_at(at, dice),
                name=self.products[number].name,
                sku=self.products[number].sku,
                quantity=dice.randint(1, UNITS_MAX),
                unit_price=self.prices[self.products[number].pk],
            )
            for line, number in enumerate(positions)
        ]
        order.total = sum(item.value for item in items)
        return Sale(order, items, [self.stocks[number] for number in positions])

    def _pay(self, sale: Sale) -> None:
        order = sale.order
        order.payment = Order.Payment.PAID
        order.status = Order.Status.COMPLETE
        order.captured = order.total
        order.allocated_at = order.fully_paid_at = order.created_at
        sale.payment = Payment(
            id=id_at(order.created_at, self.dice),
            order=order,
            gateway="manual",
            method=Payment.Method.PURCHASE,
            status=Payment.Status.COMPLETE,
            currency=self.currency,
            amount=order.total,
            captured_amount=order.total,
            captured_at=order.created_at,
            created_at=order.created_at,
            updated_at=order.created_at,
        )
        sale.payment.actor = CLERK

    def store_orders(self) -> None:
        sales, size = self.sales, ROWS_A_STATEMENT
        Order.objects.bulk_create([sale.order for sale in sales], size)
        OrderItem.objects.bulk_create([item for sale in sales for item in sale.items], size)
        Payment.objects.bulk_create([sale.payment for sale in sales if sale.payment], size)
        self.books.store(size)
