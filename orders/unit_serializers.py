"""What becomes of an order's units, as the wire spells it."""

import uuid
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from api.bodies import WholeBody
from api.clock import at
from api.fields import Choice, Flag, Id, Quantity, Text
from inventory.serializers import actor
from inventory.services.stock import Whereabouts
from orders import answers
from orders.models import ITEMS_MAX, Return, ReturnLine, Shipment, ShipmentLine
from orders.services.returns import TAKEN_BACK_MAX, Disposition, TakenBack

Line = TypeVar("Line", ShipmentLine, ReturnLine)

CARRIER_MAX = 100
TRACKING_MAX = 200
REASON_MAX = 500

# What moves units: a name that means nothing here is refused, and never passed over.


class UnitsBody(WholeBody):
    """What every call about units may carry. Its `type` says nothing that its address does not."""

    type = Text(max_length=100, required=False)


class UnitsOfItem(WholeBody):
    type = Text(max_length=100, required=False)
    id = Id()
    quantity = Quantity()


class TakenBackOfItem(UnitsOfItem):
    disposition = Choice(Disposition.choices)


def _require_once(named: Sequence[Hashable]) -> None:
    """Raises: ValidationError, at the place of each that stands there a second time."""
    twice = [ErrorDetail("This stands here twice. Add the two up.", "twice")]
    again = {str(place): {"id": twice} for place, name in enumerate(named) if name in named[:place]}
    if again:
        raise serializers.ValidationError(again)


class SomeItemsBody(UnitsBody):
    """Units of these items; without `items`, all that is left of the order."""

    items = serializers.ListField(
        child=UnitsOfItem(), required=False, min_length=1, max_length=ITEMS_MAX
    )

    def validate_items(self, items: Sequence[Mapping[str, Any]]) -> dict[uuid.UUID, int]:
        _require_once([item["id"] for item in items])
        return {item["id"]: item["quantity"] for item in items}


class ShipmentBody(SomeItemsBody):
    carrier = Text(max_length=CARRIER_MAX, allow_blank=True, default="")
    tracking_reference = Text(max_length=TRACKING_MAX, allow_blank=True, default="")


class UndoBody(UnitsBody):
    reason = Text(max_length=REASON_MAX, allow_blank=True, default="")
    whereabouts = Choice([place.value for place in Whereabouts], required=False)

    def validate_whereabouts(self, whereabouts: str) -> Whereabouts:
        return Whereabouts(whereabouts)


class CancellationBody(SomeItemsBody):
    reason = Text(max_length=REASON_MAX, allow_blank=True, default="")
    restock = Flag(default=True)


class ReturnBody(UnitsBody):
    items = serializers.ListField(child=TakenBackOfItem(), min_length=1, max_length=TAKEN_BACK_MAX)
    reason = Text(max_length=REASON_MAX, allow_blank=True, default="")

    def validate_items(self, items: Sequence[Mapping[str, Any]]) -> list[TakenBack]:
        _require_once([(item["id"], item["disposition"]) for item in items])
        return [TakenBack(item["id"], item["quantity"], item["disposition"]) for item in items]


class SettleBody(UnitsBody):
    disposition = Choice([Disposition.RESTOCKED.value, Disposition.DISCARDED.value])
    quantity = Quantity(required=False)
    reason = Text(max_length=REASON_MAX, allow_blank=True, default="")


def shipment(row: Shipment) -> answers.Shipment:
    """Represent a shipment, with the lines that were read with it."""
    timestamps: answers.ShipmentTimestamps = {"created_at": at(row.created_at)}
    if row.undone_at:
        timestamps["undone_at"] = at(row.undone_at)
    return {
        "id": str(row.pk),
        "type": "shipment",
        "number": row.number,
        "carrier": row.carrier,
        "tracking_reference": row.tracking,
        "items": [_shipped(line) for line in _in_order(row.lines.all())],
        "actor": actor(row.actor),
        "relationships": {"order": {"data": {"type": "order", "id": str(row.order_id)}}},
        "meta": {"timestamps": timestamps},
    }


def _shipped(line: ShipmentLine) -> answers.ShippedItem:
    return {
        "type": "order_item",
        "id": str(line.item_id),
        "sku": line.item.sku,
        "quantity": line.quantity,
    }


def returned(row: Return) -> answers.Return:
    """Represent what was taken back at once, with the lines that were read with it."""
    return {
        "id": str(row.pk),
        "type": "return",
        "number": row.number,
        "reason": row.reason,
        "items": [_taken_back(line) for line in _in_order(row.lines.all())],
        "actor": actor(row.actor),
        "relationships": {"order": {"data": {"type": "order", "id": str(row.order_id)}}},
        "meta": {"timestamps": {"created_at": at(row.created_at)}},
    }


def _taken_back(line: ReturnLine) -> answers.ReturnItem:
    answer: answers.ReturnItem = {
        "type": "return_item",
        "id": str(line.pk),
        "order_item_id": str(line.item_id),
        "sku": line.item.sku,
        "quantity": line.quantity,
        "disposition": line.disposition,
    }
    if line.settled_at:
        answer["settled_as"] = line.settled_as
        answer["settled_at"] = at(line.settled_at)
    return answer


def _in_order(lines: Iterable[Line]) -> list[Line]:
    """Sort lines as their items stand in the order."""
    return sorted(lines, key=lambda line: (line.item.position, line.pk))
