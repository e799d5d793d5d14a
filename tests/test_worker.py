"""`manage.py work`, a process: through outages, beside a slow gateway, and until it is stopped."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

from api import clock, work, workers
from api.lanes import LANES
from api.models import JobWorker
from config.supervisor import PROJECT
from payments.services import gateway_calls, payments
from payments.services.payments import PaymentRequest
from tests import fake_stripe, way
from tests.concurrency import PATIENCE_SECONDS
from tests.database import ROLE
from tests.factories import MERCHANT, product, unpaid_order
from tests.roles import as_owner

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

PURGE = "api.jobs.purge_keys_and_counts"


class Work:
    """A worker, and what it writes to its log."""

    def __init__(self, log: Path, *command: str, **environment: str) -> None:
        self.log = log
        with log.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", *command],
                cwd=PROJECT,
                env=os.environ | {"DATABASE_URL": way.url()} | environment,
                stdout=said,
                stderr=said,
            )

    @property
    def said(self) -> str:
        return self.log.read_text()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)


Start = Callable[..., Work]


@pytest.fixture(autouse=True)
def _nobody_works() -> None:
    """Those that other tests have killed are known for a while."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_workers")


@pytest.fixture
def start(tmp_path) -> Iterator[Start]:
    started: list[Work] = []

    def start(*command: str, **environment: str) -> Work:
        log = tmp_path / f"work-{len(started)}.log"
        started.append(Work(log, *(command or ("work", "--grace=1")), **environment))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.wait()


def wait_until(happened: Callable[[], object], of: Work | None = None) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        assert time.monotonic() < deadline, of and of.said
        time.sleep(0.05)


def defer(task: str = PURGE, **options: str) -> int:
    return app.configure_task(task, queueing_lock=f"{task} {time.monotonic()}").defer(timestamp=0)


def is_done(job: int) -> bool:
    return ProcrastinateJob.objects.filter(pk=job, status="succeeded").exists()


def number_of(status: str, task: str) -> int:
    return ProcrastinateJob.objects.filter(status=status, task_name=task).count()


# Outages.


def test_t44_a_worker_waits_for_its_database_and_goes_on_whenever_it_is_back(start):
    with way.to_the_database() as road:
        worker = start(DATABASE_URL=road.url)
        wait_until(lambda: "worker_waits_for_database" in worker.said, worker)
        road.open()
        first = defer()
        wait_until(lambda: is_done(first), worker)

        road.close()
        wait_until(lambda: "worker_lost_database" in worker.said, worker)
        second = defer()
        road.open()
        back = time.monotonic()
        wait_until(lambda: is_done(second), worker)
        took = time.monotonic() - back

        # While it is away again.
        road.close()
        wait_until(lambda: worker.said.count("worker_lost_database") == 2, worker)
        assert worker.stop() == 0

    lines = worker.said.splitlines()
    events = [line.split(" event='", 1)[1].split("'")[0] for line in lines]
    assert [event for event in events if event != "database_away"] == [
        "worker_waits_for_database",
        *("worker_has_database", "worker_lost_database") * 2,
    ]
    assert max(map(len, lines)) < 500
    assert took < PATIENCE_SECONDS / 2


def test_t44_it_beats_while_it_lives_and_is_not_missed_once_it_was_told_to_stop(start):
    worker = start("work", "--grace=1", "--without", "payments")
    wait_until(workers.known, worker)
    [told] = workers.known()
    began = JobWorker.objects.get().beat_at
    wait_until(lambda: JobWorker.objects.get().beat_at > began, worker)

    assert worker.stop() == 0

    assert told.process == worker.process.pid
    assert told.host == socket.gethostname()
    assert told.queues == [queue for queue in LANES if queue != "payments"]
    assert not workers.known()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM procrastinate_workers")
        assert cursor.fetchone() == (0,)


@pytest.mark.skipif(not os.environ.get(ROLE), reason="the server has one role")
def test_t44_what_is_no_fault_of_the_database_ends_it_with_another_status(start):
    role = connection.settings_dict["USER"]
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(f"REVOKE INSERT ON api_jobworker FROM {role}")
    try:
        worker = start()
        assert worker.process.wait(PATIENCE_SECONDS) == 1
    finally:
        with as_owner(), connection.cursor() as cursor:
            cursor.execute(f"GRANT INSERT ON api_jobworker TO {role}")

    assert "permission denied for table api_jobworker" in worker.said


def test_a_process_manager_is_told_that_it_is_ready_that_it_lives_and_that_it_stops(
    start, tmp_path
):
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(PATIENCE_SECONDS)
        with way.to_the_database() as road:
            worker = start(DATABASE_URL=road.url, NOTIFY_SOCKET=str(address))
            assert manager.recv(100) == b"READY=1"
            # It lives while it waits for its database.
            told = [manager.recv(100) for _ in range(4)]
            assert worker.stop() == 0

    assert b"WATCHDOG=1" in told
    assert b"STATUS=Waits for the database" in told


# A slow gateway.


@pytest.fixture
def backlog(stripe, monkeypatch) -> Iterator[dict[str, str]]:
    """More charges than any worker makes at once, at a gateway that does not answer one of them."""
    taken = threading.BoundedSemaphore(1)
    taken.acquire()
    monkeypatch.setattr(gateway_calls, "_waits", taken)
    stripe.fault(operation="create_intent", times=1000, hold=True)
    shirt = product(100)
    for _ in range(3 * LANES["payments"]):
        request = PaymentRequest("stripe", token="pm_card_visa")
        payments.pay(unpaid_order({shirt: 1}).pk, request, actor=MERCHANT)
    yield {
        "STRIPE_SECRET_KEY": fake_stripe.API_KEY,
        "STRIPE_PUBLISHABLE_KEY": "pk_test_fake",
        "STRIPE_API_BASE": stripe.url,
    }
    stripe.faults.clear()


def test_t48_nothing_else_waits_behind_the_charges_of_a_slow_gateway(start, backlog, stripe):
    """In one process, which has a thread for each job that it may do at once."""
    worker = start(**backlog)
    wait_until(lambda: len(stripe.faults.held) == LANES["payments"], worker)

    others = [
        defer("payments.jobs.settle_pending_payments"),
        defer("payments.jobs.let_lapse"),
        defer("payments.jobs.audit_inventory"),
        defer("inventory.jobs.take_up_sheets"),
        defer(PURGE),
    ]
    wait_until(lambda: all(map(is_done, others)), worker)

    assert number_of("doing", "payments.jobs.charge_queued") == LANES["payments"]
    assert number_of("todo", "payments.jobs.charge_queued") == 2 * LANES["payments"]
    # Those have not ended.
    assert worker.stop() == 0
    assert number_of("doing", "payments.jobs.charge_queued") == LANES["payments"]


def test_t48_behind_them_is_where_a_worker_without_lanes_leaves_everything(start, backlog, stripe):
    """The other test can fail: with as many threads for all of it, nothing else would be done."""
    worker = start("procrastinate", "worker", "--concurrency=2", **backlog)
    wait_until(lambda: len(stripe.faults.held) == 2, worker)

    other = defer(PURGE)

    assert number_of("doing", "payments.jobs.charge_queued") == 2
    assert not is_done(other)


def test_t48_what_a_killed_worker_left_is_taken_up_again_within_a_minute(start, backlog, stripe):
    killed = start("work", "--only", "payments", **backlog)
    wait_until(lambda: len(stripe.faults.held) == LANES["payments"], killed)
    killed.stop(signal.SIGKILL)
    left = set(ProcrastinateJob.objects.filter(status="doing").values_list("pk", flat=True))
    assert len(left) == LANES["payments"]
    # It would be silent for as long by itself.
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE procrastinate_workers SET last_heartbeat = now() - make_interval(secs => %s)",
            [work.SILENT_SECONDS],
        )
    stripe.faults.clear()

    worker = start(**backlog)
    wait_until(lambda: number_of("succeeded", "payments.jobs.charge_queued") >= len(left), worker)

    assert worker.said.count("job_taken_up_again") == len(left)
    assert work.SILENT_SECONDS + 2 * work.BEAT_SECONDS < 60


def test_what_it_had_no_time_to_end_another_worker_takes_up_at_once(start, backlog, stripe):
    stopped = start("work", "--only", "payments", "--grace=0.1", **backlog)
    wait_until(lambda: len(stripe.faults.held) == LANES["payments"], stopped)
    assert stopped.stop() == 0
    left = ProcrastinateJob.objects.filter(status="doing")
    assert left.count() == LANES["payments"]
    assert not left.exclude(worker=None).exists()


def test_t44_a_slow_job_does_not_keep_it_from_going_on_after_an_outage(start, backlog, stripe):
    with way.to_the_database() as road:
        road.open()
        worker = start(**backlog | {"DATABASE_URL": road.url})
        wait_until(lambda: len(stripe.faults.held) == LANES["payments"], worker)
        road.close()
        wait_until(lambda: "worker_lost_database" in worker.said, worker)
        other = defer()
        road.open()

        wait_until(lambda: is_done(other), worker)

        assert len(stripe.faults.held) >= LANES["payments"]


# What a job leaves to a job.


def test_what_a_job_defers_in_a_transaction_is_there_once_that_has_committed():
    connector = work._Connector(kwargs={})
    with app.replace_connector(connector), contextlib.suppress(ZeroDivisionError):
        with transaction.atomic():
            defer()
            raise ZeroDivisionError

    assert not ProcrastinateJob.objects.exists()


def test_t49_a_job_that_only_a_newer_release_knows_waits_for_its_worker(start):
    newer = app.configure_task("api.jobs.of_a_newer_release", allow_unknown=True).defer()
    waits = ProcrastinateJob.objects.filter(pk=newer, status="todo", scheduled_at__isnull=False)
    known = defer()
    worker = start()

    wait_until(lambda: is_done(known) and waits.exists(), worker)
    # And goes on to be asked for, by any worker.
    assert waits.get().scheduled_at > clock.now()
    assert "job_of_newer_release" in worker.said


def test_a_job_that_asks_for_more_than_there_is_ends_as_any_other():
    """asyncio hands on every error but this one, for which a lane would wait for ever."""

    def asks(timestamp: int) -> Any:
        return next(iter(()))

    [contained, *_] = work._Work({"default": 1}, grace=1)._worker("default", 1).task_middleware

    with pytest.raises(RuntimeError):
        contained(lambda: asks(0), None, None)
    assert contained(lambda: "done", None, None) == "done"
