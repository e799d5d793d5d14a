"""What the rule for migrations (CONTRIBUTING.md) finds in one: by squawk, and by its operations.

Squawk reads the SQL that a migration runs, that of `RunSQL` too. It does not know that rows are
written by the million, nor what happens to a migration that dies half way.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlparse
from django.db import connection
from django.db.migrations import Migration, RunPython, SeparateDatabaseAndState
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

SQUAWK = Path(sys.executable).with_name("squawk")
# `migrate` has time-outs of its own, and what remains is a matter of taste.
NOT_ASKED = (
    *("require-lock-timeout", "require-statement-timeout", "prefer-robust-stmts"),
    *("prefer-text-field", "prefer-identity", "prefer-bigint-over-int", "ban-char-field"),
    *("prefer-bigint-over-smallint", "prefer-timestamp-tz", "require-timeout-settings"),
)
# What writes, reads or takes a whole table, at the beginning or behind WITH, EXPLAIN and COPY.
_ROWS = re.compile(
    r"(UPDATE|DELETE|MERGE|TRUNCATE|LOCK|CLUSTER|VACUUM|REINDEX|COPY|REFRESH)\b"
    r"|(WITH|SELECT|EXPLAIN)\b.*\b(UPDATE|DELETE|INSERT|MERGE)\b|INSERT\b.*\bSELECT\b",
    re.IGNORECASE | re.DOTALL,
)
_UNREAD = re.compile(r"(DO|CALL|EXECUTE)\b|SELECT\s+(?!setval)[\w.\"]+\s*\(", re.IGNORECASE)
_KIND = (
    r"FUNCTION|PROCEDURE|AGGREGATE|TRIGGER|TYPE|DOMAIN|(?:MATERIALIZED )?VIEW|SEQUENCE|SCHEMA"
    r"|EXTENSION|CONSTRAINT|RULE|POLICY"
)
_DROPPED = re.compile(rf"\bDROP ({_KIND}) (?:IF EXISTS )?([\w.\"]+)", re.IGNORECASE)
_MADE = re.compile(
    rf"\b(?:CREATE|ADD)(?: OR REPLACE)?(?: CONSTRAINT)? ({_KIND}) ([\w.\"]+)"
    r"|\bADD (CONSTRAINT) ([\w.\"]+)",
    re.IGNORECASE,
)
_PUT_ASIDE = re.compile(
    r"\b(DISABLE (TRIGGER|RULE)|ENABLE REPLICA|ENABLE ROW LEVEL|RENAME (TO|VALUE)|SET SCHEMA"
    r"|OWNER TO|REVOKE|SET (UN)?LOGGED|SET TABLESPACE|session_replication_role)\b",
    re.IGNORECASE,
)


def findings(migration: Migration, before: ProjectState) -> dict[str, str]:
    """Return what is wrong with it, rule by rule.

    A migration may say in its attribute `allowed`, by rule, why that is right this time.
    """
    statements = _statements(migration, before)
    found = {
        **_read_by_squawk(statements, migration.atomic),
        **_by_operations(migration),
        **_by_words([_bare(statement) for statement in statements]),
    }
    allowed: dict[str, str] = getattr(migration, "allowed", {})
    idle = dict.fromkeys(allowed.keys() - found.keys(), "It is allowed, and nothing needs that")
    return {rule: said for rule, said in found.items() if rule not in allowed} | idle


def _bare(statement: str) -> str:
    """Leave out comments, and what a function's body says: that runs another time."""
    bare: str = sqlparse.format(statement, strip_comments=True).strip()
    if re.match(r"CREATE\b.*\b(FUNCTION|PROCEDURE)\b", bare, re.IGNORECASE | re.DOTALL):
        bare = re.sub(r"(\$\w*\$).*\1", "''", bare, flags=re.DOTALL)
    return " ".join(bare.split())


def _by_words(statements: list[str]) -> dict[str, str]:
    made = {name for each in statements for name in _names(_MADE, each)}
    found: dict[str, str] = {}
    for each in statements:
        if _ROWS.match(each):
            found["rows-in-batches"] = f"Takes or writes a whole table: {each[:60]}"
        if _UNREAD.match(each):
            found["read-by-nobody"] = f"Runs what is not written here: {each[:60]}"
        if _names(_DROPPED, each) - made or _PUT_ASIDE.search(each):
            found["running-release-needs-it"] = f"Takes away what is used: {each[:60]}"
    return found


def _names(pattern: re.Pattern[str], statement: str) -> set[tuple[str, ...]]:
    """Return what a statement names, as its kind and its name."""
    groups = (match.groups() for match in pattern.finditer(statement))
    return {tuple(part.lower().strip('"') for part in each if part) for each in groups}


def _statements(migration: Migration, before: ProjectState) -> list[str]:
    # One of its own, for some operations refuse to be in a transaction, where tests are.
    outside = connection.copy()
    try:
        with outside.schema_editor(collect_sql=True, atomic=migration.atomic) as editor:
            migration.apply(before.clone(), editor, collect_sql=True)
    finally:
        outside.close()
    return [line for line in editor.collected_sql if _bare(line)]


def _read_by_squawk(statements: list[str], atomic: bool) -> dict[str, str]:
    inside = ["BEGIN;", *statements, "COMMIT;"] if atomic else statements
    options = ["--pg-version=15", "--reporter=json", f"--exclude={','.join(NOT_ASKED)}"]
    read = subprocess.run(
        [SQUAWK, *options], input="\n".join(inside), text=True, capture_output=True, check=False
    )
    said: list[dict[str, Any]] = json.loads(read.stdout)
    return {one["rule_name"]: one["message"] for one in said}


def _by_operations(migration: Migration) -> dict[str, str]:
    operations = [*_flat(migration.operations)]
    several = len(operations) > 1
    moves_rows = any(isinstance(one, RunPython) for one in operations)
    if moves_rows and (several or migration.atomic):
        return {"rows-in-batches": "RunPython stands alone, with atomic = False, to commit batches"}
    if several and not migration.atomic:
        return {"one-step": "What dies half way without a transaction cannot be run again"}
    return {}


def _flat(operations: Sequence[Operation]) -> Iterator[Operation]:
    """Yield what is done to the database, also by operations inside of others."""
    for one in operations:
        if isinstance(one, SeparateDatabaseAndState):
            yield from _flat(one.database_operations)
        else:
            yield one
