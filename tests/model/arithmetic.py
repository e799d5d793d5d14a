"""A small model of the shop: what the documents say that becomes of everything that is asked.

Plain arithmetic that imports nothing of Holdfast. What is refused raises `Refused` with the code of
the refusal; what a refused call changes all the same is changed before.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.model.money import Bookkeeping
from tests.model.orders import Inspected, Line, Order, Parcel
from tests.model.shelves import (
    Count,
    Refused,
    Shelf,
    all_or_nothing,
    refuse_if,
)

CART_KEPT_FOR = 7 * 86_400


@dataclass
class Cart:
    expires: int
    # Units by product, and by whether there is something written on them, which is another line.
    lines: dict[tuple[int, bool], int] = field(default_factory=dict)


@dataclass
class SheetLine:
    product: int
    units: int
    # The moment of a count; a change has none.
    at: int | None
    # By how much the total changed, and the number of the entry that did it.
    change: int = 0
    entry: int | None = None
    # What was counted, until that was taken back.
    count: Count | None = None
    error: bool = False


@dataclass
class Sheet:
    lines: list[SheetLine]
    state: str = "checked"


@dataclass
class PriceLine:
    product: int
    before: int
    after: int
    error: bool = False
    applied: bool = False


@dataclass
class PriceSheet:
    lines: list[PriceLine]
    state: str = "checked"


class Shop(Bookkeeping):
    """Everything that there is: products, carts, orders with their money, and sheets."""

    def __init__(self) -> None:
        super().__init__()
        self.carts: dict[str, Cart] = {}
        self.sheets: list[Sheet] = []
        self.price_sheets: list[PriceSheet] = []

    # Products and their stock.

    def sell(self, price: int, units: int, *, managed: bool = True) -> None:
        shelf = Shelf(self.now, price, managed)
        if units:
            shelf.write("increment", units, self.now)
        self.shelves.append(shelf)

    def record(self, product: int, action: str, units: int) -> None:
        self.shelves[product].record(action, units, self.now)

    def count(self, product: int, units: int, moment: int | None) -> None:
        self.shelves[product].count(units, moment, self.now)

    def undo(self, product: int, number: int) -> None:
        self.shelves[product].undo(number, self.now)

    def start_managing(self, product: int, units: int) -> None:
        shelf = self.shelves[product]
        refuse_if(shelf.archived, "product_not_found")
        refuse_if(shelf.managed and shelf.log, "stock_exists")
        shelf.begin(units, self.now)

    def stop_managing(self, product: int) -> None:
        shelf = self.shelves[product]
        refuse_if(shelf.archived or not shelf.managed, "stock_not_found")
        shelf.end(self.now)

    def archive(self, product: int) -> None:
        shelf = self.shelves[product]
        refuse_if(shelf.archived, "product_not_found")
        if shelf.managed:
            shelf.end(self.now)
        shelf.archived = True

    def restore(self, product: int) -> None:
        """It comes back as a draft, and its stock is not managed."""
        shelf = self.shelves[product]
        refuse_if(not shelf.archived, "product_not_found")
        shelf.archived, shelf.live = False, False

    def change_product(self, product: int, price: int, *, live: bool) -> None:
        shelf = self.shelves[product]
        refuse_if(shelf.archived, "product_not_found")
        shelf.price, shelf.live = price, live

    # Carts.

    def add(self, name: str, product: int, units: int, *, engraved: bool) -> None:
        refuse_if(not self.shelves[product].for_sale, "product_not_found")
        self.require_enough({product: units})
        cart = self.carts.get(name)
        if cart is None or cart.expires <= self.now:
            cart = self.carts[name] = Cart(0)
        cart.expires = self.now + CART_KEPT_FOR
        cart.lines[product, engraved] = cart.lines.get((product, engraved), 0) + units

    def change_line(self, name: str, line: tuple[int, bool], units: int) -> None:
        cart = self.carts[name]
        refuse_if(cart.expires <= self.now, "cart_item_not_found")
        if units:
            self.require_enough({line[0]: units})
            cart.lines[line] = units
        else:
            del cart.lines[line]
        cart.expires = self.now + CART_KEPT_FOR

    def check_out(self, name: str) -> None:
        cart = self.carts.get(name)
        refuse_if(cart is None or cart.expires <= self.now or not cart.lines, "cart_empty")
        assert cart
        for_sale = [self.shelves[product].for_sale for product, _ in cart.lines]
        refuse_if(not all(for_sale), "not_for_sale")
        lines = [
            Line(product, units, self.shelves[product].price, engraved)
            for (product, engraved), units in cart.lines.items()
        ]
        self.require_enough(by_product(lines))
        self.orders.append(Order(self.now, lines))

    def amend(self, number: int, units: dict[int, int], added: dict[int, int]) -> None:
        """Give lines other quantities, where 0 removes one, and add units of products."""
        order = self.orders[number]
        is_touched = order.captured or order.authorized or order.fully_paid or order.moves_open
        is_over = order.cancelled or order.fulfilled
        refuse_if(is_over or is_touched or order.holding, "order_not_changeable")
        before = by_product(order.lines)
        with all_or_nothing(self):
            lines = self.orders[number].lines
            for line, wanted in units.items():
                lines[line].units = wanted
            for product, more in added.items():
                same = [line for line in lines if line.product == product and not line.engraved]
                if same:
                    same[0].units += more
                else:
                    refuse_if(not self.shelves[product].for_sale, "product_not_found")
                    lines.append(Line(product, more, self.shelves[product].price))
            for product, wanted in by_product(lines).items():
                if wanted > before.get(product, 0):
                    refuse_if(not self.shelves[product].for_sale, "not_for_sale")
                    self.require_enough({product: wanted})
            refuse_if(not any(line.units for line in lines), "order_not_changeable")
            self.orders[number].lines = [line for line in lines if line.units]

    # What becomes of the units of an order.

    def ship(self, number: int, units: dict[int, int] | None) -> None:
        order = self.orders[number]
        refuse_if(order.cancelled or order.fulfilled, "order_not_shippable")
        refuse_if(order.moves_open or order.refunds_open, "payment_under_way")
        refuse_if(order.payment != "paid", "order_not_shippable")
        units = self._picked(order, units)
        for line, of_line in units.items():
            order.lines[line].shipped += of_line
            order.lines[line].allocated -= of_line * order.lines[line].stocked
        stocked = order.by_product(units)
        self.move(number, stocked, "deallocate")
        self.move(number, stocked, "decrement", sent=True)
        entries = {product: len(self.shelves[product].log) for product in stocked}
        order.parcels.append(Parcel(units, entries))
        order.holding = not order.fulfilled

    def _picked(self, order: Order, units: dict[int, int] | None) -> dict[int, int]:
        if units is None:
            return {n: line.left for n, line in enumerate(order.lines) if line.left}
        refuse_if(not units, "no_units")
        too_many = any(wanted > order.lines[line].left for line, wanted in units.items())
        refuse_if(too_many, "units_not_left")
        return units

    def undo_parcel(self, number: int, parcel_number: int, whereabouts: str) -> None:
        """Undo a shipment, of whose units somebody may say where they were: "shelf" or "back"."""
        order = self.orders[number]
        parcel = order.parcels[parcel_number]
        refuse_if(parcel.undone, "ship_not_undoable")
        for line, units in parcel.units.items():
            of_order = order.lines[line]
            refuse_if(of_order.shipped - units < of_order.returned, "ship_not_undoable")
        with all_or_nothing(self):
            order = self.orders[number]
            for line, units in parcel.units.items():
                of_order = order.lines[line]
                of_order.shipped -= units
                of_order.stocked &= self.shelves[of_order.product].managed
                of_order.allocated += units * of_order.stocked
            for product, units in order.by_product(parcel.units).items():
                self._bring_back(number, product, units, parcel.entries[product], whereabouts)
            order.parcels[parcel_number].undone = True
            order.holding = True

    def _bring_back(
        self, number: int, product: int, units: int, entry: int, whereabouts: str
    ) -> None:
        shelf = self.shelves[product]
        shipped_at = shelf.log[entry - 1].written
        counted, found = shelf.found_since(shipped_at)
        refuse_if(counted and not whereabouts, "counted_since_shipped")
        if counted and whereabouts == "shelf":
            self.move(number, {product: units}, "allocate")
            last = shelf.standing()[-1]
            shelf.counts.append(Count(last.units, last.at, 0, len(shelf.log)))
            return
        refuse_if(counted and found, "found_by_count")
        at = self.now if whereabouts == "back" else shipped_at
        self.move(number, {product: units}, "increment", at=at, sent=True)
        self.move(number, {product: units}, "allocate", at=at)

    def take_back(
        self, number: int, lines: Sequence[tuple[int, int, str]], amount: int = 0
    ) -> None:
        """Take back units of lines, each with what became of them, and give so much back."""
        with all_or_nothing(self):
            refunds = self.begin_refunds(number, amount)
            self.receive(number, lines)
        self.perform_each(number, refunds)

    def receive(self, number: int, lines: Sequence[tuple[int, int, str]]) -> None:
        order = self.orders[number]
        refuse_if(not lines, "no_units")
        for line, units, _ in lines:
            order.lines[line].returned += units
        for of_order in order.lines:
            refuse_if(of_order.returned > of_order.shipped, "not_put_back")
        good = [each for each in lines if each[2] in ("restocked", "inspection")]
        products = sorted({order.lines[line].product for line, _, _ in good})
        refuse_if(any(not self.shelves[product].managed for product in products), "stock_not_found")
        for product in products:
            of_product = [each for each in good if order.lines[each[0]].product == product]
            self._put_back(number, product, of_product)
        for line, units, became in lines:
            if became == "inspection":
                order.inspected.append(Inspected(line, units))

    def _put_back(self, number: int, product: int, lines: Sequence[tuple[int, int, str]]) -> None:
        shelf = self.shelves[product]
        left_by = [
            parcel.entries[product]
            for parcel in self.orders[number].parcels
            if not parcel.undone and product in parcel.entries
        ]
        if left_by:
            counted, found = shelf.found_since(shelf.log[min(left_by) - 1].written)
            refuse_if(counted and found, "found_by_count")
        self.move(number, {product: sum(n for _, n, _ in lines)}, "increment", sent=True)
        if aside := sum(n for _, n, became in lines if became == "inspection"):
            shelf.write("allocate", aside, self.now, order=number)

    def settle_inspected(self, number: int, which: int, units: int, *, restock: bool) -> None:
        order = self.orders[number]
        waiting = order.inspected[which]
        refuse_if(not 0 < units <= waiting.units, "not_put_back")
        with all_or_nothing(self):
            self.orders[number].inspected[which].units -= units
            shelf = self.shelves[order.lines[waiting.line].product]
            shelf.write("deallocate", units, self.now, order=number)
            if not restock:
                shelf.write("decrement", units, self.now, order=number)
            inspected = self.orders[number].inspected
            self.orders[number].inspected = [each for each in inspected if each.units]

    def cancel_units(
        self, number: int, units: dict[int, int] | None, *, restock: bool, amount: int = 0
    ) -> None:
        order = self.orders[number]
        refuse_if(order.cancelled or order.fulfilled, "order_not_cancellable")
        refuse_if(order.moves_open, "payment_under_way")
        refuse_if(not order.fully_paid, "order_not_cancellable")
        with all_or_nothing(self):
            refunds = self.begin_refunds(number, amount)
            order = self.orders[number]
            units = self._picked(order, units)
            stocked = order.by_product(units)
            for line, of_line in units.items():
                order.lines[line].cancelled += of_line
                order.lines[line].allocated -= of_line * order.lines[line].stocked
            is_nothing_left = not any(line.left for line in order.lines)
            refuse_if(is_nothing_left and not order.has_shipped, "order_not_cancellable")
            order.holding = not order.fulfilled
            self.give_units_up(number, stocked, restock=restock)
        self.perform_each(number, refunds)

    # Sheets.

    def upload(self, lines: Iterable[tuple[int, int]], moments: Sequence[int] | None) -> None:
        """Check a file that counts products, each at its moment; or changes them, at none."""
        sheet = Sheet([])
        for place, (product, units) in enumerate(lines):
            shelf = self.shelves[product]
            line = SheetLine(product, units, None if moments is None else moments[place])
            line.error = shelf.archived or (line.at is not None and line.at < shelf.made)
            self._work_out(line)
            sheet.lines.append(line)
        self.sheets.append(sheet)

    def _work_out(self, line: SheetLine) -> None:
        """Set what a line comes to as things are, or that it cannot be applied."""
        shelf = self.shelves[line.product]
        if line.error:
            return
        try:
            line.change = line.units if line.at is None else shelf.counted(line.units, line.at)
        except Refused:
            line.error = True
        line.error |= not shelf.managed or shelf.available + line.change < 0

    def apply(self, number: int) -> None:
        sheet = self.sheets[number]
        refuse_if(sheet.state != "checked", "sheet_not_ready")
        for line in sheet.lines:
            self._work_out(line)
            if line.error:
                continue
            shelf = self.shelves[line.product]
            at = self.now if line.at is None else line.at
            shelf.correct(line.change, at, self.now, by_file=True)
            line.entry = len(shelf.log) if line.change else None
            if line.at is not None:
                line.count = Count(line.units, line.at, line.change, len(shelf.log))
                shelf.counts.append(line.count)
        sheet.state = "applied"

    def revert(self, number: int) -> None:
        sheet = self.sheets[number]
        refuse_if(sheet.state != "applied", "sheet_not_ready")
        sheet.state = "reverted"
        for line in sheet.lines:
            if line.entry and not self._take_line_back(line):
                sheet.state = "applied"
            elif line.count:
                line.count.withdrawn = True

    def _take_line_back(self, line: SheetLine) -> bool:
        """Write the opposite of a line's entry; false where it has to stay."""
        shelf = self.shelves[line.product]
        assert line.entry
        is_short = shelf.available < line.change
        if not shelf.managed or is_short or shelf.counted_with(line.entry):
            return False
        at = shelf.log[line.entry - 1].at
        shelf.correct(-line.change, at, self.now, by_file=True)
        line.entry = None
        return True

    # Prices, by a file.

    def upload_prices(self, prices: dict[int, int]) -> None:
        lines = [
            PriceLine(product, self.shelves[product].price, price, self.shelves[product].archived)
            for product, price in prices.items()
        ]
        self.price_sheets.append(PriceSheet(lines))

    def apply_prices(self, number: int) -> None:
        sheet = self.price_sheets[number]
        refuse_if(sheet.state != "checked", "sheet_not_ready")
        sheet.state = "applied"
        for line in sheet.lines:
            shelf = self.shelves[line.product]
            line.error |= shelf.archived or shelf.price not in (line.before, line.after)
            if not line.error and shelf.price != line.after:
                shelf.price, line.applied = line.after, True

    def revert_prices(self, number: int) -> None:
        """Take back what nobody has changed since."""
        sheet = self.price_sheets[number]
        refuse_if(sheet.state != "applied", "sheet_not_ready")
        sheet.state = "reverted"
        for line in [line for line in sheet.lines if line.applied]:
            shelf = self.shelves[line.product]
            if shelf.archived or shelf.price != line.after:
                sheet.state = "applied"
            else:
                shelf.price, line.applied = line.before, False


def by_product(lines: Iterable[Line]) -> dict[int, int]:
    """Add up the units of each product: two lines of one product need both."""
    sums: dict[int, int] = {}
    for line in lines:
        sums[line.product] = sums.get(line.product, 0) + line.units
    return sums
