"""What happens to the shop: everything, in any order, each time as the model has foretold it.

`Machine` does it through the services. What is refused must be refused for the reason that the
model gives, and what the model allows must be done: a refusal that is false fails as well.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, TypeVar
from unittest.mock import patch

from django.db import transaction
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
)

from api import clock, store
from payments import gateways
from payments.models import Gateway
from tests.factories import MERCHANT
from tests.model.arithmetic import Shop
from tests.model.bank import Bank
from tests.model.comparing import Comparison
from tests.model.driving import DIED, ByServices, at
from tests.model.money import DAY, MINUTE, PARTLY_PAID_FOR, Died, Fate
from tests.model.orders import Order, Payment
from tests.model.shelves import Refused, Shelf

T = TypeVar("T")

WHICH = st.integers(0, 63)
UNITS = st.integers(1, 5)
FLAG = st.booleans()
# Nothing said, nothing, a part, all, and more than all.
SHARE = st.sampled_from(["whole", "whole", "half", "all", "none", "more"])
GATEWAY = st.sampled_from(["bank", "bank", "manual"])
METHOD = st.sampled_from(["purchase", "authorize"])
HERE = st.sampled_from(["told", "told", "told", "silent", "unheard", "dies", "dies unheard"])
CHARGED = st.builds(Fate, st.sampled_from(["yes", "yes", "yes", "no", "act"]), HERE)
PERFORMED = st.builds(Fate, st.sampled_from(["yes", "yes", "no"]), HERE)
DISPOSITION = st.sampled_from(["inspection", "restocked", "restocked", "discarded", "missing"])
BECAME = st.lists(DISPOSITION, min_size=3, max_size=3)
# Of the units of a line: mostly all, or none; or more than there are.
TOO_MANY = 99
SHARES = st.lists(st.sampled_from([9, 9, 1, 2, 3, 0, TOO_MANY]), min_size=3, max_size=3)
REFUNDED = st.sampled_from([0, 0, 300, 99_999])
PRICES = st.sampled_from([400, 1250, 999])


@contextmanager
def rolled_back() -> Iterator[None]:
    """Undo everything that happens in the block, which may well begin transactions of its own."""
    block = transaction.atomic()
    # As a test's own transaction is marked: what is durable may be inside it.
    block._from_testcase = True  # type: ignore[attr-defined]
    with block:
        yield
        transaction.set_rollback(True)


@contextmanager
def at_the_bank(bank: Bank) -> Iterator[None]:
    known = {**gateways.adapters(), "bank": bank}
    with patch.object(gateways, "adapters", lambda: known):
        Gateway.objects.create(slug="bank", name="Bank", enabled=True)
        yield


def foretold(predict: Callable[[], object]) -> str:
    """Return the code of the refusal that the model foretells, or nothing."""
    try:
        predict()
    except Refused as refused:
        return refused.code
    except Died:
        return DIED
    return ""


@dataclass(frozen=True)
class Happening:
    """A step that may be taken, where it is possible, and how often beside the others."""

    theme: str
    weight: int
    is_possible: Callable[["Machine"], object]
    # Whether it may well be done, and not only be refused: then it happens as often as it weighs.
    is_likely: Callable[["Machine"], object]
    drawn: Mapping[str, st.SearchStrategy[Any]]
    step: Callable[..., None]

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        """Be told by Hypothesis as what happens."""
        printer.text(self.step.__name__)


HAPPENINGS: list[Happening] = []


def happens(
    theme: str,
    weight: int,
    *,
    when: Callable[["Machine"], object] = lambda machine: True,
    likely: Callable[["Machine"], object] = lambda machine: True,
    **drawn: st.SearchStrategy[Any],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let the step be among those that may be taken. Some examples leave out its whole theme."""

    def decorate(step: Callable[..., None]) -> Callable[..., None]:
        HAPPENINGS.append(Happening(theme, weight, when, likely, drawn, step))
        return step

    return decorate


# With what something can be done, more likely than not.


def is_amendable(order: Order) -> bool:
    return not order.payments and not order.cancelled


def is_payable(order: Order) -> bool:
    return order.payable > 0 and not order.cancelled


def is_cancellable(order: Order) -> bool:
    return bool(order.payments) and not order.cancelled and not order.has_shipped


def is_shippable(order: Order) -> bool:
    return order.payment == "paid" and not order.fulfilled and not order.cancelled


def is_partly_cancellable(order: Order) -> bool:
    return order.fully_paid and not order.fulfilled and not order.cancelled


def has_parcels_away(order: Order) -> bool:
    return order.has_shipped


def is_authorized(payment: Payment) -> bool:
    return payment.authorized > 0


def is_voidable(payment: Payment) -> bool:
    return payment.gateway != "manual" and (payment.authorized > 0 or payment.acting)


def is_refundable(payment: Payment) -> bool:
    return payment.refundable > 0


def is_open(payment: Payment) -> bool:
    return payment.pending or payment.open_moves > 0 or payment.refunding > 0


def is_doubtful(payment: Payment) -> bool:
    return is_open(payment) or (payment.by_hand and payment.gateway != "manual")


def an_order_is(likely: Callable[[Order], bool]) -> Callable[["Machine"], bool]:
    return lambda machine: any(likely(order) for order in machine.shop.orders)


def a_payment_is(likely: Callable[[Payment], bool]) -> Callable[["Machine"], bool]:
    return lambda machine: any(
        likely(payment) for order in machine.shop.orders for payment in order.payments
    )


def has(shelf: Shelf, units: int) -> bool:
    return shelf.for_sale and (not shelf.managed or shelf.available >= units)


def is_managed(shelf: Shelf) -> bool:
    return shelf.managed


class Machine(RuleBasedStateMachine):
    # What was done, how often, and how often it was refused for what.
    tally: ClassVar[Counter[tuple[str, str]]]
    shops: ClassVar[int] = 0

    def __init_subclass__(cls, **how: Any) -> None:
        super().__init_subclass__(**how)
        cls.tally = Counter()

    def __init__(self) -> None:
        super().__init__()
        type(self).shops += 1
        self.left_out: set[str] = set()
        # Whether the last step went as foretold.
        self.is_sound = True
        self.shop = Shop()
        self.bank = Bank()
        self.driver = self.made_driver()
        self.comparison = Comparison(self.shop, self.driver)
        self.around = ExitStack()
        self.around.enter_context(clock.replaced(lambda: at(self.shop.now)))
        self.around.enter_context(rolled_back())
        self.around.enter_context(at_the_bank(self.bank))
        self.around.callback(store.forget)

    def made_driver(self) -> ByServices:
        return ByServices(self.bank)

    def teardown(self) -> None:
        with self.around:
            if self.is_sound:
                self.comparison.require_clean()

    # How a step is taken.

    def do(
        self, name: str, *of: Any, fate: Fate | None = None, silent: bool = False, **how: Any
    ) -> str:
        """Have the model foretell what comes of something, do it, and compare everything."""
        self.shop.now += 1
        self.is_sound = False
        self.shop.fate = self.bank.fate = fate or Fate()
        self.shop.is_silent = self.bank.is_silent = silent
        code = foretold(lambda: getattr(self.shop, name)(*of, **how))
        note(f"{self.shop.now}: {name} {of} {how or ''} {fate or ''}: {code or 'done'}")
        found = getattr(self.driver, name)(*of, **how)
        assert (found or "") == code, f"{found or 'done'}, and not {code or 'done'}"
        self.comparison.require_the_same()
        self.tally[name, code] += 1
        self.is_sound = True
        return code

    @staticmethod
    def one(of: Sequence[T], which: int) -> T:
        return of[which % len(of)]

    def an_order(self, which: int, likely: Callable[[Order], object]) -> int:
        """Choose an order: mostly one with which something can be done."""
        numbers = range(len(self.shop.orders))
        chosen = [number for number in numbers if likely(self.shop.orders[number])]
        return self.one(chosen if chosen and which % 8 < 7 else list(numbers), which // 8)

    def a_product(self, which: int, likely: Callable[[Shelf], object] = lambda shelf: True) -> int:
        numbers = range(len(self.shop.shelves))
        chosen = [number for number in numbers if likely(self.shop.shelves[number])]
        return self.one(chosen if chosen and which % 8 < 7 else list(numbers), which // 8)

    def has_orders(self) -> bool:
        return bool(self.shop.orders)

    def has_payments(self) -> bool:
        return any(order.payments for order in self.shop.orders)

    def has_parcels(self) -> bool:
        return any(order.parcels for order in self.shop.orders)

    def let_something_happen(self, data: st.DataObject) -> None:
        possible = [
            each
            for each in HAPPENINGS
            if each.theme not in self.left_out and each.is_possible(self)
            for _ in range(each.weight if each.is_likely(self) else 1)
        ]
        chosen = data.draw(st.sampled_from(possible))
        chosen.step(self, **{name: data.draw(how) for name, how in chosen.drawn.items()})

    # The beginning.

    @initialize(
        stocks=st.lists(st.sampled_from([0, 3, 7, 12, 20]), min_size=2, max_size=3),
        left_out=st.sets(st.sampled_from(["money", "stock", "products", "files"]), max_size=2),
    )
    def open_the_shop(self, stocks: list[int], left_out: set[str]) -> None:
        self.left_out = left_out
        self.prepare()
        for units in stocks:
            self.do("sell", 1250, units)
        self.do("sell", 400, 0, managed=False)

    def prepare(self) -> None:
        hours = PARTLY_PAID_FOR // (60 * MINUTE)
        store.change(actor=MERCHANT, partly_paid_order_expiry_hours=hours)

    # Carts and orders.

    @happens("selling", 2, which=WHICH, units=UNITS, engraved=FLAG, cart=st.sampled_from("ab"))
    def put_into_a_cart(self, which: int, units: int, engraved: bool, cart: str) -> None:
        product = self.a_product(which, partial(has, units=units))
        self.do("add", cart, product, units, engraved=engraved)

    @happens(
        "selling",
        1,
        when=lambda self: any(cart.lines for cart in self.shop.carts.values()),
        which=WHICH,
        units=st.integers(0, 5),
    )
    def change_a_cart(self, which: int, units: int) -> None:
        filled = [name for name, cart in self.shop.carts.items() if cart.lines]
        cart = self.one(filled, which)
        self.do("change_line", cart, self.one(list(self.shop.carts[cart].lines), which), units)

    @happens("selling", 1, cart=st.sampled_from("ab"))
    def check_out(self, cart: str) -> None:
        self.do("check_out", cart)

    @happens("selling", 5, lines=st.lists(st.tuples(WHICH, UNITS, FLAG), min_size=1, max_size=3))
    def order(self, lines: list[tuple[int, int, bool]]) -> None:
        self.place(lines)

    def place(self, lines: list[tuple[int, int, bool]]) -> bool:
        cart = f"cart-{self.shop.now}"
        for which, units, engraved in lines:
            product = self.a_product(which, partial(has, units=units))
            self.do("add", cart, product, units, engraved=engraved)
        return not self.do("check_out", cart)

    @happens(
        "selling",
        6,
        lines=st.lists(st.tuples(WHICH, UNITS, FLAG), min_size=1, max_size=2),
        gateway=GATEWAY,
    )
    def buy(self, lines: list[tuple[int, int, bool]], gateway: str) -> None:
        if self.place(lines):
            self.do("pay", len(self.shop.orders) - 1, gateway, "purchase", None)

    @happens(
        "selling",
        2,
        likely=an_order_is(is_amendable),
        when=has_orders,
        which=WHICH,
        units=st.dictionaries(WHICH, st.integers(0, 6), max_size=2),
        added=st.dictionaries(WHICH, UNITS, max_size=2),
    )
    def amend(self, which: int, units: dict[int, int], added: dict[int, int]) -> None:
        number = self.an_order(which, is_amendable)
        lines = len(self.shop.orders[number].lines)
        wanted = {line % lines: n for line, n in units.items()}
        more = {self.a_product(product): n for product, n in added.items()}
        self.do("amend", number, wanted, more)

    # Money.

    @happens(
        "selling",
        10,
        likely=an_order_is(is_payable),
        when=has_orders,
        which=WHICH,
        gateway=GATEWAY,
        method=METHOD,
        share=SHARE,
        fate=CHARGED,
        silent=FLAG,
    )
    def pay(
        self, which: int, gateway: str, method: str, share: str, fate: Fate, silent: bool
    ) -> None:
        number = self.an_order(which, is_payable)
        amount = _share(self.shop.orders[number].payable, share)
        self.do("pay", number, gateway, method, amount, fate=fate, silent=silent)

    def a_payment(self, which: int, likely: Callable[[Any], object]) -> tuple[int, int]:
        """Choose a payment: mostly one with which something can be done."""
        every = [
            (number, place)
            for number, order in enumerate(self.shop.orders)
            for place in range(len(order.payments))
        ]
        chosen = [
            (number, place)
            for number, place in every
            if likely(self.shop.orders[number].payments[place])
        ]
        return self.one(chosen if chosen and which % 8 < 7 else every, which // 8)

    @happens(
        "money",
        4,
        when=lambda self: any(p.there == "acting" for o in self.shop.orders for p in o.payments),
        which=WHICH,
        pays=FLAG,
    )
    def buyer_acts(self, which: int, pays: bool) -> None:
        acting = [
            (number, place)
            for number, order in enumerate(self.shop.orders)
            for place, payment in enumerate(order.payments)
            if payment.there == "acting"
        ]
        self.do("buyer_acts", *self.one(acting, which), pays=pays)

    @happens("money", 2, likely=a_payment_is(is_open), when=has_payments, which=WHICH, silent=FLAG)
    def confirm(self, which: int, silent: bool) -> None:
        self.do("confirm", *self.a_payment(which, is_open), silent=silent)

    @happens(
        "money",
        8,
        likely=a_payment_is(is_authorized),
        when=has_payments,
        which=WHICH,
        share=SHARE,
        fate=PERFORMED,
    )
    def capture(self, which: int, share: str, fate: Fate) -> None:
        number, place = self.a_payment(which, is_authorized)
        amount = _share(self.shop.orders[number].payments[place].amount, share)
        self.do("capture", number, place, amount, fate=fate)

    @happens(
        "money",
        3,
        likely=a_payment_is(is_voidable),
        when=has_payments,
        which=WHICH,
        fate=PERFORMED,
        silent=FLAG,
    )
    def void(self, which: int, fate: Fate, silent: bool) -> None:
        chosen = self.a_payment(which, is_voidable)
        self.do("void", *chosen, fate=fate, silent=silent)

    @happens(
        "money",
        4,
        likely=a_payment_is(is_refundable),
        when=has_payments,
        which=WHICH,
        share=SHARE,
        fate=PERFORMED,
    )
    def refund(self, which: int, share: str, fate: Fate) -> None:
        number, place = self.a_payment(which, is_refundable)
        amount = _share(self.shop.orders[number].payments[place].refundable, share)
        self.do("refund", number, place, amount, fate=fate)

    @happens(
        "money", 4, likely=a_payment_is(is_open), when=has_payments, which=WHICH, succeeded=FLAG
    )
    def settle_by_hand(self, which: int, succeeded: bool) -> None:
        chosen = self.a_payment(which, is_open)
        self.do("settle_by_hand", *chosen, succeeded=succeeded)

    @happens(
        "money", 3, likely=a_payment_is(is_doubtful), when=has_payments, which=WHICH, silent=FLAG
    )
    def check_now(self, which: int, silent: bool) -> None:
        chosen = self.a_payment(which, is_doubtful)
        self.do("check_now", *chosen, silent=silent)

    @happens(
        "money",
        4,
        when=an_order_is(is_payable),
        which=WHICH,
        meanwhile=st.sampled_from(["cancel", "pay", "nothing"]),
    )
    def money_comes_late(self, which: int, meanwhile: str) -> None:
        """Somebody says that a silent payment has failed; and then it had been charged."""
        number = self.an_order(which, is_payable)
        silent = Fate("yes", "silent")
        if not self.do("pay", number, "bank", "purchase", None, fate=silent):
            place = len(self.shop.orders[number].payments) - 1
            self.do("settle_by_hand", number, place, succeeded=False)
            if meanwhile == "cancel":
                self.do("cancel", number, restock=True)
            elif meanwhile == "pay":
                self.do("pay", number, "manual", "purchase", None)
            self.do("check_now", number, place)

    @happens("money", 3, when=an_order_is(is_payable), which=WHICH, heard=FLAG)
    def a_process_dies(self, which: int, heard: bool) -> None:
        """Recovery leaves a payment alone for as long as somebody may be waiting for it."""
        number = self.an_order(which, is_payable)
        fate = Fate("yes", "dies" if heard else "dies unheard")
        self.do("pay", number, "bank", "purchase", None, fate=fate)
        self.do("recover")

    # What becomes of units.

    @happens(
        "goods",
        3,
        likely=an_order_is(is_cancellable),
        when=has_orders,
        which=WHICH,
        restock=FLAG,
        fate=PERFORMED,
        silent=FLAG,
    )
    def cancel(self, which: int, restock: bool, fate: Fate, silent: bool) -> None:
        number = self.an_order(which, is_cancellable)
        if sum(bool(p.authorized) for p in self.shop.orders[number].payments) > 1:
            # Which of them is asked for first is not said.
            fate = Fate(fate.there, "told")
        self.do("cancel", number, restock=restock, fate=fate, silent=silent)

    def some_units(
        self, number: int, shares: list[int], of: Callable[[Any], int]
    ) -> dict[int, int]:
        """Choose units of an order's lines: not more than there are, unless that is drawn."""
        lines = self.shop.orders[number].lines
        chosen = {}
        for place, share in enumerate(shares[: len(lines)]):
            units = share if share == TOO_MANY else min(share, of(lines[place]))
            if units:
                chosen[place] = units
        return chosen

    @happens(
        "goods",
        8,
        likely=an_order_is(is_shippable),
        when=has_orders,
        which=WHICH,
        shares=SHARES,
        all_of_it=FLAG,
    )
    def ship(self, which: int, shares: list[int], all_of_it: bool) -> None:
        number = self.an_order(which, is_shippable)
        units = None if all_of_it else self.some_units(number, shares, lambda line: line.left)
        self.do("ship", number, units)

    @happens(
        "goods",
        5,
        likely=an_order_is(has_parcels_away),
        when=has_parcels,
        which=WHICH,
        whereabouts=st.sampled_from(["", "shelf", "back"]),
    )
    def undo_a_parcel(self, which: int, whereabouts: str) -> None:
        sent = [
            (number, place)
            for number, order in enumerate(self.shop.orders)
            for place in range(len(order.parcels))
        ]
        self.do("undo_parcel", *self.one(sent, which), whereabouts)

    @happens(
        "goods",
        4,
        likely=an_order_is(is_partly_cancellable),
        when=has_orders,
        which=WHICH,
        shares=SHARES,
        all_of_it=FLAG,
        restock=FLAG,
        amount=REFUNDED,
        fate=PERFORMED,
    )
    def cancel_units(
        self,
        which: int,
        shares: list[int],
        all_of_it: bool,
        restock: bool,
        amount: int,
        fate: Fate,
    ) -> None:
        number = self.an_order(which, is_partly_cancellable)
        if all_of_it:
            self.do("cancel_units", number, None, restock=restock)
            return
        units = self.some_units(number, shares, lambda line: line.left)
        self.do("cancel_units", number, units, restock=restock, amount=amount, fate=fate)

    def taken_back(
        self, number: int, shares: list[int], became: list[str]
    ) -> list[tuple[int, int, str]]:
        units = self.some_units(number, shares, lambda line: line.shipped - line.returned)
        return [(line, n, became[line % len(became)]) for line, n in units.items()]

    @happens(
        "goods",
        6,
        likely=an_order_is(has_parcels_away),
        when=has_parcels,
        which=WHICH,
        shares=SHARES,
        became=BECAME,
        amount=REFUNDED,
        fate=PERFORMED,
    )
    def take_back(
        self, which: int, shares: list[int], became: list[str], amount: int, fate: Fate
    ) -> None:
        number = self.an_order(which, has_parcels_away)
        lines = self.taken_back(number, shares, became)
        self.do("take_back", number, lines, amount, fate=fate)

    @happens(
        "goods",
        2,
        likely=an_order_is(has_parcels_away),
        when=has_parcels,
        which=WHICH,
        shares=SHARES,
        became=BECAME,
        share=SHARE,
        fate=PERFORMED,
    )
    def refund_what_came_back(
        self, which: int, shares: list[int], became: list[str], share: str, fate: Fate
    ) -> None:
        number = self.an_order(which, has_parcels_away)
        lines = self.taken_back(number, shares, became)
        payments = self.shop.orders[number].payments
        if lines and payments:
            place = which % len(payments)
            amount = _share(payments[place].refundable, share)
            self.do("refund", number, place, amount, lines, fate=fate)

    @happens(
        "goods",
        8,
        when=lambda self: any(order.inspected for order in self.shop.orders),
        which=WHICH,
        units=UNITS,
        restock=FLAG,
    )
    def inspect(self, which: int, units: int, restock: bool) -> None:
        waiting = [
            (number, place)
            for number, order in enumerate(self.shop.orders)
            for place in range(len(order.inspected))
        ]
        self.do("settle_inspected", *self.one(waiting, which), units, restock=restock)

    # Stock by hand.

    @happens(
        "stock",
        7,
        which=WHICH,
        action=st.sampled_from(["allocate", "deallocate", "increment", "decrement"]),
        units=st.integers(1, 3),
    )
    def record(self, which: int, action: str, units: int) -> None:
        def has_units(shelf: Shelf) -> bool:
            least = {"increment": units, "deallocate": shelf.held}.get(action, shelf.available)
            return shelf.managed and least >= units

        self.do("record", self.a_product(which, has_units), action, units)

    def a_moment(self, ago: int) -> int:
        return max(self.shop.now - ago, -5)

    @happens("stock", 8, which=WHICH, off=st.integers(-3, 3), ago=st.none() | st.integers(0, 25))
    def count(self, which: int, off: int, ago: int | None) -> None:
        """Count what the books say, or nearly; now, or of a moment before."""
        product = self.a_product(which, is_managed)
        moment = None if ago is None else self.a_moment(ago)
        then = self.shop.shelves[product].total_at(self.shop.now if ago is None else moment or 0)
        self.do("count", product, max(then + off, 0), moment)

    @happens(
        "stock",
        5,
        when=lambda self: an_order_is(has_parcels_away)(self),
        which=WHICH,
        off=st.sampled_from([1, 2, 0, -1]),
    )
    def count_while_a_parcel_is_away(self, which: int, off: int) -> None:
        """Whatever it finds, somebody may yet say that the parcel came back."""
        sent = [
            product
            for order in self.shop.orders
            for parcel in order.parcels
            if not parcel.undone
            for product in parcel.entries
        ]
        if sent:
            product = self.one(sent, which)
            self.do("count", product, max(self.shop.shelves[product].total + off, 0), None)

    @happens("stock", 3, which=WHICH, earlier=st.sampled_from([0, 0, 0, 1]))
    def undo(self, which: int, earlier: int) -> None:
        product = self.a_product(which, is_managed)
        self.do("undo", product, len(self.shop.shelves[product].log) - earlier)

    @happens(
        "products",
        2,
        likely=lambda self: not all(is_managed(shelf) for shelf in self.shop.shelves),
        which=WHICH,
        units=st.integers(0, 5),
    )
    def start_managing(self, which: int, units: int) -> None:
        self.do("start_managing", self.a_product(which, lambda shelf: not shelf.managed), units)

    @happens("products", 2, which=WHICH)
    def stop_managing(self, which: int) -> None:
        self.do("stop_managing", self.a_product(which, lambda shelf: not shelf.allocated))

    @happens("products", 2, which=WHICH)
    def archive(self, which: int) -> None:
        self.do("archive", self.a_product(which, lambda shelf: not shelf.allocated))

    @happens(
        "products",
        5,
        when=lambda self: any(shelf.archived for shelf in self.shop.shelves),
        which=WHICH,
        units=st.integers(0, 5),
    )
    def bring_back(self, which: int, units: int) -> None:
        """An archived product comes back as a draft, and is published and counted then."""
        products = [n for n, shelf in enumerate(self.shop.shelves) if shelf.archived]
        product = self.one(products, which)
        self.do("restore", product)
        self.do("change_product", product, self.shop.shelves[product].price, live=True)
        self.do("start_managing", product, units)

    @happens("products", 2, which=WHICH, price=PRICES, live=st.sampled_from([True, True, False]))
    def change_product(self, which: int, price: int, live: bool) -> None:
        self.do("change_product", self.a_product(which), price, live=live)

    # Sheets.

    @happens(
        "files",
        3,
        lines=st.dictionaries(WHICH, st.integers(-3, 5), min_size=1, max_size=3),
        ago=st.none() | st.lists(st.integers(0, 25), min_size=3, max_size=3),
    )
    def upload(self, lines: dict[int, int], ago: list[int] | None) -> None:
        """Upload changes; or counts of some moments, nearly as the books have them."""
        by_product = {self.a_product(which, is_managed): units for which, units in lines.items()}
        if ago is None:
            self.do("upload", list(by_product.items()), None)
            return
        moments = [self.a_moment(each) for each in ago[: len(by_product)]]
        counts = [
            (product, max(self.shop.shelves[product].total_at(moment) + off, 0))
            for (product, off), moment in zip(by_product.items(), moments, strict=True)
        ]
        self.do("upload", counts, moments)

    @happens("files", 5, when=lambda self: self.shop.sheets, which=WHICH)
    def apply(self, which: int) -> None:
        self.do("apply", which % len(self.shop.sheets))

    @happens("files", 4, when=lambda self: self.shop.sheets, which=WHICH)
    def revert(self, which: int) -> None:
        self.do("revert", which % len(self.shop.sheets))

    @happens("files", 1, prices=st.dictionaries(WHICH, PRICES, min_size=1, max_size=3))
    def upload_prices(self, prices: dict[int, int]) -> None:
        self.do("upload_prices", {self.a_product(which): p for which, p in prices.items()})

    @happens("files", 2, when=lambda self: self.shop.price_sheets, which=WHICH)
    def apply_prices(self, which: int) -> None:
        self.do("apply_prices", which % len(self.shop.price_sheets))

    @happens("files", 2, when=lambda self: self.shop.price_sheets, which=WHICH)
    def revert_prices(self, which: int) -> None:
        self.do("revert_prices", which % len(self.shop.price_sheets))

    # Time.

    @happens(
        "time",
        6,
        likely=a_payment_is(is_open),
        when=has_payments,
        passes=st.sampled_from([0, MINUTE, 40 * MINUTE]),
        silent=FLAG,
    )
    def recover(self, passes: int, silent: bool) -> None:
        self.shop.now += passes
        self.do("recover", silent=silent)

    @happens("time", 1, when=has_orders, days=st.sampled_from([4, 8, 15]))
    def days_pass(self, days: int) -> None:
        self.shop.now += days * DAY
        self.do("recover")
        self.do("let_lapsed_go")
        self.do("expire")


def _share(of: int, share: str) -> int | None:
    return {"whole": None, "half": of // 2, "all": of, "none": 0, "more": of + 1}[share]


class ServicesMachine(Machine):
    @rule(data=st.data())
    def something_happens(self, data: st.DataObject) -> None:
        self.let_something_happen(data)
