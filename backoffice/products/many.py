"""Many products at once: chosen in the list, what is to become of them, and the sheet of it.

Nothing is changed here. A form makes a sheet, whose page says of each product what will be done
before it is, and can have it taken back.
"""

import uuid
from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode
from unfold.admin import ModelAdmin
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from api.errors import Refusal
from api.idempotency import Answered
from backoffice.actions import words
from backoffice.base import actor_of, number_of, uuid_of
from backoffice.forms import OnceForm, WholeNumberField
from backoffice.products.categories import CategoriesField, ids_of
from backoffice.products.money import MoneyField
from backoffice.products.page import ProductPage
from backoffice.products.prices_tab import price_fields
from inventory.models import Currency, Product
from inventory.services.category_tree import Tree
from inventory.services.product_rows import ARCHIVED, PRICE
from inventory.services.repricing import PriceChange, Rounding, roundings
from inventory.services.sheets import processing, selections
from inventory.services.sheets.selections import Want

MAY_CHANGE, MAY_ARCHIVE = "inventory.change_product", "inventory.delete_product"
# What an address names them by: one by one, or as all that the list finds when it is asked so.
IDS, FOUND = "ids", "found"
NAMED_MAX = 10
PER_CENT_MAX = 1_000


class ManyForm(OnceForm):
    """What is wanted of the chosen products. Some have nothing to fill in."""

    def __init__(self, data: Any, currency: Currency) -> None:
        super().__init__(data)
        self.currency = currency

    def want(self) -> tuple[str, Want]:
        """Return how the sheet is named, and what is wanted of each product."""
        raise NotImplementedError


class PublishForm(ManyForm):
    def want(self) -> tuple[str, Want]:
        return "Publish {products}", selections.the_same(status=Product.Status.LIVE.value)


class UnpublishForm(ManyForm):
    def want(self) -> tuple[str, Want]:
        return "Unpublish {products}", selections.the_same(status=Product.Status.DRAFT.value)


class ArchiveForm(ManyForm):
    def want(self) -> tuple[str, Want]:
        return "Delete {products}", selections.the_same(status=ARCHIVED)


class RestoreForm(ManyForm):
    def want(self) -> tuple[str, Want]:
        return "Bring back {products}", selections.the_same(status=Product.Status.DRAFT.value)


class SetPriceForm(ManyForm):
    def __init__(self, data: Any, currency: Currency) -> None:
        super().__init__(data, currency)
        self.fields["price"] = MoneyField(currency, label=f"Price ({currency.code})")

    def want(self) -> tuple[str, Want]:
        amount, code = self.cleaned_data["price"], self.currency.code
        wanted = selections.the_same(**{f"{PRICE}{code}": amount})
        return f"Price {self.currency.formatted(amount)} of {{products}}", wanted


class ChangePricesForm(ManyForm):
    UP, DOWN = "up", "down"
    PER_CENT, AMOUNT = "per_cent", "amount"

    way = forms.ChoiceField(
        label="Which way",
        choices=[(UP, "Up"), (DOWN, "Down")],
        initial=UP,
        widget=UnfoldAdminSelectWidget,
    )
    by = forms.CharField(
        label="By how much",
        max_length=30,
        widget=UnfoldAdminTextInputWidget({"inputmode": "decimal", "autocomplete": "off"}),
    )
    unit = forms.ChoiceField(label="In", widget=UnfoldAdminSelectWidget)
    rounding = forms.ChoiceField(label="Rounded", widget=UnfoldAdminSelectWidget)

    def __init__(self, data: Any, currency: Currency) -> None:
        super().__init__(data, currency)
        self.roundings = {str(number): each for number, each in enumerate(roundings(currency))}
        lists = {
            "unit": [(self.PER_CENT, "per cent"), (self.AMOUNT, currency.code)],
            "rounding": [(key, each.written(currency)) for key, each in self.roundings.items()],
        }
        for name, choices in lists.items():
            self.fields[name].choices = choices  # type: ignore[attr-defined]
            self.fields[name].initial = choices[0][0]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if cleaned.get("by") and cleaned.get("unit"):
            try:
                cleaned["by"] = self._by(cleaned["by"], cleaned["unit"])
            except forms.ValidationError as error:
                self.add_error("by", error)
        return cleaned

    def _by(self, written: str, unit: str) -> Decimal | int:
        if unit == self.AMOUNT:
            amount: int = MoneyField(self.currency).clean(written)
            if not amount:
                raise forms.ValidationError("Nothing would change.")
            return amount
        decimal = written.replace(",", ".").removesuffix("%").strip()
        by: Decimal = forms.DecimalField(max_digits=6, decimal_places=2).clean(decimal)
        most = PER_CENT_MAX if self.cleaned_data.get("way") == self.UP else 100
        if not 0 < by <= most:
            raise forms.ValidationError(f"Above 0, and at most {most:,} per cent.")
        return by

    @property
    def change(self) -> PriceChange:
        typed = self.cleaned_data
        by = typed["by"] if typed["way"] == self.UP else -typed["by"]
        rounding: Rounding = self.roundings[typed["rounding"]]
        if typed["unit"] == self.AMOUNT:
            return PriceChange(amount=by, rounding=rounding)
        return PriceChange(per_cent=by, rounding=rounding)

    def want(self) -> tuple[str, Want]:
        named = f"Prices {self.change.written(self.currency)} of {{products}}"
        return named, selections.new_prices(self.currency.code, self.change)


class ThresholdForm(ManyForm):
    threshold = WholeNumberField(
        label="Low-stock threshold",
        required=False,
        min_value=0,
        max_value=2**31 - 1,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="With this many available units or fewer, the dashboard names a product. Empty: "
        "the store's threshold.",
    )

    def want(self) -> tuple[str, Want]:
        threshold = self.cleaned_data["threshold"]
        words = "The store's threshold" if threshold is None else f"Low-stock threshold {threshold}"
        return f"{words} for {{products}}", selections.the_same(low_stock_threshold=threshold)


class CategoriesForm(ManyForm):
    ADD, REMOVE, SET = "add", "remove", "set"

    way = forms.ChoiceField(
        label="What to do",
        choices=[
            (ADD, "Put them into these, too"),
            (REMOVE, "Take them out of these"),
            (SET, "Put them into these only"),
        ],
        initial=ADD,
        widget=UnfoldAdminSelectWidget,
    )
    categories = CategoriesField()

    def __init__(self, data: Any, currency: Currency) -> None:
        super().__init__(data, currency)
        self.tree = Tree()
        self.fields["categories"].show(self.tree)  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        chosen = cleaned.get("categories")
        if chosen is not None and not chosen and cleaned.get("way") != self.SET:
            self.add_error("categories", "Choose at least one category.")
        return cleaned

    def want(self) -> tuple[str, Want]:
        way, ids = self.cleaned_data["way"], ids_of(self.cleaned_data["categories"])
        named = self.tree.text(ids)[:100] or "none"
        if way == self.ADD:
            return f"Into {named}: {{products}}", selections.new_categories(add=ids)
        if way == self.REMOVE:
            return f"Out of {named}: {{products}}", selections.new_categories(remove=ids)
        return f"Categories of {{products}}: {named}", selections.only_categories(ids)


@dataclass(frozen=True)
class Change:
    """Something that can be done with many products."""

    # As in its address.
    name: str
    # In the list's menu.
    menu: str
    # With a number of products behind it.
    title: str
    form: type[ManyForm]
    effects: str
    permission: str = MAY_CHANGE
    # Whether it is about amounts of one currency.
    in_currency: bool = False


CHANGES = [
    Change(
        "publish",
        "Publish",
        "Publish",
        PublishForm,
        "Makes drafts live: shoppers see them, and can buy what has a price and is in stock.",
    ),
    Change(
        "unpublish",
        "Unpublish",
        "Unpublish",
        UnpublishForm,
        "Makes them drafts: shoppers do not see them any more. Orders that were paid stay as they "
        "are.",
    ),
    Change(
        "set-price",
        "Set price",
        "Set the price of",
        SetPriceForm,
        "Gives every one of them the same price in this currency.",
        in_currency=True,
    ),
    Change(
        "change-prices",
        "Change prices",
        "Change the prices of",
        ChangePricesForm,
        "Reckons from the price that each has now. What has no price in this currency is left as "
        "it is; no price goes below zero.",
        in_currency=True,
    ),
    Change(
        "threshold",
        "Set low-stock threshold",
        "Set the low-stock threshold of",
        ThresholdForm,
        "Changes from how many units on they count as low in stock.",
    ),
    Change(
        "categories",
        "Change categories",
        "Change the categories of",
        CategoriesForm,
        "Changes in which categories they are found.",
    ),
    Change(
        "delete",
        "Delete",
        "Delete",
        ArchiveForm,
        "Takes them out of the shop and of these pages: they are archived, and can be brought "
        "back. What is available of them is written off; what has units allocated stays.",
        MAY_ARCHIVE,
    ),
]
RESTORE = Change(
    "restore",
    "Bring back",
    "Bring back",
    RestoreForm,
    "Brings them back as drafts. Their stock is not managed: it begins anew when you count what "
    "there is. One whose SKU was taken by another product stays archived; on its own page you can "
    "give it another SKU.",
    MAY_ARCHIVE,
)


# The list's menu.


def action_of(change: Change) -> Callable[..., HttpResponse]:
    """Make the function that Django calls with what was chosen: it leads to the change's form."""

    name, to = change.name.replace("-", "_"), _name_of(change, "admin:")
    return _action(f"{name}_selected", change.menu, change.permission, to)


def _action(name: str, menu: str, permission: str, to: str) -> Callable[..., HttpResponse]:
    def ask(page: Any, request: HttpRequest, queryset: QuerySet[Product]) -> HttpResponse:
        return redirect(f"{reverse(to)}?{chosen_query(request)}")

    ask.__name__ = name
    ask.short_description = menu  # type: ignore[attr-defined]
    ask.permission = permission  # type: ignore[attr-defined]
    return ask


_PRINT_LABELS = _action(
    "print_labels_selected", "Print labels", "inventory.view_product", "admin:inventory_labels"
)


def chosen_query(request: HttpRequest) -> str:
    """Name in an address what was chosen in the list: see IDS and FOUND, which labels read, too."""
    if request.POST.get("select_across") == "1":
        return urlencode({FOUND: request.GET.urlencode()})
    return urlencode({IDS: request.POST.getlist(ACTION_CHECKBOX_NAME)}, doseq=True)


def _name_of(change: Change, site: str = "") -> str:
    return f"{site}inventory_product_many_{change.name.replace('-', '_')}"


class ChoosingAdmin(ModelAdmin):
    """A list of products that can be chosen, each action for those who may do what it does."""

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return {
            name: offered
            for name, offered in super().get_actions(request).items()
            if request.user.has_perm(getattr(offered[0], "permission", ""))
        }

    def response_action(self, request: HttpRequest, *chosen: Any, **named: Any) -> Any:
        if not all(map(uuid_of, request.POST.getlist(ACTION_CHECKBOX_NAME))):
            raise SuspiciousOperation("no such product")
        return super().response_action(request, *chosen, **named)

    def many_urls(self, changes: Iterable[Change], *, below: str = "") -> list[URLPattern]:
        """The pages that ask what is to become of what was chosen in this list."""

        def page(change: Change) -> URLPattern:
            def view(request: HttpRequest) -> HttpResponse:
                return self._many_view(request, change)

            wrapped = self.admin_site.admin_view(view)
            return path(f"{below}many/{change.name}/", wrapped, name=_name_of(change))

        return [page(change) for change in changes]

    def _many_view(self, request: HttpRequest, change: Change) -> HttpResponse:
        if not request.user.has_perm(change.permission) or not self.has_view_permission(request):
            raise PermissionDenied
        chosen = self._chosen_products(request)
        if isinstance(chosen, HttpResponse):
            return chosen
        currencies = {each.code: each for each in price_fields().values()}
        currency = currencies.get(request.GET.get("currency", "")) or next(
            iter(currencies.values())
        )
        form = change.form(request.POST if request.method == "POST" else None, currency)
        if form.is_valid() and (sheet := _made(request, form, chosen)):
            return redirect("admin:inventory_sheet_change", sheet)
        if request.method == "POST":
            form.is_to_be_seen_again(request)
        number = chosen.number
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"{change.title} {number_of(number, 'product')}",
            "change": change,
            "form": form,
            "chosen": chosen,
            "named": list(chosen.products.values_list("name", "sku")[:NAMED_MAX]),
            "others": max(number - NAMED_MAX, 0),
            "currency": currency,
            "currencies": currencies.values() if change.in_currency else [],
            "query": urlencode(_asked(request)),
        }
        return TemplateResponse(request, "admin/inventory/product/many.html", context)

    def _chosen_products(self, request: HttpRequest) -> "Chosen | HttpResponse":
        """Read what the address names."""
        listed = request.path.rpartition("many/")[0]
        if FOUND not in request.GET:
            ids = [each for each in map(uuid_of, request.GET.getlist(IDS)) if each]
            products = self.get_queryset(request).filter(pk__in=ids).order_by(*self.ordering)
            return Chosen(products, len(set(ids)) and products.count(), listed)
        asked = request.GET[FOUND]
        back = f"{listed}?{asked}" if asked else listed
        listing = copy(request)
        listing.GET = QueryDict(asked)
        try:
            found = self.get_changelist_instance(listing)
        except IncorrectLookupParameters:
            return redirect(listed)
        return Chosen(found.queryset, found.result_count, back)


def _asked(request: HttpRequest) -> list[tuple[str, str]]:
    return [(name, value) for name in (IDS, FOUND) for value in request.GET.getlist(name)]


@dataclass(frozen=True)
class Chosen:
    products: QuerySet[Product]
    number: int
    # Where they were chosen.
    back: str


def _made(request: HttpRequest, form: ManyForm, chosen: Chosen) -> uuid.UUID | None:
    """Make the sheet that a form asks for, or find what made it before; else the form says why."""
    named, want = form.want()
    try:
        sheet = selections.make(
            named, chosen.products, want, actor=actor_of(request), key=form.key(request)
        )
    except Answered as answered:
        return uuid.UUID(answered.record.resource_id)
    except Refusal as refusal:
        form.add_error(None, words(refusal))
        return None
    processing.hurry(sheet.pk)
    return sheet.pk


class ManyPages(ChoosingAdmin, ProductPage):
    actions: Any = [*map(action_of, CHANGES), _PRINT_LABELS]

    def get_urls(self) -> list[URLPattern]:
        return [*self.many_urls(CHANGES), *super().get_urls()]
