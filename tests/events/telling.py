"""Integrations and events for tests of what is told to whom, without anybody who numbers them."""

import json
import uuid
from collections.abc import Iterable
from typing import Any

from django.db import connection

from api import clock
from events.models import Delivery, Event, Integration, Progress
from events.services import signing

PAID = "order.paid"


def told_to(url: str = "http://127.0.0.1:1/", *, position: int = 0, **fields: Any) -> Integration:
    """Make an integration that is told of paid orders after this position."""
    now = clock.now()
    integration = Integration.objects.create(
        **{
            "name": "Shipping",
            "url": url,
            "enabled": True,
            "observes": [PAID],
            "signing_secret": signing.new_secret(),
            "created_at": now,
            "updated_at": now,
            **fields,
        }
    )
    Progress.objects.create(integration=integration, position=position)
    return integration


def numbered(positions: Iterable[int], type: str = PAID) -> None:
    """Put events into the feed, as the sequencer would."""
    Event.objects.bulk_create(
        Event(
            position=position,
            type=type,
            kind=type.partition(".")[0],
            subject=str(position),
            occurred_at=clock.now(),
            payload=json.dumps({"data": {"type": "order", "id": str(position)}}),
        )
        for position in positions
    )


def progress(integration: Integration) -> Progress:
    return Progress.objects.get(pk=integration.pk)


def states(integration: Integration) -> dict[int | None, str]:
    """Return what became of each event, by its position; of one that was sent again, the last."""
    deliveries = Delivery.objects.filter(integration=integration).order_by("pk")
    return {delivery.position: delivery.state for delivery in deliveries}


def taken_by(me: uuid.UUID, integration: Integration) -> None:
    """Have somebody else take the lease, as if the one before had been silent for too long."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE events_progress SET leased_by = %s, leased_until = now() + interval '30 s' "
            "WHERE integration_id = %s",
            [me, integration.pk],
        )
