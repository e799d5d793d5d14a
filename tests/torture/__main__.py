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

import django

from config.supervisor import PROJECT
from tests.torture.cluster import Cluster

RUN_SECONDS = 60


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
        agreed = _random_runs(cluster, arguments.seed, arguments.minutes * 60)
        return 0 if agreed and _opposite_orders(arguments.rounds) else 1
    finally:
        cluster.end()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=10_000, help="of orders that cross (F5)")
    return parser.parse_args()


def _random_runs(cluster: Cluster, seed: int, seconds: float) -> bool:
    from django.core.management import call_command

    from tests.torture import chaos
    from tests.torture.site import Site
    from tests.torture.store import Store

    call_command("migrate", verbosity=0)
    cluster.replicate()
    site = Site(cluster.url, servers=2, workers=1)
    store = Store(site)
    until = time.monotonic() + seconds
    keeps_log = True
    try:
        while (left := until - time.monotonic()) > 0:
            report = chaos.run(
                store, seed=seed, seconds=min(RUN_SECONDS, max(left, 5)), cluster=cluster
            )
            _say(str(report))
            if report.differences:
                _say(*report.differences, f"See {site.folder}. Again: --seed {seed}")
                return False
            seed += 1
        keeps_log = False
        return True
    finally:
        site.end(keeps_log=keeps_log)


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
