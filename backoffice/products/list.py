"""The list of products, and a product's own fields."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.core.paginator import Page, Paginator
from django.db.models import Exists, F, FilteredRelation, OuterRef, Prefetch, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.text import slugify
from unfold.decorators import display
from unfold.views import ChangeList

from api import clock
from api.codes import tidied
from api.fields import storable
from backoffice.base import actor_of
from backoffice.exports import EXPORT_ROWS, ExportingAdmin
from backoffice.history import NOTHING
from backoffice.missing import missing
from backoffice.products.actions import ARCHIVE, ProductCase
from backoffice.products.archived import ArchivedPages
from backoffice.products.categories import CategoryFilter, ids_of
from backoffice.products.export import ProductExport
from backoffice.products.forms import NewProductForm, ProductForm, with_money
from backoffice.products.history_tab import HistoryTab
from backoffice.products.inventory_tab import InventoryTab
from backoffice.products.labels import LabelsPage
from backoffice.products.many import ManyPages
from backoffice.products.page import inventory_url, tab_url, tabs
from backoffice.products.pictures_tab import PicturesTab
from backoffice.products.prices_tab import PricesTab, cost_field, may_see_cost, price_fields
from backoffice.products.stock_sheet import SheetRows, StockSheet, is_stock_sheet
from backoffice.products.stock_value import StockValuePage
from backoffice.sent_pictures import thumbnail
from inventory.errors import SkuTaken, SlugTaken
from inventory.models import DEFAULT_LOCATION_ID, Product, ProductPicture, StockCount
from inventory.services import codes, products
from inventory.services.low_stock import is_low
from inventory.services.products import Money


class ManagedFilter(admin.SimpleListFilter):
    title = "stock management"
    parameter_name = "managed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Managed"), ("no", "Not managed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Product]) -> QuerySet[Product]:
        managed = {"yes": True, "no": False}
        if self.value() in managed:
            return queryset.filter(Q(stock__managed=managed[str(self.value())]))
        return queryset


class StockStateFilter(admin.SimpleListFilter):
    title = "stock state"
    parameter_name = "stock_state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("in", "In stock"), ("low", "Low, or out of stock"), ("out", "Out of stock")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Product]) -> QuerySet[Product]:
        if self.value() == "in":
            return queryset.filter(Q(stock__managed=False) | Q(stock__any_available=True))
        if self.value() == "low":
            return queryset.filter(is_low(stock="stock__", product=""))
        if self.value() == "out":
            return queryset.filter(Q(stock__managed=True, stock__any_available=False))
        return queryset


class CountedFilter(admin.SimpleListFilter):
    """What was never counted, or not for long: of what is managed, since nothing else is."""

    title = "last counted"
    parameter_name = "counted"
    DAYS: ClassVar = {"30": 30, "90": 90, "365": 365}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("never", "Never"),
            *((days, f"Not in the past {days} days") for days in self.DAYS),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Product]) -> QuerySet[Product]:
        asked = str(self.value())
        if asked not in {"never", *self.DAYS}:
            return queryset
        counts = StockCount.objects.filter(stock=OuterRef("stock__pk"), withdrawn_at=None)
        if asked in self.DAYS:
            since = clock.now() - timedelta(days=self.DAYS[asked])
            counts = counts.filter(counted_at__gte=since)
        return queryset.filter(~Exists(counts), Q(stock__managed=True))


class CostFilter(admin.SimpleListFilter):
    """What is missing from the stock's value, for those who may see costs."""

    title = "cost"
    parameter_name = "cost"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("known", "Known"),
            ("none", "None"),
            ("missing", "None, and there are units"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Product]) -> QuerySet[Product]:
        conditions = {
            "known": Q(cost__isnull=False),
            "none": Q(cost=None),
            "missing": Q(cost=None, stock__total__gt=0),
        }
        return queryset.filter(conditions.get(str(self.value()), Q()))


class KeysFirst(Paginator):
    """Finds which products are on a page, from the nearer end, and only then reads them whole.

    What is skipped is not joined with stock and parents, nor sorted with all its columns: a page
    in the middle of many takes a sixth of the time.
    """

    def page(self, number: int | str) -> "Page[Any]":
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        after = min(first + self.per_page, self.count)
        rows: Any = self.object_list
        keys = rows.values("pk")
        if first > self.count // 2:
            keys = keys.reverse()[self.count - after : self.count - first]
        else:
            keys = keys[first:after]
        return Page(rows.filter(pk__in=keys), number, self)


class ProductList(ChangeList):
    """Unfold offers to show all where not all were counted: also where all are shown."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.query and not self.has_active_filters:
            self.full_result_count = self.result_count


@admin.register(Product)
class ProductAdmin(
    ManyPages,
    PricesTab,
    PicturesTab,
    InventoryTab,
    HistoryTab,
    ArchivedPages,
    StockSheet,
    LabelsPage,
    ProductExport,
    StockValuePage,
    ExportingAdmin,
):
    list_display = ["picture", "named", "code", "price", "available", "allocated", "total", "state"]
    list_display_links = ["named"]
    list_filter = [
        "status",
        CategoryFilter,
        ManagedFilter,
        StockStateFilter,
        CountedFilter,
        CostFilter,
    ]
    search_fields = ["name", "sku", "barcode"]
    search_help_text = "Name, SKU or barcode. A whole SKU or barcode opens its Inventory tab."
    paginator = KeysFirst
    list_after_template = "admin/inventory/product/list_after.html"
    when_empty = "Add the first one, with what there is of it."
    ordering = ["name", "pk"]
    # Not all of them once more beside those that a filter finds.
    show_full_result_count = False
    refusal_fields: ClassVar = {SkuTaken: "sku", SlugTaken: "slug"}
    readonly_fields = ["variant_of"]
    export_name = "stock"
    # What can be uploaded again, once somebody has counted: see inventory.services.sheets.
    export_columns: ClassVar = [
        *("sku", "barcode", "name", "total", "available", "allocated", "count", "counted_at"),
    ]
    export_permissions = ("inventory.view_stock",)

    # The list.

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[Any]:
        return SheetRows if is_stock_sheet(request) else ProductList

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        hidden = [] if may_see_cost(request) else [CostFilter]
        return [each for each in super().get_list_filter(request) if each not in hidden]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Go straight to the product whose whole sku or barcode was typed, or scanned."""
        asked = request.GET.copy()
        operation = asked.pop("do", [""])[-1]
        tab = asked.pop("tab", ["Inventory"])[-1]
        named = codes.product_scanned(asked.get("q", ""))
        if named and self.has_view_or_change_permission(request):
            is_stock = operation or tab == "Inventory"
            return redirect(inventory_url(named, operation) if is_stock else tab_url(named, tab))
        # The list itself knows no operations.
        request.GET = asked  # type: ignore[assignment]
        return super().changelist_view(request, extra_context)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find also what is scanned alike, such as a UPC-A by its EAN-13, where several are."""
        found, may_repeat = super().get_search_results(request, queryset, tidied(search_term))
        if storable(search_term) and (alike := codes.look_alikes([search_term])):
            by_words = Q(pk__in=found.order_by().values("pk"))
            found = queryset.filter(by_words | Q(pk__in=[each.id for each in alike]))
        return found, may_repeat

    def get_queryset(self, request: HttpRequest) -> QuerySet[Product]:
        here = Q(stocks__location_id=DEFAULT_LOCATION_ID)
        return (
            super()
            .get_queryset(request)
            .filter(archived_at=None)
            .alias(stock=FilteredRelation("stocks", condition=here))
            .annotate(
                managed=F("stock__managed"),
                available=F("stock__available"),
                allocated=F("stock__allocated"),
                total=F("stock__total"),
            )
            .select_related("parent")
            .prefetch_related(
                "prices",
                Prefetch(
                    "product_pictures",
                    ProductPicture.objects.filter(position=0),
                    to_attr="main_pictures",
                ),
            )
        )

    @display(description="picture")
    def picture(self, product: Any) -> str:
        return thumbnail(*[shown.picture_id for shown in product.main_pictures] or [None])

    @display(description="name", ordering="name", header=True)
    def named(self, product: Product) -> list[str]:
        """Its name, above which variant it is: sorted by name, those of one parent are grouped."""
        return [product.name, f"{product.parent}: {product.variant}" if product.parent else ""]

    @display(description="variant of")
    def variant_of(self, product: Product) -> str:
        assert product.parent
        page = reverse("admin:inventory_parent_change", args=[product.parent_id])
        link = '<a class="hf-link" href="{}">{}</a>: {}'
        return format_html(link, page, product.parent, product.variant)

    @display(description="SKU", ordering="sku")
    def code(self, product: Product) -> str:
        return product.sku

    @display(description="price")
    def price(self, product: Product) -> str:
        amounts = {price.currency_id: price.amount for price in product.prices.all()}
        prices = [
            currency.formatted(amounts[currency.code])
            for currency in price_fields().values()
            if currency.code in amounts
        ]
        return " · ".join(prices) or NOTHING

    @display(description="available", ordering="stock__available")
    def available(self, product: Any) -> str:
        units = product.available if product.managed else "not managed"
        return format_html('<a class="hf-link" href="{}">{}</a>', inventory_url(product.pk), units)

    @display(description="allocated", ordering="stock__allocated")
    def allocated(self, product: Any) -> str:
        return str(product.allocated) if product.managed else NOTHING

    @display(description="total", ordering="stock__total")
    def total(self, product: Any) -> str:
        return str(product.total) if product.managed else NOTHING

    @display(
        description="status",
        ordering="status",
        label={
            Product.Status.LIVE: "success",
            Product.Status.DRAFT: "info",
            "out of stock": "danger",
        },
    )
    def state(self, product: Any) -> str | list[str]:
        is_live = product.status == Product.Status.LIVE
        sold_out = is_live and product.managed and not product.available
        return "out of stock" if sold_out else product.status

    def export_rows(self, listed: QuerySet[Any]) -> Iterator[Sequence[Any]]:
        columns = ("sku", "barcode", "name", "total", "available", "allocated")
        counted = listed.filter(managed=True).prefetch_related(None).values_list(*columns)
        return ((*row, "", "") for row in counted.iterator(EXPORT_ROWS))

    # The product's own fields.

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        money = [] if obj else [*price_fields(), *cost_field(request)]
        variant = ["variant_of"] if obj and obj.parent_id else []
        selling = ["name", "sku", "barcode", *variant, *money, "status", "commodity_type"]
        stock = [*([] if obj else ["manage_stock", "initial_stock"]), "low_stock_threshold"]
        return [
            (None, {"fields": selling}),
            ("Inventory", {"fields": stock}),
            ("Categories", {"fields": ["categories"]}),
            ("In the shop", {"fields": ["slug", "description", "image_url"]}),
        ]

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        if obj:
            kwargs["form"] = ProductForm
        else:
            kwargs["form"] = with_money(price_fields(), cost_field(request))
        return super().get_form(request, obj, change, **kwargs)

    def save_model(self, request: HttpRequest, obj: Product, form: Any, change: bool) -> None:
        save = self._update if change else self._create
        save(obj, form, request)

    def _create(self, product: Product, form: NewProductForm, request: HttpRequest) -> None:
        typed = form.cleaned_data
        products.create(
            product_id=product.pk,
            prices=[Money(code, amount) for code, amount in form.amounts.items()],
            manage_stock=typed["manage_stock"],
            initial_stock=typed["initial_stock"] or 0,
            cost=form.cost,
            actor=actor_of(request),
            category_ids=ids_of(typed["categories"]),
            **{name: typed[name] for name in ProductForm.Meta.fields if name != "categories"},
        )

    def _update(self, product: Product, form: Any, request: HttpRequest) -> None:
        """Change what was changed on the form, so that two people's changes can both stand."""
        fields = {name: form.cleaned_data[name] for name in ProductForm.Meta.fields}
        if not fields["slug"]:
            # As when the product was made.
            fields["slug"] = slugify(fields["name"])
        changed = {name: value for name, value in fields.items() if name in form.changed_data}
        seen = form.seen
        for given in (changed, seen):
            if "categories" in given:
                given["category_ids"] = ids_of(given.pop("categories"))
        products.update(product.pk, actor=actor_of(request), seen=seen, **changed)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """The service has put it into its categories."""

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **options: Any
    ) -> HttpResponse:
        context["tab_list"] = tabs(request, context["original"], "General")
        return super().render_change_form(request, context, *args, **options)

    # Deleting, which is archiving.

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        product = self.get_object(request, object_id)
        if not self.has_delete_permission(request, product):
            raise PermissionDenied
        if product is None:
            return missing(self, request, object_id)
        case = ProductCase(request, product)
        # What deleting is, is said even while it is refused.
        effects = ARCHIVE.effects(case)
        changelist = reverse("admin:inventory_product_changelist")
        return self.confirm(ARCHIVE, case, then=changelist, effects=effects, title="Delete")
