"""What every page for people shares."""

import hashlib
import re
import threading
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters, csrf_protect_m
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import models
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.datastructures import MultiValueDict
from unfold.admin import ModelAdmin

from api import clock
from api.actors import Actor
from api.errors import Busy, Refusal
from api.idempotency import Answered, Key, KeyReused, require_new
from api.ids import uuid7
from api.passwords import PasswordsBusy
from api.spreadsheets import csv_response
from backoffice.history import HistoryAdmin

PER_PAGE = 25
# How many rows of an export are in memory together.
EXPORT_ROWS = 2_000
CSRF_FIELD = "csrfmiddlewaretoken"
ONCE_LENGTH_MAX = 64


class _NoTransactionOfItsOwn(admin.ModelAdmin):
    """Django's admin handles a form inside a transaction; services begin and retry their own."""

    # Django's, unknown to the stubs.
    _changeform_view: Callable[..., Any]
    _delete_view: Callable[..., Any]

    @csrf_protect_m
    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        return self._changeform_view(request, object_id, form_url, extra_context)

    @csrf_protect_m
    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> Any:
        return self._delete_view(request, object_id, extra_context)


class ServiceAdmin(HistoryAdmin, _NoTransactionOfItsOwn):
    """A page whose `save_model` calls a service; what the service refuses stands on the form."""

    list_per_page = PER_PAGE
    show_facets = admin.ShowFacets.NEVER
    # Django's only bulk action deletes rows behind the services' back.
    actions = None
    # The field that a refusal is about; any other stands above the form.
    refusal_fields: ClassVar[dict[type[Refusal], str]] = {}

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except PasswordsBusy:
            # To hash the password for the form again would be one more.
            raise
        except Refusal as refusal:
            # Nothing has changed: show the same form again, with the refusal as its error.
            request.refusal = refusal  # type: ignore[attr-defined]
            return super().changeform_view(request, object_id, form_url, extra_context)

    def get_form(
        self,
        request: HttpRequest,
        obj: models.Model | None = None,
        change: bool = False,
        **kwargs: Any,
    ) -> type[forms.ModelForm]:
        form = super().get_form(request, obj, change=change, **kwargs)
        if obj and not issubclass(form, EditForm):
            form = type(form.__name__, (EditForm, form), {})
        refusal: Refusal | None = getattr(request, "refusal", None)
        if refusal is None:
            return form
        field = self.refusal_fields.get(type(refusal))

        class Refused(form):  # type: ignore[valid-type,misc]
            def clean(self) -> Any:
                cleaned = super().clean()
                self.add_error(field, str(refusal))
                return cleaned

        return Refused


class ReadOnlyAdmin(ModelAdmin):
    """Pages to look at: whoever may view may do nothing else, a superuser included."""

    list_per_page = PER_PAGE
    # Counting every filter's rows takes longer the more there are.
    show_facets = admin.ShowFacets.NEVER
    actions: Any = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


# How many files of a process are fetched at a time. Whoever does not read on holds a thread.
EXPORTS_MAX = 2
_exports = threading.BoundedSemaphore(EXPORTS_MAX)


def exported(
    name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> StreamingHttpResponse:
    """Answer with a CSV file. Raises: Busy, while others fetch theirs."""
    with _turn_to_export():
        response = csv_response(name, columns, rows)
    response.streaming_content = _in_turn(response.streaming_content)
    return response


def _in_turn(lines: Any) -> Iterator[Any]:
    with _turn_to_export():
        yield from lines


@contextmanager
def _turn_to_export() -> Iterator[None]:
    if not _exports.acquire(blocking=False):
        raise Busy("Other files are being fetched at this moment. Please try again.")
    try:
        yield
    finally:
        _exports.release()


class ExportingAdmin(ModelAdmin):
    """A list that can be had as a CSV file too, filtered and searched as it stands."""

    export_name: ClassVar[str]
    export_columns: ClassVar[Sequence[str]]
    # Besides the permission to see the list.
    export_permission: ClassVar[str]

    def export_rows(self, listed: models.QuerySet[Any]) -> Iterable[Sequence[Any]]:
        raise NotImplementedError

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        export = path("export/", self.admin_site.admin_view(self.export_view), name=name)
        return [export, *super().get_urls()]

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        if not self.has_view_permission(request) or not request.user.has_perm(
            self.export_permission
        ):
            raise PermissionDenied
        try:
            listed = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            return redirect("../")
        day = timezone.localtime(clock.now()).date()
        name = f"{self.export_name}-{day}.csv"
        return exported(name, self.export_columns, self.export_rows(listed))


def moment(at: datetime) -> str:
    """Write a time as people read it: in the store's time zone, which it names."""
    return timezone.localtime(at).strftime("%Y-%m-%d %H:%M:%S %Z")


def units(quantity: int) -> str:
    return "1 unit" if quantity == 1 else f"{quantity} units"


def is_number(written: str) -> bool:
    """Tell whether this is a whole number that fits the database's bigint."""
    return written.isdecimal() and len(written) <= 18


def uuid_of(written: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(written)
    except ValueError:
        return None


def actor_of(request: HttpRequest) -> Actor:
    return Actor.person(request.user)


def no_place_for(gone: Iterable[str]) -> str:
    return (
        f"There is no place for {', '.join(gone)} any more, so nothing was done. Look at the form "
        "as it is now."
    )


class WholeForm(forms.BaseForm):
    """A form that is done as a whole or not at all: nothing that was typed is dropped unsaid.

    Between drawing and sending, a field may have lost its place: its currency was disabled, its
    units came back already. Names that begin with an underscore are buttons.
    """

    # What the page sends beside the fields.
    beside: ClassVar[Collection[str]] = ()
    # Why it was not done, though there is nothing wrong with it.
    refusal: Refusal | None = None

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if gone := [self.label_of(name) for name in self.data if self._is_gone(name)]:
            self.add_error(None, no_place_for(gone))
        return cleaned

    def label_of(self, name: str) -> str:
        """Name a field that is gone, as people knew it."""
        return f'"{name[:60]}"'

    def _is_gone(self, name: str) -> bool:
        if name.startswith("_") or name == CSRF_FIELD or name in self.beside:
            return False
        return name.removeprefix("initial-") not in self.fields


class WholeNumberField(forms.IntegerField):
    """A whole number without a point in it: for many people 12.000 is twelve thousand, not 12."""

    re_decimal = re.compile(r"(?!)")


def is_missing(form: forms.BaseForm, name: str) -> bool:
    """Tell whether what was sent lacks a field that every browser sends: not so a box unticked."""
    widget = form.fields[name].widget
    return widget.value_omitted_from_data(form.data, form.files, form.add_prefix(name))


class _HiddenList(forms.MultipleHiddenInput):
    """Says also of a list with nothing in it that it was there."""

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        return super().get_context(name, ["", *(value or [])], attrs)

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:
        return [value for value in super().value_from_datadict(data, files, name) or [] if value]


class EditForm(forms.BaseForm):
    """A form about what is there already, which two people may have open at once.

    It changes what was changed on it, so that two people's changes can both stand. Where both
    changed the same, who comes second is told, and sends it again or lets it be.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.carry()

    def carry(self) -> None:
        """Hide beside every field what stands in it as the form is opened.

        Not beside one that nobody can type into, such as a password's hash.
        """
        for field in self.fields.values():
            field.show_hidden_initial = not field.disabled
            if issubclass(field.hidden_widget, forms.MultipleHiddenInput):
                field.hidden_widget = _HiddenList

    @cached_property
    def changed_data(self) -> list[str]:
        """What differs from the form as it was opened, in which a field may have been missing."""
        return [
            name
            for name in self.fields
            if self._was_there(name) and self._typed(name) != self._opened_with(name)
        ]

    def _was_there(self, name: str) -> bool:
        if self[name].html_initial_name not in self.data:
            return name in self.data
        return not is_missing(self, name)

    @property
    def seen(self) -> dict[str, Any]:
        """What was there, of all that is changed, when the form was found to be in order."""
        return {name: self[name].initial for name in self.changed_data}

    def clean(self) -> dict[str, Any]:
        for name in self.cleaned_data.keys() - set(self.changed_data):
            # What was left alone stays as it is by now.
            self.cleaned_data[name] = self[name].initial
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if gone := self._gone():
            self.add_error(None, no_place_for(gone))
        for name in self.changed_data:
            if self._now(name) not in (self._opened_with(name), self._typed(name)):
                self._tell(name)
        return cleaned

    def _gone(self) -> list[str]:
        """What was on the form when it was opened. A form that is whole looks for more itself."""
        if isinstance(self, WholeForm):
            return []
        names = [sent.removeprefix("initial-") for sent in self.data if sent[:8] == "initial-"]
        return [f'"{name[:60]}"' for name in names if name not in self.fields]

    def _tell(self, name: str) -> None:
        now = self._written(name)
        # Told of it, whoever sends the form again has seen it.
        hidden = self[name].html_initial_name
        if isinstance(self.data, MultiValueDict):
            # Where a field has several values, it keeps them all.
            data = self.data.copy()
            data.setlist(hidden, ["", *now] if isinstance(now, list) else [now])
            self.data = data
        else:
            self.data = {**self.data, hidden: now}
        self.add_error(
            name,
            f"Somebody changed it since this form was opened: it is {self._told(name, now)} now. "
            "Send the form again if yours is to stand.",
        )

    def _told(self, name: str, written: Any) -> str:
        """Say it as people know it: roles and permissions by their names."""
        field = self.fields[name]
        if isinstance(field, forms.ModelMultipleChoiceField) and field.queryset and written:
            written = ", ".join(str(each) for each in field.queryset.filter(pk__in=written))
        return str(written or "empty")

    def _written(self, name: str) -> Any:
        return self.fields[name].prepare_value(self[name].initial)

    def _typed(self, name: str) -> Any:
        return self._read(name, self[name].data)

    def _now(self, name: str) -> Any:
        return self._read(name, self._written(name))

    def _opened_with(self, name: str) -> Any:
        hidden = self[name].html_initial_name
        if hidden not in self.data:
            return self._now(name)
        widget = self.fields[name].hidden_widget()
        return self._read(name, widget.value_from_datadict(self.data, self.files, hidden))

    def _read(self, name: str, written: Any) -> Any:
        """Read what was written, in which browsers end lines in their own way."""
        try:
            value = self.fields[name].to_python(written)
        except ValidationError:
            value = written
        if not isinstance(value, str):
            return value
        text = "\n".join(value.splitlines())
        return text.strip() if getattr(self.fields[name], "strip", True) else text


class OnceForm(WholeForm, forms.Form):
    """A form that happens once, however often its button is pressed."""

    once = forms.CharField(max_length=ONCE_LENGTH_MAX, required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **options})
        self.fields["once"].initial = _new_key()

    def key(self, request: HttpRequest) -> Key | None:
        """Make the idempotency key of what was sent, as an API client would."""
        once = self.data.get("once", "")
        if not 0 < len(once) <= ONCE_LENGTH_MAX:
            return None
        sent = sorted(item for item in self.data.items() if item[0] not in {CSRF_FIELD, "seen"})
        return Key(
            client_id=f"user:{request.user.pk}",
            method="POST",
            path=request.path_info,
            key=once,
            fingerprint=hashlib.sha256(repr(sent).encode()).hexdigest(),
            claim_id=uuid7(),
        )

    def is_to_be_seen_again(self, request: HttpRequest, **now: str) -> None:
        """Prepare what was sent, and refused, for being shown and sent once more.

        What was typed stays where it still has a place, beside what is to be seen `now`. A key that
        is on record was good for this once: whoever sends the form again means something new.
        """
        _ = self.errors
        typed = {name: self.data[name] for name in self.fields if name in self.data}
        try:
            require_new(self.key(request))
        except (Answered, KeyReused):
            typed["once"] = _new_key()
        self.data = {**typed, **now}


def _new_key() -> str:
    return uuid.uuid4().hex
