"""The figures themselves: what sums of days come to over a period."""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from api import clock
from backoffice import dates
from backoffice.figures.days import (
    MONEY,
    MOVED,
    ORDERED,
    PRODUCTS_SOLD,
    SHIPPED,
    UNDONE,
    Period,
    Sql,
    fetched,
    later_of,
    rows_of,
)
from inventory.models import DEFAULT_LOCATION_ID, Action, Product

# Over how many days, today among them, it is looked what orders took.
COVER_DAYS = 30


class Sum(NamedTuple):
    number: int = 0
    amount: int = 0
    # Where the amount is money that came for them.
    units: int = 0

    def __add__(self, other: "Sum") -> "Sum":  # type: ignore[override]
        return Sum(self.number + other.number, self.amount + other.amount, self.units + other.units)


# By day, currency and kind.
Money = Mapping[tuple[date, str, str], Sum]


def money(period: Period) -> Money:
    """Read what of each kind there was on each day. Raises: NotAddedUp."""
    kept, later = rows_of(MONEY, period), later_of(period)
    found = {
        (day, currency, kind): Sum(number, amount)
        for day, kind, currency, number, amount in fetched(
            Sql(f"{kept.text} UNION ALL {later.text}", [*kept.values, *later.values])
        )
    }
    for (day, currency, kind), undone in list(found.items()):
        if kind == UNDONE:
            del found[day, currency, kind]
            made = found[day, currency, SHIPPED]
            found[day, currency, SHIPPED] = Sum(
                made.number - undone.number, made.amount - undone.amount
            )
    return found


def totals(of_days: Money) -> dict[tuple[str, str], Sum]:
    """Add up all days, by currency and kind."""
    sums: dict[tuple[str, str], Sum] = defaultdict(Sum)
    for (_, currency, kind), each in of_days.items():
        sums[currency, kind] += each
    return sums


class Sold(NamedTuple):
    # None for all that is no product.
    product_id: uuid.UUID | None
    name: str
    sku: str
    currency: str
    orders: int
    units: int
    amount: int


def best_sellers(period: Period, *, by: str, limit: int) -> list[Sold]:
    """Read what sold most, by units or by amount. Raises: NotAddedUp."""
    rows = rows_of(PRODUCTS_SOLD, period)
    order = {"units": "units DESC, amount DESC", "amount": "amount DESC, units DESC"}[by]
    text = f"""
        WITH sold AS (
            SELECT product_id, currency, sum(orders)::bigint AS orders,
                sum(units)::bigint AS units, sum(amount)::bigint AS amount
            FROM ({rows.text}) AS of_day
            GROUP BY product_id, currency ORDER BY {order}, product_id LIMIT %s
        )
        SELECT sold.product_id, coalesce(product.name, ''), coalesce(product.sku, ''),
            sold.currency, sold.orders, sold.units, sold.amount
        FROM sold LEFT JOIN inventory_product AS product ON product.id = sold.product_id
        ORDER BY {order}, sold.product_id
    """  # noqa: S608 - our own names only, here and below
    return [Sold(*row) for row in fetched(Sql(text, [*rows.values, limit]))]


class Cover(NamedTuple):
    """How long what is available lasts, if orders go on taking as much."""

    product_id: uuid.UUID
    name: str
    sku: str
    available: int
    ordered: int
    # Over how many days: a product that was made since then is looked at from then on.
    over: int
    days: float


def cover_period() -> Period:
    today = dates.today()
    return Period(today - timedelta(days=COVER_DAYS - 1), today)


def cover(*, limit: int) -> list[Cover]:
    """Read how long live products last, of which orders took any, the shortest first.

    Raises: NotAddedUp.
    """
    rows = rows_of(ORDERED, cover_period())
    text = f"""
        WITH ordered AS (
            SELECT product_id, sum(units)::bigint AS units FROM ({rows.text}) AS of_day
            GROUP BY product_id HAVING sum(units) > 0
        ), lasting AS (
            SELECT product.id, product.name, product.sku, stock.available, ordered.units,
                least(%s, greatest(1, ceil(extract(epoch FROM %s - product.created_at) / 86400)))
                    ::integer AS over
            FROM ordered
            JOIN inventory_product AS product ON product.id = ordered.product_id
            JOIN inventory_stock AS stock
                ON stock.product_id = ordered.product_id AND stock.location_id = %s
            WHERE stock.managed AND product.status = %s AND product.archived_at IS NULL
        )
        SELECT id, name, sku, available, units, over,
            (available::float * over / units)::float AS days
        FROM lasting ORDER BY days, units DESC, id LIMIT %s
    """  # noqa: S608
    values = [COVER_DAYS, clock.now(), DEFAULT_LOCATION_ID, Product.Status.LIVE.value, limit]
    return [Cover(*row) for row in fetched(Sql(text, [*rows.values, *values]))]


class Moved(NamedTuple):
    reason: str
    entries: int
    # Of each action.
    units: Mapping[str, int]


def movements(period: Period) -> list[Moved]:
    """Read what was moved for each reason, the most frequent first. Raises: NotAddedUp."""
    rows = rows_of(MOVED, period)
    sums = ", ".join(
        f"coalesce(sum(units) FILTER (WHERE action = '{action.value}'), 0)::bigint"
        for action in Action
    )
    text = f"""
        SELECT reason, sum(entries)::bigint AS entries, {sums} FROM ({rows.text}) AS of_day
        GROUP BY reason ORDER BY entries DESC, reason
    """  # noqa: S608
    return [
        Moved(reason, entries, dict(zip(Action.values, units, strict=True)))
        for reason, entries, *units in fetched(Sql(text, rows.values))
    ]


def entries_by_day(period: Period, reason: str, actions: Sequence[str]) -> dict[date, Sum]:
    """Read how many entries of a reason there are on each day, and how many units they moved.

    Raises: NotAddedUp.
    """
    rows = rows_of(MOVED, period)
    text = f"""
        SELECT day, sum(entries)::bigint, sum(units)::bigint FROM ({rows.text}) AS of_day
        WHERE reason = %s AND action = ANY(%s) GROUP BY day
    """  # noqa: S608
    return {
        day: Sum(number, units)
        for day, number, units in fetched(Sql(text, [*rows.values, reason, list(actions)]))
    }


def sales_by_day(period: Period, product_id: uuid.UUID | None, currency: str) -> dict[date, Sum]:
    """Read how many orders had a product on each day, for how much and how many units of it.

    Raises: NotAddedUp.
    """
    rows = rows_of(PRODUCTS_SOLD, period)
    text = f"""
        SELECT day, orders, amount, units FROM ({rows.text}) AS of_day
        WHERE product_id IS NOT DISTINCT FROM %s AND currency = %s
    """  # noqa: S608
    return {
        day: Sum(*of_day)
        for day, *of_day in fetched(Sql(text, [*rows.values, product_id, currency]))
    }
