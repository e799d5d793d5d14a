"""How the demo's story is told: as events first, which are then replayed in the order of time."""

import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from random import Random

from api import clock
from api.actors import Actor
from api.ids import uuid7_of
from api.models import UNPAID_ORDER_EXPIRY_HOURS
from demo.catalogue import PRODUCTS
from demo.people import BACK_OFFICE, JONAS, MARIA, STOREFRONT, Customer
from inventory.models import Action
from inventory.services import stock as inventory
from orders.models import Order
from orders.services import carts, orders, shipments
from payments.errors import PaymentDeclined
from payments.models import Payment
from payments.services import gateway_calls, payments
from payments.services.payments import PaymentRequest

CURRENCY = "USD"
SEED = 4711

Lines = Mapping[str, int]


@dataclass(frozen=True)
class StoryEvent:
    at: datetime
    do: Callable[[], object]
    # How the event changes the available units, by sku: deliveries are sized by it.
    change: Lines = field(default_factory=dict)


class Story:
    """Events, added in any order."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.random = Random(SEED)  # noqa: S311 - it tells a story and keeps no secret
        self.events: list[StoryEvent] = []

    def at(self, days_ago: int, hour: int, minute: int = 0) -> datetime:
        """Return a time of an earlier day, so that it has passed whatever the time is now."""
        assert days_ago > 0
        midnight = self.now.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight - timedelta(days=days_ago) + timedelta(hours=hour, minutes=minute)

    def ago(self, **duration: float) -> datetime:
        return self.now - timedelta(**duration)

    def some_time(self, days_ago: int, from_hour: int, to_hour: int) -> datetime:
        seconds = self.random.randrange((to_hour - from_hour) * 3600)
        return self.at(days_ago, from_hour) + timedelta(seconds=seconds)

    def new_id(self, at: datetime) -> uuid.UUID:
        """Make a version 7 id of that moment, from the story's own dice."""
        dice = self.random.getrandbits
        return uuid7_of(int(at.timestamp() * 1000), dice(12), dice(62))

    def happens(self, at: datetime, do: Callable[[], object], change: Lines | None = None) -> None:
        assert at <= self.now
        self.events.append(StoryEvent(at, do, change or {}))

    def by_hand(
        self,
        at: datetime,
        actor: Actor,
        action: Action,
        quantity: int,
        sku: str,
        reason: str,
    ) -> None:
        more = action in {Action.INCREMENT, Action.DEALLOCATE}
        do = partial(
            inventory.record, PRODUCTS[sku].id, action, quantity, actor=actor, reason=reason
        )
        self.happens(at, do, {sku: quantity if more else -quantity})

    def in_order_of_time(self) -> list[StoryEvent]:
        return sorted(self.events, key=lambda event: event.at)

    def replay(self) -> None:
        """Let every event happen at its time, in order, so that the clock never runs backwards."""
        time = self.now
        with clock.replaced(lambda: time), gateway_calls.waiting_at_most(0):
            for event in self.in_order_of_time():
                time = event.at
                event.do()


class Purchase:
    """One customer's cart, its order, and what became of it."""

    def __init__(self, story: Story, customer: Customer, lines: Lines, at: datetime) -> None:
        """Fill a cart; `at` is when its last line went in."""
        self.story, self.customer, self.lines, self.at = story, customer, lines, at
        self.cart_id = str(uuid.UUID(int=story.random.getrandbits(128), version=4))
        self.order_id = story.new_id(at)
        self.holds_units = False
        for position, (sku, quantity) in enumerate(reversed(list(lines.items()))):
            add = partial(
                carts.add_item,
                self.cart_id,
                product_id=PRODUCTS[sku].id,
                quantity=quantity,
                currency=CURRENCY,
            )
            story.happens(at - timedelta(seconds=41 * position), add)

    @property
    def total(self) -> int:
        return sum(PRODUCTS[sku].family.price * units for sku, units in self.lines.items())

    def ordered(self) -> "Purchase":
        self._later(seconds=25)
        do = partial(orders.checkout, self.cart_id, self.customer.buyer, order_id=self.order_id)
        self.story.happens(self.at, do)
        return self

    def paid(
        self, request: PaymentRequest | None = None, *, at: datetime | None = None
    ) -> uuid.UUID:
        self._later(at, seconds=20)
        payment_id = self.story.new_id(self.at)
        self._takes_units(self._pay(request or by_card(), payment_id))
        return payment_id

    def authorized(self) -> uuid.UUID:
        return self.paid(by_card(method=Payment.Method.AUTHORIZE))

    def declined(self) -> None:
        """Have the payment declined: the units are taken for a moment and given back."""
        self._later(seconds=20)
        pay = self._pay(by_card(token="decline"), self.story.new_id(self.at))  # noqa: S106
        self.story.happens(self.at, partial(_expecting_a_decline, pay))

    def captured(self, payment_id: uuid.UUID, at: datetime) -> None:
        self._later(at)
        do = partial(payments.capture, self.order_id, payment_id, actor=BACK_OFFICE)
        self.story.happens(at, do)

    def voided(self, payment_id: uuid.UUID, at: datetime, reason: str) -> None:
        self._later(at)
        do = partial(payments.void, self.order_id, payment_id, actor=MARIA, reason=reason)
        self._gives_back_units(do)

    def shipped(self, at: datetime) -> None:
        self._later(at)
        assert self.holds_units
        self.story.happens(at, partial(shipments.ship, self.order_id, actor=JONAS))

    def cancelled(self, at: datetime) -> None:
        self._later(at)
        self._gives_back_units(partial(payments.cancel, self.order_id, actor=MARIA))

    def expired(self) -> None:
        """Have the worker cancel the order, for which nobody has paid for as long as is allowed."""
        assert not self.holds_units
        self._later(self.at + timedelta(hours=UNPAID_ORDER_EXPIRY_HOURS, minutes=7))
        do = partial(payments.expire, self.order_id, while_payment=Order.Payment.UNPAID)
        self.story.happens(self.at, do)

    def refunded(
        self, payment_id: uuid.UUID, amount: int | None, at: datetime, reason: str
    ) -> None:
        """Refund through the gateway or, without an amount, only mark as refunded."""
        self._later(at)
        do = partial(payments.refund, self.order_id, payment_id, amount, actor=MARIA, reason=reason)
        self.story.happens(at, do)

    def _later(self, at: datetime | None = None, *, seconds: int = 0) -> None:
        at = at or self.at + timedelta(seconds=seconds)
        assert at >= self.at
        self.at = at

    def _pay(self, request: PaymentRequest, payment_id: uuid.UUID) -> Callable[[], object]:
        actor = MARIA if request.gateway == "manual" else STOREFRONT
        return partial(payments.pay, self.order_id, request, actor=actor, payment_id=payment_id)

    def _takes_units(self, do: Callable[[], object]) -> None:
        change = {} if self.holds_units else {sku: -units for sku, units in self.lines.items()}
        self.holds_units = True
        self.story.happens(self.at, do, change)

    def _gives_back_units(self, do: Callable[[], object]) -> None:
        change = self.lines if self.holds_units else {}
        self.holds_units = False
        self.story.happens(self.at, do, change)


def by_card(
    amount: int | None = None,
    *,
    method: Payment.Method = Payment.Method.PURCHASE,
    token: str = "ok",  # noqa: S107 - it tells the test gateway what to do
) -> PaymentRequest:
    return PaymentRequest("test", method, amount, token)


def by_hand(reference: str, amount: int | None = None) -> PaymentRequest:
    """Make the request by which Maria records money that came in cash or by bank transfer."""
    return PaymentRequest("manual", amount=amount, custom_reference=reference)


def _expecting_a_decline(pay: Callable[[], object]) -> None:
    with suppress(PaymentDeclined):
        pay()
        raise AssertionError("the payment went through")
