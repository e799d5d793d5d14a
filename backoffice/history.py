"""The history of a thing, in words: from the record of what was set, which stays when people go."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django.core.exceptions import FieldDoesNotExist, PermissionDenied
from django.db.models import DateTimeField, Field, Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.text import Truncator
from unfold.admin import ModelAdmin

from api.models import Change
from backoffice.missing import missing

ENTRIES_A_PAGE = 25
# For those about some fields.
LOOKED_THROUGH = 200
# Of a value; the record has all of it.
LENGTH_SHOWN = 200
NOTHING = "\N{EN DASH}"
# Where the model has no word for people.
_WORDS = {
    "sku": "SKU",
    "image_url": "Image URL",
    "archived_at": "Deleted at",
    "secret_sha256": "Secret",
    "is_active": "May log in",
}


@dataclass(frozen=True)
class Line:
    """What became of one field; of a secret nothing but that it changed."""

    label: str
    before: str
    after: str
    is_secret: bool
    is_new: bool

    def __str__(self) -> str:
        if self.is_secret:
            return f"{self.label}: changed"
        before = "" if self.is_new else f"{_shortened(self.before)} \N{RIGHTWARDS ARROW} "
        return f"{self.label}: {before}{_shortened(self.after)}"


def _shortened(text: str) -> str:
    return Truncator(text).chars(LENGTH_SHOWN)


@dataclass(frozen=True)
class HistoryPage:
    """Entries with their lines, newest first. `older` is where the next page begins, if any."""

    entries: list[tuple[Change, list[Line]]]
    older: int | None


def history_of(
    row: Model,
    before: str = "",
    length: int = ENTRIES_A_PAGE,
    *,
    hidden: Collection[str],
    only: Callable[[str], bool] | None = None,
) -> HistoryPage:
    """Read a page of a thing's history, those before the given number or the newest.

    It is found in an index: every page costs the same. Of fields that are hidden it says only that
    they changed. If it is `only` about some fields, so many entries are looked through for them: a
    page may have few, or none, and older ones all the same.
    """
    found = Change.objects.filter(kind=row._meta.label_lower, thing_id=str(row.pk))
    if before.isascii() and before.isdecimal() and len(before) <= 18:
        found = found.filter(pk__lt=int(before))
    most = LOOKED_THROUGH if only else length
    rows = list(found.order_by("-pk")[: most + 1])
    last = rows[most - 1].pk if len(rows) > most else None
    entries = [(entry, _lines_about(entry, type(row), hidden, only)) for entry in rows[:most]]
    if only:
        entries = [(entry, lines) for entry, lines in entries if lines]
    if len(entries) > length:
        last = entries[length - 1][0].pk
    return HistoryPage(entries[:length], last)


def lines_of(entry: Change, model: type[Model], hidden: Collection[str] = ()) -> list[Line]:
    return _lines_about(entry, model, hidden, None)


def _lines_about(
    entry: Change,
    model: type[Model],
    hidden: Collection[str],
    only: Callable[[str], bool] | None,
) -> list[Line]:
    is_new = entry.what == Change.What.CREATED
    return [
        _line({"field": name} if name in hidden else told, _field(model, name), is_new)
        for told in entry.fields
        for name in [told["field"]]
        if only is None or only(name)
    ]


def _field(model: type[Model], name: str) -> Any:
    try:
        return model._meta.get_field(name)
    except FieldDoesNotExist:
        # Of what belongs to the thing, such as a price; or a field of former days.
        return None


def _line(told: Mapping[str, Any], field: Any, is_new: bool) -> Line:
    name = told["field"]
    words = _WORDS.get(name) or str(getattr(field, "verbose_name", name.replace("_", " ")))
    values = [told.get("before"), told.get("after")]
    before, after = (_written(value, values, field) for value in values)
    label = words[:1].upper() + words[1:]
    return Line(label, before, after, is_secret="after" not in told, is_new=is_new)


def _written(value: Any, both: Sequence[Any], field: Any) -> str:
    if any(isinstance(each, bool) for each in both):
        return "yes" if value else "no"
    if value in (None, ""):
        return NOTHING
    if isinstance(field, DateTimeField) and (moment := parse_datetime(value)):
        return timezone.localtime(moment).strftime("%Y-%m-%d %H:%M:%S %Z")
    choices = dict(field.flatchoices) if isinstance(field, Field) else {}
    return str(choices.get(value, value))


class HistoryAdmin(ModelAdmin):
    """Pages of what is on record: its History is the record, and Django's own log is not kept.

    That log goes with the person who did it.
    """

    # Fields whose values not everybody may see who sees the rest, and the permission for each.
    private_fields: ClassVar[Mapping[str, str]] = {}

    def hidden_fields(self, request: HttpRequest) -> list[str]:
        return [
            name
            for name, permission in self.private_fields.items()
            if not request.user.has_perm(permission)
        ]

    def log_addition(self, *args: Any, **kwargs: Any) -> Any: ...

    def log_change(self, *args: Any, **kwargs: Any) -> Any: ...

    def log_deletions(self, *args: Any, **kwargs: Any) -> Any: ...

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> Any:
        shown = {**context, "is_on_record": True}
        return super().render_change_form(request, shown, *args, **kwargs)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is None:
            return missing(self, request, object_id)
        if not self.has_view_or_change_permission(request, row):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": row,
            "title": str(row),
            "subtitle": "History",
            "zone": timezone.get_current_timezone_name(),
            "history": history_of(
                row, request.GET.get("before", ""), hidden=self.hidden_fields(request)
            ),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/changes.html", context)
