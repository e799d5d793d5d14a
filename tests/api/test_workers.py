"""What monitoring is told of workers, and of jobs that wait for one."""

import pytest
from django.db import connection
from procrastinate.contrib.django import app

from api import jobs, workers
from api.ids import uuid7
from api.lanes import LANES
from backoffice import jobs as of_back_office
from inventory import jobs as of_inventory
from orders import jobs as of_orders
from payments import jobs as of_payments

pytestmark = pytest.mark.django_db


def heard(seconds_ago: int, *queues: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO api_jobworker (id, host, process, queues, beat_at) "
            "VALUES (%s, 'one', 7, %s, now() - make_interval(secs => %s))",
            [uuid7(), list(queues), seconds_ago],
        )


def waits(queue: str, seconds: int, *, due_in: int | None = None, status: str = "todo") -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, status, scheduled_at) VALUES "
            "(%s, 'a', %s::procrastinate_job_status, now() + make_interval(secs => %s)) "
            "RETURNING id",
            [queue, status, due_in],
        )
        cursor.execute(
            "UPDATE procrastinate_events SET at = now() - make_interval(secs => %s) "
            "WHERE job_id = %s AND type = 'deferred'",
            [seconds, cursor.fetchone()[0]],
        )


def test_t44_who_was_heard_of_is_told_by_queue_also_that_nobody_is_there(client):
    heard(3, "default", "recovery")
    heard(300, "default", "sheets")

    told = client.get("/health/ready").json()["workers"]

    assert told == {
        "recovery": 3,
        "events": None,
        "default": 3,
        "telling": None,
        "sheets": 300,
        "payments": None,
    }


def test_a_worker_is_known_by_where_it_runs_and_what_it_does():
    heard(3, "default", "recovery")

    [known] = workers.known()

    assert (known.host, known.process, known.queues) == ("one", 7, ["default", "recovery"])
    assert 3 <= known.silent_for < 60


def test_the_oldest_job_of_a_queue_tells_for_how_long_nothing_was_done():
    waits("payments", 40)
    waits("payments", 20)
    waits("payments", 500, due_in=-90)
    waits("payments", 900, due_in=60)
    waits("payments", 900, status="doing")
    waits("elsewhere", 7)

    told = {queue.name: (queue.jobs, round(queue.waits_for)) for queue in workers.waiting()}

    assert told == {
        **dict.fromkeys(LANES, (0, 0)),
        "payments": (3, 90),
        "elsewhere": (1, 7),
    }


def test_every_job_has_a_lane():
    for module in (jobs, of_back_office, of_inventory, of_orders, of_payments):
        ours = {task for name, task in app.tasks.items() if name.startswith(module.__name__)}
        assert ours
        assert {task.queue for task in ours} <= LANES.keys()
