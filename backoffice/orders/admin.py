"""The list of orders and an order's page."""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import display

from backoffice import attention
from backoffice.actions import Action
from backoffice.base import uuid_of
from backoffice.dates import moment
from backoffice.desk.drafts import desk_url
from backoffice.figures.pages import FiguresPages
from backoffice.missing import missing
from backoffice.order_states import COLOURS, state_of
from backoffice.orders import list as order_lists
from backoffice.orders import page as order_pages
from backoffice.orders import slips
from backoffice.orders.actions import ORDER_ACTIONS
from backoffice.orders.case import OrderCase
from backoffice.orders.customer import CustomerPage, customer_url
from backoffice.orders.detail_actions import CUSTOMER, DETAIL_ACTIONS, MAY_CHANGE
from backoffice.orders.export import OrderExports
from backoffice.orders.filters import NAMES
from backoffice.orders.goods_actions import RETURN_ACTIONS, SHIPMENT_ACTIONS
from backoffice.orders.lines import LinesCase, LinesPage
from backoffice.orders.list import ATTENTION, LIST_VAR, LISTS, WHY_VAR
from backoffice.orders.payment_actions import PAYMENT_ACTIONS
from backoffice.saved_views import SavedViews
from backoffice.walking import WalkedAdmin
from orders.models import PRICED_BY_REQUEST, Order, ReturnLine
from orders.services import desk
from payments.models import Attempt, Gateway, Payment

# Which part of an order has which actions, as in their addresses.
_ABOUT: Mapping[str, Sequence[Action[OrderCase]]] = {
    "": (*ORDER_ACTIONS, *DETAIL_ACTIONS),
    "payments/<uuid:payment_id>/": PAYMENT_ACTIONS,
    "shipments/<uuid:shipment_id>/": SHIPMENT_ACTIONS,
    "returns/<uuid:line_id>/": RETURN_ACTIONS,
}


@admin.register(Order)
class OrderAdmin(SavedViews, CustomerPage, LinesPage, OrderExports, FiguresPages, WalkedAdmin):
    list_display_links = ["__str__"]
    search_fields = ["number"]
    search_help_text = "Number, name, e-mail, city, parcel, product"
    kept_of_a_view = (LIST_VAR, WHY_VAR, *NAMES)
    list_disable_select_all = True
    # Each list has its order, which is that of its index.
    sortable_by = ()
    list_before_template = "admin/orders/order/list.html"
    actions = ["ship_selected", "print_selected"]

    # The list.

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[Any]:
        return order_lists.WorkListPage

    def get_ordering(self, request: HttpRequest) -> list[str]:
        return [LISTS[order_lists.named(request)].ordering]

    def get_list_display(self, request: HttpRequest) -> list[str]:
        if order_lists.named(request) == ATTENTION:
            return ["__str__", "why", "customer", "contents", "sum", "state", "placed"]
        return ["__str__", "customer", "contents", "sum", "state", "placed"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Order]:
        return super().get_queryset(request).select_related("currency")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        context = {
            "title": f"Orders: {order_lists.title(request).lower()}",
            "lists": order_lists.tabs(request),
            "views": self.views_of(request),
            "asked": self.asked_of(request.GET.items()) if order_lists.is_narrowed(request) else "",
            "without_filters": order_lists.without_filters(request),
        }
        return super().changelist_view(request, {**(extra_context or {}), **context})

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Order], search_term: str
    ) -> tuple[QuerySet[Order], bool]:
        """Leave the search to the list, which filters first: see `backoffice.orders.search`."""
        return queryset, False

    @display(description="customer", header=True)
    def customer(self, order: Order) -> list[str]:
        page = customer_url(order.customer_email)
        return [
            order.customer_name,
            format_html('<a class="hf-link" href="{}">{}</a>', page, order.customer_email),
        ]

    @display(description="items")
    def contents(self, order: Order) -> str:
        items = order.items.all()
        more = f" and {len(items) - 3} more" if len(items) > 3 else ""
        if any(item.is_priced_by_request for item in items[3:]):
            more += f" ({PRICED_BY_REQUEST})"
        return ", ".join(f"{item.quantity} of {item.label}" for item in items[:3]) + more

    @display(description="why")
    def why(self, order: Any) -> str:
        return ". ".join(order.why)

    @display(description="total")
    def sum(self, order: Order) -> str:
        return order.currency.formatted(order.total)

    @display(description="state", label=COLOURS)
    def state(self, order: Order) -> tuple[str, str]:
        state = state_of(order)
        return state.colour, state.words

    @display(description="placed")
    def placed(self, order: Order) -> str:
        return moment(order.created_at)

    # Several orders at once. Their pages name them in their address, and can be opened again.

    def response_action(self, request: HttpRequest, queryset: QuerySet[Order]) -> Any:
        if not all(map(uuid_of, request.POST.getlist(ACTION_CHECKBOX_NAME))):
            raise SuspiciousOperation("no such order")
        return super().response_action(request, queryset)

    @admin.action(description="Ship", permissions=["change_order"])
    def ship_selected(self, request: HttpRequest, queryset: QuerySet[Order]) -> HttpResponse:
        return _with_chosen("admin:orders_order_ship_selected", queryset)

    @admin.action(description="Print pick list and packing slips")
    def print_selected(self, request: HttpRequest, queryset: QuerySet[Order]) -> HttpResponse:
        return _with_chosen("admin:orders_order_print", queryset)

    def has_change_order_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("orders.change_order")

    def ship_selected_view(self, request: HttpRequest) -> HttpResponse:
        """Say what shipping these orders does; when that was confirmed, what became of each."""
        if not self.has_change_order_permission(request) or not self.has_view_permission(request):
            raise PermissionDenied
        found = slips.chosen(request.GET.getlist("order"))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Ship orders",
            "slips": slips.to_ship(found),
            "results": None,
        }
        sent = request.POST if request.method == "POST" else None
        form = context["form"] = order_lists.SeveralForm(sent, found)
        if form.is_valid():
            context["results"] = order_lists.ship_all(found, form, request)
        return TemplateResponse(request, "admin/orders/order/ship_selected.html", context)

    def print_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        shipment_ids = request.GET.getlist("shipment")
        found = slips.chosen(request.GET.getlist("order"))
        of_shipments = slips.slips_of_shipments(shipment_ids)
        to_print = [*slips.packing_slips(found), *of_shipments]
        # A parcel that is packed already is not picked.
        picks = slips.pick_list(slip for slip in to_print if slip.is_to_be_sent)
        context = {
            "store": self.admin_site.each_context(request)["site_header"],
            "is_picked": not of_shipments,
            "picks": picks,
            "slips": to_print,
            "back": _back_to(to_print),
        }
        return TemplateResponse(request, "admin/orders/order/print.html", context)

    # Orders that are made here: see backoffice.desk.

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("orders.add_order")

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        return redirect(desk_url(desk.new_draft()))

    # The page, and what can be done on it.

    def get_urls(self) -> list[URLPattern]:
        several = {"ship_selected": self.ship_selected_view, "print": self.print_view}
        return [
            *(self._address("", name, view) for name, view in several.items()),
            *(
                self._address_of(action, f"<uuid:order_id>/{about}")
                for about, actions in _ABOUT.items()
                for action in actions
            ),
            self._address("<uuid:order_id>/", "lines", self.lines_view),
            *super().get_urls(),
        ]

    def _address_of(self, action: Action[OrderCase], about: str) -> URLPattern:
        def view(request: HttpRequest, order_id: uuid.UUID, **part: uuid.UUID) -> HttpResponse:
            return self.action_view(request, action, order_id, **part)

        return self._address(about, action.name, view)

    def _address(self, about: str, name: str, view: Callable[..., HttpResponse]) -> URLPattern:
        url = f"{about}{name.replace('_', '-')}/"
        return path(url, self.admin_site.admin_view(view), name=f"orders_order_{name}")

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        order = self.get_object(request, object_id)
        if order is None:
            return missing(self, request, object_id)
        if request.method not in {"GET", "HEAD"} or not self.has_view_permission(request, order):
            raise PermissionDenied
        payments = list(_with_attempts(order).order_by("created_at", "pk"))
        names = dict(Gateway.objects.values_list("slug", "name"))
        order_pages.read_all(order)
        case = OrderCase(request, order)
        context = {
            "items": order_pages.item_rows(order),
            "columns": order_pages.columns(order),
            "shipments": [
                {
                    **row,
                    "actions": _offered(
                        SHIPMENT_ACTIONS, replace(case, the_shipment=row["shipment"])
                    ),
                }
                for row in order_pages.shipment_rows(order)
            ],
            "returns": [
                {
                    **row,
                    "lines": [
                        {
                            **each,
                            "actions": _offered(
                                RETURN_ACTIONS, replace(case, the_return_line=each["line"])
                            ),
                        }
                        for each in row["lines"]
                    ],
                }
                for row in order_pages.return_rows(order, payments)
            ],
            "sums": order_pages.sums(order),
            "held": order_pages.money_still_held(order),
            # The money that is held has a line of its own.
            "why": [reason for reason in case.needs_attention if reason != attention.HELD],
            "payments": [
                {
                    **row,
                    "actions": _offered(PAYMENT_ACTIONS, OrderCase(request, order, row["payment"])),
                }
                for row in order_pages.payment_rows(order, payments, names)
            ],
            "addresses": order_pages.addresses_of(order),
            "may_change_details": CUSTOMER.is_offered(case),
            "may_change_lines": case.may(MAY_CHANGE) and not LinesCase(request, order).refusal,
            "timeline": order_pages.timeline(order, payments, names),
            "state": state_of(order),
            "actions": _offered(ORDER_ACTIONS, case),
        }
        shared = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": order,
            "order": order,
            "title": f"Order {order}",
            "zone": timezone.get_current_timezone_name(),
        }
        return TemplateResponse(request, "admin/orders/order/page.html", {**shared, **context})

    def action_view(
        self,
        request: HttpRequest,
        action: Action[OrderCase],
        order_id: uuid.UUID,
        **part: uuid.UUID,
    ) -> HttpResponse:
        if not request.user.has_perm(action.permission):
            raise PermissionDenied
        order = self.get_object(request, str(order_id))
        if order is None:
            return missing(self, request, order_id)
        if not self.has_view_permission(request, order):
            raise PermissionDenied
        case = _case(request, order, **part)
        if case is None:
            return redirect("admin:orders_order_change", order.pk)
        return self.confirm(action, case, title=f"Order {order}")


def _back_to(printed: Sequence[slips.Slip]) -> str:
    """Lead back to the one order that was printed, or to the list."""
    orders = {slip.order.pk for slip in printed}
    if len(orders) == 1:
        return reverse("admin:orders_order_change", args=[*orders])
    return reverse("admin:orders_order_changelist")


def _with_chosen(page: str, queryset: QuerySet[Order]) -> HttpResponse:
    chosen = [("order", order_id) for order_id in queryset.order_by().values_list("pk", flat=True)]
    return redirect(f"{reverse(page)}?{urlencode(chosen)}")


def _with_attempts(order: Order) -> QuerySet[Payment]:
    attempts = Prefetch("attempts", Attempt.objects.order_by("created_at", "pk"))
    return order.payments.prefetch_related(attempts)


def _case(
    request: HttpRequest,
    order: Order,
    payment_id: uuid.UUID | None = None,
    shipment_id: uuid.UUID | None = None,
    line_id: uuid.UUID | None = None,
) -> OrderCase | None:
    """Name the part of the order that an action is about. None if it has no such part."""
    if payment_id:
        payment = _with_attempts(order).filter(pk=payment_id).first()
        return OrderCase(request, order, payment) if payment else None
    if shipment_id:
        shipment = order.shipments.prefetch_related("lines__item").filter(pk=shipment_id).first()
        return OrderCase(request, order, the_shipment=shipment) if shipment else None
    if line_id:
        lines = ReturnLine.objects.select_related("item").filter(of_return__order=order)
        line = lines.filter(pk=line_id).first()
        return OrderCase(request, order, the_return_line=line) if line else None
    return OrderCase(request, order)


class Offered(NamedTuple):
    name: str
    title: str
    is_short: bool


def _offered(actions: Iterable[Action[OrderCase]], case: OrderCase) -> list[Offered]:
    return [
        Offered(action.name, action.says(case), action.is_short)
        for action in actions
        if action.is_offered(case)
    ]
