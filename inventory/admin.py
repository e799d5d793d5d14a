"""Products, their Inventory tab and the log, for people."""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db.models import F, FilteredRelation, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.text import slugify
from unfold.decorators import display
from unfold.paginator import InfinitePaginator

from api import clock, store
from api.admin import (
    EXPORT_ROWS,
    PER_PAGE,
    ExportingAdmin,
    ReadOnlyAdmin,
    ServiceAdmin,
    actor_of,
    moment,
)
from api.errors import Refusal
from api.idempotency import Answered, KeyReused
from api.models import StoreSettings
from inventory import services
from inventory.count_pages import CountFileAdmin
from inventory.errors import SkuTaken, SlugTaken, UnitsAllocated
from inventory.forms import (
    CurrencyForm,
    MovementForm,
    NewProductForm,
    ProductForm,
    StartManagingForm,
    StoreSettingsForm,
    with_prices,
)
from inventory.models import (
    DEFAULT_LOCATION_ID,
    Action,
    CountFile,
    Currency,
    Location,
    Product,
    Stock,
    StockTransaction,
)
from inventory.services import Money

SENT_BEFORE = "This was recorded already, and nothing was moved a second time."
SENT_DIFFERENTLY = "This form was sent before, with other values. Look at the log, then send it."
NOTHING = "\N{EN DASH}"
ACTION_COLOURS = {
    Action.INCREMENT.value: "success",
    Action.DECREMENT.value: "danger",
    Action.ALLOCATE.value: "warning",
    Action.DEALLOCATE.value: "info",
}


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
        return [("in", "In stock"), ("out", "Out of stock")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Product]) -> QuerySet[Product]:
        sells = Q(stock__managed=False) | Q(stock__available__gt=0)
        if self.value() == "in":
            return queryset.filter(sells)
        return queryset.exclude(sells) if self.value() == "out" else queryset


@admin.register(Product)
class ProductAdmin(ExportingAdmin, ServiceAdmin):
    list_display = ["name", "code", "price", "available", "allocated", "total", "state"]
    list_filter = ["status", ManagedFilter, StockStateFilter]
    search_fields = ["name", "sku", "barcode"]
    search_help_text = "Name, SKU or barcode"
    ordering = ["name", "pk"]
    refusal_fields: ClassVar = {SkuTaken: "sku", SlugTaken: "slug"}
    export_name = "stock"
    # What can be uploaded again, once somebody has counted: see inventory.countfiles.
    export_columns: ClassVar = [
        *("sku", "barcode", "name", "total", "available", "allocated", "count", "counted_at"),
    ]
    export_permission = "inventory.view_stock"

    # The number of available units is a link to the Inventory tab, and looks like one.
    class Media:
        css: ClassVar = {"all": ["inventory/admin.css"]}

    delete_confirmation_template = "admin/inventory/product/archive.html"

    # The list.

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
            .prefetch_related("prices")
        )

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
        label={"live": "success", "draft": "info", "out of stock": "danger"},
    )
    def state(self, product: Any) -> str | list[str]:
        sold_out = product.managed and not product.available
        return "out of stock" if sold_out and product.status == "live" else product.status

    def export_rows(self, listed: QuerySet[Any]) -> Iterator[Sequence[Any]]:
        columns = ("sku", "barcode", "name", "total", "available", "allocated")
        counted = listed.filter(managed=True).prefetch_related(None).values_list(*columns)
        return ((*row, "", "") for row in counted.iterator(EXPORT_ROWS))

    # The product's own fields.

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        selling = ["name", "sku", "barcode", *price_fields(), "status", "commodity_type"]
        stock = [*([] if obj else ["manage_stock", "initial_stock"]), "low_stock_threshold"]
        return [
            (None, {"fields": selling}),
            ("Inventory", {"fields": stock}),
            ("In the shop", {"fields": ["slug", "description", "image_url"]}),
        ]

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        form: type[ProductForm] = ProductForm if obj else NewProductForm
        kwargs["form"] = with_prices(form, price_fields())
        return super().get_form(request, obj, change, **kwargs)

    def save_model(self, request: HttpRequest, obj: Product, form: Any, change: bool) -> None:
        save = self._update if change else self._create
        save(obj, form, request)

    def _create(self, product: Product, form: NewProductForm, request: HttpRequest) -> None:
        typed = form.cleaned_data
        services.create_product(
            product_id=product.pk,
            prices=[Money(code, amount) for code, amount in form.amounts.items()],
            manage_stock=typed["manage_stock"],
            initial_stock=typed["initial_stock"] or 0,
            actor=actor_of(request),
            **{name: typed[name] for name in ProductForm.Meta.fields},
        )

    def _update(self, product: Product, form: ProductForm, request: HttpRequest) -> None:
        """Change what was changed on the form, so that two people's changes can both stand."""
        changed = set(form.changed_data)
        prices = None
        if changed & set(form.currencies):
            before = {price.currency_id: price for price in product.prices.all()}
            prices = [
                Money(code, amount, code not in before or before[code].includes_tax)
                for code, amount in form.amounts.items()
            ]
        fields = {name: form.cleaned_data[name] for name in ProductForm.Meta.fields}
        if not fields["slug"]:
            # As when the product was made.
            fields["slug"] = slugify(fields["name"])
        services.update_product(
            product.pk,
            actor=actor_of(request),
            prices=prices,
            **{name: value for name, value in fields.items() if name in changed},
        )

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        context = {**(extra_context or {}), "tab_list": tabs(object_id, "Product")}
        return super().change_view(request, object_id, form_url, context)

    # Deleting, which is archiving.

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[Any, Any], set[Any], list[Any]]:
        return [], {}, set(), []

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> Any:
        stock = Stock.objects.filter(product_id=_uuid(object_id) or uuid.UUID(int=0)).first()
        context = {**(extra_context or {}), "stock": stock}
        try:
            return super().delete_view(request, object_id, context)
        except Refusal as refusal:
            messages.error(request, str(refusal))
            return redirect("admin:inventory_product_change", object_id)

    def delete_model(self, request: HttpRequest, obj: Product) -> None:
        services.archive_product(obj.pk, actor=actor_of(request))
        super().log_deletions(request, Product.objects.filter(pk=obj.pk))

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Django asks for this too early; `delete_model` does it when nothing was refused."""

    # The Inventory tab.

    def get_urls(self) -> list[URLPattern]:
        def page(view: Callable[..., HttpResponseBase]) -> Any:
            return self.admin_site.admin_view(view)

        inventory = "<uuid:product_id>/inventory/"
        return [
            path(inventory, page(self.inventory_view), name="inventory_product_inventory"),
            path(
                f"{inventory}stop/",
                page(self.stop_managing_view),
                name="inventory_product_stop_managing",
            ),
            *super().get_urls(),
        ]

    def inventory_view(self, request: HttpRequest, product_id: uuid.UUID) -> HttpResponse:
        product = self._product(request, product_id)
        if product is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(product_id))
        if request.method != "POST":
            return self._inventory_page(request, product)
        _require_stock_permission(request)
        if request.POST.get("action") == "start":
            return self._start_managing(request, product)
        return self._record(request, product)

    def _record(self, request: HttpRequest, product: Product) -> HttpResponse:
        action = request.POST.get("action", "")
        if action not in Action.values:
            raise SuspiciousOperation("no such action")
        form = _movement_form(action, request.POST)
        if not form.is_valid():
            return self._inventory_page(request, product, action, form)
        quantity = form.cleaned_data["quantity"]

        def record() -> None:
            services.record(
                product.pk,
                Action(action),
                quantity,
                actor=actor_of(request),
                reason=form.cleaned_data["reason"],
                key=form.key(request),
            )

        if not _done(request, form, record, f"{_DONE[Action(action)]}: {units(quantity)}."):
            return self._inventory_page(request, product, action, form)
        return redirect(inventory_url(product.pk))

    def _start_managing(self, request: HttpRequest, product: Product) -> HttpResponse:
        form = StartManagingForm(request.POST, auto_id="id_start_%s")
        if not form.is_valid():
            return self._inventory_page(request, product, "start", form)
        quantity = form.cleaned_data["quantity"]

        def start() -> None:
            actor, key = actor_of(request), form.key(request)
            services.start_managing(product.pk, quantity, actor=actor, key=key)

        done = f"The stock of this product is managed now, beginning with {units(quantity)}."
        if not _done(request, form, start, done):
            return self._inventory_page(request, product, "start", form)
        return redirect(inventory_url(product.pk))

    def stop_managing_view(self, request: HttpRequest, product_id: uuid.UUID) -> HttpResponse:
        """Say what is written off, and do it when that was confirmed."""
        product = self._product(request, product_id)
        if product is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(product_id))
        _require_stock_permission(request)
        if request.method == "POST":
            try:
                services.stop_managing(product_id, actor=actor_of(request))
            except Refusal as refusal:
                messages.error(request, str(refusal))
            else:
                messages.success(request, "The stock of this product is no longer managed.")
            return redirect(inventory_url(product_id))
        stock = Stock.objects.get(product_id=product_id)
        context = {"stock": stock, "refusal": UnitsAllocated() if stock.allocated else None}
        return self._page(request, product, "stop_managing.html", context)

    def _inventory_page(
        self,
        request: HttpRequest,
        product: Product,
        action: str = "",
        form: forms.Form | None = None,
    ) -> HttpResponse:
        stock = Stock.objects.get(product_id=product.pk, location_id=DEFAULT_LOCATION_ID)
        may_change = request.user.has_perm("inventory.change_stock")
        context = {
            "stock": stock,
            "sentence": sentence(stock),
            "may_change": may_change,
            "movements": _movements(stock, action, form) if may_change else [],
            "start_form": form if action == "start" else StartManagingForm(auto_id="id_start_%s"),
            "log": _log_page(stock, request.GET.get("before", "")),
            "may_view_orders": request.user.has_perm("orders.view_order"),
            "zone": timezone.get_current_timezone_name(),
        }
        return self._page(request, product, "inventory.html", context)

    def _page(
        self, request: HttpRequest, product: Product, template: str, context: Mapping[str, Any]
    ) -> HttpResponse:
        shared = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": product,
            "title": product.name,
            "subtitle": "Inventory",
            "tab_list": tabs(product.pk, "Inventory"),
        }
        return TemplateResponse(
            request, f"admin/inventory/product/{template}", {**shared, **context}
        )

    def _product(self, request: HttpRequest, product_id: uuid.UUID) -> Product | None:
        product = Product.objects.kept().filter(pk=product_id).first()
        if not self.has_view_or_change_permission(request, product):
            raise PermissionDenied
        return product


def price_fields() -> dict[str, Currency]:
    """Name the form's price fields: `price` in the default currency, `price_eur` and so on."""
    enabled = [currency for currency in services.currencies().values() if currency.enabled]
    return {
        "price" if currency.default else f"price_{currency.code.lower()}": currency
        for currency in sorted(enabled, key=lambda each: (not each.default, each.code))
    }


def inventory_url(product_id: uuid.UUID) -> str:
    return reverse("admin:inventory_product_inventory", args=[product_id])


def tabs(product_id: uuid.UUID | str, active: str) -> list[dict[str, Any]]:
    """Make the product page's tabs, in the form that Unfold's templates draw."""
    product_id = _uuid(product_id) or uuid.UUID(int=0)
    links = {
        "Product": reverse("admin:inventory_product_change", args=[quote(product_id)]),
        "Inventory": inventory_url(product_id),
    }
    items = [
        {"title": title, "link": link, "active": title == active, "has_permission": True}
        for title, link in links.items()
    ]
    return [{"models": [{"name": "inventory.product", "detail": True}], "items": items}]


def sentence(stock: Stock) -> str:
    return (
        f"Total {stock.total} = Available {stock.available} + Allocated {stock.allocated} "
        f"(orders {stock.for_orders}, set aside {stock.held})"
    )


def units(quantity: int) -> str:
    return "1 unit" if quantity == 1 else f"{quantity} units"


def _uuid(text: uuid.UUID | str) -> uuid.UUID | None:
    try:
        return uuid.UUID(str(text))
    except ValueError:
        return None


def _require_stock_permission(request: HttpRequest) -> None:
    if not request.user.has_perm("inventory.change_stock"):
        raise PermissionDenied


_DONE = {
    Action.ALLOCATE: "Allocated",
    Action.DEALLOCATE: "Deallocated",
    Action.INCREMENT: "Incremented",
    Action.DECREMENT: "Decremented",
}


@dataclass(frozen=True)
class Movement:
    """One of the four small forms, and what it does in words."""

    action: Action
    icon: str
    effect: str
    form: forms.Form


def _movements(stock: Stock, sent: str, sent_form: forms.Form | None) -> list[Movement]:
    """The four forms; the one that was refused keeps what was typed."""
    held = f"{stock.held or 'none'} {'is' if stock.held == 1 else 'are'}"
    texts = [
        (Action.ALLOCATE, "lock", "Sets available units aside by hand."),
        (Action.DEALLOCATE, "lock_open", f"Frees units set aside by hand: {held}."),
        (Action.INCREMENT, "add_box", "Adds units that came in."),
        (Action.DECREMENT, "indeterminate_check_box", "Takes out available units."),
    ]
    return [
        Movement(
            action,
            icon,
            effect,
            sent_form if action == sent and sent_form else _movement_form(action),
        )
        for action, icon, effect in texts
    ]


def _movement_form(action: str, data: Any = None) -> MovementForm:
    return MovementForm(data, auto_id=f"id_{action}_%s")


def _done(
    request: HttpRequest, form: forms.Form, service: Callable[[], object], message: str
) -> bool:
    """Call the service and tell how it went: in a message, or as the form's error."""
    try:
        service()
    except Answered:
        messages.info(request, SENT_BEFORE)
    except KeyReused:
        form.add_error(None, SENT_DIFFERENTLY)
        return False
    except Refusal as refusal:
        form.add_error(None, str(refusal))
        return False
    else:
        messages.success(request, message)
    return True


@dataclass(frozen=True)
class LogPage:
    """A part of the log, newest first: found by sequence, so that every page costs the same."""

    entries: list[StockTransaction]
    # The sequence that the neighbouring pages end before; None where there is none.
    older: int | None
    newer: int | None


def _log_page(stock: Stock, before: str) -> LogPage:
    end = int(before) if before.isdecimal() and len(before) < 18 else stock.sequence + 1
    entries = list(
        StockTransaction.objects.filter(stock_id=stock.pk, sequence__lt=end).order_by("-sequence")[
            :PER_PAGE
        ]
    )
    # Sequences have no gaps.
    older = entries[-1].sequence if entries and entries[-1].sequence > 1 else None
    newer = end + PER_PAGE if end <= stock.sequence else None
    return LogPage(entries, older, newer)


class SinceFilter(admin.SimpleListFilter):
    title = "date"
    parameter_name = "since"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", "Past 24 hours"), ("7", "Past 7 days"), ("30", "Past 30 days")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        days = {"1": 1, "7": 7, "30": 30}.get(self.value() or "")
        if days is None:
            return queryset
        return queryset.filter(created_at__gte=clock.now() - timedelta(days=days))


@admin.register(StockTransaction)
class StockTransactionAdmin(ReadOnlyAdmin):
    """The whole log, newest first. Never counted, and found by what is indexed only."""

    list_display = ["when", "product", "move", "numbers", "who", "reason"]
    list_display_links = ["when"]
    list_filter = ["action", SinceFilter]
    list_select_related = ["stock__product"]
    search_fields = ["stock__product__sku__exact"]
    search_help_text = "The whole SKU"
    paginator = InfinitePaginator
    show_full_result_count = False
    # Their ids rise with time.
    ordering = ["-pk"]
    sortable_by = ()
    fields = [
        *("when", "product", "action", "quantity", "numbers", "who", "reason", "order_id"),
        "sequence",
    ]

    class Media:
        css: ClassVar = {"all": ["inventory/admin.css"]}

    @display(description="when")
    def when(self, entry: StockTransaction) -> str:
        return moment(entry.created_at)

    @display(description="who")
    def who(self, entry: StockTransaction) -> str:
        return entry.actor_name

    @display(description="product")
    def product(self, entry: StockTransaction) -> str:
        product = entry.stock.product
        if product.archived_at:
            return str(product)
        return format_html(
            '<a class="hf-link" href="{}">{}</a>', inventory_url(product.pk), product
        )

    @display(description="movement", label=ACTION_COLOURS)
    def move(self, entry: StockTransaction) -> tuple[str, str]:
        return entry.action, f"{entry.action} {entry.quantity}"

    @display(description="numbers after it")
    def numbers(self, entry: StockTransaction) -> str:
        return f"{entry.total} = {entry.available} available + {entry.allocated} allocated"


@admin.register(Currency)
class CurrencyAdmin(ServiceAdmin):
    form = CurrencyForm
    list_display = ["code", "example", "decimal_places", "default", "enabled"]
    ordering = ["-default", "code"]
    fields = [
        *("code", "format", "decimal_point", "thousand_separator", "decimal_places"),
        *("exchange_rate", "enabled", "default"),
    ]

    @display(description="looks like")
    def example(self, currency: Currency) -> str:
        return currency.formatted(123456)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        # Amounts are stored in the smallest unit: with other digits they would mean other money.
        fixed = ["code", "decimal_places"] if obj else []
        return [*fixed, "default", *(["enabled"] if obj and obj.default else [])]

    def save_model(self, request: HttpRequest, obj: Currency, form: Any, change: bool) -> None:
        obj.updated_at = clock.now()
        if not change:
            obj.created_at = obj.updated_at
        obj.save()
        services.forget_currencies()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Prices and orders are in it; one that is not needed is disabled."""
        return False


@admin.register(Location)
class LocationAdmin(ServiceAdmin):
    """Until there are several, the one location can only be named."""

    list_display = ["name", "slug", "enabled"]
    fields = ["name", "slug"]
    readonly_fields = ["slug"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(StoreSettings)
class StoreSettingsAdmin(ServiceAdmin):
    """One page for the one row. It stands here, because the default currency is among it."""

    form = StoreSettingsForm
    fieldsets = [
        ("Store", {"fields": ["name", "time_zone", "default_currency"]}),
        ("Stock", {"fields": ["low_stock_threshold", "defer_inventory_check"]}),
        (
            "Carts and orders",
            {
                "fields": [
                    "cart_expiry_days",
                    "unpaid_order_expiry_hours",
                    "partly_paid_order_expiry_hours",
                ]
            },
        ),
        ("API", {"fields": ["page_length"]}),
    ]
    empty_value_display = NOTHING

    @display(description="default currency")
    def default_currency(self, row: StoreSettings) -> str:
        return services.currency_named("").code

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        return redirect("admin:api_storesettings_change", store.current().pk)

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> StoreSettings | None:
        """There is one row, which nobody need have saved yet."""
        store.forget()
        current = store.current()
        return copy(current) if object_id == str(current.pk) else None

    def save_model(
        self, request: HttpRequest, obj: StoreSettings, form: StoreSettingsForm, change: bool
    ) -> None:
        """Change what was changed on the form, so that two people's changes can both stand."""
        changed = {name: form.cleaned_data[name] for name in form.changed_data}
        code = changed.pop("default_currency", "")
        if code:
            services.change_currency(services.currencies()[code].pk, default=True)
        if changed:
            store.change(**changed)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


admin.site.register(CountFile, CountFileAdmin)
