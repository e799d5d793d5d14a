"""What `/health/ready` asks of the database, each time and in one statement.

Nothing of the answer is kept, for it changes under a running process: a newer release migrates the
database, a restored copy takes its place, or a standby answers at its address.
"""

import pkgutil
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from django.apps import apps
from django.core.checks import CheckMessage, Info, register
from django.db import DatabaseError, ProgrammingError, connection
from psycopg.errors import UndefinedTable

# A standby says, too, that its transactions are read-only.
_ASK = """
SELECT current_setting('transaction_read_only') = 'off',
    ARRAY(SELECT app || '.' || name FROM django_migrations ORDER BY id)
"""


class Database(NamedTuple):
    is_writable: bool
    # Migrations of this release that the database lacks.
    missing: list[str]
    # Migrations of the database that this release does not know.
    unknown: list[str]


def ask() -> Database:
    """Raises: DatabaseError."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(_ASK)
            is_writable, applied = cursor.fetchone()
    except ProgrammingError as error:
        if not isinstance(error.__cause__, UndefinedTable):
            raise
        is_writable, applied = True, []
    known, there = migrations(), set(applied)
    return Database(
        is_writable,
        missing=[name for name in known if name not in there],
        unknown=[name for name in applied if name not in known],
    )


@cache
def migrations() -> dict[str, None]:
    """Return the names of all migrations of this release, by their files: none need be loaded."""
    return {
        f"{app.label}.{file.name}": None
        for app in apps.get_app_configs()
        for file in pkgutil.iter_modules([f"{app.path}/migrations"])
    }


# Without the tag of databases, for whose checks one has to ask in so many words.
@register(deploy=True)
def the_database_is_migrated(**options: Any) -> Iterator[CheckMessage]:
    """No fault: one looks at the environment before there are tables, too."""
    try:
        missing = ask().missing
    except DatabaseError:
        # Another check says so.
        return
    if missing:
        yield Info(
            f"The database lacks {len(missing)} migrations of this release, such as {missing[0]}: "
            "until then it serves nobody.",
            hint="Run `manage.py migrate` as the owner of the tables.",
            id="holdfast.I002",
        )
