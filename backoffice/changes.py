"""All that is on record, also of what is gone and has no page any more."""

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db.models import JSONField, QuerySet, Value
from django.http import HttpRequest
from django.utils.html import format_html_join
from unfold.decorators import display

from api.models import Change
from backoffice.dates import moment
from backoffice.history import HistoryAdmin, lines_of
from backoffice.walking import WalkedAdmin


@admin.register(Change)
class ChangeAdmin(WalkedAdmin):
    """Newest first; never counted, for it only grows."""

    list_display = ["when", "actor_name", "kind_of_thing", "thing_name", "what", "told"]
    list_filter = ["what"]
    when_empty = "Who changes a price, a setting or a right stands here, with what it was before."
    ordering = ["-pk"]
    sortable_by = ()
    fields = ["when", "actor_name", "kind_of_thing", "thing_name", "what", "told"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Change]:
        """Tell each entry what its reader may not see, such as costs: a column knows no reader."""
        hidden = {
            model._meta.label_lower: page.hidden_fields(request)
            for model, page in self.admin_site._registry.items()
            if isinstance(page, HistoryAdmin)
        }
        entries: QuerySet[Change] = super().get_queryset(request)
        return entries.annotate(hidden=Value(hidden, output_field=JSONField()))

    @display(description="when")
    def when(self, entry: Change) -> str:
        return moment(entry.at)

    @display(description="of")
    def kind_of_thing(self, entry: Change) -> str:
        return str(apps.get_model(entry.kind)._meta.verbose_name)

    @display(description="from what to what")
    def told(self, entry: Any) -> str:
        lines = lines_of(entry, apps.get_model(entry.kind), entry.hidden.get(entry.kind, []))
        return format_html_join("", "<div>{}</div>", ((str(line),) for line in lines))
