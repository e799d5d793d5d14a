"""The pages of counting by file: upload, what it will do, how far it is, what it did."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from unfold.decorators import display
from unfold.widgets import UnfoldAdminFileFieldWidget

from api.errors import Refusal
from backoffice.actions import Action, Case, SeeingForm, written_standing
from backoffice.base import PER_PAGE, ReadOnlyAdmin, actor_of, moment
from backoffice.missing import missing
from backoffice.uploads import takes_files
from inventory.models import CountLine, Sheet
from inventory.services.sheets import processing
from inventory.services.sheets.count_csv import BYTES_MAX, LINES_MAX

MAY_COUNT = "inventory.change_stock"
STATE_COLOURS = {
    Sheet.State.READING: "warning",
    Sheet.State.UNREADABLE: "danger",
    Sheet.State.MAPPING: "info",
    Sheet.State.CHECKING: "warning",
    Sheet.State.CHECKED: "info",
    Sheet.State.APPLYING: "warning",
    Sheet.State.APPLIED: "success",
    Sheet.State.REVERTING: "warning",
    Sheet.State.REVERTED: None,
}
# What of a file's lines is shown, and the condition on them.
SHOWN = {
    "all": ("All lines", Q()),
    "changes": ("Changes", Q(error="") & ~Q(change=0)),
    "marked": ("Marked", Q(error="") & ~Q(mark="")),
    "errors": ("Errors", ~Q(error="")),
}


class UploadForm(forms.Form):
    file = forms.FileField(
        label="CSV file",
        label_suffix="",
        allow_empty_file=True,
        widget=UnfoldAdminFileFieldWidget({"accept": ".csv,.txt,.tsv,text/csv"}),
        error_messages={"required": "Choose a file."},
    )

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > BYTES_MAX:
            raise forms.ValidationError(
                f"The file has {file.size / 1e6:.0f} MB. Split it: at most "
                f"{BYTES_MAX / 1e6:.0f} MB are taken at once."
            )
        return file


class SheetForm(SeeingForm):
    """A button of a file's page, which shows by itself what has changed."""

    # Said of the marked lines when a file is applied.
    looked_at = forms.BooleanField(required=False)

    def __init__(self, data: Any, *, sheet: Sheet | None = None) -> None:
        super().__init__(data, auto_id=False)
        if sheet:
            self.fields["seen"].initial = written_standing(sheet.standing())


@admin.register(Sheet)
class SheetAdmin(ReadOnlyAdmin):
    list_display = ["name", "what", "status", "result", "uploaded"]
    list_filter = ["state", "kind"]
    search_fields = ["name"]
    search_help_text = "Name of the file"
    when_empty = "Upload one when you have counted the shelves."
    ordering = ["-pk"]
    sortable_by = ()
    list_before_template = "admin/inventory/sheet/before.html"

    # The list.

    @display(description="what it holds")
    def what(self, sheet: Sheet) -> str:
        return f"{sheet.lines_total:,} {sheet.kind}"

    @display(
        description="state", label={state.label: STATE_COLOURS[state] for state in Sheet.State}
    )
    def status(self, sheet: Sheet) -> str:
        return sheet.get_state_display()

    @display(description="comes to")
    def result(self, sheet: Sheet) -> str:
        errors = f", {sheet.refused:,} with errors" if sheet.refused else ""
        return f"{sheet.changed:,} changed{errors}"

    @display(description="uploaded")
    def uploaded(self, sheet: Sheet) -> str:
        return f"{moment(sheet.created_at)}, {sheet.uploaded_by}"

    # The pages.

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may_count(request)

    def get_urls(self) -> list[URLPattern]:
        def page(name: str, view: Callable[..., HttpResponseBase]) -> URLPattern:
            url = f"<uuid:sheet_id>/{name}/"
            return path(url, self.admin_site.admin_view(view), name=f"inventory_sheet_{name}")

        return [
            page("progress", self.progress_view),
            *(page(action.name, self._view_of(action)) for action in (APPLY, REVERT, DISCARD)),
            *super().get_urls(),
        ]

    @takes_files(MAY_COUNT, BYTES_MAX)
    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        if not may_count(request):
            raise PermissionDenied
        form = UploadForm(request.POST, request.FILES) if request.method == "POST" else UploadForm()
        if form.is_valid():
            upload = form.cleaned_data["file"]
            try:
                sheet, is_new = processing.upload(
                    upload.name, upload.read(), actor=actor_of(request)
                )
            except Refusal as refusal:
                form.add_error("file", str(refusal))
            else:
                if not is_new:
                    messages.info(request, _known_before(sheet))
                return redirect("admin:inventory_sheet_change", sheet.pk)
        context = {
            "form": form,
            "lines_max": f"{LINES_MAX:,}",
            "zone": timezone.get_current_timezone_name(),
            "title": "Count by file",
        }
        return self._page(request, "upload.html", context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        sheet = self.get_object(request, object_id)
        if sheet is None:
            return missing(self, request, object_id)
        if request.method not in {"GET", "HEAD"} or not self.has_view_permission(request, sheet):
            raise PermissionDenied
        shown = request.GET.get("show", "")
        shown = shown if shown in SHOWN else "all"
        context = {
            "sheet": sheet,
            "form": SheetForm(None, sheet=sheet),
            "numbers": _numbers(sheet),
            "colour": STATE_COLOURS[sheet.state],
            "may_count": may_count(request),
            "tabs": _tabs(sheet, shown),
            "shown": shown,
            "page": _lines_page(sheet, shown, request.GET.get("after", "")),
            "zone": timezone.get_current_timezone_name(),
            "title": sheet.name,
            "original": sheet,
        }
        return self._page(request, "sheet.html", context)

    def progress_view(self, request: HttpRequest, sheet_id: uuid.UUID) -> HttpResponse:
        """Answer htmx with how far it is; once there is nothing to wait for, have it all shown."""
        sheet = self.get_object(request, str(sheet_id))
        if not self.has_view_permission(request, sheet):
            raise PermissionDenied
        if sheet is None or not sheet.is_under_way:
            return HttpResponse(headers={"HX-Refresh": "true"})
        context = {"sheet": sheet, "numbers": _numbers(sheet)}
        return TemplateResponse(request, "admin/inventory/sheet/progress.html", context)

    def _view_of(self, action: Action[Case[uuid.UUID]]) -> Callable[..., HttpResponse]:
        """Make the view behind a button: the file's page has said what it will do."""

        def view(request: HttpRequest, sheet_id: uuid.UUID) -> HttpResponse:
            case = Case(request, sheet_id)
            if not case.may(action.permission) or not self.has_view_permission(request):
                raise PermissionDenied
            form = SheetForm(request.POST if request.method == "POST" else None)
            if form.is_valid():
                if action.carry_out(case, form) and action is DISCARD:
                    return redirect("admin:inventory_sheet_changelist")
            else:
                for error in form.non_field_errors():
                    messages.error(request, str(error))
            return redirect("admin:inventory_sheet_change", sheet_id)

        return view

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        shared = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, f"admin/inventory/sheet/{template}", {**shared, **context})


def may_count(request: HttpRequest) -> bool:
    return request.user.has_perm(MAY_COUNT)


def _apply(case: Case[uuid.UUID], form: SheetForm) -> str:
    processing.apply(
        case.subject,
        actor=case.actor,
        looked_at=form.cleaned_data["looked_at"],
        seen=form.saw,
        key=form.key(case.request),
    )
    return ""


def _revert(case: Case[uuid.UUID], form: SheetForm) -> str:
    key = form.key(case.request)
    processing.revert(case.subject, actor=case.actor, seen=form.saw, key=key)
    return ""


def _discard(case: Case[uuid.UUID], form: SheetForm) -> str:
    processing.discard(case.subject, seen=form.saw, key=form.key(case.request))
    return "The file is discarded. Nothing was changed."


APPLY = Action("apply", "Apply", MAY_COUNT, _apply)
REVERT = Action("revert", "Revert", MAY_COUNT, _revert, dangerous=True)
DISCARD = Action("discard", "Discard", MAY_COUNT, _discard)


def _known_before(sheet: Sheet) -> str:
    return (
        f"This very file was uploaded before, on {moment(sheet.created_at)} by "
        f"{sheet.uploaded_by}. Nothing was changed now: here is what became of it."
    )


_NUMBERS = (
    *("lines_total", "lines_done", "left_out", "changed", "unchanged", "refused"),
    "marked",
    *("units_added", "units_removed", "reverted", "not_reverted"),
)


def _numbers(sheet: Sheet) -> dict[str, str]:
    """The file's sums, as people read them."""
    return {name: f"{getattr(sheet, name):,}" for name in _NUMBERS}


@dataclass(frozen=True)
class LinesTab:
    label: str
    query: str
    lines: str
    is_shown: bool


def _tabs(sheet: Sheet, shown: str) -> list[LinesTab]:
    counts = sheet.lines.aggregate(
        **{name: Count("pk", filter=condition) for name, (_, condition) in SHOWN.items()}
    )
    return [
        LinesTab(label, f"?show={name}", f"{counts[name]:,}", name == shown)
        for name, (label, _) in SHOWN.items()
    ]


@dataclass(frozen=True)
class LinesPage:
    """Some of a file's lines: found by their numbers, so that every page costs the same."""

    lines: list[CountLine]
    # The number that the neighbouring page begins after; None where there is none.
    next: int | None
    previous: int | None


def _lines_page(sheet: Sheet, shown: str, after: str) -> LinesPage:
    _, condition = SHOWN[shown]
    lines = sheet.lines.filter(condition)
    begin = int(after) if after.isdecimal() and len(after) < 10 else 0
    page = list(_in_order(lines.filter(number__gt=begin))[: PER_PAGE + 1])
    before = list(lines.filter(number__lte=begin).order_by("-number")[:PER_PAGE])
    has_more = len(page) > PER_PAGE
    page = page[:PER_PAGE]
    return LinesPage(
        page,
        next=page[-1].number if has_more else None,
        previous=before[-1].number - 1 if before else None,
    )


def _in_order(lines: QuerySet[CountLine]) -> QuerySet[CountLine]:
    return lines.select_related("product").order_by("number")
