"""Whether the shop is what the model says, down to the last entry of the log."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from django.db import connection

from inventory.models import Product, Stock, StockCount, StockTransaction
from orders.models import Order, OrderItem
from payments.models import Payment
from payments.services import audit
from tests.model import orders as model
from tests.model.arithmetic import Shop
from tests.model.bank import Account
from tests.model.driving import ByServices, at
from tests.model.shelves import Shelf

# The audit, which reads all there is, is asked after each few steps and in the end.
AUDITED_EVERY = 5


class Comparison:
    """Compares after each step; of the log only what has come since the last time."""

    def __init__(self, shop: Shop, driver: ByServices) -> None:
        self.shop = shop
        self.driver = driver
        # How much of each product's log has been compared.
        self.seen: dict[int, int] = {}
        self.steps = 0

    def require_the_same(self) -> None:
        # What would be found at COMMIT is found now.
        connection.check_constraints()
        assert self.driver.bank.complaints == []
        self._products()
        self._logs()
        self._counts()
        if self.shop.orders:
            self._orders()
            self._payments()
        self.steps += 1
        if not self.steps % AUDITED_EVERY:
            self.require_clean()

    @staticmethod
    def require_clean() -> None:
        _same("the audit", [str(each) for each in audit.differences()], [])

    def _products(self) -> None:
        rows = Stock.objects.filter(product__in=self.driver.products).values_list(
            *("product_id", "managed", "available", "allocated", "held", "total", "sequence"),
            *("product__archived_at", "product__status", "product__prices__amount"),
        )
        found = {
            pk: (*numbers, archived_at is not None, status == "live", price)
            for pk, *numbers, archived_at, status, price in rows
        }
        for number, shelf in enumerate(self.shop.shelves):
            assert shelf.available >= 0
            assert 0 <= shelf.held <= shelf.allocated
            _same(
                f"product {number}",
                found[self.driver.products[number].pk],
                (
                    *(shelf.managed, shelf.available, shelf.allocated, shelf.held, shelf.total),
                    *(len(shelf.log), shelf.archived, shelf.live, shelf.price),
                ),
            )

    def _logs(self) -> None:
        """Compare what is new; what there is of it has been compared by its number."""
        grown = {
            self.driver.products[number].pk: self.seen.get(number, 0)
            for number, shelf in enumerate(self.shop.shelves)
            if len(shelf.log) > self.seen.get(number, 0)
        }
        if not grown:
            return
        rows = StockTransaction.objects.filter(stock__product__in=grown).values_list(
            *("stock__product_id", "sequence", "effective_at", "order_id"),
            *("created_at", "action", "quantity", "by_order"),
        )
        entries: dict[Any, list[tuple[Any, ...]]] = {pk: [] for pk in grown}
        for pk, sequence, effective_at, order_id, created_at, *of in rows:
            if sequence > grown[pk]:
                entry = (created_at, *of, effective_at or created_at, str(order_id or ""))
                entries[pk].append(entry)
        for number, shelf in enumerate(self.shop.shelves):
            pk = self.driver.products[number].pk
            if pk in grown:
                # What one step does to several orders may come in any order.
                wanted = sorted(_expected(shelf, self.driver.orders, grown[pk]))
                _same(f"log of product {number}", sorted(entries[pk]), wanted)
                self.seen[number] = len(shelf.log)

    def _counts(self) -> None:
        rows = StockCount.objects.filter(
            stock__product__in=self.driver.products, withdrawn_at=None
        ).values_list("stock__product", "counted_at", "units", "change", "sequence")
        found: dict[Any, list[tuple[Any, ...]]] = {}
        for pk, *count in rows:
            found.setdefault(pk, []).append(tuple(count))
        for number, shelf in enumerate(self.shop.shelves):
            _same(
                f"counts of product {number}",
                sorted(found.get(self.driver.products[number].pk, [])),
                sorted((at(c.at), c.units, c.change, c.sequence) for c in shelf.standing()),
            )

    def _orders(self) -> None:
        rows = Order.objects.in_bulk(self.driver.orders)
        items = OrderItem.objects.filter(order__in=self.driver.orders)
        lines = _by_order(items.order_by("order", "position"))
        for number, order in enumerate(self.shop.orders):
            pk = self.driver.orders[number]
            row = rows[pk]
            names = ("total", "status", "payment", "captured", "authorized", "pending", "refunded")
            found = {name: getattr(row, name) for name in names}
            _same(f"order {number}", found, {name: getattr(order, name) for name in names})
            _same(
                f"order {number}",
                {
                    "attempts open": row.attempts_open,
                    "refunds open": row.refunds_open,
                    "fulfilled": row.is_shipped,
                    "holding": row.allocated_at is not None,
                    "paid": row.fully_paid_at is not None,
                },
                {
                    "attempts open": order.moves_open,
                    "refunds open": order.refunds_open,
                    "fulfilled": order.fulfilled,
                    "holding": order.holding,
                    "paid": order.fully_paid,
                },
            )
            _same(
                f"lines of order {number}",
                [_line(item) for item in lines.get(pk, [])],
                [_expected_line(line, self.driver.products) for line in order.lines],
            )

    def _payments(self) -> None:
        rows = Payment.objects.filter(order__in=self.driver.orders)
        by_order = _by_order(rows.prefetch_related("attempts").order_by("order", "pk"))
        accounts = self.driver.bank.accounts
        for number, order in enumerate(self.shop.orders):
            found = by_order.get(self.driver.orders[number], [])
            name = f"payments of order {number}"
            _same(
                name,
                [_payment(row) for row in found],
                [_expected_payment(payment) for payment in order.payments],
            )
            for row, payment in zip(found, order.payments, strict=True):
                account = accounts.get(row.pk, Account())
                _same(
                    f"{name} at the bank",
                    (account.acting, account.captured, account.refunded),
                    (payment.there == "acting", payment.captured_there, payment.refunded_there),
                )
                _require_booked(payment)


def _require_booked(payment: model.Payment) -> None:
    """What is settled is in our books as it is in the gateway's."""
    is_open = payment.pending or payment.open_moves or payment.refunding
    if payment.gateway == "manual" or is_open or payment.by_hand:
        return
    booked = (payment.captured, payment.refunded)
    assert booked == (payment.captured_there, payment.refunded_there)


def _same(what: str, found: object, wanted: object) -> None:
    assert found == wanted, f"{what}\nis      {found}\nand not {wanted}"


def _by_order(rows: Iterable[Any]) -> Mapping[Any, list[Any]]:
    return {pk: list(of_order) for pk, of_order in groupby(rows, lambda row: row.order_id)}


def _expected(shelf: Shelf, orders: Sequence[Any], start: int) -> list[tuple[Any, ...]]:
    return [
        (
            *(at(entry.written), entry.action, entry.units, entry.by_order, at(entry.at)),
            "" if entry.order is None else str(orders[entry.order]),
        )
        for entry in shelf.log[start:]
    ]


_UNITS = ("stocked", "allocated", "shipped", "cancelled", "returned")


def _line(item: OrderItem) -> tuple[Any, ...]:
    of_item = (item.product_id, item.quantity, item.unit_price, item.custom_inputs is not None)
    return (*of_item, *(getattr(item, name) for name in _UNITS))


def _expected_line(line: model.Line, products: Sequence[Product]) -> tuple[Any, ...]:
    of_line = (products[line.product].pk, line.units, line.price, line.engraved)
    return (*of_line, *(getattr(line, name) for name in _UNITS))


def _payment(row: Payment) -> tuple[Any, ...]:
    attempts = sorted((each.kind, each.amount, each.status) for each in row.attempts.all())
    of_row = (row.gateway, row.method, row.amount, row.status, row.late)
    return (*of_row, row.captured_amount, row.refunded_amount, row.refunding_amount, attempts)


def _expected_payment(payment: model.Payment) -> tuple[Any, ...]:
    attempts = sorted((each.kind, each.amount, each.status) for each in payment.attempts)
    of_payment = (payment.gateway, payment.method, payment.amount, payment.status, payment.late)
    money = (payment.captured, payment.refunded, payment.refunding)
    return (*of_payment, *money, attempts)
