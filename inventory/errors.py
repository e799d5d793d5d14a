from collections.abc import Sequence
from datetime import datetime

from api import store
from api.errors import BUSY, CONFLICT, INVALID, WRONG_STATE, Kind, Moved, NotFound, Refusal

STOCK_EXISTS = Kind(400, "Validation Error")
STOCK_TOO_LOW = Kind(422, "Cannot complete request")

# Of a code that nobody has: it may be anything that somebody typed.
CODE_LENGTH_TOLD = 100
# Of many things of which something is said, so many are named.
NAMED_MAX = 5


def listed(names: Sequence[str]) -> str:
    """Name some of them, and say how many more there are."""
    more = f" and {len(names) - NAMED_MAX:,} more" if len(names) > NAMED_MAX else ""
    return ", ".join(names[:NAMED_MAX]) + more


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
        "The decimal point and the thousand separator must differ and be no digits, and the point "
        "must be seen: an amount must read in one way only."
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


class StockMoved(Moved):
    code = "stock_moved"
    detail = "The stock moved since this form was opened."


def _told(at: datetime) -> str:
    return f"{at.astimezone(store.time_zone()):%Y-%m-%d %H:%M:%S %Z}"


class CountedLater(Refusal):
    """A count of a later moment, or of what is to be taken back, has found what was there."""

    kind = WRONG_STATE
    code = "counted_later"

    def __init__(self, at: datetime) -> None:
        super().__init__(f"It was counted later, at {_told(at)}: that stands.")


class CountedTooEarly(Refusal):
    kind = WRONG_STATE
    code = "counted_too_early"
    detail = "It was counted before there was such a product."


class AwayThen(Refusal):
    """Units that had been shipped at the moment of the count came back since."""

    kind = WRONG_STATE
    code = "away_then"

    def __init__(self, back_at: datetime) -> None:
        super().__init__(
            "Units of an order were sent away before that and were put back since, at "
            f"{_told(back_at)}: nobody can tell whether they were on the shelf then. Count again "
            "now."
        )


class BookedAnew(Refusal):
    """A delivery was booked before the moment of the count, and undone and booked again since."""

    kind = WRONG_STATE
    code = "booked_anew"

    def __init__(self, booked_at: datetime) -> None:
        super().__init__(
            "A delivery was booked before that, and was undone and booked again since, at "
            f"{_told(booked_at)}: nobody can tell whether its units were on the shelf then. Count "
            "again now."
        )


class CountedSinceShipped(Refusal):
    """Units were counted since they were shipped: a person must say whether they were there."""

    kind = WRONG_STATE
    code = "counted_since_shipped"

    def __init__(self, sku: str, at: datetime) -> None:
        super().__init__(
            f"{sku} was counted since it was shipped, at {_told(at)}. Say whether these units were "
            "on the shelf then, or came back since."
        )


class FoundByCount(Refusal):
    """Counts since the shipment found more than there should be: perhaps what has come back."""

    kind = WRONG_STATE
    code = "found_by_count"

    def __init__(self, sku: str, at: datetime, way_out: str) -> None:
        super().__init__(
            f"{sku} was counted since it was shipped, at {_told(at)}, and more was found than the "
            f"log said: these units may be among them. {way_out}"
        )


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


class CategoryNotFound(NotFound):
    code = "category_not_found"
    thing = "Category"
    detail = "The requested category could not be found"


class CategoryTaken(Refusal):
    kind = CONFLICT
    code = "category_taken"
    constraint = "category_name_once"
    detail = "There is a category of this name in the same place."


class CategorySlugTaken(Refusal):
    kind = CONFLICT
    code = "category_slug_taken"
    constraint = "category_slug_once"
    detail = "Another category has this slug."


class CategoryNameWrong(Refusal):
    kind = INVALID
    code = "category_name_wrong"


class CategoryBelowItself(Refusal):
    kind = WRONG_STATE
    code = "category_below_itself"
    detail = "A category cannot be below itself."


class CategoryHasChildren(Refusal):
    kind = WRONG_STATE
    code = "category_has_children"


class CategoryTooFull(Refusal):
    kind = WRONG_STATE
    code = "category_too_full"
    detail = "More than 10,000 products are in it. Take them out first, many at once."


class TooManyLevels(Refusal):
    kind = WRONG_STATE
    code = "too_many_levels"
    detail = "Categories have at most 5 levels."


class TooManyCategories(Refusal):
    kind = WRONG_STATE
    code = "too_many_categories"
    detail = "A store has at most 5,000 categories."


class TooManyCategoriesOfProduct(Refusal):
    kind = WRONG_STATE
    code = "too_many_categories_of_product"
    detail = "A product is in at most 20 categories."


class ParentNotFound(NotFound):
    code = "parent_not_found"
    thing = "Parent"
    detail = "The requested parent could not be found"


class OptionsWrong(Refusal):
    """Options, values or patterns that make no variants: the message says what to correct."""

    kind = INVALID
    code = "options_wrong"


class VariantsNotPossible(Refusal):
    """Some of the variants cannot be made, so none is: the message names them."""

    kind = CONFLICT
    code = "variants_not_possible"


class ParentInUse(Refusal):
    kind = WRONG_STATE
    code = "parent_in_use"
    detail = "It has variants. Take them out of it first; they stay products of their own."


class VariantElsewhere(Refusal):
    kind = WRONG_STATE
    code = "variant_elsewhere"
    detail = "The product is a variant of another parent. Take it out there first."


class VariantTaken(Refusal):
    kind = CONFLICT
    code = "variant_taken"
    constraint = "product_variant_once"
    detail = "The parent has a variant with these options already."


class CurrencyUnknown(Refusal):
    kind = INVALID
    code = "currency_unknown"
    constraint = "inventory_price_currency_861b1313_fk_inventory_currency_code"
    detail = "The store has no such currency enabled."


class CostCurrencyUnknown(CurrencyUnknown):
    """The same, of a cost."""

    code = "cost_currency_unknown"
    constraint = "inventory_product_cost_currency_53aeaff1_fk_inventory"


class SheetUnreadable(Refusal):
    """Not a file of counts or of changes: the message says what to correct."""

    kind = INVALID
    code = "sheet_unreadable"


class ColumnsUnclear(Refusal):
    """What was said of a file's columns does not do: the message says what to correct."""

    kind = INVALID
    code = "columns_unclear"


class SheetForbidden(Refusal):
    """A file of a kind that the person may not apply, or that says what they may not see."""

    kind = WRONG_STATE
    code = "sheet_forbidden"

    def __init__(self, kind: str, *, column: str = "") -> None:
        super().__init__(
            f"The file says the {column} of products, which you may not see: leave that out."
            if column
            else f"This is a file of {kind}, which you may not apply."
        )


class SheetNotReady(Refusal):
    kind = WRONG_STATE
    code = "sheet_not_ready"


class SelectionRefused(Refusal):
    """Nothing was chosen of which a sheet could be made, or too much."""

    kind = WRONG_STATE
    code = "selection_refused"


class LinesMarked(Refusal):
    """Lines of a file look like mistakes, and nobody has said yet that they are right."""

    kind = WRONG_STATE
    code = "lines_marked"

    def __init__(self, lines: int) -> None:
        some = "1 line looks" if lines == 1 else f"{lines:,} lines look"
        super().__init__(
            f"{some} like a mistake. Look at what is marked, and say that it is right."
        )


class CodeUnknown(Refusal):
    """What was scanned is nobody's sku or barcode."""

    kind = WRONG_STATE
    code = "code_unknown"

    def __init__(self, code: str) -> None:
        super().__init__(f"No product has the SKU or barcode {code[:CODE_LENGTH_TOLD]}.")


class CodeAmbiguous(Refusal):
    """What was scanned may be one of several products."""

    kind = WRONG_STATE
    code = "code_ambiguous"

    def __init__(self, code: str, skus: Sequence[str]) -> None:
        super().__init__(
            f"{code[:CODE_LENGTH_TOLD]} is the code of {len(skus)} products: {listed(skus)}. Type "
            "the SKU of one of them."
        )


class ManyUnits(Refusal):
    """So many units look like a barcode that was scanned as a quantity: a person must say so."""

    kind = WRONG_STATE
    code = "many_units"

    def __init__(self, sku: str, units: int) -> None:
        super().__init__(
            f"{units:,} units of {sku} at once? If that is a quantity, and no code that was "
            "scanned, confirm it."
        )


class DeliveryNumberTaken(Refusal):
    kind = CONFLICT
    code = "delivery_number_taken"
    constraint = "delivery_number_once"
    detail = "Another delivery has this number."


class DeliveryNotReady(Refusal):
    kind = WRONG_STATE
    code = "delivery_not_ready"


class DeliveryTooLong(Refusal):
    kind = WRONG_STATE
    code = "delivery_too_long"
    detail = "A delivery has at most 1,000 lines. Make another one for the rest."


class LinesNotBookable(Refusal):
    """Lines of a delivery whose units the stock does not take: the delivery stays as it is."""

    kind = WRONG_STATE
    code = "lines_not_bookable"


class DeliveryNotUndoable(Refusal):
    """Lines of a delivery whose units cannot be taken out again: all of it stays booked."""

    kind = WRONG_STATE
    code = "delivery_not_undoable"


class PictureNotFound(NotFound):
    code = "file_not_found"
    thing = "File"
    detail = "The requested file could not be found"


class PictureUnreadable(Refusal):
    """Not a picture that is taken: the message says why."""

    kind = INVALID
    code = "picture_unreadable"


class PictureTooLarge(Refusal):
    kind = INVALID
    code = "picture_too_large"


class PicturesBusy(Refusal):
    kind = BUSY
    code = "pictures_busy"
    detail = "Other pictures are being read. Please try again in a moment."
    retry_after_seconds = 2


class PicturesUnavailable(Refusal):
    """The folder or the bucket takes nothing."""

    kind = BUSY
    code = "pictures_unavailable"
    detail = "Pictures cannot be kept at the moment. Please try again later."
    retry_after_seconds = 30


class PictureInUse(Refusal):
    kind = WRONG_STATE
    code = "file_in_use"
    detail = "Products show this picture. Take it away from them first."


class TooManyPictures(Refusal):
    kind = WRONG_STATE
    code = "too_many_pictures"
    detail = "A product has at most 20 pictures."


class PicturesMoved(Moved):
    code = "pictures_moved"
    detail = "The product's pictures changed since this page was opened. Look at them again."


class StocktakeNotReady(Refusal):
    kind = WRONG_STATE
    code = "stocktake_not_ready"


class NothingToCount(Refusal):
    """There is no stock of it, or of any of them, that is managed."""

    kind = WRONG_STATE
    code = "nothing_to_count"


class StocktakeTooLong(Refusal):
    kind = WRONG_STATE
    code = "stocktake_too_long"
    detail = "A stocktake has at most 200,000 products: choose a category."
