"""The admin's first page: what is to be done, and whether the books agree.

Each part is a query or two, found by an index or, of stock, in one look at its small rows; nothing
grows with the log. A part is read only for those who may see what it tells of.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Count, Exists, F, Max, OuterRef, Q, QuerySet, Subquery, Sum, Window
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone
from django.utils.timesince import timesince

from api import clock, store
from backoffice import attention
from backoffice.base import COUNTED, counted
from inventory.models import Product, Stock
from inventory.services import currencies, deliveries
from orders.models import AuditResult, Order, OrderItem

ROWS = 6
# The worker compares every hour.
AUDIT_OVERDUE = timedelta(hours=2)


def shown(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Fill in the page, for Unfold."""
    context["title"] = "Dashboard"
    may = request.user.has_perm
    if may("orders.view_auditresult"):
        context["audit"] = audit()
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
    if may("inventory.view_delivery"):
        context["due"] = deliveries.due(timezone.localtime(clock.now()).date())[:ROWS]
    return context


@dataclass(frozen=True)
class Audit:
    result: AuditResult
    age: timedelta

    @property
    def is_overdue(self) -> bool:
        return self.age > AUDIT_OVERDUE

    @property
    def ago(self) -> str:
        checked_at = self.result.checked_at
        is_new = self.age < timedelta(minutes=1)
        return "just now" if is_new else f"{timesince(checked_at, checked_at + self.age)} ago"


def audit() -> Audit | None:
    """What the last comparison of log, stock and orders found; None before the first."""
    result = AuditResult.objects.first()
    if result is None:
        return None
    return Audit(result, clock.now() - result.checked_at)


@dataclass(frozen=True)
class Attention:
    count: str
    # Each reason and how many orders have it; one may have several.
    reasons: dict[str, int]


def needing_attention() -> Attention:
    pairs = set(attention.reasons(limit=COUNTED))
    reasons = Counter(reason for _, reason in pairs)
    return Attention(counted(len({order_id for order_id, _ in pairs})), dict(reasons))


@dataclass(frozen=True)
class MoneyHeld:
    """In one currency: sums of several would be of none."""

    amount: str
    orders: int


def money_held() -> list[MoneyHeld]:
    """What cancelled orders still keep of their buyers' money."""
    kept = Sum(F("captured") - F("refunded") + F("authorized"))
    sums = Order.objects.cancelled_with_money().values("currency_id")
    return [
        MoneyHeld(
            currencies.by_code()[str(row["currency_id"])].formatted(row["kept"]), row["orders"]
        )
        for row in sums.annotate(kept=kept, orders=Count("pk")).order_by("currency_id")
    ]


def held_longest() -> list[Order]:
    """The orders that have held their units longest, each with how many: `units`."""
    items = OrderItem.objects.filter(order=OuterRef("pk"), allocated__gt=0)
    units = items.order_by().values("order").annotate(units=Sum("allocated")).values("units")
    holding = Order.objects.holding_units().filter(Exists(items))
    return list(holding.annotate(units=Subquery(units))[:ROWS])


@dataclass(frozen=True)
class LowStock:
    stocks: Sequence[Stock]
    # Of all, not only of those that are shown.
    low: int
    out: int


def low_stock() -> LowStock:
    """Stock of live products at or below its threshold, the emptiest first."""
    threshold = store.current().low_stock_threshold
    highest = Product.objects.aggregate(highest=Max("low_stock_threshold"))["highest"]
    stocks = list(
        _at_or_below(threshold, highest or 0)
        .annotate(low=Window(Count("*")), out=Window(Count("pk", filter=Q(available=0))))
        .order_by("available", "product__name", "pk")[:ROWS]
    )
    first: Any = stocks[0] if stocks else None
    return LowStock(stocks, first.low if first else 0, first.out if first else 0)


def _at_or_below(threshold: int, highest: int) -> QuerySet[Stock]:
    """`highest` of the products' own thresholds spares looking up the product of what is not low.

    Stock rows have no index on what a sale changes, so all of them are looked at.
    """
    own = Coalesce(F("product__low_stock_threshold"), threshold)
    low = Stock.objects.filter(managed=True, available__lte=max(threshold, highest))
    live = low.filter(product__status=Product.Status.LIVE, product__archived_at=None)
    return live.filter(available__lte=own).select_related("product")
