"""What the documents say of the money of orders: paying, and what gateways make of it.

Plain arithmetic that imports nothing of Holdfast. See docs/payments.md.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tests.model.orders import Attempt, Order, Payment
from tests.model.shelves import Refused, Shelf, all_or_nothing, refuse_if

MINUTE, DAY = 60, 86_400
# How long whoever asks a gateway may be waiting for it, in seconds, whether or not it still lives.
LEASE = 15
# How long a buyer has to act.
DEADLINE = 30 * MINUTE
AUTHORIZED_FOR = 7 * DAY
UNPAID_FOR = 14 * DAY
PARTLY_PAID_FOR = 3 * DAY


class Died(BaseException):
    """The process died while it asked a gateway."""


@dataclass(frozen=True)
class Fate:
    """What a gateway makes of the next thing that it is asked to do, and how it says so."""

    # "yes", "no", or "act" for a buyer who has to do something.
    there: str = "yes"
    # "told", "silent" where the answer is lost, "unheard" where the question is lost, or the same
    # with whoever asked: "dies", "dies unheard".
    here: str = "told"

    @property
    def is_heard(self) -> bool:
        return "unheard" not in self.here


class Bookkeeping:
    def __init__(self) -> None:
        # In seconds since the shop was opened.
        self.now = 0
        self.shelves: list[Shelf] = []
        self.orders: list[Order] = []
        # What the gateway makes of what it is to do, and whether it says what became of things.
        self.fate = Fate()
        self.is_silent = False

    # Units.

    def require_enough(self, units: dict[int, int]) -> None:
        for product, wanted in units.items():
            shelf = self.shelves[product]
            refuse_if(shelf.managed and wanted > shelf.available, "insufficient_stock")

    def move(self, number: int, units: dict[int, int], action: str, **of: object) -> None:
        """Move units of products for an order."""
        for product, of_product in units.items():
            self.shelves[product].write(
                action, of_product, self.now, by_order=True, order=number, **of
            )

    def _take_units(self, number: int) -> None:
        order = self.orders[number]
        is_for_sale = [self.shelves[line.product].for_sale for line in order.lines]
        refuse_if(not all(is_for_sale), "not_for_sale")
        wanted: dict[int, int] = {}
        for line in order.lines:
            if self.shelves[line.product].managed:
                wanted[line.product] = wanted.get(line.product, 0) + line.units
        self.require_enough(wanted)
        for line in order.lines:
            if line.product in wanted:
                line.stocked, line.allocated = True, line.units
        order.holding = True
        self.move(number, wanted, "allocate")

    def _release(self, number: int) -> None:
        """Give the units back, unless some money holds them."""
        order = self.orders[number]
        if order.captured or order.authorized or order.moves_open or order.fully_paid:
            return
        held = order.by_product({n: line.allocated for n, line in enumerate(order.lines)})
        for line in order.lines:
            line.stocked, line.allocated = False, 0
        if order.holding:
            order.holding = False
            self.move(number, held, "deallocate")

    def give_units_up(self, number: int, units: dict[int, int], *, restock: bool) -> None:
        self.move(number, units, "deallocate")
        if not restock:
            self.move(number, units, "decrement")

    # Paying.

    def pay(self, number: int, gateway: str, method: str, amount: int | None) -> None:
        try:
            self._begin(number, gateway, method, amount)
        except Refused as refused:
            chosen = _in_the_way(self.orders[number], amount)
            is_in_the_way = refused.code in ("payment_pending", "amount_not_payable")
            if not is_in_the_way or not chosen or self.is_silent:
                raise
            self._in_place_of(number, chosen, lambda: self._begin(number, gateway, method, amount))
        payment = self.orders[number].payments[-1]
        if gateway == "manual":
            return
        payment.busy_until = self.now + LEASE
        if self.fate.is_heard:
            payment.there = {"yes": "charged", "no": "", "act": "acting"}[self.fate.there]
            payment.captured_there = payment.amount if payment.is_taken_there else 0
        if self._is_told(payment):
            self._settle(number, payment)
        self._require_not_refused(payment)

    def _is_told(self, asked: Payment | Attempt) -> bool:
        """Tell whether the answer arrives. Raises: Died."""
        if "dies" in self.fate.here:
            raise Died
        asked.busy_until = 0
        return self.fate.here == "told"

    @staticmethod
    def _require_not_refused(payment: Payment) -> None:
        refuse_if(payment.status == "failed", "payment_declined")
        refuse_if(payment.late, "payment_returned")

    def _begin(self, number: int, gateway: str, method: str, amount: int | None) -> None:
        order = self.orders[number]
        is_owing = order.total > order.captured + order.authorized
        refuse_if(order.cancelled or order.fully_paid or not is_owing, "order_not_payable")
        refuse_if(not order.payable and order.moves_open, "payment_pending")
        amount = order.payable if amount is None else amount
        refuse_if(not 0 < amount <= order.payable, "amount_not_payable")
        if not order.holding:
            self._take_units(number)
        payment = Payment(gateway, method, amount, self.now)
        order.payments.append(payment)
        if gateway == "manual":
            self._book(order, payment)

    def _in_place_of(self, number: int, chosen: Sequence[int], act: Callable[[], None]) -> None:
        """Give payments up that wait for their buyer, and act with their units still taken.

        If it is refused, they have ended all the same.
        """
        for each in chosen:
            self._give_up(self.orders[number].payments[each])
        try:
            with all_or_nothing(self):
                for each in chosen:
                    self._settle(number, self.orders[number].payments[each], keep=True)
                act()
        except Refused:
            for each in chosen:
                self._settle(number, self.orders[number].payments[each])
            raise

    @staticmethod
    def _give_up(payment: Payment) -> None:
        if payment.there == "acting":
            payment.there = "let go"

    def buyer_acts(self, number: int, which: int, *, pays: bool) -> None:
        """The buyer does what the gateway asked for, of which we hear nothing."""
        payment = self.orders[number].payments[which]
        payment.there = "charged" if pays else ""
        payment.captured_there = payment.amount if payment.is_taken_there else 0

    def confirm(self, number: int, which: int) -> None:
        payment = self.orders[number].payments[which]
        if payment.pending and payment.busy_until <= self.now:
            self._look(number, payment)
        self._require_not_refused(payment)

    def _look(self, number: int, payment: Payment) -> None:
        """Ask what became of a payment, and write it down."""
        if self.is_silent:
            payment.busy_until = 0
            return
        if payment.pending and self.now > payment.made + DEADLINE:
            self._give_up(payment)
        self._settle(number, payment)

    def _settle(self, number: int, payment: Payment, *, keep: bool = False) -> None:
        """Write down what became of a payment there. The units stay taken if they are to `keep`."""
        order = self.orders[number]
        if payment.pending:
            payment.busy_until = 0
            payment.acting = payment.there == "acting"
            if payment.there == "charged":
                self._book(order, payment)
            elif payment.there in ("", "let go"):
                payment.status = "failed"
                if not keep:
                    self._release(number)
        elif payment.authorized and not payment.open_moves:
            # Nothing is there if it was declined, and somebody called it made.
            if payment.there in ("", "let go"):
                payment.status = "cancelled"
                self._release(number)
            elif payment.there == "captured":
                self._book_capture(order, payment, payment.captured_there)
                if payment.late:
                    payment.attempts.append(Attempt("refund", payment.captured, made=self.now))
        elif payment.status == "failed" and payment.there == "charged":
            self._accept_late(number, payment)

    @staticmethod
    def _book(order: Order, payment: Payment) -> None:
        payment.status = "complete"
        if payment.method == "purchase":
            payment.captured = payment.amount
        order.fully_paid |= order.captured == order.total

    @staticmethod
    def _book_capture(order: Order, payment: Payment, amount: int) -> None:
        payment.captured = amount
        order.fully_paid |= order.captured == order.total

    def _accept_late(self, number: int, payment: Payment) -> None:
        """Take money of a payment that had failed, if the order can still take it."""
        order = self.orders[number]
        can_take = not (order.cancelled or order.fully_paid or payment.amount > order.payable)
        try:
            refuse_if(not can_take, "")
            if not order.holding:
                self._take_units(number)
        except Refused:
            payment.status, payment.late = "complete", True
            kind = "void" if payment.method == "authorize" else "refund"
            payment.captured = payment.amount if kind == "refund" else 0
            payment.attempts.append(Attempt(kind, payment.amount, made=self.now))
        else:
            self._book(order, payment)

    # Captures, voids and refunds.

    def capture(self, number: int, which: int, amount: int | None) -> None:
        order = self.orders[number]
        payment = order.payments[which]
        is_capturable = payment.authorized and not payment.late and not order.cancelled
        refuse_if(not is_capturable or payment.open_moves, "transaction_not_capturable")
        amount = payment.amount if amount is None else amount
        refuse_if(not 0 < amount <= payment.amount, "amount_not_capturable")
        self._perform(number, payment, self._try(number, payment, "capture", amount))

    def void(self, number: int, which: int) -> None:
        """Let authorized money go, or give up a payment that waits for its buyer."""
        payment = self.orders[number].payments[which]
        refuse_if(payment.gateway == "manual", "unsupported_gateway_operation")
        if payment.authorized and not payment.open_moves:
            self._perform(number, payment, self._try(number, payment, "void", payment.amount))
            return
        refuse_if(which not in self.orders[number].waiting, "transaction_not_cancellable")
        refuse_if(self.is_silent, "payment_under_way")
        self._give_up(payment)
        self._settle(number, payment)
        refuse_if(payment.status != "failed", "transaction_not_cancellable")

    def refund(
        self,
        number: int,
        which: int,
        amount: int | None,
        taken_back: Sequence[tuple[int, int, str]] = (),
    ) -> None:
        """Give captured money back; without an amount all of it was, and is only marked so."""
        with all_or_nothing(self):
            order = self.orders[number]
            payment = order.payments[which]
            is_marking = amount is None
            amount = payment.refundable if amount is None else amount
            may_go_back = order.fully_paid or order.cancelled or payment.late
            is_possible = may_go_back and 0 < amount <= payment.refundable
            refuse_if(not is_possible, "transaction_not_refundable")
            attempt = self._try(number, payment, "refund", amount)
            payment.by_hand |= is_marking
            if is_marking and attempt.status == "pending":
                self._conclude(number, payment, attempt)
            if taken_back:
                self.receive(number, taken_back)
        self._perform(number, payment, attempt)

    def receive(self, number: int, lines: Sequence[tuple[int, int, str]]) -> None:
        raise NotImplementedError

    def begin_refunds(self, number: int, amount: int) -> list[tuple[int, Attempt]]:
        """Give so much back, of the oldest payments first."""
        order = self.orders[number]
        refuse_if(amount and not order.fully_paid, "transaction_not_refundable")
        begun = []
        for which, payment in enumerate(order.payments):
            part = 0 if payment.late else min(amount, payment.refundable)
            if part:
                begun.append((which, self._try(number, payment, "refund", part)))
                amount -= part
        refuse_if(amount, "transaction_not_refundable")
        return begun

    def perform_each(self, number: int, begun: Iterable[tuple[int, Attempt]]) -> None:
        """Have refunds made that are on record. If one is refused, all else stays."""
        for which, attempt in begun:
            payment = self.orders[number].payments[which]
            try:
                self._perform(number, payment, attempt)
            except Refused:
                continue

    def _try(self, number: int, payment: Payment, kind: str, amount: int) -> Attempt:
        """Put on record what is to be done; it is done at once where nobody is to be asked."""
        attempt = Attempt(kind, amount, made=self.now, busy_until=self.now + LEASE)
        payment.attempts.append(attempt)
        if payment.gateway == "manual":
            self._conclude(number, payment, attempt)
        return attempt

    def _perform(self, number: int, payment: Payment, attempt: Attempt) -> None:
        """Have the gateway do what is on record and still open."""
        if attempt.status != "pending":
            return
        self._do_there(payment, attempt)
        if self._is_told(attempt):
            self._write_down(number, payment, attempt)
        refuse_if(attempt.status == "failed", "gateway_refused")

    def _do_there(self, payment: Payment, attempt: Attempt) -> None:
        if not self.fate.is_heard:
            return
        left_there = payment.captured_there - payment.refunded_there
        is_refund = attempt.kind == "refund"
        is_held = payment.there == "charged" and payment.method == "authorize"
        can = attempt.amount <= left_there if is_refund else is_held
        if self.fate.there != "yes" or not can:
            attempt.there = "refused"
            return
        attempt.there = "done"
        if is_refund:
            payment.refunded_there += attempt.amount
        elif attempt.kind == "void":
            payment.there = "let go"
        else:
            payment.there, payment.captured_there = "captured", attempt.amount

    def _write_down(self, number: int, payment: Payment, attempt: Attempt) -> None:
        if attempt.there == "done":
            self._conclude(number, payment, attempt)
        else:
            attempt.status = "failed"
        self._release(number)
        if attempt.status == "failed" and attempt.kind != "refund":
            # Somebody may have done the same there.
            self._settle(number, payment)

    def _conclude(self, number: int, payment: Payment, attempt: Attempt) -> None:
        order = self.orders[number]
        attempt.status = "succeeded"
        if attempt.kind == "refund":
            payment.refunded += attempt.amount
        elif attempt.kind == "void":
            payment.status = "cancelled"
        else:
            self._book_capture(order, payment, attempt.amount)

    # Cancelling all of an order.

    def cancel(self, number: int, *, restock: bool = True) -> None:
        order = self.orders[number]
        refuse_if(order.cancelled or order.has_shipped, "order_not_cancellable")
        voids: list[tuple[int, Attempt]] = []
        if order.moves_open:
            are_all = len(order.waiting) == order.moves_open
            refuse_if(not are_all or self.is_silent, "payment_under_way")
            self._in_place_of(
                number, order.waiting, lambda: self._cancel(number, voids, restock=restock)
            )
        else:
            self._cancel(number, voids, restock=restock)
        self.perform_each(number, voids)

    def _cancel(self, number: int, voids: list[tuple[int, Attempt]], *, restock: bool) -> None:
        order = self.orders[number]
        units = order.by_product({n: line.allocated for n, line in enumerate(order.lines)})
        for which, payment in enumerate(order.payments):
            if payment.authorized and not payment.late:
                voids.append((which, self._try(number, payment, "void", payment.amount)))
        order.cancelled = True
        for line in order.lines:
            line.stocked, line.allocated, line.cancelled = False, 0, line.units
        if order.holding:
            order.holding = False
            self.give_units_up(number, units, restock=restock)

    # What looks after what is left.

    def recover(self) -> None:
        """Ask the gateways about everything that is open and that nobody waits for."""
        for number, order in enumerate(self.orders):
            for payment in order.payments:
                if payment.pending and payment.busy_until <= self.now:
                    self._look(number, payment)
        for number, order in enumerate(self.orders):
            for payment in order.payments:
                self._recover_attempts(number, payment)

    def _recover_attempts(self, number: int, payment: Payment) -> None:
        for attempt in list(payment.attempts):
            if attempt.status != "pending" or attempt.busy_until > self.now:
                continue
            attempt.busy_until = 0
            if self.is_silent:
                continue
            if not attempt.there:
                self._do_there(payment, attempt)
            self._write_down(number, payment, attempt)

    def check_now(self, number: int, which: int) -> None:
        payment = self.orders[number].payments[which]
        open_attempts = [a for a in payment.attempts if a.status == "pending"]
        open_things: list[Payment | Attempt] = [
            *([payment] if payment.pending else []),
            *open_attempts,
        ]
        is_busy = any(each.busy_until > self.now for each in open_things)
        refuse_if(is_busy, "transaction_under_way")
        if payment.gateway != "manual":
            self._recover_attempts(number, payment)
            self._look(number, payment)

    def settle_by_hand(self, number: int, which: int, *, succeeded: bool) -> None:
        """Write down what a person says that became of a payment, or of its oldest attempt."""
        payment = self.orders[number].payments[which]
        open_attempts = [a for a in payment.attempts if a.status == "pending"][:1]
        open_things: list[Payment | Attempt] = [
            *([payment] if payment.pending else []),
            *open_attempts,
        ]
        is_busy = any(each.busy_until > self.now for each in open_things)
        refuse_if(is_busy, "transaction_under_way")
        refuse_if(not open_things, "transaction_not_open")
        payment.by_hand = True
        if payment.pending and succeeded:
            payment.acting = False
            self._book(self.orders[number], payment)
        elif payment.pending:
            payment.acting, payment.status = False, "failed"
            self._release(number)
        else:
            if succeeded:
                self._conclude(number, payment, open_attempts[0])
            else:
                open_attempts[0].status = "failed"
            self._release(number)

    def let_lapsed_go(self) -> None:
        for number, order in enumerate(self.orders):
            for which, payment in enumerate(order.payments):
                is_old = payment.made < self.now - AUTHORIZED_FOR
                # What was refused is not tried each time.
                is_new = any(
                    a.kind == "void" and a.made > self.now - AUTHORIZED_FOR
                    for a in payment.attempts
                )
                if payment.authorized and is_old and not is_new and payment.gateway != "manual":
                    try:
                        self.void(number, which)
                    except Refused:
                        continue

    def expire(self) -> None:
        """Cancel orders that have waited for their money for too long."""
        for number, order in enumerate(self.orders):
            is_unpaid = order.payment == "unpaid"
            is_partly = order.payment in ("partially_paid", "partially_authorized", "refunded")
            kept_for = UNPAID_FOR if is_unpaid else PARTLY_PAID_FOR
            is_old = order.made < self.now - kept_for
            is_open = order.cancelled or order.fully_paid or order.moves_open
            if is_old and (is_unpaid or is_partly) and not is_open:
                try:
                    self.cancel(number)
                except Refused:
                    continue


def _in_the_way(order: Order, amount: int | None) -> list[int]:
    """Choose the fewest of those that wait for their buyer: of the same amount, else the newest."""
    room = order.payable
    waiting = order.waiting[::-1]
    if room and (amount is None or amount <= room):
        return []
    if amount is None:
        return waiting
    if same := [each for each in waiting if order.payments[each].amount == amount]:
        return same[:1]
    chosen = []
    for each in waiting:
        if room < amount:
            chosen.append(each)
            room += order.payments[each].amount
    return chosen if 0 < amount <= room else []
