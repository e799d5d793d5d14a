"""The tables of jobs do not grow for ever."""

import pytest
from django.db import connection

from api import finished_jobs, purging

pytestmark = pytest.mark.django_db


def job(status: str, *days_ago: float) -> None:
    """A job that things happened to so many days ago."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, status) "
            "VALUES (%s, 'tasks.one', %s::procrastinate_job_status) RETURNING id",
            [status, status],
        )
        [job_id] = cursor.fetchone()
        # Beside what triggers have written down just now.
        cursor.execute("DELETE FROM procrastinate_events WHERE job_id = %s", [job_id])
        for days in days_ago:
            cursor.execute(
                "INSERT INTO procrastinate_events (job_id, type, at) "
                "VALUES (%s, 'started', now() - make_interval(hours => %s))",
                [job_id, int(days * 24)],
            )


def left() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT status FROM procrastinate_jobs ORDER BY id")
        return [row[0] for row in cursor.fetchall()]


def test_t43_jobs_that_were_over_long_ago_are_deleted_and_no_others():
    for status in ("succeeded", "cancelled", "aborted"):
        job(status, 3, 2)
        job(status, 3, 0.5)
    job("failed", 31)
    job("failed", 29)
    job("todo", 99)
    job("doing", 99)

    assert finished_jobs.purge() == 4

    assert left() == ["succeeded", "cancelled", "aborted", "failed", "todo", "doing"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM procrastinate_events")
        assert cursor.fetchone() == (2 * 3 + 3,)


def test_a_batch_after_the_other(monkeypatch):
    monkeypatch.setattr(purging, "BATCH", 2)
    for _ in range(5):
        job("succeeded", 2)

    assert finished_jobs.purge() == 5
    assert left() == []
