"""The admin's first page: what is to be done, and whether the books agree.

Each part is a query or two, found by an index or, of stock, in one look at its small rows; nothing
grows with the log. A part is read only for those who may see what it tells of.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import Count, Exists, F, OuterRef, Q, Subquery, Sum, Window
from django.http import HttpRequest

from backoffice import attention, audit, dates
from backoffice.base import COUNTED, counted
from backoffice.events import health
from backoffice.order_states import payment_words
from inventory.models import Delivery, Product, Stock
from inventory.services import currencies, deliveries
from inventory.services.low_stock import is_low
from orders.models import Order, OrderItem

ROWS = 6


def shown(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Fill in the page, for Unfold."""
    context["title"] = "Dashboard"
    may = request.user.has_perm
    if may("orders.view_auditresult"):
        found = audit.each()
        context["audit"] = audit.last(found)
        context["whole"] = next((each for each in found if each.result.is_whole), None)
    if may("orders.view_order"):
        to_ship = Order.objects.to_ship()
        context["to_ship"] = {
            "orders": list(to_ship[:ROWS]),
            "count": counted(to_ship[:COUNTED].count()),
        }
        context["holding"] = held_longest()
    if may("orders.view_order") and may("payments.view_payment"):
        context["attention"] = needing_attention()
        context["money_held"] = money_held()
    if may("inventory.view_product") and may("inventory.view_stock"):
        context["low_stock"] = low_stock()
    if may("events.view_integration"):
        context["troubled"] = [(each, health.of(each)) for each in health.troubled()[:ROWS]]
    if may("inventory.view_delivery"):
        context["due"] = due()
    return context


class Reason(NamedTuple):
    words: str
    # What its list is called.
    slug: str
    # How many: one order may have several reasons.
    orders: str


@dataclass(frozen=True)
class Attention:
    count: str
    reasons: list[Reason]


def needing_attention() -> Attention:
    pairs = set(attention.reasons(limit=COUNTED))
    reasons = [
        Reason(reason, attention.SLUGS[reason], counted(orders))
        for reason, orders in Counter(reason for _, reason in pairs).items()
    ]
    return Attention(counted(len({order_id for order_id, _ in pairs})), reasons)


@dataclass(frozen=True)
class MoneyHeld:
    """In one currency: sums of several would be of none."""

    currency: str
    amount: str
    orders: int


def money_held() -> list[MoneyHeld]:
    """What cancelled orders still keep of their buyers' money."""
    kept = Sum(F("captured") - F("refunded") + F("authorized"))
    sums = Order.objects.cancelled_with_money().values("currency_id")
    codes, found = currencies.by_code(), sums.annotate(kept=kept, orders=Count("pk"))
    rows: Any = found.order_by("currency_id").values_list("currency_id", "kept", "orders")
    return [MoneyHeld(code, codes[code].formatted(amount), orders) for code, amount, orders in rows]


@dataclass(frozen=True)
class Holding:
    # Each with how many units it holds, and how it is paid.
    orders: Sequence[Any]
    count: str


def held_longest() -> Holding:
    """The orders that have held their units longest."""
    items = OrderItem.objects.filter(order=OuterRef("pk"), allocated__gt=0)
    units = items.order_by().values("order").annotate(units=Sum("allocated")).values("units")
    holding = Order.objects.holding_units().filter(Exists(items))
    longest: list[Any] = list(holding.annotate(units=Subquery(units))[:ROWS])
    for order in longest:
        order.paid = payment_words(order)
    return Holding(longest, counted(holding[:COUNTED].count()))


@dataclass(frozen=True)
class LowStock:
    stocks: Sequence[Stock]
    # Of all, not only of those that are shown.
    low: int
    out: int


def low_stock() -> LowStock:
    """Stock of live products that is low, the emptiest first."""
    live = Stock.objects.filter(product__status=Product.Status.LIVE, product__archived_at=None)
    stocks = list(
        live.filter(is_low())
        .select_related("product")
        .annotate(low=Window(Count("*")), out=Window(Count("pk", filter=Q(available=0))))
        .order_by("available", "product__name", "pk")[:ROWS]
    )
    first: Any = stocks[0] if stocks else None
    return LowStock(stocks, first.low if first else 0, first.out if first else 0)


@dataclass(frozen=True)
class Due:
    deliveries: Sequence[Delivery]
    # Of all, not only of those that are shown.
    count: str


def due() -> Due:
    """Open deliveries that are expected by today, those first that are late."""
    found = deliveries.due(dates.today())
    return Due(list(found[:ROWS]), counted(found[:COUNTED].count()))
