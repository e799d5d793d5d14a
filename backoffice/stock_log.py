"""The log of the whole store."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import OuterRef, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import display

from api import clock
from api.ids import first_id_of
from backoffice import movements
from backoffice.dates import moment
from backoffice.history import NOTHING
from backoffice.products.page import may_see_orders, page_of
from backoffice.walking import WalkedAdmin
from inventory.models import StockTransaction
from inventory.services import codes
from orders.models import Order

# No two clocks do by more.
CLOCKS_DIFFER = timedelta(days=1)


class MovementFilter(admin.SimpleListFilter):
    title = "movement"
    parameter_name = "movement"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(word, word) for word in movements.WORDS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        asked = self.value()
        return queryset.filter(movements.called(asked)) if asked else queryset


class SinceFilter(admin.SimpleListFilter):
    title = "date"
    parameter_name = "since"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", "Past 24 hours"), ("7", "Past 7 days"), ("30", "Past 30 days")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        days = {"1": 1, "7": 7, "30": 30}.get(self.value() or "")
        if days is None:
            return queryset
        begin = clock.now() - timedelta(days=days)
        # The list is in the order of ids, which say when they were made, by whose clock ever.
        return queryset.filter(created_at__gte=begin, pk__gte=first_id_of(begin - CLOCKS_DIFFER))


@admin.register(StockTransaction)
class StockTransactionAdmin(WalkedAdmin):
    """The whole log, newest first. Never counted, and found by what is indexed only."""

    nouns = ("entry of the log", "entries of the log")
    list_display = ["when", "product", "move", "quantity", "numbers", "who", "reason", "order"]
    list_display_links = ["when"]
    list_filter = [MovementFilter, SinceFilter]
    list_select_related = ["stock__product"]
    search_fields = ["stock__product__sku__exact"]
    search_help_text = "The whole SKU or barcode"
    when_empty = "Every movement of stock is written down here, with who and why."
    # Their ids rise with time.
    ordering = ["-pk"]
    leaps = True
    sortable_by = ()
    fields = [
        *("when", "product", "move", "quantity", "numbers", "who", "reason", "order"),
        "sequence",
    ]

    def leap(self, moment: datetime) -> UUID:
        return first_id_of(moment)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Name the order of each entry for whoever may see orders."""
        orders = Order.objects.filter(pk=OuterRef("order_id"))
        if not may_see_orders(request):
            orders = orders.none()
        return super().get_queryset(request).annotate(order_number=orders.values("number"))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find what is meant by a code that was typed or scanned, or a deleted product's sku."""
        if product_id := codes.product_scanned(search_term):
            return queryset.filter(stock__product=product_id), False
        found: tuple[QuerySet[Any], bool] = super().get_search_results(
            request, queryset, search_term
        )
        return found

    @display(description="when")
    def when(self, entry: StockTransaction) -> str:
        return moment(entry.created_at)

    @display(description="who")
    def who(self, entry: StockTransaction) -> str:
        return entry.actor_name

    @display(description="product")
    def product(self, entry: StockTransaction) -> str:
        product = entry.stock.product
        return format_html('<a class="hf-link" href="{}">{}</a>', page_of(product), product)

    @display(description="order")
    def order(self, entry: Any) -> str:
        if entry.order_id is None:
            return NOTHING
        if entry.order_number is None:
            return "an order"
        url = reverse("admin:orders_order_change", args=[entry.order_id])
        return format_html('<a class="hf-link" href="{}">#{}</a>', url, entry.order_number)

    @display(description="movement")
    def move(self, entry: StockTransaction) -> str:
        return movements.shown(entry)

    @display(description="numbers after it")
    def numbers(self, entry: StockTransaction) -> str:
        return f"{entry.total} = {entry.available} available + {entry.allocated} allocated"
