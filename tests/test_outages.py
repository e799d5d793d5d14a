"""A database that is away, full, or only reads: what callers, people and the log are told of it."""

import io
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import InternalError, OperationalError, connection
from procrastinate.exceptions import ConnectorException

from api import errors
from api.errors import answer_exception
from api.views import FORM
from config import outages
from config.supervisor import PROJECT
from tests import way
from tests.concurrency import PATIENCE_SECONDS
from tests.factories import product
from tests.http import administrator, shopper
from tests.roles import as_owner

PAGES = ("/health/ready", "/admin/", "/admin/login/", "/admin/orders/order/", "/")


@pytest.fixture(autouse=True)
def _told_anew() -> None:
    outages._away.forget()
    errors._given_up.forget()


@contextmanager
def away(folder: Any) -> Iterator[None]:
    """Nobody listens where the database should be."""
    kept = connection.settings_dict["HOST"]
    connection.close()
    connection.settings_dict["HOST"] = str(folder)
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["HOST"] = kept


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    """What goes to standard error meanwhile."""
    [handler] = [
        each
        for each in logging.getLogger().handlers
        if any(isinstance(kept, outages.Echoes) for kept in each.filters)
    ]
    assert isinstance(handler, logging.StreamHandler)
    said = io.StringIO()
    before = handler.setStream(said)
    yield said
    handler.setStream(before)


@pytest.mark.django_db(transaction=True)
def test_t46_a_database_that_is_away_is_503_for_every_way_in_and_one_short_line(
    tmp_path, said, client
):
    api = shopper()
    # It would raise what the server answers.
    client.raise_request_exception = False
    form = "grant_type=implicit&client_id=demo-storefront"

    with away(tmp_path):
        answers = {path: client.get(path) for path in PAGES}
        answers["token"] = client.post("/oauth/access_token", form, content_type=FORM)
        answers["products"] = api.get("/v2/products")

    told = {path: answer.status_code for path, answer in answers.items()}
    assert told == dict.fromkeys(answers, 503)
    assert {answer["Retry-After"] for answer in answers.values()} == {"1"}
    assert "Its database is away" in answers["/admin/"].content.decode()
    [line] = said.getvalue().splitlines()
    assert "event='database_away'" in line
    assert len(line) < 600


def test_the_next_line_tells_how_many_it_stands_for(caplog):
    line = outages.OnceASecond("tests", "error", "it_happened")

    for _ in range(3):
        line.tell(what="this")
    line.told_at = -1e9
    line.tell(what="that")

    first, second = (record.getMessage() for record in caplog.records)
    assert ("'times': 1" in first, "'what': 'this'" in first) == (True, True)
    assert ("'times': 3" in second, "'what': 'that'" in second) == (True, True)


def test_it_counts_what_many_threads_say_at_once(caplog):
    line = outages.OnceASecond("tests", "error", "it_happened")
    threads = [threading.Thread(target=line.tell) for _ in range(20)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert len(caplog.records) == 1
    assert line.times == 19


STATES = ["53100", "53200", "53300", "57P01", "57P02", "57P03", "08006", "58030", "25006"]


@pytest.mark.parametrize("kind", [OperationalError, InternalError, ConnectorException])
@pytest.mark.parametrize("state", STATES)
def test_t46_a_full_disk_or_no_connection_left_is_a_database_that_is_away(kind, state):
    error = kind()
    error.__cause__ = psycopg.errors.lookup(state)("no")

    response = answer_exception(error, {})

    assert response is not None
    assert (response.status_code, response["Retry-After"]) == (503, "1")
    assert response.data["errors"][0]["code"] == "database_away"


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No cart can be written any more, as PostgreSQL says it of a disk without room."""
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION is_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE "
            "'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$"
        )
        cursor.execute(
            "CREATE TRIGGER is_full BEFORE INSERT ON orders_cart "
            "FOR EACH ROW EXECUTE FUNCTION is_full()"
        )
    yield
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION is_full CASCADE")


@pytest.mark.django_db(transaction=True)
def test_t46_a_full_disk_is_503_and_what_is_only_read_goes_on(full_disk, said):
    shirt = product(5)
    api = shopper()
    item = {"type": "cart_item", "id": str(shirt.pk), "quantity": 1}

    answers = [api.post(f"/v2/carts/c{number}/items", item) for number in range(5)]

    assert {answer.status_code for answer in answers} == {503}
    assert {answer["Retry-After"] for answer in answers} == {"1"}
    assert api.get(f"/v2/products/{shirt.pk}").status_code == 200
    [line] = said.getvalue().splitlines()
    assert "No space left on device" in line


@pytest.mark.django_db(transaction=True)
def test_t45_the_connection_to_a_server_that_only_reads_is_not_kept():
    """As one that was the primary, and stands by for another now."""
    api = administrator()
    shirt = product(5)
    path, body = f"/v2/inventories/{shirt.pk}/transactions", {"action": "increment", "quantity": 1}
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    stale = connection.connection

    refused = api.post(path, body)
    again = api.post(path, body)

    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (503, "database_away")
    assert stale.closed
    assert again.status_code == 200


def test_a_traceback_of_anything_else_is_written():
    echoes = outages.Echoes()
    lost, broken = OperationalError(), ZeroDivisionError()
    lost.__cause__ = psycopg.errors.AdminShutdown()

    def passes(error: Exception, **more: Any) -> bool:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "", (), (type(error), error, None))
        record.__dict__.update(more)
        return echoes.filter(record)

    assert not passes(lost)
    assert passes(broken)
    assert passes(broken, name="django.request", status_code=500)


def test_t46_what_the_driver_says_of_a_connection_that_breaks_is_no_line_of_its_own():
    assert not logging.getLogger("psycopg").isEnabledFor(logging.WARNING)
    assert not logging.getLogger("psycopg.pool").isEnabledFor(logging.WARNING)
    assert logging.getLogger("psycopg").isEnabledFor(logging.ERROR)


# Processes.


def run(*command: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=PROJECT,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


POOL = """
import django
django.setup()
from django.db import connection
from time import sleep
connection.pool.open()
while connection.pool.get_stats().get("connections_errors", 0) < 8: sleep(0.05)
print("tried", flush=True)
with connection.cursor() as cursor:
    cursor.execute("SELECT 1")
print("served", flush=True)
"""


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_t45_a_pool_tries_again_as_often_after_a_long_outage_as_after_a_short_one():
    """Of itself it would try the eighth time after two minutes."""
    with way.to_the_database() as road:
        environment = {"DATABASE_URL": road.url, "DJANGO_SETTINGS_MODULE": "config.settings"}
        process = run("-c", POOL, DATABASE_POOL_SIZE="2", **environment)
        assert process.stdout is not None
        watch = threading.Timer(PATIENCE_SECONDS, process.kill)
        watch.start()
        assert process.stdout.readline() == "tried\n"
        road.open()
        assert process.stdout.readline() == "served\n"
        watch.cancel()
        process.communicate()


RESTARTED = """
import os, threading
import django
import psycopg
django.setup()
from django.db import OperationalError, connection

def ask():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]

asked, both = [], threading.Barrier(2)

def take_one():
    asked.append(ask())
    both.wait()
    connection.close()

threads = [threading.Thread(target=take_one) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as other:
    for pid in asked:
        # Until it has gone.
        other.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
failed = 0
for _ in range(4):
    try:
        ask()
    except OperationalError:
        failed += 1
    finally:
        connection.close()
print(len(set(asked)), "were cut,", failed, "failed")
"""


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_t45_one_connection_that_was_cut_tells_of_all_in_the_pool():
    """Otherwise each of them fails a call, however long the server has been back."""
    process = run("-c", RESTARTED, DATABASE_POOL_SIZE="2", DJANGO_SETTINGS_MODULE="config.settings")
    told, _ = process.communicate(timeout=PATIENCE_SECONDS)

    assert told == "2 were cut, 1 failed\n"


COMMANDS = [
    *(["settle_pending_payments"], ["reconcile_payments"], ["audit_inventory"]),
    *(["create_api_client", "erp"], ["changepassword", "somebody"], ["migrate"], ["load_demo"]),
    ["createsuperuser", "--noinput", "--username=me", "--email=me@example.com"],
]


@pytest.mark.processes
@pytest.mark.parametrize("pool", ["0", "2"])
def test_where_no_database_answers_a_command_says_so_in_a_sentence(tmp_path, pool):
    nowhere = f"postgresql://me@{way.quoted(tmp_path)}/shop"
    started = [
        run("manage.py", *command, DATABASE_URL=nowhere, DATABASE_POOL_SIZE=pool)
        for command in (COMMANDS if pool == "0" else COMMANDS[:1])
    ]

    for process in started:
        _, said = process.communicate(timeout=10 * PATIENCE_SECONDS)
        sentence = said.splitlines()[-1]
        assert process.returncode == 2, said
        assert sentence.startswith("The database cannot be used now: connection ")
        assert "No such file or directory" in sentence
        assert "Traceback" not in said


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("limit", "statement"),
    [
        ("statement_timeout", "SELECT pg_sleep(10)"),
        ("lock_timeout", "SELECT pg_advisory_xact_lock(46)"),
    ],
)
def test_t46_what_is_only_read_and_waits_too_long_is_503_and_a_line(limit, statement, said):
    """A table that somebody has locked, or a statement that is too slow."""
    product(stock=1)
    api = shopper()

    def slow(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if 'FROM "inventory_product"' not in sql:
            return execute(sql, params, many, context)
        execute(f"SET {limit} = '20ms'", (), False, context)
        try:
            return execute(statement, (), False, context)
        finally:
            execute(f"RESET {limit}", (), False, context)

    with psycopg.connect(way.url()) as other, connection.execute_wrapper(slow):
        other.execute("SELECT pg_advisory_lock(46)")
        answer = api.get("/v2/products")

    assert answer.status_code == 503
    assert answer["Retry-After"] == "1"
    assert answer.json()["errors"][0]["code"] == "busy"
    [line] = said.getvalue().splitlines()
    assert "event='statement_given_up'" in line
    assert "timeout" in line
