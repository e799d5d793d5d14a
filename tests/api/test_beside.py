"""What a worker does beside its jobs, and how it is woken."""

import threading

import psycopg
import pytest
from django.db import OperationalError, connection
from procrastinate.contrib.django.utils import connector_params

from api import beside, news
from api.transactions import in_transaction
from config import telling

PATIENCE_SECONDS = 20


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(beside, "_registered", {})
    monkeypatch.setattr(beside, "AGAIN_SECONDS", 0)


@pytest.mark.parametrize("fault", [ValueError("broken"), OperationalError("away")])
def test_what_fails_beside_a_worker_begins_anew(registered, fault):
    calls = iter([fault, fault])
    has_come_back = threading.Event()

    def run(stop):
        if error := next(calls, None):
            raise error
        has_come_back.set()
        stop.wait(PATIENCE_SECONDS)

    beside.register("fails", run)
    with beside.running():
        assert has_come_back.wait(PATIENCE_SECONDS)


def test_what_fails_does_not_keep_the_others(registered):
    goes_on = threading.Event()

    def fails(stop):
        raise ValueError("broken")

    def works(stop):
        goes_on.set()
        stop.wait(PATIENCE_SECONDS)

    beside.register("fails", fails)
    beside.register("works", works)
    with beside.running():
        assert goes_on.wait(PATIENCE_SECONDS)


def test_the_end_of_a_worker_ends_what_is_beside_it(registered):
    has_ended = threading.Event()

    def run(stop):
        stop.wait(PATIENCE_SECONDS)
        has_ended.set()

    beside.register("waits", run)
    with beside.running():
        pass

    assert has_ended.is_set()


@in_transaction
def _anything() -> None:
    connection.ensure_connection()


@pytest.fixture
def listener(transactional_db):
    with psycopg.connect(**connector_params(), autocommit=True) as connection:
        connection.execute(f"LISTEN {news.TOLD}")
        yield connection


def test_a_commit_of_a_web_server_wakes_whoever_waits(listener):
    with telling.apart():
        _anything()
        heard = list(listener.notifies(timeout=PATIENCE_SECONDS, stop_after=1))

    assert [notice.channel for notice in heard] == [news.TOLD]


def test_many_commits_of_a_moment_wake_once(listener):
    with telling.apart():
        for _ in range(20):
            _anything()
        assert list(listener.notifies(timeout=PATIENCE_SECONDS, stop_after=1))

    assert len(list(listener.notifies(timeout=0.1))) <= 1


def test_nobody_notifies_inside_a_transaction_or_where_no_thread_does_it(listener):
    _anything()

    assert not list(listener.notifies(timeout=0.1))


def test_who_waits_hears_of_it_and_else_waits_for_the_time_alone(transactional_db):
    waiter = news.Waiter(news.TOLD)
    stop = threading.Event()
    waiter.wait(0, stop)
    with connection.cursor() as cursor:
        cursor.execute(f"NOTIFY {news.TOLD}")
    # Else this would take so long.
    waiter.wait(PATIENCE_SECONDS, stop)
    lost = waiter._connection
    assert lost
    lost.close()
    waiter.wait(0, stop)
    waiter.wait(0, stop)

    assert waiter._connection not in {None, lost}
    waiter.close()
