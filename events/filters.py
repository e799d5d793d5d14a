"""What events, integrations and their deliveries can be filtered and sorted by."""

from collections.abc import Collection
from typing import Any

from django.db.models import Q
from rest_framework.request import Request

from api.filtering import (
    COMPARISONS,
    EQ,
    IN,
    LIKE,
    Flag,
    Id,
    ListFilters,
    Moment,
    Text,
    conditions,
)
from events.services import kinds


class EventType(Text):
    """A type that is told. With any other one, a reader would wait for ever."""

    wants = "the type of an event, such as order.paid"

    def read(self, text: str) -> str:
        if text not in kinds.TYPES:
            raise ValueError(text)
        return text


class _OneOf(Q):
    """That an event is of one of these types, which can be read again."""

    def __init__(self, types: Collection[str]) -> None:
        super().__init__(type__in=types)
        self.types = set(types)


def _one_of(lookup: str, value: Any) -> _OneOf:
    return _OneOf(value if lookup == "in" else [value])


class EventFilters(ListFilters):
    takes = {"type": EventType(_one_of, EQ, IN), "triggered_by": EventType(_one_of, EQ, IN)}


def types_asked_for(request: Request) -> set[str] | None:
    """Return the types that `filter` leaves, or None for all. Raises: BadRequest."""
    asked = conditions(request, EventFilters)
    left = [condition.types for condition in asked if isinstance(condition, _OneOf)]
    return set.intersection(*left) if left else None


class IntegrationFilters(ListFilters):
    takes = {
        "id": Id("id", EQ, IN),
        "name": Text("name", EQ, LIKE),
        "enabled": Flag("enabled", EQ),
        "created_at": Moment("created_at", EQ, *COMPARISONS),
    }
    # The ids are in the order in which they were made.
    sorts = {"name": ["name"], "created_at": ["pk"]}


class JobFilters(ListFilters):
    takes = {"id": Id("id", EQ, IN), "event_id": Id("event_id", EQ, IN)}


class LogFilters(ListFilters):
    takes = {"id": Id("id", EQ, IN), "succeeded": Flag("succeeded", EQ)}
