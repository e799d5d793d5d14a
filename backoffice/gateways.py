"""Which gateways the store uses, and what they told by themselves."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import display

from backoffice.base import ServiceAdmin, actor_of
from backoffice.dates import moment
from backoffice.walking import WalkedAdmin
from payments.models import Gateway, GatewayEvent
from payments.services import installation, payments


def environment(request: HttpRequest) -> list[str] | None:
    """Say on every page that no gateway may be asked: as a label, its colour, and a sentence."""
    why = installation.why_closed() if request.user.is_staff else ""
    return ["gateways closed", "danger", why] if why else None


@admin.register(Gateway)
class GatewayAdmin(ServiceAdmin):
    list_display = ["name", "slug", "enabled", "usable"]
    ordering = ["name"]
    fields = ["name", "slug", "enabled"]
    readonly_fields = ["slug"]
    list_before_template = "admin/payments/gateway/warning.html"
    change_form_before_template = "admin/payments/gateway/warning.html"

    @display(description="this server can use it", boolean=True)
    def usable(self, gateway: Gateway) -> bool:
        return payments.is_usable(gateway.slug)

    def save_model(self, request: HttpRequest, obj: Gateway, form: Any, change: bool) -> None:
        changed = {name: form.cleaned_data[name] for name in form.changed_data}
        payments.set_gateway(obj.slug, **changed, actor=actor_of(request), seen=form.seen)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        return super().changelist_view(request, _with_warning(extra_context))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        return super().change_view(request, object_id, form_url, _with_warning(extra_context))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _with_warning(context: dict[str, Any] | None) -> dict[str, Any]:
    return {**(context or {}), "manual_for_shoppers": settings.MANUAL_GATEWAY_FOR_SHOPPERS}


class KnownFilter(admin.SimpleListFilter):
    title = "payment"
    parameter_name = "known"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Of a payment"), ("no", "Of no payment of ours")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() in {"yes", "no"}:
            return queryset.filter(payment__isnull=self.value() == "no")
        return queryset


class GatewayFilter(admin.SimpleListFilter):
    """The gateways that there are, and not those that all messages name, which it takes to read."""

    title = parameter_name = "gateway"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(slug, slug) for slug in payments.known_gateways().values_list("slug", flat=True)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(gateway=self.value()) if self.value() else queryset


@admin.register(GatewayEvent)
class GatewayEventAdmin(WalkedAdmin):
    """What gateways told by themselves, newest first; never counted, for it only grows."""

    list_display = ["type", "gateway", "reference", "order", "received", "handled"]
    list_filter = [KnownFilter, GatewayFilter]
    list_select_related = ["payment__order"]
    search_fields = ["=id", "=reference"]
    search_help_text = "The gateway's name of the event or of the charge"
    when_empty = "What a gateway such as Stripe tells by itself is kept here."
    ordering = ["-received_at"]
    leaps = True
    sortable_by = ()
    fields = ["id", "type", "gateway", "reference", "order", "received", "handled", "body"]

    @display(description="order")
    def order(self, event: GatewayEvent) -> str:
        if event.payment is None:
            return "-"
        address = reverse("admin:orders_order_change", args=[event.payment.order_id])
        return format_html('<a class="hf-link" href="{}">{}</a>', address, event.payment.order)

    @display(description="received")
    def received(self, event: GatewayEvent) -> str:
        return moment(event.received_at)

    @display(description="looked into")
    def handled(self, event: GatewayEvent) -> str:
        return moment(event.handled_at) if event.handled_at else "not yet"
