"""Whether our books of the money agree with the gateways' own."""

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
    """A difference between the books, in words, and the charge by the gateway's name for it."""

    gateway: str
    reference: str
    what: str

    def __str__(self) -> str:
        return f"{self.gateway} {self.reference}: {self.what}"


def differences(since: datetime) -> list[ChargeDifference]:
    """Compare every charge made since with the payments on record, in every gateway with books.

    Payments and attempts that are still open may differ: settle them first.
    """
    return [
        difference
        for slug, adapter in gateways.adapters().items()
        if adapter.keeps_books
        for difference in _compared(slug, list(adapter.booked_since(since)), since)
    ]


def marked_only(since: datetime) -> list[ChargeDifference]:
    """Return what has been marked as refunded since, and no gateway was asked to send.

    It is no difference: the money went back elsewhere, or so somebody said.
    """
    refunds = Attempt.objects.filter(
        kind=Attempt.Kind.REFUND,
        status=Attempt.Status.SUCCEEDED,
        reference="",
        created_at__gte=since,
    ).exclude(payment__gateway__in=gateways.ASKING_NOBODY)
    return [
        ChargeDifference(
            refund.payment.gateway,
            refund.payment.reference,
            f"{_money(refund.amount, refund.payment.currency)} were marked as refunded by "
            f"{refund.actor_name} and never sent, payment {refund.payment_id}",
        )
        for refund in refunds.select_related("payment").order_by("created_at")
    ]


def without_books() -> list[str]:
    """Return the gateways with which there is nothing to compare."""
    return [slug for slug, adapter in gateways.adapters().items() if not adapter.keeps_books]


def _compared(gateway: str, booked: list[Booked], since: datetime) -> Iterator[ChargeDifference]:
    charges = {charge.reference: charge for charge in booked}
    payments = Payment.objects.filter(gateway=gateway).exclude(reference="")
    payments_by_reference = {
        payment.reference: payment for payment in payments.filter(reference__in=charges)
    }
    sent_back = _sent_back(payments_by_reference)
    for reference, charge in charges.items():
        for text in _what_differs(charge, payments_by_reference.get(reference), sent_back):
            yield ChargeDifference(gateway, reference, text)
    for payment in payments.filter(created_at__gte=since).exclude(reference__in=charges):
        if payment.captured_amount or payment.authorized_amount:
            yield ChargeDifference(gateway, payment.reference, "the gateway has no such charge")


def _what_differs(
    charge: Booked, payment: Payment | None, sent_back: dict[uuid.UUID, int]
) -> Iterator[str]:
    if payment is None:
        if charge.authorized or charge.captured > charge.refunded:
            balance = charge.authorized + charge.captured - charge.refunded
            yield f"{_money(balance, charge.currency)} are held of a payment that we do not know"
        return
    for what, theirs, ours in (
        ("authorized", charge.authorized, payment.authorized_amount),
        ("captured", charge.captured, payment.captured_amount),
        ("refunded", charge.refunded, sent_back.get(payment.pk, 0)),
    ):
        if theirs != ours or (theirs and charge.currency != payment.currency):
            there, here = _money(theirs, charge.currency), _money(ours, payment.currency)
            yield f"{there} {what} there, {here} here, payment {payment.pk} ({payment.status})"


def _sent_back(payments_by_reference: dict[str, Payment]) -> dict[uuid.UUID, int]:
    """Sum what the gateway itself sent back: a refund that was only marked has no name there."""
    refunds = Attempt.objects.filter(
        payment__in=payments_by_reference.values(),
        kind=Attempt.Kind.REFUND,
        status=Attempt.Status.SUCCEEDED,
    ).exclude(reference="")
    sums = refunds.values_list("payment_id").annotate(Sum("amount"))
    return dict(sums)


def _money(amount: int, currency: str) -> str:
    """Format an amount; in its smallest unit if the store does not have the currency."""
    by_code = currencies.by_code()
    return by_code[currency].formatted(amount) if currency in by_code else f"{amount} {currency}"
