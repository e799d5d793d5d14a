"""The forms of integrations, and the events that are ticked on them."""

import re
from collections.abc import Iterable
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminTextareaWidget

from backoffice.events import words
from events.models import Integration
from events.services import addresses, kinds

# What stands for all types of a kind, as in "order.*".
_ALL = ".*"


class TypesWidget(forms.CheckboxSelectMultiple):
    """A box for each type, and one for all of a kind, which means them all when it is ticked."""

    class Media:
        js = ("backoffice/event_boxes.js",)

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:
        sent = {str(each) for each in super().value_from_datadict(data, files, name) or []}
        every = {each.removesuffix(_ALL) for each in sent if each.endswith(_ALL)}
        chosen = {each for each in sent if not each.endswith(_ALL)}
        chosen |= {type_ for type_ in kinds.TYPES if type_.rpartition(".")[0] in every}
        return _sorted(chosen)

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        ticked = {str(each) for each in value or ()}
        groups = []
        for many, types in words.grouped({*kinds.TYPES, *ticked}):
            boxes = [(type_, said, type_ in ticked) for type_, said in types]
            every = f"{types[0][0].rpartition('.')[0]}{_ALL}" if len(types) > 1 else ""
            groups.append((many, every, boxes))
        return render_to_string("admin/events/types.html", {"name": name, "groups": groups})

    def id_for_label(self, id_: str, index: str | None = None) -> str:
        """The boxes have labels of their own."""
        return ""


class TypesField(forms.MultipleChoiceField):
    widget = TypesWidget
    default_error_messages: ClassVar = {
        "required": "Tick at least one: it would be told nothing.",
        "invalid_choice": "There is no event %(value)s.",
    }

    def __init__(self, **options: Any) -> None:
        super().__init__(choices=[(type_, type_) for type_ in sorted(kinds.TYPES)], **options)

    def to_python(self, value: Any) -> list[str]:
        return _sorted(super().to_python(value))

    def prepare_value(self, value: Any) -> list[str]:
        return _sorted(value or ())


def _sorted(types: Iterable[str]) -> list[str]:
    """Bring types into one order, so that a form knows whether it was changed."""
    places = {type_: place for place, type_ in enumerate(words.TYPES)}
    return sorted(types, key=lambda type_: (places.get(type_, len(places)), type_))


class IntegrationForm(forms.ModelForm):
    observes = TypesField(label="It is told of")

    class Meta:
        model = Integration
        fields = ["name", "url", "secret_key", "observes", "description", "enabled"]
        labels: ClassVar = {"url": "URL", "secret_key": "Secret key"}
        widgets: ClassVar = {"description": UnfoldAdminTextareaWidget({"rows": 3})}
        help_texts: ClassVar = {
            "name": "By which people know it.",
            "url": "Where events are sent to, by POST. It answers 2xx when it has taken one.",
            "secret_key": "Sent as it is with every event, in X-MOLTIN-SECRET-KEY. It may be "
            "empty: all events are signed, by a secret that is shown once it is saved.",
            "enabled": "Off: it is told nothing until it is enabled.",
        }

    def clean_url(self) -> str:
        url = str(self.cleaned_data["url"])
        if fault := addresses.fault_of(url):
            raise ValidationError(fault, code="url")
        return url

    def clean_secret_key(self) -> str:
        secret = str(self.cleaned_data["secret_key"])
        # It goes into a header as it is.
        if secret and not re.fullmatch("[!-~]([ -~]*[!-~])?", secret):
            raise ValidationError("Letters, digits and signs of ASCII only.", code="characters")
        return secret
