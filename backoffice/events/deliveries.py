"""What integrations were sent, and what they answered."""

from typing import Any, NamedTuple
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from unfold.decorators import display

from api.errors import Refusal, Standing
from api.ids import first_id_of
from backoffice.actions import Action, ActionAdmin, ActionForm, Case
from backoffice.base import uuid_of
from backoffice.dates import moment
from backoffice.events import subjects, words
from backoffice.history import NOTHING
from backoffice.missing import missing
from backoffice.walking import WalkedAdmin, WalkedList
from events.errors import EventNotKept
from events.models import Delivery, DeliveryAttempt, Event, Integration
from events.services import deliveries, messages
from events.services.messages import Occurrence

MAY_RESEND = "events.change_integration"
ORIGINS = {
    Delivery.Origin.FEED: "It happened",
    Delivery.Origin.RESENT: "Sent again by hand",
    Delivery.Origin.TEST: "A test",
}
HIDDEN = "…"
COLOURS = {
    Delivery.State.WAITING: "warning",
    Delivery.State.DELIVERED: "success",
    Delivery.State.GIVEN_UP: "danger",
}


class DeliveryCase(Case[Delivery]):
    def standing(self) -> Standing:
        return {"delivery": self.subject.state}


def _resend(case: DeliveryCase, form: ActionForm) -> str:
    delivery_id = deliveries.resend(case.subject.pk, actor=case.actor, key=form.key(case.request))
    url = reverse("admin:events_delivery_change", args=[delivery_id])
    return format_html(
        'It is sent once more. <a class="hf-link" href="{}">See what comes back</a>', url
    )


def _require_resendable(case: DeliveryCase) -> None:
    delivery = case.subject
    if delivery.origin == Delivery.Origin.TEST:
        raise Refusal("It was a test. Send another one.")
    if delivery.state == Delivery.State.WAITING:
        raise Refusal("It is still on its way.")
    if not delivery.integration.enabled:
        raise Refusal(f"{delivery.integration} is disabled. Enable it first.")
    if not Event.objects.filter(id=delivery.event_id).exists():
        raise EventNotKept


RESEND: Action[DeliveryCase] = Action(
    "resend",
    "Send again",
    MAY_RESEND,
    _resend,
    effects=lambda case: [
        f"Sends {case.subject.integration} this event once more, with the same id, by which the "
        "program knows it if it has taken it before.",
    ],
    guard=_require_resendable,
    heading="Send it again?",
)


class StateFilter(admin.SimpleListFilter):
    title = parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, state.capitalize()) for state in Delivery.State.values]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(state=self.value()) if self.value() else queryset


class IntegrationFilter(admin.SimpleListFilter):
    """The integrations that there are, and not those that all deliveries name."""

    title = parameter_name = "integration"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        rows = Integration.objects.order_by("name", "pk").values_list("pk", "name")
        return [(str(pk), name) for pk, name in rows]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        asked = uuid_of(self.value() or "")
        return queryset.filter(integration=asked) if asked else queryset


class DeliveriesList(WalkedList):
    """A page of deliveries, in which what their events are about is looked up for all at once."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        ids = {delivery.event_id for delivery in self.result_list}
        told = subjects.told(request, list(Event.objects.filter(id__in=ids)))
        by_id = {each.event.id: each for each in told}
        for delivery in self.result_list:
            delivery.told = by_id.get(delivery.event_id)


@admin.register(Delivery)
class DeliveryAdmin(ActionAdmin, WalkedAdmin):
    """Newest first, and never counted: a row for each event and whoever is told of it."""

    nouns = ("delivery of an event", "deliveries of events")
    list_display = ["what", "about", "to", "standing", "attempts", "next_try", "created"]
    list_display_links = ["what"]
    list_filter = [IntegrationFilter, StateFilter]
    list_select_related = ["integration"]
    when_empty = "What integrations are sent is kept here, with what they answered."
    # Their ids rise with time.
    ordering = ["-pk"]
    leaps = True
    sortable_by = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[Any]:
        return DeliveriesList

    def leap(self, moment: Any) -> UUID:
        return first_id_of(moment)

    @display(description="what")
    def what(self, delivery: Delivery) -> str:
        return words.words(delivery.type)

    @display(description="about")
    def about(self, delivery: Any) -> str:
        return subjects.linked(delivery.told) if delivery.told else NOTHING

    @display(description="to")
    def to(self, delivery: Delivery) -> str:
        return str(delivery.integration)

    @display(description="state", label=COLOURS)
    def standing(self, delivery: Delivery) -> str:
        return delivery.state

    @display(description="next try")
    def next_try(self, delivery: Delivery) -> str:
        return moment(delivery.next_at) if delivery.next_at else NOTHING

    @display(description="made")
    def created(self, delivery: Delivery) -> str:
        return moment(delivery.created_at)

    # One of them.

    def get_urls(self) -> list[URLPattern]:
        resend = path(
            "<uuid:delivery_id>/resend/",
            self.admin_site.admin_view(self.resend_view),
            name="events_delivery_resend",
        )
        return [resend, *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        delivery = self.get_object(request, object_id)
        if request.method not in {"GET", "HEAD"} or not self.has_view_permission(request, delivery):
            raise PermissionDenied
        if delivery is None:
            return missing(self, request, object_id)
        event = Event.objects.filter(id=delivery.event_id).first()
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "delivery": delivery,
            "colour": COLOURS[Delivery.State(delivery.state)],
            "title": "Delivery of an event",
            "said": words.words(delivery.type),
            "why": ORIGINS[Delivery.Origin(delivery.origin)],
            "event": event,
            "may_see": subjects.may_see(request, delivery.type),
            "may_resend": RESEND.is_offered(DeliveryCase(request, delivery)),
            "attempts": _attempts(request, delivery, _told(delivery, event)),
        }
        return TemplateResponse(request, "admin/events/delivery.html", context)

    def resend_view(self, request: HttpRequest, delivery_id: UUID) -> HttpResponse:
        if not request.user.has_perm(MAY_RESEND):
            raise PermissionDenied
        delivery = self.get_object(request, str(delivery_id))
        if delivery is None:
            return missing(self, request, delivery_id)
        return self.confirm(RESEND, DeliveryCase(request, delivery))


class Sent(NamedTuple):
    """What one attempt sent: drawn up anew, since it is nowhere kept."""

    headers: str
    body: str


class Attempted(NamedTuple):
    attempt: DeliveryAttempt
    outcome: str
    sent: Sent | None


def _attempts(request: HttpRequest, delivery: Delivery, told: Occurrence | None) -> list[Attempted]:
    if told and not subjects.may_see(request, delivery.type):
        told = None
    integration = delivery.integration
    if not request.user.has_perm(MAY_RESEND) and integration.secret_key:
        integration.secret_key = HIDDEN
    return [
        Attempted(attempt, _outcome(attempt), _sent(integration, told, attempt) if told else None)
        for attempt in delivery.tries.order_by("-number")
    ]


def _outcome(attempt: DeliveryAttempt) -> str:
    return str(attempt.status_code) if attempt.status_code else "no answer"


def _sent(integration: Integration, told: Occurrence, attempt: DeliveryAttempt) -> Sent:
    headers, body = messages.message(integration, told, attempt=attempt.number, moment=attempt.at)
    # By which secret it was signed is not kept either.
    shown = {**headers, "webhook-signature": f"v1,{HIDDEN}"}
    return Sent(
        "\n".join([f"POST {integration.url}", *(f"{name}: {shown[name]}" for name in shown)]),
        subjects.pretty(body.decode()),
    )


def _told(delivery: Delivery, event: Event | None) -> Occurrence | None:
    """Read what it tells: of a test from itself, of anything else from the feed, if it has it."""
    if delivery.origin == Delivery.Origin.TEST:
        payload, at = delivery.payload, delivery.created_at
        return Occurrence(delivery.event_id, delivery.type, None, at, payload, is_test=True)
    if event is None:
        return None
    return Occurrence(event.id, event.type, event.position, event.occurred_at, event.payload)
