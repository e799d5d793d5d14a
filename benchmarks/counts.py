"""A stocktaking while the shop is open: a file of counts is applied, and people go on buying.

Failure case F39: 50,000 lines in under a minute on two cores, and no order waits long for it.
"""

import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management import call_command
from django.db import connection

from api import clock
from api import services as api
from api.actors import SYSTEM
from benchmarks import run
from benchmarks.flow import Shopper
from demo import fill_orders
from demo.fill_progress import Progress
from demo.fill_stock import SKU
from inventory.models import Product, Sheet, Stock
from inventory.services.sheets import processing
from payments.services import payments

LINES = int(os.environ.get("BENCH_LINES", "50000"))
SHOPPERS = 2
CALM_SECONDS = 15
CLIENT_ID = "bench"


def open_store(products: int) -> list[str]:
    """Make a store with so many products, and return the ids of those that shoppers buy."""
    call_command("migrate", verbosity=0)
    api.create_client(CLIENT_ID, "Benchmark", storefront=True, actor=SYSTEM)
    payments.set_gateway("manual", enabled=True, actor=SYSTEM)
    print(f"Making {products:,} products ...")
    fill_orders.fill(
        products=products, entries=2 * products, orders=0, now=clock.now(), progress=Progress()
    )
    connection.cursor().execute("ANALYZE")
    # Bestsellers, which do not run out: every tenth.
    bestsellers = Product.objects.filter(sku__startswith=SKU, sku__endswith="1")
    return [str(pk) for pk in bestsellers.values_list("pk", flat=True)]


def bench() -> None:
    for_sale = open_store(LINES)
    with run.web_server() as (port, _), worker():
        crowd = [Shopper(port, CLIENT_ID) for _ in range(SHOPPERS)]
        with buying(crowd, for_sale) as warming_up:
            time.sleep(5)
        assert warming_up
        with buying(crowd, for_sale) as calm:
            time.sleep(CALM_SECONDS)
        content, counted = _counts()
        with buying(crowd, for_sale) as meanwhile:
            _count(content)
    tell("without a count", calm)
    tell("during check and apply", meanwhile)
    totals = dict(Stock.objects.values_list("product__sku", "total"))
    assert all(totals[sku] == units for sku, units in counted.items()), "a count was lost"
    call_command("audit_inventory")


def _counts() -> tuple[bytes, dict[str, int]]:
    """Count every product, and find one unit more or fewer of nearly all of them."""
    dice = random.Random(1)
    counted = {
        sku: total + (dice.choice((-1, 1)) if available > 100 else 1)
        for sku, total, available in Stock.objects.values_list("product__sku", "total", "available")
    }
    lines = [f"{sku},{units}\n" for sku, units in counted.items()]
    return ("sku,count\n" + "".join(lines)).encode(), counted


def _count(content: bytes) -> None:
    started = time.perf_counter()
    sheet, _ = processing.upload("stocktaking.csv", content, actor=SYSTEM)
    uploaded = time.perf_counter()
    wait_for(sheet, Sheet.State.CHECKED)
    checked = time.perf_counter()
    processing.apply(sheet.pk, actor=SYSTEM)
    wait_for(sheet, Sheet.State.APPLIED)
    applied = time.perf_counter()
    sheet.refresh_from_db()
    print(
        f"\n{sheet.lines_total:,} lines, {sheet.changed:,} changes, {sheet.refused:,} errors, "
        f"with {SHOPPERS} shoppers buying all the time"
    )
    steps = {"upload": uploaded - started, "check": checked - uploaded, "apply": applied - checked}
    for step, seconds in {**steps, "together": applied - started}.items():
        print(f"  {step:<10}{seconds:>6.1f} s{sheet.lines_total / seconds:>10,.0f} lines per s")
    print(f"\n{'purchase over HTTP':<26}{'per s':>7}{'p50 ms':>8}{'p99 ms':>8}{'max ms':>8}")


def wait_for(sheet: Sheet, state: Sheet.State) -> None:
    while sheet.state != state:
        time.sleep(0.1)
        sheet.refresh_from_db()


@contextmanager
def buying(crowd: list[Shopper], products: list[str]) -> Iterator[list[float]]:
    """Let shoppers buy for as long as the block runs; afterwards the list holds their seconds."""
    seconds: list[float] = []
    stop = threading.Event()

    def shop(shopper: Shopper) -> None:
        while not stop.is_set():
            started = time.perf_counter()
            shopper.buy(random.sample(products, 2))
            seconds.append(time.perf_counter() - started)

    threads = [threading.Thread(target=shop, args=[shopper]) for shopper in crowd]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    try:
        yield seconds
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    seconds.append(time.perf_counter() - started)


def tell(name: str, seconds: list[float]) -> None:
    *each, elapsed = seconds
    p99 = statistics.quantiles(each, n=100)[98]
    print(
        f"{name:<26}{len(each) / elapsed:>7.1f}{statistics.median(each) * 1000:>8.1f}"
        f"{p99 * 1000:>8.1f}{max(each) * 1000:>8.1f}"
    )


@contextmanager
def worker() -> Iterator[None]:
    """Run a job worker as `make run` does."""
    command = [sys.executable, "manage.py", "work"]
    process = subprocess.Popen(command, env=os.environ)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)
