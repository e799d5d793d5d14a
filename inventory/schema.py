"""How the API's description tells of products, currencies and stock."""

from drf_spectacular.utils import extend_schema_field

from api import schema
from api.errors import BadRequest, Invalid
from api.schema import (
    AMOUNT,
    CURRENCY_HEADER,
    EMPTY,
    FLAG,
    ID,
    MOMENT,
    TEXT,
    TIMESTAMPS,
    UNITS,
    Operation,
    a_list,
    an_object,
    component,
    data,
    one_of,
    page_of,
)
from inventory import errors, serializers, views
from inventory.filters import ProductFilters, StockTransactionFilters
from inventory.models import Action, Product

extend_schema_field({"type": "number", "exclusiveMinimum": 0})(serializers.ExchangeRate)

PRICE = component("Price", an_object({"amount": AMOUNT, "currency": TEXT, "includes_tax": FLAG}))
# An empty cart has no currency.
FORMATTED_PRICE = component(
    "FormattedPrice", an_object({"amount": AMOUNT, "currency": TEXT, "formatted": TEXT})
)
PRODUCT = component(
    "Product",
    an_object(
        {
            "type": one_of("product"),
            "id": ID,
            "name": TEXT,
            "slug": TEXT,
            "sku": TEXT,
            "barcode": TEXT,
            "description": TEXT,
            "image_url": TEXT,
            "manage_stock": FLAG,
            "price": a_list(PRICE),
            "status": one_of(*Product.Status.values),
            "commodity_type": one_of(*Product.CommodityType.values),
            "meta": an_object(
                {
                    "timestamps": TIMESTAMPS,
                    "stock": an_object(
                        {"availability": one_of("in-stock", "out-stock")}, {"level": UNITS}
                    ),
                },
                {
                    "display_price": an_object(
                        {"with_tax": FORMATTED_PRICE, "without_tax": FORMATTED_PRICE}
                    )
                },
            ),
            "relationships": EMPTY,
        }
    ),
)
STOCK = component(
    "Stock",
    an_object(
        {
            "id": {**ID, "description": "The product's id."},
            "type": one_of("stock"),
            "total": UNITS,
            "available": UNITS,
            "allocated": UNITS,
            "stock_id": ID,
            "meta": TIMESTAMPS,
        }
    ),
)
_STOCK_AT = component(
    "StockAtAMoment",
    an_object(
        {
            "id": {**ID, "description": "The product's id."},
            "type": one_of("stock"),
            "total": UNITS,
            "available": UNITS,
            "allocated": UNITS,
            "stock_id": ID,
            "meta": TIMESTAMPS,
        },
        {"at": {**MOMENT, "description": "The moment asked for; absent for now."}},
    ),
)
STOCK_TRANSACTION = component(
    "StockTransaction",
    an_object(
        {
            "id": ID,
            "type": one_of("stock-transaction"),
            "action": one_of(*Action.values),
            "product_id": ID,
            "quantity": UNITS,
            "reason": TEXT,
            "actor": an_object({"type": TEXT, "id": TEXT, "name": TEXT}),
            "order_id": {"type": ["string", "null"], "format": "uuid"},
            "available": {**UNITS, "description": "After it, as the next two."},
            "allocated": UNITS,
            "total": UNITS,
            "timestamps": TIMESTAMPS,
        }
    ),
)
CURRENCY = component(
    "Currency",
    an_object(
        {
            "id": ID,
            "type": one_of("currency"),
            "code": TEXT,
            "exchange_rate": {"type": "number"},
            "format": TEXT,
            "decimal_point": TEXT,
            "thousand_separator": TEXT,
            "decimal_places": {"type": "integer"},
            "default": FLAG,
            "enabled": FLAG,
            "links": an_object({"self": TEXT}),
            "meta": an_object({"timestamps": TIMESTAMPS}),
        }
    ),
)

_PRODUCT_REFUSALS = [
    errors.SkuTaken,
    errors.SlugTaken,
    errors.CurrencyUnknown,
    errors.TooManyUnits,
    Invalid,
]
schema.describe(
    "Products",
    views.ProductsView,
    get=Operation(
        "List products",
        "Shoppers see live ones only. Newest first.",
        answers={200: page_of(PRODUCT)},
        refuses=[errors.CurrencyUnknown],
        lists=True,
        filters=ProductFilters,
        headers=[CURRENCY_HEADER],
    ),
    post=Operation(
        "Create a product",
        takes=serializers.ProductBody,
        answers={201: data(PRODUCT)},
        refuses=_PRODUCT_REFUSALS,
        headers=[CURRENCY_HEADER],
    ),
)
schema.describe(
    "Products",
    views.ProductView,
    get=Operation(
        "Get a product",
        answers={200: data(PRODUCT)},
        refuses=[errors.ProductNotFound, errors.CurrencyUnknown],
        headers=[CURRENCY_HEADER],
    ),
    put=Operation(
        "Change a product",
        "What is left out stays as it is.",
        takes=serializers.ProductChanges,
        answers={200: data(PRODUCT)},
        refuses=[*_PRODUCT_REFUSALS, errors.ProductNotFound, errors.UnitsAllocated],
        headers=[CURRENCY_HEADER],
    ),
    delete=Operation(
        "Archive a product",
        "It leaves the API; the log and orders keep it. What is left of it is written off.",
        answers={204: None},
        refuses=[errors.ProductNotFound, errors.UnitsAllocated],
    ),
)

_CURRENCY_REFUSALS = [
    errors.CurrencyTaken,
    errors.CurrencyAmbiguous,
    errors.CurrencyIsDefault,
    errors.CurrencyNotEnabled,
    Invalid,
]
schema.describe(
    "Currencies",
    views.CurrenciesView,
    get=Operation("List currencies", answers={200: page_of(CURRENCY)}, lists=True),
    post=Operation(
        "Create a currency",
        takes=serializers.CurrencyBody,
        answers={201: data(CURRENCY)},
        refuses=[*_CURRENCY_REFUSALS, errors.TooManyCurrencies],
    ),
)
schema.describe(
    "Currencies",
    views.CurrencyView,
    get=Operation(
        "Get a currency", answers={200: data(CURRENCY)}, refuses=[errors.CurrencyNotFound]
    ),
    put=Operation(
        "Change a currency",
        takes=serializers.CurrencyChanges,
        answers={200: data(CURRENCY)},
        refuses=[*_CURRENCY_REFUSALS, errors.CurrencyNotFound, errors.CurrencyInUse],
    ),
    delete=Operation(
        "Delete a currency",
        answers={204: None},
        refuses=[errors.CurrencyNotFound, errors.CurrencyInUse, errors.CurrencyIsDefault],
    ),
)

schema.describe(
    "Inventories",
    views.InventoriesView,
    get=Operation("List stock", answers={200: page_of(STOCK)}, lists=True),
)
schema.describe(
    "Inventories",
    views.InventoriesMultipleView,
    post=Operation(
        "Get the stock of several products",
        "Unknown ids are left out.",
        takes=data(a_list(serializers.StockId, maxItems=views.MULTIPLE_MAX)),
        answers={200: data(a_list(STOCK))},
        refuses=[Invalid],
        takes_idempotency_key=False,
    ),
)
schema.describe(
    "Inventories",
    views.InventoryView,
    get=Operation(
        "Get the stock of a product",
        "As it is, or with `at` as it was then, by the log.",
        answers={200: data(_STOCK_AT)},
        refuses=[errors.StockNotFound],
        query=[("at", "A past moment, as in RFC 3339.", TEXT)],
    ),
    post=Operation(
        "Begin to manage stock",
        takes=serializers.StockBody,
        answers={201: data(STOCK)},
        refuses=[errors.ProductNotFound, errors.StockNotFound, errors.StockExists, Invalid],
    ),
    delete=Operation(
        "Stop managing stock",
        "What is left is written off.",
        answers={204: None},
        refuses=[errors.StockNotFound, errors.UnitsAllocated],
    ),
)
schema.describe(
    "Inventories",
    views.StockTransactionsView,
    get=Operation(
        "List stock transactions",
        "Oldest first, unless `sort=-created_at`.",
        answers={200: page_of(STOCK_TRANSACTION)},
        refuses=[errors.StockNotFound, BadRequest],
        lists=True,
        filters=StockTransactionFilters,
    ),
    post=Operation(
        "Move stock",
        "Nothing falls below zero: what does not fit is refused whole.",
        takes=serializers.StockTransactionBody,
        answers={200: data(STOCK_TRANSACTION)},
        refuses=[errors.StockNotFound, errors.StockTooLow, errors.TooManyUnits, Invalid],
    ),
)
schema.describe(
    "Inventories",
    views.StockTransactionView,
    get=Operation(
        "Get a stock transaction",
        answers={200: data(STOCK_TRANSACTION)},
        refuses=[errors.StockNotFound, errors.StockTransactionNotFound],
    ),
)
