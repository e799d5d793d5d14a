"""The list of guards is whole and true, and a guard that is gone is noticed."""

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from django.core.checks.registry import registry

from tests import database_catalog
from tests.mutation import catalog, guards
from tests.mutation.found import APPS, PROJECT, Replacement
from tests.mutation.guards import Catalog, Guard
from tests.mutation.workshop import Bench

NOTHING = Catalog({}, {}, [])


@cache
def of_source() -> list[Guard]:
    """Return the guards that are taken out of the source."""
    return guards.all_guards(NOTHING)


def test_every_guard_is_where_it_was_and_can_be_taken_away():
    for guard in of_source():
        assert isinstance(guard.change, Replacement)
        source = Path(PROJECT, guard.change.path).read_text()
        assert source.count(guard.change.old) == 1, guard
        changed = source.replace(guard.change.old, guard.change.new)
        assert changed != source, guard
        ast.parse(changed)


def test_every_guard_has_a_name_of_its_own_and_tests_that_there_are():
    found = of_source()

    assert [name for name, count in Counter(map(str, found)).items() if count > 1] == []
    for guard in found:
        files = [Path(PROJECT, name.partition("::")[0]) for name in guard.tests if "/" in name]
        assert files, guard
        assert all(file.exists() for file in files), guard


@pytest.mark.django_db
def test_every_constraint_trigger_and_permission_is_a_guard():
    known = catalog.read()
    names = {guard.name for guard in guards.all_guards(known)}

    assert {
        f"{each.table}.{name}" for name, each in database_catalog.constraints().items()
    } <= names
    assert database_catalog.triggers().keys() <= names
    assert set(known.permissions) <= names
    assert len(known.triggers) > 10
    assert len(known.permissions) > 40


def test_every_check_before_a_shop_opens_is_a_guard():
    ours = {
        check.__module__
        for check in registry.deployment_checks
        if check.__module__.split(".")[0] in {"api", "demo", "config"}
    }
    sources = [Path(PROJECT, *name.split(".")).with_suffix(".py") for name in ours]
    ids = {id for source in sources for id in re.findall(r'id="(.*?)"', source.read_text())}

    assert {guard.name for guard in of_source() if guard.kind == "deploy check"} == ids


def test_every_lock_that_is_asked_for_in_sql_is_a_guard():
    asked = [
        line
        for app in APPS
        for path in Path(PROJECT, app).rglob("*.py")
        # What functions of the database lock is theirs.
        if "migrations" not in path.parts
        for line in path.read_text().splitlines()
        if re.search(r"FOR (NO KEY )?UPDATE|pg_advisory_xact_lock", line)
        and not line.lstrip().startswith("#")
    ]
    taken_away = [
        guard.change.old for guard in of_source() if isinstance(guard.change, Replacement)
    ]

    assert len(asked) >= 7
    assert [
        line for line in asked if not any(old in line or line in old for old in taken_away)
    ] == []


@pytest.mark.processes
def test_guards_that_are_gone_are_noticed_and_those_that_are_there_are_not(tmp_path):
    """Two that need no database; all others are tried by `python -m tests.mutation`."""
    bench = Bench(1, tmp_path)
    tried = ["tests/api/test_checks.py", "tests/api/test_claims.py"]
    changes = {str(guard): guard.change for guard in of_source()}
    check = changes["deploy check: holdfast.E001"]
    claim = changes["idempotency key: payments.services.payments.begin"]
    assert isinstance(check, Replacement)
    assert isinstance(claim, Replacement)

    assert bench.run(tried).status == 0
    with (
        bench.without(check.path, check.old, check.new),
        bench.without(claim.path, claim.old, claim.new),
    ):
        outcome = bench.run(tried)

    assert outcome.status == 1
    assert {failed.partition("[")[0].rpartition("::")[2] for failed in outcome.failed} == {
        "test_t42_each_fault_of_the_environment_has_its_id",
        "test_f27_whoever_takes_a_key_claims_it_or_hands_it_on",
    }
