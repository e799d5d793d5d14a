"""Runs the machines against the model for long, each round from a seed of its own.

    HOLDFAST_DEMO=1 .venv/bin/python -m tests.model --minutes 20 --seed 7

    HOLDFAST_DEMO=1 .venv/bin/python -m tests.model --mutants

It ends with status 1 as soon as the shop is not what the model says, and prints the steps and the
seed of the round; `--seed` begins with that one again, and `--shrink` looks for the fewest steps.
With `--mutants` the shop has one thing wrong at a time, and each must be found.
"""

import argparse
import itertools
import logging
import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import django
from django.test.utils import setup_test_environment

from tests.database import pytest_load_initial_conftests

# Of each machine, in a round.
EXAMPLES = 10
# After so many shops a mutant is missed.
MUTANT_EXAMPLES = 60


def main() -> int:
    arguments = _arguments()
    pytest_load_initial_conftests()
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    django.setup()
    # Of a gateway that is silent, the log would be full.
    logging.disable(logging.CRITICAL)
    with _database():
        if arguments.mutants:
            return _mutants(arguments)
        try:
            return _rounds(arguments)
        finally:
            _tell()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.model")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--machine", choices=["services", "http", "both"], default="both")
    parser.add_argument("--mutants", action="store_true", help="find what is wrong on purpose")
    parser.add_argument("--shrink", action="store_true", help="look for the fewest steps")
    return parser.parse_args()


@contextmanager
def _database() -> Iterator[None]:
    """Make a database for this, on DATABASE_URL's server or on one of its own."""
    from django.db import connection

    from tests import conftest

    conftest.pytest_configure()
    setup_test_environment()
    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        conftest.lay_the_first_rows()
        yield
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


def _rounds(arguments: argparse.Namespace) -> int:
    from tests.model.running import MACHINES, run

    chosen = [arguments.machine] if arguments.machine != "both" else list(MACHINES)
    ends = time.monotonic() + arguments.minutes * 60
    for seed in itertools.count(arguments.seed):
        for name in chosen:
            if time.monotonic() > ends:
                return 0
            _say(f"{name}, seed {seed}")
            run(
                MACHINES[name],
                examples=EXAMPLES,
                steps=arguments.steps,
                beginning_with=seed,
                shrinks=arguments.shrink,
            )
    return 0


def _mutants(arguments: argparse.Namespace) -> int:
    """Say of each mutant how many shops, and how many steps in all, it took to find it."""
    from tests.model.mutants import MUTANTS
    from tests.model.running import MACHINES, run

    missed = 0
    for mutant in MUTANTS:
        machine = MACHINES[mutant.machine]
        machine.tally.clear()
        machine.shops = 0
        found = ""
        with mutant.wrong():
            try:
                run(
                    machine,
                    examples=MUTANT_EXAMPLES,
                    steps=arguments.steps,
                    beginning_with=arguments.seed,
                    shrinks=False,
                )
            except Exception as error:
                found = str(error).partition("\n")[0] or type(error).__name__
        missed += not found
        steps = machine.tally.total()
        _say(f"{mutant.what} | {mutant.machine} | {machine.shops} | {steps} | {found or 'MISSED'}")
    return int(missed > 0)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _tell() -> None:
    """Print what was done, and how often."""
    from tests.model.running import MACHINES

    for name, machine in MACHINES.items():
        steps = machine.tally.total()
        _say(f"{name}: {steps:,} steps")
        for (what, code), count in sorted(machine.tally.items()):
            _say(f"  {what:18} {code or 'done':30} {count:6,}")


if __name__ == "__main__":
    sys.exit(main())
