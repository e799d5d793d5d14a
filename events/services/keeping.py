"""How long what was told is kept: the feed, and what became of its deliveries."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection

from api import clock, purging
from api.transactions import in_transaction
from events.models import Delivery, DeliveryAttempt

# The oldest, as long as they are old. The last event of all stays: the next one is counted from it.
_FORGET = """
DELETE FROM events_event WHERE position = ANY(ARRAY(
    SELECT position FROM (
        SELECT position, numbered_at FROM events_event ORDER BY position LIMIT %s
    ) AS oldest
    WHERE numbered_at < %s AND position < (SELECT max(position) FROM events_event)
))
"""


def purge() -> int:
    """Delete what is older than the days for which a store keeps events; return how many rows."""
    before = clock.now() - timedelta(days=settings.EVENTS_KEPT_DAYS)
    return purging.until_none_is_left(lambda: _forget(before)) + purging.until_none_is_left(
        lambda: _forget_deliveries(before)
    )


def _forget(before: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, [purging.BATCH, before])
        return int(cursor.rowcount)


@in_transaction
def _forget_deliveries(before: datetime) -> int:
    """Delete some that have ended. What is still on its way stays, however long it takes."""
    old = Delivery.objects.filter(created_at__lt=before).exclude(state=Delivery.State.WAITING)
    found = list(old.order_by("created_at").values_list("pk", flat=True)[: purging.BATCH])
    DeliveryAttempt.objects.filter(delivery__in=found).delete()
    Delivery.objects.filter(pk__in=found).delete()
    return len(found)
