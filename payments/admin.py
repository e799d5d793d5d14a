"""Orders and gateways, for people. Orders stand here because their page joins the apps."""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from api.admin import OnceForm, ReadOnlyAdmin, ServiceAdmin, actor_of, moment
from api.errors import Refusal
from api.idempotency import Answered, KeyReused
from inventory.forms import MoneyField
from inventory.models import Action, StockTransaction
from orders import services as orders
from orders.errors import InsufficientStock
from orders.models import Order, OrderItem
from payments import gateways, services
from payments.errors import OrderNotPayable, RestIsPending
from payments.models import Attempt, Gateway, Payment
from payments.services import Request

STATUS_COLOURS = {
    "incomplete": None,
    "processing": "info",
    "complete": "success",
    "cancelled": "danger",
}
PAYMENT_COLOURS = {
    "unpaid": None,
    "partially_authorized": "warning",
    "authorized": "info",
    "partially_paid": "warning",
    "paid": "success",
    "refunded": "danger",
}
SHIPPING_COLOURS = {"unfulfilled": None, "fulfilled": "success"}
# Of payments and of their attempts.
OUTCOME_COLOURS = {
    "pending": "warning",
    "complete": "success",
    "succeeded": "success",
    "failed": "danger",
    "cancelled": None,
}


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin):
    list_display = ["__str__", "customer", "sum", "state", "paid", "shipped", "placed"]
    list_filter = ["status", "payment", "shipping"]
    list_select_related = ["currency"]
    search_fields = ["customer_email"]
    search_help_text = "Number, e-mail, name or the SKU of an item"
    ordering = ["-created_at", "-number"]

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
        def page(view: Callable[..., HttpResponseBase], name: str) -> URLPattern:
            url = f"<uuid:order_id>/{name.replace('_', '-')}/"
            return path(url, self.admin_site.admin_view(view), name=f"orders_order_{name}")

        return [
            page(self.ship_view, "ship"),
            page(self.cancel_view, "cancel"),
            page(self.record_payment_view, "record_payment"),
            *super().get_urls(),
        ]

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
        attempts = Prefetch("attempts", Attempt.objects.order_by("created_at", "pk"))
        payments = list(order.payments.prefetch_related(attempts).order_by("created_at", "pk"))
        names = dict(Gateway.objects.values_list("slug", "name"))
        context = {
            "items": _item_rows(order),
            "sums": _sums(order),
            "payments": _payment_rows(order, payments, names),
            "addresses": _addresses(order),
            "timeline": timeline(order, payments, names),
            "colours": {
                "status": STATUS_COLOURS[order.status],
                "payment": PAYMENT_COLOURS[order.payment],
                "shipping": SHIPPING_COLOURS[order.shipping],
            },
            "can_ship": may_change(request) and not _refusal(order.require_shippable),
            "can_cancel": may_change(request) and not _refusal(order.require_cancellable),
            "can_pay": may_record_payment(request)
            and not _refusal(lambda: _require_payable(order)),
        }
        return self._page(request, order, "page.html", context)

    def ship_view(self, request: HttpRequest, order_id: uuid.UUID) -> HttpResponse:
        def ship(order: Order, form: StepForm) -> str:
            orders.ship(order.pk, actor=actor_of(request))
            return f"Order {order} is shipped."

        step = Step("Ship", _what_ship_does, ship, guard=Order.require_shippable)
        return self._confirm(request, order_id, step, may_change(request))

    def cancel_view(self, request: HttpRequest, order_id: uuid.UUID) -> HttpResponse:
        def cancel(order: Order, form: StepForm) -> str:
            services.cancel(order.pk, actor=actor_of(request))
            if form.cleaned_data.get("refund"):
                _refund_all(request, order)
            return f"Order {order} is cancelled."

        step = Step(
            "Cancel order",
            _what_cancel_does,
            cancel,
            guard=Order.require_cancellable,
            form=CancelForm,
            dangerous=True,
        )
        return self._confirm(request, order_id, step, may_change(request))

    def record_payment_view(self, request: HttpRequest, order_id: uuid.UUID) -> HttpResponse:
        def record(order: Order, form: StepForm) -> str:
            payment = services.pay(
                order.pk,
                Request(
                    "manual",
                    amount=form.cleaned_data["amount"],
                    custom_reference=form.cleaned_data["reference"],
                ),
                actor=actor_of(request),
                key=form.key(request),
            )
            return f"{order.currency.formatted(payment.amount)} recorded for order {order}."

        step = Step(
            "Record payment",
            _what_recording_does,
            record,
            guard=_require_payable,
            form=PaymentForm,
            shown_again=True,
        )
        return self._confirm(request, order_id, step, may_record_payment(request))

    def _confirm(
        self, request: HttpRequest, order_id: uuid.UUID, step: "Step", permitted: bool
    ) -> HttpResponse:
        """Say what the step does, and take it when that was confirmed."""
        order = self.get_object(request, str(order_id))
        if not permitted or (order and not self.has_view_permission(request, order)):
            raise PermissionDenied
        if order is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(order_id))
        form = step.form(request.POST if request.method == "POST" else None, order=order)
        sent = request.method == "POST" and form.is_valid()
        if sent and (_take(step, order, form, request) or not step.shown_again):
            return redirect("admin:orders_order_change", order.pk)
        context = {
            "step": step,
            "form": form,
            "effects": step.effects(order),
            "refusal": _refusal(lambda: step.guard(order)),
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


def may_change(request: HttpRequest) -> bool:
    return request.user.has_perm("orders.change_order")


def may_record_payment(request: HttpRequest) -> bool:
    return request.user.has_perm("payments.add_payment")


class StepForm(OnceForm):
    """A confirmation with nothing to fill in."""

    def __init__(self, data: Any, *, order: Order) -> None:
        super().__init__(data)
        self.order = order


class CancelForm(StepForm):
    refund = forms.BooleanField(required=False, widget=UnfoldBooleanSwitchWidget)

    def __init__(self, data: Any, *, order: Order) -> None:
        super().__init__(data, order=order)
        kept = order.captured - order.refunded
        if kept:
            self.fields["refund"].label = f"Refund {order.currency.formatted(kept)} as well"
        else:
            del self.fields["refund"]


class PaymentForm(StepForm):
    reference = forms.CharField(
        max_length=200,
        required=False,
        widget=UnfoldAdminTextInputWidget({"placeholder": "Bank transfer of 3 May"}),
        help_text="By which it is found in your books.",
    )

    def __init__(self, data: Any, *, order: Order) -> None:
        super().__init__(data, order=order)
        self.fields["amount"] = MoneyField(order.currency, initial=order.payable)
        self.order_fields(["amount", "reference"])

    def clean_amount(self) -> int:
        amount: int = self.cleaned_data["amount"]
        left = self.order.payable
        if left > 0 and not 0 < amount <= left:
            formatted = self.order.currency.formatted(left)
            raise forms.ValidationError(f"Between 0 and {formatted}, which is left to pay.")
        return amount


@dataclass(frozen=True)
class Step:
    """Something that can be done with an order, after it was said what it will do."""

    title: str
    effects: Callable[[Order], list[str]]
    take: Callable[[Order, Any], str]
    # What would refuse it, asked before anybody confirms in vain.
    guard: Callable[[Order], None]
    form: type[StepForm] = StepForm
    # Whether what was typed is shown again after a refusal.
    shown_again: bool = False
    dangerous: bool = False


def _take(step: Step, order: Order, form: StepForm, request: HttpRequest) -> bool:
    try:
        messages.success(request, step.take(order, form))
    except Answered:
        messages.info(request, "This was recorded already, and not a second time.")
    except KeyReused:
        messages.error(request, "This form was sent before, with other values. See the order.")
    except Refusal as refusal:
        messages.error(request, words(refusal))
        return False
    return True


def words(refusal: Refusal) -> str:
    """What a merchant may know: behind the shopper's sentence stand the numbers."""
    if isinstance(refusal, InsufficientStock) and isinstance(refusal.__cause__, Refusal):
        return f"{refusal}. {refusal.__cause__}"
    return str(refusal)


def _refund_all(request: HttpRequest, order: Order) -> None:
    """Give back what was captured. The order stays cancelled where a gateway refuses."""
    for payment in services.payments_of(order.pk):
        if not payment.refundable_amount:
            continue
        money = order.currency.formatted(payment.refundable_amount)
        try:
            attempt = services.refund(
                order.pk,
                payment.pk,
                payment.refundable_amount,
                actor=actor_of(request),
                reason="order cancelled",
            )
        except Refusal as refusal:
            messages.error(request, f"{money} could not be refunded: {refusal}")
        else:
            state = "is on its way back" if attempt.is_pending else "is refunded"
            messages.success(request, f"{money} {state}.")


def _refusal(check: Callable[[], object]) -> str:
    try:
        check()
    except Refusal as refusal:
        return str(refusal)
    return ""


def _require_payable(order: Order) -> None:
    """Say beforehand what the service would: it decides again under the order's lock."""
    if order.is_cancelled or order.fully_paid_at:
        raise OrderNotPayable
    if order.total and not order.payable:
        raise RestIsPending if order.attempts_open else OrderNotPayable


# The parts of the page.


def _item_rows(order: Order) -> list[dict[str, Any]]:
    money = order.currency.formatted
    return [
        {"item": item, "unit_price": money(item.unit_price), "value": money(item.value)}
        for item in order.items.order_by("position")
    ]


def _sums(order: Order) -> dict[str, str]:
    """The order's money: what is zero is left out, but for the total."""
    sums = {
        "Captured": order.captured,
        "Authorized": order.authorized,
        "Pending": order.pending,
        "Refunded": order.refunded,
        "Left to pay": 0 if order.is_cancelled else order.payable,
    }
    shown = {"Total": order.total, **{name: amount for name, amount in sums.items() if amount}}
    return {name: order.currency.formatted(amount) for name, amount in shown.items()}


def _payment_rows(
    order: Order, payments: Sequence[Payment], names: Mapping[str, str]
) -> list[dict[str, Any]]:
    money = order.currency.formatted
    return [
        {
            "payment": payment,
            "gateway": names.get(payment.gateway, payment.gateway),
            "colour": OUTCOME_COLOURS[payment.status],
            "amount": money(payment.amount),
            "captured": money(payment.captured_amount),
            "refunded": money(payment.refunded_amount),
            "notes": _payment_notes(payment),
            "attempts": [
                {
                    "attempt": attempt,
                    "colour": OUTCOME_COLOURS[attempt.status],
                    "amount": money(attempt.amount),
                    "notes": _notes(attempt.reason, attempt.reference, attempt.failure),
                }
                for attempt in payment.attempts.all()
            ],
        }
        for payment in payments
    ]


def _payment_notes(payment: Payment) -> str:
    late = "Came too late for the order" if payment.late else ""
    return _notes(payment.custom_reference, payment.reference, payment.failure, late)


def _notes(*notes: str) -> str:
    return " · ".join(filter(None, notes))


_ADDRESS_LINES = [
    ("first_name", "last_name"),
    ("company_name",),
    ("line_1",),
    ("line_2",),
    ("postcode", "city"),
    ("county", "region"),
    ("country",),
    ("phone_number",),
    ("instructions",),
]


def _addresses(order: Order) -> dict[str, list[str]]:
    return {
        "Billing address": _address(order.billing_address),
        "Shipping address": _address(order.shipping_address),
    }


def _address(address: Mapping[str, Any]) -> list[str]:
    lines = (
        " ".join(str(address[name]) for name in names if address.get(name))
        for names in _ADDRESS_LINES
    )
    return [line for line in lines if line]


# What a step does to stock and money, in words.


def _units(quantity: int) -> str:
    return "1 unit" if quantity == 1 else f"{quantity} units"


def _held(order: Order) -> int:
    return order.items.aggregate(units=Sum("allocated", default=0))["units"] or 0


def _what_ship_does(order: Order) -> list[str]:
    held = _held(order)
    stock = f"Takes {_units(held)} out of the total." if held else "Moves no stock."
    return [stock, "Money stays as it is."]


def _what_cancel_does(order: Order) -> list[str]:
    held, kept = _held(order), order.captured - order.refunded
    stock = f"Gives {_units(held)} back to available" if held else "Moves no stock"
    money = order.currency.formatted
    effects = []
    if kept:
        stock += f"; {money(kept)} stays captured until it is refunded"
    effects.append(f"{stock}.")
    if order.authorized:
        effects.append(f"Lets the authorized {money(order.authorized)} go.")
    return [*effects, "A cancelled order cannot be opened again."]


def _what_recording_does(order: Order) -> list[str]:
    effects = ["Records money that you received outside of Holdfast, in cash or by bank transfer."]
    if order.allocated_at is None:
        units = OrderItem.objects.filter(order=order, product__stocks__managed=True).aggregate(
            units=Sum("quantity", default=0)
        )["units"]
        if units:
            effects.append(f"Takes {_units(units)} from available for this order.")
    return effects


# The timeline.


@dataclass(frozen=True)
class Event:
    at: datetime
    what: str
    who: str = ""
    note: str = ""


def timeline(order: Order, payments: Sequence[Payment], names: Mapping[str, str]) -> list[Event]:
    """What happened to an order, oldest first: the order, its money and its stock in one list."""
    entries = StockTransaction.objects.filter(order_id=order.pk).select_related("stock__product")
    moved = list(entries.order_by("created_at", "pk"))
    told = order.events.order_by("created_at", "pk")
    happened = [
        Event(order.created_at, "Order placed", order.customer_name),
        *_money_events(order, payments, names),
        *(
            Event(each.created_at, each.get_kind_display(), each.actor_name, each.text)
            for each in told
        ),
        *_stock_events(moved),
    ]
    if order.fully_paid_at:
        happened.append(Event(order.fully_paid_at, "Fully paid"))
    return sorted(happened, key=lambda event: event.at)


def _money_events(
    order: Order, payments: Iterable[Payment], names: Mapping[str, str]
) -> Iterable[Event]:
    money = order.currency.formatted
    for payment in payments:
        gateway = names.get(payment.gateway, payment.gateway)
        yield Event(
            payment.created_at,
            f"{payment.get_method_display()} of {money(payment.amount)} through "
            f"{gateway}: {payment.status}",
            payment.actor_name,
            _payment_notes(payment),
        )
        for attempt in payment.attempts.all():
            yield Event(
                attempt.created_at,
                f"{attempt.get_kind_display()} of {money(attempt.amount)} through "
                f"{gateway}: {attempt.status}",
                attempt.actor_name,
                _notes(attempt.reason, attempt.failure),
            )


_MOVED = {
    Action.ALLOCATE: "allocated",
    Action.DEALLOCATE: "deallocated",
    Action.INCREMENT: "incremented",
    Action.DECREMENT: "decremented",
}


def _stock_events(moved: Iterable[StockTransaction]) -> Iterable[Event]:
    """One event for what was moved together, however many products it was."""
    for (reason, who), together in groupby(moved, lambda each: (each.reason, each.actor_name)):
        entries = list(together)
        actions = {Action(entry.action): 0 for entry in entries}
        for entry in entries:
            actions[Action(entry.action)] += entry.quantity
        sums = [f"{_units(quantity)} {_MOVED[action]}" for action, quantity in actions.items()]
        first = next(iter(actions))
        products = [
            f"{entry.quantity} of {entry.stock.product.sku}"
            for entry in entries
            if entry.action == first
        ]
        what = f"Stock: {', '.join(sums)}"
        yield Event(entries[0].created_at, what, who, _notes(reason, *products))


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
        return gateway.slug in gateways.known()

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
