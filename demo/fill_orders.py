"""What `manage.py fill` makes: a large shop's year, in which every number adds up.

The services are not called, which would take hours; what they would have written is written in
bulk, in one transaction, so that an interrupted fill leaves nothing. What is complete is written at
once and forgotten: in memory are only the products' stock and the orders that wait for something.
"""

from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from django.db import connection

from api.actors import SYSTEM
from api.transactions import in_transaction
from backoffice.figures import days
from demo import fill_buyers, fill_goods_in, fill_sales, fill_stock
from demo.fill_goods_in import Deliveries
from demo.fill_progress import Progress
from demo.fill_sales import CLERK, ENTRIES_A_ORDER, LINES_MAX, Books, Move, Sale
from demo.fill_stock import ROWS_A_STATEMENT, Entry, Made, id_at
from events.services import sequencing
from inventory.models import Action, Stock
from inventory.services import currencies, products
from orders.models import Order, OrderItem
from payments.models import Payment

DAYS = 365
SEED = 1848
UNITS_MAX = 3
# So many orders at most wait at a time to be shipped, and so on.
WAITING_MAX = 20_000
NUMBERS_AT_ONCE = 10_000


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
    deliveries: int = 0,
    progress: Progress,
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
    progress.step(f"{products:,} products with prices and categories", products)
    rows = fill_stock.make_products(
        products, currency=currency, at=began, actor=CLERK, dice=dice, progress=progress
    )
    goods_in = Deliveries(deliveries, began, now, CLERK, dice)
    year = _Year(rows, currency.code, entries, orders, began, now, dice, goods_in)
    progress.step(
        f"{entries:,} entries of the log, the stock they lead to, and {orders:,} orders", entries
    )
    fill_stock.store(year.stocks, year.entries(), between=year.store_complete, progress=progress)
    year.store_the_rest()
    if deliveries:
        progress.step(f"{deliveries:,} deliveries", deliveries)
        goods_in.store(rows, progress)
        progress.step("Stocktakes", products)
        fill_goods_in.store_stocktakes(rows, now, CLERK, progress)
    # The days of the year that was made up were added up without it.
    days.forget()
    # Nobody waits to hear of a year that was never.
    sequencing.forget_of_this_transaction()
    # Else it takes the tables for empty, and each reference is looked for in a whole index.
    progress.step("Telling the planner what is there now")
    with progress.waiting(), connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    progress.step("Comparing the log with the stock")
    with progress.waiting(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


@dataclass
class _Year:
    """The shop, as it moves through its year."""

    products: list[Made]
    currency: str
    length: int
    orders: int
    began: datetime
    now: datetime
    dice: Random
    goods_in: Deliveries
    stocks: list[Stock] = field(init=False)
    written: int = field(init=False, default=0)
    placed: int = field(init=False, default=0)
    # Orders to which nothing more happens, and which are to be written.
    complete: list[Sale] = field(init=False, default_factory=list)
    waiting: deque[Sale] = field(init=False, default_factory=deque)
    # Entries that it takes to do what these orders wait for.
    owed: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.stocks = [Stock(product_id=product.pk) for product in self.products]
        for stock in self.stocks:
            stock.available = stock.allocated = stock.held = stock.sequence = 0
        # Orders are made of these products. There is always enough of them.
        self.bestsellers = range(0, len(self.stocks), 10)
        self.numbers = iter(self._order_numbers())

    def _order_numbers(self) -> "array[int]":
        """Draw them all: while the log is written, nothing else can be asked."""
        numbers = array("q")
        with connection.cursor() as cursor:
            while wanted := min(self.orders - len(numbers), NUMBERS_AT_ONCE):
                cursor.execute(
                    "SELECT nextval('orders_order_number') FROM generate_series(1, %s)", [wanted]
                )
                numbers.extend(number for (number,) in cursor.fetchall())
        return numbers

    # The log.

    def entries(self) -> Iterator[Entry]:
        """Live through the year: deliveries first, then hands and orders in turn."""
        for position, stock in enumerate(self.stocks):
            yield self._moved(
                stock, Action.INCREMENT, self._level(position) or 3, products.INITIAL_STOCK
            )
        # Entries by hand fill the room between the orders, which are spread over the year.
        every = max(1, (self.length - self.written) // (self.orders + 1))
        patience = min(self.orders // 10, WAITING_MAX)
        turn = 0
        while self.written < self.length:
            turn += 1
            due = self.orders - self.placed
            spare = self.length - self.written - due * ENTRIES_A_ORDER - self.owed
            if self.waiting and (spare <= 0 or len(self.waiting) > patience):
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
        return entry

    def _time(self) -> datetime:
        """Return when the next entry happens: evenly, from the first day to now."""
        # As a share: a year times millions is longer than any time may be.
        return self.began + (self.now - self.began) * ((self.written + 1) / (self.length + 1))

    # Orders. See demo.fill_sales for what becomes of them.

    def _order(self) -> Iterator[Entry]:
        position = self.placed
        self.placed += 1
        sale = self._sale(position)
        if fill_sales.is_cancelled(position):
            sale.order.status = Order.Status.CANCELLED
            sale.order.cancelled_at = sale.order.created_at
            for item in sale.items:
                item.cancelled = item.quantity
        if not fill_sales.is_paid(position):
            self.complete.append(sale)
            return
        self._pay(sale)
        for item, stock in zip(sale.items, sale.stocks, strict=True):
            item.stocked, item.allocated = True, item.quantity
            yield self._moved(stock, Action.ALLOCATE, item.quantity, "payment started", sale.order)
        fill_sales.plan(sale, position)
        self.owed += sum(step.entries for step in sale.to_come)
        self._let_wait(sale)

    def _let_wait(self, sale: Sale) -> None:
        (self.waiting if sale.to_come else self.complete).append(sale)

    def _go_on(self, sale: Sale) -> Iterator[Entry]:
        step = sale.to_come.pop(0)
        self.owed -= step.entries
        for move in step.do(sale, self._time(), self.dice):
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
                product_id=self.products[number].pk,
                cart_item_id=id_at(at, dice),
                name=self.products[number].name,
                sku=self.products[number].sku,
                quantity=dice.randint(1, UNITS_MAX),
                unit_price=self.products[number].price,
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

    def store_complete(self) -> None:
        """Write what nothing more happens to, and forget it."""
        self._store(self.complete)
        self.complete = []
        self.goods_in.store_complete()

    def store_the_rest(self) -> None:
        self._store([*self.complete, *self.waiting])

    def _store(self, sales: list[Sale]) -> None:
        size, books = ROWS_A_STATEMENT, Books()
        for sale in sales:
            books.add(sale.books)
        Order.objects.bulk_create([sale.order for sale in sales], size)
        OrderItem.objects.bulk_create([item for sale in sales for item in sale.items], size)
        Payment.objects.bulk_create([sale.payment for sale in sales if sale.payment], size)
        books.store(size)
