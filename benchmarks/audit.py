"""What it takes to compare all books of a large shop: time, CPU, memory and temporary files."""

import argparse
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from django.core.management import call_command
from django.db import connection

from api import clock
from api.actors import SYSTEM
from benchmarks import audit_data
from benchmarks.processes import cpu_seconds
from config.embedded import Server
from inventory.models import Action, Product
from inventory.services import stock
from orders.models import Order

LOOK_EVERY_SECONDS = 0.1
_COMMAND = (sys.executable, "manage.py", "audit_inventory", "--json")


class Found(NamedTuple):
    kind: str
    entries: int
    orders: int
    seconds: float
    cpu: float
    # In megabytes.
    client: float
    backends: float
    temporary: float


def bench(server: Server, arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks audit")
    parser.add_argument("--entries", type=int, default=10_000_000)
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--movements", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args(arguments)
    call_command("migrate", verbosity=0)
    began = time.monotonic()
    audit_data.make(options.products, options.entries // options.products // audit_data.ROUND)
    print(f"made in {time.monotonic() - began:.0f} s; {os.cpu_count()} cores, {_version()}")
    print(
        f"{'audit':<13}{'entries':>12}{'orders':>11}{'seconds':>9}{'CPU s':>8}"
        f"{'client MB':>11}{'backends MB':>13}{'temp MB':>9}"
    )
    for _ in range(options.runs):
        _show(_measured(server, "--whole"))
    for _ in range(options.runs):
        _move(options.movements)
        _show(_measured(server))


def _show(found: Found) -> None:
    print(
        f"{found.kind:<13}{found.entries:>12,}{found.orders:>11,}{found.seconds:>9.1f}"
        f"{found.cpu:>8.1f}{found.client:>11.0f}{found.backends:>13.0f}{found.temporary:>9.1f}",
        flush=True,
    )


def _measured(server: Server, *options: str) -> Found:
    assert server.process
    pid = server.process.pid
    cpu, temporary = cpu_seconds(pid), _temporary_bytes()
    is_done = threading.Event()
    peaks: list[float] = []
    looking = threading.Thread(target=_look, args=(pid, is_done, peaks))
    looking.start()
    try:
        answer = subprocess.run([*_COMMAND, *options], check=True, capture_output=True)
    finally:
        is_done.set()
        looking.join()
    told = json.loads(answer.stdout)
    return Found(
        kind=told["kind"],
        entries=told["entries"],
        orders=told["orders"],
        seconds=told["seconds"],
        cpu=cpu_seconds(pid) - cpu,
        client=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
        backends=max(peaks, default=0),
        temporary=(_temporary_bytes() - temporary) / 1e6,
    )


def _look(pid: int, is_done: threading.Event, peaks: list[float]) -> None:
    """Note, again and again, what all processes of the server have for themselves."""
    while not is_done.wait(LOOK_EVERY_SECONDS):
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            peaks.append(sum(_private_megabytes(child) for child in children))
        except (FileNotFoundError, ProcessLookupError):
            # One of them has just ended.
            continue


def _private_megabytes(pid: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    # What has ended and was not waited for yet has none.
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) / 1024


def _move(movements: int) -> None:
    """Move as many products as there are movements, through the service, and change such orders."""
    for product_id in Product.objects.values_list("pk", flat=True)[:movements]:
        stock.record(product_id, Action.INCREMENT, 1, actor=SYSTEM)
    changed = Order.objects.order_by("-pk").values("pk")[:movements]
    Order.objects.filter(pk__in=changed).update(updated_at=clock.now())


def _temporary_bytes() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT temp_bytes FROM pg_stat_database WHERE datname = current_database()")
        found: int = cursor.fetchone()[0]
    return found


def _version() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        return f"PostgreSQL {cursor.fetchone()[0]}"
