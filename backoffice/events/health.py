"""How it goes with integrations, in words: who is told, who is not, and since when and why."""

from datetime import timedelta
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import BigIntegerField, Count, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce
from django.utils.timesince import timesince

from api import clock
from backoffice.base import COUNTED, number_of
from backoffice.dates import said
from events.models import Delivery, DeliveryAttempt, Integration

# Each state by its word, and the colour of its label.
ON, OFF, FAILING, GAVE_UP = "on", "off", "failing", "disabled by itself"
COLOURS = {ON: "success", OFF: None, FAILING: "warning", GAVE_UP: "danger"}
IS_FAILING = Q(enabled=True, progress__failing_since__isnull=False)
HAS_GIVEN_UP = Q(enabled=False, progress__given_up_at__isnull=False)


# Up to so many, from each type's own entries of the index. Compared as rows, which no other index
# has in order: else a rare type would be looked for in all that is new.
_AFTER = """
SELECT count(*) FROM (
    SELECT FROM unnest({observes}) AS wanted (type) CROSS JOIN LATERAL (
        SELECT FROM events_event AS event
        WHERE (event.type, event.position) > (wanted.type, {position})
            AND (event.type, event.position) < (wanted.type, %s::bigint)
        LIMIT %s
    ) AS found
    LIMIT %s
) AS new
"""
_NEW = _AFTER.format(observes="events_integration.observes", position="events_progress.position")
_AFTER_THIS = _AFTER.format(observes="%s::text[]", position="%s::bigint")
_LAST = BigIntegerField.MAX_BIGINT
COUNTED_AT_ONCE = 100_000


class Health(NamedTuple):
    state: str
    words: str


def with_health(rows: QuerySet[Integration]) -> QuerySet[Any]:
    """Read beside each integration what is new for it, what waits for it, and its last answer."""
    waiting = (
        Delivery.objects.filter(integration=OuterRef("pk"), state=Delivery.State.WAITING)
        .order_by()
        .values("integration")
        .annotate(number=Count("pk"))
        .values("number")
    )
    last = DeliveryAttempt.objects.filter(integration=OuterRef("pk")).order_by("-pk")
    return rows.select_related("progress").annotate(
        waiting=Coalesce(Subquery(waiting), 0, output_field=IntegerField()),
        last_status=Subquery(last.values("status_code")[:1]),
        last_error=Subquery(last.values("error_detail")[:1]),
        new=RawSQL(_NEW, [_LAST, COUNTED, COUNTED]),  # noqa: S611
    )


def of(integration: Any) -> Health:
    """Say how it goes with one that was read by `with_health`."""
    progress = integration.progress
    if not integration.enabled:
        if progress.given_up_at is None:
            return Health(OFF, "Disabled: it is told nothing")
        why = f": {progress.given_up_why}" if progress.given_up_why else ""
        return Health(GAVE_UP, f"Disabled by itself {said(progress.given_up_at)}{why}")
    if progress.failing_since:
        status, error = integration.last_status, integration.last_error
        why = f"it answered {status}" if status else error or "no answer"
        return Health(FAILING, f"Failing since {said(progress.failing_since)}: {why}")
    if progress.delivered_at:
        ago = timesince(progress.delivered_at, clock.now())
        is_now = clock.now() - progress.delivered_at < timedelta(minutes=1)
        return Health(ON, "Delivered just now" if is_now else f"Delivered {ago} ago")
    return Health(ON, "Nothing was delivered yet")


def troubled() -> QuerySet[Any]:
    """Find those that are not told what they should be, for somebody to look at."""
    return with_health(Integration.objects.filter(IS_FAILING | HAS_GIVEN_UP)).order_by("name", "pk")


def events_after(integration: Integration, position: int) -> str:
    """Say how many events after this position it observes."""
    asked: list[Any] = [integration.observes, position, _LAST, COUNTED_AT_ONCE, COUNTED_AT_ONCE]
    with connection.cursor() as cursor:
        cursor.execute(_AFTER_THIS, asked)
        [number] = cursor.fetchone()
    if number == COUNTED_AT_ONCE:
        return f"{number:,} events or more"
    return number_of(number, "event")
