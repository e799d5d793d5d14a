from api.errors import Kind, NotFound, Refusal


class CartNotFound(NotFound):
    code = "cart_not_found"
    detail = "The requested cart could not be found"


class CartItemNotFound(NotFound):
    code = "cart_item_not_found"
    detail = "The Item doesn't exist in the cart"


class OrderNotFound(NotFound):
    code = "order_not_found"
    detail = "Order not found"


class InsufficientStock(Refusal):
    """What a shopper learns: neither which product, nor how many are left."""

    kind = Kind.INSUFFICIENT_STOCK
    code = "insufficient_stock"
    detail = "There is not enough stock for the requested quantity"


class CartEmpty(Refusal):
    kind = Kind.BAD_REQUEST
    code = "cart_empty"
    detail = "An empty cart cannot be checked out."


class TooManyItems(Refusal):
    kind = Kind.BAD_REQUEST
    code = "too_many_items"
    detail = "A cart holds at most 100 unique items."


class TooManyInALine(Refusal):
    kind = Kind.INVALID
    code = "quantity_too_large"
    detail = "A cart line holds at most 2147483647 units."


class TotalTooLarge(Refusal):
    kind = Kind.INVALID
    code = "total_too_large"
    detail = "The total of a cart or order is at most 9007199254740991."


class NotForSale(Refusal):
    """A cart line whose product is no longer offered, or has no price in the cart's currency."""

    kind = Kind.BAD_REQUEST
    code = "not_for_sale"


class NoPrice(Refusal):
    kind = Kind.NOT_ADDABLE
    code = "no_price"


class CurrencyDiffers(Refusal):
    kind = Kind.BAD_REQUEST
    code = "currency_differs"
    detail = "A cart is checked out in the currency of its first item."


class TotalChanged(Refusal):
    kind = Kind.CONFLICT
    code = "total_changed"
    detail = "The total is no longer the expected one. Please show the cart again."


class OrderNotShippable(Refusal):
    kind = Kind.WRONG_STATE
    code = "order_not_shippable"


class OrderNotCancellable(Refusal):
    kind = Kind.WRONG_STATE
    code = "order_not_cancellable"


class OrderNotChangeable(Refusal):
    kind = Kind.WRONG_STATE
    code = "order_not_changeable"
    detail = "Order cannot be updated in its current state"


class PaymentUnderWay(Refusal):
    kind = Kind.CONFLICT
    code = "payment_under_way"
    detail = "A payment of this order is being settled. Please try again in a moment."
    retry_after_seconds = 2
