"""Orders and gateways, for people. Orders stand here because their page joins the apps."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import display
from unfold.paginator import InfinitePaginator

from api.admin import ExportingAdmin, ReadOnlyAdmin, ServiceAdmin, moment
from inventory.models import Product
from orders.models import Order, OrderItem
from payments import gateways, order_export, order_pages, services
from payments.models import Attempt, Gateway, GatewayEvent, Payment
from payments.order_pages import PAYMENT_COLOURS, SHIPPING_COLOURS, STATUS_COLOURS
from payments.order_steps import ORDER_STEPS, PAYMENT_STEPS, Case, Step
from payments.products import ProductPages

admin.site.register(Product, ProductPages)


@admin.register(Order)
class OrderAdmin(ExportingAdmin, ReadOnlyAdmin):
    list_display = ["__str__", "customer", "sum", "state", "paid", "shipped", "placed"]
    list_filter = ["status", "payment", "shipping"]
    list_select_related = ["currency"]
    search_fields = ["customer_email"]
    search_help_text = "Number, e-mail, name or the SKU of an item"
    ordering = ["-created_at", "-number"]
    export_name = "orders"
    export_columns = order_export.COLUMNS
    export_permission = "orders.view_orderitem"
    export_rows = staticmethod(order_export.rows)

    # The list.

    @display(description="customer", ordering="customer_email", header=True)
    def customer(self, order: Order) -> list[str]:
        return [order.customer_name, order.customer_email]

    @display(description="total", ordering="total")
    def sum(self, order: Order) -> str:
        return order.currency.formatted(order.total)

    @display(description="status", ordering="status", label=STATUS_COLOURS)
    def state(self, order: Order) -> str:
        return order.status

    @display(description="payment", ordering="payment", label=PAYMENT_COLOURS)
    def paid(self, order: Order) -> tuple[str, str]:
        return order.payment, order.get_payment_display()

    @display(description="shipping", ordering="shipping", label=SHIPPING_COLOURS)
    def shipped(self, order: Order) -> str:
        return order.shipping

    @display(description="placed", ordering="created_at")
    def placed(self, order: Order) -> str:
        return moment(order.created_at)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Order], search_term: str
    ) -> tuple[QuerySet[Order], bool]:
        """Find by number, with or without its #; e-mail; name; or the whole SKU of an item."""
        term = search_term.strip()
        if not term:
            return queryset, False
        item = OrderItem.objects.filter(order=OuterRef("pk"), sku__iexact=term)
        found = Q(customer_email__icontains=term) | Q(customer_name__icontains=term)
        found |= Q(order_number__iexact=term) | Q(Exists(item))
        number = term.removeprefix("#")
        if number.isdecimal() and len(number) < 19:
            found |= Q(number=int(number))
        return queryset.filter(found), False

    # The page, and what can be done on it.

    def get_urls(self) -> list[URLPattern]:
        about_order, about_payment = (
            "<uuid:order_id>/",
            "<uuid:order_id>/payments/<uuid:payment_id>/",
        )
        return [
            *(self._page_of(step, about_order) for step in ORDER_STEPS),
            *(self._page_of(step, about_payment) for step in PAYMENT_STEPS),
            *super().get_urls(),
        ]

    def _page_of(self, step: Step, about: str) -> URLPattern:
        def view(
            request: HttpRequest, order_id: uuid.UUID, payment_id: uuid.UUID | None = None
        ) -> HttpResponse:
            return self.step_view(request, step, order_id, payment_id)

        return path(f"{about}{step.name}/", self.admin_site.admin_view(view), name=step.page)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        order = self.get_object(request, object_id)
        if order is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        if request.method not in {"GET", "HEAD"} or not self.has_view_permission(request, order):
            raise PermissionDenied
        payments = list(_with_attempts(order).order_by("created_at", "pk"))
        names = dict(Gateway.objects.values_list("slug", "name"))
        case = Case(order, request)
        items = order_pages.item_rows(order)
        context = {
            "items": items,
            "came_back": any(row["item"].returned for row in items),
            "sums": order_pages.sums(order),
            "held": order_pages.money_still_held(order),
            "payments": [
                {**row, "steps": _offered(PAYMENT_STEPS, replace(case, the_payment=row["payment"]))}
                for row in order_pages.payment_rows(order, payments, names)
            ],
            "addresses": order_pages.addresses(order),
            "timeline": order_pages.timeline(order, payments, names),
            "colours": {
                "status": STATUS_COLOURS[order.status],
                "payment": PAYMENT_COLOURS[order.payment],
                "shipping": SHIPPING_COLOURS[order.shipping],
            },
            "steps": _offered(ORDER_STEPS, case),
        }
        return self._page(request, order, "page.html", context)

    def step_view(
        self, request: HttpRequest, step: Step, order_id: uuid.UUID, payment_id: uuid.UUID | None
    ) -> HttpResponse:
        """Say what the step does, and take it when that was confirmed."""
        if not request.user.has_perm(step.permission):
            raise PermissionDenied
        order = self.get_object(request, str(order_id))
        if order is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(order_id))
        if not self.has_view_permission(request, order):
            raise PermissionDenied
        payment = _with_attempts(order).filter(pk=payment_id).first() if payment_id else None
        if payment_id and payment is None:
            return redirect("admin:orders_order_change", order.pk)
        case = Case(order, request, payment)
        form = step.form(request.POST if request.method == "POST" else None, case=case)
        sent = request.method == "POST" and form.is_valid()
        if sent and (step.taken(case, form) or not step.shown_again):
            return redirect("admin:orders_order_change", order.pk)
        context = {
            "step": step,
            "form": form,
            "effects": step.effects(case),
            "refusal": step.refusal(case),
        }
        return self._page(request, order, "confirm.html", context)

    def _page(
        self, request: HttpRequest, order: Order, template: str, context: Mapping[str, Any]
    ) -> HttpResponse:
        shared = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": order,
            "order": order,
            "title": f"Order {order}",
            "zone": timezone.get_current_timezone_name(),
        }
        return TemplateResponse(request, f"admin/orders/order/{template}", {**shared, **context})


def _with_attempts(order: Order) -> QuerySet[Payment]:
    attempts = Prefetch("attempts", Attempt.objects.order_by("created_at", "pk"))
    return order.payments.prefetch_related(attempts)


def _offered(steps: Iterable[Step], case: Case) -> list[Step]:
    return [step for step in steps if step.is_offered(case)]


# Gateways.


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
        return gateway.slug in gateways.usable()

    def save_model(self, request: HttpRequest, obj: Gateway, form: Any, change: bool) -> None:
        services.set_gateway(obj.slug, enabled=obj.enabled, name=obj.name)

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


@admin.register(GatewayEvent)
class GatewayEventAdmin(ReadOnlyAdmin):
    """What gateways told by themselves, newest first; never counted, for it only grows."""

    list_display = ["type", "gateway", "reference", "order", "received", "handled"]
    list_filter = [KnownFilter, "gateway"]
    list_select_related = ["payment__order"]
    search_fields = ["=id", "=reference"]
    search_help_text = "The gateway's name of the event or of the charge"
    paginator = InfinitePaginator
    show_full_result_count = False
    ordering = ["-received_at"]
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
