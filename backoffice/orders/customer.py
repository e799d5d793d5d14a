"""A customer's page, read from the orders with one e-mail address."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.validators import EmailValidator
from django.db.models import Count, Max, Min, Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from api.errors import Refusal
from api.idempotency import Answered
from backoffice.base import PER_PAGE, actor_of, is_number
from backoffice.forms import OnceForm
from backoffice.order_states import state_of
from backoffice.orders.search import of_email
from inventory.services import currencies
from orders.models import CustomerNote, Order
from orders.services import addresses, customers

# From so many of the newest orders, names and addresses are read, and so many of them are shown.
RECENT, SHOWN = 100, 10
NOTES = 50
PAGES_MAX = 400


def customer_url(email: str) -> str:
    return f"{reverse('admin:orders_order_of_customer')}?{urlencode({'email': email.lower()})}"


class WhoForm(forms.Form):
    email = forms.CharField(
        label="E-mail address",
        max_length=254,
        widget=UnfoldAdminTextInputWidget({"type": "email"}),
        validators=[EmailValidator("Write an e-mail address, such as ada@example.com.")],
    )


class NoteForm(OnceForm):
    text = forms.CharField(
        max_length=2000,
        label="Note",
        widget=UnfoldAdminTextareaWidget({"rows": 3}),
        error_messages={"required": "Write something."},
    )


@dataclass(frozen=True)
class Sums:
    """In one currency: sums of several would be of none."""

    ordered: str
    paid: str
    refunded: str


@dataclass(frozen=True)
class Customer:
    email: str
    names: Sequence[str]
    addresses: Sequence[Sequence[str]]
    orders: int
    cancelled: int
    first: datetime
    last: datetime
    sums: Sequence[Sums]


def read(email: str) -> Customer | None:
    """Sum up the orders with this address; None where there is none. Two queries."""
    orders = of_email(Order.objects.all(), email)
    rows: list[Any] = list(
        orders.values("currency_id")
        .annotate(
            orders=Count("pk"),
            cancelled=Count("pk", filter=Q(cancelled_at__isnull=False)),
            ordered=Sum("total", filter=Q(cancelled_at=None), default=0),
            paid=Sum("captured"),
            given_back=Sum("refunded"),
            first=Min("created_at"),
            last=Max("created_at"),
        )
        .order_by("currency_id")
    )
    if not rows:
        return None
    columns = ("customer_name", "shipping_address", "billing_address")
    recent = list(orders.order_by("-created_at").values_list(*columns)[:RECENT])
    written = [tuple(addresses.lines(each)) for _, *both in recent for each in both]
    return Customer(
        email=email,
        names=list(dict.fromkeys(name for name, *_ in recent if name))[:SHOWN],
        addresses=list(dict.fromkeys(filter(None, written)))[:SHOWN],
        orders=sum(row["orders"] for row in rows),
        cancelled=sum(row["cancelled"] for row in rows),
        first=min(row["first"] for row in rows),
        last=max(row["last"] for row in rows),
        sums=[_sums(row) for row in rows],
    )


def _sums(row: Mapping[str, Any]) -> Sums:
    money = currencies.by_code()[row["currency_id"]].formatted
    return Sums(money(row["ordered"]), money(row["paid"]), money(row["given_back"]))


def _orders(email: str, page: int) -> tuple[list[Any], bool]:
    """Read one page of the orders, the newest first, and tell whether there is another."""
    found: QuerySet[Order] = of_email(Order.objects.select_related("currency"), email)
    first = (page - 1) * PER_PAGE
    orders: list[Any] = list(found.order_by("-created_at", "-pk")[first : first + PER_PAGE + 1])
    for order in orders:
        order.state, order.sum = state_of(order), order.currency.formatted(order.total)
    return orders[:PER_PAGE], len(orders) > PER_PAGE


class CustomerPage(ModelAdmin):
    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.customer_view)
        return [path("customer/", view, name="orders_order_of_customer"), *super().get_urls()]

    def customer_view(self, request: HttpRequest) -> HttpResponse:
        may_write = request.user.has_perm("orders.add_customernote")
        if not self.has_view_permission(request) or (request.method == "POST" and not may_write):
            raise PermissionDenied
        asked = request.GET if "email" in request.GET else None
        who = WhoForm(asked, label_suffix="")
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Customer",
            "who": who,
        }
        if who.is_valid():
            email = who.cleaned_data["email"].lower()
            form = NoteForm(request.POST if request.method == "POST" else None)
            if form.is_valid() and self._write(request, email, form):
                return redirect(customer_url(email))
            context |= self._of(request, email) | {"form": form, "may_write": may_write}
        return TemplateResponse(request, "admin/orders/order/customer.html", context)

    def _write(self, request: HttpRequest, email: str, form: NoteForm) -> bool:
        text, key = form.cleaned_data["text"], form.key(request)
        try:
            customers.write_note(email, text, actor=actor_of(request), key=key)
        except Answered:
            messages.warning(request, "This was recorded already, and not a second time.")
        except Refusal as refusal:
            form.add_error(None, str(refusal))
            return False
        else:
            messages.success(request, "The note is kept with the customer.")
        return True

    def _of(self, request: HttpRequest, email: str) -> dict[str, Any]:
        asked = request.GET.get("p", "")
        page = min(max(int(asked), 1), PAGES_MAX) if is_number(asked) else 1
        orders, is_more = _orders(email, page)
        may_read = request.user.has_perm("orders.view_customernote")
        notes = CustomerNote.objects.filter(email=email).order_by("-created_at", "-pk")
        return {
            "title": f"Customer {email}",
            "email": email,
            "customer": read(email),
            "orders": orders,
            "newer": page - 1,
            "older": page + 1 if is_more and page < PAGES_MAX else 0,
            "notes": list(notes[:NOTES]) if may_read else [],
            "may_read": may_read,
        }
