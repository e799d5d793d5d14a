"""A pytest plugin whose process runs no test: its children do, one for each statement.

What only the database enforces needs no other source. So all is imported and collected once, and
each child gets a fresh copy of the database, from which a statement has taken something away.
"""

import json
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from tests.mutation.databases import FAILURES_MAX, LONGEST_SECONDS, Databases

# Names, statements and tests, as JSON.
STATEMENTS = "MUTATION_STATEMENTS"
# With which a line begins that tells what became of one.
TOLD = "told: "


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    if session.testsfailed:
        raise session.Interrupted("Not all tests could be collected.")
    databases = Databases(os.environ["DATABASE_URL"])
    for statement in json.loads(os.environ[STATEMENTS]):
        databases.copy(databases.name, statement["sql"])
        items = [item for item in session.items if _is_wanted(item.nodeid, statement["tests"])]
        told = {"guard": statement["guard"], **_in_a_child(items)}
        sys.stdout.write(f"\n{TOLD}{json.dumps(told)}\n")
        sys.stdout.flush()
    return True


def _is_wanted(node: str, tests: Sequence[str]) -> bool:
    """Choose as pytest does by files and, after `-k`, by a word."""
    files = [name for name in tests if "/" in name]
    words = tests[tests.index("-k") + 1 :] if "-k" in tests else [""]
    return node.startswith(tuple(files)) and words[0] in node


def _in_a_child(items: Sequence[pytest.Item]) -> dict[str, Any]:
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        # Whoever waits for what never comes is ended then.
        signal.alarm(LONGEST_SECONDS)
        failed = _failing(items)
        with os.fdopen(write, "w") as answer:
            json.dump({"status": 1 if failed else 0, "failed": failed}, answer)
            answer.flush()
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        told = answer.read()
    os.waitpid(child, 0)
    never_ended: dict[str, Any] = {"status": -signal.SIGKILL, "failed": []}
    return json.loads(told) if told else never_ended


def _failing(items: Sequence[pytest.Item]) -> list[str]:
    failed: list[str] = []
    for item, following in zip(items, [*items[1:], None], strict=True):
        reports = runtestprotocol(item, nextitem=following, log=False)
        if any(report.failed for report in reports):
            failed.append(item.nodeid)
        if len(failed) == FAILURES_MAX:
            break
    return failed
