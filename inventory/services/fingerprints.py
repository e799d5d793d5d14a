"""Whether a log of any length holds together, in two looks at it that need little memory.

Every entry says which numbers it ends in, and so which it began with. Each set of numbers, with the
stock and the number of the entry that ends in it, is hashed to 64 bits, and all hashes of a stock
are combined by XOR: ends and beginnings. Where each entry begins with what the one before it ended
in, every hash is there twice and cancels out, but for the beginning of the log, which is nothing,
and its end, which must be the stock. Since no entry can be before itself, what cancels out is the
whole chain. A difference is missed if the hash of something wrong happens to be that of what is
right, once in 2^64 times.

Nothing is sorted, and it takes room for one number a part of all stock, not for one a stock. Only
the stock of a part that differs is replayed entry by entry, which names what differs.
"""

import uuid

from django.db import connection

# So many stocks as come into one part of a large shop are replayed if one of them differs.
PARTS = 4096
# Of the stocks that differ in the order of their entries, so many are looked into.
SUSPECTS_MAX = 1000


def _part(stock: str) -> str:
    return f"uuid_hash({stock}) & {PARTS - 1}"


def _hash(stock: str, sequence: str, available: str, allocated: str, held: str) -> str:
    """Hash what a log has come to, in few functions: one of a record of all takes twice the time.

    Of a number beyond 32 bits hashint8extended hashes only both halves' XOR, so that two numbers in
    one would be like any two others with the same XOR. What it starts with may have 64 bits.
    """
    others = f"(({allocated})::bigint << 32) # ({held})::bigint"
    return (
        f"uuid_hash_extended({stock}, hashint8extended({sequence}, "
        f"hashint8extended(({available})::bigint, {others})))"
    )


_DIFFERING_PARTS = f"""
WITH log AS (
    SELECT {_part("stock_id")} AS part, count(*) AS entries, bit_xor(
        {_hash("stock_id", "sequence", "available_after", "allocated_after", "held_after")}
        # {
    _hash(
        "stock_id",
        "sequence - 1",
        "available_after::bigint - available",
        "allocated_after::bigint - allocated",
        "held_after::bigint - held",
    )
}) AS chain
    FROM inventory_stock_effect GROUP BY 1
), stock AS (
    SELECT {_part("id")} AS part, sum(sequence) AS entries, bit_xor(
        {_hash("id", "sequence", "available", "allocated", "held")}
        # {_hash("id", "0", "0", "0", "0")}) AS chain
    FROM inventory_stock GROUP BY 1
)
SELECT array_agg(part) FROM log FULL JOIN stock USING (part)
WHERE (coalesce(log.entries, 0), coalesce(log.chain, 0))
    <> (coalesce(stock.entries, 0), coalesce(stock.chain, 0))
"""  # noqa: S608 - our own names

_OF_PARTS = f"""
SELECT id FROM inventory_stock WHERE {_part("id")} = ANY(%(parts)s)
UNION
SELECT stock_id FROM inventory_stocktransaction WHERE {_part("stock_id")} = ANY(%(parts)s)
"""  # noqa: S608 - as above

# Read in the order of an index, which is that of time: there each entry must have the next number.
_OUT_OF_TIME = """
SELECT DISTINCT stock_id FROM (
    SELECT stock_id, sequence,
        row_number() OVER (PARTITION BY stock_id ORDER BY created_at, sequence) AS place
    FROM inventory_stocktransaction
) AS log
WHERE place <> sequence LIMIT %s
"""


def broken_chains() -> list[uuid.UUID]:
    """Find the stock whose log does not lead from nothing to what the stock says.

    What agrees may be among it, since it is found by parts.
    """
    with connection.cursor() as cursor:
        cursor.execute(_DIFFERING_PARTS)
        [parts] = cursor.fetchone()
        if not parts:
            return []
        cursor.execute(_OF_PARTS, {"parts": parts})
        return [stock_id for (stock_id,) in cursor.fetchall()]


def out_of_time() -> list[uuid.UUID]:
    """Find stock of which an entry is missing, or older than the one before it."""
    with connection.cursor() as cursor:
        # Where much was written lately, PostgreSQL might read the table and sort it on disk.
        cursor.execute("SET LOCAL enable_sort = off")
        cursor.execute(_OUT_OF_TIME, [SUSPECTS_MAX])
        found = [stock_id for (stock_id,) in cursor.fetchall()]
        cursor.execute("SET LOCAL enable_sort = on")
        return found
