"""What a product's pages share: their tabs, who may see them, and the orders that they name."""

import uuid
from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar, NamedTuple

from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.http import urlencode

from backoffice.actions import Action, ActionAdmin, C
from backoffice.base import ServiceAdmin
from inventory.models import Delivery, Product, StockTransaction
from inventory.services import booking
from orders.models import Order

NO_ORDER = uuid.UUID(int=0)


class ProductPage(ActionAdmin, ServiceAdmin):
    private_fields: ClassVar = {"cost": "inventory.view_cost"}

    def page(self, view: Callable[..., HttpResponseBase], url: str, name: str) -> URLPattern:
        return path(
            f"<uuid:product_id>/{url}",
            self.admin_site.admin_view(view),
            name=f"inventory_product_{name}",
        )

    def found(self, request: HttpRequest, product_id: uuid.UUID) -> Product | None:
        """Raises: PermissionDenied."""
        return self._found(request, Product.objects.kept(), product_id)

    def found_archived(self, request: HttpRequest, product_id: uuid.UUID) -> Product | None:
        """Raises: PermissionDenied."""
        return self._found(request, Product.objects.exclude(archived_at=None), product_id)

    def found_anywhere(self, request: HttpRequest, product_id: uuid.UUID) -> Product | None:
        """Find also what is archived, for pages that only read. Raises: PermissionDenied."""
        return self._found(request, Product.objects.all(), product_id)

    def _found(
        self, request: HttpRequest, among: QuerySet[Product], product_id: uuid.UUID
    ) -> Product | None:
        product = among.filter(pk=product_id).first()
        if not self.has_view_or_change_permission(request, product):
            raise PermissionDenied
        return product

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        product = self.get_object(request, object_id)
        shown = titles(request, product, "History") if product else {}
        if shown:
            shown["subtitle"] = "Changes"
        return super().history_view(request, object_id, {**shown, **(extra_context or {})})

    def confirm(self, action: Action[C], case: C, **context: Any) -> HttpResponse:
        """Ask on a page of the product, if it is asked of one."""
        product = case.subject
        tab = "Archived" if product.archived_at else context.pop("tab", "General")
        shown = {"tab_list": tabs(case.request, product, tab)}
        return super().confirm(action, case, **{**shown, **context})

    def drawn(
        self,
        request: HttpRequest,
        product: Product,
        tab: str,
        template: str,
        context: Mapping[str, Any],
    ) -> HttpResponse:
        shared = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": product,
            "zone": timezone.get_current_timezone_name(),
            **titles(request, product, tab),
        }
        return TemplateResponse(
            request, f"admin/inventory/product/{template}", {**shared, **context}
        )


def may_see_log(request: HttpRequest) -> bool:
    return request.user.has_perm("inventory.view_stocktransaction")


def may_see_deliveries(request: HttpRequest) -> bool:
    return request.user.has_perm("inventory.view_delivery")


def may_see_orders(request: HttpRequest) -> bool:
    return request.user.has_perm("orders.view_order")


class NamedEntry(NamedTuple):
    """An entry of a product's log, with what it belongs to, as far as that may be seen."""

    entry: StockTransaction
    order: str
    delivery: Delivery | None


def named(
    request: HttpRequest,
    entries: Collection[StockTransaction],
    *,
    of: Product | None = None,
) -> list[NamedEntry]:
    """Put beside each entry the name of its order, if it has one that may be seen.

    Of entries `of` a product, also the delivery that wrote it.
    """
    names = _order_names(entries) if may_see_orders(request) else {}
    by_hand = [entry.sequence for entry in entries if not entry.by_order]
    wrote: Mapping[int, Delivery] = {}
    if of and by_hand and may_see_deliveries(request):
        wrote = booking.of_entries(of.pk, by_hand)
    return [
        NamedEntry(entry, names.get(entry.order_id or NO_ORDER, ""), wrote.get(entry.sequence))
        for entry in entries
    ]


def _order_names(entries: Collection[StockTransaction]) -> Mapping[uuid.UUID, str]:
    ids = {entry.order_id for entry in entries if entry.order_id}
    return {order.pk: str(order) for order in Order.objects.filter(pk__in=ids)} if ids else {}


def inventory_url(product_id: uuid.UUID, operation: str = "") -> str:
    """Where the Inventory tab is, with one of the card's operations chosen."""
    url = reverse("admin:inventory_product_inventory", args=[product_id])
    return f"{url}?{urlencode({'do': operation})}" if operation else url


def archived_url(product_id: uuid.UUID) -> str:
    """Where an archived product is read."""
    return reverse("admin:inventory_product_archived_product", args=[product_id])


def page_of(product: Product) -> str:
    """Where a product is, archived or not."""
    return archived_url(product.pk) if product.archived_at else inventory_url(product.pk)


def titles(request: HttpRequest, product: Product, tab: str) -> dict[str, Any]:
    return {"title": product.name, "subtitle": tab, "tab_list": tabs(request, product, tab)}


class Tab(NamedTuple):
    title: str
    link: str
    exists: bool = True
    # Whoever sees products sees the tabs that need nothing else.
    permission: str = ""


def _tabs(product: Product) -> list[Tab]:
    """Name all pages of a product, in the order in which every one of them shows the others."""

    def link(name: str) -> str:
        return reverse(f"admin:inventory_product_{name}", args=[quote(product.pk)])

    kept, parent = not product.archived_at, product.parent_id
    grid = reverse("admin:inventory_parent_change", args=[parent]) if parent else ""
    return [
        Tab("General", link("change"), kept),
        Tab("Archived", link("archived_product"), not kept),
        Tab("Inventory", link("inventory"), kept),
        Tab("Prices", link("prices"), kept),
        Tab("Pictures", link("pictures"), kept),
        Tab("Variants", f"{grid}?of={product.pk}", kept and bool(parent), "inventory.view_parent"),
        Tab("Labels", f"{reverse('admin:inventory_labels')}?ids={product.pk}", kept),
        Tab("History", link("stock_history"), permission="inventory.view_stocktransaction"),
    ]


def tab_url(product_id: uuid.UUID, title: str) -> str:
    """Where a product has this tab, or else its first one."""
    shown = [tab for tab in _tabs(Product.objects.get(pk=product_id)) if tab.exists]
    return next((tab.link for tab in shown if tab.title == title), shown[0].link)


def tabs(request: HttpRequest, product: Product | None, active: str) -> list[dict[str, Any]]:
    """Make the tabs of all pages of a product, in the form that Unfold's templates draw.

    The first of them says which of its tabs the next product is opened at: see tab_list.html.
    """
    new = Tab("General", reverse("admin:inventory_product_add"))
    items: list[dict[str, Any]] = [
        {
            "title": tab.title,
            "link": tab.link,
            "active": tab.title == active,
            "has_permission": not tab.permission or request.user.has_perm(tab.permission),
        }
        for tab in (_tabs(product) if product else [new])
        if tab.exists
    ]
    items[0]["next_at"] = active
    models = [{"name": f"inventory.{name}", "detail": True} for name in ("product", "parent")]
    return [{"models": models, "items": items}]
