"""What the feed tells of what a test does."""

import json
from collections.abc import Callable
from typing import Any

from events.models import Event
from events.services import sequencing


def events_since(position: int) -> list[Event]:
    return list(Event.objects.filter(position__gt=position).order_by("position"))


def told_of(act: Callable[[], Any]) -> list[Event]:
    """Return the events of what `act` does, and of nothing that was done before."""
    sequencing.number_all()
    last = Event.objects.order_by("position").last()
    act()
    sequencing.number_all()
    return events_since(last.position if last else 0)


def types(events: list[Event]) -> list[str]:
    return [event.type for event in events]


def payload(event: Event) -> Any:
    return json.loads(event.payload)
