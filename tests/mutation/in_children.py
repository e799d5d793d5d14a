"""A pytest plugin whose process runs no test: its children do, one for each guard.

What only the database enforces needs no other source, and what tests only read is not imported. So
all is imported and collected once, and each child gets a fresh copy of the database, from which a
statement has taken something away, or reads a file of the source that is another one by now.
"""

import importlib
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from tests.mutation.databases import FAILURES_MAX, LONGEST_SECONDS, Databases

# Names, what is taken away, and tests, as JSON.
GUARDS = "MUTATION_GUARDS"
# With which a line begins that tells what became of one.
TOLD = "told: "


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    if session.testsfailed:
        raise session.Interrupted("Not all tests could be collected.")
    for guard in json.loads(os.environ[GUARDS]):
        items = [item for item in session.items if _is_wanted(item.nodeid, guard["tests"])]
        with _without(**guard["change"]):
            told = {"guard": guard["guard"], **_in_a_child(items, reads="path" in guard["change"])}
        sys.stdout.write(f"\n{TOLD}{json.dumps(told)}\n")
        sys.stdout.flush()
    return True


@contextmanager
def _without(sql: str = "", path: str = "", old: str = "", new: str = "") -> Iterator[None]:
    if sql:
        databases = Databases(os.environ["DATABASE_URL"])
        databases.copy(databases.name, sql)
        yield
        return
    file = Path(path)
    source = file.read_text()
    file.write_text(source.replace(old, new))
    try:
        yield
    finally:
        file.write_text(source)


def _is_wanted(node: str, tests: Sequence[str]) -> bool:
    """Choose as pytest does by files and, after `-k`, by a word."""
    files = [name for name in tests if "/" in name]
    words = tests[tests.index("-k") + 1 :] if "-k" in tests else [""]
    return node.startswith(tuple(files)) and words[0] in node


def _in_a_child(items: Sequence[pytest.Item], *, reads: bool) -> dict[str, Any]:
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        # Whoever waits for what never comes is ended then.
        signal.alarm(LONGEST_SECONDS)
        try:
            if reads:
                # Into the same module, so that the tests that were collected look there.
                for module in {item.module for item in items if isinstance(item, pytest.Function)}:
                    importlib.reload(module)
            failed = _failing(items)
            with os.fdopen(write, "w") as answer:
                json.dump({"status": 1 if failed else 0, "failed": failed}, answer)
        finally:
            # A child never goes on with what its parent was doing.
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        told = answer.read()
    os.waitpid(child, 0)
    never_ended: dict[str, Any] = {"status": -signal.SIGKILL, "failed": []}
    return json.loads(told) if told else never_ended


def _failing(items: Sequence[pytest.Item]) -> list[str]:
    failed: list[str] = []
    for item, following in zip_longest(items, items[1:]):
        reports = runtestprotocol(item, nextitem=following, log=False)
        if any(report.failed for report in reports):
            failed.append(item.nodeid)
        if len(failed) == FAILURES_MAX:
            break
    return failed
