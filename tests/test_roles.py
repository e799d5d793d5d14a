"""What the role that serves may do, by config/roles.sql, and what it may not so much as try."""

import os
import re
import subprocess
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection, transaction
from django.db.utils import ProgrammingError

from api import rights
from api.rights import KEPT, SAID_LATER, STAYING
from tests import roles
from tests.database import ROLE
from tests.roles import as_owner, run_script

SCRIPT = roles.SCRIPT.read_text()
ROLE_NAMED = os.environ.get(ROLE, "")
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not ROLE_NAMED, reason="the server that DATABASE_URL names has one role"),
]


def ask(sql: str, *parameters: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else []


def refused(statement: str) -> bool:
    """Tell whether the role lacks the right to run a statement."""
    with pytest.raises(ProgrammingError) as refusal, transaction.atomic():
        ask(statement)
    return isinstance(refusal.value.__cause__, psycopg.errors.InsufficientPrivilege)


@pytest.mark.parametrize("table", sorted(KEPT))
def test_f36_what_is_kept_cannot_so_much_as_be_tried_to_rewrite(table):
    [[column]] = ask(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum = 1", table
    )

    assert refused(f"UPDATE {table} SET {column} = {column}")
    assert refused(f"DELETE FROM {table}")


@pytest.mark.parametrize("table", SAID_LATER)
def test_f36_of_what_is_written_once_only_what_is_said_later_can_be_written(table):
    columns = ask(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 "
        "AND NOT attisdropped AND has_column_privilege(attrelid, attnum, 'UPDATE')",
        table,
    )

    assert {column for (column,) in columns} == set(SAID_LATER[table])


@pytest.mark.parametrize("table", sorted({*SAID_LATER, *STAYING}))
def test_f36_no_row_of_what_stays_can_be_deleted(table):
    assert refused(f"DELETE FROM {table}")


@pytest.mark.parametrize(
    "table", sorted({*KEPT, *SAID_LATER, *STAYING, "inventory_stock", "api_callcount"})
)
def test_t43_no_table_can_be_emptied_at_once(table):
    assert refused(f"TRUNCATE {table} CASCADE")


def test_what_triggers_keep_is_kept_by_rights_too():
    of_triggers = ask(
        """
        SELECT tgrelid::regclass::text FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
        WHERE proname LIKE '%%_is_kept' AND tgqual IS NULL AND (tgtype & 16) > 0
        """
    )
    may_change = ask(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relname = ANY(%s) "
        "AND has_table_privilege(oid, 'UPDATE, DELETE, TRUNCATE')",
        [*KEPT],
    )

    assert {table for (table,) in of_triggers} == KEPT
    assert may_change == []


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE other (id int)",
        "CREATE FUNCTION other() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE inventory_stocktransaction DISABLE TRIGGER USER",
        "DROP TRIGGER log_is_append_only ON inventory_stocktransaction",
        "CREATE OR REPLACE FUNCTION inventory_is_kept() RETURNS trigger LANGUAGE plpgsql "
        "AS 'BEGIN RETURN NEW; END'",
        "ALTER TABLE inventory_stock DROP CONSTRAINT stock_available_not_negative",
        "DROP TABLE inventory_stock",
        "SET session_replication_role = replica",
        "INSERT INTO django_migrations (app, name, applied) VALUES ('api', 'other', now())",
        "UPDATE django_migrations SET name = name",
        "DELETE FROM django_migrations",
    ],
)
def test_f36_no_guard_can_be_taken_away(statement):
    assert refused(statement)


def test_t52_what_a_later_migration_makes_needs_no_grant():
    with as_owner():
        ask("CREATE TABLE later (id serial PRIMARY KEY, name text)")
        ask("CREATE FUNCTION later_twice(int) RETURNS int LANGUAGE sql AS 'SELECT 2 * $1'")

    ask("INSERT INTO later (name) VALUES ('one')")
    ask("UPDATE later SET name = 'two' WHERE id = 1")

    assert ask("SELECT later_twice(id), name FROM later") == [(2, "two")]
    ask("DELETE FROM later")
    assert refused("TRUNCATE later")


@pytest.mark.django_db(transaction=True)
def test_the_script_may_be_run_again():
    rights = "SELECT relname, relacl::text FROM pg_class WHERE relacl IS NOT NULL ORDER BY relname"
    before = ask(rights)

    run_script(ROLE_NAMED)

    assert ask(rights) == before


@pytest.mark.django_db(transaction=True)
def test_what_was_given_too_much_goes_when_the_script_is_run_again():
    def may() -> list[Any]:
        return ask(
            "SELECT name FROM unnest(%s::text[]) AS name "
            "WHERE has_table_privilege(name, 'TRUNCATE, TRIGGER, REFERENCES')",
            sorted(rights.tables()),
        )

    with as_owner():
        ask(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {ROLE_NAMED}")
    assert len(may()) == len(rights.tables())

    run_script(ROLE_NAMED)

    assert may() == []
    assert rights.beyond() == []


def test_t52_somebody_else_than_the_owner_is_told_who_is_to_run_the_script():
    """Rights that a superuser gives by default are not for what the owner makes later."""
    with pytest.raises(subprocess.CalledProcessError) as failed:
        run_script(ROLE_NAMED, "postgres")

    assert "run this as holdfast, who owns what is there" in failed.value.stderr


RIGHTS = ["SELECT", "INSERT", "UPDATE", "DELETE"]


def test_t52_what_it_needs_is_what_the_script_gives_it():
    has = ask(
        "SELECT name, privilege FROM unnest(%s::text[]) AS name, unnest(%s::text[]) AS privilege "
        "WHERE has_table_privilege(name, privilege)",
        sorted(rights.tables()),
        RIGHTS,
    )

    assert set(has) == {
        (table, right) for table in rights.tables() for right in rights.needed(table)
    }
    assert rights.lacking() == []


@pytest.mark.parametrize("table", ["orders_order", "inventory_stocktransaction", "api_jobworker"])
def test_t52_a_right_that_is_missing_is_found(table):
    for right in sorted(rights.needed(table)):
        with transaction.atomic():
            with as_owner():
                ask(f"REVOKE {right} ON {table} FROM {ROLE_NAMED}")
            assert rights.lacking() == [f"{right} on {table}"]
            transaction.set_rollback(True)


@pytest.mark.parametrize("table", SAID_LATER)
def test_t52_so_is_one_to_say_something_later(table):
    for column in SAID_LATER[table]:
        with transaction.atomic():
            with as_owner():
                ask(f"REVOKE UPDATE ({column}) ON {table} FROM {ROLE_NAMED}")
            assert rights.lacking() == [f"UPDATE ({column}) on {table}"]
            transaction.set_rollback(True)


def test_t52_so_is_one_to_count_rows():
    with transaction.atomic():
        with as_owner():
            ask(f"REVOKE USAGE ON SEQUENCE procrastinate_jobs_id_seq FROM {ROLE_NAMED}")
        assert rights.lacking() == ["USAGE on procrastinate_jobs_id_seq"]
        transaction.set_rollback(True)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("REVOKE USAGE ON SCHEMA public FROM PUBLIC, {role}", "USAGE on schema public"),
        ("SET LOCAL search_path = pg_catalog", "schema public in its search_path"),
        (
            "REVOKE EXECUTE ON FUNCTION procrastinate_cancel_job_v1 FROM PUBLIC, {role}",
            "EXECUTE on procrastinate_cancel_job_v1",
        ),
        (
            "ALTER TABLE orders_order ENABLE ROW LEVEL SECURITY",
            "all rows of orders_order, which has row level security",
        ),
    ],
)
def test_t52_so_is_what_makes_all_rights_worth_nothing(statement, told):
    with transaction.atomic():
        with as_owner():
            ask(statement.format(role=ROLE_NAMED))
        assert rights.lacking() == [told]
        transaction.set_rollback(True)


@pytest.mark.parametrize("table", ["inventory_stocktransaction", "orders_shipment", "orders_order"])
def test_a_right_to_go_around_the_guards_is_found(table):
    assert rights.beyond() == []
    for right in {"UPDATE", "DELETE", "TRUNCATE", "TRIGGER"} - rights.needed(table):
        with transaction.atomic():
            with as_owner():
                ask(f"GRANT {right} ON {table} TO {ROLE_NAMED}")
            assert rights.beyond() == [f"{right} on {table}"]
            [warning] = rights.the_role_may_do_its_work()
            transaction.set_rollback(True)
        assert (warning.id, warning.is_serious()) == ("holdfast.W018", False)


def test_a_superuser_is_no_role_to_serve_as():
    superuser = {**connection.get_connection_params(), "user": "postgres", "cursor_factory": None}
    with psycopg.connect(**superuser) as other:
        found = other.execute(rights._BEYOND, {"names": [], "rights": []}).fetchall()

    assert found == [("everything, as a superuser",)]


@pytest.mark.parametrize(
    ("which", "told"),
    [
        ("log_is_append_only", "triggers of inventory_stocktransaction"),
        ("USER", "triggers of inventory_stocktransaction"),
    ],
)
def test_a_guard_that_is_switched_off_is_an_error(which, told):
    assert rights.switched_off() == []
    with transaction.atomic():
        with as_owner():
            ask(f"ALTER TABLE inventory_stocktransaction DISABLE TRIGGER {which}")
        assert rights.switched_off() == [told]
        [error] = rights.the_role_may_do_its_work()
        transaction.set_rollback(True)

    assert (error.id, error.is_serious()) == ("holdfast.E011", True)


def of_functions() -> str:
    """Return the script's own question about functions, whose answers it runs."""
    [statement] = re.findall(r"SELECT format\('GRANT EXECUTE.*?(?=\\gexec)", SCRIPT, re.DOTALL)
    # What begins with % stands for parameters here.
    return str(statement).replace(":'app'", f"'{ROLE_NAMED}'").replace("%", "%%")


def test_t52_functions_are_for_whoever_serves_whatever_the_database_gives_by_default():
    with transaction.atomic():
        with as_owner():
            ask("CREATE FUNCTION later_twice(int) RETURNS int LANGUAGE sql AS 'SELECT 2 * $1'")
            ask("REVOKE EXECUTE ON FUNCTION later_twice FROM PUBLIC")
            for statement in ask(of_functions()):
                ask(*statement)
        assert ask("SELECT later_twice(1)") == [(2,)]
        assert refused("SELECT inventory_repair_stock(gen_random_uuid())")
        transaction.set_rollback(True)


def test_t52_it_is_an_error_before_the_shop_opens():
    with transaction.atomic():
        with as_owner():
            ask(f"REVOKE ALL ON orders_shipment, orders_cart FROM {ROLE_NAMED}")
        [error] = rights.the_role_may_do_its_work()
        transaction.set_rollback(True)

    assert error.id == "holdfast.E010"
    assert error.is_serious()
    assert "SELECT on orders_cart" in error.msg
    assert "and 2 more" in error.msg
    with as_owner():
        assert list(rights.the_role_may_do_its_work()) == []


def test_operators_are_told_of_the_script():
    told = (settings.BASE_DIR / "docs" / "operations.md").read_text()

    assert "--variable app=holdfast --file config/roles.sql" in told
