"""How far an order is, in one line for people. It is made of the three states of the API."""

from typing import NamedTuple

from orders.models import Order

PAYMENT_WORDS = {
    Order.Payment.UNPAID: "Unpaid",
    Order.Payment.PARTIALLY_AUTHORIZED: "Partly authorized",
    Order.Payment.AUTHORIZED: "Authorized",
    Order.Payment.PARTIALLY_PAID: "Partly paid",
    Order.Payment.PAID: "Paid",
    Order.Payment.REFUNDED: "Refunded",
}
PARTLY_REFUNDED = "Partly refunded"
COLOURS = {colour: colour for colour in ("", "info", "warning", "danger", "success")}


class State(NamedTuple):
    words: str
    # A key of COLOURS. Green is for what is done.
    colour: str


def payment_words(order: Order) -> str:
    """Tell what became of the money. Of an order that is paid, a part may have gone back."""
    is_whole = order.payment == Order.Payment.REFUNDED
    if order.refunded and not is_whole:
        return PARTLY_REFUNDED
    return PAYMENT_WORDS[Order.Payment(order.payment)]


def state_of(order: Order) -> State:
    """The items of the order are to be at hand, where there are many orders."""
    if order.is_cancelled:
        return _of_cancelled(order)
    money = payment_words(order)
    if order.is_shipped:
        is_all = order.payment == Order.Payment.PAID and not order.refunded
        return State("Shipped" if is_all else f"Shipped, {money.lower()}", "success")
    if order.payment == Order.Payment.PAID:
        return State(f"{money}, {_to_ship(order)}", "info")
    if order.payment == Order.Payment.REFUNDED:
        return State(money, "")
    if order.payment == Order.Payment.AUTHORIZED:
        return State(f"{money}, to capture", "warning")
    if order.pending and order.payment == Order.Payment.UNPAID:
        return State("Payment under way", "warning")
    return State(money, "" if order.payment == Order.Payment.UNPAID else "warning")


def _of_cancelled(order: Order) -> State:
    if order.captured > order.refunded or order.authorized:
        return State("Cancelled, money still held", "danger")
    return State("Cancelled, refunded" if order.refunded else "Cancelled", "")


def _to_ship(order: Order) -> str:
    if not order.is_partly_shipped:
        return "to ship"
    items = order.items.all()
    wanted = sum(item.quantity - item.cancelled for item in items)
    return f"{sum(item.shipped for item in items)} of {wanted} shipped"
