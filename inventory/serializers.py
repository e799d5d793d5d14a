"""Products and stock as the wire spells them."""

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from rest_framework import serializers

from api.actors import Actor
from api.bodies import PublishedBody
from api.clock import at
from api.fields import Amount, Choice, Code, Flag, Id, Quantity, Text, WholeNumber
from inventory import answers
from inventory.models import Action, Currency, Picture, Product, Stock, StockTransaction
from inventory.services import codes, picture_files, pictures
from inventory.services.images import LARGE, MEDIUM, THUMBNAIL
from inventory.services.log import Past
from inventory.services.products import Money

# As many currencies as a store may have.
PRICES_MAX = 10


class PriceBody(serializers.Serializer[Any]):
    amount = Amount()
    currency = Text(min_length=3, max_length=3)
    includes_tax = Flag(default=True)

    def to_internal_value(self, data: Any) -> Any:
        return Money(**super().to_internal_value(data))


# Published for products, here or of the newer catalog, and unknown to ours.
_OF_OTHER_PRODUCTS = frozenset(
    {
        *("attributes", "build_rules", "components", "custom_inputs", "external_ref", "locales"),
        *("mpn", "relationships", "tags", "upc_ean"),
    }
)


class ProductChanges(PublishedBody):
    """Any of a product's fields: what is left out stays as it is."""

    # A product that is there moves its stock by transactions.
    not_supported = _OF_OTHER_PRODUCTS | {"stock"}

    name = Text(max_length=200, required=False)
    sku = Code(max_length=100, required=False)
    slug = Text(max_length=200, required=False)
    description = Text(max_length=20_000, allow_blank=True, required=False)
    status = Choice(Product.Status.choices, required=False)
    commodity_type = Choice(Product.CommodityType.choices, required=False)
    barcode = Code(max_length=64, allow_blank=True, required=False)
    image_url = Text(max_length=500, allow_blank=True, required=False)
    price = serializers.ListField(
        child=PriceBody(), required=False, source="prices", max_length=PRICES_MAX
    )
    manage_stock = Flag(required=False)

    def validate_slug(self, slug: str) -> str:
        if not re.fullmatch(r"[-a-zA-Z0-9_]+", slug):
            raise serializers.ValidationError("Letters, digits, - and _ only.", code="slug")
        return slug

    def validate_image_url(self, address: str) -> str:
        if fault := pictures.fault_of_address(address):
            raise serializers.ValidationError(fault, code="address")
        return address

    def validate_price(self, prices: list[Money]) -> list[Money]:
        currencies = [price.currency for price in prices]
        if len(set(currencies)) < len(currencies):
            raise serializers.ValidationError(
                "A product has one price in each currency.", code="unique"
            )
        return prices


class ProductBody(ProductChanges):
    name = Text(max_length=200)
    sku = Code(max_length=100)
    price = serializers.ListField(child=PriceBody(), source="prices", max_length=PRICES_MAX)
    manage_stock = Flag(default=True)
    stock = Quantity(min_value=0, default=0, source="initial_stock")

    def validate(self, fields: dict[str, Any]) -> dict[str, Any]:
        if fields["initial_stock"] and not fields["manage_stock"]:
            error = "A product whose stock is not managed has none."
            raise serializers.ValidationError({"stock": error}, code="unmanaged")
        return fields


class ExchangeRate(serializers.Field[Any, Any, Any, Any]):
    """A positive number, which is stored for clients: nothing is converted."""

    default_error_messages = {
        "type": "This must be a number.",
        "range": "This must be above 0 and below 10000000000.",
    }

    def to_internal_value(self, data: Any) -> Decimal:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("type")
        if not 0 < data < 10**10:
            self.fail("range")
        rate = Decimal(str(data)).quantize(Decimal("1e-8"))
        if not rate:
            self.fail("range")
        return rate


class CurrencyChanges(serializers.Serializer[Any]):
    """Any of a currency's fields: what is left out stays as it is."""

    code = Text(required=False)
    exchange_rate = ExchangeRate(required=False)
    format = Text(max_length=20, trim_whitespace=False, required=False)
    decimal_point = Text(max_length=1, trim_whitespace=False, required=False)
    thousand_separator = Text(max_length=1, trim_whitespace=False, allow_blank=True, required=False)
    decimal_places = WholeNumber(min_value=0, max_value=4, required=False)
    default = Flag(required=False)
    enabled = Flag(required=False)

    def validate_code(self, code: str) -> str:
        if not re.fullmatch("[A-Za-z]{3}", code):
            raise serializers.ValidationError("A currency code is three letters.", code="code")
        return code.upper()

    def validate_format(self, text: str) -> str:
        if text.count("{price}") != 1:
            raise serializers.ValidationError(
                "Write {price} once, where the number belongs.", code="price"
            )
        return text


class CurrencyBody(CurrencyChanges):
    code = Text()


# What is said of stock in one of several locations, of which there is but one.
_OF_A_LOCATION = frozenset({"attributes", "location"})


class StockBody(PublishedBody):
    # A movement has an address of its own: its quantity is no first stock.
    not_supported = _OF_A_LOCATION | {"action"}

    quantity = Quantity(min_value=0)


class StockTransactionBody(PublishedBody):
    not_supported = _OF_A_LOCATION

    product_id = Id(required=False)
    action = Choice(Action.choices)
    quantity = Quantity()
    reason = Text(max_length=500, allow_blank=True, default="")


class StockId(serializers.Serializer[Any]):
    id = Id()


def formatted_price(amount: int, currency: Currency) -> answers.FormattedPrice:
    return {
        "amount": amount,
        "currency": currency.code,
        "formatted": currency.formatted(amount),
    }


def currency(row: Currency, url: str) -> answers.Currency:
    return {
        "id": str(row.pk),
        "type": "currency",
        "code": row.code,
        "exchange_rate": float(row.exchange_rate),
        "format": row.format,
        "decimal_point": row.decimal_point,
        "thousand_separator": row.thousand_separator,
        "decimal_places": row.decimal_places,
        "default": row.default,
        "enabled": row.enabled,
        "links": {"self": url},
        "meta": {
            "timestamps": {"created_at": at(row.created_at), "updated_at": at(row.updated_at)}
        },
    }


def stock(row: Stock) -> answers.Stock:
    """Represent stock. Its product must be loaded: the stock was made with it."""
    created_at = row.product.created_at
    return {
        "id": str(row.product_id),
        "type": "stock",
        "total": row.total,
        "available": row.available,
        "allocated": row.allocated,
        "stock_id": str(row.pk),
        "meta": {
            "created_at": at(created_at),
            "updated_at": at(row.last_moved_at or created_at),
        },
    }


def stock_at(row: Stock, past: Past, moment: datetime) -> answers.StockAtAMoment:
    """Represent the stock as it was; before the first entry of the log there was none."""
    answer: answers.StockAtAMoment = {**stock(row), "at": at(moment)}
    answer["total"] = past.total
    answer["available"] = past.available
    answer["allocated"] = past.allocated
    answer["meta"]["updated_at"] = at(past.moved_at or row.product.created_at)
    return answer


def actor(who: Actor) -> answers.Actor:
    return {"type": who.kind, "id": who.id, "name": who.name}


def stock_transaction(entry: StockTransaction, product_id: Any) -> answers.StockTransaction:
    return {
        "id": str(entry.pk),
        "type": "stock-transaction",
        "action": entry.action,
        "product_id": str(product_id),
        "quantity": entry.quantity,
        "reason": entry.reason,
        "actor": actor(entry.actor),
        "order_id": str(entry.order_id) if entry.order_id else None,
        "available": entry.available,
        "allocated": entry.allocated,
        "total": entry.total,
        # An entry never changes.
        "timestamps": {"created_at": at(entry.created_at), "updated_at": at(entry.created_at)},
    }


def product(
    row: Product,
    currencies: Mapping[str, Currency],
    currency: str,
    absolute: Callable[[str], str],
) -> answers.Product:
    """Represent a product with the prices, the stock and the pictures that were read with it.

    The first picture takes the place of `image_url`. `absolute` puts a host before a path.
    """
    prices = row.prices.all()
    row_stock = row.stocks.all()[0]
    picture_ids = [shown.picture_id for shown in row.product_pictures.all()]
    image_url = picture_files.address(picture_ids[0], LARGE) if picture_ids else row.image_url
    display_prices = [
        formatted_price(price.amount, currencies[price.currency_id])
        for price in prices
        if price.currency_id == currency
    ]
    meta: answers.ProductMeta = {
        "timestamps": {"created_at": at(row.created_at), "updated_at": at(row.updated_at)},
        "stock": _availability(row_stock),
    }
    if display_prices:
        # Tax is shown as included or zero, so the two never differ.
        meta["display_price"] = {"with_tax": display_prices[0], "without_tax": display_prices[0]}
    return {
        "type": "product",
        "id": str(row.pk),
        "name": row.name,
        "slug": row.slug,
        "sku": row.sku,
        "barcode": row.barcode,
        "description": row.description,
        "image_url": absolute(image_url),
        "manage_stock": row_stock.managed,
        "price": [
            {
                "amount": price.amount,
                "currency": price.currency_id,
                "includes_tax": price.includes_tax,
            }
            for price in prices
        ],
        "status": row.status,
        "commodity_type": row.commodity_type,
        "meta": meta,
        "relationships": relationships(picture_ids),
    }


def relationships(picture_ids: Sequence[uuid.UUID]) -> answers.ProductRelationships:
    """Name a product's pictures, the main one first."""
    if not picture_ids:
        return {}
    return {
        "main_image": {"data": {"type": "main_image", "id": str(picture_ids[0])}},
        "files": {"data": [{"type": "file", "id": str(each)} for each in picture_ids]},
    }


def file(row: Picture, absolute: Callable[[str], str]) -> answers.File:
    """Represent a picture by the largest of its files. `absolute` puts our host before a path."""
    return {
        "id": str(row.pk),
        "type": "file",
        "file_name": row.name,
        "mime_type": Picture.MIME_TYPE,
        "file_size": row.size,
        "public": True,
        "link": {"href": absolute(picture_files.address(row.pk, LARGE)), "meta": {}},
        "meta": {
            "dimensions": {"width": row.width, "height": row.height},
            "smaller": [
                {"pixels": side, "href": absolute(picture_files.address(row.pk, side))}
                for side in (THUMBNAIL, MEDIUM)
            ],
            "timestamps": {"created_at": at(row.created_at)},
        },
        "links": {"self": absolute(f"/v2/files/{row.pk}")},
    }


def look_alike(row: codes.Spelled) -> answers.LookAlike:
    return {"id": str(row.id), "sku": row.sku, "barcode": row.barcode}


def _availability(row: Stock) -> answers.Availability:
    """Represent availability. Unmanaged stock never runs out; SHOW_STOCK_LEVEL adds how many."""
    in_stock = row.available > 0 or not row.managed
    answer: answers.Availability = {"availability": "in-stock" if in_stock else "out-stock"}
    if settings.SHOW_STOCK_LEVEL:
        answer["level"] = row.available
    return answer
