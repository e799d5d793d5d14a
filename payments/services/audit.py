"""Whether all books agree: log, stock, orders, and the money of orders with their payments."""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from itertools import count
from typing import NamedTuple

from django.db import connection, transaction
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.exceptions import AlreadyEnqueued

from api import clock
from inventory.services import audit as audit_of_stock
from inventory.services import checkpoints, fingerprints, telling
from inventory.services.audit import Difference, found
from inventory.services.snapshots import apart, read, snapshot, write
from orders.models import AuditResult, Order
from orders.services import audit

Kind = AuditResult.Kind
# So many differences of each kind are named at once, and so many of all of them are kept.
LIMIT = 100
NAMED_MAX = 1_000

# Money that came late is in no sum of its order; that it is to be sent back is under way, too.
_DIFFERING_MONEY = """
WITH paid AS (
    SELECT order_id,
        coalesce(sum(captured_amount) FILTER (WHERE NOT late), 0) AS captured,
        coalesce(sum(refunded_amount) FILTER (WHERE NOT late), 0) AS refunded,
        coalesce(sum(amount) FILTER (WHERE status = 'pending'), 0) AS pending,
        coalesce(sum(amount) FILTER (WHERE method = 'authorize' AND status = 'complete'
            AND captured_amount = 0 AND NOT late), 0) AS authorized,
        count(*) FILTER (WHERE status = 'pending') AS payments_open
    FROM payments_payment WHERE {order_ids} GROUP BY order_id
), tried AS (
    SELECT order_id, count(*) FILTER (WHERE kind <> 'refund') AS attempts_open,
        count(*) FILTER (WHERE kind = 'refund') AS refunds_open
    FROM payments_attempt AS attempt
    JOIN payments_payment AS payment ON payment.id = attempt.payment_id
    WHERE attempt.status = 'pending' AND {order_ids} GROUP BY order_id
)
SELECT sold.id, format('#%%s', sold.number),
    CASE WHEN (sold.captured, sold.authorized, sold.pending, sold.refunded)
            <> (told.captured, told.authorized, told.pending, told.refunded)
        THEN format('the order says %%s captured, %%s authorized, %%s pending and %%s refunded; '
            'its payments say %%s, %%s, %%s and %%s', sold.captured, sold.authorized,
            sold.pending, sold.refunded, told.captured, told.authorized, told.pending,
            told.refunded)
        ELSE format('the order says %%s attempts and %%s refunds open; its payments say %%s and '
            '%%s', sold.attempts_open, sold.refunds_open, told.attempts_open,
            told.refunds_open) END
FROM orders_order AS sold
LEFT JOIN paid ON paid.order_id = sold.id
LEFT JOIN tried ON tried.order_id = sold.id
CROSS JOIN LATERAL (
    SELECT coalesce(paid.captured, 0) AS captured, coalesce(paid.authorized, 0) AS authorized,
        coalesce(paid.pending, 0) AS pending, coalesce(paid.refunded, 0) AS refunded,
        coalesce(paid.payments_open, 0) + coalesce(tried.attempts_open, 0) AS attempts_open,
        coalesce(tried.refunds_open, 0) AS refunds_open
) AS told
WHERE {ids} AND (sold.captured, sold.authorized, sold.pending, sold.refunded, sold.attempts_open,
        sold.refunds_open)
    <> (told.captured, told.authorized, told.pending, told.refunded, told.attempts_open,
        told.refunds_open)
ORDER BY sold.id
"""

# What a payment says of its refunds, and an authorization of its capture, is what its attempts say.
# What the order could not take is captured as it came, without an attempt. What a status says of a
# payment's own numbers is a constraint of the table.
_DIFFERING_PAYMENTS = """
WITH tried AS (
    SELECT payment_id,
        coalesce(sum(attempt.amount) FILTER (WHERE kind = 'capture'
            AND attempt.status = 'succeeded'), 0) AS captured,
        coalesce(sum(attempt.amount) FILTER (WHERE kind = 'refund'
            AND attempt.status = 'succeeded'), 0) AS refunded,
        coalesce(sum(attempt.amount) FILTER (WHERE kind = 'refund'
            AND attempt.status = 'pending'), 0) AS refunding,
        bool_or(kind = 'void' AND attempt.status = 'succeeded') AS voided,
        bool_or(kind = 'void' AND attempt.amount <> payment.amount) AS voids_another
    FROM payments_attempt AS attempt
    JOIN payments_payment AS payment ON payment.id = attempt.payment_id
    WHERE {order_ids} GROUP BY payment_id
), told AS (
    SELECT payment.*, coalesce(tried.captured, 0) AS captured,
        coalesce(tried.refunded, 0) AS refunded, coalesce(tried.refunding, 0) AS refunding,
        coalesce(tried.voided, false) AS voided,
        coalesce(tried.voids_another, false) AS voids_another
    FROM payments_payment AS payment
    LEFT JOIN tried ON tried.payment_id = payment.id
    WHERE {order_ids}
)
SELECT id, (SELECT format('#%%s', number) FROM orders_order WHERE id = order_id),
    format('the payment, %%s %%s of %%s, says %%s captured, %%s refunded and %%s on its way back; '
        'its attempts say %%s, %%s and %%s%%s', status, method, amount, captured_amount,
        refunded_amount, refunding_amount, captured, refunded, refunding,
        CASE WHEN voids_another THEN ', and that another amount was let go'
            WHEN voided THEN ', and that it was let go' ELSE '' END)
FROM told
WHERE (refunded_amount, refunding_amount) <> (refunded, refunding)
    OR CASE WHEN method = 'authorize' THEN NOT late AND captured_amount <> captured
        ELSE captured > 0 OR voided END
    OR (status = 'complete' AND captured_amount = 0 AND amount > 0 AND voided)
    OR voids_another
ORDER BY id
"""

# What bookkeeping.restate makes of an order's numbers: by its states people ship and refund.
_DIFFERING_STATES = """
WITH states AS (
    SELECT sold.*, CASE
        WHEN captured > 0 AND refunded = captured AND authorized = 0 THEN 'refunded'
        WHEN fully_paid_at IS NOT NULL OR (captured = total AND total > 0) THEN 'paid'
        WHEN total > 0 AND total = captured + authorized THEN 'authorized'
        WHEN captured > 0 THEN 'partially_paid'
        WHEN authorized > 0 THEN 'partially_authorized'
        ELSE 'unpaid' END AS of_money
    FROM orders_order AS sold WHERE {ids}
)
SELECT id, format('#%%s', number),
    format('the order is %%s and %%s, and its money says %%s%%s', status, payment, of_money,
        CASE WHEN cancelled_at IS NOT NULL THEN ', and it was cancelled'
            WHEN fully_paid_at IS NULL AND of_money = 'paid' THEN ', not since when' ELSE '' END)
FROM states
WHERE payment <> of_money
    OR (of_money = 'paid' AND fully_paid_at IS NULL)
    OR status <> CASE
        WHEN cancelled_at IS NOT NULL THEN 'cancelled'
        WHEN fully_paid_at IS NOT NULL THEN 'complete'
        WHEN of_money = 'authorized' THEN 'processing'
        ELSE 'incomplete' END
ORDER BY id
"""

_OF_MONEY = (
    ("order", _DIFFERING_MONEY),
    ("order", _DIFFERING_STATES),
    ("payment", _DIFFERING_PAYMENTS),
)

# Entries are numbered without gaps, so that nobody has to count them.
_COMPARED = """
SELECT count(*), coalesce(sum(sequence), 0)::bigint, (SELECT count(*) FROM orders_order)
FROM inventory_stock
"""
# So many orders are compared at once: their lines, shipments and payments find room in memory.
ORDERS_AT_ONCE = 20_000
_NEXT_ORDERS = """
SELECT min(id::text)::uuid, max(id::text)::uuid FROM (
    SELECT id FROM orders_order WHERE id > %s ORDER BY id LIMIT %s
) AS next
"""
_NO_ORDER = uuid.UUID(int=0)
# An order says when it was changed, by the clock of whoever changes it, and is seen when that is
# committed. No transaction takes that long, nor does any clock go so wrong.
MARGIN = timedelta(hours=1)
WHOLE_EVERY = timedelta(hours=24)
# The advisory lock of whoever compares, among all that may be locked by number.
_COMPARING = int.from_bytes(b"auditing", signed=True)
JOB = "payments.jobs.audit_inventory"
# The job's own, so that one comparison at most is waited for.
LOCK = "audit_inventory"


class UnderWay(Exception):
    """Somebody compares all books already."""


class _Part(NamedTuple):
    """What one reader has found, and how much it has looked at."""

    differences: list[Difference]
    stocks: int = 0
    entries: int = 0
    orders: int = 0


# Says which part of how many is done.
Tell = Callable[[int, int], None]


def run() -> list[Difference]:
    """Compare all books as of one moment, and keep the result for people to read.

    Once a day the whole of them, and in between what was written since. Raises: UnderWay.
    """
    _, found = compare(whole=is_whole_due())
    return found


def is_whole_due() -> bool:
    result = AuditResult.objects.filter(pk=Kind.WHOLE).first()
    if result is None:
        return True
    # One of a later moment is of a clock that was put back since.
    return not timedelta() <= clock.now() - result.checked_at <= WHOLE_EVERY - MARGIN


def compare(
    *, whole: bool = False, tell: Tell | None = None
) -> tuple[AuditResult, list[Difference]]:
    """Compare all books as of one moment, or what was written since they agreed; keep the result.

    Where they never agreed as a whole, or do not any more, the whole is compared in any case.
    Raises: UnderWay.
    """
    with _alone():
        began, checked_at = time.monotonic(), clock.now()
        since = None if whole else _agreed()
        position, found = apart(partial(_read, since, tell))
        discrepancies = [difference for part in found for difference in part.differences]
        result = AuditResult(
            id=Kind.WHOLE if since is None else Kind.INCREMENTAL,
            checked_at=checked_at,
            seconds=round(time.monotonic() - began, 3),
            differences=len(discrepancies),
            example=str(discrepancies[0]) if discrepancies else "",
            found=[str(each) for each in discrepancies[:NAMED_MAX]],
            stocks=sum(part.stocks for part in found),
            entries=sum(part.entries for part in found),
            orders=sum(part.orders for part in found),
            position=position,
        )
        _keep(result)
    return result, discrepancies


@contextmanager
def _alone() -> Iterator[None]:
    """Let nobody else compare until what is written here is committed. Raises: UnderWay.

    What another one has compared is seen by each snapshot that begins in here; so no result and no
    checkpoint is of an earlier moment than what it takes the place of. Nothing else is read in this
    transaction, which waits for those who read.
    """
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_COMPARING])
        if cursor.fetchone() == (False,):
            raise UnderWay
        yield


def _read(since: AuditResult | None, tell: Tell | None) -> tuple[int, list[_Part]]:
    """Compare as of one moment, and keep what the next comparison goes on from if all agrees.

    Returns where the feed ended at that moment, and what was found.
    """
    with snapshot() as name:
        position = telling.last_position()
        parts = _whole() if since is None else _incremental(since)
        found = read(name, _told(parts, tell))
        if not any(part.differences for part in found):
            write(name, checkpoints.keep)
    return position, found


def _keep(result: AuditResult) -> None:
    written = [field.name for field in AuditResult._meta.concrete_fields if not field.primary_key]
    AuditResult.objects.bulk_create(
        [result], update_conflicts=True, unique_fields=["id"], update_fields=written
    )


def standing() -> dict[str, float] | None:
    """Tell monitoring what differed when all was compared last, as a whole or what was new.

    None before the first time.
    """
    results = list(AuditResult.objects.only("differences", "checked_at"))
    if not results:
        return None
    newest = max(result.checked_at for result in results)
    return {
        "differences": max(result.differences for result in results),
        "age_seconds": round((clock.now() - newest).total_seconds()),
    }


def _agreed() -> AuditResult | None:
    """Return when all books agreed last; None where nobody knows that they did as a whole."""
    results = {result.pk: result for result in AuditResult.objects.all()}
    whole = results.get(Kind.WHOLE)
    if whole is None or whole.differences or not checkpoints.are_kept():
        return None
    agreed = max(
        (result for result in results.values() if not result.differences),
        key=lambda result: result.checked_at,
    )
    # By a clock that was put back since, it tells of no order whether it was changed later.
    return agreed if agreed.checked_at <= clock.now() else None


def _told(parts: Sequence[Callable[[], _Part]], tell: Tell | None) -> list[Callable[[], _Part]]:
    done = count(1)

    def tell_of(part: Callable[[], _Part]) -> _Part:
        found = part()
        if tell:
            tell(next(done), len(parts))
        return found

    return [partial(tell_of, part) for part in parts]


def _whole() -> list[Callable[[], _Part]]:
    """Name what is to be compared, the longest first."""
    with connection.cursor() as cursor:
        cursor.execute(_COMPARED)
        looked_at = _Part([], *cursor.fetchone())
    return [
        lambda: looked_at._replace(differences=_of_chains()),
        lambda: _Part(audit_of_stock.differences_of_stock(_suspects())),
        lambda: _Part(telling.out_of_order()),
        lambda: _Part([*telling.untold(), *telling.unlike_the_feed()]),
        lambda: _Part(audit_of_stock.differences_of_counts()),
        lambda: _Part(
            [*checkpoints.gone(), *checkpoints.rewritten(), *audit.differences_of_holders()]
        ),
        *(partial(_of_orders, orders) for orders in _all_orders()),
    ]


def _suspects() -> list[uuid.UUID]:
    return sorted({*fingerprints.out_of_time(), *checkpoints.unlike_the_last_entry()})


def _incremental(agreed: AuditResult) -> list[Callable[[], _Part]]:
    since = agreed.checked_at - MARGIN
    changed = Order.objects.filter(updated_at__gt=since)
    order_ids = list(changed.order_by("pk").values_list("pk", flat=True))
    return [
        _of_moved_stock,
        lambda: _Part(telling.out_of_order(since=agreed.position)),
        lambda: _Part([*telling.untold(), *telling.unlike_the_feed(moved_only=True)]),
        lambda: _Part(audit_of_stock.differences_of_counts(recorded_since=since)),
        lambda: _Part([*checkpoints.gone(), *audit.differences_of_holders()]),
        *(
            partial(_of_orders, audit.among(some), len(some))
            for begin in range(0, len(order_ids), ORDERS_AT_ONCE)
            if (some := order_ids[begin : begin + ORDERS_AT_ONCE])
        ),
    ]


def _of_chains() -> list[Difference]:
    suspects = fingerprints.broken_chains()
    found = audit_of_stock.differences_of_stock(suspects)
    if suspects and not found:
        what = f"the log of one stock among {len(suspects)} does not lead to it"
        found = [Difference(suspects[0], "?", what)]
    return found


def _of_moved_stock() -> _Part:
    moved = checkpoints.since()
    found = audit_of_stock.differences_of_stock(moved.suspects)
    if moved.suspects and not found:
        what = "its log agrees, but not with what the last audit saw: some of it was rewritten"
        found = [Difference(stock_id, "?", what) for stock_id in moved.suspects[:LIMIT]]
    return _Part(found, stocks=moved.stocks, entries=moved.entries)


def _all_orders() -> Iterator[audit.Orders]:
    last = _NO_ORDER
    with connection.cursor() as cursor:
        while True:
            cursor.execute(_NEXT_ORDERS, [last, ORDERS_AT_ONCE])
            first, last = cursor.fetchone()
            if first is None:
                return
            yield audit.between(first, last)


def _of_orders(orders: audit.Orders, number: int = 0) -> _Part:
    found = [*audit.differences_of_orders(orders), *money_differences(orders=orders)]
    return _Part(found, orders=number)


def ask() -> bool:
    """Let the worker compare as soon as it can; false where it is to do so already."""
    compare = app.configure_task(JOB, queueing_lock=LOCK)
    try:
        with transaction.atomic():
            compare.defer(timestamp=int(clock.now().timestamp()))
    except AlreadyEnqueued:
        return False
    return True


def is_under_way() -> bool:
    """Tell whether the worker compares, or is to do so as soon as it can."""
    jobs = ProcrastinateJob.objects.filter(queueing_lock=LOCK, status__in=["todo", "doing"])
    return jobs.exists()


def differences(limit: int = LIMIT) -> list[Difference]:
    """Return the differences between log, stock, orders, payments and feed, `limit` each."""
    return [
        *audit.differences(limit),
        *money_differences(limit),
        *telling.differences(limit),
    ]


def money_differences(limit: int = 100, orders: audit.Orders = audit.ALL) -> list[Difference]:
    """Return the orders whose sums of money are not what their payments add up to.

    And those whose states are not what their sums amount to, and the payments that are not what
    their attempts say.
    """
    return [
        difference
        for row, query in _OF_MONEY
        for difference in found(orders.of(query), limit, orders.parameters, row=row)
    ]
