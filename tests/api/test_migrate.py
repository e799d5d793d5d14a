"""`manage.py migrate` in a shop that is open: it holds up nobody, and gets there all the same."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.core.management.commands import migrate as of_django
from django.db import OperationalError, connection, transaction
from psycopg.errors import LockNotAvailable

from api.management.commands import migrate
from tests.concurrency import PATIENCE_SECONDS, run_together, wait_until_somebody_waits
from tests.roles import as_owner

pytestmark = pytest.mark.django_db(transaction=True)

COLUMN = "ALTER TABLE orders_order ADD COLUMN colour text"
INDEX = 'CREATE INDEX CONCURRENTLY "order_by_colour" ON "orders_order" ("updated_at")'
UNDO = "ALTER TABLE orders_order DROP COLUMN IF EXISTS colour; DROP INDEX IF EXISTS order_by_colour"


@pytest.fixture
def somebody(migrating) -> Iterator[psycopg.Connection]:
    """Somebody who has written an order, and has not ended the transaction."""
    with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": None}) as other:
        other.execute("LOCK TABLE orders_order IN ROW EXCLUSIVE MODE")
        yield other


@pytest.fixture
def migrating(monkeypatch) -> Iterator[Callable[..., None]]:
    """Migrate with one statement in the place of Django's migrations."""
    monkeypatch.setattr(migrate, "LOCK_TIMEOUT", "50ms")

    def run(statement: str, pause: Callable[[float], None] = lambda seconds: None) -> None:
        def handle(self: Any, *args: Any, **options: Any) -> None:
            with connection.cursor() as cursor:
                cursor.execute(statement)

        monkeypatch.setattr(of_django.Command, "handle", handle)
        monkeypatch.setattr("time.sleep", pause)
        with as_owner():
            call_command("migrate", skip_checks=True)

    yield run
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(UNDO)


def has(what: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT FROM pg_attribute WHERE attrelid = 'orders_order'::regclass AND attname = %s"
            " UNION ALL SELECT FROM pg_index WHERE indexrelid = to_regclass(%s) AND indisvalid",
            [what, what],
        )
        return bool(cursor.rowcount)


def has_waited_longer_than_for_a_table() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted "
            "AND datname = current_database() AND waitstart < clock_timestamp() - interval '200 ms'"
        )
        return bool(cursor.rowcount)


def test_t49_it_gives_way_and_tries_again_rather_than_hold_up_the_shop(somebody, migrating, capsys):
    paused: list[float] = []

    def pause(seconds: float) -> None:
        # Nobody waits behind it, though the one for whom it waits is still there.
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '1ms'; SELECT FROM orders_order")
        paused.append(seconds)
        if len(paused) == 3:
            somebody.rollback()

    migrating(COLUMN, pause)

    assert paused == [migrate.PAUSE_SECONDS] * 3
    assert has("colour")
    assert "(3 of 100 tries)" in capsys.readouterr().err


def test_t49_without_that_the_whole_shop_would_wait_behind_it(somebody):
    """The control: Django's own command with the patience of a statement."""

    def alter() -> None:
        with as_owner(), connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = 0; " + COLUMN)

    def look() -> None:
        wait_until_somebody_waits()
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '50ms'; SELECT FROM orders_order")
        finally:
            somebody.rollback()

    altered, looked = run_together(alter, look)
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(UNDO)

    assert altered is None
    assert isinstance(looked, OperationalError)
    assert isinstance(looked.__cause__, LockNotAvailable)


def test_it_ends_with_a_sentence_when_nobody_gives_way(somebody, migrating, monkeypatch):
    monkeypatch.setattr(migrate, "TRIES", 2)

    with pytest.raises(CommandError, match="migrate again"):
        migrating(COLUMN)

    assert not has("colour")


@pytest.fixture
def another(migrating) -> Iterator[psycopg.Connection]:
    """Another machine that migrates, between two of its statements."""
    params = connection.get_connection_params() | {"cursor_factory": None}
    with psycopg.connect(**params, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [migrate.LOCK])
        yield other


def test_of_two_that_migrate_one_waits_until_the_other_has_ended(another, migrating, capsys):
    def pause(seconds: float) -> None:
        assert not has("colour")
        # As its end does.
        another.close()

    migrating(COLUMN, pause)

    assert has("colour")
    assert "Another migrate is under way (1 of 100 tries)" in capsys.readouterr().err
    # And nobody is kept out by it afterwards.
    migrating(UNDO)


def test_it_does_not_wait_for_another_one_for_ever(another, migrating, monkeypatch):
    monkeypatch.setattr(migrate, "TRIES", 2)

    with pytest.raises(CommandError, match="still under way"):
        migrating(COLUMN)

    assert not has("colour")


def test_other_errors_are_not_tried_again(migrating):
    with pytest.raises(OperationalError):
        migrating("SET LOCAL statement_timeout = 1; SELECT pg_sleep(10)")


def test_an_index_waits_for_those_who_began_before_it(somebody, migrating):
    def make() -> None:
        migrating(INDEX, pause=lambda seconds: pytest.fail("It has not waited."))

    def go() -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not has_waited_longer_than_for_a_table():
            assert time.monotonic() < deadline, "It gave way."
        somebody.rollback()

    assert run_together(make, go) == [None, None]
    assert has("order_by_colour")


def test_an_index_that_was_broken_off_is_made_anew(somebody, migrating):
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '50ms'")
        with pytest.raises(OperationalError):
            cursor.execute(INDEX)
        cursor.execute("SELECT FROM pg_class WHERE relname = 'order_by_colour'")
        assert cursor.rowcount == 1
    assert not has("order_by_colour")
    somebody.rollback()

    migrating(INDEX)

    assert has("order_by_colour")


def test_it_has_limits_of_its_own_and_what_comes_after_it_those_of_before(migrating):
    names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")

    def limits() -> list[str]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT " + ", ".join(f"current_setting('{name}')" for name in names))
            return [*cursor.fetchone()]

    before = limits()
    migrating(
        "DO $$ BEGIN ASSERT current_setting('lock_timeout') = '50ms' "
        "AND current_setting('statement_timeout') = '0' "
        "AND current_setting('idle_in_transaction_session_timeout') = '0'; END $$"
    )

    assert limits() == before
    assert "0" not in before
