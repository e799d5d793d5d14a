"""What a monitoring system reads at /metrics. docs/operations.md says which numbers to watch."""

import hmac
from collections.abc import Iterable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from api import clock
from api.views import not_found
from orders.models import AuditResult
from payments.services import recovery


class _OpenPayments(Collector):
    """Counts that are read on request, so that every process gives the same answer."""

    def collect(self) -> Iterable[GaugeMetricFamily]:
        count = GaugeMetricFamily(
            "holdfast_payments_open",
            "Payments, captures, voids and refunds whose outcome nobody knows yet.",
            labels=["gateway"],
        )
        age = GaugeMetricFamily(
            "holdfast_payments_open_oldest_seconds",
            "For how long the oldest of them has been open.",
            labels=["gateway"],
        )
        now = clock.now()
        for row in recovery.unresolved():
            count.add_metric([row.gateway], row.count)
            age.add_metric([row.gateway], (now - row.since).total_seconds())
        return [count, age]


class _Audits(Collector):
    """What the last audit of each kind has found, for all processes."""

    def collect(self) -> Iterable[GaugeMetricFamily]:
        differences, age, seconds = (
            GaugeMetricFamily(f"holdfast_audit_{name}", text, labels=["kind"])
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
        return [differences, age, seconds]


_registry = CollectorRegistry(auto_describe=False)
_registry.register(_OpenPayments())
_registry.register(_Audits())


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer callers with METRICS_TOKEN as their bearer token; in the demo, all on loopback."""
    if not _may_read(request):
        return not_found(request, PermissionError())
    return HttpResponse(generate_latest(_registry), content_type=CONTENT_TYPE_LATEST)


def _may_read(request: HttpRequest) -> bool:
    if not settings.METRICS_TOKEN:
        return bool(settings.HOLDFAST_DEMO)
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return hmac.compare_digest(token.encode(), settings.METRICS_TOKEN.encode())
