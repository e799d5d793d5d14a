"""Where guards are taken away: copies of the source, and copies of one migrated database."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.mutation.databases import FAILURES_MAX, LONGEST_SECONDS, PROJECT, Databases
from tests.mutation.guards import Guard
from tests.mutation.in_children import GUARDS, TOLD

_NOT_COPIED = shutil.ignore_patterns(
    *(".venv", ".git", ".data", ".*_cache", "screenshots", "test-results")
)
_QUIETLY = [
    *("-q", "-rfE", "--tb=no", "--no-header", f"--maxfail={FAILURES_MAX}"),
    *("-p", "tests.mutation.database_as_it_is", "-p", "no:cacheprovider", "-p", "no:randomly"),
    *("-p", "no:schemathesis", "-p", "no:playwright", "-p", "no:xdist", "-p", "no:cov"),
]


@dataclass(frozen=True)
class Outcome:
    """How a run of tests ended, and what failed."""

    status: int
    failed: Sequence[str]
    seconds: float
    output: str


class Bench:
    """A copy of the source and of the database, in which one guard at a time is taken away.

    Without `databases`, tests get the database that there is, and must not use it.
    """

    def __init__(self, number: int, folder: Path, databases: Databases | None = None) -> None:
        self._database = f"mutant_{number}"
        self._databases = databases
        self._source = folder / str(number)
        self._written = time.time()
        shutil.copytree(PROJECT, self._source, ignore=_NOT_COPIED)

    @contextmanager
    def without(self, path: str, old: str, new: str) -> Iterator[None]:
        """Write `new` instead of `old` into a file for as long as the block runs."""
        file = self._source / path
        source = file.read_text()
        assert source.count(old) == 1, f"{path} has it {source.count(old)} times: {old}"
        self._write(file, source.replace(old, new))
        try:
            yield
        finally:
            self._write(file, source)

    def _write(self, file: Path, source: str) -> None:
        file.write_text(source)
        # Python compiles anew what is as long as before only if its second is another one.
        self._written += 2
        os.utime(file, (self._written, self._written))

    def run(self, tests: Sequence[str]) -> Outcome:
        """Run tests here, in a fresh copy of the database."""
        began = time.monotonic()
        process = self._pytest(tests, {})
        try:
            output, _ = process.communicate(timeout=LONGEST_SECONDS)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
        failed = [
            # A test's name may have spaces, too.
            line.partition(" ")[2].partition(" - ")[0]
            for line in output.splitlines()
            if line.startswith(("FAILED ", "ERROR "))
        ]
        return Outcome(process.returncode, failed, time.monotonic() - began, output)

    def run_each(self, guards: Sequence[Guard]) -> Iterator[dict[str, Any]]:
        """Run the tests of each in a child of one process; yield what became of it."""
        files = {name for guard in guards for name in guard.tests if "/" in name}
        told = [
            {"guard": str(guard), "change": asdict(guard.change), "tests": guard.tests}
            for guard in guards
        ]
        plugin = ["-p", "tests.mutation.in_children", "--capture=no"]
        process = self._pytest([*plugin, *sorted(files)], {GUARDS: json.dumps(told)})
        assert process.stdout
        rest = ""
        for line in process.stdout:
            if line.startswith(TOLD):
                yield json.loads(line.removeprefix(TOLD))
            else:
                rest += line
        assert process.wait() == 0, rest

    def _pytest(
        self, arguments: Sequence[str], variables: Mapping[str, str]
    ) -> "subprocess.Popen[str]":
        environment = {**os.environ, "HOLDFAST_DEMO": "1", "PYTHONDONTWRITEBYTECODE": ""}
        if self._databases:
            self._databases.copy(self._database)
            environment["DATABASE_URL"] = self._databases.url(self._database)
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", *_QUIETLY, *arguments],
            cwd=self._source,
            env=environment | dict(variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
