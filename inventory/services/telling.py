"""Whether every entry of every log was told, or waits for it: once, in order, without a gap.

The log is compared with what the sequencer says it has told, with the outbox and with the feed. Of
the feed itself, what an audit found in order stays so, since nothing is ever written before its
end: the next one reads what came since.
"""

from datetime import timedelta

from django.db.models import Max

from events.models import Event
from inventory.services.audit import Difference, found

# An event bears the time of its entry, and was numbered later: by the clocks of two machines.
MARGIN = timedelta(hours=1)

_ENTRIES = "stock-transaction"

# What is told ends where the outbox begins, and that where the log ends. Of stock that moved before
# anything was told, a migration has said from where on it is.
_UNTOLD = """
WITH waiting AS MATERIALIZED (
    SELECT stock_id, min(first) AS first, max(last) AS last,
        bool_and(first = after + 1 AND last > after) AS in_a_row
    FROM (
        SELECT stock_id, first, last, lag(last, 1, first - 1) OVER (
            PARTITION BY stock_id ORDER BY ordinal) AS after
        FROM events_outbox, unnest(stocks, firsts, lasts) AS part (stock_id, first, last)
        WHERE kind = 'stock'
    ) AS part
    GROUP BY stock_id
)
SELECT stock.id, product.sku,
    format('its log ends at entry %%s; until entry %%s it is told, and %%s', stock.sequence,
        coalesce(told.last, 0), CASE WHEN waiting.first IS NULL THEN 'nothing waits to be'
            ELSE format('what waits to be goes from %%s to %%s%%s', waiting.first, waiting.last,
                CASE WHEN waiting.in_a_row THEN '' ELSE ', but not in a row' END) END)
FROM inventory_stock AS stock
JOIN inventory_product AS product ON product.id = stock.product_id
LEFT JOIN events_toldstock AS told ON told.stock_id = stock.id
LEFT JOIN waiting ON waiting.stock_id = stock.id
WHERE stock.sequence <> coalesce(waiting.last, told.last, 0)
    OR waiting.first <> coalesce(told.last, 0) + 1 OR NOT waiting.in_a_row
ORDER BY stock.id
"""

_GAPS = """
SELECT (SELECT id FROM events_event WHERE position = feed.last), 'the feed',
    format('of its positions from %%s to %%s there are %%s; there is none after %%s', first, last,
        number, (
            SELECT min(position) FROM events_event AS before WHERE position >= %(since)s
            AND NOT EXISTS (SELECT FROM events_event WHERE position = before.position + 1)))
FROM (
    SELECT min(position) AS first, max(position) AS last, count(*) AS number
    FROM events_event WHERE position >= %(since)s
) AS feed
WHERE number <> last - first + 1
"""

# Of each product each entry has the next number: the feed may have forgotten those before it.
_OUT_OF_ORDER = """
SELECT stock.id, product.sku,
    format('in the feed, entry %%s of its log stands at %%s after entry %%s', event.sequence,
        event.position, event.before)
FROM (
    SELECT subject, position, sequence, coalesce(
        lag(sequence) OVER (PARTITION BY subject ORDER BY position){before}) AS before
    FROM events_event AS event
    WHERE kind = '{entries}' AND position > %(since)s
) AS event
JOIN inventory_product AS product ON product.id = event.subject::uuid
JOIN inventory_stock AS stock ON stock.product_id = product.id
WHERE event.sequence <> event.before + 1
ORDER BY event.position
"""
_BEFORE_SINCE = """, (
            SELECT sequence FROM events_event AS older
            WHERE older.subject = event.subject AND kind = '{entries}'
                AND older.position <= %(since)s
            ORDER BY position DESC LIMIT 1)"""
_OUT_OF_ORDER_ANYWHERE = _OUT_OF_ORDER.format(before="", entries=_ENTRIES)
_OUT_OF_ORDER_SINCE = _OUT_OF_ORDER.format(
    before=_BEFORE_SINCE.format(entries=_ENTRIES), entries=_ENTRIES
)

# The last entry that is told is the last one in the feed, which may have forgotten it: then it is
# no younger than what the feed begins with.
_UNLIKE_THE_FEED = """
SELECT stock.id, product.sku,
    format('until entry %%s its log is told, and the feed %%s', told.last,
        CASE WHEN event.sequence IS NULL THEN 'has none of it'
            ELSE format('ends at entry %%s of it', event.sequence) END)
FROM events_toldstock AS told
JOIN inventory_stock AS stock ON stock.id = told.stock_id
JOIN inventory_product AS product ON product.id = stock.product_id
{moved}
LEFT JOIN LATERAL (
    SELECT sequence FROM events_event
    WHERE subject = stock.product_id::text AND kind = '{entries}'
    ORDER BY position DESC LIMIT 1
) AS event ON true
WHERE told.last >= told.first AND CASE WHEN event.sequence IS NULL
    THEN stock.last_moved_at > coalesce((
        SELECT numbered_at FROM events_event ORDER BY position LIMIT 1
    ), '-infinity') + %(margin)s
    ELSE event.sequence <> told.last END
ORDER BY stock.id
"""
_UNLIKE_THE_FEED_ANYWHERE = _UNLIKE_THE_FEED.format(moved="", entries=_ENTRIES)
_UNLIKE_THE_FEED_SINCE = _UNLIKE_THE_FEED.format(
    moved="LEFT JOIN inventory_stockcheckpoint AS kept\n"
    "    ON kept.stock_id = stock.id AND kept.sequence = stock.sequence",
    entries=_ENTRIES,
).replace("WHERE told.last", "WHERE kept.stock_id IS NULL AND told.last")


def last_position() -> int:
    """Return where the feed ends; 0 where nothing was told yet."""
    return Event.objects.aggregate(last=Max("position"))["last"] or 0


def differences(limit: int = 100) -> list[Difference]:
    """Name what of the logs is told neither by the feed nor soon, and what is told amiss."""
    return [*untold(limit), *out_of_order(limit), *unlike_the_feed(limit)]


def untold(limit: int = 100) -> list[Difference]:
    """Name the stock whose log does not end where what is told of it, or waits to be, does."""
    return found(_UNTOLD, limit)


def out_of_order(limit: int = 100, since: int = 0) -> list[Difference]:
    """Name gaps in the feed after this position, and entries that do not follow those before."""
    entries = _OUT_OF_ORDER_SINCE if since else _OUT_OF_ORDER_ANYWHERE
    parameters = {"since": since}
    return [
        *found(_GAPS, limit, parameters, row="event"),
        *found(entries, limit, parameters),
    ]


def unlike_the_feed(limit: int = 100, *, moved_only: bool = False) -> list[Difference]:
    """Name the stock of which more is said to be told than is in the feed, or less.

    Of what agreed once, only what has moved since its checkpoint can differ.
    """
    query = _UNLIKE_THE_FEED_SINCE if moved_only else _UNLIKE_THE_FEED_ANYWHERE
    return found(query, limit, {"margin": MARGIN})
