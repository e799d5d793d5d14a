"""Carts, to look at."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet, Sum
from django.http import HttpRequest
from unfold.admin import TabularInline
from unfold.decorators import display

from api import clock
from backoffice.base import ReadOnlyAdmin, moment
from orders.models import PRICED_BY_REQUEST, Cart, CartItem


class CartItemInline(TabularInline):
    model = CartItem
    fields = readonly_fields = ["wanted", "quantity", "choices", "added"]
    extra = 0
    can_delete = False
    hide_title = True
    verbose_name_plural = "items"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[CartItem]:
        return super().get_queryset(request).select_related("product").order_by("pk")

    @display(description="item")
    def wanted(self, item: CartItem) -> str:
        return str(item.product) if item.product else f"{item.name} ({PRICED_BY_REQUEST})"

    @display(description="custom inputs")
    def choices(self, item: CartItem) -> str:
        inputs = item.custom_inputs or {}
        return ", ".join(f"{name}: {value}" for name, value in inputs.items())

    @display(description="added")
    def added(self, item: CartItem) -> str:
        return moment(item.created_at)


@admin.register(Cart)
class CartAdmin(ReadOnlyAdmin):
    list_display = ["id", "lines", "units", "currency", "updated", "expires", "state"]
    search_fields = ["id"]
    search_help_text = "The cart's id"
    when_empty = "Shoppers fill them through a storefront."
    ordering = ["-updated_at"]
    list_select_related = ["currency"]
    fields = ["id", "name", "description", "currency", "created", "updated", "expires"]
    inlines = [CartItemInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Cart]:
        carts = super().get_queryset(request)
        return carts.annotate(lines=Count("items"), units=Sum("items__quantity", default=0))

    @display(description="items")
    def lines(self, cart: Any) -> str:
        return str(cart.lines)

    @display(description="units")
    def units(self, cart: Any) -> str:
        return str(cart.units)

    @display(description="created")
    def created(self, cart: Cart) -> str:
        return moment(cart.created_at)

    @display(description="updated", ordering="updated_at")
    def updated(self, cart: Cart) -> str:
        return moment(cart.updated_at)

    @display(description="expires", ordering="expires_at")
    def expires(self, cart: Cart) -> str:
        return moment(cart.expires_at)

    @display(description="state", label={"open": "success", "expired": None})
    def state(self, cart: Cart) -> str:
        return "open" if cart.expires_at > clock.now() else "expired"
