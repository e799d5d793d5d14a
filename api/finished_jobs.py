"""Jobs that are over: a shop makes thousands a day, and procrastinate keeps them for ever."""

from datetime import datetime, timedelta

from django.db import connection

from api import clock, purging

KEPT_FOR = timedelta(days=1)
# Whoever looks into a failure needs the job that failed.
FAILED_KEPT_FOR = timedelta(days=30)

_DELETE = """
DELETE FROM procrastinate_jobs WHERE id = ANY(ARRAY(
    SELECT job.id FROM procrastinate_jobs AS job
    WHERE job.status IN ('succeeded', 'failed', 'cancelled', 'aborted') AND NOT EXISTS (
        SELECT FROM procrastinate_events AS event
        WHERE event.job_id = job.id
            AND event.at >= CASE job.status WHEN 'failed' THEN %s ELSE %s END
    )
    ORDER BY job.id LIMIT %s FOR UPDATE SKIP LOCKED
))
"""


def purge() -> int:
    """Delete jobs that were over long ago, with what happened to them, and return how many."""
    now = clock.now()
    return purging.until_none_is_left(lambda: _delete(now - FAILED_KEPT_FOR, now - KEPT_FOR))


def _delete(failed_before: datetime, ended_before: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_DELETE, [failed_before, ended_before, purging.BATCH])
        return int(cursor.rowcount)
