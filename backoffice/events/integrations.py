"""Integrations: the programs that are told of events, and how it goes with each."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import urlencode
from unfold.decorators import display

from backoffice.actions import RowActionAdmin, row_action
from backoffice.base import ServiceAdmin, actor_of, counted
from backoffice.events import health, words
from backoffice.events.actions import (
    DELETE,
    DISABLE,
    ENABLE,
    RENEW,
    ROW_ACTIONS,
    SEND_SINCE,
    TEST,
    IntegrationCase,
    show_secret,
)
from backoffice.events.forms import IntegrationForm
from backoffice.history import NOTHING
from backoffice.missing import missing
from events.models import Delivery, Integration
from events.services import closing, integrations

RECENT = 5


def deliveries_url(integration: Integration) -> str:
    query = urlencode({"integration": str(integration.pk)})
    return f"{reverse('admin:events_delivery_changelist')}?{query}"


class HealthFilter(admin.SimpleListFilter):
    title = parameter_name = "health"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("failing", "Failing"), ("gave-up", "Disabled by itself")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        conditions = {"failing": health.IS_FAILING, "gave-up": health.HAS_GIVEN_UP}
        asked = conditions.get(str(self.value()))
        return queryset.filter(asked) if asked else queryset


@admin.register(Integration)
class IntegrationAdmin(RowActionAdmin, ServiceAdmin):
    list_display = ["name", "state", "how_it_goes", "told_of", "behind"]
    list_filter = ["enabled", HealthFilter]
    ordering = ["name", "pk"]
    when_empty = "Add one for each program that is to be told of orders, stock or products."
    form = IntegrationForm
    row_actions = ROW_ACTIONS
    row_case = IntegrationCase
    change_form_outer_before_template = "admin/events/integration.html"

    # The list.

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return health.with_health(super().get_queryset(request))

    @display(description="state", label=health.COLOURS)
    def state(self, integration: Any) -> str:
        return health.of(integration).state

    @display(description="how it goes")
    def how_it_goes(self, integration: Any) -> str:
        return health.of(integration).words

    @display(description="told of")
    def told_of(self, integration: Integration) -> str:
        return words.summed_up(integration.observes)

    @display(description="behind")
    def behind(self, integration: Any) -> str:
        return behind(integration)

    # The form.

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ["name", "url", "observes", "secret_key", "description", "enabled"]
        if self.has_change_permission(request, obj):
            return ["name", "url", "observes", "secret_key", "description"]
        return ["name", "url", "told_of", "description"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [] if obj is None or self.has_change_permission(request, obj) else ["told_of"]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"enabled": True}

    def save_model(self, request: HttpRequest, obj: Integration, form: Any, change: bool) -> None:
        typed, actor = form.cleaned_data, actor_of(request)
        if change:
            changed = {name: typed[name] for name in form.changed_data}
            integrations.change(obj.pk, actor=actor, seen=form.seen, **changed)
            return
        made, secret = integrations.create(actor=actor, **typed)
        # The form made this object with an id of its own; the service made the row.
        obj.pk = made.pk
        show_secret(request, made, secret)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        integration = self.get_object(request, object_id)
        shown = _standing(integration) if integration else {}
        return super().change_view(request, object_id, form_url, {**shown, **(extra_context or {})})

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_delete_permission(request):
            raise PermissionDenied
        integration = self.get_object(request, object_id)
        if integration is None:
            return missing(self, request, object_id)
        then = reverse("admin:events_integration_changelist")
        return self.confirm(DELETE, IntegrationCase(request, integration), then=then)

    test = row_action(TEST, icon="send")
    send_since = row_action(SEND_SINCE, icon="replay")
    renew = row_action(RENEW, icon="key")
    enable = row_action(ENABLE, icon="play_arrow")
    disable = row_action(DISABLE, icon="block")


def behind(integration: Any) -> str:
    """Say how many events it has not been told yet, and what waits to be sent, once more or not."""
    if not integration.enabled:
        return NOTHING
    new = integration.new
    said = ["1 event" if new == 1 else f"{counted(new)} events"] if new else []
    if integration.waiting:
        said.append(f"{counted(integration.waiting)} waiting to be sent")
    return ", ".join(said) or "nothing"


def _standing(integration: Any) -> dict[str, Any]:
    """What stands above an integration's form: how it goes, and what it was sent last."""
    progress = integration.progress
    recent = Delivery.objects.filter(integration=integration).order_by("-pk")[:RECENT]
    return {
        "health": health.of(integration),
        "colour": health.COLOURS[health.of(integration).state],
        "behind": behind(integration),
        "progress": progress,
        "recent": [(delivery, words.words(delivery.type)) for delivery in recent],
        "deliveries_url": deliveries_url(integration),
        "is_closed": closing.is_closed(),
    }
