"""What events are about: how it is called, where its page is, and how its events are found."""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from backoffice import movements
from backoffice.base import is_number, uuid_of
from backoffice.events import words
from backoffice.history import NOTHING
from backoffice.products.page import page_of
from events.models import Event, Integration
from inventory.models import Currency, Picture, Product, StockTransaction
from inventory.services import codes
from orders.models import Cart, Order, Return, Shipment
from payments.models import Gateway, Payment

# What has a page of its own, by kind, and the column by which events name it.
_PAGES: dict[str, tuple[type[Model], str]] = {
    "cart": (Cart, "pk"),
    "currency": (Currency, "pk"),
    "file": (Picture, "pk"),
    "integration": (Integration, "pk"),
    "payment-gateway": (Gateway, "slug"),
}
_OF_ORDERS = {"order", "transaction", "shipment", "return"}
_OF_PRODUCTS = {"product", "stock", "stock-transaction"}


@dataclass(frozen=True)
class Told:
    """An event, as far as somebody may see what it is about."""

    event: Event
    is_visible: bool
    # What it is about, and where that is: each empty where nobody knows, or where it is gone.
    name: str = ""
    url: str = ""

    @property
    def words(self) -> str:
        if self.is_visible and self.event.kind == "stock-transaction":
            return _movement(self._thing) or words.words(self.event.type)
        return words.words(self.event.type)

    @cached_property
    def _thing(self) -> dict[str, Any]:
        return _thing_of(self.event)


def told(request: HttpRequest, events: Collection[Event]) -> list[Told]:
    """Find what the events are about, in as many queries as there are kinds of it."""
    visible = [event for event in events if may_see(request, event.type)]
    names = _of_orders(visible) | _of_products(visible) | _of_others(visible)
    seen = {event.position: names.get(event.position) or _unnamed(event) for event in visible}
    return [Told(event, event.position in seen, *seen.get(event.position, ())) for event in events]


def linked(told: Told) -> str:
    """Name what an event is about, with a link to it if it is still there."""
    if not told.url:
        return told.name or NOTHING
    return format_html('<a class="hf-link" href="{}">{}</a>', told.url, told.name)


def may_see(request: HttpRequest, type_: str) -> bool:
    kind = words.kind_of(type_)
    return bool(kind and request.user.has_perm(kind.permission)) or request.user.is_superuser


def pretty(payload: str) -> str:
    return json.dumps(json.loads(payload), ensure_ascii=False, indent=2)


# The position of an event, and how that is called and where it is that the event is about.
_Names = dict[int, tuple[str, str]]


def _thing_of(event: Event) -> dict[str, Any]:
    """Read what an event tells of; of what is gone, its type and id."""
    document = json.loads(event.payload)
    thing: dict[str, Any] = document.get("data") or document
    return thing


def _unnamed(event: Event) -> tuple[str, str]:
    thing = _thing_of(event)
    return str(thing.get("name") or thing.get("file_name") or thing.get("code") or ""), ""


def _of_orders(events: Iterable[Event]) -> _Names:
    ids = {event.position: _order_id(event) for event in events if event.kind in _OF_ORDERS}
    orders = Order.objects.in_bulk({each for each in ids.values() if each})
    return {
        position: (f"Order {orders[each]}", reverse("admin:orders_order_change", args=[each]))
        for position, each in ids.items()
        if each in orders
    }


def _order_id(event: Event) -> UUID | None:
    if event.kind == "order":
        return uuid_of(event.subject)
    thing = _thing_of(event)
    related = thing.get("relationships", {}).get("order", {}).get("data", {})
    return uuid_of(str(thing.get("order_id") or related.get("id")))


def _of_products(events: Iterable[Event]) -> _Names:
    ids = {event.position: _product_id(event) for event in events if event.kind in _OF_PRODUCTS}
    products = Product.objects.in_bulk({each for each in ids.values() if each})
    return {
        position: (str(products[each]), page_of(products[each]))
        for position, each in ids.items()
        if each in products
    }


def _product_id(event: Event) -> UUID | None:
    thing = _thing_of(event)
    return uuid_of(str(thing.get("product_id") or thing.get("id")))


def _of_others(events: Collection[Event]) -> _Names:
    found: _Names = {}
    for kind, (model, column) in _PAGES.items():
        subjects = {event.subject for event in events if event.kind == kind}
        if column == "pk" and model is not Cart:
            subjects = {subject for subject in subjects if uuid_of(subject)}
        rows = model._default_manager.filter(**{f"{column}__in": subjects}) if subjects else ()
        by_subject = {str(getattr(row, column)): row for row in rows}
        page = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
        found |= {
            event.position: (str(row), reverse(page, args=[row.pk]))
            for event in events
            if event.kind == kind and (row := by_subject.get(event.subject))
        }
    return found


def _movement(thing: dict[str, Any]) -> str:
    action, quantity = thing.get("action"), thing.get("quantity")
    if not isinstance(action, str) or not isinstance(quantity, int):
        return ""
    entry = StockTransaction(
        action=action, by_order=bool(thing.get("order_id")), reason=str(thing.get("reason") or "")
    )
    return f"Stock: {movements.word(entry).lower()}, {quantity:,}"


# Finding.


def about(subject: str) -> list[str]:
    """Name the subjects of all events about something: of an order, its payments and parcels too.

    It is asked for by an id.
    """
    thing_id = uuid_of(subject)
    if thing_id is None:
        return [subject]
    found = [str(thing_id)]
    for model in (Payment, Shipment, Return):
        found += map(
            str, model._default_manager.filter(order=thing_id).values_list("pk", flat=True)
        )
    return found


def called(subject: str) -> str:
    """Say what an id is of: an order or a product, or else something."""
    thing_id = uuid_of(subject)
    if thing_id is None:
        return subject
    if order := Order.objects.filter(pk=thing_id).first():
        return f"Order {order}"
    product = Product.objects.filter(pk=thing_id).first()
    return str(product) if product else subject


def sought(term: str) -> list[str]:
    """Name what may be meant by what was typed: an order's number, a product's code, or an id."""
    term = term.strip()
    found = about(term)
    if is_number(number := term.removeprefix("#")):
        for order_id in Order.objects.filter(number=int(number)).values_list("pk", flat=True):
            found += about(str(order_id))
    if product_id := codes.product_scanned(term):
        found += about(str(product_id))
    return found
