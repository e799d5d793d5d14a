"""How often one address may call, so that one caller's flood does not slow the shop for the others.

Calls are counted by remote address, never by API client: all shoppers of a storefront share one.
"""

import functools
import ipaddress
import math
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.db import connection, transaction
from django.http import HttpRequest

from api import purging
from api.errors import TOO_MANY_REQUESTS, Refusal

# Into how many blocks the permits of a period are divided.
BLOCKS = 50
A_DAY = 24 * 3600
# How many addresses a process holds permits for. Dropping them costs each of them a block at most.
ADDRESSES_MAX = 10_000
# Nothing longer is an address; and what is remembered must not grow with what a caller writes.
ADDRESS_LENGTH_MAX = 200


class TooManyRequests(Refusal):
    kind = TOO_MANY_REQUESTS
    code = "too_many_requests"
    detail = "Too many requests from this address. Please wait and try again."

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.retry_after_seconds = max(1, math.ceil(seconds))


def count(request: HttpRequest, kind: str = "") -> None:
    """Count a call of a kind in settings.LIMITS or, without a kind, like any other.

    Raises: TooManyRequests.
    """
    address = address_of(request)
    if kind:
        _shared.count(kind, address)
    else:
        _own.count(address)


def count_cart(address: str) -> None:
    """Count a cart that somebody has opened, in the transaction that opens it.

    Raises: TooManyRequests.
    """
    _shared.count("cart", address, once_counted=transaction.on_commit)


def _seconds_of(kind: str) -> int:
    """Return how long a period is in which calls of a kind are counted."""
    return A_DAY if kind == "cart" else settings.LIMIT_SECONDS


def address_of(request: HttpRequest) -> str:
    """Return the caller's address. Only what our own proxies wrote to X-Forwarded-For counts."""
    address: str = request.META.get("REMOTE_ADDR", "")
    proxies = settings.NUM_TRUSTED_PROXIES
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    if proxies and forwarded:
        hops = forwarded.split(",")
        address = hops[-min(proxies, len(hops))].strip()
    return _owned(_without_port(address[:ADDRESS_LENGTH_MAX].strip('"')))


def _without_port(address: str) -> str:
    """Leave out the port that some proxies add: `192.0.2.1:4711`, `[2001:db8::1]:4711`."""
    if bracketed := re.fullmatch(r"\[([^\]]*)\](?::\d*)?", address):
        return bracketed[1]
    return address.partition(":")[0] if address.count(":") == 1 else address


@functools.lru_cache(maxsize=1024)
def _owned(address: str) -> str:
    """Return all that the address's owner has: of IPv6 a network of 2^64 addresses.

    An address of IPv4 that is written as one of IPv6 is itself. What is no address is one caller by
    its name.
    """
    try:
        read = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "".join(filter(str.isprintable, address))[:64]
    if isinstance(read, ipaddress.IPv4Address):
        return str(read)
    return str(read.ipv4_mapped or ipaddress.ip_network((read, 64), strict=False))


class _OwnCounts:
    """Counts of this process, which cost no statement."""

    def __init__(self) -> None:
        self._ends = 0.0
        self._calls: dict[str, int] = {}

    def count(self, address: str) -> None:
        limit = settings.REQUEST_LIMIT
        if not limit:
            return
        now = time.monotonic()
        if now >= self._ends:
            self._ends, self._calls = now + settings.LIMIT_SECONDS, {}
        # Two threads may count as one here, which is fine for so generous a limit.
        calls = self._calls[address] = self._calls.get(address, 0) + 1
        if calls > limit:
            raise TooManyRequests(self._ends - now)


def _at_once(act: Callable[[], None]) -> None:
    act()


@dataclass
class _Permits:
    until: float
    left: int = 0
    # Whether there are no more permits for this address until the period ends.
    last: bool = False


class _SharedCounts:
    """Counts of all processes together, in the database.

    A process takes permits by the block, so that most calls cost no statement, and asks for no more
    once they have run out: a flood costs the database nothing.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[tuple[str, str], _Permits] = {}

    def count(
        self, kind: str, address: str, once_counted: Callable[[Callable[[], None]], None] = _at_once
    ) -> None:
        """Count a call. What is left of a block is held `once_counted` in the database for good.

        Before that it could be had again and again by calls that come to nothing.
        """
        limit = settings.LIMITS.get(kind, 0)
        if limit and not self._spend(kind, address):
            self._take(kind, address, limit, once_counted)

    def _spend(self, kind: str, address: str) -> bool:
        """Use a permit that this process holds, and tell whether there was one."""
        now = time.monotonic()
        with self._lock:
            permits = self._held.get((kind, address))
            if permits is None or permits.until <= now:
                return False
            if permits.left:
                permits.left -= 1
                return True
            if permits.last:
                raise TooManyRequests(permits.until - now)
            return False

    def _take(
        self,
        kind: str,
        address: str,
        limit: int,
        once_counted: Callable[[Callable[[], None]], None],
    ) -> None:
        """Take the next block of permits and use one of them."""
        block = max(1, limit // BLOCKS)
        taken, seconds = _take_from_database(kind, address, block)
        granted = min(max(limit - (taken - block), 0), block)
        until = time.monotonic() + seconds
        if not granted:
            self._hold((kind, address), _Permits(until, last=True))
            # Another thread may have left some of its block.
            if not self._spend(kind, address):
                raise TooManyRequests(seconds)
            return
        rest = _Permits(until, granted - 1, last=granted < block)
        once_counted(lambda: self._hold((kind, address), rest))

    def _hold(self, whose: tuple[str, str], more: _Permits) -> None:
        with self._lock:
            permits = self._held.get(whose)
            if permits is None or permits.until <= time.monotonic():
                if len(self._held) >= ADDRESSES_MAX:
                    self._held.clear()
                permits = self._held[whose] = _Permits(more.until)
            permits.left += more.left
            permits.last = more.last


# The database's clock says which period it is, so that processes on several hosts agree.
_TAKE = """
WITH moment AS MATERIALIZED (SELECT extract(epoch FROM statement_timestamp()) AS seconds)
INSERT INTO api_callcount AS known (kind, address, period, calls)
SELECT %s, %s, floor(seconds / %s), %s FROM moment
ON CONFLICT (kind, address) DO UPDATE SET
    calls = CASE known.period WHEN excluded.period THEN known.calls ELSE 0 END + excluded.calls,
    period = excluded.period
RETURNING calls, (SELECT %s - mod(seconds, %s) FROM moment)
"""


def _take_from_database(kind: str, address: str, permits: int) -> tuple[int, float]:
    """Return how many permits are taken in this period, and how many seconds of it are left."""
    seconds = _seconds_of(kind)
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, [kind, address, seconds, permits, seconds, seconds])
        taken, left = cursor.fetchone()
    return taken, float(left)


def forget() -> None:
    """Drop what this process has counted and holds."""
    global _own, _shared
    _own, _shared = _OwnCounts(), _SharedCounts()


# As the rows lie on the disk. What is gone is passed once, and no more.
_PAGES = "SELECT pg_relation_size('api_callcount') / current_setting('block_size')::integer"
# That many have no more rows than a batch or two.
_PAGES_AT_ONCE = 16
_PURGE = """
DELETE FROM api_callcount WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM api_callcount
    WHERE ctid >= format('(%%s,0)', %s::bigint)::tid AND ctid < format('(%%s,0)', %s::bigint)::tid
        AND period < extract(epoch FROM now()) / CASE kind WHEN 'cart' THEN %s ELSE %s END - 1
    LIMIT %s FOR UPDATE SKIP LOCKED
))
"""


def purge() -> int:
    """Delete the counts of periods that are over, and return how many there were.

    A flood leaves a million. To look for the next ones from the table's beginning would be to pass
    all that are gone, again and again; by their key they lie far from each other.
    """
    with connection.cursor() as cursor:
        cursor.execute(_PAGES)
        [pages] = cursor.fetchone()
    return sum(
        purging.until_none_is_left(functools.partial(_purge_some, page))
        for page in range(0, pages, _PAGES_AT_ONCE)
    )


def _purge_some(page: int) -> int:
    between = [page, page + _PAGES_AT_ONCE]
    with connection.cursor() as cursor:
        cursor.execute(_PURGE, [*between, A_DAY, settings.LIMIT_SECONDS, purging.BATCH])
        return int(cursor.rowcount)


_own, _shared = _OwnCounts(), _SharedCounts()
