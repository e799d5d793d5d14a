"""How far others have been told of what happened, in a few numbers."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db import connection

# Those of integrations that are disabled wait for somebody, and are no concern of monitoring.
_TOLD = """
SELECT
    (SELECT extract(epoch FROM clock_timestamp() - occurred_at)
        FROM events_outbox ORDER BY ordinal LIMIT 1),
    count(*) FILTER (WHERE enabled AND failing_since IS NULL),
    count(*) FILTER (WHERE enabled AND failing_since IS NOT NULL),
    count(*) FILTER (WHERE NOT enabled AND given_up_at IS NULL),
    count(*) FILTER (WHERE NOT enabled AND given_up_at IS NOT NULL),
    (SELECT max(position) FROM events_event) - min(position) FILTER (WHERE enabled),
    coalesce(sum(waiting), 0), extract(epoch FROM clock_timestamp() - min(oldest))
FROM events_integration AS integration
JOIN events_progress AS progress ON progress.integration_id = integration.id
LEFT JOIN LATERAL (
    SELECT count(*) AS waiting, min(created_at) AS oldest FROM events_delivery AS delivery
    WHERE delivery.integration_id = integration.id AND delivery.state = 'waiting'
) AS deliveries ON integration.enabled
"""


@dataclass(frozen=True)
class Told:
    # For how long the oldest change waits to be numbered.
    outbox_seconds: float
    # By how it goes.
    integrations: Mapping[str, int]
    # How many events the one that is furthest behind has not looked at.
    behind: int
    # Deliveries that failed and are tried again, and for how long the oldest has been one.
    waiting: int
    waiting_seconds: float


def told() -> Told:
    with connection.cursor() as cursor:
        cursor.execute(_TOLD)
        outbox, well, failing, disabled, given_up, behind, waiting, oldest = cursor.fetchone()
    states = {"well": well, "failing": failing, "disabled": disabled, "given_up": given_up}
    return Told(
        float(outbox or 0), states, max(0, behind or 0), int(waiting), max(0.0, float(oldest or 0))
    )
