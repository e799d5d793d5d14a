"""What the feed holds and who is told of it, put there by hand."""

import json
from typing import Any

from api import clock
from events.models import Delivery, DeliveryAttempt, Event, Integration, Progress


def event(type_: str, subject: object, told: dict[str, Any] | None = None, **fields: Any) -> Event:
    """Put an event at the end of the feed."""
    kind = type_.rpartition(".")[0]
    last = Event.objects.order_by("-position").values_list("position", flat=True).first() or 0
    document = {"data": {"type": kind, "id": str(subject), **(told or {})}}
    return Event.objects.create(
        position=last + 1,
        type=type_,
        kind=kind,
        subject=str(subject),
        occurred_at=clock.now(),
        payload=json.dumps(document),
        **fields,
    )


def integration(progress: dict[str, Any] | None = None, **fields: Any) -> Integration:
    now = clock.now()
    made = Integration.objects.create(
        **{
            "name": "Accounts",
            "enabled": True,
            "url": "https://books.example.com/hook",
            "observes": ["order.paid"],
            "signing_secret": "whsec_c2VjcmV0",
            "created_at": now,
            "updated_at": now,
            **fields,
        }
    )
    Progress.objects.create(**{"integration": made, "position": 0, **(progress or {})})
    return made


def delivery(of: Integration, about: Event, **fields: Any) -> Delivery:
    """Put an event on its way, or say how it ended."""
    if fields.get("state", "waiting") != "waiting":
        fields.setdefault("ended_at", clock.now())
    return Delivery.objects.create(
        integration=of, event_id=about.id, type=about.type, position=about.position, **fields
    )


def attempt(of: Delivery, status: int | None, **fields: Any) -> DeliveryAttempt:
    number = of.tries.count() + 1
    Delivery.objects.filter(pk=of.pk).update(attempts=number)
    return DeliveryAttempt.objects.create(
        delivery=of,
        integration_id=of.integration_id,
        number=number,
        status_code=status,
        **{
            "at": clock.now(),
            "milliseconds": 12,
            "succeeded": status is not None and 200 <= status < 300,
            **fields,
        },
    )
