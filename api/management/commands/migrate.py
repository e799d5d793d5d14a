import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import OperationalError, connection
from psycopg.errors import LockNotAvailable

# What waits for a table has everybody else wait behind it. Requests have more patience than that,
# and between two tries the table is theirs.
LOCK_TIMEOUT = "1s"
PAUSE_SECONDS = 3
TRIES = 100
# Who holds it migrates. Django looks first at what is to be done, and two would do it twice.
LOCK = 5_147_902_301
_INDEX = re.compile(r'CREATE (?:UNIQUE )?INDEX CONCURRENTLY (?:IF NOT EXISTS )?("?)(\w+)\1')


class Command(migrate.Command):
    help = f"{migrate.Command.help} Holds up nobody: it tries again where it would have to wait."

    def handle(self, *args: Any, **options: Any) -> None:
        with self._alone():
            self._migrate(*args, **options)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Raises: CommandError, after some minutes of another one's work."""
        for number in range(1, TRIES + 1):
            if _locked("pg_try_advisory_lock"):
                break
            self.stderr.write(f"Another migrate is under way ({number} of {TRIES} tries).")
            # Not in a statement, which an index that is made beside it would wait for.
            time.sleep(PAUSE_SECONDS)
        else:
            raise CommandError("Another migrate is still under way: migrate again after its end.")
        try:
            yield
        finally:
            if connection.is_usable():
                _locked("pg_advisory_unlock")

    def _migrate(self, *args: Any, **options: Any) -> None:
        for number in range(1, TRIES + 1):
            try:
                with _waits_for_nobody():
                    super().handle(*args, **options)
                return
            except OperationalError as error:
                if not isinstance(error.__cause__, LockNotAvailable):
                    raise
                self.stderr.write(f" somebody holds what it changes ({number} of {TRIES} tries)")
            time.sleep(PAUSE_SECONDS)
        raise CommandError(
            "The migration that is named last is not done: somebody holds what it changes, in one "
            "long transaction. pg_stat_activity says who; afterwards migrate again."
        )


def _locked(function: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s)", [LOCK])
        return bool(cursor.fetchone()[0])


@contextmanager
def _waits_for_nobody() -> Iterator[None]:
    with connection.cursor() as cursor:
        # However long the work itself takes.
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("SET idle_in_transaction_session_timeout = 0")
        cursor.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
    try:
        with connection.execute_wrapper(_with_patience_for_indexes):
            yield
    finally:
        # With a connection that was lost they have gone.
        if connection.is_usable():
            with connection.cursor() as cursor:
                for limit in ("lock", "statement", "idle_in_transaction_session"):
                    cursor.execute(f"RESET {limit}_timeout")


def _with_patience_for_indexes(
    execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    """Let an index that is made beside the sales wait for those that began before it.

    Nobody waits behind that. One that was broken off has left its name, and would never be used.
    """
    if "CONCURRENTLY" not in str(sql):
        return execute(sql, params, many, context)
    with connection.cursor() as cursor:
        if (found := _INDEX.match(str(sql))) and _is_unfinished(cursor, found[2]):
            cursor.execute(f'DROP INDEX "{found[2]}"')
        cursor.execute("SET lock_timeout = 0")
        try:
            return execute(sql, params, many, context)
        finally:
            cursor.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")


def _is_unfinished(cursor: Any, name: str) -> bool:
    cursor.execute(
        "SELECT FROM pg_index WHERE indexrelid = to_regclass(quote_ident(%s)) AND NOT indisvalid",
        [name],
    )
    return bool(cursor.rowcount)
