"""Archived products: their list, a page to read of each, and the way back."""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from unfold.decorators import display
from unfold.views import ChangeList
from unfold.widgets import UnfoldAdminTextInputWidget

from api.codes import fault_of, tidied
from api.errors import Refusal, Standing
from api.models import Change
from backoffice.actions import Action, ActionForm, Case
from backoffice.base import ReadOnlyAdmin, uuid_of
from backoffice.dates import moment
from backoffice.history import NOTHING, history_of
from backoffice.missing import missing
from backoffice.products.many import RESTORE as RESTORE_MANY
from backoffice.products.many import ChoosingAdmin, action_of
from backoffice.products.page import ProductPage, archived_url, may_see_orders, page_of
from inventory.models import Product
from inventory.services import product_rows, products

MAY_RESTORE = "inventory.delete_product"
# Of names for a product whose own was taken, so many are tried.
NAMES_TRIED = 50
LENGTHS = {"sku": 100, "slug": product_rows.SLUG_LENGTH_MAX}


class ArchivedList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list: Any = list(self.result_list)
        archived_by = who_archived(product.pk for product in self.result_list)
        for product in self.result_list:
            product.archived_by = archived_by.get(product.pk, NOTHING)

    def url_for_result(self, result: Product) -> str:
        return archived_url(result.pk)


class ArchivedProducts(ChoosingAdmin, ReadOnlyAdmin):
    """The list, which stands below that of the products and has no permissions of its own."""

    actions: Any = [action_of(RESTORE_MANY)]

    list_display = ["name", "code", "archived", "by"]
    search_fields = ["name", "sku", "barcode"]
    search_help_text = "Name, SKU or barcode"
    when_empty = "What is deleted from the list of products stands here, and can be brought back."
    ordering = ["-archived_at", "-pk"]
    sortable_by = ()
    show_full_result_count = False
    list_before_template = "admin/inventory/product/archived_before.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Product]:
        found: QuerySet[Product] = super().get_queryset(request)
        return found.exclude(archived_at=None)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return super().get_search_results(request, queryset, tidied(search_term))

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        context = {"title": "Archived products", **(extra_context or {})}
        return super().changelist_view(request, context)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[Any]:
        return ArchivedList

    @display(description="SKU")
    def code(self, product: Product) -> str:
        return product.sku

    @display(description="archived")
    def archived(self, product: Any) -> str:
        return moment(product.archived_at)

    @display(description="by")
    def by(self, product: Any) -> str:
        return str(product.archived_by)


def who_archived(product_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Name who archived each, the last time, as the record keeps it."""
    ids = [str(product_id) for product_id in product_ids]
    found = Change.objects.filter(
        kind=Product._meta.label_lower, thing_id__in=ids, what=Change.What.DELETED
    )
    named = found.order_by("pk").values_list("thing_id", "actor_name") if ids else []
    return {uuid.UUID(thing_id): name for thing_id, name in named}


class ArchivedPages(ProductPage):
    """What is read of an archived product, and the button that brings it back."""

    def get_urls(self) -> list[URLPattern]:
        def page(url: str, view: Callable[..., HttpResponseBase], name: str) -> URLPattern:
            wrapped = self.admin_site.admin_view(view)
            return path(f"archived/{url}", wrapped, name=f"inventory_product_{name}")

        archived = ArchivedProducts(self.model, self.admin_site)
        return [
            page("", archived.changelist_view, "archived"),
            *archived.many_urls([RESTORE_MANY], below="archived/"),
            page("<uuid:product_id>/", self.archived_view, "archived_product"),
            page("<uuid:product_id>/restore/", self.restore_view, "restore"),
            *super().get_urls(),
        ]

    def archived_view(self, request: HttpRequest, product_id: uuid.UUID) -> HttpResponseBase:
        product = self.found_archived(request, product_id)
        if product is None:
            return missing(self, request, product_id)
        context = {
            "archived_by": who_archived([product.pk]).get(product.pk, NOTHING),
            "prices": [
                price.currency.formatted(price.amount)
                for price in product.prices.order_by("currency").select_related("currency")
            ],
            "history": history_of(
                product, request.GET.get("before", ""), hidden=self.hidden_fields(request)
            ),
            "may_see_orders": may_see_orders(request),
            "may_restore": request.user.has_perm(MAY_RESTORE),
        }
        return self.drawn(request, product, "Archived", "archived.html", context)

    def restore_view(self, request: HttpRequest, product_id: uuid.UUID) -> HttpResponse:
        product = self.found_archived(request, product_id)
        if not request.user.has_perm(MAY_RESTORE):
            raise PermissionDenied
        if product is None:
            return missing(self, request, product_id)
        then = reverse("admin:inventory_product_change", args=[quote(product_id)])
        case = ArchivedCase(request, product)
        return self.confirm(RESTORE, case, back=archived_url(product_id), then=then)

    def _get_obj_does_not_exist_redirect(
        self, request: HttpRequest, opts: Any, object_id: str
    ) -> HttpResponse:
        """Lead whoever looks for a product where it is read by now, or has come back to."""
        product_id = uuid_of(object_id)
        product = Product.objects.filter(pk=product_id).first() if product_id else None
        if product is None:
            return super()._get_obj_does_not_exist_redirect(request, opts, object_id)
        return redirect(page_of(product))


@dataclass(frozen=True)
class ArchivedCase(Case[Product]):
    def standing(self) -> Standing:
        return {"SKU": self.subject.sku, "slug": self.subject.slug}

    def taken(self) -> str:
        try:
            products.require_free(self.subject)
        except Refusal as refusal:
            return str(refusal)
        return ""


class RestoreForm(ActionForm):
    sku = forms.CharField(label="SKU", max_length=LENGTHS["sku"], widget=UnfoldAdminTextInputWidget)
    slug = forms.SlugField(max_length=LENGTHS["slug"], widget=UnfoldAdminTextInputWidget)

    def __init__(self, data: Any, *, case: ArchivedCase) -> None:
        super().__init__(data, case=case)
        for name in ("sku", "slug"):
            self.fields[name].initial = free_name(case.subject, name)

    def clean_sku(self) -> str:
        written = str(self.cleaned_data["sku"])
        if written == self.case.subject.sku:
            return written
        code = tidied(written)
        if fault := fault_of(code) or ("" if code else "There is nothing in it that can be seen."):
            raise forms.ValidationError(fault)
        return code


def free_name(product: Product, field: str) -> str:
    """Return a product's own sku or slug, or another one like it if that was taken."""
    own = str(getattr(product, field))
    length = LENGTHS[field] - len(f"-{NAMES_TRIED}")
    names = [own, *(f"{own[:length]}-{number}" for number in range(2, NAMES_TRIED))]
    kept = Product.objects.kept().filter(**{f"{field}__in": names})
    taken = set(kept.values_list(field, flat=True))
    return next((name for name in names if name not in taken), own)


def _what_restoring_does(case: ArchivedCase) -> list[str]:
    effects = [
        "It comes back as a draft: nobody can buy it until you publish it.",
        "Its stock is not managed: it begins anew when you count what there is of it. The log so "
        "far stays.",
    ]
    taken = case.taken()
    return [f"{taken} Below is a free one, or type your own.", *effects] if taken else effects


def _restore(case: ArchivedCase, form: RestoreForm) -> str:
    product = products.restore(
        case.subject.pk,
        sku=form.cleaned_data["sku"],
        slug=form.cleaned_data["slug"],
        actor=case.actor,
        key=form.key(case.request),
    )
    return f"{product} is back, as a draft."


RESTORE: Action[ArchivedCase] = Action(
    "restore",
    "Bring back",
    MAY_RESTORE,
    _restore,
    effects=_what_restoring_does,
    form=RestoreForm,
    heading="Bring {subject.name} back?",
)
