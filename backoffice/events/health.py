"""How it goes with integrations, in words: who is told, who is not, and since when and why."""

from typing import Any, NamedTuple

from django.db.models import Count, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils.timesince import timesince

from api import clock
from backoffice.dates import said
from events.models import Delivery, DeliveryAttempt, Event, Integration

# Each state by its word, and the colour of its label.
ON, OFF, FAILING, GAVE_UP = "on", "off", "failing", "disabled by itself"
COLOURS = {ON: "success", OFF: None, FAILING: "warning", GAVE_UP: "danger"}
IS_FAILING = Q(enabled=True, progress__failing_since__isnull=False)
HAS_GIVEN_UP = Q(enabled=False, progress__given_up_at__isnull=False)


class Health(NamedTuple):
    state: str
    words: str


def with_health(rows: QuerySet[Integration]) -> QuerySet[Any]:
    """Read beside each integration how far it and the feed are, what waits, and its last answer."""
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
        feed_until=Subquery(Event.objects.order_by("-position").values("position")[:1]),
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
        why = integration.last_status or integration.last_error or "no answer"
        return Health(FAILING, f"Failing since {said(progress.failing_since)}: {why}")
    if progress.delivered_at:
        return Health(ON, f"Delivered {timesince(progress.delivered_at, clock.now())} ago")
    return Health(ON, "Nothing was delivered yet")


def troubled() -> QuerySet[Any]:
    """Find those that are not told what they should be, for somebody to look at."""
    return with_health(Integration.objects.filter(IS_FAILING | HAS_GIVEN_UP)).order_by("name", "pk")
