"""Where a transaction begins, and what happens when the database asks to try again."""

import functools
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import psycopg.errors
from django.db import IntegrityError, connection, transaction

from api import news, traffic
from api.errors import DATABASE_ERRORS, Busy, Refusal, refusal_of

P = ParamSpec("P")
R = TypeVar("R")

ATTEMPTS = 3
_ASKS_TO_TRY_AGAIN: dict[type | None, str] = {
    psycopg.errors.DeadlockDetected: "deadlock",
    psycopg.errors.SerializationFailure: "serialization",
    psycopg.errors.LockNotAvailable: "lock_timeout",
}


class Stale(Exception):
    """What was read before the lock no longer holds: begin the transaction again."""


def in_transaction(service: Callable[P, R]) -> Callable[P, R]:
    """Run an entry-point service in one transaction, committed when it returns.

    The service is tried up to three times where nothing can have been committed: a deadlock, a lock
    timeout, a stale read; but never after a connection lost at COMMIT, when nobody knows. A
    violated constraint becomes the refusal that names it, or Conflict: see api.errors.

    Raises: Busy, when the last try failed too; whatever the service raises.
    """

    @functools.wraps(service)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    with transaction.atomic(durable=True):
                        result = service(*args, **kwargs)
                    news.soon()
                    return result
                except (*DATABASE_ERRORS, Stale) as error:
                    if not _may_try_again(error):
                        raise
                    if attempt == ATTEMPTS:
                        traffic.given_up(_in_the_way(error))
                        raise Busy from error
                    traffic.tried_again(_in_the_way(error))
                except IntegrityError as error:
                    if refusal := refusal_of(error):
                        raise refusal from error
                    raise
                # The jitter keeps two transactions that collided from colliding again.
                time.sleep(random.uniform(0.005, 0.03) * attempt)  # noqa: S311
        except Refusal as refused:
            traffic.refused(refused)
            raise
        raise AssertionError("unreachable")

    return run


def _may_try_again(error: Exception) -> bool:
    return bool(_in_the_way(error))


def _in_the_way(error: Exception) -> str:
    """Name what was in the way, if the transaction may be begun again."""
    return (
        "stale" if isinstance(error, Stale) else _ASKS_TO_TRY_AGAIN.get(type(error.__cause__), "")
    )


def assert_in_transaction() -> None:
    """Require a transaction: inner services write in their caller's and never open their own."""
    assert connection.in_atomic_block, "call this inside a transaction"


def assert_no_transaction() -> None:
    """Require that nothing is locked while a gateway is asked. A test's transaction is no lock."""
    blocks = connection.atomic_blocks
    assert all(getattr(block, "_from_testcase", False) for block in blocks), "a transaction is open"
