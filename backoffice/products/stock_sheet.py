"""The stock sheet: the list, filtered as it is, as one table with a field per row.

Each row is done in a transaction of its own, as on the product's Inventory tab, and says beside
itself what became of it.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import PAGE_VAR
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.safestring import SafeString
from unfold.views import ChangeList
from unfold.widgets import UnfoldAdminTextInputWidget

from api import clock
from api.errors import Refusal
from api.fields import UNITS_MAX
from api.idempotency import Answered, Key, KeyReused, require_new
from backoffice.actions import UNSEEN, Case, words
from backoffice.base import actor_of, is_number, units, uuid_of
from backoffice.forms import OnceForm
from backoffice.products.forms import COUNT
from backoffice.products.inventory_tab import DONE, MAY_CHANGE, operations, told_of_count
from backoffice.products.page import ProductPage
from backoffice.scanning import QuantityField
from backoffice.sent_pictures import thumbnails
from inventory.errors import StockMoved, StockNotFound
from inventory.models import BY_HAND, DEFAULT_LOCATION_ID, EFFECTS, Action, Product, Stock
from inventory.services import evidence
from inventory.services import stock as inventory

ROWS = 50
# More than a page, for whoever types a link of their own.
ROWS_MAX = 100
# Where a list is longer, filters shorten it.
PAGES_MAX = 10_000
# What was asked so long ago is asked anew.
REMEMBERED_FOR = timedelta(days=1)
_NAME = "stock_sheet"


def is_stock_sheet(request: HttpRequest) -> bool:
    match = request.resolver_match
    return bool(match and match.url_name and match.url_name.endswith(_NAME))


class SheetRows(ChangeList):
    """The list's rows, a page of them. One more tells whether there is a next: none are counted."""

    def get_results(self, request: HttpRequest) -> None:
        if not 1 <= self.page_num <= PAGES_MAX:
            raise IncorrectLookupParameters
        begin = (self.page_num - 1) * ROWS
        rows = list(self.queryset.prefetch_related(None)[begin : begin + ROWS + 1])
        self.result_list: Any = rows[:ROWS]
        self.next = self._page(self.page_num + 1) if len(rows) > ROWS else ""
        self.previous = self._page(self.page_num - 1) if self.page_num > 1 else ""

    def _page(self, number: int) -> str:
        address: str = self.get_query_string({PAGE_VAR: number})
        return address


class SheetForm(forms.Form):
    """What is done in all rows, and why."""

    action = forms.ChoiceField(choices=[*Action.choices, (COUNT, "Count")])
    reason = forms.CharField(
        # A count writes its own words before it.
        max_length=400,
        required=False,
        widget=UnfoldAdminTextInputWidget({"list": "reasons", "autocomplete": "off"}),
    )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not cleaned.get("reason") and "reason" not in self.errors and not self.is_count:
            self.add_error("reason", "Say why: the log keeps it.")
        return cleaned

    @property
    def is_count(self) -> bool:
        return bool(self["action"].value() == COUNT)


@dataclass(frozen=True)
class Move:
    """By how much a row has moved its stock."""

    available: int = 0
    allocated: int = 0


@dataclass(frozen=True)
class Seen:
    """The numbers that a row showed, and that of the log's last entry then."""

    sequence: int
    available: int
    allocated: int

    def __str__(self) -> str:
        return f"{self.sequence} {self.available} {self.allocated}"

    @classmethod
    def of(cls, stock: Stock) -> "Seen":
        return cls(stock.sequence, stock.available, stock.allocated)

    @classmethod
    def read(cls, written: str) -> "Seen | None":
        parts = written.split()
        if len(parts) != 3 or not all(map(is_number, parts)):
            return None
        return cls(*map(int, parts))

    def meanwhile(self, stock: Stock, move: Move) -> str:
        """Say what has moved since, besides what the row itself has moved."""
        more = (
            (stock.available - self.available - move.available, "available"),
            (stock.allocated - self.allocated - move.allocated, "allocated"),
        )
        parts = [
            f"{abs(units)} {'more' if units > 0 else 'fewer'} {what}"
            for units, what in more
            if units
        ]
        return f"{' and '.join(parts)} than when you opened this." if parts else ""


@dataclass(frozen=True)
class Asked:
    """What a row asked about: the number that was typed, and when it was sent."""

    quantity: int
    at: datetime

    def __str__(self) -> str:
        return f"{self.quantity} {self.at.isoformat()}"

    @classmethod
    def read(cls, written: str) -> "Asked | None":
        quantity, _, at = written.partition(" ")
        try:
            moment = parse_datetime(at)
        except ValueError:
            return None
        if moment is None or not timezone.is_aware(moment) or not is_number(quantity):
            return None
        is_recent = timedelta(0) <= clock.now() - moment <= REMEMBERED_FOR
        return cls(int(quantity), moment) if is_recent else None


class RowForm(OnceForm):
    """A row's own fields. What is done and why stands beside them, and is part of what is sent."""

    beside = ("action", "reason")

    units = QuantityField(required=False, min_value=0, max_value=UNITS_MAX)
    seen = forms.CharField(max_length=100, required=False)
    asked = forms.CharField(max_length=100, required=False)
    sure = forms.BooleanField(required=False)

    # Of which a sending happens once.
    product_id: uuid.UUID | None = None

    @classmethod
    def sent(cls, request: HttpRequest, product_id: uuid.UUID) -> "RowForm":
        own = {name: request.POST.get(f"{name}-{product_id}", "") for name in cls.base_fields}
        form = cls({**own, **{name: request.POST.get(name, "") for name in cls.beside}})
        form.product_id = product_id
        return form

    def key(self, request: HttpRequest) -> Key | None:
        key = super().key(request)
        return key and replace(key, path=f"{key.path}{self.product_id}")

    @property
    def typed(self) -> str:
        return str(self.data["units"]).strip() if self.is_bound else ""

    @property
    def typed_again(self) -> Asked | None:
        """What was asked about, if that is what is typed still."""
        asked = Asked.read(self.cleaned_data["asked"])
        return asked if asked and asked.quantity == self.cleaned_data["units"] else None

    @property
    def confirmed(self) -> Asked | None:
        return self.typed_again if self.cleaned_data["sure"] else None


@dataclass
class Row:
    product: Product
    stock: Stock
    form: RowForm
    thumbnail: SafeString
    # What became of it, in words; and what is to be looked at, and said to be right.
    done: str = ""
    error: str = ""
    doubt: str = ""
    asked: Asked | None = None
    # Whether the numbers that are shown now were told of.
    is_told: bool = False

    @property
    def seen(self) -> str:
        """What the form sends that is made of this row: nothing passes unseen."""
        is_new = self.done or self.is_told or not self.form.typed
        return str(Seen.of(self.stock)) if is_new else str(self.form.data["seen"])

    @property
    def typed(self) -> str:
        return "" if self.done else self.form.typed

    @property
    def once(self) -> str:
        return str((RowForm() if self.done else self.form)["once"].value())


class StockSheet(ProductPage):
    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.stock_sheet_view)
        sheet = path("stock-sheet/", view, name=f"inventory_product_{_NAME}")
        return [sheet, *super().get_urls()]

    def stock_sheet_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request) or not request.user.has_perm(MAY_CHANGE):
            raise PermissionDenied
        query = request.GET.copy()
        chosen = query.pop("do", [COUNT])[-1]
        # The list itself knows no operations.
        request.GET = query  # type: ignore[assignment]
        if request.method != "POST":
            try:
                listed = self.get_changelist_instance(request)
            except IncorrectLookupParameters:
                return redirect(request.path)
            rows = _rows({product.pk: product for product in listed.result_list})
            form = SheetForm(initial={"action": chosen}, label_suffix="")
            return self._sheet(request, form, rows, listed)
        form = SheetForm(request.POST, label_suffix="")
        rows = _rows_sent(request)
        if form.is_valid():
            _apply(rows, form, request)
        for row in rows:
            if row.typed:
                row.form.is_to_be_seen_again(request)
        return self._sheet(request, form, rows, self._listed_now(request, rows))

    def _listed_now(self, request: HttpRequest, rows: Iterable[Row]) -> ChangeList | None:
        """The list, if it still has these rows: else its next page is not the one after them."""
        try:
            listed = self.get_changelist_instance(request)
        except IncorrectLookupParameters:
            return None
        has_them = [each.pk for each in listed.result_list] == [row.product.pk for row in rows]
        return listed if has_them else None

    def _sheet(
        self,
        request: HttpRequest,
        form: SheetForm,
        rows: list[Row],
        listed: ChangeList | None,
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Stock sheet",
            "form": form,
            "operations": operations(form),
            "rows": rows,
            "listed": listed,
            "query": request.GET.urlencode(),
            "told": _summary(rows),
            "refused": any(row.error or row.doubt for row in rows),
        }
        return TemplateResponse(request, "admin/inventory/product/stock_sheet.html", context)


def _rows_sent(request: HttpRequest) -> list[Row]:
    """Read the rows of the form, in its order, whatever the list has become since."""
    sent = [uuid_of(each) for each in request.POST.getlist("row")[: ROWS_MAX + 1]]
    product_ids = list(dict.fromkeys(each for each in sent if each))
    if len(product_ids) > ROWS_MAX:
        raise SuspiciousOperation("too many rows")
    found = Product.objects.in_bulk(product_ids)
    products = {product_id: found[product_id] for product_id in product_ids if product_id in found}
    rows = _rows(products)
    for row in rows:
        row.form = RowForm.sent(request, row.product.pk)
    return rows


def _rows(products: Mapping[uuid.UUID, Product]) -> list[Row]:
    stocks, shown = _stocks(products), thumbnails(products)
    return [
        Row(product, stocks[product_id], RowForm(), shown[product_id])
        for product_id, product in products.items()
    ]


def _stocks(product_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Stock]:
    found = Stock.objects.filter(location_id=DEFAULT_LOCATION_ID, product_id__in=list(product_ids))
    return {stock.product_id: stock for stock in found}


def _apply(rows: list[Row], form: SheetForm, request: HttpRequest) -> None:
    """Do what was typed, row by row, and say of each what became of it."""
    sheet = _Sent(request, form.cleaned_data["action"], form.cleaned_data["reason"])
    typed = [row for row in rows if row.form.typed]
    moves = [sheet.apply(row) for row in typed]
    now = _stocks(row.product.pk for row in rows)
    for row in rows:
        row.stock = now[row.product.pk]
    for row, move in zip(typed, moves, strict=True):
        _tell_of_what_moved(row, move)


@dataclass(frozen=True)
class _Sent:
    """What was sent for all rows, and by whom."""

    request: HttpRequest
    action: str
    reason: str

    def apply(self, row: Row) -> Move | None:
        """Do what was typed into a row, in a transaction of its own. None: nothing was moved."""
        try:
            return self._done(row)
        except Answered:
            row.done = Case.recorded_already
        except KeyReused:
            row.error = Case.sent_differently
        except StockNotFound:
            row.error = "The stock of this product is not managed any more."
        except StockMoved as moved:
            if self.action == COUNT:
                row.doubt = str(moved)
            else:
                row.error = str(moved)
            row.is_told = True
        except Refusal as refusal:
            row.error = words(refusal)
        return None

    def _done(self, row: Row) -> Move | None:
        """Raises: Answered, KeyReused, StockMoved, StockNotFound, other refusals."""
        form, key = row.form, row.form.key(self.request)
        require_new(key)
        seen = Seen.read(form.data["seen"])
        if not form.is_valid():
            row.error = " ".join(str(error) for errors in form.errors.values() for error in errors)
        elif seen is None:
            row.error, row.is_told = UNSEEN, True
        elif not form.cleaned_data["units"] and self.action != COUNT:
            row.error = "At least 1."
        elif not form.confirmed and (doubt := self._doubt(row)):
            row.doubt, row.is_told = doubt, True
        elif self.action == COUNT:
            return self._count(row, seen, key)
        else:
            return self._record(row, seen, key)
        return None

    def _doubt(self, row: Row) -> str:
        before, typed = row.stock.total, row.form.cleaned_data["units"]
        drop = ""
        if self.action == COUNT:
            drop = evidence.words_of_drop(before, typed)
        elif self.action == Action.DECREMENT and typed <= row.stock.available:
            drop = evidence.words_of_drop(before, before - typed)
        return drop or (
            "Say that it is right, or type another number." if row.form.typed_again else ""
        )

    def _count(self, row: Row, seen: Seen, key: Key | None) -> Move:
        counted, confirmed = row.form.cleaned_data["units"], row.form.confirmed
        difference = inventory.count(
            row.product.pk,
            counted,
            actor=actor_of(self.request),
            # As it was found when it was sent first: what moved since then moved after the count.
            counted_at=confirmed.at if confirmed else None,
            seen=None if confirmed else seen.sequence,
            reason=self.reason,
            key=key,
        )
        row.done = told_of_count(counted, difference)
        return Move(available=difference)

    def _record(self, row: Row, seen: Seen, key: Key | None) -> Move:
        action, quantity = Action(self.action), row.form.cleaned_data["units"]
        inventory.record(
            row.product.pk,
            action,
            quantity,
            actor=actor_of(self.request),
            reason=self.reason,
            seen=seen.sequence,
            key=key,
        )
        row.done = f"{DONE[action]}: {units(quantity)}."
        effect = EFFECTS[action, BY_HAND]
        return Move(effect.available * quantity, effect.allocated * quantity)


def _tell_of_what_moved(row: Row, move: Move | None) -> None:
    """Say what else has moved since the row was drawn, if that was told of or went along."""
    seen = Seen.read(row.form.data["seen"])
    if row.doubt:
        row.asked = Asked(row.form.cleaned_data["units"], clock.now())
    if seen is None or (move is None and not row.doubt):
        return
    if besides := seen.meanwhile(row.stock, move or Move()):
        if row.doubt:
            row.doubt = f"{besides} {row.doubt}"
        else:
            row.done = f"{row.done} {besides}"


def _summary(rows: Iterable[Row]) -> str:
    done = sum(bool(row.done) for row in rows)
    open_rows = sum(bool(row.error or row.doubt) for row in rows)
    parts = [
        f"{done} done." if done else "",
        f"{open_rows} not done: see there." if open_rows else "",
    ]
    return " ".join(filter(None, parts))
