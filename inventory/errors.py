from api.errors import Kind, NotFound, Refusal


class ProductNotFound(NotFound):
    code = "product_not_found"
    detail = "The requested product could not be found"

    @property
    def title(self) -> str:
        return "Product not found"


class StockNotFound(NotFound):
    """The product is unknown, or its stock is not managed."""

    code = "stock_not_found"
    detail = "No stock found"


class StockTransactionNotFound(NotFound):
    code = "stock_transaction_not_found"
    detail = "The requested stock transaction could not be found"


class CurrencyNotFound(NotFound):
    code = "currency_not_found"
    detail = "The requested currency could not be found"


class StockTooLow(Refusal):
    """Fewer units than asked for; the message says so to merchants, the API says nothing."""

    kind = Kind.STOCK_TOO_LOW
    code = "stock_too_low"
    constraint = "stock_available_not_negative"
    detail = "Your request could not be completed due to insufficient stock levels"


class TooManyUnits(Refusal):
    kind = Kind.INVALID
    code = "too_many_units"
    detail = "A product holds at most 2147483647 units."


class StockExists(Refusal):
    kind = Kind.STOCK_EXISTS
    code = "stock_exists"
    detail = "Your request was invalid"


class UnitsAllocated(Refusal):
    kind = Kind.WRONG_STATE
    code = "units_allocated"
    detail = "Units of this product are allocated. Ship, cancel or deallocate them first."


class SkuTaken(Refusal):
    kind = Kind.CONFLICT
    code = "sku_taken"
    constraint = "product_sku_once"
    detail = "Another product has this sku."


class SlugTaken(Refusal):
    kind = Kind.CONFLICT
    code = "slug_taken"
    constraint = "product_slug_once"
    detail = "Another product has this slug."


class CurrencyUnknown(Refusal):
    kind = Kind.INVALID
    code = "currency_unknown"
    detail = "The store has no such currency enabled."
