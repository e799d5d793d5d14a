"""The list of deliveries, and what is written on each."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, F, IntegerField, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import display

from backoffice import dates
from backoffice.base import actor_of, uuid_of
from backoffice.dates import day
from backoffice.deliveries.actions import DELETE, DeliveryCase
from backoffice.deliveries.forms import DeliveryForm
from backoffice.deliveries.goods import GoodsPage, goods_url, titles
from backoffice.history import NOTHING
from backoffice.missing import missing
from inventory.errors import DeliveryNumberTaken
from inventory.models import Delivery, DeliveryLine
from inventory.services import codes, deliveries


def _sum_of_lines(aggregate: Any) -> Coalesce:
    """Add up the lines of each delivery of a list."""
    lines = DeliveryLine.objects.filter(delivery=OuterRef("pk")).order_by().values("delivery")
    summed = lines.annotate(of_lines=aggregate).values("of_lines")
    return Coalesce(Subquery(summed), 0, output_field=IntegerField())


class DueFilter(admin.SimpleListFilter):
    title = "expected"
    parameter_name = "expected"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("by-today", "By today, and not booked")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery]:
        if self.value() != "by-today":
            return queryset
        due = deliveries.due(dates.today())
        return queryset.filter(pk__in=due.order_by().values("pk"))


@admin.register(Delivery)
class DeliveryAdmin(GoodsPage):
    list_display = ["goods", "supplier_name", "expected", "status", "lines", "units"]
    list_display_links = None
    list_filter = ["state", DueFilter]
    search_fields = ["number", "supplier"]
    search_help_text = "Number, supplier, or the SKU or barcode of a product on it"
    when_empty = "Add one when goods are on their way, or have come: then scan them and book them."
    # The open ones first, the next to come before others; then what was booked, newest first.
    ordering = [
        F("booked_at").desc(nulls_first=True),
        F("expected_on").asc(nulls_last=True),
        "-pk",
    ]
    sortable_by = ()
    form = DeliveryForm
    fields = ["number", "supplier", "expected_on", "note"]
    refusal_fields = {DeliveryNumberTaken: "number"}

    # The list.

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        found = super().get_queryset(request)
        return found.annotate(
            lines_number=_sum_of_lines(Count("pk")),
            units_expected=_sum_of_lines(Sum("expected")),
            units_received=_sum_of_lines(Sum("received")),
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find also the deliveries of a product, by what was typed or scanned of it."""
        found, may_repeat = super().get_search_results(request, queryset, search_term)
        if product_id := codes.product_scanned(search_term):
            of_product = DeliveryLine.objects.filter(product_id=product_id).values("delivery")
            by_words = Q(pk__in=found.order_by().values("pk"))
            found = queryset.filter(by_words | Q(pk__in=of_product))
        return found, may_repeat

    @display(description="delivery")
    def goods(self, delivery: Delivery) -> str:
        return format_html(
            '<a class="hf-link" href="{}">{}</a>', goods_url(delivery.pk), delivery.number
        )

    @display(description="supplier")
    def supplier_name(self, delivery: Delivery) -> str:
        return delivery.supplier or NOTHING

    @display(description="expected on")
    def expected(self, delivery: Delivery) -> str:
        return day(delivery.expected_on)

    @display(
        description="state",
        label={
            "open": "info",
            "being received": "warning",
            "overdue": "danger",
            "booked": "success",
        },
    )
    def status(self, delivery: Any) -> str:
        if not delivery.is_open:
            return "booked"
        if delivery.units_received:
            return "being received"
        today = dates.today()
        is_overdue = delivery.expected_on and delivery.expected_on < today
        return "overdue" if is_overdue else "open"

    @display(description="products")
    def lines(self, delivery: Any) -> str:
        return f"{delivery.lines_number:,}"

    @display(description="received")
    def units(self, delivery: Any) -> str:
        return f"{delivery.units_received:,} of {delivery.units_expected:,}"

    # What is written on one.

    def has_change_permission(self, request: HttpRequest, obj: Delivery | None = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or obj.is_open)

    def has_delete_permission(self, request: HttpRequest, obj: Delivery | None = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or obj.is_open)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"number": deliveries.next_number()}

    def save_model(self, request: HttpRequest, obj: Delivery, form: Any, change: bool) -> None:
        typed = form.cleaned_data
        if change:
            changed = {name: typed[name] for name in form.changed_data}
            deliveries.change(obj.pk, actor=actor_of(request), seen=form.seen, **changed)
        else:
            deliveries.create(delivery_id=obj.pk, actor=actor_of(request), **typed)

    def response_add(
        self, request: HttpRequest, obj: Delivery, post_url_continue: str | None = None
    ) -> HttpResponse:
        messages.success(request, f"Delivery {obj} is made. Add what is expected, or scan.")
        return redirect(f"{goods_url(obj.pk)}?expecting=on")

    def response_change(self, request: HttpRequest, obj: Delivery) -> HttpResponse:
        messages.success(request, f"Delivery {obj} is changed.")
        return redirect(goods_url(obj.pk))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        delivery_id = uuid_of(object_id)
        delivery = Delivery.objects.filter(pk=delivery_id).first() if delivery_id else None
        shown = titles(request, delivery, "Details") if delivery else {}
        return super().change_view(request, object_id, form_url, {**shown, **(extra_context or {})})

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        delivery = self.get_object(request, object_id)
        if not super().has_delete_permission(request):
            raise PermissionDenied
        if delivery is None:
            return missing(self, request, object_id)
        then = reverse("admin:inventory_delivery_changelist")
        case = DeliveryCase(request, delivery)
        return self.confirm(DELETE, case, back=goods_url(delivery.pk), then=then, title="Delete")
