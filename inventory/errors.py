from datetime import datetime

from api import store
from api.errors import CONFLICT, INVALID, WRONG_STATE, Kind, NotFound, Refusal

STOCK_EXISTS = Kind(400, "Validation Error")
STOCK_TOO_LOW = Kind(422, "Cannot complete request")


class ProductNotFound(NotFound):
    code = "product_not_found"
    thing = "Product"
    detail = "The requested product could not be found"


class StockNotFound(NotFound):
    """The product is unknown, or its stock is not managed."""

    code = "stock_not_found"
    detail = "No stock found"


class StockTransactionNotFound(NotFound):
    code = "stock_transaction_not_found"
    thing = "Stock transaction"
    detail = "The requested stock transaction could not be found"


class CurrencyNotFound(NotFound):
    code = "currency_not_found"
    thing = "Currency"
    detail = "The requested currency could not be found"


class CurrencyTaken(Refusal):
    kind = CONFLICT
    code = "currency_taken"
    constraint = "inventory_currency_code_key"
    detail = "The specified currency code already exists for this store"

    @property
    def title(self) -> str:
        return "Currency already exists"


class CurrencyInUse(Refusal):
    kind = CONFLICT
    code = "currency_in_use"
    detail = (
        "Prices, carts or orders are in this currency. It can be disabled; "
        "it cannot be deleted, nor get another code or other decimal places."
    )


class CurrencyIsDefault(Refusal):
    kind = WRONG_STATE
    code = "currency_is_default"
    detail = "A store has one default currency, enabled. Make another one the default first."


class CurrencyNotEnabled(Refusal):
    kind = WRONG_STATE
    code = "currency_not_enabled"
    detail = "Only an enabled currency can be the default."


class CurrencyAmbiguous(Refusal):
    kind = INVALID
    code = "currency_ambiguous"
    detail = (
        "The decimal point and the thousand separator must differ and be no digits: "
        "an amount must read in one way only."
    )


class TooManyCurrencies(Refusal):
    kind = WRONG_STATE
    code = "too_many_currencies"
    detail = "A store has at most 10 currencies."


class StockTooLow(Refusal):
    """Fewer units than asked for; the message says so to merchants, the API says nothing."""

    kind = STOCK_TOO_LOW
    code = "stock_too_low"
    constraint = "stock_available_not_negative"
    detail = "Your request could not be completed due to insufficient stock levels"


class CountTooLow(StockTooLow):
    """Fewer units were counted than orders and people have set aside."""

    code = "count_too_low"
    constraint = ""


class StockMoved(Refusal):
    kind = CONFLICT
    code = "stock_moved"
    detail = "The stock moved since this form was opened."


class CountedLater(Refusal):
    """The total was corrected by a count of a later moment, which found all that this one could."""

    kind = WRONG_STATE
    code = "counted_later"

    def __init__(self, at: datetime) -> None:
        when = f"{at.astimezone(store.time_zone()):%Y-%m-%d %H:%M:%S %Z}"
        super().__init__(f"It was counted later, at {when}, and corrected: that stands.")


class NotUndoable(Refusal):
    kind = WRONG_STATE
    code = "not_undoable"
    detail = "Only the log's last entry can be undone, and only if it was made by hand."


class TooManyUnits(Refusal):
    kind = INVALID
    code = "too_many_units"
    detail = "A product holds at most 2147483647 units."


class StockExists(Refusal):
    kind = STOCK_EXISTS
    code = "stock_exists"
    detail = "Your request was invalid"


class UnitsAllocated(Refusal):
    kind = WRONG_STATE
    code = "units_allocated"
    detail = "Units of this product are allocated. Ship, cancel or deallocate them first."


class SkuTaken(Refusal):
    kind = CONFLICT
    code = "sku_taken"
    constraint = "product_sku_once"
    detail = "Another product has this sku."


class SlugTaken(Refusal):
    kind = CONFLICT
    code = "slug_taken"
    constraint = "product_slug_once"
    detail = "Another product has this slug."


class CurrencyUnknown(Refusal):
    kind = INVALID
    code = "currency_unknown"
    constraint = "inventory_price_currency_861b1313_fk_inventory_currency_code"
    detail = "The store has no such currency enabled."


class CountFileUnreadable(Refusal):
    """Not a file of counts or of changes: the message says what to correct."""

    kind = INVALID
    code = "count_file_unreadable"


class CountFileNotReady(Refusal):
    kind = WRONG_STATE
    code = "count_file_not_ready"
