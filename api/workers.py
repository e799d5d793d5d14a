"""Who does jobs, and what waits for them: what monitoring reads.

Workers beat into rows of `JobWorker`, see api.work. All times are the database's own.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from api.lanes import LANES

_BEATS = """
SELECT host, process, queues, started_at, extract(epoch FROM now() - beat_at)::float
FROM api_jobworker ORDER BY started_at, id
"""
# A job that is tried again or waits for its time says when that was; of the others the first one
# has waited for the longest.
_WAITING = """
SELECT queue_name, jobs, greatest(0, extract(epoch FROM now() - least(due_at, (
    SELECT min(at) FROM procrastinate_events WHERE job_id = first_id AND type = 'deferred'
))))::float
FROM (
    SELECT queue_name, count(*) AS jobs, min(scheduled_at) AS due_at,
        min(id) FILTER (WHERE scheduled_at IS NULL) AS first_id
    FROM procrastinate_jobs
    WHERE status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now())
    GROUP BY queue_name
) AS queue
"""


@dataclass(frozen=True)
class Worker:
    host: str
    process: int
    queues: list[str]
    started_at: datetime
    # Seconds since it last said that it lives, which it does every few seconds. One that was
    # killed, or is cut off, is known for an hour.
    silent_for: float


@dataclass(frozen=True)
class Queue:
    """The jobs of a queue that could be done now, and for how many seconds the oldest waits."""

    name: str
    jobs: int
    waits_for: float


def known() -> list[Worker]:
    """Return the workers that live, and those that were lost within the last hour."""
    return [Worker(*row) for row in _rows(_BEATS)]


def waiting() -> list[Queue]:
    """Return every queue that some worker serves, also those in which nothing waits.

    A worker that lives and does nothing shows in this alone.
    """
    found = {row[0]: Queue(*row) for row in _rows(_WAITING)}
    return [found.pop(name, Queue(name, 0, 0.0)) for name in LANES] + list(found.values())


def standing() -> dict[str, int | None]:
    """Tell by queue how many seconds ago the last one who serves it said so; None: nobody does."""
    heard: dict[str, int | None] = dict.fromkeys(LANES)
    for worker in sorted(known(), key=lambda worker: -worker.silent_for):
        heard |= dict.fromkeys(worker.queues, round(worker.silent_for))
    return heard


def _rows(statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())
