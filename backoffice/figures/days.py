"""Sums of days: kept of days that are over, and added up when they are asked for of any later one.

What is kept is what nothing can change any more: money that was captured, orders that were paid in
full, shipments that were made, entries of the log. A refund may yet come back and a shipment be
undone, so both are added up whenever they are asked for; there are few.

A day is the store's own, from midnight to midnight. It is kept an hour after it has ended, when no
transaction is open any more that began in it. Where the store's time zone changes, all days begin
and end elsewhere, and are added up anew.
"""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any, NamedTuple

from django.db import connection, models
from django.db.models import Case, F, Min, Value, When
from django.utils import timezone

from api import clock, store
from api.transactions import in_transaction
from backoffice import dates
from backoffice.models import AddedUp, MoneyOfDay, MovedOfDay, OrderedOfDay, SoldOfDay
from inventory.models import StockTransaction
from orders.models import Order

# How many days that are not kept are added up for one page.
LIVE_DAYS_MAX = 62
# A transaction is over long before.
SETTLED_AFTER = timedelta(hours=1)
DAYS_A_TRANSACTION = 7
DAY = timedelta(days=1)


class NotAddedUp(Exception):
    """So many days are not kept yet that to add them up would take too long."""


class Facts(NamedTuple):
    """A table of sums, and the statement that adds one day up from its source."""

    kept: type[models.Model]
    columns: tuple[str, ...]
    # From `asked.since` on, and before `asked.until`.
    source: str


TAKEN, SOLD, CANCELLED, REFUNDED = "taken", "sold", "cancelled", "refunded"
SHIPPED, UNDONE = "shipped", "undone"


# Lines are added up for each shipment, and for each order: joined with those of a day, whose number
# PostgreSQL can only guess, it reads all lines that there ever were.
def _shipments(kind: str, condition: str) -> str:
    return f"""
    SELECT '{kind}', placed.currency, count(*), coalesce(sum(sent.amount), 0)::bigint
    FROM orders_shipment AS made
    JOIN orders_order AS placed ON placed.id = made.order_id
    CROSS JOIN LATERAL (
        SELECT sum(line.quantity::bigint * item.unit_price) AS amount
        FROM orders_shipmentline AS line
        JOIN orders_orderitem AS item ON item.id = line.item_id
        WHERE line.shipment_id = made.id
    ) AS sent
    WHERE made.created_at >= asked.since AND made.created_at < asked.until {condition}
    GROUP BY placed.currency
    """  # noqa: S608 - our own names only, here and below


MONEY = Facts(
    MoneyOfDay,
    ("kind", "currency", "number", "amount"),
    f"""
    SELECT '{TAKEN}', currency, count(*), sum(captured_amount)::bigint
    FROM payments_payment
    WHERE captured_at >= asked.since AND captured_at < asked.until AND NOT late
    GROUP BY currency
    UNION ALL
    SELECT '{SOLD}', currency, count(*), sum(total)::bigint
    FROM orders_order
    WHERE fully_paid_at >= asked.since AND fully_paid_at < asked.until
    GROUP BY currency
    UNION ALL
    SELECT '{CANCELLED}', currency, count(*), sum(total)::bigint
    FROM orders_order
    WHERE cancelled_at >= asked.since AND cancelled_at < asked.until
    GROUP BY currency
    UNION ALL {_shipments(SHIPPED, "")}
    """,  # noqa: S608
)
PRODUCTS_SOLD = Facts(
    SoldOfDay,
    ("product_id", "currency", "orders", "units", "amount"),
    """
    SELECT item.product_id, placed.currency, count(*), sum(item.units)::bigint,
        sum(item.amount)::bigint
    FROM orders_order AS placed
    CROSS JOIN LATERAL (
        SELECT product_id, sum(quantity) AS units, sum(quantity::bigint * unit_price) AS amount
        FROM orders_orderitem WHERE order_id = placed.id GROUP BY product_id
    ) AS item
    WHERE placed.fully_paid_at >= asked.since AND placed.fully_paid_at < asked.until
    GROUP BY item.product_id, placed.currency
    """,
)
# What each action of an order's takes from what is available.
TAKES = (
    "CASE WHEN entry.action IN ('allocate', 'decrement') THEN entry.quantity "
    "ELSE -entry.quantity END"
)
ORDERED = Facts(
    OrderedOfDay,
    ("product_id", "units"),
    f"""
    SELECT stock.product_id, sum({TAKES})::bigint
    FROM inventory_stocktransaction AS entry
    JOIN inventory_stock AS stock ON stock.id = entry.stock_id
    WHERE entry.created_at >= asked.since AND entry.created_at < asked.until AND entry.by_order
    GROUP BY stock.product_id HAVING sum({TAKES}) <> 0
    """,  # noqa: S608
)
# What begins so is one reason, whichever count, delivery or return it was.
ONE_REASON = {"count": "^count of ", "delivery": "^delivery ", "return": "^return R-"}
MOVED = Facts(
    MovedOfDay,
    ("action", "by_order", "reason", "entries", "units"),
    f"""
    SELECT action, by_order, why, count(*), sum(quantity)::bigint FROM (
        SELECT action, by_order, quantity, CASE
            {" ".join(f"WHEN reason ~* '{begins}' THEN '{why}'" for why, begins in ONE_REASON.items())}
            ELSE reason END AS why
        FROM inventory_stocktransaction
        WHERE created_at >= asked.since AND created_at < asked.until
    ) AS entry
    GROUP BY action, by_order, why
    """,  # noqa: S608, E501
)
KEPT = (MONEY, PRODUCTS_SOLD, ORDERED, MOVED)
# As MONEY, but never kept: refunds, and shipments of the day that were undone since.
_LATER = f"""
SELECT '{REFUNDED}', payment.currency, count(*), sum(attempt.amount)::bigint
FROM payments_attempt AS attempt
JOIN payments_payment AS payment ON payment.id = attempt.payment_id
WHERE attempt.updated_at >= asked.since AND attempt.updated_at < asked.until
    AND attempt.status = 'succeeded' AND attempt.kind = 'refund' AND NOT payment.late
GROUP BY payment.currency
UNION ALL {_shipments(UNDONE, "AND made.undone_at IS NOT NULL")}
"""  # noqa: S608
_ASKED = "unnest(%s::date[], %s::timestamptz[], %s::timestamptz[]) AS asked (day, since, until)"


def why_of_entry() -> Case:
    """Name the reason of an entry of the log as MOVED does."""
    whens = [
        When(reason__iregex=begins, then=Value(why, output_field=models.TextField()))
        for why, begins in ONE_REASON.items()
    ]
    return Case(*whens, default=F("reason"), output_field=models.TextField())


class Period(NamedTuple):
    """Days of the store, the last one included."""

    first: date
    last: date

    @property
    def days(self) -> list[date]:
        return [self.first + DAY * number for number in range(self.length)]

    @property
    def length(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def bounds(self) -> tuple[datetime, datetime]:
        zone = timezone.get_current_timezone()
        return _midnight(self.first, zone), _midnight(self.last + DAY, zone)


class Sql(NamedTuple):
    """A part of a statement, and the values that it asks for."""

    text: str
    values: Sequence[Any]


def rows_of(facts: Facts, period: Period) -> Sql:
    """Say how to read the sums of each day of a period, in the store's zone. One query.

    Raises: NotAddedUp.
    """
    first, last, live = _parted(period)
    columns = ", ".join(facts.columns)
    text = f"""
        SELECT day, {columns} FROM {facts.kept._meta.db_table} WHERE day BETWEEN %s AND %s
        UNION ALL
        SELECT asked.day, found.* FROM {_ASKED} CROSS JOIN LATERAL ({facts.source}) AS found
    """  # noqa: S608
    return Sql(text, [first, last, *_asked(live, timezone.get_current_timezone())])


def later_of(period: Period) -> Sql:
    """Say how to read what is never kept of each day of a period, as `rows_of` does of money."""
    text = f"SELECT asked.day, found.* FROM {_ASKED} CROSS JOIN LATERAL ({_LATER}) AS found"  # noqa: S608
    return Sql(text, _asked(period.days, timezone.get_current_timezone()))


def _parted(period: Period) -> tuple[date, date, list[date]]:
    """Tell the first and last day that are read as they are kept, and all that are not kept.

    Days to come, and those before anything happened, have nothing to add up.
    """
    row = AddedUp.objects.filter(zone=timezone.get_current_timezone_name()).first()
    until = row.until if row else date.min
    today = dates.today()
    first = max(period.first, row.since if row else date.min)
    live = Period(max(first, until + DAY), min(period.last, today))
    if live.length > LIVE_DAYS_MAX:
        raise NotAddedUp
    return first, min(period.last, until), live.days


def _asked(days: Sequence[date], zone: tzinfo) -> list[list[Any]]:
    return [
        list(days),
        [_midnight(day, zone) for day in days],
        [_midnight(day + DAY, zone) for day in days],
    ]


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time.min, zone)


# What the job does.


def add_up() -> int:
    """Keep the sums of all days that are over, some at a time. Return how many were added."""
    added = 0
    while some := _add_some(store.time_zone()):
        added += some
    return added


@in_transaction
def _add_some(zone: tzinfo) -> int:
    _take_turns()
    row = AddedUp.objects.first()
    if row and row.zone != str(zone):
        forget()
        row = None
    last = ((clock.now() - SETTLED_AFTER).astimezone(zone)).date() - DAY
    first = row.until + DAY if row else _first_day(zone)
    if first is None or first > last:
        return 0
    days = Period(first, min(last, first + DAY * (DAYS_A_TRANSACTION - 1))).days
    for facts in KEPT:
        _keep(facts, days, zone)
    row = row or AddedUp(zone=str(zone), since=first)
    row.until = days[-1]
    row.save()
    return len(days)


def _keep(facts: Facts, days: Sequence[date], zone: tzinfo) -> None:
    columns = ", ".join(facts.columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO {facts.kept._meta.db_table} (day, {columns})
            SELECT asked.day, found.* FROM {_ASKED} CROSS JOIN LATERAL ({facts.source}) AS found
            """,  # noqa: S608
            _asked(days, zone),
        )


def _take_turns() -> None:
    """Let two that add up at once add up one after the other, also where there is no row yet."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('backoffice_addedup'))")


def _first_day(zone: tzinfo) -> date | None:
    """Return the day on which the first order was placed, or the first entry of the log written."""
    moments = [
        rows.aggregate(first=Min("created_at"))["first"]
        for rows in (Order.objects.all(), StockTransaction.objects.all())
    ]
    known = [moment for moment in moments if moment]
    return min(known).astimezone(zone).date() if known else None


def forget() -> None:
    """Throw away all that is kept, as where the past was made up just now."""
    for facts in KEPT:
        facts.kept._default_manager.all().delete()
    AddedUp.objects.all().delete()


def fetched(sql: Sql) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql.text, sql.values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows
