"""Whether our books of the money agree with the gateways' own, and what to do where they do not."""

import uuid
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from django.conf import settings
from django.db.models import Sum

from api import clock
from inventory.services import currencies
from orders.models import Order
from payments import gateways
from payments.gateways import deadline
from payments.gateways.base import Booked
from payments.models import Attempt, Payment
from payments.services import installation, payments

_AT_ONCE = 200
# A gateway's clock is another one: it is asked about so much more.
_CLOCKS = timedelta(hours=1)
Tell = Callable[[str, int], None]


class Kind(Enum):
    """What a difference is, and what to do about it."""

    ORDER_GONE = (
        "money of orders that are not here",
        "A restored backup does not have them. Make the order anew for this buyer, and record the "
        "money on it by hand with the charge's name as reference; or refund it at the gateway.",
    )
    PAYMENT_GONE = (
        "money of orders that are here, by payments that are not",
        "Record it on the order by hand, with the charge's name as reference; if the order is "
        "cancelled or paid otherwise, refund it at the gateway.",
    )
    UNNAMED = (
        "payments that are here without the gateway's name for them",
        "The gateway's answer was lost, as in a restored backup. While it is pending, settle it by "
        "hand as succeeded, with the charge's name as reference, or let `open_gateways` note the "
        "name. If it has failed here, record the money on the order by hand, or refund it there.",
    )
    TWICE = (
        "payments that hold money under a second name",
        "The buyer has paid twice: refund the charge that is named here at the gateway.",
    )
    OPEN = (
        "payments that are still open here",
        "The worker asks about them every minute: compare again then. One that stays is settled by "
        "hand on the order's page.",
    )
    REFUNDED_THERE = (
        "money that went back there and not here",
        "Somebody refunded it at the gateway: press Check now on the order's page, and it counts.",
    )
    REFUNDED_HERE = (
        "refunds that count here and not there",
        "The buyer does not have the money: press Check now on the order's page. A refund that "
        "came back can be sent again.",
    )
    AMOUNT = (
        "other amounts, or another currency",
        "Press Check now on the order's page. If they still differ, believe the gateway: refund "
        "what is too much there, and note on the order what is missing.",
    )
    NOT_THERE = (
        "charges that the gateway does not have",
        "Make sure that the keys are those of the account that was charged. Then nobody has this "
        "money: do not ship, and ask the buyer to pay anew.",
    )
    ELSEWHERE = (
        "money that nobody charged from here",
        "Somebody charged it in the gateway's dashboard, or sells through the same account. If it "
        "is for an order here, record it there by hand with the charge's name as reference.",
    )

    def __init__(self, title: str, advice: str) -> None:
        self.title = title
        self.advice = advice


@dataclass(frozen=True)
class ChargeDifference:
    """A difference between the books, in words, and the charge by the gateway's name for it."""

    gateway: str
    reference: str
    what: str
    kind: Kind
    # By how much: what is there beyond what is here.
    amount: int = 0
    currency: str = ""
    charge: Booked | None = None
    payment: Payment | None = None
    order: Order | None = None

    def __str__(self) -> str:
        return f"{self.gateway} {self.reference}: {self.what}"

    @property
    def known(self) -> Mapping[str, str]:
        """Everything that both sides can tell of it, by what it is; nothing that is not known."""
        charge, payment, order = self.charge, self.payment, self.order
        made_at = charge.made_at if charge else None
        known = {
            "order": str(order.pk) if order else charge.order_id if charge else "",
            "order number": str(order.number) if order else "",
            "order here": f"{order.payment}, {order.shipping}" if order else "",
            "payment": str(payment.pk) if payment else charge.payment_id if charge else "",
            "payment here": payment.status if payment else "",
            "made there": made_at.isoformat(" ", "seconds") if made_at else "",
            "status there": charge.status if charge else "",
            "buyer here": order.customer_email if order else "",
            "buyer there": charge.buyer if charge else "",
        }
        return {name: text for name, text in known.items() if text}


@dataclass
class Comparison:
    """Differences, one after the other; how much was compared is known when they are through."""

    since: datetime
    tell: Tell | None = None
    # How many charges each gateway told of.
    charges: dict[str, int] = field(default_factory=dict)
    # How many of them are another installation's, of the same account.
    of_others: int = 0
    # How many differences are passed over, because their payments changed since the gateway was
    # asked: a shop sells, captures and refunds meanwhile.
    of_changing: int = 0

    def differences(self) -> Iterator[ChargeDifference]:
        """Raises: NotCompared."""
        for slug, read in self._books():
            yield from self._compared(slug, read)

    def charges_made(self) -> Iterator[tuple[str, Booked]]:
        """Yield each charge with its gateway. Raises: NotCompared."""
        for slug, read in self._books():
            yield from ((slug, charge) for charge in read)

    def _books(self) -> Iterator[tuple[str, Iterator[Booked]]]:
        if why := installation.remembered().why_foreign():
            raise NotCompared(f"{why[0].upper()}{why[1:]}: it knows nothing of them.")
        for slug, adapter in gateways.adapters().items():
            if adapter.keeps_books:
                with deadline.at_most(settings.GATEWAY_WORKER_TIMEOUT_SECONDS):
                    yield slug, self._read(slug, adapter.booked_since(self.since - _CLOCKS))

    def _compared(self, gateway: str, read: Iterator[Booked]) -> Iterator[ChargeDifference]:
        seen: set[str] = set()
        asked_at = clock.now()

        def settled(found: Iterable[ChargeDifference]) -> Iterator[ChargeDifference]:
            for each in found:
                if each.payment and each.payment.updated_at >= asked_at:
                    self.of_changing += 1
                else:
                    yield each

        for charges in _batches(read):
            seen.update(charge.reference for charge in charges)
            yield from settled(self._of(gateway, charges))
        yield from settled(self._not_there(gateway, seen))

    def _not_there(self, gateway: str, seen: Container[str]) -> Iterator[ChargeDifference]:
        rows = Payment.objects.filter(gateway=gateway, created_at__gte=self.since)
        for payment in rows.exclude(reference="").select_related("order").iterator():
            holds = payment.captured_amount or payment.authorized_amount
            if holds and payment.reference not in seen:
                yield ChargeDifference(
                    gateway,
                    payment.reference,
                    "the gateway has no such charge",
                    Kind.NOT_THERE,
                    -holds,
                    payment.currency,
                    payment=payment,
                    order=payment.order,
                )

    def _read(self, gateway: str, booked: Iterable[Booked]) -> Iterator[Booked]:
        self.charges[gateway] = 0
        try:
            for charge in booked:
                self.charges[gateway] += 1
                if self.tell and self.charges[gateway] % _AT_ONCE == 0:
                    self.tell(gateway, self.charges[gateway])
                yield charge
        except Exception as error:
            raise NotCompared(
                f"{gateway} did not answer after {self.charges[gateway]} charges ({error}): what "
                "it was not asked about may differ, too."
            ) from error

    def _of(self, gateway: str, charges: Sequence[Booked]) -> Iterator[ChargeDifference]:
        found = _Found(gateway, charges)
        for charge in charges:
            if payment := found.by_reference.get(charge.reference):
                yield from _what_differs(charge, payment, found.sent_back.get(payment.pk, 0))
            elif by_hand := found.by_hand.get(charge.reference):
                yield from _what_differs_by_hand(charge, by_hand, gateway)
            elif not (charge.authorized or charge.captured > charge.refunded):
                continue
            else:
                yield from self._of_nobody(gateway, charge, found)

    def _of_nobody(
        self, gateway: str, charge: Booked, found: "_Found"
    ) -> Iterator[ChargeDifference]:
        payment = found.by_id.get(charge.payment_id)
        order = payment.order if payment else found.orders.get(charge.order_id)
        is_elsewhere = charge.shop and charge.shop != settings.HOLDFAST_INSTALLATION
        if order is None and is_elsewhere:
            self.of_others += 1
            return
        balance = charge.authorized + charge.captured - charge.refunded
        held = f"{money(balance, charge.currency)} are held of a payment that"
        if payment:
            kind = Kind.TWICE if payment.reference else Kind.UNNAMED
            name = payment.reference or "no name"
            what = f"{held} has {name} here, payment {payment.pk} ({payment.status})"
        else:
            what = f"{held} we do not know"
            kind = Kind.PAYMENT_GONE if order else Kind.ELSEWHERE
            # Others use the word, too, and for ids of another form.
            if _ids([charge.payment_id]) and not order:
                kind = Kind.ORDER_GONE
        yield ChargeDifference(
            *(gateway, charge.reference, what, kind, balance, charge.currency),
            charge=charge,
            payment=payment,
            order=order,
        )


class NotCompared(Exception):
    """Not all could be compared; says why."""


def _batches(read: Iterator[Booked]) -> Iterator[list[Booked]]:
    """Yield what was read, some hundred at once, also before it broke. Raises: NotCompared."""
    batch: list[Booked] = []
    broken = None
    try:
        for charge in read:
            batch.append(charge)
            if len(batch) == _AT_ONCE:
                yield batch
                batch = []
    except NotCompared as error:
        broken = error
    if batch:
        yield batch
    if broken:
        raise broken


def differences(since: datetime) -> list[ChargeDifference]:
    """Compare every charge made since with the payments on record, in every gateway with books.

    Payments and attempts that are still open may differ: settle them first. Raises: NotCompared.
    """
    return list(Comparison(since).differences())


def note_names() -> int:
    """Note the gateway's name of each pending payment that lost it, as a restored one has.

    Without it recovery would call it failed, though it may be charged by that name. Return how
    many. Raises: NotCompared.
    """
    pending = Payment.objects.filter(status=Payment.Status.PENDING, reference="")
    nameless = {str(each.pk): each for each in pending.exclude(gateway__in=gateways.ASKING_NOBODY)}
    if not nameless:
        return 0
    since = min(each.created_at for each in nameless.values())
    names: dict[str, str] = {}
    for gateway, charge in Comparison(since).charges_made():
        payment = nameless.get(charge.payment_id)
        if payment is None or payment.gateway != gateway:
            continue
        # Of two charges for one payment, at most one was confirmed.
        if charge.authorized or charge.captured or charge.payment_id not in names:
            names[charge.payment_id] = charge.reference
    for payment_id, name in names.items():
        payments.note_reference(nameless[payment_id], name)
    return len(names)


def marked_only(since: datetime) -> Iterator[str]:
    """Tell what has been marked as refunded since, and no gateway was asked to send.

    It is no difference: the money went back elsewhere, or so somebody said.
    """
    refunds = Attempt.objects.filter(
        kind=Attempt.Kind.REFUND,
        status=Attempt.Status.SUCCEEDED,
        reference="",
        created_at__gte=since,
    ).exclude(payment__gateway__in=gateways.ASKING_NOBODY)
    for refund in refunds.select_related("payment").order_by("created_at").iterator():
        yield (
            f"{refund.payment.gateway} {refund.payment.reference}: "
            f"{money(refund.amount, refund.payment.currency)} were marked as refunded by "
            f"{refund.actor_name} and never sent, payment {refund.payment_id}"
        )


def without_books() -> list[str]:
    """Return the gateways with which there is nothing to compare."""
    return [slug for slug, adapter in gateways.adapters().items() if not adapter.keeps_books]


class _Found:
    """What we have of some charges: payments and orders, by each way that leads to them."""

    def __init__(self, gateway: str, charges: Sequence[Booked]) -> None:
        names = [charge.reference for charge in charges]
        rows = Payment.objects.select_related("order")
        ours = rows.filter(gateway=gateway)
        self.by_reference = {each.reference: each for each in ours.filter(reference__in=names)}
        unknown = [charge for charge in charges if charge.reference not in self.by_reference]
        # Money that a person wrote down by the charge's name.
        self.by_hand: dict[str, list[Payment]] = {}
        for each in rows.filter(
            gateway__in=gateways.ASKING_NOBODY,
            custom_reference__in=[charge.reference for charge in unknown],
        ):
            self.by_hand.setdefault(each.custom_reference, []).append(each)
        ids = _ids(charge.payment_id for charge in unknown)
        self.by_id = {str(each.pk): each for each in ours.filter(pk__in=ids)}
        orders = Order.objects.filter(pk__in=_ids(charge.order_id for charge in unknown))
        self.orders = {str(each.pk): each for each in orders}
        self.sent_back = _sent_back(self.by_reference.values())


def _ids(texts: Iterable[str]) -> list[uuid.UUID]:
    """Read what a gateway was told as ids; what is none is somebody else's."""
    found = []
    for text in texts:
        try:
            found.append(uuid.UUID(text))
        except ValueError:
            continue
    return found


def _what_differs(charge: Booked, payment: Payment, sent_back: int) -> Iterator[ChargeDifference]:
    of_refunds = Kind.REFUNDED_THERE if charge.refunded > sent_back else Kind.REFUNDED_HERE
    for what, kind, theirs, ours in (
        ("authorized", Kind.AMOUNT, charge.authorized, payment.authorized_amount),
        ("captured", Kind.AMOUNT, charge.captured, payment.captured_amount),
        ("refunded", of_refunds, charge.refunded, sent_back),
    ):
        if theirs != ours or (theirs and charge.currency != payment.currency):
            there, here = money(theirs, charge.currency), money(ours, payment.currency)
            yield ChargeDifference(
                payment.gateway,
                charge.reference,
                f"{there} {what} there, {here} here, payment {payment.pk} ({payment.status})",
                Kind.OPEN if payment.is_pending else kind,
                theirs - ours,
                charge.currency,
                charge=charge,
                payment=payment,
                order=payment.order,
            )


def _what_differs_by_hand(
    charge: Booked, by_hand: Sequence[Payment], gateway: str
) -> Iterator[ChargeDifference]:
    """Compare what is held of a charge with what people wrote down by its name."""
    theirs = charge.authorized + charge.captured - charge.refunded
    ours = sum(payment.captured_amount - payment.refunded_amount for payment in by_hand)
    payment = by_hand[0]
    if theirs != ours or charge.currency != payment.currency:
        there, here = money(theirs, charge.currency), money(ours, payment.currency)
        yield ChargeDifference(
            gateway,
            charge.reference,
            f"{there} held there, {here} recorded by hand, payment {payment.pk}",
            Kind.AMOUNT,
            theirs - ours,
            charge.currency,
            charge=charge,
            payment=payment,
            order=payment.order,
        )


def _sent_back(of: Iterable[Payment]) -> dict[uuid.UUID, int]:
    """Sum what the gateway itself sent back: a refund that was only marked has no name there."""
    refunds = Attempt.objects.filter(
        payment__in=of,
        kind=Attempt.Kind.REFUND,
        status=Attempt.Status.SUCCEEDED,
    ).exclude(reference="")
    sums = refunds.values_list("payment_id").annotate(Sum("amount"))
    return dict(sums)


def money(amount: int, currency: str) -> str:
    """Format an amount; in its smallest unit if the store does not have the currency."""
    by_code = currencies.by_code()
    return by_code[currency].formatted(amount) if currency in by_code else f"{amount} {currency}"
