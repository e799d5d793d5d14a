"""The page of what the last comparison of log, stock and orders found."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.timesince import timesince

from api import clock
from backoffice.base import ReadOnlyAdmin
from orders.models import AuditResult
from payments.services import audit

# The worker compares every hour.
OVERDUE = timedelta(hours=2)


@dataclass(frozen=True)
class Compared:
    result: AuditResult
    age: timedelta

    @property
    def is_overdue(self) -> bool:
        return self.age > OVERDUE

    @property
    def ago(self) -> str:
        checked_at = self.result.checked_at
        is_new = self.age < timedelta(minutes=1)
        return "just now" if is_new else f"{timesince(checked_at, checked_at + self.age)} ago"

    @property
    def compared(self) -> str:
        """Say how much was looked at."""
        stocks, entries = self.result.stocks, self.result.entries
        products = f"{stocks:,} product{'' if stocks == 1 else 's'} with stock"
        return f"{products} and {entries:,} movement{'' if entries == 1 else 's'} of them"


def last() -> Compared | None:
    """What the last comparison of log, stock and orders found; None before the first."""
    result = AuditResult.objects.first()
    return Compared(result, clock.now() - result.checked_at) if result else None


@admin.register(AuditResult)
class AuditAdmin(ReadOnlyAdmin):
    def get_urls(self) -> list[URLPattern]:
        views = {"": self.page_view, "compare-now/": self.compare_now_view}
        names = {"": "changelist", "compare-now/": "compare_now"}
        return [
            path(at, self.admin_site.admin_view(view), name=f"orders_auditresult_{names[at]}")
            for at, view in views.items()
        ]

    def page_view(self, request: HttpRequest) -> HttpResponse:
        self._require_seen(request)
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Audit",
            "audit": last(),
            "is_under_way": audit.is_under_way(),
        }
        return TemplateResponse(request, "admin/orders/audit.html", context)

    def compare_now_view(self, request: HttpRequest) -> HttpResponse:
        """Leave it to the worker: it reads the whole log."""
        self._require_seen(request)
        if request.method == "POST":
            is_new = audit.ask()
            told = "The worker compares now." if is_new else "It is being compared already."
            messages.info(request, f"{told} Load this page again to see what it finds.")
        return redirect("admin:orders_auditresult_changelist")

    def _require_seen(self, request: HttpRequest) -> None:
        """Raises: PermissionDenied."""
        if not self.has_view_permission(request):
            raise PermissionDenied
