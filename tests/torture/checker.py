"""Do orders, payments, stock, log, the gateway's book and the clients' memories agree?

Compared to the cent and the unit, once recovery has run; what does not agree is named.
"""

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import QuerySet

from inventory.models import StockTransaction
from orders.models import Order, Return, Shipment
from payments.models import Attempt, Payment
from payments.services import audit
from tests.torture.caller import Entry


def differences(book: Any, history: Iterable[Entry] = ()) -> list[str]:
    """Name all that does not agree. Nobody may be changing anything meanwhile."""
    return [
        *map(str, audit.differences()),
        *open_money(),
        *_units(),
        *_money_at_the_gateway(book),
        *_refunds_at_the_gateway(book),
        *_broken_words(list(history)),
    ]


def open_money() -> list[str]:
    """Name what recovery has not settled."""
    payments = Payment.objects.filter(status="pending")
    attempts = Attempt.objects.filter(status="pending")
    return [
        *[f"payment {payment.pk} is still pending" for payment in payments],
        *[f"{attempt.kind} {attempt.pk} is still pending" for attempt in attempts],
    ]


def _units() -> Iterator[str]:
    """An order holds exactly what is left of it while money stands for it, until it is shipped.

    The harness sells only products whose stock is managed.
    """
    for order in Order.objects.prefetch_related("items"):
        name = f"order {order.number} ({order.status}, {order.payment}, {order.shipping})"
        paid_for = bool(order.captured or order.authorized)
        holds = not order.is_cancelled and not order.is_shipped and paid_for
        if (order.allocated_at is not None) != holds:
            yield f"{name} {'holds no units' if holds else 'still holds units'}"
        for item in order.items.all():
            expected = item.left if holds else 0
            if item.allocated != expected:
                yield f"{name} holds {item.allocated} of {item.sku} instead of {expected}"
            if item.left and (order.is_shipped or order.is_cancelled):
                yield f"{name} has {item.left} of {item.sku} left"
            if (item.shipped or item.cancelled) and not (order.fully_paid_at or order.is_cancelled):
                yield f"{name} has units shipped or cancelled without having been paid"


def _money_at_the_gateway(book: Any) -> Iterator[str]:
    """Every charge belongs to a payment on record with the same amounts, and the reverse."""
    intents = book["intents"]
    payments = {str(payment.pk): payment for payment in Payment.objects.filter(gateway="stripe")}
    for payment_id in {intent["metadata"].get("payment_id") for intent in intents}:
        if payment_id not in payments:
            yield f"Stripe knows of a payment {payment_id} that is not on record"
    for intent in intents:
        payment = payments.get(intent["metadata"].get("payment_id", ""))
        if payment is None:
            continue
        is_its_own = payment.reference in ("", intent["id"])
        ours = _amounts(payment) if is_its_own else (0, 0, 0)
        theirs = (intent["amount_received"], intent["refunded"], intent["amount_capturable"])
        if ours != theirs:
            yield f"payment {payment.pk} ({payment.status}) says {ours}, its intent {theirs}"
        if (intent["amount"], intent["currency"].upper()) != (payment.amount, payment.currency):
            yield f"payment {payment.pk} and its intent are of different amounts"
    known = {intent["id"] for intent in intents}
    for payment in payments.values():
        if payment.reference not in known and payment.status in ("complete", "cancelled"):
            yield f"payment {payment.pk} is {payment.status} and Stripe never heard of it"
        if payment.late and payment.captured_amount != payment.refunded_amount:
            yield f"payment {payment.pk} came late and has not gone back"
        if payment.status == "failed" and payment.captured_amount:
            yield f"payment {payment.pk} failed and has money"


def _amounts(payment: Payment) -> tuple[int, int, int]:
    """Captured, refunded, authorized."""
    return payment.captured_amount, payment.refunded_amount, payment.authorized_amount


def _refunds_at_the_gateway(book: Any) -> Iterator[str]:
    succeeded = Attempt.objects.filter(
        kind="refund", status="succeeded", payment__gateway="stripe"
    ).select_related("payment")
    ours = {str(attempt.pk): (attempt.amount, attempt.payment.reference) for attempt in succeeded}
    # What somebody made at Stripe itself is known by Stripe's name for it.
    named = {attempt.reference: str(attempt.pk) for attempt in succeeded}
    made = [refund for refund in book["refunds"] if refund["status"] != "failed"]
    theirs = {
        refund["metadata"].get("attempt_id", named.get(refund["id"], refund["id"])): (
            refund["amount"],
            refund["payment_intent"],
        )
        for refund in made
    }
    if len(theirs) != len(made):
        yield "a refund was made twice"
    for attempt_id in ours.keys() | theirs.keys():
        if ours.get(attempt_id) != theirs.get(attempt_id):
            yield (
                f"refund {attempt_id} is {ours.get(attempt_id)} here "
                f"and {theirs.get(attempt_id)} at Stripe"
            )


# What clients were told, and whether it is so.


def _broken_words(history: list[Entry]) -> Iterator[str]:
    for entry in history:
        if entry.status is not None and entry.status >= 500 and entry.status != 503:
            yield f"{entry.what} was answered {entry.status}: {entry.answer}"
    yield from _broken_movements([one for one in history if one.what == "move"])
    yield from _broken_payments([one for one in history if one.what == "pay"])
    yield from _broken_orders(history)
    yield from _broken_parts(history)


def _broken_movements(movements: list[Entry]) -> Iterator[str]:
    """What was confirmed is in the log once; what got no answer at most once; the rest never."""
    reasons = Counter(StockTransaction.objects.values_list("reason", flat=True))
    for entry in movements:
        found = reasons[entry.sent["data"]["reason"]]
        confirmed = entry.status in (200, 201)
        # Lost, put off, or asked again while the first call was still running.
        lost = entry.status in (None, 503, 409)
        if found != confirmed and not (lost and found <= 1):
            yield f"a movement answered {entry.status} is in the log {found} times: {entry.sent}"


def _broken_payments(payments: list[Entry]) -> Iterator[str]:
    """One payment for one key; what was complete is never taken back but by those who may."""
    by_key: dict[str, set[str]] = {}
    for entry in payments:
        if entry.status in (200, 202):
            by_key.setdefault(entry.sent["key"], set()).add(entry.data["id"])
        if entry.status == 200:
            payment = Payment.objects.filter(pk=entry.data["id"]).first()
            if payment is None or payment.status not in ("complete", "cancelled"):
                yield f"a payment that was complete is {payment and payment.status}: {entry.sent}"
    for key, ids in by_key.items():
        if key and len(ids) > 1:
            yield f"key {key} paid {len(ids)} times"


_WORDS = {
    # It may have been undone since.
    "ship": lambda order: order.shipments_made > 0,
    "cancel": lambda order: order.is_cancelled,
    "checkout": lambda order: True,
}


def _broken_orders(history: list[Entry]) -> Iterator[str]:
    for entry in history:
        holds = _WORDS.get(entry.what)
        if holds is None or entry.status not in (200, 201):
            continue
        order = Order.objects.filter(pk=uuid.UUID(entry.data["id"])).first()
        if order is None or not holds(order):
            yield f"{entry.what} was confirmed and has not happened: {entry.sent['path']}"


def _broken_parts(history: list[Entry]) -> Iterator[str]:
    """What was confirmed is on record, once for one key."""
    records: dict[str, QuerySet[Any]] = {
        "ship_some": Shipment.objects.all(),
        "undo_ship": Shipment.objects.filter(undone_at__isnull=False),
        "take_back": Return.objects.all(),
    }
    made: dict[str, set[str]] = {}
    for entry in history:
        if entry.what not in records or entry.status not in (200, 201):
            continue
        made.setdefault(entry.sent["key"], set()).add(entry.data["id"])
        if not records[entry.what].filter(pk=entry.data["id"]).exists():
            yield f"{entry.what} was confirmed and has not happened: {entry.sent['path']}"
    yield from (f"key {key} did {len(ids)} things" for key, ids in made.items() if len(ids) > 1)
