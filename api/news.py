"""Waking who waits for what was committed, by NOTIFY, but never from inside a transaction.

PostgreSQL has one queue of notices for all, and locks it from the first notice of a transaction
until that has reached the disk: a purchase that notified would wait for every other one. So the
thread that tells of requests notifies for all of a moment together. Whoever misses it, because he
or the one who committed is behind PgBouncer, or was psql, looks each second anyway.
"""

import threading
from contextlib import suppress

import psycopg
from django.db import DatabaseError, connection
from procrastinate.contrib.django.utils import connector_params

from config import telling

# That something was committed, and that some of it was numbered.
TOLD, NUMBERED = "holdfast_told", "holdfast_feed"

_is_due = False


def soon() -> None:
    """Notify a moment after this, in a process that has a thread for it."""
    global _is_due
    if not _is_due and telling.is_apart():
        _is_due = True
        telling.later(_notify)


def _notify() -> None:
    global _is_due
    _is_due = False
    # Who cannot be reached learns it by himself.
    with suppress(DatabaseError):
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"NOTIFY {TOLD}")
        finally:
            connection.close()


class Waiter:
    """Waits for notices on a connection of its own; where there is none, for the time alone."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._connection: psycopg.Connection | None = None

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Wait until there is news, but no longer than this, which is short."""
        try:
            listening = self._connection or self._listen()
            for _ in listening.notifies(timeout=seconds, stop_after=1):
                pass
        except psycopg.Error:
            self.close()
            stop.wait(seconds)

    def _listen(self) -> psycopg.Connection:
        self._connection = psycopg.connect(**connector_params(), autocommit=True)
        self._connection.execute(f"LISTEN {self._channel}")
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
