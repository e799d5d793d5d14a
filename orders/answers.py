"""What the API answers about carts, orders, and who holds stock."""

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from api.answers import (
    Data,
    DiscountSettings,
    Empty,
    Error,
    Id,
    Included,
    InventorySettings,
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
from api.fields import UNITS_MAX
from inventory.answers import Actor, FormattedPrice, Price, ProductId
from inventory.models import Action
from orders import models

CartItemKind = Literal["cart_item", "custom_item"]
_UNITS = Keywords(minimum=0, maximum=UNITS_MAX)


class TaxedPrice(TypedDict):
    with_tax: FormattedPrice
    without_tax: FormattedPrice
    tax: FormattedPrice
    discount: FormattedPrice
    without_discount: FormattedPrice


class CartPrices(TaxedPrice):
    shipping: FormattedPrice
    shipping_discount: FormattedPrice


@component
class OrderPrices(CartPrices):
    balance_owing: FormattedPrice
    paid: FormattedPrice
    authorized: FormattedPrice


class LinePrice(TypedDict):
    unit: FormattedPrice
    value: FormattedPrice


@component
class UnitAndValue(TypedDict):
    with_tax: LinePrice
    without_tax: LinePrice
    tax: LinePrice
    discount: LinePrice
    without_discount: LinePrice


class ItemMeta(TypedDict):
    display_price: UnitAndValue
    timestamps: Timestamps


class CartTimestamps(TypedDict):
    created_at: Moment
    updated_at: Moment
    expires_at: Moment


@component
class CartMeta(TypedDict):
    display_price: CartPrices
    timestamps: CartTimestamps


class CartRelationships(TypedDict):
    items: Data[list[Reference[CartItemKind]]]
    customers: Empty


class CustomAttribute(TypedDict):
    type: Literal["string", "integer", "boolean", "float"]
    value: str | int | bool | float


CustomAttributes = dict[str, CustomAttribute]


@component
class Cart(TypedDict):
    id: str
    type: Literal["cart"]
    name: str
    description: str
    discount_settings: DiscountSettings
    inventory_settings: InventorySettings
    links: Link
    meta: CartMeta
    relationships: CartRelationships
    custom_attributes: NotRequired[CustomAttributes]
    external_ref: NotRequired[str]


class Image(TypedDict):
    mime_type: str
    file_name: str
    href: str


class ProductLink(TypedDict, total=False):
    product: str


@component
class CartItem(TypedDict):
    id: Id
    type: CartItemKind
    name: str
    description: str
    sku: str
    slug: str
    image: Image
    quantity: Units
    manage_stock: bool
    unit_price: Price
    value: Price
    links: ProductLink
    meta: ItemMeta
    product_id: NotRequired[Id]
    custom_inputs: NotRequired[dict[str, Any]]
    location: NotRequired[str]


class CartWithItems(TypedDict):
    data: Cart
    included: NotRequired[Included[CartItem]]


class CartPage(TypedDict):
    data: list[Cart]
    meta: Page
    links: Links
    included: NotRequired[Included[CartItem]]


class CartItems(TypedDict):
    data: list[CartItem]
    meta: CartMeta
    included: NotRequired[Included[CartItem]]
    # Where the rest may be done without some, those stand here.
    errors: NotRequired[list[Error]]


class Customer(TypedDict):
    name: str
    email: str


class Address(TypedDict, total=False):
    first_name: str
    last_name: str
    company_name: str
    line_1: str
    line_2: str
    # Only where the call gave it.
    line_3: str
    city: str
    county: str
    region: str
    postcode: str
    country: str


class ShippingAddress(Address, total=False):
    phone_number: str
    instructions: str


class BillingAddress(Address, total=False):
    # So are these.
    phone_number: str
    instructions: str


class States(TypedDict):
    status: Annotated[str, Keywords(enum=models.Order.Status.values)]
    payment: Annotated[str, Keywords(enum=models.Order.Payment.values)]
    shipping: Annotated[str, Keywords(enum=models.Order.Shipping.values)]


class OrderTimestamps(TypedDict):
    created_at: Moment
    updated_at: Moment
    fully_paid_at: NotRequired[Moment]


class OrderMeta(TypedDict):
    display_price: OrderPrices
    timestamps: OrderTimestamps


class OrderRelationships(TypedDict):
    items: Data[list[Reference[Literal["item"]]]]
    # Those that were not undone.
    shipments: Data[list[Reference[Literal["shipment"]]]]


@component
class Order(States):
    type: Literal["order"]
    id: Id
    order_number: str
    external_ref: str
    anonymized: bool
    customer: Customer
    shipping_address: ShippingAddress
    billing_address: BillingAddress
    links: Empty
    meta: OrderMeta
    relationships: OrderRelationships
    custom_attributes: NotRequired[CustomAttributes]


class OrderItemRelationships(TypedDict):
    cart_item: Data[Reference[Literal["cart_item"]]]


@component
class OrderItem(TypedDict):
    type: Literal["order_item"]
    id: Id
    name: str
    sku: str
    quantity: Units
    quantity_shipped: Annotated[int, _UNITS, "Units that left, and were not undone."]
    quantity_cancelled: Annotated[int, _UNITS, "Units that nobody is to send any more."]
    quantity_returned: Annotated[int, _UNITS, "Units of those shipped that were taken back."]
    unit_price: Price
    value: Price
    links: Empty
    meta: ItemMeta
    relationships: OrderItemRelationships
    product_id: NotRequired[Id]
    priced_by_request: NotRequired[
        Annotated[bool, "A custom item: whoever put it into the cart said what it costs."]
    ]
    custom_inputs: NotRequired[dict[str, Any]]
    location: NotRequired[str]


class OrderWithItems(TypedDict):
    data: Order
    included: NotRequired[Included[OrderItem]]


class OrderItems(TypedDict):
    data: list[OrderItem]
    included: NotRequired[Included[OrderItem]]


class OrderPage(TypedDict):
    data: list[Order]
    meta: Page
    links: Links
    included: NotRequired[Included[OrderItem]]


class OfOrder(TypedDict):
    order: Data[Reference[Literal["order"]]]


class ShippedItem(TypedDict):
    type: Literal["order_item"]
    id: Id
    sku: str
    quantity: Units


class ShipmentTimestamps(TypedDict):
    created_at: Moment
    undone_at: NotRequired[Annotated[Moment, "Only once it was undone."]]


class ShipmentMeta(TypedDict):
    timestamps: ShipmentTimestamps


@component
class Shipment(TypedDict):
    id: Id
    type: Literal["shipment"]
    number: Annotated[int, Keywords(minimum=1), "Within the order."]
    carrier: str
    tracking_reference: str
    items: list[ShippedItem]
    actor: Actor
    relationships: OfOrder
    meta: ShipmentMeta


class ReturnItem(TypedDict):
    type: Literal["return_item"]
    id: Annotated[str, Keywords(format="uuid"), "Of this line: by it, an inspection is settled."]
    order_item_id: Id
    sku: str
    quantity: Units
    disposition: Annotated[str, Keywords(enum=models.ReturnLine.Disposition.values)]
    settled_as: NotRequired[
        Annotated[str, Keywords(enum=["restocked", "discarded"]), "After an inspection."]
    ]
    settled_at: NotRequired[Moment]


class CreatedAt(TypedDict):
    created_at: Moment


class ReturnMeta(TypedDict):
    timestamps: CreatedAt


@component
class Return(TypedDict):
    id: Id
    type: Literal["return"]
    number: Annotated[int, Keywords(minimum=1), "Within the order."]
    reason: str
    items: list[ReturnItem]
    actor: Actor
    relationships: OfOrder
    meta: ReturnMeta


class OrderHolding(States):
    id: Id
    type: Literal["order"]
    order_number: str
    units: Units
    payment_in_flight: bool
    since: Moment | None
    links: Link


class SetAsideByHand(TypedDict):
    id: Id
    type: Literal["stock-transaction"]
    action: Annotated[str, Keywords(enum=[Action.ALLOCATE, Action.DEALLOCATE])]
    units: Annotated[int, "Set aside by it; less than nothing if it freed some."]
    reason: str
    actor: Actor
    since: Moment


@component
class StockHolders(TypedDict):
    id: ProductId
    type: Literal["stock-holders"]
    total: Units
    available: Units
    allocated: Annotated[Units, "The sum of all units named here."]
    orders: list[OrderHolding]
    units_of_more_orders: Units
    by_hand: list[SetAsideByHand]
    units_set_aside_before: int
