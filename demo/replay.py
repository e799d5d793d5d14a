"""How the demo's story is told: as events first, which are then replayed in the order of time."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import NamedTuple

from api import clock
from api.actors import Actor
from api.ids import uuid7_of
from api.models import UNPAID_ORDER_EXPIRY_HOURS
from demo.catalogue import PRODUCTS
from demo.parcels import NO_PARCEL, Parcel, parcel_to
from demo.people import BACK_OFFICE, JONAS, MARIA, STOREFRONT, Customer
from events.models import Outbox
from events.services import sequencing
from inventory.models import Action
from inventory.services import stock as inventory
from orders.models import Order, OrderItem, ReturnLine
from orders.services import cancelling, carts, desk, orders, returns, shipments
from orders.services.cart_lines import ProductWanted
from orders.services.returns import TakenBack
from payments.errors import PaymentDeclined
from payments.models import Payment
from payments.services import gateway_calls, payments
from payments.services.payments import PaymentRequest

CURRENCY = "USD"
SEED = 4711

Lines = Mapping[str, int]


class ComesBack(NamedTuple):
    """Units that a customer sends back, and what becomes of them."""

    sku: str
    units: int
    becomes: str


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
                if event.at.date() > time.date():
                    # It is told as it was at the end of each day, and not as all of it became.
                    sequencing.number_all()
                time = event.at
                event.do()
                # What PostgreSQL wrote down goes by its own clock.
                Outbox.objects.filter(occurred_at__gt=time).update(occurred_at=time)
        sequencing.number_all()


class Purchase:
    """One customer's cart, its order, and what became of it."""

    def __init__(
        self,
        story: Story,
        customer: Customer,
        lines: Lines,
        at: datetime,
        *,
        taken_by: Actor | None = None,
    ) -> None:
        """Fill a cart, or have somebody of the shop do so; `at` is when its last line went in."""
        self.story, self.customer, self.lines, self.at = story, customer, lines, at
        self.taken_by = taken_by
        cart_id = uuid.UUID(int=story.random.getrandbits(128), version=4)
        self.cart_id = f"desk-{cart_id.hex}" if taken_by else str(cart_id)
        self.order_id = story.new_id(at)
        self.holds_units = False
        for position, (sku, quantity) in enumerate(reversed(list(lines.items()))):
            story.happens(at - timedelta(seconds=41 * position), self._add(sku, quantity))

    def _add(self, sku: str, quantity: int) -> Callable[[], object]:
        wanted, add = ProductWanted(quantity, product_id=PRODUCTS[sku].id), carts.add_one
        if self.taken_by:
            assert desk.is_draft(self.cart_id)
            add = partial(desk.add, actor=self.taken_by)
        return partial(add, self.cart_id, wanted, currency=CURRENCY)

    @property
    def total(self) -> int:
        return sum(PRODUCTS[sku].family.price * units for sku, units in self.lines.items())

    def ordered(self) -> "Purchase":
        self._later(seconds=25)
        check_out: Callable[..., object] = orders.checkout
        if self.taken_by:
            check_out = partial(desk.check_out, actor=self.taken_by, note="By telephone")
        do = partial(check_out, self.cart_id, self.customer.buyer, order_id=self.order_id)
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

    def shipped(
        self, at: datetime, units: Lines | None = None, *, over_the_counter: bool = False
    ) -> None:
        """Have Jonas send what is left of the order, or these units of it."""
        self._later(at)
        assert self.holds_units
        to = self.customer.to or self.customer
        parcel = NO_PARCEL if over_the_counter else parcel_to(to.country, self.story.random)
        self.story.happens(at, partial(_ship, self.order_id, units, parcel))

    def cancelled_in_part(self, at: datetime, units: Lines, reason: str) -> None:
        """Have Maria cancel units that were not sent yet. All of them come from stock."""
        self._later(at)
        do = partial(_cancel_items, self.order_id, units, reason)
        self.story.happens(at, do, units)

    def taken_back(
        self,
        at: datetime,
        lines: Sequence[ComesBack],
        reason: str,
        *,
        refunds: uuid.UUID,
        amount: int,
    ) -> None:
        """Have Jonas take units back, and refund so much of this payment."""
        self._later(at)
        do = partial(_take_back, self.order_id, lines, reason, refunds, amount)
        again = {line.sku: line.units for line in lines if line.becomes == "restocked"}
        self.story.happens(at, do, again)

    def inspected(self, at: datetime, sku: str, becomes: str, reason: str) -> None:
        """Have Jonas look at the units that were set aside when they came back."""
        self._later(at)
        self.story.happens(at, partial(_settle, self.order_id, sku, becomes, reason))

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


def by_hand(
    reference: str, amount: int | None = None, *, takes_excess: bool = False
) -> PaymentRequest:
    """Make the request by which Maria records money that came in cash or by bank transfer."""
    return PaymentRequest(
        "manual", amount=amount, custom_reference=reference, takes_excess=takes_excess
    )


def _expecting_a_decline(pay: Callable[[], object]) -> None:
    with suppress(PaymentDeclined):
        pay()
        raise AssertionError("the payment went through")


# The units of an order, by the sku of their line.


def _ship(order_id: uuid.UUID, units: Lines | None, parcel: Parcel) -> None:
    of = None if units is None else {_item(order_id, sku): units[sku] for sku in units}
    shipments.ship(
        order_id, actor=JONAS, units=of, carrier=parcel.carrier, tracking=parcel.tracking
    )


def _cancel_items(order_id: uuid.UUID, units: Lines, reason: str) -> None:
    of = {_item(order_id, sku): quantity for sku, quantity in units.items()}
    cancelling.cancel_items(order_id, of, actor=MARIA, reason=reason)


def _take_back(
    order_id: uuid.UUID,
    lines: Sequence[ComesBack],
    reason: str,
    payment_id: uuid.UUID,
    amount: int,
) -> None:
    back = [TakenBack(_item(order_id, line.sku), line.units, line.becomes) for line in lines]
    payments.refund(order_id, payment_id, amount, actor=JONAS, reason=reason, taken_back=back)


def _settle(order_id: uuid.UUID, sku: str, becomes: str, reason: str) -> None:
    waiting = ReturnLine.objects.filter(disposition="inspection", settled_at=None)
    line = waiting.get(of_return__order=order_id, item__sku=sku)
    returns.settle_inspected(order_id, line.pk, becomes, actor=JONAS, reason=reason)


def _item(order_id: uuid.UUID, sku: str) -> uuid.UUID:
    return OrderItem.objects.values_list("pk", flat=True).get(order=order_id, sku=sku)
