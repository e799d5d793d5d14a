"""The feed, read from a position on: in the same time at any depth, and for however rare a type."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.db import connection
from django.db.models import BigIntegerField

from events.errors import EventsForgotten, FeedSetBack
from events.models import Event

# A page ends early where its payloads would be more than this together; one is always told.
PAGE_BYTES_MAX = 4_000_000

# All in one statement, so that first, last and page are of one moment. Otherwise what is forgotten
# in between would be missed, or whoever goes on with the last position would miss what came then.
_PAGE = """
WITH bounds AS (
    SELECT coalesce(min(position), 0) AS first, coalesce(max(position), 0) AS last
    FROM events_event
),
places AS MATERIALIZED ({places}),
shown AS (
    SELECT position, id, type, occurred_at, payload,
        sum(octet_length(payload)) OVER (ORDER BY position) - octet_length(payload) AS before
    FROM events_event WHERE position = ANY(ARRAY(
        SELECT position FROM places ORDER BY position LIMIT %(limit)s
    ))
)
SELECT first, last, (SELECT id FROM events_event WHERE position = last),
    (SELECT id FROM events_event WHERE position = %(after)s), (SELECT count(*) FROM places),
    position, id, type, occurred_at, payload
FROM bounds LEFT JOIN shown ON before < %(bytes)s
ORDER BY position
"""
_PLACES = """
SELECT position FROM events_event WHERE position > %(after)s ORDER BY position LIMIT %(limit)s + 1
"""
# From each type's own entries of the index. Compared as rows, which no other index has in order: by
# the positions alone a rare type would be looked for in the whole feed.
_PLACES_OF_TYPES = """
SELECT found.position
FROM unnest(%(types)s::text[]) AS wanted (type) CROSS JOIN LATERAL (
    SELECT position FROM events_event
    WHERE (events_event.type, position) > (wanted.type, %(after)s::bigint)
        AND (events_event.type, position) < (wanted.type, %(beyond)s::bigint)
    ORDER BY events_event.type, position LIMIT %(limit)s + 1
) AS found
ORDER BY found.position LIMIT %(limit)s + 1
"""


@dataclass(frozen=True)
class Page:
    """Some events in a row; 0 is the first and the last position of a feed that has none yet."""

    events: Sequence[Event]
    more: bool
    first_position: int
    last_position: int
    # Of the event at the last position, by which a feed that was set back is known from it.
    last_id: uuid.UUID | None


def page(
    after: int | None,
    limit: int,
    types: Collection[str] | None = None,
    *,
    after_id: uuid.UUID | None = None,
) -> Page:
    """Return what follows the position, or what is kept from its first on; all types unless named.

    `after_id` is the id of the event that the reader knows at the position.

    Raises: EventsForgotten if something after the position is no longer kept; FeedSetBack if the
    feed never came so far, or has another event there.
    """
    places = _PLACES if types is None else _PLACES_OF_TYPES
    asked: dict[str, int | list[str]] = {
        "after": after or 0,
        "beyond": BigIntegerField.MAX_BIGINT,
        "limit": limit,
        "bytes": PAGE_BYTES_MAX,
        "types": sorted(types or ()),
    }
    with connection.cursor() as cursor:
        cursor.execute(_PAGE.format(places=places), asked)
        rows = cursor.fetchall()
    first, last, last_id, id_there, found = rows[0][:5]
    if after is not None:
        bounds = {"first_position": first, "last_position": last}
        if after > last or (after_id and id_there and after_id != id_there):
            raise FeedSetBack(source="page[after]", meta=bounds)
        if after + 1 < first:
            raise EventsForgotten(source="page[after]", meta=bounds)
    events = [
        Event(position=position, id=event_id, type=kind, occurred_at=moment, payload=payload)
        for *_, position, event_id, kind, moment, payload in rows
        if position is not None
    ]
    return Page(events, found > len(events), first, last, last_id)


def last_position() -> int:
    """Return the position of the last event, or 0 while there is none."""
    newest = Event.objects.order_by("-position").values_list("position", flat=True)
    return newest.first() or 0
