"""`make torture`: random runs one after the other, each checked to the cent and the unit.

Every run's seed is printed; `--seed` begins with that one again. It ends by itself, with status 1
as soon as something does not agree.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import django
from django.core.management import call_command

from config.embedded import programs
from config.supervisor import PROJECT
from tests.torture.cluster import Cluster

if TYPE_CHECKING:
    from tests.torture.chaos import Report
    from tests.torture.site import Site

# Each crowd has about two minutes, one of them to recover and to be compared.
RUN_SECONDS, RUN_SECONDS_MIN = 60, 5


def main() -> int:
    arguments = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    cluster = Cluster()
    try:
        cluster.start()
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "DATABASE_URL": cluster.url,
            "DATABASE_POOL_SIZE": "0",
        }
        django.setup()
        agreed = _random_runs(cluster, arguments)
        agreed = agreed and (not arguments.rounds or _opposite_orders(arguments.rounds))
        return 0 if agreed else 1
    finally:
        cluster.end()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=10_000, help="of orders that cross (F5)")
    parser.add_argument("--report", type=Path, help="Markdown file to write what it came to")
    parser.add_argument("--like", help="address of a database with all tables, to be copied")
    parser.add_argument("--keep", action="store_true", help="keep all histories")
    return parser.parse_args()


def _random_runs(cluster: Cluster, arguments: argparse.Namespace) -> bool:
    from tests.torture import report
    from tests.torture.site import Site

    _lay_the_tables(cluster, arguments.like)
    cluster.replicate()
    site = Site(cluster.url, servers=2)
    begun = time.monotonic()
    reports: list[Report] = []
    try:
        for came in _crowds(site, cluster, arguments.seed, begun + arguments.minutes * 60):
            reports.append(came)
            _say(str(came))
            if arguments.report:
                told = report.written(
                    reports, seconds=time.monotonic() - begun, server=cluster.version()
                )
                arguments.report.write_text(told)
            if came.differences:
                break
    finally:
        agreed = bool(reports) and not reports[-1].differences
        site.end(keeps_log=arguments.keep or not agreed)
    if not agreed:
        _say(*reports[-1].differences, f"See {site.folder}. Again: --seed {reports[-1].seed}")
    return agreed


def _lay_the_tables(cluster: Cluster, like: str | None) -> None:
    """Migrate, or copy a database that has been: a quarter of a short run otherwise."""
    if like is None:
        call_command("migrate", verbosity=0)
        return
    pg_dump, psql = str(programs() / "pg_dump"), str(programs() / "psql")
    dump = [pg_dump, "--no-owner", "--no-acl", f"--dbname={like}"]
    told = subprocess.run(dump, check=True, capture_output=True).stdout
    fill = [psql, "--quiet", "--set=ON_ERROR_STOP=1", f"--dbname={cluster.url}"]
    subprocess.run(fill, check=True, input=told, stdout=subprocess.DEVNULL)


def _crowds(site: "Site", cluster: Cluster, seed: int, until: float) -> Iterator["Report"]:
    """Let in one crowd after the other, each with a seed and products of its own."""
    from tests.torture import chaos
    from tests.torture.store import Store

    # Who empties the table of jobs must be alone with it.
    store = Store(site)
    site.tell("work", workers=1)
    while (left := until - time.monotonic()) > 0:
        seconds = min(RUN_SECONDS, max(left, RUN_SECONDS_MIN))
        yield chaos.run(store, seed=seed, seconds=seconds, cluster=cluster)
        seed += 1


def _opposite_orders(rounds: int) -> bool:
    """F5, for as many rounds as nobody would wait for in a build."""
    _say(f"Opposite orders, {rounds} rounds ...")
    command = ["-m", "pytest", "-q", "tests/inventory/test_races.py", "-k", "f05_opposite"]
    environment = os.environ | {"F05_ROUNDS": str(rounds)}
    # On a server of the tests' own.
    del environment["DATABASE_URL"]
    tested = subprocess.run([sys.executable, *command], cwd=PROJECT, env=environment, check=False)
    return tested.returncode == 0


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
