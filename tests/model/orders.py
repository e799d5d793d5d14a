"""What the documents say of an order: its lines, its money, and the states that follow from them.

Plain arithmetic that imports nothing of Holdfast. See docs/orders.md and docs/payments.md.
"""

from dataclasses import dataclass, field


@dataclass
class Line:
    product: int
    units: int
    price: int
    # Something is written on it, which makes it a line of its own.
    engraved: bool = False
    # Whether its units come from stock, and how many it holds.
    stocked: bool = False
    allocated: int = 0
    shipped: int = 0
    cancelled: int = 0
    returned: int = 0

    @property
    def left(self) -> int:
        return self.units - self.shipped - self.cancelled


@dataclass
class Attempt:
    """A capture, void or refund that its gateway is asked for."""

    kind: str
    amount: int
    # When it was put on record.
    made: int = 0
    status: str = "pending"
    # What became of it at the gateway: done, refused, or nothing if it never heard of it.
    there: str = ""
    # Until when somebody may be waiting for the answer.
    busy_until: int = 0


@dataclass
class Payment:
    gateway: str
    method: str
    amount: int
    made: int
    status: str = "pending"
    captured: int = 0
    refunded: int = 0
    # Came too late for the order, and goes back.
    late: bool = False
    # Waits for its buyer.
    acting: bool = False
    # What became of the money at the gateway: acting, charged, captured, let go, or nothing.
    there: str = ""
    captured_there: int = 0
    refunded_there: int = 0
    # Whether somebody wrote down what the gateway need not know of.
    by_hand: bool = False
    busy_until: int = 0
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def pending(self) -> bool:
        return self.status == "pending"

    @property
    def is_taken_there(self) -> bool:
        """Tell whether the gateway has taken the money, and not only reserved it."""
        return self.there == "charged" and self.method == "purchase"

    @property
    def authorized(self) -> int:
        is_authorized = self.status == "complete" and self.method == "authorize"
        return self.amount if is_authorized and not self.captured else 0

    @property
    def refunding(self) -> int:
        return sum(a.amount for a in self.attempts if a.kind == "refund" and a.status == "pending")

    @property
    def refundable(self) -> int:
        return self.captured - self.refunded - self.refunding

    @property
    def open_moves(self) -> int:
        """Count what may still change what is paid: captures and voids that are on their way."""
        return sum(a.status == "pending" and a.kind != "refund" for a in self.attempts)


@dataclass
class Parcel:
    # Units by line; and by product the number of the entry by which they left the total.
    units: dict[int, int]
    entries: dict[int, int]
    undone: bool = False


@dataclass
class Inspected:
    """Units that came back and wait to be looked at."""

    line: int
    units: int


@dataclass
class Order:
    made: int
    lines: list[Line]
    payments: list[Payment] = field(default_factory=list)
    parcels: list[Parcel] = field(default_factory=list)
    inspected: list[Inspected] = field(default_factory=list)
    # Whether it has taken its units, or would have if any line were in stock.
    holding: bool = False
    cancelled: bool = False
    # Once paid in full it stays so, whatever is refunded.
    fully_paid: bool = False

    @property
    def total(self) -> int:
        return sum(line.units * line.price for line in self.lines)

    def _sum(self, name: str) -> int:
        return sum(getattr(payment, name) for payment in self.payments if not payment.late)

    @property
    def captured(self) -> int:
        return self._sum("captured")

    @property
    def refunded(self) -> int:
        return self._sum("refunded")

    @property
    def authorized(self) -> int:
        return self._sum("authorized")

    @property
    def pending(self) -> int:
        return sum(payment.amount for payment in self.payments if payment.pending)

    @property
    def payable(self) -> int:
        return self.total - self.captured - self.authorized - self.pending

    @property
    def moves_open(self) -> int:
        return sum(payment.pending + payment.open_moves for payment in self.payments)

    @property
    def refunds_open(self) -> int:
        attempts = [attempt for payment in self.payments for attempt in payment.attempts]
        return sum(a.kind == "refund" and a.status == "pending" for a in attempts)

    @property
    def waiting(self) -> list[int]:
        """Name the payments that wait for their buyer, oldest first."""
        return [i for i, payment in enumerate(self.payments) if payment.pending and payment.acting]

    @property
    def payment(self) -> str:
        if self.captured and self.refunded == self.captured and not self.authorized:
            return "refunded"
        if self.fully_paid:
            return "paid"
        if self.total and self.total == self.captured + self.authorized:
            return "authorized"
        if self.captured:
            return "partially_paid"
        return "partially_authorized" if self.authorized else "unpaid"

    @property
    def status(self) -> str:
        if self.cancelled:
            return "cancelled"
        if self.fully_paid:
            return "complete"
        return "processing" if self.payment == "authorized" else "incomplete"

    @property
    def has_shipped(self) -> bool:
        return any(not parcel.undone for parcel in self.parcels)

    @property
    def fulfilled(self) -> bool:
        return self.has_shipped and not any(line.left for line in self.lines)

    def by_product(self, units: dict[int, int]) -> dict[int, int]:
        """Add up what of these units, by line, is in stock; products in their order."""
        sums: dict[int, int] = {}
        for number, of_line in units.items():
            if of_line and self.lines[number].stocked:
                product = self.lines[number].product
                sums[product] = sums.get(product, 0) + of_line
        return dict(sorted(sums.items()))
