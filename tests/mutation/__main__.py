"""Take away each guard alone, and say which tests fail: see the package."""

import argparse
import json
import os
import sys
import tempfile
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import django

from tests.mutation.databases import FAILURES_MAX, TEMPLATE, Databases, databases
from tests.mutation.found import Replacement
from tests.mutation.guards import Catalog, Guard, all_guards
from tests.mutation.workshop import Bench

_UNKNOWN = -9


def main() -> int:
    arguments = _arguments()
    with databases() as made, tempfile.TemporaryDirectory(prefix="holdfast-mutation-") as folder:
        guards = [
            guard
            for guard in all_guards(_catalog(made))
            if any(part in str(guard).lower() for part in arguments.only)
        ]
        if arguments.list:
            _say(*map(str, guards), f"{len(guards)} guards")
            return 0
        log = Path(arguments.log) if arguments.log else Path(folder, "log")
        known = _known(log)
        wanted = [guard for guard in guards if str(guard) not in known]
        benches = [Bench(number, Path(folder), made) for number in range(arguments.jobs)]
        if not arguments.unchecked:
            _require_green(benches[0], wanted)
        _run_all(wanted, benches, log)
    known = _known(log)
    table = _table((guard, known[str(guard)]) for guard in guards if str(guard) in known)
    _say(table)
    if arguments.table:
        Path(arguments.table).write_text(table)
    return 0 if all(_is_noticed(known.get(str(guard))) for guard in guards) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", default=[""], type=str.lower, help="guards that have one of these"
    )
    parser.add_argument("--list", action="store_true", help="name them, and run nothing")
    parser.add_argument("--jobs", type=int, default=1, help="how many are tried at once")
    parser.add_argument("--log", help="a file to go on from, where an earlier run ended")
    parser.add_argument("--table", help="a file for the table, beside standard output")
    parser.add_argument("--unchecked", action="store_true", help="trust that all tests pass now")
    return parser.parse_args()


def _catalog(made: Databases) -> Catalog:
    """Ask the migrated database what it enforces."""
    os.environ["DATABASE_URL"] = made.url(TEMPLATE)
    os.environ["DATABASE_POOL_SIZE"] = "0"
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    django.setup()
    # Only now are there models.
    from django.db import connection

    from tests.mutation import catalog

    try:
        return catalog.read()
    finally:
        # Of a database in use no copy can be made.
        connection.close()


def _require_green(bench: Bench, guards: Iterable[Guard]) -> None:
    """Run all these tests with every guard in its place: otherwise nothing would be shown."""
    files = sorted({name.partition("::")[0] for guard in guards for name in _files(guard)})
    for file in files:
        nodes = [name for guard in guards for name in _files(guard) if name.startswith(file)]
        outcome = bench.run(sorted(set(nodes)) if all("::" in node for node in nodes) else [file])
        if outcome.status:
            sys.exit(f"{file} fails with all guards in their places:\n{outcome.output}")


def _files(guard: Guard) -> list[str]:
    return [name for name in guard.tests if name.startswith("tests/")]


def _run_all(guards: Sequence[Guard], benches: Sequence[Bench], log: Path) -> None:
    in_children = [guard for guard in guards if not guard.is_run]
    for told in benches[0].run_each(in_children) if in_children else ():
        _write_down(told, log)
    free: SimpleQueue[Bench] = SimpleQueue()
    for bench in benches:
        free.put(bench)
    writing = threading.Lock()

    def run(guard: Guard) -> None:
        bench = free.get()
        try:
            assert isinstance(guard.change, Replacement)
            with bench.without(guard.change.path, guard.change.old, guard.change.new):
                outcome = bench.run(guard.tests)
        finally:
            free.put(bench)
        if outcome.status not in {0, 1}:
            _say(outcome.output[-2000:])
        told = {"guard": str(guard), "status": outcome.status, "failed": outcome.failed}
        with writing:
            _write_down(told | {"seconds": round(outcome.seconds, 1)}, log)

    with ThreadPoolExecutor(len(benches)) as threads:
        list(threads.map(run, [guard for guard in guards if guard.is_run]))


def _write_down(told: dict[str, Any], log: Path) -> None:
    with log.open("a") as file:
        file.write(json.dumps(told) + "\n")
    _say(f"{_told(told)}  {told['guard']}")


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _known(log: Path) -> dict[str, dict[str, Any]]:
    if not log.exists():
        return {}
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return {line["guard"]: line for line in lines}


def _is_noticed(told: dict[str, Any] | None) -> bool:
    return told is not None and (told["status"] in {1, _UNKNOWN})


def _told(told: dict[str, Any]) -> str:
    failed = told["failed"]
    if told["status"] == _UNKNOWN:
        return "never ended"
    if told["status"] == 0:
        return "NOTHING"
    if told["status"] != 1:
        return f"NO ANSWER ({told['status']})"
    return f"{FAILURES_MAX} or more" if len(failed) >= FAILURES_MAX else str(len(failed))


def _table(rows: Iterable[tuple[Guard, dict[str, Any]]]) -> str:
    lines = ["| kind | guard | tests that fail | the first of them |", "|---|---|---|---|"]
    for guard, told in rows:
        failed = told["failed"]
        first = f"`{failed[0]}`" if failed else ""
        lines.append(f"| {guard.kind} | {guard.name} | {_told(told)} | {first} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
