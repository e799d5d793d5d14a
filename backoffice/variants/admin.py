"""The pages of variants: their parents, all combinations at once, and a parent's grid."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, F, FilteredRelation, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.decorators import display

from api.errors import Refusal, Standing
from api.ids import uuid7
from backoffice.actions import (
    Action,
    ActionAdmin,
    ActionForm,
    Case,
    carry_out,
    was_done_before,
)
from backoffice.base import ServiceAdmin, is_number, number_of
from backoffice.missing import missing
from backoffice.products.page import tabs
from backoffice.variants.forms import AddValueForm, NewParentForm, PutInForm, RenameForm
from inventory.errors import ParentInUse
from inventory.models import DEFAULT_LOCATION_ID, Parent, Product
from inventory.services import categories, codes, variants
from inventory.services.variants import Pattern, Planned

CHANGES_PARENTS = "inventory.change_parent"
MAKES_PRODUCTS = "inventory.add_product"


# What is done with a parent and its variants.


@dataclass(frozen=True)
class ParentCase(Case[Parent]):
    def standing(self) -> Standing:
        options = variants.options_of(self.subject)
        return {"name": self.subject.name, "options": "; ".join(map(str, options))}

    @cached_property
    def variant_ids(self) -> list[uuid.UUID]:
        kept = self.subject.variants.filter(archived_at=None)
        return list(kept.values_list("pk", flat=True))

    @cached_property
    def prices(self) -> dict[str, int]:
        """What all variants cost, where that is the same."""
        found = Product.objects.filter(pk__in=self.variant_ids)
        rows = set(found.values_list("prices__currency", "prices__amount"))
        by_code: dict[Any, list[Any]] = {}
        for code, amount in rows:
            if code is not None:
                by_code.setdefault(code, []).append(amount)
        return {code: amounts[0] for code, amounts in by_code.items() if len(amounts) == 1}

    @cached_property
    def category_ids(self) -> set[uuid.UUID]:
        """The categories that all variants are in."""
        found = list(categories.of(self.variant_ids).values())
        return set.intersection(*found) if found else set()


@dataclass(frozen=True)
class VariantCase(Case[Product]):
    def standing(self) -> Standing:
        return {"parent": str(self.subject.parent_id), "options": self.subject.variant}


def _rename(case: ParentCase, form: RenameForm) -> str:
    variants.rename(
        case.subject.pk,
        form.cleaned_data["name"],
        seen={"name": form.saw.get("name")},
        actor=case.actor,
        key=form.key(case.request),
    )
    return "It was renamed. Its variants keep their names."


def _add_value(case: ParentCase, form: AddValueForm) -> str:
    typed = form.cleaned_data
    count = variants.add_value(
        case.subject.pk,
        typed["option"],
        typed["value"],
        Pattern(typed["name_pattern"], typed["sku_pattern"]),
        form.shared(case.category_ids),
        actor=case.actor,
        key=form.key(case.request),
    )
    return f"{number_of(count, 'variant was', 'variants were')} made."


def _put_in(case: ParentCase, form: PutInForm) -> str:
    product_id = codes.product_scanned(form.cleaned_data["product"])
    if product_id is None:
        raise Refusal("No product, or more than one, has this SKU or barcode.")
    product = variants.put_in(
        case.subject.pk,
        product_id,
        form.combination,
        actor=case.actor,
        key=form.key(case.request),
    )
    return f"{product} is a variant of {case.subject} now."


def _take_out(case: VariantCase, form: ActionForm) -> str:
    assert case.subject.parent_id
    key = form.key(case.request)
    variants.take_out(case.subject.parent_id, case.subject.pk, actor=case.actor, key=key)
    return f"{case.subject} is a product of its own now."


def _delete(case: ParentCase, form: ActionForm) -> str:
    variants.delete(case.subject.pk, actor=case.actor, key=form.key(case.request))
    return f"{case.subject} is deleted."


def _require_no_variants(case: ParentCase) -> None:
    if case.variant_ids:
        raise ParentInUse


def _what_a_value_does(case: ParentCase) -> list[str]:
    effects = ["Makes a product for each combination with the new value, all of them or none."]
    if case.category_ids:
        effects.append("They are put into the categories that all other variants are in.")
    return effects


RENAME: Action[ParentCase] = Action(
    "rename", "Rename", CHANGES_PARENTS, _rename, form=RenameForm, heading="Rename {subject.name}"
)
ADD_VALUE: Action[ParentCase] = Action(
    "add_value",
    "Add a value",
    MAKES_PRODUCTS,
    _add_value,
    effects=_what_a_value_does,
    form=AddValueForm,
    heading="Add a value to {subject.name}",
    label=lambda case: "Make the variants",
)
PUT_IN: Action[ParentCase] = Action(
    "put_in",
    "Put a product in",
    CHANGES_PARENTS,
    _put_in,
    effects=lambda case: ["It keeps its name, SKU, prices and stock."],
    form=PutInForm,
    heading="Make a product a variant of {subject.name}",
    label=lambda case: "Make it a variant",
)
TAKE_OUT: Action[VariantCase] = Action(
    "take_out",
    "Take out",
    CHANGES_PARENTS,
    _take_out,
    effects=lambda case: ["It stays a product of its own, with all that it has."],
    heading="Take {subject.name} out?",
)
DELETE: Action[ParentCase] = Action(
    "delete",
    "Delete",
    "inventory.delete_parent",
    _delete,
    effects=lambda case: ["No product is a variant of it."],
    guard=_require_no_variants,
    dangerous=True,
    heading="Delete {subject.name}?",
)


@admin.register(Parent)
class ParentAdmin(ActionAdmin, ServiceAdmin):
    nouns = ("product with variants", "products with variants")
    list_display = ["name", "differ_by", "variants"]
    search_fields = ["name"]
    search_help_text = "Name"
    when_empty = "Shirts in sizes and colours: all their variants are made at once."
    ordering = ["name", "pk"]
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Parent]:
        kept = Product.objects.kept().filter(parent=OuterRef("pk")).order_by().values("parent")
        counted = Subquery(kept.annotate(count=Count("pk")).values("count"))
        found: QuerySet[Parent] = super().get_queryset(request)
        return found.annotate(count=Coalesce(counted, 0))

    @display(description="differ by")
    def differ_by(self, parent: Parent) -> str:
        return "; ".join(map(str, variants.options_of(parent)))

    @display(description="variants")
    def variants(self, parent: Any) -> str:
        return str(parent.count)

    def get_urls(self) -> list[URLPattern]:
        def page(url: str, view: Callable[..., HttpResponseBase], name: str) -> URLPattern:
            wrapped = self.admin_site.admin_view(view)
            return path(f"<uuid:parent_id>/{url}/", wrapped, name=f"inventory_parent_{name}")

        return [
            *(
                page(action.name.replace("_", "-"), self._view_of(action), action.name)
                for action in (RENAME, ADD_VALUE, PUT_IN)
            ),
            page("take-out/<uuid:product_id>", self.take_out_view, "take_out"),
            *super().get_urls(),
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """To make a parent is to make products."""
        return super().has_add_permission(request) and request.user.has_perm(MAKES_PRODUCTS)

    # All combinations at once.

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return self._new(request, NewParentForm())
        form, case = NewParentForm(request.POST), Case(request, None)
        if was_done_before(case, form):
            return redirect("admin:inventory_parent_changelist")
        if form.is_valid() and "_make" in request.POST:
            if request.POST.get("previewed") != form.mark:
                form.add_error(None, "Look at what will be made as it is now, then send it again.")
            elif answer := self._make(case, form):
                return answer
        return self._new(request, form)

    def _make(self, case: Case[None], form: NewParentForm) -> HttpResponse | None:
        """Make what is ticked; None where that was refused."""
        parent_id, ticked = uuid7(), _ticked(case.request)
        wanted = [each for place, each in enumerate(form.planned) if place in ticked]

        def make() -> str:
            variants.create(
                form.cleaned_data["name"],
                form.options,
                form.pattern,
                form.shared(form.category_ids),
                left_out={*range(len(form.planned))} - ticked,
                parent_id=parent_id,
                actor=case.actor,
                key=form.key(case.request),
            )
            return f"{number_of(len(wanted), 'variant was', 'variants were')} made."

        if carry_out(case, make, form):
            return redirect("admin:inventory_parent_change", parent_id)
        return None

    def _new(self, request: HttpRequest, form: NewParentForm) -> HttpResponse:
        planned = form.planned
        is_sent_again = request.POST.get("previewed") == form.mark
        ticked = _ticked(request)
        rows = [
            (each, [*each.options.values()], place in ticked if is_sent_again else not each.error)
            for place, each in enumerate(planned)
        ]
        mark = form.mark
        if form.is_bound:
            form.is_to_be_seen_again(request)
        context = {"form": form, "rows": rows, "mark": mark, "names": _names(planned)}
        return self._page(request, "new.html", "Make variants", context)

    # A parent's grid.

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        parent = self.get_object(request, object_id)
        if parent is None:
            return missing(self, request, object_id)
        if request.method not in {"GET", "HEAD"} or not self.has_view_or_change_permission(request):
            raise PermissionDenied
        options = variants.options_of(parent)
        found = variants_of(parent)
        for each in found:
            each.price = _price(each)
        context = {
            "original": parent,
            "options": options,
            "rows": [
                (each, [each.options.get(option.name, "") for option in options]) for each in found
            ],
            "may_change": request.user.has_perm(CHANGES_PARENTS),
            "may_make": request.user.has_perm(MAKES_PRODUCTS),
            "may_delete": self.has_delete_permission(request) and not found,
        }
        of = next((each for each in found if str(each.pk) == request.GET.get("of")), None)
        if of and request.user.has_perm("inventory.view_product"):
            # Whoever came from a product goes on to its other pages.
            context["tab_list"] = tabs(request, of, "Variants")
        return self._page(request, "parent.html", parent.name, context)

    def _view_of(self, action: Action[ParentCase]) -> Callable[..., HttpResponse]:
        def view(request: HttpRequest, parent_id: uuid.UUID) -> HttpResponse:
            parent = self.get_object(request, str(parent_id))
            if not request.user.has_perm(action.permission):
                raise PermissionDenied
            if parent is None:
                return missing(self, request, parent_id)
            return self.confirm(action, ParentCase(request, parent))

        return view

    def take_out_view(
        self, request: HttpRequest, parent_id: uuid.UUID, product_id: uuid.UUID
    ) -> HttpResponse:
        kept = Product.objects.kept().filter(parent=parent_id, pk=product_id)
        product = kept.select_related("parent").first()
        if not request.user.has_perm(TAKE_OUT.permission):
            raise PermissionDenied
        back = reverse("admin:inventory_parent_change", args=[parent_id])
        if product is None:
            # Somebody took it out, or archived it; the grid shows what there is.
            return redirect(back)
        return self.confirm(TAKE_OUT, VariantCase(request, product), back=back)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        parent = self.get_object(request, object_id)
        if not self.has_delete_permission(request, parent):
            raise PermissionDenied
        if parent is None:
            return missing(self, request, object_id)
        then = reverse("admin:inventory_parent_changelist")
        return self.confirm(DELETE, ParentCase(request, parent), then=then, title="Delete")

    def _page(
        self, request: HttpRequest, template: str, title: str, context: dict[str, Any]
    ) -> HttpResponse:
        shared = {**self.admin_site.each_context(request), "opts": self.opts, "title": title}
        return TemplateResponse(
            request, f"admin/inventory/parent/{template}", {**shared, **context}
        )


def variants_of(parent: Parent) -> list[Any]:
    """Read a parent's variants with their numbers; at most some two hundred."""
    here = Q(stocks__location_id=DEFAULT_LOCATION_ID)
    found = (
        parent.variants.filter(archived_at=None)
        .alias(stock=FilteredRelation("stocks", condition=here))
        .annotate(
            managed=F("stock__managed"),
            available=F("stock__available"),
            allocated=F("stock__allocated"),
            total=F("stock__total"),
        )
        .prefetch_related("prices__currency")
        .order_by("pk")
    )
    return list(found)


def _price(product: Product) -> str:
    prices = sorted(product.prices.all(), key=lambda price: not price.currency.default)
    return " · ".join(
        price.currency.formatted(price.amount) for price in prices if price.currency.enabled
    )


def _ticked(request: HttpRequest) -> set[int]:
    return {int(each) for each in request.POST.getlist("make") if is_number(each)}


def _names(planned: list[Planned]) -> list[str]:
    return [*planned[0].options] if planned else []
