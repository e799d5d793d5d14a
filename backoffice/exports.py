"""Lists as CSV files: only so many are fetched at a time, since each holds a thread."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar

from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path
from unfold.admin import ModelAdmin

from api.errors import Busy
from api.spreadsheets import csv_response
from backoffice import dates

# How many rows of an export are in memory together.
EXPORT_ROWS = 2_000
# How many files of a process are fetched at a time. Whoever does not read on holds a thread.
EXPORTS_MAX = 2
# How long one more waits for its turn. Most files are fetched in far less.
TURN_SECONDS = 0.5
_exports = threading.BoundedSemaphore(EXPORTS_MAX)


def exported(
    name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> StreamingHttpResponse:
    """Answer with a CSV file. Raises: Busy, while others fetch theirs."""
    response = csv_response(name, columns, rows)
    lines = _in_turn(response.streaming_content)
    # Refused now or never: a file that has begun cannot say any more why there is nothing in it.
    next(lines)
    response.streaming_content = lines
    return response


def _in_turn(lines: Any) -> Iterator[Any]:
    """Yield nothing, once it is this file's turn, and then the lines. Closed, it ends the turn."""
    if not _exports.acquire(timeout=TURN_SECONDS):
        raise Busy
    try:
        yield b""
        yield from lines
    finally:
        _exports.release()


class ExportingAdmin(ModelAdmin):
    """A list that can be had as a CSV file too, filtered and searched as it stands."""

    export_name: ClassVar[str]
    export_columns: ClassVar[Sequence[str]]
    # Besides the permission to see the list.
    export_permissions: ClassVar[Sequence[str]]

    def export_rows(self, listed: models.QuerySet[Any]) -> Iterable[Sequence[Any]]:
        raise NotImplementedError

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        export = path("export/", self.admin_site.admin_view(self.export_view), name=name)
        return [export, *super().get_urls()]

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        return self.export_as(request, self.export_name, self.export_columns, self.export_rows)

    def export_as(
        self,
        request: HttpRequest,
        name: str,
        columns: Sequence[str],
        rows: Callable[[models.QuerySet[Any]], Iterable[Sequence[Any]]],
    ) -> HttpResponseBase:
        """Answer with the list, made into rows. Raises: PermissionDenied, Busy."""
        if not self.has_view_permission(request) or not request.user.has_perms(
            self.export_permissions
        ):
            raise PermissionDenied
        try:
            listed = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            return redirect("../")
        day = dates.today()
        return exported(f"{name}-{day}.csv", columns, rows(listed))
