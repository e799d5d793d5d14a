"""Labels for products that were chosen, that a filter finds, or that a delivery brought."""

import uuid
from collections.abc import Collection, Mapping
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django import forms
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldBooleanSwitchWidget,
)

from backoffice.base import uuid_of
from backoffice.forms import WholeNumberField
from backoffice.labels.drawing import BARCODE, QR_CODE, SKU, Code, code_for
from backoffice.labels.papers import PAPERS, Paper
from backoffice.products.page import ProductPage, titles
from backoffice.products.prices_tab import price_fields
from inventory.models import Currency, Delivery, DeliveryLine

PRODUCTS_MAX = 500
LABELS_MAX = 2_000
CODES = [
    (SKU, "SKU as Code 128"),
    (BARCODE, "Barcode as EAN, or else as Code 128"),
    (QR_CODE, "SKU as QR code"),
]
EACH, AVAILABLE, RECEIVED = "each", "available", "received"


@dataclass(frozen=True)
class Chosen:
    """The products that labels are asked for, and what a delivery brought of each."""

    products: list[Any]
    received: Mapping[uuid.UUID, int]
    # The delivery, or the list, that they come from.
    title: str
    back: str
    # What names them in an address.
    named: list[tuple[str, str]]

    @property
    def is_one(self) -> bool:
        """Tell whether a product was named: then this is one of its pages."""
        return len(self.products) == 1 and [name for name, _ in self.named] == ["ids"]


@dataclass(frozen=True)
class Label:
    product: Any
    copies: int
    code: Code
    name: str
    # What is read below the code, and beside the price: not the same twice.
    text: str
    sku: str
    price: str
    notes: list[str]

    @cached_property
    def drawn(self) -> str:
        """Draw it once, however often it is printed."""
        return render_to_string("admin/inventory/product/label.html", {"label": self})


class LabelsForm(forms.Form):
    """What stands on the labels, on which paper, and how many of them."""

    code = forms.ChoiceField(widget=UnfoldAdminSelectWidget)
    paper = forms.ChoiceField(widget=UnfoldAdminSelectWidget)
    start = WholeNumberField(
        label="Begin at label",
        initial=1,
        min_value=1,
        max_value=max(paper.labels for paper in PAPERS.values()),
        widget=UnfoldAdminIntegerFieldWidget({"min": 1}),
        help_text="On a sheet that was begun, counted along the rows.",
    )
    copies = forms.ChoiceField(label="How many", widget=UnfoldAdminSelectWidget)
    each = WholeNumberField(
        label="Of each product",
        initial=1,
        min_value=1,
        max_value=LABELS_MAX,
        widget=UnfoldAdminIntegerFieldWidget({"min": 1}),
    )
    currency = forms.ChoiceField(label="Price in", widget=UnfoldAdminSelectWidget)
    name = forms.BooleanField(initial=True, required=False, widget=UnfoldBooleanSwitchWidget)
    sku = forms.BooleanField(
        label="SKU", initial=True, required=False, widget=UnfoldBooleanSwitchWidget
    )
    price = forms.BooleanField(required=False, widget=UnfoldBooleanSwitchWidget)
    text = forms.BooleanField(
        label="The code in digits and letters",
        initial=True,
        required=False,
        widget=UnfoldBooleanSwitchWidget,
    )

    def __init__(self, sent: QueryDict, *, of_delivery: bool) -> None:
        super().__init__(sent, label_suffix="")
        self.currencies = {each.code: each for each in price_fields().values()}
        copies = [(EACH, "The same number of each"), (AVAILABLE, "As many as are available")]
        if of_delivery:
            copies.insert(0, (RECEIVED, "As many as were received"))
        lists = {
            "code": CODES,
            "paper": [(paper.name, paper.title) for paper in PAPERS.values()],
            "copies": copies,
            "currency": [(code, code) for code in self.currencies],
        }
        for name, choices in lists.items():
            self.fields[name].choices = choices  # type: ignore[attr-defined]
            self.fields[name].initial = choices[0][0]
        if len(self.currencies) == 1:
            del self.fields["currency"]
        if "paper" not in sent:
            initial = {name: field.initial for name, field in self.fields.items()}
            self.data = {name: value for name, value in initial.items() if value}

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        start, name = cleaned.get("start"), cleaned.get("paper")
        if start and name and start > PAPERS[name].labels:
            self.add_error("start", f"There are {PAPERS[name].labels} labels on it.")
        return cleaned

    @property
    def choices(self) -> list[forms.BoundField]:
        return [self[name] for name in ("code", "paper", "start", "copies", "each")]

    @property
    def shown(self) -> list[forms.BoundField]:
        named = ("name", "sku", "text", "price", "currency")
        return [self[name] for name in named if name in self.fields]

    @property
    def paper_chosen(self) -> Paper:
        return PAPERS[self.cleaned_data["paper"]]

    @property
    def currency_chosen(self) -> Currency:
        first = next(iter(self.currencies))
        return self.currencies[self.cleaned_data.get("currency", first)]

    def labels(self, chosen: Chosen) -> list[Label]:
        """Say what becomes of each product. Raises: ValidationError, if it is too much."""
        if len(chosen.products) > PRODUCTS_MAX:
            raise ValidationError(
                f"Labels are printed for {PRODUCTS_MAX} products at once, and these are more. "
                "Filter the list further."
            )
        labels = [self._label(product, chosen.received) for product in chosen.products]
        total = sum(label.copies for label in labels)
        if total > LABELS_MAX:
            raise ValidationError(
                f"{LABELS_MAX} labels are printed at once, and these are {total}. Choose fewer "
                "products, or fewer labels of each."
            )
        return labels

    def _label(self, product: Any, received: Mapping[uuid.UUID, int]) -> Label:
        typed = self.cleaned_data
        code = code_for(typed["code"], product.sku, product.barcode, self.paper_chosen)
        notes = [code.why] if code.why else []
        price = ""
        if typed["price"]:
            price = _price_of(product, self.currency_chosen)
            if not price:
                notes.append(f"It has no price in {self.currency_chosen}.")
        copies = typed["each"]
        if typed["copies"] == RECEIVED:
            copies = received.get(product.pk, 0)
        elif typed["copies"] == AVAILABLE and product.managed:
            copies = product.available
        elif typed["copies"] == AVAILABLE:
            copies = 1
            notes.append("Its stock is not managed: one label is printed.")
        if not copies:
            notes.append("None: no label is printed.")
        name = product.name if typed["name"] else ""
        text = code.text if code.kind and typed["text"] else ""
        sku = product.sku if typed["sku"] and product.sku != text else ""
        return Label(product, copies, code, name, text, sku, price, notes)


def _price_of(product: Any, currency: Currency) -> str:
    for price in product.prices.all():
        if price.currency_id == currency.code:
            return currency.formatted(price.amount)
    return ""


class LabelsPage(ProductPage):
    def get_urls(self) -> list[URLPattern]:
        views = {"labels": self.labels_view, "labels/print": self.print_labels_view}
        return [
            *(
                path(
                    f"{url}/",
                    self.admin_site.admin_view(view),
                    name=f"inventory_{url.replace('/', '_')}",
                )
                for url, view in views.items()
            ),
            *super().get_urls(),
        ]

    def labels_view(self, request: HttpRequest) -> HttpResponse:
        chosen = self._chosen(request)
        if isinstance(chosen, HttpResponse):
            return chosen
        form, labels = _asked(request, chosen)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Labels",
            "chosen": chosen,
            "form": form,
            "labels": labels,
            "total": sum(label.copies for label in labels),
            "changed": [label for label in labels if label.notes],
            "sample": next((label for label in labels if label.copies), None),
        }
        if chosen.is_one:
            [product] = chosen.products
            context |= {"original": product, **titles(request, product, "Labels")}
        return TemplateResponse(request, "admin/inventory/product/labels.html", context)

    def print_labels_view(self, request: HttpRequest) -> HttpResponse:
        chosen = self._chosen(request)
        if isinstance(chosen, HttpResponse):
            return chosen
        form, labels = _asked(request, chosen)
        back = f"{reverse('admin:inventory_labels')}?{request.GET.urlencode()}"
        if not form.is_valid() or not any(label.copies for label in labels):
            return redirect(back)
        paper = form.paper_chosen
        cells: list[Label | None] = [None] * (form.cleaned_data["start"] - 1)
        for label in labels:
            cells += [label] * label.copies
        context = {
            "back": back,
            "paper": paper,
            "form": form,
            "labels": labels,
            "sheets": [cells[at : at + paper.labels] for at in range(0, len(cells), paper.labels)],
        }
        return TemplateResponse(request, "admin/inventory/product/labels_print.html", context)

    def _chosen(self, request: HttpRequest) -> Chosen | HttpResponse:
        """Read what the address names. Raises: PermissionDenied."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if delivery_id := uuid_of(request.GET.get("delivery", "")):
            if not request.user.has_perm("inventory.view_delivery"):
                raise PermissionDenied
            return self._of_delivery(request, delivery_id)
        if "found" in request.GET:
            return self._found_by_list(request, request.GET["found"])
        ids = [each for each in map(uuid_of, request.GET.getlist("ids")) if each]
        listed = reverse("admin:inventory_product_changelist")
        named = [("ids", str(each)) for each in ids]
        return Chosen(self._products(request, ids), {}, "The list of products", listed, named)

    def _found_by_list(self, request: HttpRequest, asked: str) -> Chosen | HttpResponse:
        """Read what the list finds that is asked so: as many as there may be, and one more."""
        listing = copy(request)
        listing.GET = QueryDict(asked)
        listed = reverse("admin:inventory_product_changelist")
        try:
            found = self.get_changelist_instance(listing).queryset
        except IncorrectLookupParameters:
            return redirect(listed)
        products = list(found[: PRODUCTS_MAX + 1])
        back = f"{listed}?{asked}" if asked else listed
        return Chosen(products, {}, "The list of products", back, [("found", asked)])

    def _of_delivery(self, request: HttpRequest, delivery_id: uuid.UUID) -> Chosen:
        delivery = Delivery.objects.filter(pk=delivery_id).first()
        lines = DeliveryLine.objects.filter(delivery=delivery_id).order_by("pk")
        received = dict(lines.values_list("product_id", "received")[: PRODUCTS_MAX + 1])
        return Chosen(
            self._products(request, received),
            received,
            f"Delivery {delivery}" if delivery else "Deliveries",
            reverse("admin:inventory_delivery_goods", args=[delivery_id]),
            [("delivery", str(delivery_id))],
        )

    def _products(self, request: HttpRequest, ids: Collection[uuid.UUID]) -> list[Any]:
        """Read them in this order, up to one more than there may be; but for archived ones."""
        wanted = list(dict.fromkeys(ids))[: PRODUCTS_MAX + 1]
        found = {
            product.pk: product for product in self.get_queryset(request).filter(pk__in=wanted)
        }
        return [found[each] for each in wanted if each in found]


def _asked(request: HttpRequest, chosen: Chosen) -> tuple[LabelsForm, list[Label]]:
    form = LabelsForm(request.GET, of_delivery=bool(chosen.received))
    if not form.is_valid():
        return form, []
    try:
        return form, form.labels(chosen)
    except ValidationError as error:
        form.add_error(None, error)
        return form, []
