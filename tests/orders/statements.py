"""What a service says to the database, in short words."""

import re
from collections.abc import Callable, Sequence

from django.db import connection
from django.test.utils import CaptureQueriesContext

_TABLE = re.compile(r'(?:FROM|INTO|UPDATE) "?(?:only )?(\w+_\w+)"?', re.IGNORECASE)


def statements_of(act: Callable[[], object]) -> list[str]:
    """Run it and name its statements: `lock orders_order`, `write inventory_stock`, `COMMIT`."""
    with CaptureQueriesContext(connection) as captured:
        act()
    return [_named(query["sql"]) for query in captured.captured_queries]


def sql_of(act: Callable[[], object]) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        act()
    return [query["sql"] for query in captured.captured_queries]


def transactions(statements: Sequence[str]) -> list[list[str]]:
    """Split at each COMMIT, leaving out what ran outside of a transaction."""
    found: list[list[str]] = []
    open_transaction = False
    for statement in statements:
        if statement == "BEGIN":
            found.append([])
            open_transaction = True
        elif statement == "COMMIT":
            open_transaction = False
        elif open_transaction:
            found[-1].append(statement)
    return found


def _named(sql: str) -> str:
    match = _TABLE.search(sql)
    table = match.group(1) if match else ""
    if sql.lstrip().startswith("WITH"):
        # Named by what it writes first.
        return "write inventory_stock" if "moved" in sql else "insert api_idempotencykey"
    if "FOR NO KEY UPDATE" in sql:
        return f"lock {table}"
    verb = sql.split(maxsplit=1)[0]
    return f"{verb.lower()} {table}" if table else verb.rstrip(";")
