"""`make mutants`: changes the rules one at a time, and tells which changes no test notices.

A module's name is a file's, such as inventory/services/stock.py; without one it goes through all
services and the models of the stock. What it finds is in the folder `mutants`, a file for each.
"""

import argparse
import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import Phase, settings

from tests.mutants.changes import Mutant
from tests.mutants.findings import Findings
from tests.mutants.running import Mutating

FOLDER = Path("mutants")
ALL = ["inventory/models.py", "*/services/**/*.py"]
TESTS = ["tests/inventory", "tests/orders", "tests/payments"]
# What starts programs or goes on for long would be run a thousand times.
MARKS = "not browser and not processes and not thorough"


def main() -> int:
    arguments = _arguments()
    modules = arguments.modules or [
        str(path) for pattern in ALL for path in sorted(Path().glob(pattern)) if path.stat().st_size
    ]
    findings = Findings(FOLDER)
    plugin = Mutating(
        modules,
        _choice(arguments, findings),
        findings,
        seconds=arguments.seconds,
        anew=not arguments.again,
    )
    # Of a test that fails, nobody wants the traceback, nor the smallest example.
    settings.register_profile("mutants", phases=[Phase.explicit, Phase.generate])
    options = ["--tb=no", "--hypothesis-profile=mutants", "-m", MARKS]
    quiet = ["-q", "-s", "-p", "no:randomly", "-p", "no:cacheprovider", "-W", "ignore"]
    return pytest.main([*options, *quiet, *arguments.tests], plugins=[plugin])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE")
    parser.add_argument("--tests", nargs="+", default=TESTS, metavar="PATH")
    parser.add_argument(
        "--seconds", type=float, default=10, help="of tests for each mutant, the quickest first"
    )
    parser.add_argument("--again", action="store_true", help="only what nothing noticed last time")
    parser.add_argument("--sample", type=int, help="so many mutants of each module, at random")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def _choice(
    arguments: argparse.Namespace, findings: Findings
) -> Callable[[str, list[Mutant]], list[Mutant]]:
    def choose(path: str, mutants: list[Mutant]) -> list[Mutant]:
        if arguments.again:
            alive = findings.alive(path)
            return [mutant for mutant in mutants if mutant.told in alive]
        if arguments.sample is None or arguments.sample >= len(mutants):
            return mutants
        chosen = random.Random(f"{arguments.seed} {path}").sample(
            range(len(mutants)), arguments.sample
        )
        return [mutants[number] for number in sorted(chosen)]

    return choose


if __name__ == "__main__":
    sys.exit(main())
