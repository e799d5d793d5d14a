"""The pages of sheets: upload, what a file will do, how far it is, what it did."""

import uuid
from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import display
from unfold.widgets import UnfoldAdminFileFieldWidget

from api.errors import Refusal
from backoffice.actions import Action, Case, SeeingForm, carry_out, written_standing
from backoffice.base import ReadOnlyAdmin, actor_of
from backoffice.dates import moment, said
from backoffice.history import NOTHING
from backoffice.missing import missing
from backoffice.sheets import lines, mapping, shown
from backoffice.sheets.mapping import ColumnsForm
from backoffice.sheets.refused import refused_file
from backoffice.sheets.told import told_prices
from backoffice.uploads import takes_files
from inventory.models import Sheet
from inventory.services.sheets import processing
from inventory.services.sheets.tables import BYTES_MAX, LINES_MAX

# There is nothing yet to be said of the lines.
_NOT_CHECKED = (
    Sheet.State.READING,
    Sheet.State.UNREADABLE,
    Sheet.State.MAPPING,
    Sheet.State.CHECKING,
)
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


class UploadForm(forms.Form):
    file = forms.FileField(
        label="CSV or Excel file",
        label_suffix="",
        allow_empty_file=True,
        widget=UnfoldAdminFileFieldWidget({"accept": ".csv,.txt,.tsv,.xlsx,.xlsm,text/csv"}),
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
    # The sheet to be seen afterwards, if it is another one.
    then: uuid.UUID | None = None

    def __init__(self, data: Any, *, sheet: Sheet | None = None) -> None:
        super().__init__(data, auto_id=False)
        if sheet:
            self.fields["seen"].initial = written_standing(sheet.standing())


@admin.register(Sheet)
class SheetAdmin(ReadOnlyAdmin):
    nouns = ("import or count", "imports and counts")
    list_display = ["name", "what", "status", "result", "uploaded"]
    list_filter = ["kind", "source", "state"]
    search_fields = ["name"]
    search_help_text = "Name of the file"
    when_empty = "Upload a file of products, or of what you have counted on the shelves."
    ordering = ["-pk"]
    sortable_by = ()
    list_before_template = "admin/inventory/sheet/before.html"

    # The list.

    @display(description="what it holds")
    def what(self, sheet: Sheet) -> str:
        return _holds(sheet)

    @display(
        description="state", label={state.label: STATE_COLOURS[state] for state in Sheet.State}
    )
    def status(self, sheet: Sheet) -> str:
        return sheet.get_state_display()

    @display(description="comes to")
    def result(self, sheet: Sheet) -> str:
        if sheet.state in _NOT_CHECKED:
            return NOTHING
        errors = f", {sheet.refused:,} with errors" if sheet.refused else ""
        return f"{sheet.changed:,} changed{errors}"

    @display(description="made")
    def uploaded(self, sheet: Sheet) -> str:
        return format_html("{}, {}", moment(sheet.created_at), sheet.uploaded_by)

    # The pages.

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(shown.kinds_of(request))

    def get_urls(self) -> list[URLPattern]:
        def page(name: str, view: Callable[..., HttpResponseBase]) -> URLPattern:
            url = f"<uuid:sheet_id>/{name}/"
            return path(url, self.admin_site.admin_view(view), name=f"inventory_sheet_{name}")

        return [
            page("progress", self.progress_view),
            page("columns", self.columns_view),
            page("refused", self.refused_view),
            *(page(action.name, self._view_of(action)) for action in ACTIONS),
            *super().get_urls(),
        ]

    @takes_files(shown.SENDS_FILES, BYTES_MAX)
    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = UploadForm(request.POST, request.FILES) if request.method == "POST" else UploadForm()
        if form.is_valid():
            upload = form.cleaned_data["file"]
            try:
                sheet, is_new = processing.upload(
                    upload.name,
                    upload.read(),
                    actor=actor_of(request),
                    may=shown.kinds_of(request),
                    hidden=shown.hidden_from(request),
                )
            except Refusal as refusal:
                form.add_error("file", str(refusal))
            else:
                if is_new:
                    processing.hurry(sheet.pk)
                else:
                    messages.info(request, _known_before(sheet))
                return redirect("admin:inventory_sheet_change", sheet.pk)
        context = {
            "form": form,
            "lines_max": f"{LINES_MAX:,}",
            "megabytes_max": BYTES_MAX // 1_000_000,
            "zone": timezone.get_current_timezone_name(),
            "about": _about(request),
            "title": "Import",
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
        if sheet.state == Sheet.State.MAPPING and shown.kinds_of(request):
            form = ColumnsForm(None, sheet=sheet, hidden=shown.hidden_from(request))
            return self._columns_page(request, sheet, form)
        asked = request.GET.get("show", "")
        asked = asked if asked in shown.of(sheet).tabs else "all"
        context = {
            "sheet": sheet,
            "form": SheetForm(None, sheet=sheet),
            "holds": _holds(sheet),
            "numbers": _numbers(sheet),
            "colour": STATE_COLOURS[sheet.state],
            "may_apply": shown.may_apply(request, sheet),
            "of_kind": shown.of(sheet),
            "prices": told_prices(sheet),
            "asked": asked,
            "zone": timezone.get_current_timezone_name(),
            "title": sheet.name,
            "original": sheet,
        }
        if sheet.state not in _NOT_CHECKED:
            context["tabs"] = lines.tabs(sheet, asked)
            after, may = request.GET.get("after", ""), request.user.has_perm
            context["page"] = lines.page(sheet, asked, after, may)
        return self._page(request, "sheet.html", context)

    def columns_view(self, request: HttpRequest, sheet_id: uuid.UUID) -> HttpResponse:
        """Take what somebody says of the columns; where it does not do, show it again."""
        case = Case(request, sheet_id)
        if not shown.kinds_of(request) or not self.has_view_permission(request):
            raise PermissionDenied
        sheet = self.get_object(request, str(sheet_id))
        if request.method != "POST" or sheet is None or sheet.state != Sheet.State.MAPPING:
            return redirect("admin:inventory_sheet_change", sheet_id)
        form = ColumnsForm(request.POST, sheet=sheet, hidden=shown.hidden_from(request))
        if form.is_valid() and carry_out(case, lambda: mapping.choose(case, form), form):
            return redirect("admin:inventory_sheet_change", sheet_id)
        form.is_to_be_seen_again(request, seen=written_standing(sheet.standing()))
        return self._columns_page(request, sheet, form)

    def _columns_page(self, request: HttpRequest, sheet: Sheet, form: ColumnsForm) -> HttpResponse:
        context = {
            "sheet": sheet,
            "form": form,
            "lines": f"{sheet.lines_total:,}",
            "may_discard": shown.may_apply(request, sheet),
            "title": sheet.name,
            "original": sheet,
        }
        return self._page(request, "columns.html", context)

    def refused_view(self, request: HttpRequest, sheet_id: uuid.UUID) -> HttpResponseBase:
        sheet = self.get_object(request, str(sheet_id))
        if not self.has_view_permission(request):
            raise PermissionDenied
        if sheet is None or sheet.state in _NOT_CHECKED:
            return missing(self, request, str(sheet_id))
        return refused_file(sheet, request.user.has_perm)

    def progress_view(self, request: HttpRequest, sheet_id: uuid.UUID) -> HttpResponse:
        """Answer htmx with how far it is; once there is nothing to wait for, have it all shown."""
        sheet = self.get_object(request, str(sheet_id))
        if not self.has_view_permission(request, sheet):
            raise PermissionDenied
        if sheet is None or not sheet.is_under_way:
            return HttpResponse(headers={"HX-Refresh": "true"})
        context = {"sheet": sheet, "numbers": _numbers(sheet), "holds": _holds(sheet)}
        return TemplateResponse(request, "admin/inventory/sheet/progress.html", context)

    def _view_of(self, action: Action[Case[uuid.UUID]]) -> Callable[..., HttpResponse]:
        """Make the view behind a button: the file's page has said what it will do."""

        def view(request: HttpRequest, sheet_id: uuid.UUID) -> HttpResponse:
            case = Case(request, sheet_id)
            if not self.has_view_permission(request) or not shown.may_any(request):
                raise PermissionDenied
            sheet = self.get_object(request, str(sheet_id))
            if sheet is not None and not shown.may_apply(request, sheet):
                raise PermissionDenied
            form = SheetForm(request.POST if request.method == "POST" else None)
            then = sheet_id
            if form.is_valid():
                if action.carry_out(case, form) and action is DISCARD:
                    return redirect("admin:inventory_sheet_changelist")
                then = form.then or sheet_id
            else:
                for error in form.non_field_errors():
                    messages.error(request, str(error))
            return redirect("admin:inventory_sheet_change", then)

        return view

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        shared = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, f"admin/inventory/sheet/{template}", {**shared, **context})


def _apply(case: Case[uuid.UUID], form: SheetForm) -> str:
    processing.apply(
        case.subject,
        actor=case.actor,
        looked_at=form.cleaned_data["looked_at"],
        seen=form.saw,
        key=form.key(case.request),
    )
    processing.hurry(case.subject)
    return ""


def _revert(case: Case[uuid.UUID], form: SheetForm) -> str:
    key = form.key(case.request)
    processing.revert(case.subject, actor=case.actor, seen=form.saw, key=key)
    processing.hurry(case.subject)
    return ""


def _discard(case: Case[uuid.UUID], form: SheetForm) -> str:
    processing.discard(case.subject, seen=form.saw, key=form.key(case.request))
    return "It is discarded. Nothing was changed."


def _change_columns(case: Case[uuid.UUID], form: SheetForm) -> str:
    key = form.key(case.request)
    processing.change_columns(case.subject, actor=case.actor, seen=form.saw, key=key)
    return ""


def _try_again(case: Case[uuid.UUID], form: SheetForm) -> str:
    key = form.key(case.request)
    sheet = processing.try_again(case.subject, actor=case.actor, seen=form.saw, key=key)
    processing.hurry(sheet.pk)
    form.then = sheet.pk
    return "Here are the lines that were refused."


def _action(name: str, title: str, perform: Any, *, dangerous: bool = False) -> Action[Any]:
    # Which permission it takes depends on the sheet: see backoffice.sheets.shown.
    return Action(name, title, "", perform, dangerous=dangerous)


APPLY = _action("apply", "Apply", _apply)
REVERT = _action("revert", "Revert", _revert, dangerous=True)
DISCARD = _action("discard", "Discard", _discard)
CHANGE_COLUMNS = _action("change_columns", "Change columns", _change_columns)
AGAIN = _action("again", "Try the refused lines again", _try_again)
ACTIONS = (APPLY, REVERT, DISCARD, CHANGE_COLUMNS, AGAIN)


def _known_before(sheet: Sheet) -> str:
    return (
        f"This very file was uploaded before, {said(sheet.created_at)}, by "
        f"{sheet.uploaded_by}. Nothing was changed now: here is what became of it."
    )


def _holds(sheet: Sheet) -> str:
    if sheet.state in {Sheet.State.READING, Sheet.State.UNREADABLE}:
        return NOTHING
    lines = f"{sheet.lines_total:,} line{'' if sheet.lines_total == 1 else 's'}"
    return lines if sheet.state == Sheet.State.MAPPING else f"{lines} of {sheet.kind}"


def _about(request: HttpRequest) -> list[str]:
    """What files of the kinds that somebody may send look like, each said once."""
    return list(dict.fromkeys(shown.SHOWN[kind].about for kind in shown.kinds_of(request)))


_NUMBERS = (
    *("lines_total", "lines_done", "left_out", "changed", "unchanged", "refused"),
    "marked",
    *("units_added", "units_removed", "reverted", "not_reverted"),
)


def _numbers(sheet: Sheet) -> dict[str, str]:
    """The file's sums, as people read them."""
    return {name: f"{getattr(sheet, name):,}" for name in _NUMBERS}
