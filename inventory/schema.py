"""How the API's description presents products, currencies and stock."""

from drf_spectacular.utils import extend_schema_field

from api import schema
from api.answers import Data, PageOf
from api.errors import BadRequest, Invalid, NotSupported
from api.schema import CURRENCY_HEADER, TEXT, Operation, a_list, an_object, data
from inventory import answers, errors, file_views, serializers, views
from inventory.filters import (
    CurrencyFilters,
    FileFilters,
    ProductFilters,
    StockFilters,
    StockTransactionFilters,
)

extend_schema_field({"type": "number", "exclusiveMinimum": 0})(serializers.ExchangeRate)

_PRODUCT_REFUSALS = [
    errors.SkuTaken,
    errors.SlugTaken,
    errors.CurrencyUnknown,
    errors.TooManyUnits,
    NotSupported,
    Invalid,
]
_INCLUDES = ("main_image", "files")
schema.describe(
    "Products",
    views.ProductsView,
    get=Operation(
        "List products",
        "Shoppers see live ones only. Newest first.",
        answers={200: answers.ManyProducts},
        includes=_INCLUDES,
        refuses=[errors.CurrencyUnknown],
        lists=True,
        filters=ProductFilters,
        headers=[CURRENCY_HEADER],
    ),
    post=Operation(
        "Create a product",
        takes=serializers.ProductBody,
        answers={201: Data[answers.Product]},
        refuses=_PRODUCT_REFUSALS,
        headers=[CURRENCY_HEADER],
    ),
)
schema.describe(
    "Products",
    views.ProductView,
    get=Operation(
        "Get a product",
        answers={200: answers.OneProduct},
        includes=_INCLUDES,
        refuses=[errors.ProductNotFound, errors.CurrencyUnknown],
        headers=[CURRENCY_HEADER],
    ),
    put=Operation(
        "Change a product",
        "What is left out stays as it is.",
        takes=serializers.ProductChanges,
        answers={200: Data[answers.Product]},
        refuses=[
            *_PRODUCT_REFUSALS,
            errors.ProductNotFound,
            errors.UnitsAllocated,
        ],
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
    get=Operation(
        "List currencies",
        answers={200: PageOf[answers.Currency]},
        lists=True,
        filters=CurrencyFilters,
    ),
    post=Operation(
        "Create a currency",
        takes=serializers.CurrencyBody,
        answers={201: Data[answers.Currency]},
        refuses=[*_CURRENCY_REFUSALS, errors.TooManyCurrencies],
    ),
)
schema.describe(
    "Currencies",
    views.CurrencyView,
    get=Operation(
        "Get a currency", answers={200: Data[answers.Currency]}, refuses=[errors.CurrencyNotFound]
    ),
    put=Operation(
        "Change a currency",
        takes=serializers.CurrencyChanges,
        answers={200: Data[answers.Currency]},
        refuses=[*_CURRENCY_REFUSALS, errors.CurrencyNotFound, errors.CurrencyInUse],
    ),
    delete=Operation(
        "Delete a currency",
        answers={204: None},
        refuses=[errors.CurrencyNotFound, errors.CurrencyInUse, errors.CurrencyIsDefault],
    ),
)

schema.describe(
    "Files",
    file_views.FilesView,
    get=Operation(
        "List files",
        "The pictures that there are, newest first.",
        answers={200: PageOf[answers.File]},
        lists=True,
        filters=FileFilters,
    ),
    post=Operation(
        "Upload a file",
        "A picture: JPEG, PNG, WebP, GIF or AVIF, of at most 10 MB and 40 megapixels. What is kept "
        "is drawn anew, as WebP. The same content is the same file.",
        takes=an_object({"file": {"type": "string", "format": "binary"}}),
        sends_file=True,
        answers={201: Data[answers.File]},
        refuses=[
            errors.PictureTooLarge,
            errors.PictureUnreadable,
            errors.PicturesBusy,
            errors.PicturesUnavailable,
            NotSupported,
            Invalid,
        ],
    ),
)
schema.describe(
    "Files",
    file_views.FileView,
    get=Operation(
        "Get a file", answers={200: Data[answers.File]}, refuses=[errors.PictureNotFound]
    ),
    delete=Operation(
        "Delete a file",
        "One that a product shows stays.",
        answers={204: None},
        refuses=[errors.PictureNotFound, errors.PictureInUse],
    ),
)

schema.describe(
    "Inventories",
    views.InventoriesView,
    get=Operation(
        "List stock",
        answers={200: PageOf[answers.Stock]},
        lists=True,
        filters=StockFilters,
    ),
)
schema.describe(
    "Inventories",
    views.InventoriesMultipleView,
    post=Operation(
        "Get the stock of several products",
        "Unknown ids are left out.",
        takes=data(a_list(serializers.StockId, maxItems=views.MULTIPLE_MAX)),
        answers={200: Data[list[answers.Stock]]},
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
        answers={200: Data[answers.StockAtAMoment]},
        refuses=[errors.StockNotFound],
        query=[("at", "A past moment, as in RFC 3339.", TEXT)],
    ),
    post=Operation(
        "Begin to manage stock",
        takes=serializers.StockBody,
        answers={201: Data[answers.Stock]},
        refuses=[
            errors.ProductNotFound,
            errors.StockNotFound,
            errors.StockExists,
            NotSupported,
            Invalid,
        ],
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
        answers={200: PageOf[answers.StockTransaction]},
        refuses=[errors.StockNotFound, BadRequest],
        lists=True,
        filters=StockTransactionFilters,
    ),
    post=Operation(
        "Move stock",
        "Nothing falls below zero: what does not fit is refused whole.",
        takes=serializers.StockTransactionBody,
        answers={200: Data[answers.StockTransaction]},
        refuses=[
            errors.StockNotFound,
            errors.StockTooLow,
            errors.TooManyUnits,
            NotSupported,
            Invalid,
        ],
    ),
)
schema.describe(
    "Inventories",
    views.StockTransactionView,
    get=Operation(
        "Get a stock transaction",
        answers={200: Data[answers.StockTransaction]},
        refuses=[errors.StockNotFound, errors.StockTransactionNotFound],
    ),
)
