import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client, RequestFactory, override_settings
from django.test.utils import CaptureQueriesContext

from api import limits, purging
from api.models import CallCount
from tests import factories
from tests.concurrency import run_together
from tests.http import ask_for_token, shopper, statements

HERE = "127.0.0.1"


@pytest.fixture(autouse=True)
def one_long_period(settings: Any) -> Iterator[None]:
    """Counts that end with the test and not in its midst, and processes that know of none."""
    settings.LIMIT_SECONDS = 1_000_000_000
    settings.LIMITS = {"token": 0, "checkout": 0, "payment": 0}
    settings.REQUEST_LIMIT = 0
    limits.forget()
    yield
    limits.forget()


def spend(kind: str, address: str = HERE) -> None:
    limits.count(RequestFactory().get("/", REMOTE_ADDR=address), kind)


def calls_allowed(kind: str, address: str = HERE) -> int:
    for allowed in range(10_000):
        try:
            spend(kind, address)
        except limits.TooManyRequests:
            return allowed
    raise AssertionError("no limit")


@pytest.mark.processes
def test_by_default_five_hundred_checkouts_and_payments_pass_within_ten_seconds(
    settings: Any,
):
    told = (
        "import config.settings as s; "
        "print(s.LIMIT_SECONDS, *(s.LIMITS[kind] for kind in ('token', 'checkout', 'payment')))"
    )
    environment = {"HOLDFAST_DEMO": "1", "PATH": os.environ["PATH"]}

    run = subprocess.run(
        [sys.executable, "-c", told],
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        check=True,
        text=True,
    )
    seconds, *defaults = map(int, run.stdout.split())

    assert seconds == 10
    # Processes hold blocks that they may not use: leave room for ten of them.
    assert all(limit * (1 - 10 / limits.BLOCKS) >= 500 for limit in defaults)


def test_calls_beyond_the_limit_are_refused_with_the_time_to_wait(db: None, settings: Any):
    settings.LIMITS = {"token": 2}
    storefront = factories.api_client(secret="")
    form = {"grant_type": "implicit", "client_id": storefront.client_id}

    answers = [ask_for_token(**form) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json() == {
        "errors": [
            {
                "status": 429,
                "title": "Too Many Requests",
                "detail": "Too many requests from this address. Please wait and try again.",
                "code": "too_many_requests",
            }
        ]
    }
    assert 0 < int(answers[2]["Retry-After"]) <= 1_000_000_000


def test_the_kinds_are_counted_apart(db: None, settings: Any):
    settings.LIMITS = {"token": 0, "checkout": 1, "payment": 1}
    buyer = shopper()
    cart = factories.filled_cart({factories.product(stock=9): 1})

    order = buyer.check_out(cart).json()["data"]["id"]
    second_checkout = buyer.check_out(cart)
    first_payment = buyer.pay(order)
    second_payment = buyer.pay(order)

    assert second_checkout.status_code == 429
    assert first_payment.status_code == 200
    assert second_payment.status_code == 429


def test_a_call_refused_for_the_moment_is_not_remembered_for_its_key(db: None, settings: Any):
    settings.LIMITS = {"token": 0, "checkout": 1}
    buyer = shopper()
    cart = factories.filled_cart({factories.product(stock=9): 1})
    buyer.check_out(cart)
    refused = buyer.check_out(cart, key="once")
    settings.LIMITS = {"token": 0, "checkout": 0}

    later = buyer.check_out(cart, key="once")

    assert refused.status_code == 429
    assert later.status_code == 201
    assert "Idempotent-Replayed" not in later


def test_processes_share_a_count(db: None, settings: Any):
    settings.LIMITS = {"checkout": 10}

    for _ in range(4):
        spend("checkout")
    # Another process starts, and knows nothing.
    limits.forget()

    assert calls_allowed("checkout") == 6


def test_blocks_of_permits_never_add_up_to_more_than_the_limit(db: None, settings: Any):
    settings.LIMITS = {"checkout": 1_015}

    assert calls_allowed("checkout") == 1_015
    limits.forget()
    assert calls_allowed("checkout") == 0


def test_most_calls_cost_no_statement_and_a_flood_none(db: None, settings: Any):
    settings.LIMITS = {"checkout": 1_000}

    def a_block_of_calls() -> None:
        for _ in range(20):
            spend("checkout")

    assert statements(a_block_of_calls) == 1
    calls_allowed("checkout")
    assert statements(lambda: calls_allowed("checkout")) == 0


def test_addresses_are_counted_apart(db: None, settings: Any):
    settings.LIMITS = {"checkout": 2}

    assert calls_allowed("checkout", "192.0.2.1") == 2
    assert calls_allowed("checkout", "192.0.2.2") == 2


def test_a_new_period_begins_at_nothing(db: None, settings: Any):
    settings.LIMITS = {"checkout": 2}
    calls_allowed("checkout")
    CallCount.objects.update(period=-1)
    limits.forget()

    assert calls_allowed("checkout") == 2


def test_a_process_that_drops_its_permits_goes_on_counting(
    db: None, settings: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(limits, "ADDRESSES_MAX", 1)
    settings.LIMITS = {"checkout": 3}

    spend("checkout", "192.0.2.1")
    spend("checkout", "192.0.2.2")

    assert calls_allowed("checkout", "192.0.2.1") == 2


@pytest.mark.django_db(transaction=True)
def test_callers_at_the_same_moment_get_no_more_than_the_limit(settings: Any):
    settings.LIMITS = {"checkout": 40}
    allowed: list[int] = []
    one_at_a_time = threading.Lock()

    def call() -> None:
        passed = 0
        for _ in range(10):
            try:
                spend("checkout")
            except limits.TooManyRequests:
                continue
            passed += 1
        with one_at_a_time:
            allowed.append(passed)

    run_together(*[call] * 8)

    assert sum(allowed) == 40


def test_every_other_call_is_counted_in_its_process(db: None, settings: Any):
    settings.REQUEST_LIMIT = 2
    buyer = shopper()

    answers = [buyer.get("/v2/products") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert CallCount.objects.count() == 0


def test_a_call_without_a_token_counts_as_well(settings: Any):
    settings.REQUEST_LIMIT = 1

    answers = [Client().get("/v2/products") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [401, 429]


def test_health_is_told_however_often_it_is_asked(settings: Any):
    settings.REQUEST_LIMIT = 1

    assert [Client().get("/health/live").status_code for _ in range(3)] == [200, 200, 200]


def test_a_count_that_is_over_is_purged(db: None, settings: Any):
    settings.LIMITS = {"checkout": 2}
    spend("checkout", "192.0.2.1")
    spend("checkout", "192.0.2.2")
    CallCount.objects.filter(address="192.0.2.1").update(period=-9)

    assert limits.purge() == 1
    assert [row.address for row in CallCount.objects.all()] == ["192.0.2.2"]


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
def test_counts_that_are_over_are_purged_from_between_those_that_are_not(
    db: None, settings: Any, monkeypatch: pytest.MonkeyPatch, batch: int
):
    monkeypatch.setattr(purging, "BATCH", batch)
    settings.LIMITS = {"checkout": 2, "cart": 2}
    for kind in settings.LIMITS:
        for number in range(6):
            spend(kind, f"192.0.2.{number}")
    over = [f"192.0.2.{number}" for number in (0, 2, 3, 5)]
    CallCount.objects.filter(address__in=over).update(period=-9)

    assert limits.purge() == 8
    left = CallCount.objects.order_by("kind", "address").values_list("kind", "address")
    assert list(left) == [
        (kind, f"192.0.2.{number}") for kind in ("cart", "checkout") for number in (1, 4)
    ]


def test_what_is_gone_is_passed_once_when_counts_are_purged(
    db: None, monkeypatch: pytest.MonkeyPatch
):
    """By one look that finds nothing more in each part of the table, and no look from its start."""
    monkeypatch.setattr(limits, "_PAGES_AT_ONCE", 1)
    CallCount.objects.bulk_create(
        CallCount(kind="login", address=f"{number:064}", period=-9, calls=1)
        for number in range(300)
    )

    with CaptureQueriesContext(connection) as queries:
        assert limits.purge() == 300

    parts = re.findall(
        r"ctid >= format\('\(%s,0\)', '?(\d+)", " ".join(each["sql"] for each in queries)
    )
    assert len(set(parts)) > 2
    assert parts == sorted(sorted(set(parts), key=int) * 2, key=int)


def test_counts_do_not_wait_for_the_disk(db: None):
    with connection.cursor() as cursor:
        cursor.execute("SELECT relpersistence FROM pg_class WHERE relname = 'api_callcount'")
        assert cursor.fetchone() == ("u",)


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "198.51.100.1", "192.0.2.9"),
        (1, "", "192.0.2.9"),
        (1, "198.51.100.1", "198.51.100.1"),
        # What stands further left came from the caller, who may write anything.
        (1, "10.0.0.1, 198.51.100.1", "198.51.100.1"),
        (2, "10.0.0.1, 198.51.100.1, 192.0.2.5", "198.51.100.1"),
        (2, "198.51.100.1", "198.51.100.1"),
        (1, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        # Some proxies add the port.
        (1, "198.51.100.1:4711", "198.51.100.1"),
        (2, "198.51.100.1:1, 192.0.2.5:2", "198.51.100.1"),
        (1, "[2001:db8:1:2:3:4:5:6]:80", "2001:db8:1:2::/64"),
        (1, "[2001:db8:1:2:3:4:5:6]", "2001:db8:1:2::/64"),
        (1, "fe80::1%eth0", "fe80::/64"),
        (1, "::ffff:198.51.100.1", "198.51.100.1"),
        (1, "[::ffff:198.51.100.1]:80", "198.51.100.1"),
        (1, '"[2001:db8:1:2:3:4:5:6]:80"', "2001:db8:1:2::/64"),
        (1, "[::1", "[::1"),
        (1, "unknown", "unknown"),
        (1, "a\x00b:80", "ab"),
        (1, "not:an:address", "not:an:address"),
        (1, "x" * 100, "x" * 64),
    ],
)
def test_a_forwarded_address_counts_only_behind_our_own_proxies(
    proxies: int, forwarded: str, address: str
):
    headers: dict[str, Any] = {"X-Forwarded-For": forwarded} if forwarded else {}
    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.9", headers=headers)

    with override_settings(NUM_TRUSTED_PROXIES=proxies):
        assert limits.address_of(request) == address
