"""The Inventory tab: a product's numbers as they are, who holds its units, and how to move them."""

import hashlib
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import URLPattern
from django.utils import timezone

from api import clock
from backoffice import movements
from backoffice.actions import carry_out, was_done_before
from backoffice.base import actor_of, is_number, units
from backoffice.missing import missing
from backoffice.products.actions import STOP_MANAGING, ProductCase
from backoffice.products.forms import COUNT, OperationForm, StartManagingForm
from backoffice.products.holding import Holding, holding_of
from backoffice.products.page import (
    ProductPage,
    inventory_url,
    may_see_deliveries,
    may_see_log,
    may_see_orders,
    named,
)
from inventory.errors import CountTooLow, StockMoved
from inventory.models import BY_HAND, EFFECTS, Action, Product, Stock, StockTransaction
from inventory.services import codes, deliveries, evidence, products
from inventory.services import log as stock_log
from inventory.services import stock as inventory
from inventory.services.log import totals_at

MAY_CHANGE = "inventory.change_stock"
RECENT = 5
SET_ASIDE_SHOWN = 25
DELIVERIES_SHOWN = 5
# That of an EAN-8. Shorter codes cannot be told from quantities.
BARCODE_LENGTH_MIN = 8
PREVIEWED = ("available", "allocated", "held")
DONE = {
    Action.ALLOCATE: "Allocated",
    Action.DEALLOCATE: "Deallocated",
    Action.INCREMENT: "Incremented",
    Action.DECREMENT: "Decremented",
}


class InventoryTab(ProductPage):
    def get_urls(self) -> list[URLPattern]:
        return [
            self.page(self.inventory_view, "inventory/", "inventory"),
            self.page(self.live_view, "inventory/live/", "inventory_live"),
            self.page(self.then_view, "inventory/then/", "inventory_then"),
            self.page(self.stop_managing_view, "inventory/stop/", "stop_managing"),
            *super().get_urls(),
        ]

    def inventory_view(self, request: HttpRequest, product_id: uuid.UUID) -> HttpResponse:
        product = self.found(request, product_id)
        if product is None:
            return missing(self, request, product_id)
        if request.method != "POST":
            return self._inventory_page(request, product)
        _require_stock_permission(request)
        action = request.POST.get("action", "")
        if scanned := _scanned(request.POST.get("quantity", "")):
            return redirect(inventory_url(scanned, action))
        return self._act(action)(request, product)

    def _act(self, action: str) -> Callable[[HttpRequest, Product], HttpResponse]:
        others = {"start": self._start_managing, "undo": self._undo, COUNT: self._count}
        if action in others:
            return others[action]
        if action not in Action.values:
            raise SuspiciousOperation("no such action")
        return self._record

    def live_view(self, request: HttpRequest, product_id: uuid.UUID) -> HttpResponse:
        """What changes by itself while the page is open, if it is not what is `shown` already."""
        product = self.found(request, product_id)
        if product is None:
            return HttpResponse(status=404)
        live = self._live(request, product, holding_of(product))
        if request.GET.get("shown") == live["shown"]:
            return HttpResponse(status=204)
        return HttpResponse(render_to_string("admin/inventory/product/live.html", live))

    def then_view(self, request: HttpRequest, product_id: uuid.UUID) -> HttpResponse:
        """The total at the moment of a count, which the difference is measured from."""
        product = self.found(request, product_id)
        if product is None:
            return HttpResponse(status=404)
        form = OperationForm(request.GET)
        form.is_valid()
        then = _then(holding_of(product).stock, form)
        return HttpResponse(render_to_string("admin/inventory/product/then.html", {"then": then}))

    # What is done here.

    def _record(self, request: HttpRequest, product: Product) -> HttpResponse:
        form = OperationForm(request.POST)
        typed, action = form.cleaned_data if form.is_valid() else {}, form.data.get("action", "")

        def record() -> str:
            inventory.record(
                product.pk,
                Action(action),
                typed["quantity"],
                actor=actor_of(request),
                reason=typed["reason"],
                seen=typed["seen"],
                key=form.key(request),
            )
            return f"{DONE[Action(action)]}: {units(typed['quantity'])}."

        if typed and carry_out(ProductCase(request, product), record, form):
            return _back(product, action)
        return self._inventory_page(request, product, form)

    def _count(self, request: HttpRequest, product: Product) -> HttpResponse:
        form = OperationForm(request.POST)
        typed = form.cleaned_data if form.is_valid() else {}

        def count() -> str:
            difference = inventory.count(
                product.pk,
                typed["quantity"],
                actor=actor_of(request),
                counted_at=typed["counted_at"],
                seen=None if typed["confirmed"] else typed["seen"],
                reason=typed["reason"],
                key=form.key(request),
            )
            return told_of_count(typed["quantity"], difference)

        if typed and carry_out(ProductCase(request, product), count, form):
            return _back(product, COUNT)
        if isinstance(form.refusal, StockMoved):
            form = form.to_be_confirmed(clock.now(), str(form.refusal))
        too_low = isinstance(form.refusal, CountTooLow)
        return self._inventory_page(request, product, form, names_holders=too_low)

    def _undo(self, request: HttpRequest, product: Product) -> HttpResponse:
        sequence = request.POST.get("sequence", "")
        if not is_number(sequence):
            raise SuspiciousOperation("no such entry")
        case = ProductCase(request, product)

        def undo() -> str:
            undone = inventory.undo(product.pk, int(sequence), actor=case.actor)
            return f"Undone: {movements.word(undone).lower()} {units(undone.quantity)}."

        carry_out(case, undo)
        return redirect(inventory_url(product.pk))

    def _start_managing(self, request: HttpRequest, product: Product) -> HttpResponse:
        case = ProductCase(request, product)
        form = StartManagingForm(request.POST, case=case)
        if was_done_before(case, form):
            return redirect(inventory_url(product.pk))

        def start() -> str:
            quantity = form.cleaned_data["quantity"]
            products.start_managing(
                product.pk,
                quantity,
                actor=case.actor,
                seen=form.saw,
                key=form.key(request),
            )
            return f"The stock of this product is managed now, beginning with {units(quantity)}."

        if form.is_valid() and carry_out(case, start, form):
            return redirect(inventory_url(product.pk))
        return self._inventory_page(request, product, start_form=form)

    def stop_managing_view(self, request: HttpRequest, product_id: uuid.UUID) -> HttpResponse:
        product = self.found(request, product_id)
        if product is None:
            return missing(self, request, product_id)
        _require_stock_permission(request)
        return self.confirm(
            STOP_MANAGING,
            ProductCase(request, product),
            back=inventory_url(product_id),
            tab="Inventory",
            title=product.name,
            subtitle="Inventory",
        )

    # How it looks.

    def _inventory_page(
        self,
        request: HttpRequest,
        product: Product,
        form: OperationForm | None = None,
        *,
        start_form: StartManagingForm | None = None,
        names_holders: bool = False,
    ) -> HttpResponse:
        holding = holding_of(product)
        if form is None:
            form = OperationForm(
                initial={"action": request.GET.get("do"), "seen": holding.stock.sequence}
            )
        else:
            # What is told of is seen by whoever sends it again; a count asks whether to go on.
            told = isinstance(form.refusal, StockMoved) or form.cleaned_data.get("seen") is None
            form.is_to_be_seen_again(
                request, **({"seen": str(holding.stock.sequence)} if told else {})
            )
        if start_form:
            start_form.is_to_be_seen_again(request)
        elif not holding.stock.managed:
            start_form = StartManagingForm(None, case=ProductCase(request, product))
        context = {
            **self._live(request, product, holding),
            "form": form,
            "operations": operations(form),
            "then": _then(holding.stock, form),
            "names_holders": names_holders,
            "start_form": start_form,
        }
        return self.drawn(request, product, "Inventory", "inventory.html", context)

    def _live(self, request: HttpRequest, product: Product, holding: Holding) -> dict[str, Any]:
        """What refreshes itself: two parts of the page, and a mark by which they are known."""
        stock = holding.stock
        sees_log, may_change = may_see_log(request), request.user.has_perm(MAY_CHANGE)
        recent = stock_log.page(stock, offset=0, limit=RECENT, newest_first=True)
        set_aside = stock_log.set_aside(stock, SET_ASIDE_SHOWN)
        context = {
            "original": product,
            "stock": stock,
            "sentence": sentence(stock),
            "last_count": evidence.last_count(product.pk),
            "holding": holding,
            "set_aside": set_aside,
            "set_aside_before": stock.held - sum(entry.set_aside for entry in set_aside),
            "recent": named(request, recent if sees_log else [], of=product),
            "expected": expected(request, product),
            "may_see_log": sees_log,
            "may_see_orders": may_see_orders(request),
            "may_undo": may_change and _is_undoable(product, recent),
            "may_change": may_change,
            "zone": timezone.get_current_timezone_name(),
        }
        parts = {
            part: render_to_string(f"admin/inventory/product/{part}.html", context)
            for part in ("standing", "holding")
        }
        shown = hashlib.sha256("".join(parts.values()).encode()).hexdigest()[:16]
        return {**context, "parts": parts, "shown": shown}


def sentence(stock: Stock) -> str:
    return (
        f"Total {stock.total} = Available {stock.available} + Allocated {stock.allocated} "
        f"(orders {stock.for_orders}, set aside {stock.held})"
    )


@dataclass(frozen=True)
class ExpectedUnits:
    """What open deliveries are to bring, beside the numbers and never among them."""

    units: int
    shown: Sequence[deliveries.Expected]
    # How many more deliveries there are, which are not named.
    more: int


def expected(request: HttpRequest, product: Product) -> ExpectedUnits | None:
    if not may_see_deliveries(request):
        return None
    found = deliveries.expected_of(product.pk)
    shown = found[:DELIVERIES_SHOWN]
    units = sum(each.units for each in found)
    return ExpectedUnits(units, shown, len(found) - len(shown)) if found else None


def _require_stock_permission(request: HttpRequest) -> None:
    if not request.user.has_perm(MAY_CHANGE):
        raise PermissionDenied


def _is_undoable(product: Product, recent: Sequence[StockTransaction]) -> bool:
    """Tell whether the log's last entry may be undone here."""
    last = recent[0] if recent else None
    return bool(last and not last.by_order and not inventory.made_by(product.pk, last))


def _back(product: Product, action: str) -> HttpResponse:
    """Show the page again with the same operation chosen: the next product wants the same."""
    return redirect(inventory_url(product.pk, action))


def _scanned(quantity: str) -> uuid.UUID | None:
    """Find the product whose barcode a scanner typed where the cursor was, which is no quantity."""
    return codes.product_scanned(quantity) if len(quantity) >= BARCODE_LENGTH_MIN else None


def told_of_count(counted: int, difference: int) -> str:
    if not difference:
        return f"Counted {units(counted)}, as the log says: nothing to correct."
    way = "more" if difference > 0 else "fewer"
    return f"Counted {units(counted)}. Adjusted: {units(abs(difference))} {way}."


def _then(stock: Stock, form: OperationForm) -> int | None:
    """The total at the moment of the count that was typed, if one was."""
    moment = form.moment_of_count
    if moment is None:
        return None
    [then] = totals_at([(stock, moment)])
    return then.total


@dataclass(frozen=True)
class Operation:
    """One of the card's tabs: what it does in words, and to each of the numbers."""

    action: str
    label: str
    icon: str
    effect: str
    reasons: str
    chosen: bool
    # For the preview: what one unit does.
    does: str

    REASONS: ClassVar = {
        Action.INCREMENT: ["Delivery", "Returned by a customer", "Found", "Made"],
        Action.DECREMENT: ["Damaged", "Lost", "Expired", "Given away", "Used up"],
        Action.ALLOCATE: ["Reserved for a customer", "On display", "Being repaired", "Photographs"],
        Action.DEALLOCATE: ["No longer reserved", "Back from display", "Back from repair"],
        COUNT: ["Yearly count", "Weekly count", "Spot check"],
    }


def operations(form: forms.Form) -> list[Operation]:
    texts = [
        (Action.INCREMENT, "add_box", "Adds units that came in."),
        (Action.DECREMENT, "indeterminate_check_box", "Takes out available units."),
        (Action.ALLOCATE, "lock", "Sets available units aside by hand."),
        (Action.DEALLOCATE, "lock_open", "Frees units that were set aside by hand."),
        (COUNT, "fact_check", "Corrects the total to what is on the shelf."),
    ]
    known = [action for action, _, _ in texts]
    chosen = form["action"].value() if form["action"].value() in known else Action.INCREMENT
    return [
        Operation(
            str(action),
            str(action).capitalize(),
            icon,
            effect,
            json.dumps(Operation.REASONS[action]),
            chosen=action == chosen,
            does=json.dumps(_effect(action)),
        )
        for action, icon, effect in texts
    ]


def _effect(action: str) -> dict[str, int]:
    if action == COUNT:
        return {}
    effect = EFFECTS[Action(action), BY_HAND]
    return {name: getattr(effect, name) for name in PREVIEWED}
