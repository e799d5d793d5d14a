"""What staff are told of integrations by mail: that one hears nothing any more."""

from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.db.models import Q

from api import clock
from events.models import Progress
from events.services.notices import Matter, Notice

# A receiver that is only started anew is back by then.
FAILING_FOR = timedelta(minutes=15)


def _standing() -> Iterable[Matter]:
    failing = Q(integration__enabled=True, failing_since__lt=clock.now() - FAILING_FOR)
    rows = Progress.objects.filter(failing | Q(given_up_at__isnull=False))
    for row in rows.select_related("integration"):
        since = row.given_up_at or row.failing_since
        what = f"disabled by itself: {row.given_up_why}" if row.given_up_at else "nothing arrives"
        yield Matter(
            f"{row.pk} {since:%Y-%m-%dT%H:%M:%S.%f}",
            {
                "name": row.integration.name,
                "what": f"{what}, since {since:%Y-%m-%d %H:%M} UTC",
                "link": f"{settings.PUBLIC_URL}/admin/events/integration/{row.pk}/change/",
            },
        )


FAILING = Notice(
    "integration-failing",
    "An integration fails",
    "To staff, when nothing has reached an integration for 15 minutes, and when it is disabled by "
    "itself.",
    sample={
        "name": "Warehouse",
        "what": "nothing arrives, since 2026-11-28 09:00 UTC",
        "link": f"{settings.PUBLIC_URL}/admin/events/integration/",
    },
    standing=_standing,
)
