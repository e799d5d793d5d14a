"""How the API's description tells of carts and orders."""

from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework.serializers import Serializer

from api import schema
from api.errors import BadRequest, Forbidden, Invalid
from api.schema import (
    CURRENCY_HEADER,
    EMPTY,
    ERROR,
    FLAG,
    ID,
    MOMENT,
    NUMBER,
    TEXT,
    TIMESTAMPS,
    UNITS,
    Operation,
    Piece,
    a_list,
    an_object,
    component,
    data,
    one_of,
    page_of,
)
from inventory.errors import CurrencyUnknown, ProductNotFound, StockNotFound
from inventory.models import Action
from inventory.schema import FORMATTED_PRICE, PRICE
from orders import errors, serializers, views
from orders.filters import CartFilters, OrderFilters
from orders.models import Order

extend_schema_field({"type": "object"})(serializers.CustomInputs)
extend_schema_serializer(component_name="CartProduct")(serializers.ProductBody)

_TAXED: Piece = dict.fromkeys(
    ("with_tax", "without_tax", "tax", "discount", "without_discount"), FORMATTED_PRICE
)
_SHIPPING: Piece = dict.fromkeys(("shipping", "shipping_discount"), FORMATTED_PRICE)
_UNIT_AND_VALUE = component(
    "UnitAndValue",
    an_object(
        {name: an_object({"unit": FORMATTED_PRICE, "value": FORMATTED_PRICE}) for name in _TAXED}
    ),
)
CART_META = component(
    "CartMeta",
    an_object(
        {
            "display_price": an_object({**_TAXED, **_SHIPPING}),
            "timestamps": an_object(
                {"created_at": MOMENT, "updated_at": MOMENT, "expires_at": MOMENT}
            ),
        }
    ),
)
CART = component(
    "Cart",
    an_object(
        {
            "id": TEXT,
            "type": one_of("cart"),
            "name": TEXT,
            "description": TEXT,
            "discount_settings": an_object(
                {"custom_discounts_enabled": FLAG, "use_rule_promotions": FLAG}
            ),
            "inventory_settings": an_object({"defer_inventory_check": FLAG}),
            "links": an_object({"self": TEXT}),
            "meta": CART_META,
            "relationships": an_object(
                {
                    "items": data(
                        a_list(an_object({"type": one_of("cart_item", "custom_item"), "id": ID}))
                    ),
                    "customers": EMPTY,
                }
            ),
        }
    ),
)
CART_ITEM = component(
    "CartItem",
    an_object(
        {
            "id": ID,
            "type": one_of("cart_item", "custom_item"),
            "name": TEXT,
            "description": TEXT,
            "sku": TEXT,
            "slug": TEXT,
            "image": an_object({"mime_type": TEXT, "file_name": TEXT, "href": TEXT}),
            "quantity": UNITS,
            "manage_stock": FLAG,
            "unit_price": PRICE,
            "value": PRICE,
            "links": an_object({}, {"product": TEXT}),
            "meta": an_object({"display_price": _UNIT_AND_VALUE, "timestamps": TIMESTAMPS}),
        },
        {"product_id": ID, "custom_inputs": {"type": "object"}},
    ),
)
_ADDRESS_FIELDS: Piece = dict.fromkeys(serializers.Address().fields, TEXT)
ORDER_PRICES = component(
    "OrderPrices",
    an_object(
        {
            **_TAXED,
            **_SHIPPING,
            "balance_owing": FORMATTED_PRICE,
            "paid": FORMATTED_PRICE,
            "authorized": FORMATTED_PRICE,
        }
    ),
)
STATES: Piece = {
    "status": one_of(*Order.Status.values),
    "payment": one_of(*Order.Payment.values),
    "shipping": one_of(*Order.Shipping.values),
}
ORDER = component(
    "Order",
    an_object(
        {
            "type": one_of("order"),
            "id": ID,
            "order_number": TEXT,
            "external_ref": TEXT,
            **STATES,
            "anonymized": FLAG,
            "customer": an_object({"name": TEXT, "email": TEXT}),
            "shipping_address": an_object(
                {}, {**_ADDRESS_FIELDS, "phone_number": TEXT, "instructions": TEXT}
            ),
            "billing_address": an_object({}, _ADDRESS_FIELDS),
            "links": EMPTY,
            "meta": an_object(
                {
                    "display_price": ORDER_PRICES,
                    "timestamps": an_object(
                        {"created_at": MOMENT, "updated_at": MOMENT}, {"fully_paid_at": MOMENT}
                    ),
                }
            ),
            "relationships": an_object(
                {"items": data(a_list(an_object({"type": one_of("item"), "id": ID})))}
            ),
        }
    ),
)
ORDER_ITEM = component(
    "OrderItem",
    an_object(
        {
            "type": one_of("order_item"),
            "id": ID,
            "name": TEXT,
            "sku": TEXT,
            "quantity": UNITS,
            "unit_price": PRICE,
            "value": PRICE,
            "links": EMPTY,
            "meta": an_object({"display_price": _UNIT_AND_VALUE, "timestamps": TIMESTAMPS}),
            "relationships": an_object(
                {"cart_item": data(an_object({"type": one_of("cart_item"), "id": ID}))}
            ),
        },
        {"product_id": ID, "custom_inputs": {"type": "object"}},
    ),
)


def with_items(piece: Piece, items: Piece) -> Piece:
    """Describe a thing beside which its items are told, where `include=items` asks for them."""
    described = data(piece)
    described["properties"]["included"] = an_object({}, {"items": a_list(items)})
    return described


def _of_type(name: str, body: type[Serializer[Any]], *, required: bool = True) -> Piece:
    kind = {"type": one_of(name)}
    return {"allOf": [body, an_object(kind) if required else an_object({}, kind)]}


_ENTRY: Piece = {
    "anyOf": [
        _of_type(name, body, required=name != "cart_item")
        for name, body in serializers.ENTRIES.items()
    ]
}
# Where the rest may be done without some, those stand under `errors`.
_CART_ITEMS = an_object({"data": a_list(CART_ITEM), "meta": CART_META}, {"errors": a_list(ERROR)})
_ITEM_REFUSALS = [
    errors.InsufficientStock,
    errors.TooManyItems,
    errors.TooManyInALine,
    errors.TotalTooLarge,
    errors.NoPrice,
    errors.NegativeAmount,
    errors.SeveralRefused,
    errors.CurrencyDiffers,
    ProductNotFound,
    Invalid,
]

schema.describe(
    "Carts",
    views.CartsView,
    get=Operation(
        "List carts",
        "Administrators only. The one that changed last comes first.",
        answers={200: page_of(CART)},
        refuses=[Forbidden],
        lists=True,
        filters=CartFilters,
    ),
    post=Operation(
        "Create a cart",
        "Unasked, it gets an id that nobody can guess: whoever knows the id may change the cart.",
        takes=serializers.NewCartBody,
        answers={201: with_items(CART, CART_ITEM)},
        refuses=[errors.CartExists, Invalid],
        includes="items",
    ),
)
schema.describe(
    "Carts",
    views.CartView,
    get=Operation(
        "Get a cart",
        "One that nobody has filled is empty, not unknown.",
        answers={200: with_items(CART, CART_ITEM)},
        includes="items",
    ),
    put=Operation(
        "Change a cart",
        takes=serializers.CartBody,
        answers={200: with_items(CART, CART_ITEM)},
        refuses=[Invalid],
        includes="items",
    ),
    delete=Operation("Delete a cart", answers={204: None}),
)
schema.describe(
    "Carts",
    views.CartItemsView,
    get=Operation("List the items of a cart", answers={200: _CART_ITEMS}),
    post=Operation(
        "Add to a cart",
        "A product, a custom item, what another cart holds, or a list of them. Each quantity is "
        "compared with what is available; nothing is reserved. Of a list, all that is wrong is "
        "told under one status.",
        takes=an_object(
            {"data": {"anyOf": [_ENTRY, a_list(_ENTRY, minItems=1, maxItems=views.ENTRIES_MAX)]}},
            {"options": serializers.AddOptions},
        ),
        answers={201: _CART_ITEMS},
        refuses=[
            *_ITEM_REFUSALS,
            errors.CartIntoItself,
            errors.CartCurrencyDiffers,
            errors.CurrencyGone,
            errors.PromotionNotFound,
            errors.ReorderUnsupported,
            CurrencyUnknown,
        ],
        headers=[CURRENCY_HEADER],
    ),
    put=Operation(
        "Change several items of a cart",
        "Items that become alike, by other `custom_inputs`, are joined. All that is wrong is told "
        "under one status.",
        takes=an_object(
            {"data": a_list(serializers.CartItemChange, minItems=1, maxItems=views.ENTRIES_MAX)},
            {"options": serializers.UpdateOptions},
        ),
        answers={200: _CART_ITEMS},
        refuses=[*_ITEM_REFUSALS, errors.ItemNotInCart],
    ),
    delete=Operation("Empty a cart", answers={204: None}),
)
schema.describe(
    "Carts",
    views.CartItemView,
    put=Operation(
        "Change an item of a cart",
        "A quantity of 0 removes it. If other `custom_inputs` make it like another item, the two "
        "are joined, where the first of them stood.",
        takes=serializers.CartItemChanges,
        answers={200: _CART_ITEMS},
        refuses=[*_ITEM_REFUSALS, errors.CartItemNotFound, BadRequest],
    ),
    delete=Operation(
        "Remove an item of a cart",
        answers={200: _CART_ITEMS},
        refuses=[errors.CartItemNotFound],
    ),
)
schema.describe(
    "Carts",
    views.CheckoutView,
    post=Operation(
        "Check out a cart",
        "Makes an order of today's prices. Quantities are summed per product and compared with "
        "what is available; nothing is reserved before the first payment.",
        takes=serializers.CheckoutBody,
        answers={201: with_items(ORDER, ORDER_ITEM)},
        refuses=[
            errors.CartEmpty,
            errors.InsufficientStock,
            errors.NotForSale,
            errors.CurrencyDiffers,
            errors.TotalChanged,
            errors.TotalTooLarge,
            Invalid,
        ],
        headers=[CURRENCY_HEADER],
    ),
)
schema.describe(
    "Orders",
    views.OrdersView,
    get=Operation(
        "List orders",
        "Newest first.",
        answers={200: page_of(ORDER, included=an_object({}, {"items": a_list(ORDER_ITEM)}))},
        lists=True,
        filters=OrderFilters,
        includes="items",
    ),
)
schema.describe(
    "Orders",
    views.OrderItemsView,
    get=Operation(
        "List the items of an order",
        answers={200: data(a_list(ORDER_ITEM))},
        refuses=[errors.OrderNotFound],
    ),
)

HOLDERS = component(
    "StockHolders",
    an_object(
        {
            "id": {**ID, "description": "The product's id."},
            "type": one_of("stock-holders"),
            "total": UNITS,
            "available": UNITS,
            "allocated": {**UNITS, "description": "The sum of all units named here."},
            "orders": a_list(
                an_object(
                    {
                        "id": ID,
                        "type": one_of("order"),
                        "order_number": TEXT,
                        "units": UNITS,
                        **STATES,
                        "payment_in_flight": FLAG,
                        "since": {"type": ["string", "null"], "format": "date-time"},
                        "links": an_object({"self": TEXT}),
                    }
                )
            ),
            "units_of_more_orders": UNITS,
            "by_hand": a_list(
                an_object(
                    {
                        "id": ID,
                        "type": one_of("stock-transaction"),
                        "action": one_of(Action.ALLOCATE, Action.DEALLOCATE),
                        "units": {
                            **NUMBER,
                            "description": "Set aside by it; less than nothing if it freed some.",
                        },
                        "reason": TEXT,
                        "actor": an_object({"type": TEXT, "id": TEXT, "name": TEXT}),
                        "since": MOMENT,
                    }
                )
            ),
            "units_set_aside_before": NUMBER,
        }
    ),
)
schema.describe(
    "Inventories",
    views.HoldersView,
    get=Operation(
        "List who holds the stock of a product",
        f"Orders, those that have held the longest first, and what people set aside, newest first: "
        f"{views.HOLDERS_MAX} of each are named, and the rest is summed up.",
        answers={200: data(HOLDERS)},
        refuses=[StockNotFound],
    ),
)
