"""What a monitoring system reads at /metrics. docs/operations.md says which numbers to watch."""

import hmac
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api import clock, metrics, workers
from api.lanes import LANES
from api.views import not_found
from events.services import standing
from orders.models import AuditResult
from payments.services import recovery

log = structlog.get_logger(__name__)


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"holdfast_{name}", text, labels=labels)


# What the database knows, for all machines. Each costs a statement.


def _open_payments() -> Iterator[Metric]:
    count = _gauge(
        "payments_open",
        "Payments, captures, voids and refunds whose outcome nobody knows yet.",
        "gateway",
    )
    age = _gauge(
        "payments_open_oldest_seconds", "For how long the oldest of them has been open.", "gateway"
    )
    now = clock.now()
    for row in recovery.unresolved():
        count.add_metric([row.gateway], row.count)
        age.add_metric([row.gateway], (now - row.since).total_seconds())
    yield from (count, age)


def _audits() -> Iterator[Metric]:
    differences, age, seconds = (
        _gauge(f"audit_{name}", text, "kind")
        for name, text in (
            ("differences", "How many differences the last audit has found."),
            ("age_seconds", "How long ago it was."),
            ("seconds", "How long it took."),
        )
    )
    now = clock.now()
    for result in AuditResult.objects.order_by("pk"):
        differences.add_metric([result.kind], result.differences)
        age.add_metric([result.kind], (now - result.checked_at).total_seconds())
        seconds.add_metric([result.kind], result.seconds)
    yield from (differences, age, seconds)


# The others are over, and deleted after a while.
_JOBS = """
SELECT queue_name, status::text, count(*) FROM procrastinate_jobs
WHERE status IN ('doing', 'failed') GROUP BY 1, 2
"""
_JOB_STATUS = {"doing": "running", "failed": "failed"}


def _jobs() -> Iterator[Metric]:
    count = _gauge(
        "jobs", "Jobs that could be done now, run, or have failed and are kept.", "queue", "status"
    )
    waits = _gauge("jobs_oldest_seconds", "For how long the oldest of them waits.", "queue")
    for queue in workers.waiting():
        count.add_metric([queue.name, "waiting"], queue.jobs)
        waits.add_metric([queue.name], queue.waits_for)
    for name, status, jobs in _rows(_JOBS):
        count.add_metric([name, _JOB_STATUS[status]], jobs)
    yield from (count, waits)


# Of a worker that has said nothing for so long nobody knows whether it lives.
_HEARD_SECONDS = 30


def _workers() -> Iterator[Metric]:
    count = _gauge("workers", "Job workers that serve a queue and were heard of lately.", "queue")
    heard = _gauge(
        "worker_heartbeat_seconds", "How long ago the latest of them was heard of.", "queue"
    )
    known = workers.known()
    for queue in LANES:
        silent = [worker.silent_for for worker in known if queue in worker.queues]
        count.add_metric([queue], sum(seconds < _HEARD_SECONDS for seconds in silent))
        if silent:
            heard.add_metric([queue], min(silent))
    yield from (count, heard)


def _told() -> Iterator[Metric]:
    """Tell how far others have been told of what happened."""
    outbox, integrations, behind, waiting, oldest = (
        _gauge("outbox_oldest_seconds", "For how long the oldest change waits to be numbered."),
        _gauge("integrations", "Programs that are told of events, by how it goes.", "state"),
        _gauge("events_behind", "How many events the last of them has not looked at."),
        _gauge("deliveries_waiting", "Deliveries that have failed and are tried again."),
        _gauge("deliveries_oldest_seconds", "For how long the oldest of them has waited."),
    )
    found = standing.told()
    outbox.add_metric([], found.outbox_seconds)
    for state, count in found.integrations.items():
        integrations.add_metric([state], count)
    behind.add_metric([], found.behind)
    waiting.add_metric([], found.waiting)
    oldest.add_metric([], found.waiting_seconds)
    yield from (outbox, integrations, behind, waiting, oldest)


def _sessions() -> Iterator[Metric]:
    """Tell what the connections of our role do, on all machines and behind any pooler."""
    count = _gauge("database_connections", "Connections of Holdfast's role, by state.", "state")
    waiting = _gauge("database_lock_waits", "How many of them wait for a lock now.")
    longest = _gauge("database_transaction_seconds", "How old the oldest open transaction is.")
    locks, seconds = 0, 0.0
    for state, connections, waits, oldest in _rows(
        "SELECT coalesce(state, 'unknown'), count(*),"
        " count(*) FILTER (WHERE wait_event_type = 'Lock'),"
        " extract(epoch FROM now() - min(xact_start))"
        " FROM pg_stat_activity"
        " WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()"
        " GROUP BY 1"
    ):
        count.add_metric([state.replace(" ", "_")], connections)
        locks += waits
        seconds = max(seconds, float(oldest or 0))
    waiting.add_metric([], locks)
    longest.add_metric([], seconds)
    yield from (count, waiting, longest)


def _rows(statement: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


_OF_DATABASE: tuple[Callable[[], Iterator[Metric]], ...] = (
    _open_payments,
    _audits,
    _jobs,
    _workers,
    _told,
    _sessions,
)


class _Database(Collector):
    """Read on request, so that every process gives the same answer."""

    def collect(self) -> Iterable[Metric]:
        up = _gauge("database_up", "Whether the database answers.")
        seconds = _gauge("database_scrape_seconds", "How long it took to tell all of this.")
        began, told = time.perf_counter(), list[Metric]()
        try:
            for tell in _OF_DATABASE:
                told += tell()
            up.add_metric([], 1)
        except DatabaseError as error:
            # The processes know much without it, and just then somebody wants to see it.
            log.warning("metrics_without_database", error=str(error))
            up.add_metric([], 0)
        seconds.add_metric([], time.perf_counter() - began)
        return [*told, up, seconds]


@require_safe
def exposed(request: HttpRequest) -> HttpResponse:
    """Answer callers with METRICS_TOKEN as their bearer token; in the demo, all on loopback."""
    if not _may_read(request):
        return not_found(request, PermissionError())
    with metrics.at_rest():
        own = generate_latest(metrics.registry())
    told = own + generate_latest(_Database())
    return HttpResponse(told, content_type=CONTENT_TYPE_LATEST)


@require_safe
def version(request: HttpRequest) -> HttpResponse:
    """Say which version this is to those who may read the numbers.

    To nobody else, since it tells which faults are still in it.
    """
    if not _may_read(request):
        return not_found(request, PermissionError())
    return JsonResponse(metrics.about_build(), headers={"Cache-Control": "no-store"})


def _may_read(request: HttpRequest) -> bool:
    if not settings.METRICS_TOKEN:
        return bool(settings.HOLDFAST_DEMO)
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return hmac.compare_digest(token.encode(), settings.METRICS_TOKEN.encode())
