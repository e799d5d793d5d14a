"""Changing the books behind the database's own net, as only the owner of the tables can."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

from tests.database_catalog import OUR_TABLES
from tests.roles import as_owner

_GUARDED = """
SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger
WHERE NOT tgisinternal AND tgrelid::regclass::text ~ %s
"""


@contextmanager
def tampering() -> Iterator[None]:
    """Work as somebody whom no trigger stops: the owner of the tables.

    Constraints stay. What waits for a COMMIT is looked at before, since no trigger can be taken
    away from what one waits for.
    """
    with as_owner(), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(_GUARDED, [OUR_TABLES])
        tables = [table for (table,) in cursor.fetchall()]
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        yield
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def another(column: str, kind: str) -> str:
    """Say in SQL what a column of this type might say instead."""
    return {
        "uuid": "gen_random_uuid()",
        "boolean": f"NOT {column}",
        "timestamp with time zone": f"coalesce({column}, now()) - interval '1 second'",
        "bigint[]": f"{column} || 99::bigint",
        "jsonb": "'{\"other\": 1}'",
        "tsvector": "'other'",
        "character varying": f"left(md5({column}), 4)",
        "text": f"left(md5({column}), 4)",
    }.get(kind, f"coalesce({column}, 0) + 1")


def columns(table: str) -> dict[str, str]:
    """Find the columns of a table that somebody writes, each with its type."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
            WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
            """,
            [table],
        )
        return dict(cursor.fetchall())


def tamper(sql: str, *parameters: Any) -> None:
    with tampering(), connection.cursor() as cursor:
        cursor.execute(sql, parameters)
