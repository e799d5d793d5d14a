"""What the database itself enforces on our tables, as its own catalog has it."""

from typing import NamedTuple

from django.db import connection

CHECK, UNIQUE = "CHECK", "UNIQUE"
OUR_TABLES = r"^(api|inventory|orders|payments|backoffice)_"

# Unique indexes that are no constraint are as good as one, but for their primary keys: those are
# ids of our own making.
_CONSTRAINTS = """
SELECT conname, conrelid::regclass::text, CASE contype WHEN 'c' THEN 'CHECK' ELSE 'UNIQUE' END
FROM pg_constraint
WHERE contype IN ('c', 'u', 'x') AND conrelid::regclass::text ~ %(ours)s
UNION
SELECT indexrelid::regclass::text, indrelid::regclass::text, 'INDEX' FROM pg_index
WHERE indisunique AND indrelid::regclass::text ~ %(ours)s
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
ORDER BY 2, 1
"""

_TRIGGERS = """
SELECT tgname, tgrelid::regclass::text FROM pg_trigger
WHERE NOT tgisinternal AND tgrelid::regclass::text ~ %(ours)s ORDER BY 2, 1
"""


class Constraint(NamedTuple):
    table: str
    kind: str
    # How it is taken away.
    drop: str


def constraints() -> dict[str, Constraint]:
    """Find every CHECK and every unique constraint or index of our tables, by name."""
    with connection.cursor() as cursor:
        cursor.execute(_CONSTRAINTS, {"ours": OUR_TABLES})
        return {
            name: Constraint(table, UNIQUE, f"DROP INDEX {name}")
            if kind == "INDEX"
            else Constraint(table, kind, f"ALTER TABLE {table} DROP CONSTRAINT {name} CASCADE")
            for name, table, kind in cursor.fetchall()
        }


def triggers() -> dict[str, str]:
    """Find every trigger of our tables: by name, and how it is taken away."""
    with connection.cursor() as cursor:
        cursor.execute(_TRIGGERS, {"ours": OUR_TABLES})
        return {name: f"DROP TRIGGER {name} ON {table}" for name, table in cursor.fetchall()}
