"""The list of orders and an order's page."""

import uuid
from collections.abc import Callable, Iterable
from typing import Any
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
from unfold.paginator import InfinitePaginator

from backoffice import attention
from backoffice.actions import Action
from backoffice.base import ReadOnlyAdmin, uuid_of
from backoffice.dates import moment
from backoffice.desk.drafts import desk_url
from backoffice.figures.pages import FiguresPages
from backoffice.missing import missing
from backoffice.order_states import COLOURS, state_of
from backoffice.orders import list as order_lists
from backoffice.orders import page as order_pages
from backoffice.orders.actions import ORDER_ACTIONS
from backoffice.orders.case import OrderCase
from backoffice.orders.customer import CustomerPage, customer_url
from backoffice.orders.detail_actions import CUSTOMER, DETAIL_ACTIONS, MAY_CHANGE
from backoffice.orders.export import OrderExports
from backoffice.orders.lines import LinesCase, LinesPage
from backoffice.orders.list import ATTENTION, LISTS
from backoffice.orders.payment_actions import PAYMENT_ACTIONS
from orders.models import PRICED_BY_REQUEST, Order
from orders.services import desk
from payments.models import Attempt, Gateway, Payment


@admin.register(Order)
class OrderAdmin(CustomerPage, LinesPage, OrderExports, FiguresPages, ReadOnlyAdmin):
    list_display_links = ["__str__"]
    search_fields = ["number"]
    search_help_text = "Number, name, e-mail, city, tracking, reference, product"
    # Never counted: a list goes on for as long as there is another page.
    paginator = InfinitePaginator
    show_full_result_count = False
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
        found = order_lists.chosen(request.GET.getlist("order"))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Ship orders",
            "slips": order_lists.packing_slips(found),
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
        found = order_lists.chosen(request.GET.getlist("order"))
        slips = order_lists.packing_slips(found)
        context = {
            "store": self.admin_site.each_context(request)["site_header"],
            "picks": order_lists.pick_list(slip["order"] for slip in slips if not slip["warning"]),
            "slips": slips,
            "back": reverse("admin:orders_order_changelist"),
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
        about_order, about_payment = (
            "<uuid:order_id>/",
            "<uuid:order_id>/payments/<uuid:payment_id>/",
        )
        several = {"ship_selected": self.ship_selected_view, "print": self.print_view}
        return [
            *(self._address("", name, view) for name, view in several.items()),
            *(
                self._address_of(action, about_order)
                for action in (*ORDER_ACTIONS, *DETAIL_ACTIONS)
            ),
            self._address(about_order, "lines", self.lines_view),
            *(self._address_of(action, about_payment) for action in PAYMENT_ACTIONS),
            *super().get_urls(),
        ]

    def _address_of(self, action: Action[OrderCase], about: str) -> URLPattern:
        def view(
            request: HttpRequest, order_id: uuid.UUID, payment_id: uuid.UUID | None = None
        ) -> HttpResponse:
            return self.action_view(request, action, order_id, payment_id)

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
        order_pages.read_items(order)
        case = OrderCase(request, order)
        items = order_pages.item_rows(order)
        context = {
            "items": items,
            "came_back": any(row["item"].returned for row in items),
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
            "addresses": order_pages.addresses(order),
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
        payment_id: uuid.UUID | None,
    ) -> HttpResponse:
        if not request.user.has_perm(action.permission):
            raise PermissionDenied
        order = self.get_object(request, str(order_id))
        if order is None:
            return missing(self, request, order_id)
        if not self.has_view_permission(request, order):
            raise PermissionDenied
        payment = _with_attempts(order).filter(pk=payment_id).first() if payment_id else None
        if payment_id and payment is None:
            return redirect("admin:orders_order_change", order.pk)
        return self.confirm(action, OrderCase(request, order, payment), title=f"Order {order}")


def _with_chosen(page: str, queryset: QuerySet[Order]) -> HttpResponse:
    chosen = [("order", order_id) for order_id in queryset.order_by().values_list("pk", flat=True)]
    return redirect(f"{reverse(page)}?{urlencode(chosen)}")


def _with_attempts(order: Order) -> QuerySet[Payment]:
    attempts = Prefetch("attempts", Attempt.objects.order_by("created_at", "pk"))
    return order.payments.prefetch_related(attempts)


def _offered(actions: Iterable[Action[OrderCase]], case: OrderCase) -> list[Action[OrderCase]]:
    return [action for action in actions if action.is_offered(case)]
