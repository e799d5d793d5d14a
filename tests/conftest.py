import gc
import os
from collections.abc import Generator, Iterator
from itertools import compress
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test import TransactionTestCase
from psycopg import sql
from pytest_django.plugin import DjangoDbBlocker

from api import clock, store, tokens
from inventory.models import DEFAULT_LOCATION_ID, Currency, Location
from inventory.services import currencies, stock_value
from payments import gateways
from payments.gateways import deadline
from payments.models import Gateway
from payments.services import installation
from tests import books, fake_stripe, roles
from tests.database import ROLE
from tests.fake_gateway import FakeGateway
from tests.fake_stripe import FakeStripe
from tests.http import Api, administrator, shopper

# What the migrations lay and no transactional test changes.
KEPT = {
    "django_migrations",
    "django_content_type",
    "auth_permission",
    "auth_group",
    "auth_group_permissions",
}

# What `lay_the_first_rows` fills, and few tests change.
FIRST_FILLED = ("inventory_location", "inventory_currency", "payments_gateway")

# Whose rows a trigger keeps from being deleted.
APPEND_ONLY = (
    *("inventory_stock", "inventory_stocktransaction", "inventory_stockcount"),
    *("inventory_deliveryline", "orders_orderevent", "orders_shipment", "orders_shipmentline"),
    *("orders_return", "orders_returnline", "api_change"),
)


def pytest_configure() -> None:
    # Every test client loads the middleware, and this one would look at each static file there is.
    settings.WHITENOISE_AUTOREFRESH = True
    # On a slow machine a test that counts statements would meet one that reads the settings again.
    settings.CLIENT_CACHE_SECONDS = 3600
    # Half a second for each password that is set or checked: what starts as a program takes it.
    settings.PASSWORD_HASHERS = ["tests.passwords.QuickOneAtATime"]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # The longest first: at the end of the run, what starts other programs would keep one process
    # working while the others have nothing left; and so would, of the browser tests, the tour, and
    # of the rest what goes through all pages for each role.
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    if item.get_closest_marker("processes") or item.path.stem == "test_tour":
        return 0
    return 1 if item.get_closest_marker("thorough") else 2


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    # All that is imported and collected stays: to look through it again and again for garbage takes
    # a fifth of the time, before as after.
    collected = yield
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    gc.enable()
    return collected


# What the first of all processes has migrated, and the others copy.
MIGRATED = "holdfast_migrated"


@pytest.fixture(scope="session")
def at_the_server(django_db_modify_db_settings: None) -> "Iterator[psycopg.Connection[Any] | None]":
    """While one makes its database the others wait, and then have no more to do than to copy it.

    But for a server of somebody's own, where what is left would serve the next run, too.
    """
    if not os.environ.get(ROLE):
        yield None
        return
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as mine:
        mine.execute("SELECT pg_advisory_lock(1)")
        if mine.execute("SELECT 1 FROM pg_database WHERE datname = %s", [MIGRATED]).fetchone():
            connection.settings_dict["TEST"]["TEMPLATE"] = MIGRATED
        yield mine


@pytest.fixture(scope="session")
def django_db_setup(
    at_the_server: "psycopg.Connection[Any] | None",
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[None]:
    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch:
        if at_the_server:
            let_the_next_come(at_the_server)
        lay_the_first_rows()
        forget_what_was_to_be_told()
        first_rows = told_first_rows()
        books.learn_what_the_audit_asks()
        patch.setattr(
            TransactionTestCase, "_fixture_teardown", lambda test: leave_the_first_rows(first_rows)
        )
        # Django would go on with a new connection, which has to learn what all tables look like:
        # 30 ms. Here one is kept for as long as it is good, as in production.
        patch.setattr(TransactionTestCase, "_should_reload_connections", lambda test: False)
        with roles.serving():
            yield


def let_the_next_come(mine: "psycopg.Connection[Any]") -> None:
    database = connection.settings_dict
    if not database["TEST"].get("TEMPLATE"):
        # What others are connected to cannot be copied.
        connection.close()
        mine.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(MIGRATED), sql.Identifier(database["NAME"])
            )
        )
    mine.close()


@pytest.fixture(autouse=True)
def books_agree(request: pytest.FixtureRequest) -> Iterator[None]:
    """After every test with a database: the log replays to the stock, the stock to the orders."""
    uses_database = request.node.get_closest_marker("django_db") or {
        "db",
        "transactional_db",
        "live_server",
    } & set(request.fixturenames)
    if not uses_database:
        yield
        return
    transactional = _is_transactional(request)
    request.getfixturevalue("transactional_db" if transactional else "db")
    tokens.forget_clients()
    currencies.forget()
    stock_value.forget()
    store.forget()
    # Before any test that counts statements: its gateways are open, and known to be.
    installation.require_open()
    yield
    if not request.node.get_closest_marker("tampers_with_the_books"):
        if connection.in_atomic_block:
            connection.check_constraints()
        assert books.differences() == []


def _is_transactional(request: pytest.FixtureRequest) -> bool:
    marker = request.node.get_closest_marker("django_db")
    if marker and marker.kwargs.get("transaction"):
        return True
    return bool({"transactional_db", "live_server"} & set(request.fixturenames))


@pytest.fixture
def impatient() -> Iterator[None]:
    """Nobody waits for a slow gateway: it has not answered in time as soon as it is asked."""
    with deadline.at_most(0):
        yield


@pytest.fixture
def back_office(books_agree: None) -> Api:
    """The API as an administrator calls it."""
    return administrator()


@pytest.fixture
def storefront(books_agree: None) -> Api:
    """The API as a shopper calls it."""
    return shopper()


@pytest.fixture
def gateway(books_agree: None, monkeypatch: pytest.MonkeyPatch) -> FakeGateway:
    """The enabled gateway `fake`, beside those that there are."""
    fake = FakeGateway()
    known = {**gateways.adapters(), "fake": fake}
    monkeypatch.setattr(gateways, "adapters", lambda: known)
    Gateway.objects.create(slug="fake", name="Fake", enabled=True)
    return fake


@pytest.fixture(scope="session")
def stripe_server() -> Iterator[FakeStripe]:
    with fake_stripe.serving() as server:
        yield server


@pytest.fixture
def stripe(books_agree: None, stripe_server: FakeStripe, settings) -> FakeStripe:
    """Stripe's stand-in, with nothing in its books, and the gateway `stripe` enabled for it."""
    stripe_server.reset()
    settings.STRIPE_SECRET_KEY = fake_stripe.API_KEY
    settings.STRIPE_PUBLISHABLE_KEY = "pk_test_fake"
    settings.STRIPE_WEBHOOK_SECRET = fake_stripe.WEBHOOK_SECRET
    settings.STRIPE_API_BASE = stripe_server.url
    Gateway.objects.filter(slug="stripe").update(enabled=True)
    return stripe_server


def told_first_rows() -> str:
    """Write down what is in the tables that are filled from the beginning."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_FIRST_ROWS}")
        [told] = cursor.fetchone()
    return str(told)


_FIRST_ROWS = " || ".join(
    f"coalesce((SELECT string_agg(t::text, ' ' ORDER BY t::text) FROM {table} AS t), '')"
    for table in FIRST_FILLED
)


def leave_the_first_rows(first_rows: str = "") -> None:
    """Take away what has been committed, at a tenth of what Django's flush costs.

    That one truncates every table, filled or not, and makes all permissions anew. Here the first
    rows stay, if they are as they were and the caller says so, and triggers are let alone where
    there is nothing that they would keep: to switch one off costs the plans of every statement.
    """
    connection.close_if_unusable_or_obsolete()
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    tables = [*sorted(set(names) - KEPT), "procrastinate_jobs"]
    with roles.as_owner(), transaction.atomic(), connection.cursor() as cursor:
        are_filled = ", ".join(f"EXISTS (SELECT FROM {table})" for table in tables)
        cursor.execute(f"SELECT {_FIRST_ROWS}, {are_filled}")
        told, *answers = cursor.fetchone()
        filled = set(compress(tables, answers))
        if told == first_rows:
            filled -= {*FIRST_FILLED}
        kept = [table for table in APPEND_ONLY if table in filled]
        for statement in (
            *(f"ALTER TABLE {table} DISABLE TRIGGER USER" for table in kept),
            *(f"DELETE FROM {table}" for table in sorted(filled)),
            "SET CONSTRAINTS ALL IMMEDIATE",
            *(f"ALTER TABLE {table} ENABLE TRIGGER USER" for table in kept),
        ):
            cursor.execute(statement)
        if told != first_rows:
            lay_the_first_rows()
        forget_what_was_to_be_told()


def forget_what_was_to_be_told() -> None:
    """To lay rows, and to take them away, is a change like any other."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM events_outbox")


def lay_the_first_rows() -> None:
    """What the migrations lay, with the gateways that tests expect to be enabled."""
    now = clock.now()
    Location.objects.get_or_create(
        pk=DEFAULT_LOCATION_ID, defaults={"slug": "default", "name": "Default"}
    )
    Currency.objects.get_or_create(
        code="USD",
        defaults={"format": "${price}", "default": True, "created_at": now, "updated_at": now},
    )
    Gateway.objects.update_or_create(slug="manual", defaults={"name": "Manual", "enabled": True})
    Gateway.objects.update_or_create(slug="stripe", defaults={"name": "Stripe", "enabled": False})
    Gateway.objects.update_or_create(slug="test", defaults={"name": "Test", "enabled": True})
