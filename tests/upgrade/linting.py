"""What the rule for migrations (CONTRIBUTING.md) finds in one: by squawk, and by its operations.

Squawk reads the SQL that a migration runs, that of `RunSQL` too. It does not know that rows are
written by the million, nor what happens to a migration that dies half way.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from django.db import connection
from django.db.migrations import Migration, RunPython
from django.db.migrations.state import ProjectState

SQUAWK = Path(sys.executable).with_name("squawk")
# `migrate` has time-outs of its own, and what remains is a matter of taste.
NOT_ASKED = (
    *("require-lock-timeout", "require-statement-timeout", "prefer-robust-stmts"),
    *("prefer-text-field", "prefer-identity", "prefer-bigint-over-int", "ban-char-field"),
    *("prefer-bigint-over-smallint", "prefer-timestamp-tz", "require-timeout-settings"),
)
_ROWS = re.compile(r"\s*(UPDATE|DELETE|TRUNCATE|LOCK|CLUSTER|VACUUM|REINDEX)\b", re.IGNORECASE)


def findings(migration: Migration, before: ProjectState) -> dict[str, str]:
    """Return what is wrong with it, rule by rule.

    A migration may say in its attribute `allowed`, by rule, why that is right this time.
    """
    statements = _statements(migration, before)
    found = {**_read_by_squawk(statements, migration.atomic), **_by_operations(migration)}
    for statement in statements:
        if _ROWS.match(statement):
            found["rows-in-batches"] = f"Takes or writes a whole table: {statement[:60]}"
    allowed: dict[str, str] = getattr(migration, "allowed", {})
    idle = dict.fromkeys(allowed.keys() - found.keys(), "It is allowed, and nothing needs that")
    return {rule: said for rule, said in found.items() if rule not in allowed} | idle


def _statements(migration: Migration, before: ProjectState) -> list[str]:
    # One of its own, for some operations refuse to be in a transaction, where tests are.
    outside = connection.copy()
    try:
        with outside.schema_editor(collect_sql=True, atomic=migration.atomic) as editor:
            migration.apply(before.clone(), editor, collect_sql=True)
    finally:
        outside.close()
    return [line for line in editor.collected_sql if not line.startswith("--")]


def _read_by_squawk(statements: list[str], atomic: bool) -> dict[str, str]:
    inside = ["BEGIN;", *statements, "COMMIT;"] if atomic else statements
    options = ["--pg-version=15", "--reporter=json", f"--exclude={','.join(NOT_ASKED)}"]
    read = subprocess.run(
        [SQUAWK, *options], input="\n".join(inside), text=True, capture_output=True, check=False
    )
    said: list[dict[str, Any]] = json.loads(read.stdout)
    return {one["rule_name"]: one["message"] for one in said}


def _by_operations(migration: Migration) -> dict[str, str]:
    several = len(migration.operations) > 1
    moves_rows = any(isinstance(one, RunPython) for one in migration.operations)
    if moves_rows and (several or migration.atomic):
        return {"rows-in-batches": "RunPython stands alone, with atomic = False, to commit batches"}
    if several and not migration.atomic:
        return {"one-step": "What dies half way without a transaction cannot be run again"}
    return {}
