import threading
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg.errors
import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from procrastinate.contrib.django import app
from procrastinate.exceptions import ConnectorException

from api import services
from api.errors import Busy, Conflict
from api.models import ApiClient
from api.services import ClientIdTaken
from api.transactions import (
    ATTEMPTS,
    Stale,
    assert_in_transaction,
    assert_no_transaction,
    in_transaction,
)
from inventory.errors import SkuTaken
from inventory.models import Price, Product
from payments.services import audit
from tests.concurrency import PATIENCE_SECONDS, run_together
from tests.factories import MERCHANT, api_client, product
from tests.http import administrator

pytestmark = pytest.mark.django_db(transaction=True)


def _execute(sql: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def _rename(client_id: str, name: str) -> None:
    ApiClient.objects.filter(client_id=client_id).update(name=name)


def _name(client_id: str) -> str:
    return ApiClient.objects.get(client_id=client_id).name


def _failing(times: int, failure: Callable[[], object]) -> tuple[Callable[[], str], list[int]]:
    """Make a service that writes and then fails, the first times, and the list of its tries."""
    tries: list[int] = []

    @in_transaction
    def service() -> str:
        tries.append(len(tries) + 1)
        _rename("shop", f"try {len(tries)}")
        if len(tries) <= times:
            failure()
        return "done"

    return service, tries


def _be_stale() -> None:
    raise Stale


# Committed, or nothing.


def test_a_service_is_committed_when_it_returns():
    api_client(client_id="shop")

    in_transaction(partial(_rename, "shop", "New"))()

    assert not connection.in_atomic_block
    assert run_together(partial(_name, "shop")) == ["New"]


def test_a_service_that_raises_leaves_nothing():
    api_client(client_id="shop", name="Old")
    service, tries = _failing(1, lambda: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        service()

    assert (_name("shop"), tries) == ("Old", [1])


def test_a_service_begins_its_own_transaction_and_never_joins_another():
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable atomic block"):
        services.create_client("shop", "Shop", actor=MERCHANT)

    assert not ApiClient.objects.exists()


# Tried again.


def test_a_stale_read_is_tried_again():
    api_client(client_id="shop")
    service, tries = _failing(2, _be_stale)

    assert service() == "done"
    assert tries == [1, 2, 3]
    assert _name("shop") == "try 3"


def test_the_last_failed_try_says_that_the_server_is_busy():
    api_client(client_id="shop", name="Old")
    service, tries = _failing(ATTEMPTS, _be_stale)

    with pytest.raises(Busy) as refusal:
        service()

    assert tries == [1, 2, 3]
    assert refusal.value.retry_after_seconds == 1
    assert isinstance(refusal.value.__cause__, Stale)
    assert _name("shop") == "Old"


def test_a_lock_that_is_waited_for_too_long_is_tried_again_and_then_busy():
    api_client(client_id="shop")
    tries = []

    @in_transaction
    def want_the_same() -> None:
        tries.append(1)
        _execute("SET LOCAL lock_timeout = '50ms'")
        _rename("shop", "Mine")

    with transaction.atomic():
        ApiClient.objects.select_for_update().get(client_id="shop")
        [outcome] = run_together(want_the_same)

    assert isinstance(outcome, Busy)
    assert isinstance(outcome.__cause__, OperationalError)
    assert isinstance(outcome.__cause__.__cause__, psycopg.errors.LockNotAvailable)
    assert len(tries) == ATTEMPTS


def test_whoever_waits_too_long_to_leave_a_job_to_the_worker_is_tried_again_too():
    tries = []

    @in_transaction
    def leave_it_to_the_worker() -> None:
        tries.append(1)
        _execute("SET LOCAL lock_timeout = '50ms'")
        app.configure_task(audit.JOB).defer(timestamp=0)

    with transaction.atomic():
        _execute("LOCK TABLE procrastinate_jobs")
        [outcome] = run_together(leave_it_to_the_worker)

    assert isinstance(outcome, Busy)
    assert isinstance(outcome.__cause__, ConnectorException)
    assert len(tries) == ATTEMPTS


def test_a_lock_that_is_free_again_by_the_next_try_is_taken():
    api_client(client_id="shop")
    has_failed, is_free = threading.Event(), threading.Event()
    tries = []

    @in_transaction
    def want_the_same() -> None:
        tries.append(1)
        if len(tries) == 2:
            has_failed.set()
            assert is_free.wait(PATIENCE_SECONDS)
        _execute("SET LOCAL lock_timeout = '50ms'")
        _rename("shop", "Mine")

    def hold() -> None:
        with transaction.atomic():
            _rename("shop", "Yours")
            has_locked.wait()
            assert has_failed.wait(PATIENCE_SECONDS)
        is_free.set()

    def want_when_locked() -> None:
        has_locked.wait()
        want_the_same()

    has_locked = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    assert run_together(hold, want_when_locked) == [None, None]
    assert len(tries) == 2
    assert _name("shop") == "Mine"


def test_the_loser_of_a_deadlock_is_tried_again():
    for client_id in ("left", "right"):
        api_client(client_id=client_id)
    both_have_one = threading.Barrier(2, timeout=PATIENCE_SECONDS)
    tries = []

    @in_transaction
    def lock_both(first: str, second: str) -> None:
        tries.append(first)
        _rename(first, "New")
        if tries.count(first) == 1:
            both_have_one.wait()
        _rename(second, "New")

    outcomes = run_together(
        partial(lock_both, "left", "right"), partial(lock_both, "right", "left")
    )

    assert outcomes == [None, None]
    assert len(tries) == 3


def test_a_transaction_that_cannot_be_serialized_is_tried_again():
    api_client(client_id="shop")
    tries = []

    @in_transaction
    def read_then_write() -> None:
        tries.append(1)
        _execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        _name("shop")
        if len(tries) == 1:
            assert run_together(partial(_rename, "shop", "Yours")) == [None]
        _rename("shop", "Mine")

    read_then_write()

    assert len(tries) == 2
    assert _name("shop") == "Mine"


# Not tried again.


def test_a_statement_that_takes_too_long_is_not_tried_again():
    api_client(client_id="shop")

    def take_too_long() -> None:
        _execute("SET LOCAL statement_timeout = '20ms'")
        _execute("SELECT pg_sleep(10)")

    service, tries = _failing(ATTEMPTS, take_too_long)

    with pytest.raises(OperationalError) as error:
        service()

    assert isinstance(error.value.__cause__, psycopg.errors.QueryCanceled)
    assert tries == [1]


def _lose_the_connection() -> None:
    """End this connection's session from another one, and wait until it has ended."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [session] = cursor.fetchone()
    patience_ms = PATIENCE_SECONDS * 1000

    ended = run_together(
        partial(_query, "SELECT pg_terminate_backend(%s, %s)", session, patience_ms)
    )

    assert ended == [True]


def _query(sql: str, *parameters: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchone()[0]


def test_f19_a_connection_lost_in_the_middle_is_not_tried_again():
    api_client(client_id="shop", name="Old")

    def lose_it_in_the_middle() -> None:
        _lose_the_connection()
        _name("shop")

    service, tries = _failing(ATTEMPTS, lose_it_in_the_middle)

    [outcome] = run_together(service)

    assert isinstance(outcome, OperationalError)
    assert tries == [1]
    assert _name("shop") == "Old"


def test_f19_a_connection_lost_at_commit_is_not_tried_again():
    api_client(client_id="shop", name="Old")
    service, tries = _failing(ATTEMPTS, _lose_the_connection)

    [outcome] = run_together(service)

    assert isinstance(outcome, OperationalError)
    assert tries == [1]
    assert _name("shop") == "Old"


def test_f19_a_thread_that_lost_its_connection_gets_a_new_one_for_its_next_work():
    api_client(client_id="shop", name="Old")
    service, _ = _failing(1, _lose_the_connection)

    def work_twice() -> str:
        with pytest.raises(OperationalError):
            service()
        return service()

    assert run_together(work_twice) == ["done"]
    assert _name("shop") == "try 2"


# Constraints.


def test_a_violated_constraint_becomes_the_refusal_that_names_it():
    services.create_client("shop", "Shop", actor=MERCHANT)

    with pytest.raises(ClientIdTaken):
        services.create_client("shop", "Another", actor=MERCHANT)


def test_a_refusal_of_any_app_is_found_by_its_constraint():
    product(sku="SHIRT")

    with pytest.raises(SkuTaken) as refusal:
        product(sku="SHIRT", slug="another")

    assert isinstance(refusal.value.__cause__, IntegrityError)


@pytest.mark.parametrize(
    "violate",
    [
        lambda made: made.stocks.create(),
        lambda made: Price.objects.create(product_id=uuid.uuid4(), currency_id="USD", amount=1),
        lambda made: made.delete(),
    ],
    ids=["unique", "foreign key, at the commit", "protected"],
)
def test_a_violated_key_that_no_refusal_names_is_a_conflict_and_leaves_nothing(violate):
    made = product(name="Shirt")

    @in_transaction
    def rename_and_violate() -> None:
        Product.objects.update(name="Hat")
        violate(made)

    with pytest.raises(Conflict):
        rename_and_violate()

    assert Product.objects.get().name == "Shirt"


@pytest.mark.parametrize("wrong", [{"name": None}, {"low_stock_threshold": -1}])
def test_a_violated_check_that_no_refusal_names_is_a_loud_error(wrong):
    made = product()

    with pytest.raises(IntegrityError):
        in_transaction(Product.objects.filter(pk=made.pk).update)(**wrong)


def test_a_conflict_is_not_the_answer_to_its_key(monkeypatch):
    def conflicting(*args: object, **more: object) -> None:
        raise Conflict

    path = f"/v2/inventories/{product(managed=False).pk}"
    back_office = administrator()
    with monkeypatch.context() as once:
        once.setattr("inventory.services.products.start_managing", conflicting)
        first = back_office.post(path, {"quantity": 5}, key="click")

    again = back_office.post(path, {"quantity": 5}, key="click")

    assert (first.status_code, first["Retry-After"]) == (409, "1")
    assert again.status_code == 201
    assert "Idempotent-Replayed" not in again


# Assertions.


def test_inner_services_assert_the_transaction_of_their_caller():
    with transaction.atomic():
        assert_in_transaction()

    with pytest.raises(AssertionError):
        assert_in_transaction()


def test_whoever_asks_outside_asserts_that_no_transaction_is_open():
    assert_no_transaction()

    with transaction.atomic(), pytest.raises(AssertionError):
        assert_no_transaction()


@pytest.mark.django_db(transaction=False)
def test_the_transaction_that_a_test_is_wrapped_in_does_not_count():
    assert_no_transaction()
