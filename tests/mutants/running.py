"""A pytest plugin whose process runs no test: its children do, one for each mutant.

All is imported and collected once, and the database is made once. A child changes one function in
its own memory, runs the tests that go through the changed lines, and ends with the first that
fails.
"""

import gc
import importlib
import json
import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from types import CodeType, FunctionType

import coverage
import pytest
from _pytest.runner import runtestprotocol
from django.db import DatabaseError, connection
from django.test.utils import setup_databases
from pytest_django.plugin import blocking_manager_key

from config.embedded import die_with_parent
from tests.database import ROLE
from tests.mutants.changes import Mutant, mutants
from tests.mutants.findings import Findings

# A test that takes this many times its time, and so many seconds more, is caught in a loop.
TIMES_PATIENCE, LEAST_PATIENCE = 10, 20

# Only a superuser may end a vacuum of the database that is to be dropped: it is waited for.
TRIES = 60

# A function's qualified name, and how many of that name stand before it: a property's setter has
# the name of its getter.
Place = tuple[str, int]


@dataclass(frozen=True)
class Tried:
    """What all tests did before anything was changed."""

    seconds: dict[str, float]
    failed: list[str]
    # Module, line, and the tests that have run it.
    lines: dict[str, dict[str, list[str]]]

    def of(self, path: str, lines: range) -> set[str]:
        tests = {test for line in lines for test in self.lines[path].get(str(line), ())}
        return tests - {*self.failed, ""}

    def patience(self, tests: Iterable[str]) -> dict[str, int]:
        return {test: int(LEAST_PATIENCE + TIMES_PATIENCE * self.seconds[test]) for test in tests}


class _Made:
    @pytest.fixture(scope="session")
    def django_db_setup(self) -> None:
        """There is a database already, and it stays."""


class Mutating:
    """Asks of each mutant whether the collected tests notice it."""

    def __init__(
        self,
        modules: Sequence[str],
        choose: Callable[[str, list[Mutant]], list[Mutant]],
        findings: Findings,
        seconds: float,
        anew: bool,
    ) -> None:
        self.anew = anew
        self.modules = modules
        self.choose = choose
        self.findings = findings
        self.seconds = seconds

    def pytest_configure(self, config: pytest.Config) -> None:
        # Later than pytest-django, whose fixture this one overrides.
        config.pluginmanager.register(_Made())

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise session.Interrupted("Not all tests could be collected.")
        self.items = {item.nodeid: item for item in session.items}
        functions = {path: _functions(path) for path in self.modules}
        with _database(session.config) as restore:
            _, told = _in_a_child(self._try_all)
            tried = Tried(**json.loads(told))
            self.findings.say(*(f"fails, and is left out: {test}" for test in tried.failed))
            for path in self.modules:
                self._mutate(path, functions[path], tried, restore)
        return True

    def _try_all(self) -> str:
        files = {path: str(Path(path).resolve()) for path in self.modules}
        tracing = coverage.Coverage(
            data_file=None, config_file=False, include=list(files.values()), messages=False
        )
        seconds: dict[str, float] = {}
        failed = []
        tracing.start()
        for item, following in _with_next(list(self.items.values())):
            tracing.switch_context(item.nodeid)
            began = time.perf_counter()
            if not _passes(item, following):
                failed.append(item.nodeid)
            seconds[item.nodeid] = time.perf_counter() - began
        tracing.stop()
        data = tracing.get_data()
        lines = {path: data.contexts_by_lineno(file) for path, file in files.items()}
        return json.dumps({"seconds": seconds, "failed": failed, "lines": lines})

    def _mutate(
        self,
        path: str,
        functions: Mapping[Place, list[FunctionType]],
        tried: Tried,
        restore: Callable[[], None],
    ) -> None:
        source = Path(path).read_text()
        codes = _codes(source, path)
        killers: defaultdict[str, Counter[str]] = defaultdict(Counter)
        chosen_mutants = self.choose(path, mutants(source))
        self.findings.begin(path, anew=self.anew)
        for mutant in chosen_mutants:
            changed = _changed(mutant, path, codes)
            if not changed:
                continue
            known = killers[mutant.function]
            tests = tried.of(path, mutant.lines)
            in_order = sorted(tests, key=lambda test: (-known[test], tried.seconds[test]))
            chosen = _within(self.seconds, in_order, tried.seconds)
            kill = partial(self._kill, tried.patience(chosen), functions, changed)
            ended, killer = _in_a_child(kill)
            if ended:
                restore()
            known[killer] += bool(killer)
            self.findings.add(
                mutant,
                killed=bool(killer or ended),
                tests=(len(chosen), len(tests)),
                by=killer or f"ended with {ended}",
            )
        self.findings.end()
        # A mutant that left something in the database would have made others look noticed.
        innocent = tried.patience({test for known in killers.values() for test in known if test})
        _, failing = _in_a_child(partial(self._kill, innocent, {}, {}))
        if failing:
            self.findings.say(f"NOT TO BE TRUSTED: without any change, now fails {failing}")

    def _kill(
        self,
        patience: Mapping[str, int],
        functions: Mapping[Place, list[FunctionType]],
        changed: Mapping[Place, CodeType],
    ) -> str:
        """Return the first test that fails, or nothing."""
        for place, code in changed.items():
            for function in functions[place]:
                function.__code__ = code
        for item, following in _with_next([self.items[test] for test in patience]):
            signal.alarm(patience[item.nodeid])
            if not _passes(item, following):
                return item.nodeid
        return ""


def _within(most: float, tests: Sequence[str], seconds: Mapping[str, float]) -> list[str]:
    """Cut the tests off where they would take longer than this, but never before the first."""
    taken = 0.0
    chosen: list[str] = []
    for test in tests:
        taken += seconds[test]
        if chosen and taken > most:
            break
        chosen.append(test)
    return chosen


def _with_next(items: list[pytest.Item]) -> Iterator[tuple[pytest.Item, pytest.Item | None]]:
    """What the next test needs as well, such as a server, is not taken down."""
    return zip_longest(items, items[1:])


def _passes(item: pytest.Item, following: pytest.Item | None) -> bool:
    return not any(report.failed for report in runtestprotocol(item, nextitem=following, log=False))


def _in_a_child(work: Callable[[], str]) -> tuple[int, str]:
    """Return how a child of this process ended, and what its work returned."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            die_with_parent(signal.SIGKILL)()
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            told = work()
            with os.fdopen(writing, "w") as pipe:
                pipe.write(told)
            status = 0
        finally:
            # Nothing of the parent's is tidied up, such as its server.
            os._exit(status)
    os.close(writing)
    try:
        with os.fdopen(reading) as pipe:
            told = pipe.read()
    except KeyboardInterrupt:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), told


def _codes(source: str, path: str) -> dict[Place, CodeType]:
    """Compile a module, and return the code of its functions and of its classes' methods."""
    codes: dict[Place, CodeType] = {}
    waiting = [compile(source, str(Path(path).resolve()), "exec")]
    seen: Counter[str] = Counter()
    while waiting:
        outer = waiting.pop()
        for code in outer.co_consts:
            if not isinstance(code, CodeType):
                continue
            if code.co_flags & 1:  # of a function; a class's body is not optimized
                codes[code.co_qualname, seen[code.co_qualname]] = code
                seen[code.co_qualname] += 1
            else:
                waiting.append(code)
    return codes


def _changed(
    mutant: Mutant, path: str, codes: Mapping[Place, CodeType]
) -> dict[Place, CodeType] | None:
    """Return the code that the mutant changes, if it is a program, and another one."""
    try:
        new = _codes(mutant.source(), path)
    except SyntaxError:
        return None
    changed = {
        place: code
        for place, code in new.items()
        if place[0] == mutant.function and code != codes[place]
    }
    fit = all(code.co_freevars == codes[place].co_freevars for place, code in changed.items())
    return changed if fit else None


def _functions(path: str) -> dict[Place, list[FunctionType]]:
    """Find what runs the code of a module's functions, however they have been wrapped since."""
    importlib.import_module(path.removesuffix(".py").replace("/", "."))
    wanted = {
        (code.co_qualname, code.co_firstlineno): place
        for place, code in _codes(Path(path).read_text(), path).items()
    }
    found: dict[Place, list[FunctionType]] = {place: [] for place in wanted.values()}
    file = str(Path(path).resolve())
    gc.unfreeze()
    for each in gc.get_objects():
        if type(each) is FunctionType and each.__code__.co_filename == file:
            place = wanted.get((each.__code__.co_qualname, each.__code__.co_firstlineno))
            if place:
                found[place].append(each)
    gc.freeze()
    return found


@contextmanager
def _database(config: pytest.Config) -> Iterator[Callable[[], None]]:
    """Make the database of the tests, and give a way to have it as it was."""
    # It wants Django's settings, which are there by now.
    from tests import roles

    unblocked = config.stash[blocking_manager_key].unblock
    with unblocked():
        setup_databases(verbosity=0, interactive=False)
        name, owner = (connection.settings_dict[key] for key in ("NAME", "USER"))
        untouched = f"{name}_untouched"
        with roles.serving():
            # Its rights go into the copy too, so no child has to give them again.
            os.environ.pop(ROLE, None)
            connection.close()
            _run(owner, f"DROP DATABASE IF EXISTS {untouched}", _copy(name, untouched))
            yield partial(_restore, unblocked, owner, name, untouched)
        _run(owner, _drop(untouched), _drop(name))


def _restore(
    unblocked: Callable[[], AbstractContextManager[None]], owner: str, name: str, untouched: str
) -> None:
    with unblocked():
        _run(owner, _drop(name), _copy(untouched, name))


def _copy(of: str, name: str) -> str:
    return f"CREATE DATABASE {name} TEMPLATE {of}"


def _drop(name: str) -> str:
    return f"DROP DATABASE {name} WITH (FORCE)"


def _run(owner: str, *statements: str) -> None:
    """Run what only the owner may, on no database."""
    connected = connection.copy()
    connected.settings_dict = {**connection.settings_dict, "USER": owner}
    for statement in statements:
        for left in reversed(range(TRIES)):
            try:
                with connected._nodb_cursor() as cursor:
                    cursor.execute(statement)
                break
            except DatabaseError:
                if not left:
                    raise
                time.sleep(1)
