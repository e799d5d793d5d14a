"""Whether all books agree, as after each test: what the audit asks, kept planned by PostgreSQL.

To plan the audit's queries takes ten times as long as to run them over the few rows of a test. In a
function a connection plans them once; what they found is read from the audit itself.
"""

from typing import Any

from django.db import connection
from psycopg import ClientCursor

from payments.services import audit


def learn_what_the_audit_asks() -> None:
    """Put the audit's own statements into a function, as the owner of the database."""
    checks = "".join(f"IF EXISTS ({asked}) THEN RETURN true; END IF;\n" for asked in queries())
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS tests")
        cursor.execute("GRANT USAGE ON SCHEMA tests TO PUBLIC")
        cursor.execute(
            "CREATE OR REPLACE FUNCTION tests.books_differ() RETURNS boolean LANGUAGE plpgsql "
            f"AS $books$ BEGIN\n{checks}RETURN false; END $books$"
        )


def queries() -> list[str]:
    """Return what the audit asks when it compares all books."""
    asked: list[str] = []

    def listen(execute: Any, statement: str, parameters: Any, many: bool, context: Any) -> Any:
        asked.append(ClientCursor(connection.connection).mogrify(statement, parameters))
        return execute(statement, parameters, many, context)

    with connection.execute_wrapper(listen):
        audit.differences()
    return asked


def differences() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tests.books_differ()")
        if cursor.fetchone() == (False,):
            return []
    return [str(difference) for difference in audit.differences()] or ["something"]
