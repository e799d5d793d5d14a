"""Changing the lines of an unpaid order: one form, looked at as often as one likes, then saved."""

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.forms import BoundField
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminTextInputWidget

from api.errors import Refusal, Standing
from backoffice.actions import ActionAdmin, ActionForm, carry_out, was_done_before, words
from backoffice.base import uuid_of
from backoffice.desk.finding import Found, in_stock, look_for, product_of
from backoffice.desk.forms import units_field
from backoffice.missing import missing
from backoffice.orders.case import OrderCase
from backoffice.products.money import MoneyField
from backoffice.scanning import CODE_LENGTH_MAX
from backoffice.sent_pictures import thumbnails
from orders.models import ITEMS_MAX, Order, OrderItem
from orders.services import amending
from orders.services.cart_lines import CustomItem, ProductWanted
from orders.services.offers import Offer, offers

MAY_CHANGE = "orders.change_order"
_NEW = re.compile(r"new_([0-9a-f]{32})")


@dataclass(frozen=True)
class LinesCase(OrderCase):
    def standing(self) -> Standing:
        return amending.standing(self.order)

    @cached_property
    def items(self) -> list[OrderItem]:
        return list(self.order.items.order_by("position"))

    @property
    def refusal(self) -> str:
        try:
            amending.require_changeable(self.order)
        except Refusal as refusal:
            return words(refusal)
        return ""


class LinesForm(ActionForm):
    """How many there are to be of each line, and what comes beside them."""

    code = forms.CharField(
        label="Name, SKU or barcode",
        required=False,
        max_length=CODE_LENGTH_MAX,
        widget=UnfoldAdminTextInputWidget(
            {"autocomplete": "off", "autofocus": True, "autocapitalize": "off", "spellcheck": False}
        ),
    )
    custom_name = forms.CharField(
        label="Name",
        required=False,
        max_length=200,
        widget=UnfoldAdminTextInputWidget({"autocomplete": "off"}),
    )
    custom_quantity = units_field(initial=1, required=False)

    def __init__(self, data: Any, *, case: LinesCase) -> None:
        super().__init__(data, case=case)
        currency = case.order.currency
        self.fields["custom_price"] = MoneyField(currency, label="Price of one", required=False)
        products = {item.product_id for item in case.items if item.product_id}
        new = _new_products(data or {})
        self.offers = offers({*products, *new}, currency.code)
        self.lines = {f"line_{item.pk.hex}": item for item in case.items}
        self.new = {f"new_{pk.hex}": self.offers[pk] for pk in new if pk in self.offers}
        for name, item in self.lines.items():
            label = f"Quantity of {item.name}"
            self.fields[name] = units_field(label=label, min_value=0, initial=item.quantity)
        for name, offer in self.new.items():
            self.fields[name] = units_field(label=f"Quantity of {offer.name}", min_value=0)

    def label_of(self, name: str) -> str:
        return "a line" if name.startswith(("line_", "new_")) else super().label_of(name)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        name, price = cleaned.get("custom_name"), cleaned.get("custom_price")
        if name and price is None and "custom_price" not in self.errors:
            self.add_error("custom_price", "Say what it costs.")
        if price is not None and not name and "custom_name" not in self.errors:
            self.add_error("custom_name", "Say what it is.")
        return cleaned

    @property
    def quantities(self) -> dict[uuid.UUID, int]:
        return {item.pk: self.cleaned_data[name] for name, item in self.lines.items()}

    @property
    def added(self) -> list[ProductWanted | CustomItem]:
        typed = self.cleaned_data
        products = [
            ProductWanted(typed[name], offer.product_id)
            for name, offer in self.new.items()
            if typed[name]
        ]
        return [*products, *self.custom]

    @property
    def custom(self) -> list[CustomItem]:
        """What is added that is no product, as far as it can be read."""
        typed = self.cleaned_data
        name, price = typed.get("custom_name"), typed.get("custom_price")
        if not name or price is None:
            return []
        return [CustomItem(typed.get("custom_quantity") or 1, name, price)]

    def units_of(self, name: str, otherwise: int) -> int:
        """Return what is typed, as far as it can be read."""
        typed = self.cleaned_data.get(name) if self.is_bound else None
        return otherwise if typed is None else int(typed)


def _new_products(data: Any) -> list[uuid.UUID]:
    found = (_NEW.fullmatch(name) for name in data)
    return [uuid.UUID(match[1]) for match in found if match][:ITEMS_MAX]


@dataclass(frozen=True)
class Row:
    """A line as it is, or as it is to be."""

    field: BoundField
    name: str
    sku: str
    stock: str
    price: str
    value: str
    # Of the quantity that is typed.
    amount: int
    is_new: bool
    is_removed: bool
    thumbnail: SafeString


def _rows(form: LinesForm) -> Iterator[Row]:
    money = form.case.order.currency.formatted
    products = [item.product_id for item in form.lines.values()]
    drawn = thumbnails([*products, *(offer.product_id for offer in form.new.values())])
    for name, item in form.lines.items():
        quantity = form.units_of(name, item.quantity)
        offer = form.offers.get(item.product_id) if item.product_id else None
        yield Row(
            form[name],
            item.name,
            item.sku,
            _stock(offer),
            money(item.unit_price),
            money(item.unit_price * quantity),
            item.unit_price * quantity,
            False,
            not quantity,
            drawn[item.product_id],
        )
    for name, offer in form.new.items():
        quantity = form.units_of(name, 1)
        yield Row(
            form[name],
            offer.name,
            offer.sku,
            _stock(offer),
            money(offer.value_of(1)),
            money(offer.value_of(quantity)),
            offer.value_of(quantity),
            True,
            not quantity,
            drawn[offer.product_id],
        )


def _stock(offer: Offer | None) -> str:
    return in_stock(offer) if offer else ""


class LinesPage(ActionAdmin):
    def lines_view(self, request: HttpRequest, order_id: uuid.UUID) -> HttpResponse:
        if not request.user.has_perms([MAY_CHANGE, "orders.view_order"]):
            raise PermissionDenied
        order = Order.objects.select_related("currency").filter(pk=order_id).first()
        if order is None:
            return missing(self, request, order_id)
        case, found = LinesCase(request, order), None
        form = LinesForm(None, case=case)
        if request.method == "POST":
            data: Any = request.POST
            if "_save" not in data:
                data, found = _looked_at(data, case)
            form = LinesForm(data, case=case)
            if "_save" in data and was_done_before(case, form):
                return redirect("admin:orders_order_change", order_id)
            if form.is_valid() and "_save" in data:
                if carry_out(case, lambda: _save(case, form), form):
                    return redirect("admin:orders_order_change", order_id)
                form.case = case = case.again()
            form.is_to_be_seen_again(request)
        return self._lines_page(request, case, form, found)

    def _lines_page(
        self, request: HttpRequest, case: LinesCase, form: LinesForm, found: Found | None
    ) -> HttpResponse:
        order, rows = case.order, list(_rows(form))
        custom = form.custom if form.is_bound else []
        total = sum(row.amount for row in rows)
        total += sum(each.unit_price * each.quantity for each in custom)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": order,
            "order": order,
            "title": f"Order {order}",
            "refusal": case.refusal,
            "form": form,
            "rows": rows,
            "found": found,
            "total": case.money(order.total),
            "total_then": case.money(total),
            "changes_total": total != order.total,
        }
        return TemplateResponse(request, "admin/orders/order/lines.html", context)


def _save(case: LinesCase, form: LinesForm) -> str:
    order = amending.change_lines(
        case.order.pk,
        form.quantities,
        form.added,
        actor=case.actor,
        seen=form.saw,
        key=form.key(case.request),
    )
    return f"Order {order} comes to {case.money(order.total)}."


def _looked_at(sent: QueryDict, case: LinesCase) -> tuple[dict[str, Any], Found | None]:
    """Put on the form what was asked for by one of its buttons; nothing is saved by that."""
    data: dict[str, Any] = sent.dict()
    code = str(data.get("code", "")).strip()
    chosen = uuid_of(str(data.pop("_add", "")))
    removed = data.pop("_remove", "")
    if removed in data:
        data = {**data, removed: "0"}
    elif chosen or (code and len(code) <= CODE_LENGTH_MAX):
        product_id = chosen or product_of(code)
        if product_id is None:
            return data, look_for(code, case.order.currency)
        _add_one(data, product_id, case)
        data["code"] = ""
    return data, None


def _add_one(data: dict[str, Any], product_id: uuid.UUID, case: LinesCase) -> None:
    """Add a unit to the line that the product has or, if it has none, make it one."""
    own = (item for item in case.items if item.product_id == product_id and not item.custom_inputs)
    item = next(own, None)
    name = f"line_{item.pk.hex}" if item else f"new_{product_id.hex}"
    typed = str(data.get(name, "0")).strip()
    if typed.isdecimal() and len(typed) <= 10:
        data[name] = str(int(typed) + 1)
