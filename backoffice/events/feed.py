"""The feed of events, to read: what happened, newest first, and who was told of it."""

from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from unfold.decorators import display

from api import clock
from backoffice.base import COUNTED, counted
from backoffice.dates import moment, said
from backoffice.events import subjects, words
from backoffice.walking import WalkedAdmin, WalkedList
from events.models import Delivery, Event
from events.services import sequencing
from events.services.moments import first_since

ABOUT_VAR = "about"
# The sequencer looks once a second.
IS_BEHIND_SECONDS = 10
DELIVERIES_SHOWN = 50


def events_url(subject: object) -> str:
    """Where the events of an order, a product or anything else are."""
    return f"{reverse('admin:events_event_changelist')}?{urlencode({ABOUT_VAR: str(subject)})}"


class TypeFilter(admin.SimpleListFilter):
    title = parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(type_, words.words(type_)) for type_ in words.TYPES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(type=self.value()) if self.value() else queryset


class AboutFilter(admin.SimpleListFilter):
    """Shown where somebody came from the page of an order or of a product."""

    title = "what it is about"
    parameter_name = ABOUT_VAR

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        subject = request.GET.get(ABOUT_VAR, "")
        return [(subject, subjects.called(subject))] if subject else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        asked = self.value()
        return queryset.filter(subject__in=subjects.about(asked)) if asked else queryset


class FeedList(WalkedList):
    """A page of the feed, in which what each event is about is looked up for all at once."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        for told in subjects.told(request, self.result_list):
            told.event.told = told  # type: ignore[attr-defined]


@admin.register(Event)
class EventAdmin(WalkedAdmin):
    """Never counted, and found by what is indexed only."""

    nouns = ("event", "events")
    list_display = ["what", "about", "when", "position"]
    list_display_links = ["what"]
    list_filter = [TypeFilter, AboutFilter]
    search_fields = ["=subject"]
    search_help_text = "An order's number, a product's SKU or barcode, or an id"
    when_empty = "Whatever changes in the shop is told here, for programs that follow it."
    ordering = ["-position"]
    leaps = True
    sortable_by = ()
    fields = ["what", "about", "when", "numbered", "position", "type", "id", "told_to", "document"]
    list_before_template = "admin/events/behind.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[Any]:
        return FeedList

    def get_object(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Event | None:
        event: Any = super().get_object(request, *args, **kwargs)
        if event:
            [event.told] = subjects.told(request, [event])
        return event

    def leap(self, moment: datetime) -> int:
        """The feed has an index by positions alone, which rise with time."""
        return first_since(moment)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        return super().changelist_view(request, {"behind": behind(), **(extra_context or {})})

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if search_term:
            queryset = queryset.filter(subject__in=subjects.sought(search_term))
        return queryset, False

    @display(description="what")
    def what(self, event: Any) -> str:
        said: str = event.told.words
        return said

    @display(description="about")
    def about(self, event: Any) -> str:
        return subjects.linked(event.told)

    @display(description="when")
    def when(self, event: Event) -> str:
        return moment(event.occurred_at)

    @display(description="in the feed since")
    def numbered(self, event: Event) -> str:
        return moment(event.numbered_at)

    @display(description="told to")
    def told_to(self, event: Event) -> str:
        deliveries = Delivery.objects.filter(event_id=event.id).select_related("integration")
        found = list(deliveries.order_by("pk")[:DELIVERIES_SHOWN])
        if not found:
            return "No integration observes it, or none was sent it yet."
        return format_html_join("", "{}<br>", ((_delivered(each),) for each in found))

    @display(description="what is told")
    def document(self, event: Any) -> str:
        if not event.told.is_visible:
            return "Only those see it who may see what it is about."
        return format_html(
            '<pre class="hf-example hf-wrapped" tabindex="0">{}</pre>',
            subjects.pretty(event.payload),
        )


def _delivered(delivery: Delivery) -> str:
    url = reverse("admin:events_delivery_change", args=[delivery.pk])
    return format_html(
        '<a class="hf-link" href="{}">{}</a>: {}', url, delivery.integration, delivery.state
    )


def behind() -> str:
    """Say how many changes wait to become events, where they have waited for long."""
    waiting = sequencing.waiting(COUNTED)
    if waiting.seconds < IS_BEHIND_SECONDS:
        return ""
    wait = "1 change waits" if waiting.rows == 1 else f"{counted(waiting.rows)} changes wait"
    since = clock.now() - timedelta(seconds=waiting.seconds)
    return (
        f"{wait} to be told since {said(since)}. The worker does it within a second: does it run?"
    )
