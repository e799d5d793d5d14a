"""How the shop is asked for what the model has an opinion about: through the services.

Everything has the numbers that the model gives it: products, orders, payments and so on from 0.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from api.errors import Refusal
from inventory.models import Action, Product, Sheet
from inventory.services import products
from inventory.services import stock as inventory
from inventory.services.products import Money
from inventory.services.sheets import processing
from inventory.services.stock import Whereabouts
from orders.models import CartItem, OrderItem, ReturnLine, Shipment
from orders.services import amending, cancelling, carts, orders, returns, shipments
from orders.services.cart_lines import ProductWanted
from orders.services.returns import TakenBack
from payments.models import Payment
from payments.services import giving_back, payments, recovery
from payments.services.payments import PaymentRequest
from tests.factories import BUYER, MERCHANT, product
from tests.model.bank import Bank
from tests.model.money import Died
from tests.product_sheets import worked

OPENED = datetime(2026, 5, 4, 12, tzinfo=UTC)
ENGRAVED = {"engraving": "Ada"}
DIED = "the process died"


def at(moment: int) -> datetime:
    return OPENED + timedelta(seconds=moment)


def told(act: Callable[[], object]) -> str:
    """Do it, and return the code of the refusal; nothing if it was done."""
    try:
        act()
    except Refusal as refusal:
        return refusal.code
    except Died:
        return DIED
    return ""


class ByServices:
    def __init__(self, bank: Bank) -> None:
        self.bank = bank
        self.products: list[Product] = []
        self.orders: list[uuid.UUID] = []
        self.sheets: list[Sheet] = []
        self.price_sheets: list[Sheet] = []

    # What the numbers stand for.

    def items(self, order: int) -> list[OrderItem]:
        return list(OrderItem.objects.filter(order=self.orders[order]).order_by("position"))

    def units(self, order: int, units: Mapping[int, int] | None) -> dict[uuid.UUID, int] | None:
        if units is None:
            return None
        items = self.items(order)
        return {items[line].pk: wanted for line, wanted in units.items()}

    def payment(self, order: int, which: int) -> Payment:
        return Payment.objects.filter(order=self.orders[order]).order_by("pk")[which]

    def parcel(self, order: int, which: int) -> Shipment:
        return Shipment.objects.filter(order=self.orders[order]).order_by("number")[which]

    def lines_back(self, order: int, lines: Sequence[tuple[int, int, str]]) -> list[TakenBack]:
        items = self.items(order)
        return [TakenBack(items[line].pk, units, became) for line, units, became in lines]

    # Products and their stock.

    def sell(self, price: int, units: int, *, managed: bool = True) -> None:
        self.products.append(product(units, managed=managed, price=price))

    def record(self, which: int, action: str, units: int) -> str:
        pk = self.products[which].pk
        return told(lambda: inventory.record(pk, Action(action), units, actor=MERCHANT))

    def count(self, which: int, units: int, moment: int | None) -> str:
        pk, counted_at = self.products[which].pk, None if moment is None else at(moment)
        return told(lambda: inventory.count(pk, units, counted_at=counted_at, actor=MERCHANT))

    def undo(self, which: int, number: int) -> str:
        return told(lambda: inventory.undo(self.products[which].pk, number, actor=MERCHANT))

    def start_managing(self, which: int, units: int) -> str:
        pk = self.products[which].pk
        return told(lambda: products.start_managing(pk, units, actor=MERCHANT))

    def stop_managing(self, which: int) -> str:
        return told(lambda: products.stop_managing(self.products[which].pk, actor=MERCHANT))

    def archive(self, which: int) -> str:
        return told(lambda: products.archive(self.products[which].pk, actor=MERCHANT))

    def restore(self, which: int) -> str:
        made = self.products[which]
        return told(lambda: products.restore(made.pk, sku=made.sku, slug=made.slug, actor=MERCHANT))

    def change_product(self, which: int, price: int, *, live: bool) -> str:
        status = Product.Status.LIVE if live else Product.Status.DRAFT
        return told(
            lambda: products.update(
                self.products[which].pk,
                prices=[Money("USD", price)],
                status=status,
                actor=MERCHANT,
            )
        )

    # Carts and orders.

    def add(self, cart: str, which: int, units: int, *, engraved: bool) -> str:
        wanted = ProductWanted(
            units, self.products[which].pk, custom_inputs=ENGRAVED if engraved else None
        )
        return told(lambda: carts.add_one(cart, wanted, currency="USD"))

    def cart_item(self, cart: str, line: tuple[int, bool]) -> uuid.UUID:
        which, engraved = line
        lines = CartItem.objects.filter(cart=cart, product=self.products[which])
        return lines.get(custom_inputs__isnull=not engraved).pk

    def change_line(self, cart: str, line: tuple[int, bool], units: int) -> str:
        return told(lambda: carts.change_item(cart, self.cart_item(cart, line), units))

    def check_out(self, cart: str) -> str:
        def act() -> None:
            order, _ = orders.checkout(cart, BUYER)
            self.orders.append(order.pk)

        return told(act)

    def amend(self, order: int, units: dict[int, int], added: dict[int, int]) -> str:
        more = [ProductWanted(n, self.products[which].pk) for which, n in added.items()]
        wanted = self.units(order, units) or {}
        return told(lambda: amending.change_lines(self.orders[order], wanted, more, actor=MERCHANT))

    # What becomes of the units of an order.

    def ship(self, order: int, units: dict[int, int] | None) -> str:
        picked = self.units(order, units)
        return told(lambda: shipments.ship(self.orders[order], units=picked, actor=MERCHANT))

    def undo_parcel(self, order: int, which: int, whereabouts: str) -> str:
        return told(
            lambda: shipments.undo(
                self.orders[order],
                self.parcel(order, which).pk,
                actor=MERCHANT,
                reason="mistake",
                whereabouts=Whereabouts(whereabouts) if whereabouts else None,
            )
        )

    def take_back(self, order: int, lines: Sequence[tuple[int, int, str]], amount: int = 0) -> str:
        back = self.lines_back(order, lines)
        return told(
            lambda: giving_back.take_back(
                self.orders[order], back, amount, actor=MERCHANT, reason="came back"
            )
        )

    def to_inspect(self, order: int) -> list[ReturnLine]:
        """Return the lines that were set aside, in the order in which they came back."""
        lines = ReturnLine.objects.filter(
            of_return__order=self.orders[order], disposition="inspection", settled_at=None
        )
        return list(lines.order_by("of_return__number", "item__position"))

    def settle_inspected(self, order: int, which: int, units: int, *, restock: bool) -> str:
        line = self.to_inspect(order)[which]
        disposition = "restocked" if restock else "discarded"
        return told(
            lambda: returns.settle_inspected(
                self.orders[order], line.pk, disposition, quantity=units, actor=MERCHANT
            )
        )

    def cancel_units(
        self, order: int, units: dict[int, int] | None, *, restock: bool, amount: int = 0
    ) -> str:
        picked = self.units(order, units)
        how: dict[str, Any] = {"actor": MERCHANT, "reason": "fewer", "restock": restock}
        if picked is None or not amount:
            return told(lambda: cancelling.cancel_items(self.orders[order], picked, **how))
        return told(lambda: giving_back.cancel_items(self.orders[order], picked, amount, **how))

    def cancel(self, order: int, *, restock: bool = True) -> str:
        return told(lambda: payments.cancel(self.orders[order], restock=restock, actor=MERCHANT))

    # Money.

    def pay(self, order: int, gateway: str, method: str, amount: int | None) -> str:
        request = PaymentRequest(gateway, Payment.Method(method), amount)
        return told(lambda: payments.pay(self.orders[order], request, actor=MERCHANT))

    def buyer_acts(self, order: int, which: int, *, pays: bool) -> None:
        self.bank.buyer_acts(self.payment(order, which), pays=pays)

    def confirm(self, order: int, which: int) -> str:
        pk = self.payment(order, which).pk
        return told(lambda: payments.confirm(self.orders[order], pk))

    def capture(self, order: int, which: int, amount: int | None) -> str:
        pk = self.payment(order, which).pk
        return told(lambda: payments.capture(self.orders[order], pk, amount, actor=MERCHANT))

    def void(self, order: int, which: int) -> str:
        pk = self.payment(order, which).pk
        return told(lambda: payments.let_go(self.orders[order], pk, actor=MERCHANT))

    def refund(
        self,
        order: int,
        which: int,
        amount: int | None,
        taken_back: Sequence[tuple[int, int, str]] = (),
    ) -> str:
        pk, back = self.payment(order, which).pk, self.lines_back(order, taken_back)
        return told(
            lambda: payments.refund(self.orders[order], pk, amount, taken_back=back, actor=MERCHANT)
        )

    def settle_by_hand(self, order: int, which: int, *, succeeded: bool) -> str:
        pk = self.payment(order, which).pk
        return told(
            lambda: recovery.settle_by_hand(
                self.orders[order],
                pk,
                succeeded=succeeded,
                reference="seen there",
                reason="somebody looked",
                actor=MERCHANT,
            )
        )

    def check_now(self, order: int, which: int) -> str:
        pk = self.payment(order, which).pk
        return told(lambda: recovery.check_now(self.orders[order], pk, actor=MERCHANT))

    def recover(self) -> None:
        recovery.settle_pending()

    def let_lapsed_go(self) -> None:
        recovery.void_lapsed_authorizations()

    def expire(self) -> None:
        recovery.expire_orders()

    # Sheets.

    def upload(self, lines: Sequence[tuple[int, int]], moments: Sequence[int] | None) -> None:
        """Upload a file of counts at these moments, or of changes."""
        if moments is None:
            rows = [f"{self.products[which].sku},{units}" for which, units in lines]
            self.sheets.append(self._uploaded("sku,change", rows))
            return
        rows = [
            f"{self.products[which].sku},{units},{at(moment).isoformat()}"
            for (which, units), moment in zip(lines, moments, strict=True)
        ]
        self.sheets.append(self._uploaded("sku,count,counted_at", rows))

    def upload_prices(self, prices: Mapping[int, int]) -> None:
        rows = [
            f"{self.products[which].sku},{price // 100}.{price % 100:02}"
            for which, price in prices.items()
        ]
        self.price_sheets.append(self._uploaded("sku,price usd", rows))

    @staticmethod
    def _uploaded(header: str, rows: Sequence[str]) -> Sheet:
        # The same bytes would be the same file.
        blank = "\n" * Sheet.objects.count()
        content = "\n".join([header, *rows, blank]).encode()
        sheet, _ = processing.upload("sheet.csv", content, actor=MERCHANT)
        return worked(sheet)

    def apply(self, which: int) -> str:
        return _through(self.sheets[which], processing.apply, looked_at=True)

    def revert(self, which: int) -> str:
        return _through(self.sheets[which], processing.revert)

    def apply_prices(self, which: int) -> str:
        return _through(self.price_sheets[which], processing.apply, looked_at=True)

    def revert_prices(self, which: int) -> str:
        return _through(self.price_sheets[which], processing.revert)


def _through(sheet: Sheet, step: Callable[..., None], **how: Any) -> str:
    code = told(lambda: step(sheet.pk, actor=MERCHANT, **how))
    worked(sheet)
    return code
