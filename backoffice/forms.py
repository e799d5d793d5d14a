"""Forms that drop nothing unsaid, overwrite nobody unsaid, and happen once."""

import hashlib
import re
import uuid
from collections.abc import Collection, Iterable
from functools import cached_property
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.datastructures import MultiValueDict

from api.errors import Refusal
from api.idempotency import Answered, Key, KeyReused, require_new
from api.ids import uuid7

CSRF_FIELD = "csrfmiddlewaretoken"
ONCE_LENGTH_MAX = 64


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

    # Django's.
    base_fields: ClassVar[dict[str, forms.Field]]
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
        declared = self.base_fields.get(name)
        return f'"{(declared and declared.label) or name[:60]}"'

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
    is_omitted: bool = widget.value_omitted_from_data(form.data, form.files, form.add_prefix(name))
    return is_omitted


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
            self.cleaned_data[name] = self._as_it_is(name)
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if gone := self._gone():
            self.add_error(None, no_place_for(gone))
        for name in self.changed_data:
            if self._now(name) not in (self._opened_with(name), self._typed(name)):
                self._tell(name)
        return cleaned

    def _as_it_is(self, name: str) -> Any:
        """Return what is there, as it would be typed: of one row not its key, but the row."""
        field, value = self.fields[name], self[name].initial
        if isinstance(field, forms.ModelMultipleChoiceField):
            return value
        return field.to_python(value) if isinstance(field, forms.ModelChoiceField) else value

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

    def plain_fields(self) -> list[forms.BoundField]:
        """Return what stands below each other, and in no table of its own."""
        return self.visible_fields()

    def once_more(self) -> str:
        """Make the key of a form that is sent after this one, and means something else."""
        return _new_key()

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
