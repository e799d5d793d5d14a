"""How the API's description presents carts and orders."""

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer

from api import schema
from api.answers import Data, PageOf
from api.errors import BadRequest, Forbidden, Invalid, NotSupported, UnknownField
from api.schema import (
    CURRENCY_HEADER,
    WHOLE_LIST_REFUSALS,
    Operation,
    Piece,
    a_list,
    an_object,
    any_of,
)
from inventory.errors import (
    CountedSinceShipped,
    CurrencyUnknown,
    FoundByCount,
    ProductNotFound,
    StockNotFound,
    StockTooLow,
    TooManyUnits,
)
from orders import answers, errors, serializers, unit_serializers, unit_views, views
from orders.filters import CartFilters, OrderFilters, UnitsFilters

extend_schema_field(schema.ANYTHING)(serializers.CustomInputs)
_ATTRIBUTE: Piece = {
    "type": "object",
    "required": ["type", "value"],
    "additionalProperties": False,
    "properties": {
        "type": {"enum": list(serializers.ATTRIBUTE_TYPES)},
        "value": {"type": ["string", "boolean", "number"]},
    },
}
extend_schema_field(
    {
        "type": "object",
        "maxProperties": serializers.ATTRIBUTES_MAX,
        "additionalProperties": _ATTRIBUTE,
    }
)(serializers.CustomAttributes)
extend_schema_serializer(component_name="CartProduct")(serializers.ProductBody)
for kind, body in serializers.ENTRIES.items():
    name = "CartProduct" if body is serializers.ProductBody else body.__name__
    schema.give_type(f"{name}Request", kind, required=kind != "cart_item")
schema.require_one("CartProductRequest", "id", "sku")
schema.require_one("CheckoutBodyRequest", "customer", "contact")
for name in ("BillingAddressRequest", "ShippingAddressRequest"):
    schema.require_one(name, "county", "region")

CAN_INCLUDE = "items", "tax_items", "promotions", "custom_discounts"
_ENTRY = any_of("CartEntryRequest", *serializers.ENTRIES.values())
_ENTRIES = a_list(_ENTRY, minItems=1, maxItems=views.ENTRIES_MAX)
_ITEM_REFUSALS = [
    errors.InsufficientStock,
    errors.LocationUnknown,
    errors.TooManyItems,
    errors.TooMuchWritten,
    errors.TooManyInALine,
    errors.TotalTooLarge,
    errors.NoPrice,
    errors.NegativeAmount,
    errors.SeveralRefused,
    errors.CurrencyDiffers,
    ProductNotFound,
    NotSupported,
    Invalid,
]

schema.describe(
    "Carts",
    views.CartsView,
    get=Operation(
        "List carts",
        "Administrators only. The one that changed last comes first.",
        answers={200: answers.CartPage},
        refuses=[Forbidden],
        lists=True,
        filters=CartFilters,
        includes=CAN_INCLUDE,
    ),
    post=Operation(
        "Create a cart",
        "Unasked, it gets an id that nobody can guess: whoever knows the id may change the cart.",
        takes=serializers.NewCartBody,
        answers={201: answers.CartWithItems},
        refuses=[errors.CartExists, NotSupported, Invalid],
        includes=CAN_INCLUDE,
    ),
)
schema.describe(
    "Carts",
    views.CartView,
    get=Operation(
        "Get a cart",
        "One that nobody has filled is empty, not unknown.",
        answers={200: answers.CartWithItems},
        refuses=[Invalid],
        includes=CAN_INCLUDE,
    ),
    put=Operation(
        "Change a cart",
        takes=serializers.CartBody,
        answers={200: answers.CartWithItems},
        refuses=[NotSupported, Invalid],
        includes=CAN_INCLUDE,
    ),
    delete=Operation("Delete a cart", answers={204: None}, refuses=[Invalid]),
)
schema.describe(
    "Carts",
    views.CartItemsView,
    get=Operation(
        "List the items of a cart",
        answers={200: answers.CartItems},
        refuses=[Invalid, *WHOLE_LIST_REFUSALS],
        includes=CAN_INCLUDE[1:],
    ),
    post=Operation(
        "Add to a cart",
        "A product, a custom item, what another cart holds, or a list of them. Each quantity is "
        "compared with what is available; nothing is reserved. Of a list, all that is wrong is "
        "told under one status.",
        takes=an_object(
            {"data": any_of("CartEntriesRequest", _ENTRY, _ENTRIES)},
            {"options": serializers.AddOptions},
        ),
        answers={201: answers.CartItems},
        refuses=[
            *_ITEM_REFUSALS,
            errors.CustomItemsNotAllowed,
            errors.CustomItemIsAProduct,
            errors.CustomItemCurrencyDiffers,
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
        answers={200: answers.CartItems},
        refuses=[*_ITEM_REFUSALS, errors.CustomItemsNotAllowed, errors.ItemNotInCart],
    ),
    delete=Operation("Empty a cart", answers={204: None}, refuses=[Invalid]),
)
schema.describe(
    "Carts",
    views.CartItemView,
    put=Operation(
        "Change an item of a cart",
        "A quantity of 0 removes it. If other `custom_inputs` make it like another item, the two "
        "are joined, where the first of them stood.",
        takes=serializers.CartItemChanges,
        answers={200: answers.CartItems},
        refuses=[
            *_ITEM_REFUSALS,
            errors.CustomItemsNotAllowed,
            errors.CartItemNotFound,
            BadRequest,
        ],
    ),
    delete=Operation(
        "Remove an item of a cart",
        answers={200: answers.CartItems},
        refuses=[errors.CartItemNotFound, Invalid],
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
        answers={201: answers.OrderWithItems},
        refuses=[
            errors.CartEmpty,
            errors.InsufficientStock,
            errors.NotForSale,
            errors.CustomItemIsAProduct,
            errors.CurrencyDiffers,
            errors.TotalChanged,
            errors.TotalTooLarge,
            errors.TooManyUnpaidOrders,
            NotSupported,
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
        answers={200: answers.OrderPage},
        lists=True,
        filters=OrderFilters,
        includes=CAN_INCLUDE,
    ),
)
schema.describe(
    "Orders",
    views.OrderItemsView,
    get=Operation(
        "List the items of an order",
        answers={200: answers.OrderItems},
        refuses=[errors.OrderNotFound, *WHOLE_LIST_REFUSALS],
        includes=CAN_INCLUDE[1:],
    ),
)

# All of such a call is understood, or it is refused.
_WHOLE = (Invalid, UnknownField, NotSupported)
_ITEM = "018f0000-0000-7000-8000-000000000001"
_OF_ITEMS = [errors.OrderNotFound, errors.OrderItemNotFound, *_WHOLE]
schema.describe(
    "Orders",
    unit_views.ShipmentsView,
    get=Operation(
        "List the shipments of an order",
        "In the order in which they left, those that were undone too.",
        answers={200: PageOf[answers.Shipment]},
        refuses=[errors.OrderNotFound],
        lists=True,
        filters=UnitsFilters,
    ),
    post=Operation(
        "Ship units of an order",
        "Units of these items or, without `items`, all that is left of a paid order. When nothing "
        "is left, the order's `shipping` becomes `fulfilled`.",
        takes=unit_serializers.ShipmentBody,
        example={
            "data": {
                "type": "shipment",
                "items": [{"id": _ITEM, "quantity": 2}],
                "carrier": "DHL",
                "tracking_reference": "JD0146000039",
            }
        },
        answers={201: Data[answers.Shipment]},
        refuses=[
            errors.OrderNotShippable,
            errors.UnitsNotLeft,
            errors.PaymentUnderWay,
            *_OF_ITEMS,
        ],
    ),
)
schema.describe(
    "Orders",
    unit_views.ShipmentView,
    get=Operation(
        "Get a shipment",
        answers={200: Data[answers.Shipment]},
        refuses=[errors.ShipmentNotFound],
    ),
)
schema.describe(
    "Orders",
    unit_views.UndoShipmentView,
    post=Operation(
        "Undo a shipment",
        "The goods are still there after all: the order holds them again. `whereabouts` tells "
        "where they were, if one of the products was counted since.",
        takes=unit_serializers.UndoBody,
        example={"data": {"reason": "Still on the shelf", "whereabouts": "shelf"}},
        body_required=False,
        answers={200: Data[answers.Shipment]},
        refuses=[
            errors.OrderNotFound,
            errors.ShipmentNotFound,
            errors.ShipNotUndoable,
            errors.PaymentUnderWay,
            CountedSinceShipped,
            FoundByCount,
            StockTooLow,
            TooManyUnits,
            *_WHOLE,
        ],
    ),
)
schema.describe(
    "Orders",
    unit_views.CancellationsView,
    post=Operation(
        "Cancel items of an order",
        "Units of these items or, without `items`, all that is left of a paid order of which "
        "something was shipped. They are available again; with `restock: false` they are written "
        "off instead. No money moves: refund it by a call of its own.",
        takes=unit_serializers.CancellationBody,
        example={
            "data": {
                "type": "cancellation",
                "items": [{"id": _ITEM, "quantity": 1}],
                "reason": "The last one is torn",
                "restock": False,
            }
        },
        answers={200: answers.OrderWithItems},
        refuses=[
            errors.OrderNotCancellable,
            errors.UnitsNotLeft,
            errors.PaymentUnderWay,
            *_OF_ITEMS,
        ],
    ),
)
schema.describe(
    "Orders",
    unit_views.ReturnsView,
    get=Operation(
        "List the returns of an order",
        "In the order in which they came.",
        answers={200: PageOf[answers.Return]},
        refuses=[errors.OrderNotFound],
        lists=True,
        filters=UnitsFilters,
    ),
    post=Operation(
        "Take back units of an order",
        "Units that were shipped, and what becomes of them: `restocked` is available again, "
        "`inspection` set aside until somebody has looked, `discarded` and `missing` are only "
        "recorded. No money moves: refund it by a call of its own.",
        takes=unit_serializers.ReturnBody,
        example={
            "data": {
                "type": "return",
                "items": [{"id": _ITEM, "quantity": 1, "disposition": "inspection"}],
                "reason": "Too small",
            }
        },
        answers={201: Data[answers.Return]},
        refuses=[errors.NotPutBack, StockNotFound, FoundByCount, TooManyUnits, *_OF_ITEMS],
    ),
)
schema.describe(
    "Orders",
    unit_views.ReturnView,
    get=Operation(
        "Get a return", answers={200: Data[answers.Return]}, refuses=[errors.ReturnNotFound]
    ),
)
schema.describe(
    "Orders",
    unit_views.SettleView,
    post=Operation(
        "Settle an inspection",
        "Restock or discard units that were set aside to be inspected: all of the line or, with "
        "`quantity`, some. The rest then waits as a line of its own.",
        takes=unit_serializers.SettleBody,
        example={"data": {"disposition": "restocked"}},
        answers={200: Data[answers.Return]},
        refuses=[
            errors.OrderNotFound,
            errors.ReturnNotFound,
            errors.NotPutBack,
            StockTooLow,
            *_WHOLE,
        ],
    ),
)

schema.describe(
    "Inventories",
    views.HoldersView,
    get=Operation(
        "List who holds the stock of a product",
        f"Orders, those that have held the longest first, and what people set aside, newest first: "
        f"{views.HOLDERS_MAX} of each are named, and the rest is summed up.",
        answers={200: Data[answers.StockHolders]},
        refuses=[StockNotFound],
    ),
)
