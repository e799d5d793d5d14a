"""Who the tests are to the database: the role that serves, which owns none of the tables.

So a statement that `config/roles.sql` does not let it run fails the test that leads to it. Where a
test has to go around that, to spoil a log or to take a guard away, it says `as_owner`.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import connection
from psycopg.pq import TransactionStatus

from config.embedded import programs
from tests.database import ROLE

SCRIPT = settings.BASE_DIR / "config" / "roles.sql"
_AS_OWNER = """
SELECT set_config('role', pg_get_userbyid(datdba), false)
FROM pg_database WHERE datname = current_database()
"""


@contextmanager
def serving() -> Iterator[None]:
    """Give the role its rights in the tests' database, and connect as nobody else from here on."""
    database = connection.settings_dict
    owner, role = database["USER"], os.environ.get(ROLE)
    if role:
        run_script(role)
        connection.close()
        database["USER"] = role
    yield
    connection.close()
    database["USER"] = owner


def run_script(role: str, owner: str = "holdfast") -> None:
    """Run the script as an operator does, and as the owner."""
    database: dict[str, Any] = connection.settings_dict
    where = [f"--host={database['HOST']}", f"--dbname={database['NAME']}", f"--username={owner}"]
    psql = [str(programs() / "psql"), "--no-psqlrc", *where]
    script = [f"--variable=app={role}", f"--file={SCRIPT}"]
    subprocess.run([*psql, *script], check=True, stderr=subprocess.PIPE, text=True)


@contextmanager
def as_owner() -> Iterator[None]:
    """Let this connection do what only the owner of the tables may."""
    with connection.cursor() as cursor:
        cursor.execute(_AS_OWNER)
    try:
        yield
    finally:
        # A transaction that failed takes the role back with it.
        if connection.connection.info.transaction_status != TransactionStatus.INERROR:
            with connection.cursor() as cursor:
                cursor.execute("RESET ROLE")
