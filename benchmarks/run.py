import os
import platform
import random
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.management import call_command

from api import services as api
from api.actors import SYSTEM
from benchmarks import flow, stock, triggers, yardstick
from benchmarks.processes import cpu_seconds
from config.embedded import Server, programs
from config.supervisor import web_environment
from inventory.services import audit, products
from inventory.services.products import Money
from payments.services import payments

PRODUCTS = 1_000
# Fewer make a quicker run and a noisier one.
FLOWS = int(os.environ.get("BENCH_FLOWS", "600"))
OPERATIONS = int(os.environ.get("BENCH_OPERATIONS", "4000"))
CLIENT_ID = "bench"


def bench(server: Server, folder: Path) -> None:
    call_command("migrate", verbosity=0)
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, PostgreSQL with fsync on")
    products = fill()
    measure_flows(server, [str(product) for product in products])
    call_command("audit_inventory")
    # From here on stock is allocated for orders that do not exist.
    measure_stock(server, folder, products)
    measure_triggers(server, products)
    assert not audit.differences(), "the log does not replay to the stock"


def fill() -> list[uuid.UUID]:
    api.create_client(CLIENT_ID, "Benchmark", storefront=True, actor=SYSTEM)
    payments.set_gateway("manual", enabled=True, actor=SYSTEM)
    return [
        products.create(
            name=f"Product {number}",
            sku=f"P-{number}",
            prices=[Money("USD", 1250)],
            manage_stock=True,
            initial_stock=1_000_000,
            actor=SYSTEM,
        ).pk
        for number in range(PRODUCTS)
    ]


def measure_flows(server: Server, products: list[str]) -> None:
    spread = [[product] for product in products]
    scenarios = (
        ("(warm-up)", spread, 4),
        ("1 line, spread, 4 at once", spread, 4),
        ("5 lines, spread, 4 at once", [random.sample(products, 5) for _ in range(FLOWS)], 4),
        ("1 line, spread, 8 at once", spread, 8),
        ("1 line, one product, 8 at once", [[products[0]]], 8),
    )
    print(
        f"\n{'purchase over HTTP':<32}{'per s':>7}{'CPU ms':>8}{'web':>7}{'db':>7}"
        f"{'p50 ms':>8}{'p99 ms':>8}"
    )
    with web_server() as (port, pid):
        database = database_cpu(server)
        for name, baskets, shoppers in scenarios:
            found = flow.measure(
                baskets,
                port=port,
                client_id=CLIENT_ID,
                shoppers=shoppers,
                flows=FLOWS,
                cpu=lambda: (cpu_seconds(pid), database()),
            )
            print(
                f"{name:<32}{found.flows_per_second:>7.1f}{found.cpu_ms:>8.2f}"
                f"{found.web_ms:>7.2f}{found.database_ms:>7.2f}"
                f"{found.p50_ms:>8.1f}{found.p99_ms:>8.1f}"
            )


def measure_stock(server: Server, folder: Path, products: list[uuid.UUID]) -> None:
    yardstick.prepare(server.url, PRODUCTS)
    cpu = database_cpu(server)
    print(f"\n{'stock service':<32}{'per s':>7}{'CPU us':>8}{'limit us':>10}{'of the limit':>14}")
    for lines, operations in ((1, OPERATIONS), (20, OPERATIONS // 4)):
        limit = yardstick.measure(server.url, programs() / "pgbench", folder, PRODUCTS, lines, cpu)
        stock.measure(products, lines, operations // 10, cpu)
        ours = stock.measure(products, lines, operations, cpu)
        name = "allocate, 1 line" if lines == 1 else f"allocate, {lines} lines"
        print(
            f"{name:<32}{ours.per_second:>7.0f}{ours.cpu_us:>8.0f}"
            f"{limit.cpu_us:>10.0f}{limit.cpu_us / ours.cpu_us:>13.0%}"
        )


def measure_triggers(server: Server, products: list[uuid.UUID]) -> None:
    cpu = database_cpu(server)
    print(f"\n{'deferred triggers':<32}{'per s':>7}{'CPU us':>8}{'without':>10}{'their share':>14}")
    for lines, operations in ((1, OPERATIONS), (20, OPERATIONS // 4)):
        found = triggers.measure(products, lines, operations, cpu)
        name = "allocate, 1 line" if lines == 1 else f"allocate, {lines} lines"
        print(
            f"{name:<32}{found.per_second:>7.0f}{found.cpu_us:>8.0f}"
            f"{found.cpu_us_without:>10.0f}{found.share:>13.0%}"
        )


def database_cpu(server: Server) -> Callable[[], float]:
    assert server.process
    pid = server.process.pid
    return lambda: cpu_seconds(pid)


@contextmanager
def web_server() -> Iterator[tuple[int, int]]:
    """Run the web server as `make run` does, on a free port; yield the port and its process."""
    port = _free_port()
    command = [sys.executable, "manage.py", "serve"]
    web = subprocess.Popen(command, env=os.environ | web_environment(str(port)))
    try:
        _wait_until_ready(port)
        yield port, web.pid
    finally:
        web.terminate()
        web.wait(15)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(port: int) -> None:
    for _ in range(200):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready")
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise RuntimeError("the web server did not start")
