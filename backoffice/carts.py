"""Carts, to look at."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.admin import TabularInline
from unfold.decorators import display

from api import clock
from backoffice.dates import moment
from backoffice.desk.drafts import MAY_MAKE, DraftPages, desk_url
from backoffice.history import NOTHING
from backoffice.walking import WalkedAdmin
from orders.models import PRICED_BY_REQUEST, Cart, CartItem
from orders.services import desk


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
class CartAdmin(DraftPages, WalkedAdmin):
    """Carts, the last changed first; never counted, for a large shop has a million of a week."""

    list_display = ["id", "made", "lines", "units", "currency", "updated", "expires", "state"]
    search_fields = ["=id", "name"]
    search_help_text = "The cart's id, or a part of its name"
    when_empty = "Shoppers fill them through a storefront, and you with New order."
    # By an index, which there is none of when they were changed: every change puts this off.
    ordering = ["-expires_at"]
    sortable_by = ()
    list_select_related = ["currency"]
    fields = ["id", "name", "made", "description", "currency", "created", "updated", "expires"]
    inlines = [CartItemInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Cart]:
        # Of those that are shown alone: joined, the items of all carts would be added up first.
        items = CartItem.objects.filter(cart=OuterRef("pk")).order_by().values("cart")
        sums = {"lines": Count("pk"), "units": Sum("quantity")}
        return (
            super()
            .get_queryset(request)
            .annotate(
                **{
                    name: Coalesce(Subquery(items.annotate(sum=each).values("sum")), 0)
                    for name, each in sums.items()
                }
            )
        )

    def get_list_display(self, request: HttpRequest) -> list[str]:
        return _offered(request, self.list_display)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return _offered(request, self.fields)

    @display(description="made here")
    def made(self, cart: Cart) -> str:
        """Lead to the drafts of orders. Shoppers' carts are theirs."""
        if not desk.is_draft(cart.pk) or cart.expires_at <= clock.now():
            return NOTHING
        return format_html(
            '{}<br><a class="hf-link" href="{}">Go on</a>', cart.name, desk_url(cart.pk)
        )

    @display(description="items")
    def lines(self, cart: Any) -> str:
        return str(cart.lines)

    @display(description="units")
    def units(self, cart: Any) -> str:
        return str(cart.units)

    @display(description="created")
    def created(self, cart: Cart) -> str:
        return moment(cart.created_at)

    @display(description="updated")
    def updated(self, cart: Cart) -> str:
        return moment(cart.updated_at)

    @display(description="expires")
    def expires(self, cart: Cart) -> str:
        return moment(cart.expires_at)

    @display(description="state", label={"open": "success", "expired": None})
    def state(self, cart: Cart) -> str:
        return "open" if cart.expires_at > clock.now() else "expired"


def _offered(request: HttpRequest, names: list[str]) -> list[str]:
    """Leave out the way on for those who may not go it."""
    return [name for name in names if name != "made" or request.user.has_perm(MAY_MAKE)]
