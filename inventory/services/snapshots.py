"""Reading the database as it is at one moment, by several connections, however long it takes.

A snapshot that one transaction exports is what others see that join it, also one that writes.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from operator import itemgetter
from typing import TypeVar

from django.db import connection, transaction

Read = TypeVar("Read")

# Each in a connection of its own: one for each core of a small machine.
READERS = 2
# What sorts and joins may take before they go to disk. With READERS of them, and twice as much for
# what is hashed, it is all that an audit takes beside what any connection does.
WORK_MEMORY = "64MB"
_READING = (
    "SET LOCAL statement_timeout = 0",
    # The connection that has exported waits for the others.
    "SET LOCAL idle_in_transaction_session_timeout = 0",
    # The readers are at work beside each other already.
    "SET LOCAL max_parallel_workers_per_gather = 0",
    # To compile what runs for some seconds takes longer than it saves.
    "SET LOCAL jit = off",
    # What is read in the order in which it was written is found where one has just been.
    "SET LOCAL seq_page_cost = 0.1",
    "SET LOCAL random_page_cost = 0.1",
)


@contextmanager
def snapshot() -> Iterator[str]:
    """Read the database as it is at one moment, and write nothing; yield the snapshot's name."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        _prepare_to_read()
        cursor.execute("SELECT pg_export_snapshot()")
        yield cursor.fetchone()[0]


@contextmanager
def joined(name: str, *, reads_only: bool = True) -> Iterator[None]:
    """Work in another connection's snapshot, while that one still has it."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        only = ", READ ONLY" if reads_only else ""
        cursor.execute(f"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ{only}")
        # A statement that takes no parameters; the name is PostgreSQL's own.
        cursor.execute(f"SET TRANSACTION SNAPSHOT '{name}'")
        _prepare_to_read()
        yield


def _prepare_to_read() -> None:
    with connection.cursor() as cursor:
        for setting in (*_READING, f"SET LOCAL work_mem = '{WORK_MEMORY}'"):
            cursor.execute(setting)


def read(name: str, parts: Iterable[Callable[[], Read]]) -> list[Read]:
    """Read all parts in the snapshot of this connection, beside which others read, too.

    Whoever has read a part takes the next one.
    """
    waiting = deque(enumerate(parts))

    def read_some() -> list[tuple[int, Read]]:
        found = []
        while numbered := _next(waiting):
            number, part = numbered
            found.append((number, part()))
        return found

    def read_beside() -> list[tuple[int, Read]]:
        try:
            with joined(name):
                return read_some()
        finally:
            # Where it could not so much as begin, nobody needs what is found without it.
            waiting.clear()

    with ThreadPoolExecutor(READERS - 1) as others:
        beside = [others.submit(_and_close, read_beside) for _ in range(READERS - 1)]
        try:
            found = read_some()
        finally:
            waiting.clear()
        for other in beside:
            found += other.result()
    return [part for _, part in sorted(found, key=itemgetter(0))]


def _next(waiting: "deque[Read]") -> Read | None:
    try:
        return waiting.popleft()
    except IndexError:
        # Also where another reader was faster than a look at the length.
        return None


def write(name: str, work: Callable[[], None]) -> None:
    """Write, in a transaction of its own, what follows from this connection's snapshot alone."""

    def write_it() -> None:
        with joined(name, reads_only=False):
            work()

    apart(write_it)


def apart(work: Callable[[], Read]) -> Read:
    """Do it in another connection than this thread's, and wait for it."""
    with ThreadPoolExecutor(1) as other:
        return other.submit(_and_close, work).result()


def _and_close(work: Callable[[], Read]) -> Read:
    """Do it in a thread, whose connection is closed again."""
    try:
        return work()
    finally:
        connection.close()
