"""The numbers at /metrics: what processes count, and what the database knows."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.db import OperationalError, connection, transaction
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from prometheus_client.parser import text_string_to_metric_families

from api import errors, metrics, traffic
from api.errors import Busy
from api.transactions import Stale, in_transaction
from config.supervisor import PROJECT
from config.version import version
from orders.services import orders
from tests.backoffice.orders.looking import cancel
from tests.factories import product, shipped_order, unpaid_order
from tests.http import BUYER, Api
from tests.logged import lines, logged


def scraped(**headers: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Read every number, by its name and labels."""
    text = Client().get("/metrics", headers=headers).text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def number(name: str, **labels: str) -> float:
    return scraped().get((f"holdfast_{name}", frozenset(labels.items())), 0)


def growth(call: Callable[[], Any], name: str, **labels: str) -> float:
    before = number(name, **labels)
    call()
    return number(name, **labels) - before


# Requests.


@pytest.mark.django_db
def test_requests_are_counted_by_the_template_of_their_address(back_office: Api):
    route = "v2/carts/<cart_id:cart_id>"
    labels = {"route": route, "method": "GET", "status": "200"}

    assert growth(lambda: back_office.get("/v2/carts/secret"), "requests_total", **labels) == 1
    assert (
        growth(lambda: back_office.get("/v2/carts/secret"), "request_seconds_count", route=route)
        == 1
    )
    assert "secret" not in Client().get("/metrics").text


@pytest.mark.django_db
def test_whatever_strangers_make_up_is_counted_in_one_place():
    def made_up(word: str = "up") -> None:
        for path in (f"/made/{word}", f"/v2/made-{word}", f"/{word}"):
            Client().get(path)
        Client().generic("INVENTED", "/made-up")

    assert growth(made_up, "requests_total", route="none", method="GET", status="404") == 3
    assert number("requests_total", route="none", method="other", status="404") == 1
    before = scraped().keys()
    made_up("otherwise")
    assert scraped().keys() == before


@pytest.mark.django_db
def test_what_is_asked_for_every_second_is_not_counted():
    before = number("requests_total", route="health/live", method="GET", status="200")
    Client().get("/health/live")

    assert number("requests_total", route="health/live", method="GET", status="200") == before == 0


@pytest.mark.django_db
def test_requests_in_flight_are_those_that_have_begun():
    request: WSGIRequest = RequestFactory().get("/v2/orders")
    request.request_id = "of-the-test"  # type: ignore[attr-defined]
    idle = number("requests_in_flight")

    seen = traffic.begin(request)
    assert number("requests_in_flight") == idle + 1
    traffic.end(seen, request, HttpResponse())
    assert number("requests_in_flight") == idle


@pytest.mark.django_db
def test_refusals_are_counted_by_their_code(back_office: Api):
    shirt = product(stock=1)

    def refused() -> None:
        back_office.add_to_cart("cart", str(shirt.pk), 2)

    assert growth(refused, "refusals_total", code="insufficient_stock") == 1
    assert growth(lambda: Client().get("/v2/orders"), "refusals_total", code="bad_token") == 1


@pytest.mark.django_db
def test_what_people_are_refused_on_a_page_is_counted_as_well(admin_client: Client):
    order = shipped_order({product(stock=1): 1})

    def refused() -> None:
        cancel(admin_client, order)

    assert growth(refused, "refusals_total", code="order_not_cancellable") == 1
    nowhere = "/admin/nothing/"
    assert growth(lambda: admin_client.get(nowhere), "refusals_total", code="not_found") == 1


@pytest.mark.parametrize(
    ("path", "is_answered", "counted"),
    [("/admin/", False, 1), ("/admin/", True, 1), ("/v2/", False, 0), ("/v2/", True, 1)],
)
def test_a_refusal_is_counted_once_and_by_the_one_who_reads_it(db, path, is_answered, counted):
    def refused() -> None:
        request: WSGIRequest = RequestFactory().get(path)
        request.request_id = "1"  # type: ignore[attr-defined]
        seen = traffic.begin(request)
        with pytest.raises(Busy) as raised:
            refuses()
        if is_answered:
            errors.refused(raised.value)
        traffic.end(seen, request, HttpResponse())

    @in_transaction
    def refuses() -> None:
        raise Busy

    assert growth(refused, "refusals_total", code="busy") == counted


# Orders and payments.


@pytest.mark.django_db(transaction=True)
def test_orders_and_payments_are_counted_by_what_became_of_them(back_office: Api):
    def sold() -> None:
        order = shipped_order({product(stock=1): 1})
        back_office.post(f"/v2/orders/{order.pk}/transactions/{order.payments.get().pk}/refund", {})

    before = scraped()
    sold()
    after = scraped()
    grown = {
        (name, *sorted(dict(labels).items()))
        for (name, labels), value in after.items()
        if name in {"holdfast_orders_total", "holdfast_payments_total"}
        and value == before.get((name, labels), 0) + 1
    }

    manual = ("gateway", "manual")
    assert grown == {
        ("holdfast_orders_total", ("outcome", "placed")),
        ("holdfast_orders_total", ("outcome", "paid")),
        ("holdfast_orders_total", ("outcome", "shipped")),
        ("holdfast_orders_total", ("outcome", "refunded")),
        ("holdfast_payments_total", manual, ("outcome", "captured")),
        ("holdfast_payments_total", manual, ("outcome", "refunded")),
    }


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_is_not_counted():
    def rolled_back() -> None:
        with transaction.atomic():
            metrics.once_committed(metrics.ORDERS, "placed")
            transaction.set_rollback(True)

    assert growth(rolled_back, "orders_total", outcome="placed") == 0


@pytest.mark.django_db(transaction=True)
def test_what_is_tried_again_is_counted_once_and_the_try_by_itself(
    back_office: Api, monkeypatch: pytest.MonkeyPatch
):
    made = orders.place
    failed: list[int] = []

    def stale_once(*given: Any, **named: Any) -> Any:
        placed = made(*given, **named)
        if not failed:
            failed.append(1)
            raise Stale
        return placed

    monkeypatch.setattr(orders, "place", stale_once)
    back_office.add_to_cart("cart", str(product(stock=3).pk), 1)
    before = scraped()

    assert back_office.post("/v2/carts/cart/checkout", BUYER).status_code == 201
    after = scraped()

    def grown(name: str, **labels: str) -> float:
        of = (f"holdfast_{name}", frozenset(labels.items()))
        return after.get(of, 0) - before.get(of, 0)

    assert grown("orders_total", outcome="placed") == 1
    assert grown("transactions_tried_again_total", reason="stale") == 1


@pytest.mark.django_db(transaction=True)
def test_what_is_given_up_is_counted():
    @in_transaction
    def stale() -> None:
        raise Stale

    def given_up() -> None:
        with pytest.raises(Busy):
            stale()

    assert growth(given_up, "transactions_given_up_total", reason="stale") == 1


@pytest.mark.django_db(transaction=True)
def test_gateways_are_counted_by_their_answers(back_office: Api, gateway):
    order = unpaid_order({product(stock=1): 1})

    def paid() -> None:
        assert back_office.pay(str(order.pk), gateway="fake").status_code == 200

    labels = {"gateway": "fake", "outcome": "succeeded"}
    assert growth(paid, "gateway_seconds_count", **labels) >= 1


# Who reads them, and where.


def test_t54_numbers_and_version_are_told_over_plain_http_under_any_name(settings, db):
    settings.HOLDFAST_DEMO = False
    settings.SECURE_SSL_REDIRECT = True
    settings.METRICS_TOKEN = "token"
    token = {"Authorization": "Bearer token", "Host": "10.0.0.7:8000"}

    for path in ("/metrics", "/version"):
        assert Client().get(path, headers=token).status_code == 200, path
        assert Client().get(path, headers={"Host": "10.0.0.7"}).status_code == 404, path
    assert Client().get("/v2/orders", headers={"Host": "shop.example.com"}).status_code == 400


def test_the_version_is_told_with_what_it_runs_on(settings):
    settings.HOLDFAST_COMMIT = "abc123"
    told = Client().get("/version").json()

    assert told["version"] == version()
    assert told["commit"] == "abc123"
    assert told.keys() == {"version", "commit", "python", "django"}
    assert "holdfast_build_info{" in Client().get("/metrics").text


@pytest.mark.django_db
def test_a_look_at_the_numbers_costs_few_statements():
    Client().get("/metrics")
    with CaptureQueriesContext(connection) as few:
        Client().get("/metrics")
    for _ in range(3):
        shipped_order({product(stock=1): 1})
    with CaptureQueriesContext(connection) as many:
        Client().get("/metrics")

    assert len(few) == len(many) <= 8


def test_without_a_database_the_processes_still_tell_what_they_know(monkeypatch):
    def away(*given: Any) -> Any:
        raise OperationalError("connection refused")

    monkeypatch.setattr("payments.services.recovery.unresolved", away)
    told = scraped()

    assert told["holdfast_database_up", frozenset()] == 0
    assert "holdfast_requests_total" in {name for name, _ in told}
    assert "holdfast_audit_age_seconds" not in {name for name, _ in told}


# Several processes of one machine.

# Counts, says so, and does what it is told: to go on living, or to end. What counts needs
# the settings alone, and is there in a third of the time that all of Holdfast takes.
COUNTS = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
from django.conf import settings
from django.utils.log import configure_logging
configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)
from api import metrics
metrics.ORDERS.labels("placed").inc(int(sys.argv[1]))
metrics.SECONDS.labels("v2/orders").observe(0.2)
metrics.IN_FLIGHT.inc()
print("counted", flush=True)
sys.stdin.readline()
"""
TELLS = (
    COUNTS.partition("metrics.ORDERS")[0]
    + """
from prometheus_client import generate_latest
with metrics.at_rest():
    print(generate_latest(metrics.registry()).decode())
"""
)


class Machine:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {"METRICS_DIR": str(folder)}
        self.processes: list[subprocess.Popen[str]] = []

    def counts(self, times: int) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", COUNTS, str(times)],
            cwd=PROJECT,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "counted\n"
        return process

    def tells(self) -> dict[str, float]:
        told = subprocess.run(
            [sys.executable, "-c", TELLS],
            cwd=PROJECT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return {
            sample.name: sample.value
            for family in text_string_to_metric_families(told.stdout)
            for sample in family.samples
            if not sample.name.endswith("_bucket")
        } | {"processes": told.stdout.count("holdfast_process_age_seconds{")}


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "metrics")
    yield machine
    for process in machine.processes:
        process.kill()
        process.communicate()


@pytest.mark.processes
def test_any_process_tells_the_sum_of_all_and_the_dead_keep_what_they_counted(machine):
    first, second = machine.counts(3), machine.counts(4)

    told = machine.tells()
    assert told["holdfast_orders_total"] == 7
    assert told["holdfast_request_seconds_count"] == 2
    assert told["holdfast_requests_in_flight"] == 2
    assert told["processes"] == 3

    first.send_signal(signal.SIGKILL)
    # It has ended, and whoever started it has not asked for its status yet.
    os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)
    for _ in range(2):
        told = machine.tells()
        assert told["holdfast_orders_total"] == 7
        assert told["holdfast_request_seconds_count"] == 2
        assert told["holdfast_requests_in_flight"] == 1
        assert told["processes"] == 2
        first.wait()

    third = machine.counts(5)
    assert machine.tells()["holdfast_orders_total"] == 12
    for process in (second, third):
        process.kill()
        process.wait()
    # Nobody is left: what comes now may be another version.
    assert "holdfast_orders_total" not in machine.tells()
    assert not [file for file in machine.folder.glob("*.db") if "gone" in file.name]


@pytest.mark.processes
def test_a_folder_that_cannot_be_made_keeps_nobody_from_serving():
    told = subprocess.run(
        [sys.executable, "-c", COUNTS, "1"],
        cwd=PROJECT,
        env=os.environ | {"METRICS_DIR": "/dev/null/metrics"},
        input="\n",
        capture_output=True,
        text=True,
    )

    assert told.stdout == "counted\n"
    assert "metrics_of_this_process_alone" in told.stderr


# Counts as much as a page of a shop would, and says what it has counted.
COUNTS_MUCH = (
    COUNTS.partition("metrics.ORDERS")[0]
    + """
import resource
most = int(sys.argv[1])
if most >= 0:
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
else:
    import shutil
    shutil.rmtree(os.environ["METRICS_DIR"])
if os.fork() == 0:
    for number in range(1000):
        metrics.REFUSALS.labels(f"refusal-{number}").inc()
        metrics.REFUSALS.labels(f"refusal-{number}").inc()
    own = [sample for each in metrics._registry.collect() for sample in each.samples]
    print(sum(each.value for each in own if each.name == "holdfast_refusals_total"), flush=True)
    with metrics.at_rest():
        metrics.registry()
    os._exit(0)
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""
)


@pytest.mark.processes
@pytest.mark.parametrize("most", [0, 2**16, -1], ids=["no room", "room for a few", "taken away"])
def test_where_there_is_no_place_for_numbers_the_shop_goes_on(machine, most):
    """A disk that is full, and somebody who cleans up."""
    told = subprocess.run(
        [sys.executable, "-c", COUNTS_MUCH, str(most)],
        cwd=PROJECT,
        env=machine.environment,
        capture_output=True,
        text=True,
    )

    assert told.stdout == "2000.0\n0\n", told.stderr
    assert "metrics_of_this_process_are_lost" in told.stderr


@pytest.mark.processes
def test_the_files_of_numbers_have_their_place_before_they_are_written(machine):
    """Written where there is none they would end the process, by a signal."""
    machine.counts(1)
    files = [*machine.folder.glob("*.db")]

    assert len(files) == 3
    assert all(file.stat().st_blocks * 512 >= file.stat().st_size > 0 for file in files)


def test_what_is_refused_unread_is_counted_and_has_a_line():
    with logged("WARNING") as written:
        grown = growth(
            lambda: traffic.refused_unread(503, "POST"),
            "requests_total",
            route="none",
            method="POST",
            status="503",
        )

    assert grown == 1
    [line] = lines(written, event="request")
    assert (line["method"], line["route"], line["status"]) == ("POST", "none", 503)
