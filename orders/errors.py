from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from api.answers import Error
from api.errors import (
    BAD_REQUEST,
    CONFLICT,
    FORBIDDEN,
    INVALID,
    NOT_POSSIBLE,
    TOO_MANY_REQUESTS,
    WRONG_STATE,
    Kind,
    NotFound,
    Refusal,
)

INSUFFICIENT_STOCK = Kind(400, "Insufficient stock")
NOT_ADDABLE = Kind(400, "Could not add product")


class CartItemNotFound(NotFound):
    code = "cart_item_not_found"
    detail = "The Item doesn't exist in the cart"


class ItemNotInCart(NotFound):
    """An item not in the cart, where the call names several."""

    code = "item_not_in_cart"
    detail = "Item was not found in the cart"


class PromotionNotFound(NotFound):
    code = "promotion_not_found"
    detail = "No promotion could be found with the given code."


class ReorderUnsupported(Refusal):
    kind = WRONG_STATE
    code = "reorder_unsupported"
    detail = "The items of an order cannot be put into a cart at once. Add them one by one."


class CartExists(Refusal):
    kind = CONFLICT
    code = "cart_exists"
    detail = "There is a cart with this id already."


class CartGone(NotFound):
    """A cart that people fill together, and that one of them has checked out or discarded."""

    code = "cart_gone"
    detail = "Somebody has checked this out or discarded it meanwhile."


class CartIntoItself(Refusal):
    kind = BAD_REQUEST
    code = "cart_into_itself"
    detail = "A cart cannot be merged into itself."


class CartCurrencyDiffers(Refusal):
    kind = NOT_POSSIBLE
    code = "cart_currency_differs"
    detail = "A cart can only be merged into a cart of the same currency."


class CurrencyGone(Refusal):
    """The currency was deleted while a cart was begun in it."""

    kind = CONFLICT
    code = "currency_gone"
    constraint = "orders_cart_currency_7a34471a_fk_inventory_currency_code"
    detail = "The store no longer has the currency of this cart."


class CustomItemsNotAllowed(Refusal):
    kind = FORBIDDEN
    code = "custom_items_not_allowed"
    detail = "Only an administrator may add custom items, which name their own price."


class CustomItemIsAProduct(Refusal):
    """A custom item that people would take for a product: by its sku or barcode."""

    kind = INVALID
    code = "custom_item_is_a_product"
    detail = "A product has this as its sku or barcode. Add the product, or name no sku."


class CustomItemCurrencyDiffers(Refusal):
    kind = INVALID
    code = "custom_item_currency_differs"
    detail = "A custom item is priced in the currency of its cart."


class NegativeAmount(Refusal):
    kind = BAD_REQUEST
    code = "negative_amount"
    detail = "Must be greater than or equal to 0"

    @property
    def title(self) -> str:
        return "number_gte"


@dataclass(frozen=True)
class RefusedEntry:
    """One of several entries of a call, and why it was refused."""

    position: int
    refusal: Refusal
    # How the client itself named the entry.
    identity: Mapping[str, Any] = field(default_factory=dict)

    def entries(self) -> list[Error]:
        return [
            {
                **entry,
                "source": self._among_others(entry.get("source", "data")),
                "meta": {**self.identity, **entry.get("meta", {})},
            }
            for entry in self.refusal.entries()
        ]

    def _among_others(self, source: str) -> str:
        """Say which entry a field belongs to, where the refusal speaks of its entry alone."""
        here = f"data.{self.position}"
        return source if source.startswith(here) else source.replace("data", here, 1)


class SeveralRefused(Refusal):
    """Some entries of a call cannot be done, so none was: each is named with its reason."""

    kind = BAD_REQUEST
    code = "several_refused"

    def __init__(self, refused: Sequence[RefusedEntry]) -> None:
        super().__init__("; ".join(str(entry.refusal) for entry in refused))
        self.refused = refused

    @property
    def lasts(self) -> bool:
        return all(entry.refusal.lasts for entry in self.refused)

    def entries(self) -> list[Error]:
        """Return the errors, all with one status, since a response has only one."""
        entries = [error for entry in self.refused for error in entry.entries()]
        statuses = {entry["status"] for entry in entries}
        status = statuses.pop() if len(statuses) == 1 else self.kind.status
        return [{**entry, "status": status} for entry in entries]


class OrderNotFound(NotFound):
    code = "order_not_found"
    detail = "Order not found"


class InsufficientStock(Refusal):
    """Too little stock, as a shopper learns it: neither which product, nor how many are left."""

    kind = INSUFFICIENT_STOCK
    code = "insufficient_stock"
    detail = "There is not enough stock for the requested quantity"


class CartEmpty(Refusal):
    kind = NOT_POSSIBLE
    code = "cart_empty"
    detail = "An empty cart cannot be checked out."


class TooManyItems(Refusal):
    kind = NOT_POSSIBLE
    code = "too_many_items"
    detail = "A cart holds at most 100 unique items."


class TooMuchWritten(Refusal):
    kind = INVALID
    code = "too_much_written"
    detail = "The custom_inputs and descriptions of a cart have at most 65536 bytes together."


class LocationUnknown(Refusal):
    kind = INVALID
    code = "location_unknown"
    detail = "The store has no such location."


class TooManyInALine(Refusal):
    kind = INVALID
    code = "quantity_too_large"
    detail = "A cart line holds at most 2147483647 units."


class TotalTooLarge(Refusal):
    kind = INVALID
    code = "total_too_large"
    detail = "The total of a cart or order is at most 9007199254740991."


class NotForSale(Refusal):
    """A cart line whose product is no longer offered, or has no price in the cart's currency.

    Nothing has, once that currency is disabled.
    """

    kind = NOT_POSSIBLE
    code = "not_for_sale"


class NoPrice(Refusal):
    kind = NOT_ADDABLE
    code = "no_price"


class CurrencyDiffers(Refusal):
    kind = NOT_POSSIBLE
    code = "currency_differs"
    detail = "A cart is checked out in the currency of its first item."


class TooManyUnpaidOrders(Refusal):
    kind = TOO_MANY_REQUESTS
    code = "too_many_unpaid_orders"
    detail = "Too many orders of this cart, or from this address, wait for their money already."
    # None of them need ever be paid; but somebody may pay or cancel one, and old ones expire.
    retry_after_seconds = 3600


class TotalChanged(Refusal):
    kind = CONFLICT
    code = "total_changed"
    detail = "The total is no longer the expected one. Please show the cart again."


class OrderNotShippable(Refusal):
    kind = WRONG_STATE
    code = "order_not_shippable"


class OrderItemNotFound(NotFound):
    code = "order_item_not_found"
    detail = "The order has no such item."


class NoUnits(Refusal):
    """A call that moves units of an order names none."""

    kind = INVALID
    code = "no_units"
    detail = "Say of which items how many units: at least one."


class UnitsNotLeft(Refusal):
    """More units of a line than are neither shipped nor cancelled."""

    kind = WRONG_STATE
    code = "units_not_left"


class ShipmentNotFound(NotFound):
    code = "shipment_not_found"
    detail = "The order has no such shipment."


class ShipNotUndoable(Refusal):
    kind = WRONG_STATE
    code = "ship_not_undoable"


class ReturnNotFound(NotFound):
    code = "return_not_found"
    detail = "The order has no such return."


class NotPutBack(Refusal):
    """More units than are away, units without stock to put them into, or inspected already."""

    kind = WRONG_STATE
    code = "not_put_back"


class OrderNotCancellable(Refusal):
    kind = WRONG_STATE
    code = "order_not_cancellable"


class OrderNotChangeable(Refusal):
    kind = WRONG_STATE
    code = "order_not_changeable"
    detail = "Order cannot be updated in its current state"


class PaymentUnderWay(Refusal):
    kind = CONFLICT
    code = "payment_under_way"
    detail = "A payment of this order is being settled. Please try again in a moment."
    retry_after_seconds = 2
