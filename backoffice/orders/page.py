"""What the page of an order shows: its items, its money, its addresses and what happened to it."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Prefetch, prefetch_related_objects

from backoffice import movements
from backoffice.base import units
from backoffice.sent_pictures import thumbnails
from inventory.models import StockTransaction
from orders.models import (
    Order,
    OrderEvent,
    OrderItem,
    Return,
    ReturnLine,
    Shipment,
    ShipmentLine,
)
from orders.services import addresses
from orders.services.carriers import link_to
from payments.models import Attempt, Payment
from payments.services import gateway_events
from payments.services.payments import is_excess

# Of payments and of their attempts.
OUTCOME_COLOURS: Mapping[str, str | None] = {
    Payment.Status.PENDING: "warning",
    Payment.Status.COMPLETE: "success",
    Payment.Status.FAILED: "danger",
    Payment.Status.CANCELLED: None,
    Attempt.Status.PENDING: "warning",
    Attempt.Status.SUCCEEDED: "success",
    Attempt.Status.FAILED: "danger",
}


def read_all(order: Order) -> None:
    """Read the items of an order, its shipments and its returns, each of them once."""
    sent = ShipmentLine.objects.select_related("item").order_by("item__position")
    back = ReturnLine.objects.select_related("item").order_by("item__position", "pk")
    shipments = Shipment.objects.order_by("number").prefetch_related(Prefetch("lines", sent))
    returns = Return.objects.order_by("number").prefetch_related(Prefetch("lines", back))
    prefetch_related_objects(
        [order],
        Prefetch("items", OrderItem.objects.order_by("position")),
        Prefetch("shipments", shipments),
        Prefetch("returns", returns),
    )


def item_rows(order: Order) -> list[dict[str, Any]]:
    money = order.currency.formatted
    items = list(order.items.all())
    shown = thumbnails(item.product_id for item in items)
    return [
        {
            "item": item,
            "thumbnail": shown[item.product_id],
            "unit_price": money(item.unit_price),
            "value": money(item.value),
        }
        for item in items
    ]


def columns(order: Order) -> dict[str, bool]:
    """Which columns of units say something: what is zero for all lines is left out."""
    items = order.items.all()
    return {
        name: any(getattr(item, name) for item in items)
        for name in ("allocated", "shipped", "cancelled", "returned")
    }


def shipment_rows(order: Order) -> list[dict[str, Any]]:
    return [
        {
            "shipment": shipment,
            "link": link_to(shipment.carrier, shipment.tracking),
            "lines": [f"{line.quantity} of {line.item.label}" for line in shipment.lines.all()],
        }
        for shipment in order.shipments.all()
    ]


def return_rows(order: Order, payments: Sequence[Payment]) -> list[dict[str, Any]]:
    refunds: dict[uuid.UUID | None, Attempt] = {
        attempt.pk: attempt for payment in payments for attempt in payment.attempts.all()
    }
    return [
        {
            "taken_back": each,
            "refund": _refund_with(order, refunds.get(each.attempt_id)),
            "lines": [
                {"line": line, "words": f"{line.quantity} of {line.item.label} {_became(line)}"}
                for line in each.lines.all()
            ],
        }
        for each in order.returns.all()
    ]


def _refund_with(order: Order, refund: Attempt | None) -> str:
    return f"{order.currency.formatted(refund.amount)} {refund.status}" if refund else ""


def _became(line: ReturnLine) -> str:
    if line.is_to_inspect:
        return "waits to be inspected"
    if line.settled_as:
        return f"inspected: {line.settled_as}"
    return line.disposition


def sums(order: Order) -> dict[str, str]:
    """The order's money: what is zero is left out, but for the total."""
    sums = {
        "Captured": order.captured,
        "Authorized": order.authorized,
        "Pending": order.pending,
        "Refunded": order.refunded,
        "Left to pay": 0 if order.is_cancelled else order.payable,
    }
    shown = {"Total": order.total, **{name: amount for name, amount in sums.items() if amount}}
    return {name: order.currency.formatted(amount) for name, amount in shown.items()}


def money_still_held(order: Order) -> str:
    """What a cancelled order keeps of somebody's money, which is to go back or to be explained."""
    held = order.captured - order.refunded + order.authorized
    return order.currency.formatted(held) if order.is_cancelled and held else ""


def payment_rows(
    order: Order, payments: Sequence[Payment], names: Mapping[str, str]
) -> list[dict[str, Any]]:
    money = order.currency.formatted
    return [
        {
            "payment": payment,
            "gateway": names.get(payment.gateway, payment.gateway),
            "colour": OUTCOME_COLOURS[payment.status],
            "amount": money(payment.amount),
            "captured": money(payment.captured_amount),
            "refunded": money(payment.refunded_amount),
            "notes": _payment_notes(payment),
            "attempts": [
                {
                    "attempt": attempt,
                    "colour": OUTCOME_COLOURS[attempt.status],
                    "amount": money(attempt.amount),
                    "notes": _notes(attempt.reason, attempt.reference, attempt.failure),
                }
                for attempt in payment.attempts.all()
            ],
        }
        for payment in payments
    ]


def _payment_notes(payment: Payment) -> str:
    return _notes(
        payment.custom_reference, payment.reference, payment.failure, _why_not_counted(payment)
    )


def _why_not_counted(payment: Payment) -> str:
    if is_excess(payment):
        return "More than was owed: to be given back"
    return "Came too late for the order" if payment.late else ""


def _notes(*notes: str) -> str:
    return " · ".join(filter(None, notes))


def addresses_of(order: Order) -> dict[str, list[str]]:
    return {
        "Billing address": addresses.lines(order.billing_address),
        "Shipping address": addresses.lines(order.shipping_address),
    }


# The timeline.

PLACED = OrderEvent.Kind.PLACED_AT_THE_DESK


@dataclass(frozen=True)
class TimelineEntry:
    at: datetime
    what: str
    who: str = ""
    note: str = ""


def timeline(
    order: Order, payments: Sequence[Payment], names: Mapping[str, str]
) -> list[TimelineEntry]:
    """What happened to an order, oldest first: the order, its money and its stock in one list."""
    entries = StockTransaction.objects.filter(order_id=order.pk).select_related("stock__product")
    moved = list(entries.order_by("created_at", "pk"))
    told = list(order.events.order_by("created_at", "pk"))
    placed = [TimelineEntry(order.created_at, "Order placed", order.customer_name)]
    happened = [
        *([] if any(each.kind == PLACED for each in told) else placed),
        *_of_money(order, payments, names),
        *(
            TimelineEntry(each.created_at, each.get_kind_display(), each.actor_name, each.text)
            for each in told
        ),
        *_of_disputes(payments, names),
        *_of_stock(moved),
    ]
    if order.fully_paid_at:
        happened.append(TimelineEntry(order.fully_paid_at, "Fully paid"))
    return sorted(happened, key=lambda entry: entry.at)


# A gateway that answers within a request has answered at once.
_AT_ONCE = timedelta(seconds=10)


def _of_money(
    order: Order, payments: Iterable[Payment], names: Mapping[str, str]
) -> Iterable[TimelineEntry]:
    money = order.currency.formatted
    for payment in payments:
        gateway = names.get(payment.gateway, payment.gateway)
        yield TimelineEntry(
            payment.created_at,
            f"{payment.get_method_display()} of {money(payment.amount)} through "
            f"{gateway}: {payment.status}",
            payment.actor_name,
            _payment_notes(payment),
        )
        for attempt in payment.attempts.all():
            what = f"{attempt.get_kind_display()} of {money(attempt.amount)} through {gateway}"
            notes = _notes(attempt.reason, attempt.failure)
            if not attempt.is_pending and attempt.updated_at - attempt.created_at > _AT_ONCE:
                yield TimelineEntry(attempt.created_at, f"{what}: asked for", attempt.actor_name)
                yield TimelineEntry(attempt.updated_at, f"{what}: {attempt.status}", note=notes)
            else:
                said = f"{what}: {attempt.status}"
                yield TimelineEntry(attempt.created_at, said, attempt.actor_name, notes)


def _of_disputes(payments: Sequence[Payment], names: Mapping[str, str]) -> Iterable[TimelineEntry]:
    """What a gateway told of a buyer who wants the money back from the bank."""
    for told, dispute in gateway_events.disputes_of(payments):
        what = f"{names.get(told.gateway, told.gateway)}: dispute {dispute.what}"
        yield TimelineEntry(told.received_at, what, note=_notes(*dispute.notes))


def _of_stock(moved: Iterable[StockTransaction]) -> Iterable[TimelineEntry]:
    """One entry for what was moved together, however many products it was."""
    for entries in _together(moved):
        words = {movements.word(entry): 0 for entry in entries}
        for entry in entries:
            words[movements.word(entry)] += entry.quantity
        if movements.SHIPPED in words:
            words.pop(movements.TAKEN_TO_SHIP, None)
        sums = [f"{units(quantity)} {word.lower()}" for word, quantity in words.items()]
        first = next(iter(words))
        products = [
            f"{entry.quantity} of {entry.stock.product.sku}"
            for entry in entries
            if movements.word(entry) == first
        ]
        what = f"Stock: {', '.join(sums)}"
        begun = entries[0]
        yield TimelineEntry(
            begun.created_at, what, begun.actor_name, _notes(begun.reason, *products)
        )


def _together(moved: Iterable[StockTransaction]) -> Iterable[list[StockTransaction]]:
    """Part what one transaction wrote from what another did, be it for the same reason."""
    entries: list[StockTransaction] = []
    for entry in moved:
        if entries and not _is_of(entries[-1], entry):
            yield entries
            entries = []
        entries.append(entry)
    if entries:
        yield entries


def _is_of(before: StockTransaction, entry: StockTransaction) -> bool:
    same = (before.reason, before.actor_name) == (entry.reason, entry.actor_name)
    return same and entry.created_at - before.created_at < timedelta(seconds=1)
