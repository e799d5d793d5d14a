"""Events as the sequencer would number them, and integrations with what became of deliveries."""

import json
from collections.abc import Sequence
from typing import Any

from api import clock
from api.ids import uuid7
from events.models import Delivery, DeliveryAttempt, Event, Integration
from events.services import feed, integrations
from tests.factories import MERCHANT


def events(*types: str, first: int | None = None, payload: Any = None) -> Sequence[Event]:
    """Number events of these types, one after the other, after those that there are."""
    return Event.objects.bulk_create(
        Event(
            position=position,
            type=told,
            kind=told.partition(".")[0],
            subject=str(position),
            occurred_at=clock.now(),
            payload=json.dumps(payload or {"data": {"type": "order", "id": str(position)}}),
        )
        for position, told in enumerate(types, first or feed.last_position() + 1)
    )


def integration(**fields: Any) -> Integration:
    """Make an integration that is told of paid orders, unless told otherwise."""
    wanted = {
        "name": "Shipping",
        "url": "https://shop.example.com/",
        "enabled": True,
        "observes": ["order.paid"],
    }
    made, _ = integrations.create(**{**wanted, **fields}, actor=MERCHANT)
    return made


def job(of: Integration, **fields: Any) -> Delivery:
    return Delivery.objects.create(
        **{
            "integration": of,
            "origin": "test",
            "event_id": uuid7(),
            "type": "order.paid",
            **fields,
        }
    )


def attempt(of: Delivery, number: int, **fields: Any) -> DeliveryAttempt:
    said = {"succeeded": True, "status_code": 200, "milliseconds": 12, "at": clock.now(), **fields}
    return DeliveryAttempt.objects.create(
        delivery=of, integration_id=of.integration_id, number=number, **said
    )
