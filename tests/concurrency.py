import functools
import pkgutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection

# Longer than any lock is waited for: whoever meets nobody by then never will.
PATIENCE_SECONDS = 30

# On the same server there are the databases of other test processes. In this one nobody is counted
# who waits for a program of the server itself, which alone has no user: autovacuum locks a table
# that it shortens, and gives it back as soon as somebody waits for it.
_SOMEBODY_WAITS = """
SELECT EXISTS (
    SELECT FROM pg_locks AS waiting
    CROSS JOIN LATERAL unnest(pg_blocking_pids(waiting.pid)) AS holder
    JOIN pg_stat_activity AS client ON client.pid = holder
    WHERE NOT waiting.granted
        AND client.datname = current_database() AND client.usename IS NOT NULL
        AND (%(holder)s::integer IS NULL OR holder = %(holder)s)
)
"""


def run_together(*functions: Callable[[], Any]) -> list[Any]:
    """Call every function in a thread of its own, all from one moment on.

    Returns, in order, what each returned or the exception that it raised.
    """
    outcomes: list[Any] = [None] * len(functions)
    start = threading.Barrier(len(functions), timeout=PATIENCE_SECONDS)

    def run(position: int, function: Callable[[], Any]) -> None:
        try:
            # Connecting takes the longest and differs the most: done before the start.
            connection.ensure_connection()
            start.wait()
            outcomes[position] = function()
        except BaseException as raised:
            outcomes[position] = raised
        finally:
            connection.close()

    threads = [
        threading.Thread(target=run, args=entry, daemon=True) for entry in enumerate(functions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def wait_until_somebody_waits() -> None:
    """Return when another connection waits for a lock."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if _somebody_waits():
            return
    raise AssertionError("nobody waits")


def _somebody_waits(holder: int | None = None) -> bool:
    """Tell whether somebody waits for a lock, of this process of the server or of any."""
    with connection.cursor() as cursor:
        cursor.execute(_SOMEBODY_WAITS, {"holder": holder})
        return bool(cursor.fetchone()[0])


# Two, of whom one comes at a certain point of the other.


@dataclass(frozen=True)
class Point:
    """Where somebody is stopped: just before a function, named by its dotted path, or after it."""

    name: str
    after: bool = False


@dataclass(frozen=True)
class Met:
    """What each returned or raised, and whether the rival had to wait for the first one's lock."""

    first: Any
    rival: Any
    waited: bool


def meet(
    monkeypatch: pytest.MonkeyPatch,
    first: Callable[[], Any],
    rival: Callable[[], Any],
    at: Point,
) -> Met:
    """Stop the first one where it comes to the point for the first time, and let the rival come.

    The first one goes on when the rival has ended, or is seen to wait for a lock of the first one.
    Each has a thread and a connection of its own; nothing depends on how fast they are, or on
    anybody else.
    """
    arrived, may_go_on = threading.Event(), threading.Event()
    mine = threading.local()
    passed = pkgutil.resolve_name(at.name)
    holders: list[int] = []

    def stop() -> None:
        if getattr(mine, "is_first", False) and not arrived.is_set():
            # While it asks a gateway it has no connection, and holds nothing.
            if connection.connection is not None:
                holders.append(connection.connection.info.backend_pid)
            arrived.set()
            assert may_go_on.wait(PATIENCE_SECONDS)

    @functools.wraps(passed)
    def stopping(*args: Any, **kwargs: Any) -> Any:
        if at.after:
            result = passed(*args, **kwargs)
            stop()
            return result
        stop()
        return passed(*args, **kwargs)

    def come_first() -> Any:
        mine.is_first = True
        return first()

    with monkeypatch.context() as patched, ThreadPoolExecutor(2) as threads:
        patched.setattr(at.name, stopping)
        going = threads.submit(outcome_of, come_first)
        while not arrived.wait(0.01):
            assert not going.done(), f"it never came to {at}, and ended with {going.result()!r}"
        try:
            coming = threads.submit(outcome_of, rival)
            waited = _waits_before_it_ends(coming, holders)
        finally:
            may_go_on.set()
        return Met(going.result(), coming.result(), waited)


def outcome_of(function: Callable[[], Any]) -> Any:
    """Return what it returned or raised; the thread's connection is closed."""
    try:
        return function()
    except Exception as raised:
        return raised
    finally:
        connection.close()


def _waits_before_it_ends(coming: "Future[Any]", holders: list[int]) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if coming.done():
            return False
        if any(map(_somebody_waits, holders)):
            return True
    raise AssertionError("the rival neither ends nor waits")
