"""Do our books of the money agree with the gateways' own?"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Sum

from inventory.services import currencies
from payments import gateways
from payments.gateways.base import Booked
from payments.models import Attempt, Payment


@dataclass(frozen=True)
class ChargeDifference:
    """What does not agree, in words, and the charge by the gateway's name for it."""

    gateway: str
    reference: str
    what: str

    def __str__(self) -> str:
        return f"{self.gateway} {self.reference}: {self.what}"


def differences(since: datetime) -> list[ChargeDifference]:
    """Compare every charge made since with the payments on record, in every gateway with books.

    What is still open differs as long as it is: settle it first.
    """
    return [
        difference
        for slug, adapter in gateways.adapters().items()
        for difference in _compared(slug, list(adapter.booked_since(since)), since)
    ]


def _compared(gateway: str, booked: list[Booked], since: datetime) -> Iterator[ChargeDifference]:
    by_reference = {charge.reference: charge for charge in booked}
    ours = Payment.objects.filter(gateway=gateway).exclude(reference="")
    known = {payment.reference: payment for payment in ours.filter(reference__in=by_reference)}
    sent_back = _sent_back(known)
    for reference, charge in by_reference.items():
        for what in _what_differs(charge, known.get(reference), sent_back):
            yield ChargeDifference(gateway, reference, what)
    for payment in ours.filter(created_at__gte=since).exclude(reference__in=by_reference):
        if payment.captured_amount or payment.authorized_amount:
            yield ChargeDifference(gateway, payment.reference, "the gateway has no such charge")


def _what_differs(
    charge: Booked, payment: Payment | None, sent_back: dict[uuid.UUID, int]
) -> Iterator[str]:
    if payment is None:
        if charge.authorized or charge.captured > charge.refunded:
            kept = charge.authorized + charge.captured - charge.refunded
            yield f"{_money(kept, charge.currency)} are held of a payment that we do not know"
        return
    for what, theirs, ours in (
        ("authorized", charge.authorized, payment.authorized_amount),
        ("captured", charge.captured, payment.captured_amount),
        ("refunded", charge.refunded, sent_back.get(payment.pk, 0)),
    ):
        if theirs != ours or (theirs and charge.currency != payment.currency):
            said, known = _money(theirs, charge.currency), _money(ours, payment.currency)
            yield f"{said} {what} there, {known} here, payment {payment.pk} ({payment.status})"


def _sent_back(known: dict[str, Payment]) -> dict[uuid.UUID, int]:
    """Sum what the gateway itself sent back: a refund that was only marked has no name there."""
    refunds = Attempt.objects.filter(
        payment__in=known.values(), kind=Attempt.Kind.REFUND, status=Attempt.Status.SUCCEEDED
    ).exclude(reference="")
    sums = refunds.values_list("payment_id").annotate(Sum("amount"))
    return dict(sums)


def _money(amount: int, currency: str) -> str:
    """Write an amount; of a currency that the store does not have, in its smallest unit."""
    known = currencies.by_code()
    return known[currency].formatted(amount) if currency in known else f"{amount} {currency}"
