import uuid
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from django.conf import settings
from django.db.models import Prefetch, QuerySet
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import ListSerializer

from api import clock
from api.authentication import Administrator, ShoppersMayRead
from api.errors import BadRequest, Invalid, invalid_fields
from api.filtering import conditions, included, listed, moment_parameter, values_of
from api.idempotency import Key, once
from api.pagination import paginated, paginated_together
from api.views import ApiView, deleted, envelope
from inventory import answers, serializers
from inventory.errors import CurrencyNotFound, ProductNotFound
from inventory.filters import (
    CurrencyFilters,
    ProductFilters,
    PublicProductFilters,
    StockFilters,
    StockTransactionFilters,
)
from inventory.models import (
    DEFAULT_LOCATION_ID,
    Action,
    Currency,
    Product,
    ProductPicture,
    Stock,
)
from inventory.services import codes, currencies, picture_files, pictures, products
from inventory.services import log as stock_log
from inventory.services import stock as inventory
from inventory.services.images import LARGE

# How many stocks `POST /v2/inventories/multiple` answers at once.
MULTIPLE_MAX = 100


class _ProductAnswers(ApiView):
    permission_classes = [ShoppersMayRead]
    revalidates = True

    def visible(self) -> "QuerySet[Product]":
        """Return the products that this caller may see, with prices, stock and pictures."""
        products = Product.objects.kept()
        if not self.caller.is_administrator:
            products = products.filter(status=Product.Status.LIVE)
        stocks = Stock.objects.filter(location_id=DEFAULT_LOCATION_ID)
        shown = ProductPicture.objects.order_by("position")
        if included(self.request) & {"main_image", "files"}:
            shown = shown.select_related("picture")
        return products.prefetch_related(
            "prices", Prefetch("stocks", stocks), Prefetch("product_pictures", shown)
        )

    def currency(self) -> str:
        """Raises: CurrencyUnknown."""
        return currencies.named(self.request.headers.get("X-Moltin-Currency", "")).code

    def represented(self, product: Product) -> answers.Product:
        return serializers.product(product, currencies.by_code(), self.currency(), self.absolute)

    def included(self, products: Sequence[Product]) -> dict[str, answers.IncludedFiles]:
        """Return what stands beside the products, if anything was asked for."""
        found: answers.IncludedFiles = {}
        asked = included(self.request)
        shown = [each for product in products for each in product.product_pictures.all()]
        if "main_image" in asked:
            found["main_images"] = self._files(each for each in shown if not each.position)
        if "files" in asked:
            found["files"] = self._files(shown)
        return {"included": found} if found else {}

    def _files(self, shown: Iterable[ProductPicture]) -> list[answers.File]:
        """Represent each picture once, however many products show it."""
        return [
            serializers.file(picture, self.absolute)
            for picture in {each.picture_id: each.picture for each in shown}.values()
        ]

    def data(self) -> Any:
        """Read an address on this server as we have it, and not as we told it."""
        data = super().data()
        if not isinstance(data, dict) or not isinstance(data.get("image_url"), str):
            return data
        address, here = data["image_url"], self.absolute("/")
        # Another host may begin like ours, and two slashes begin a host.
        if address.startswith(here) and not address.startswith(f"{here}/"):
            return {**data, "image_url": address[len(here) - 1 :]}
        return data

    def created(self, product_id: uuid.UUID | str) -> Response:
        return self.answered(product_id, 201)

    def answered(self, product_id: uuid.UUID | str, status: int = 200) -> Response:
        product = self.visible().filter(pk=product_id).first()
        if product is None:
            raise ProductNotFound
        answer = self.represented(product)
        if self.caller.is_administrator:
            alike = codes.look_alikes([product.sku, product.barcode], besides=product.pk)
            if alike:
                answer["meta"]["look_alikes"] = [serializers.look_alike(each) for each in alike]
        return envelope(answer, status, **self.included([product]))


class ProductsView(_ProductAnswers):
    def get(self, request: Request) -> Response:
        knows_levels = self.caller.is_administrator or settings.SHOW_STOCK_LEVEL
        filters = ProductFilters if knows_levels else PublicProductFilters
        products = listed(request, self.visible().order_by("-created_at", "-pk"), filters)
        beside: dict[str, answers.IncludedFiles] = {}

        def represented(shown: Sequence[Product]) -> list[answers.Product]:
            beside.update(self.included(shown))
            return [self.represented(product) for product in shown]

        answer = paginated_together(request, products, represented)
        answer.data.update(beside)
        return answer

    @once(again=_ProductAnswers.created)
    def post(self, request: Request, key: Key | None) -> Response:
        # Refuse an unknown currency before the product is made, not when it is answered.
        self.currency()
        fields = self.validated(serializers.ProductBody)
        return self.created(products.create(**fields, actor=self.caller.actor, key=key).pk)


class ProductView(_ProductAnswers):
    def data(self) -> Any:
        """Leave out what is as it was told, for it need not be what a new one must be."""
        data = super().data()
        told = ("sku", "barcode", "image_url", "relationships")
        if not isinstance(data, dict) or data.keys().isdisjoint(told):
            return data
        product = Product.objects.filter(pk=self.kwargs["product_id"]).first()
        if product is None:
            return data
        shown = pictures.of_products([product.pk])[product.pk]
        main = [picture_files.address(shown[0], LARGE)] if shown else []
        kept: dict[str, list[Any]] = {
            "sku": [product.sku],
            "barcode": [product.barcode],
            "image_url": [product.image_url, *main],
            "relationships": [serializers.relationships(shown)],
        }
        return {name: value for name, value in data.items() if value not in kept.get(name, ())}

    def get(self, request: Request, product_id: uuid.UUID) -> Response:
        return self.answered(product_id)

    @once(again=_ProductAnswers.answered)
    def put(self, request: Request, key: Key | None, product_id: uuid.UUID) -> Response:
        self.currency()
        fields = self.validated(serializers.ProductChanges)
        products.update(product_id, **fields, actor=self.caller.actor, key=key)
        return self.answered(product_id)

    @once(again=deleted)
    def delete(self, request: Request, key: Key | None, product_id: uuid.UUID) -> Response:
        products.archive(product_id, actor=self.caller.actor, key=key)
        return deleted()


class InventoriesView(ApiView):
    permission_classes = [Administrator]

    def get(self, request: Request) -> Response:
        # Products are read for the page alone: joined, a sort by numbers would join all of them.
        managed = Stock.objects.filter(managed=True).prefetch_related("product")
        rows = listed(request, managed.order_by("pk"), StockFilters)
        answer = paginated(request, rows, serializers.stock)
        results = answer.data["meta"]["results"]
        results["all"] = results["total"]
        return answer


class InventoriesMultipleView(ApiView):
    permission_classes = [Administrator]

    def post(self, request: Request) -> Response:
        """Return the stock of the products that exist, and leave out the others."""
        asked: ListSerializer[Any] = ListSerializer(
            data=self.data(), child=serializers.StockId(), max_length=MULTIPLE_MAX
        )
        if not asked.is_valid():
            raise Invalid(*invalid_fields(asked.errors))
        ids = [entry["id"] for entry in asked.validated_data]
        rows = Stock.objects.filter(product_id__in=ids, managed=True).select_related("product")
        return envelope([serializers.stock(row) for row in rows.order_by("pk")])


class InventoryView(ApiView):
    permission_classes = [Administrator]

    def get(self, request: Request, product_id: uuid.UUID) -> Response:
        moment = moment_parameter(request, "at")
        stock = stock_log.stock_of(product_id)
        if moment is None:
            return envelope(serializers.stock(stock))
        if moment > clock.now():
            raise BadRequest("Nobody knows the stock of a moment to come.", source="at")
        [past] = stock_log.at_moments(stock, [moment])
        return envelope(serializers.stock_at(stock, past, moment))

    def created(self, product_id: uuid.UUID | str) -> Response:
        stock = stock_log.stock_of(uuid.UUID(str(product_id)))
        return envelope(serializers.stock(stock), 201)

    @once(again=created)
    def post(self, request: Request, key: Key | None, product_id: uuid.UUID) -> Response:
        quantity = self.validated(serializers.StockBody)["quantity"]
        products.start_managing(product_id, quantity, actor=self.caller.actor, key=key)
        return self.created(product_id)

    @once(again=deleted)
    def delete(self, request: Request, key: Key | None, product_id: uuid.UUID) -> Response:
        products.stop_managing(product_id, actor=self.caller.actor, key=key)
        return deleted()


class StockTransactionsView(ApiView):
    permission_classes = [Administrator]

    def get(self, request: Request, product_id: uuid.UUID) -> Response:
        """Serve a page as a range of the log's own numbers: constant time, however long the log.

        Only a filtered log is counted.
        """
        stock = stock_log.stock_of(product_id)
        entries = listed(request, stock.log.order_by("sequence"), StockTransactionFilters)
        newest_first = "-created_at" in values_of(request, "sort")
        is_whole = not conditions(request, StockTransactionFilters)
        return paginated(
            request,
            entries,
            lambda entry: serializers.stock_transaction(entry, product_id),
            total=stock.sequence if is_whole else None,
            window=partial(stock_log.page, stock, newest_first=newest_first) if is_whole else None,
        )

    def recorded(self, entry_id: uuid.UUID | str) -> Response:
        product_id = self.kwargs["product_id"]
        entry = stock_log.stock_transaction_of(product_id, uuid.UUID(str(entry_id)))
        return envelope(serializers.stock_transaction(entry, product_id))

    @once(again=recorded)
    def post(self, request: Request, key: Key | None, product_id: uuid.UUID) -> Response:
        fields = self.validated(serializers.StockTransactionBody)
        if fields.pop("product_id", product_id) != product_id:
            raise BadRequest("The address names another product.", source="data.product_id")
        action, actor = Action(fields.pop("action")), self.caller.actor
        return self.recorded(inventory.record(product_id, action, **fields, actor=actor, key=key))


class StockTransactionView(ApiView):
    permission_classes = [Administrator]

    def get(self, request: Request, product_id: uuid.UUID, entry_id: uuid.UUID) -> Response:
        entry = stock_log.stock_transaction_of(product_id, entry_id)
        return envelope(serializers.stock_transaction(entry, product_id))


class _CurrencyAnswers(ApiView):
    permission_classes = [ShoppersMayRead]
    revalidates = True

    def represented(self, currency: Currency) -> answers.Currency:
        url = self.request.build_absolute_uri(f"/v2/currencies/{currency.pk}")
        return serializers.currency(currency, url)

    def created(self, currency_id: uuid.UUID | str) -> Response:
        return self.answered(currency_id, 201)

    def answered(self, currency_id: uuid.UUID | str, status: int = 200) -> Response:
        currency = Currency.objects.filter(pk=currency_id).first()
        if currency is None:
            raise CurrencyNotFound
        return envelope(self.represented(currency), status)


class CurrenciesView(_CurrencyAnswers):
    def get(self, request: Request) -> Response:
        rows = listed(request, Currency.objects.order_by("code"), CurrencyFilters)
        return paginated(request, rows, self.represented)

    @once(again=_CurrencyAnswers.created)
    def post(self, request: Request, key: Key | None) -> Response:
        fields = self.validated(serializers.CurrencyBody)
        return self.created(currencies.create(**fields, actor=self.caller.actor, key=key).pk)


class CurrencyView(_CurrencyAnswers):
    def get(self, request: Request, currency_id: uuid.UUID) -> Response:
        return self.answered(currency_id)

    @once(again=_CurrencyAnswers.answered)
    def put(self, request: Request, key: Key | None, currency_id: uuid.UUID) -> Response:
        fields = self.validated(serializers.CurrencyChanges)
        currencies.change(currency_id, **fields, actor=self.caller.actor, key=key)
        return self.answered(currency_id)

    @once(again=deleted)
    def delete(self, request: Request, key: Key | None, currency_id: uuid.UUID) -> Response:
        currencies.delete(currency_id, actor=self.caller.actor, key=key)
        return deleted()
