"""What the API answers about products, currencies and stock."""

from typing import Annotated, Literal, NotRequired, TypedDict

from api.answers import (
    Amount,
    Empty,
    Id,
    Keywords,
    Link,
    Links,
    Moment,
    Page,
    Reference,
    Timestamps,
    Units,
    component,
)
from inventory import models

ProductId = Annotated[Id, "The product's id."]


@component
class Price(TypedDict):
    amount: Amount
    currency: str
    includes_tax: bool


# An empty cart has no currency.
@component
class FormattedPrice(TypedDict):
    amount: Amount
    currency: str
    formatted: str


class ProductPrices(TypedDict):
    with_tax: FormattedPrice
    without_tax: FormattedPrice


class Availability(TypedDict):
    availability: Literal["in-stock", "out-stock"]
    level: NotRequired[Units]


class LookAlike(TypedDict):
    id: Id
    sku: str
    barcode: str


class ProductMeta(TypedDict):
    timestamps: Timestamps
    stock: Availability
    display_price: NotRequired[ProductPrices]
    # For administrators who ask for one product: others whose sku or barcode scans the same.
    look_alikes: NotRequired[list[LookAlike]]


class MainImage(TypedDict):
    data: Reference[Literal["main_image"]]


class Files(TypedDict):
    data: list[Reference[Literal["file"]]]


# Both of them where the product has pictures of its own.
class ProductRelationships(TypedDict, total=False):
    main_image: MainImage
    files: Files


@component
class Product(TypedDict):
    type: Literal["product"]
    id: Id
    name: str
    slug: str
    sku: str
    barcode: str
    description: str
    image_url: str
    manage_stock: bool
    price: list[Price]
    status: Annotated[str, Keywords(enum=models.Product.Status.values)]
    commodity_type: Annotated[str, Keywords(enum=models.Product.CommodityType.values)]
    meta: ProductMeta
    relationships: ProductRelationships


@component
class Stock(TypedDict):
    id: ProductId
    type: Literal["stock"]
    total: Units
    available: Units
    allocated: Units
    stock_id: Id
    meta: Timestamps


# What is known of then by now may be that more was promised, or sent, than there was.
UnitsThen = Annotated[int, "Never below zero, but perhaps at a moment asked for."]


@component
class StockAtAMoment(TypedDict):
    id: ProductId
    type: Literal["stock"]
    total: UnitsThen
    available: UnitsThen
    allocated: UnitsThen
    stock_id: Id
    meta: Timestamps
    at: NotRequired[Annotated[Moment, "The moment asked for; absent for now."]]


class Actor(TypedDict):
    type: str
    id: str
    name: str


@component
class StockTransaction(TypedDict):
    id: Id
    type: Literal["stock-transaction"]
    action: Annotated[str, Keywords(enum=models.Action.values)]
    product_id: Id
    quantity: Units
    reason: str
    actor: Actor
    order_id: Id | None
    available: Annotated[Units, "After it, as the next two."]
    allocated: Units
    total: Units
    timestamps: Timestamps


class CurrencyMeta(TypedDict):
    timestamps: Timestamps


@component
class Currency(TypedDict):
    id: Id
    type: Literal["currency"]
    code: str
    exchange_rate: float
    format: str
    decimal_point: str
    thousand_separator: str
    decimal_places: int
    default: bool
    enabled: bool
    links: Link
    meta: CurrencyMeta


class Dimensions(TypedDict):
    width: int
    height: int


class CreatedAt(TypedDict):
    created_at: Moment


class SmallerFile(TypedDict):
    pixels: Annotated[int, "It is at most so wide and so high."]
    href: str


class FileMeta(TypedDict):
    dimensions: Dimensions
    smaller: list[SmallerFile]
    timestamps: CreatedAt


class FileLink(TypedDict):
    href: str
    meta: Empty


@component
class File(TypedDict):
    id: Id
    type: Literal["file"]
    file_name: Annotated[
        str, "As it was sent. What is told of the file is told of what became of it."
    ]
    mime_type: str
    file_size: int
    public: bool
    link: FileLink
    meta: FileMeta
    links: Link


class IncludedFiles(TypedDict, total=False):
    """What `include` asks for."""

    main_images: list[File]
    files: list[File]


class OneProduct(TypedDict):
    data: Product
    included: NotRequired[IncludedFiles]


class ManyProducts(TypedDict):
    data: list[Product]
    meta: Page
    links: Links
    included: NotRequired[IncludedFiles]
