"""The rule for migrations, of which CONTRIBUTING.md tells: each line with what it refuses."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.postgres.functions import RandomUUID
from django.contrib.postgres.operations import (
    AddConstraintNotValid,
    AddIndexConcurrently,
)
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

from tests.upgrade import frozen, linting

pytestmark = pytest.mark.django_db

COLOUR: dict[str, Any] = {"max_length": 9, "default": "red"}
NAMED = models.CheckConstraint(condition=~models.Q(customer_name=""), name="order_named")
BY_CHANGE = models.Index(fields=["updated_at", "id"], name="order_by_change")
REFERENCE = models.ForeignKey("orders.order", null=True, on_delete=models.PROTECT)
TABLE = "ALTER TABLE orders_order"
ALL_ROWS = "UPDATE orders_order SET customer_name = 'x'"
KEEPS = "log_is_append_only ON inventory_stocktransaction"


@pytest.fixture(scope="module")
def loader() -> MigrationLoader:
    return MigrationLoader(None)


@pytest.fixture(scope="module")
def today(loader) -> ProjectState:
    state: ProjectState = loader.project_state()
    return state


def migration(*operations: Any, atomic: bool = True, **more: Any) -> migrations.Migration:
    contents = {"operations": [*operations], "atomic": atomic, **more}
    of_orders = type("Migration", (migrations.Migration,), contents)
    made: migrations.Migration = of_orders("9999_newer", "orders")
    return made


def sql(statement: str) -> migrations.RunSQL:
    return migrations.RunSQL(statement)


def rewrite(apps: Any, editor: Any) -> None:
    """Stand for what changes rows."""


def test_no_migration_since_the_last_release_breaks_the_rule(loader):
    for path in frozen.newer():
        app, name = Path(path).parts[0], Path(path).stem
        newer = loader.get_migration(app, name)
        before = loader.project_state((app, name), at_end=False)
        assert linting.findings(newer, before) == {}, path


@pytest.mark.parametrize(
    ("rule", "operation"),
    [
        # The release that is running inserts rows without the column.
        ("ban-drop-default", migrations.AddField("order", "colour", models.CharField(**COLOUR))),
        ("adding-required-field", sql(f"{TABLE} ADD COLUMN colour text NOT NULL")),
        # It names what is taken away, or renamed, in each of its statements.
        ("ban-drop-column", migrations.RemoveField("order", "customer_name")),
        ("renaming-column", migrations.RenameField("order", "customer_name", "buyer")),
        ("ban-drop-table", migrations.DeleteModel("ShipmentLine")),
        ("renaming-table", migrations.RenameModel("ShipmentLine", "ParcelLine")),
        # It may not know what to do with a NULL, or write one.
        ("ban-drop-not-null", sql(f"{TABLE} ALTER COLUMN customer_name DROP NOT NULL")),
        ("adding-not-nullable-field", sql(f"{TABLE} ALTER COLUMN customer_name SET NOT NULL")),
        # The whole table is written anew, or read, while nobody may write to it.
        (
            "changing-column-type",
            migrations.AlterField("order", "customer_name", models.TextField()),
        ),
        ("changing-column-type", sql(f"{TABLE} ALTER COLUMN customer_name TYPE text")),
        (
            "adding-field-with-default",
            migrations.AddField("order", "mark", models.UUIDField(db_default=RandomUUID())),
        ),
        ("constraint-missing-not-valid", migrations.AddConstraint("order", NAMED)),
        ("constraint-missing-not-valid", sql(f"{TABLE} ADD CONSTRAINT x CHECK (id IS NOT NULL)")),
        ("adding-foreign-key-constraint", migrations.AddField("order", "first", REFERENCE)),
        ("require-concurrent-index-creation", migrations.AddIndex("order", BY_CHANGE)),
        ("require-concurrent-index-creation", sql("CREATE INDEX x ON orders_order (updated_at)")),
        ("require-concurrent-index-deletion", sql("DROP INDEX order_by_change")),
        # Every row is locked until all of them are done.
        ("rows-in-batches", sql("UPDATE orders_order SET customer_name = 'x'")),
        ("rows-in-batches", sql("LOCK TABLE orders_order")),
        ("rows-in-batches", migrations.RunPython(rewrite)),
        (
            "rows-in-batches",
            migrations.SeparateDatabaseAndState([migrations.RunPython(rewrite)], []),
        ),
        ("rows-in-batches", migrations.RunSQL([f"-- A comment.\n{ALL_ROWS}"])),
        ("rows-in-batches", sql(f"WITH done AS ({ALL_ROWS} RETURNING id) SELECT FROM done")),
        ("rows-in-batches", sql("INSERT INTO api_change SELECT * FROM api_change")),
        # Nobody reads what it runs, squawk neither.
        ("read-by-nobody", sql(f"DO $$ BEGIN {ALL_ROWS}; END $$")),
        ("read-by-nobody", sql("SELECT something_of_ours()")),
        # It calls the function, and counts on the guard, the index and the name.
        ("running-release-needs-it", sql("DROP FUNCTION inventory_is_kept() CASCADE")),
        ("running-release-needs-it", sql(f"DROP TRIGGER {KEEPS}")),
        ("running-release-needs-it", sql("ALTER TABLE orders_order DISABLE TRIGGER USER")),
        ("running-release-needs-it", sql(f"{TABLE} DROP CONSTRAINT order_total_not_negative")),
        ("running-release-needs-it", sql("ALTER FUNCTION inventory_is_kept() RENAME TO other")),
        ("running-release-needs-it", sql("REVOKE SELECT ON orders_order FROM PUBLIC")),
    ],
)
def test_t49_what_stops_a_running_shop_is_refused(today, rule, operation):
    assert rule in linting.findings(migration(operation), today)


@pytest.mark.parametrize(
    ("atomic", "operation"),
    [
        (
            True,
            migrations.AddField("order", "colour", models.CharField(**COLOUR, db_default="red")),
        ),
        (True, migrations.AddField("order", "colour", models.CharField(max_length=9, null=True))),
        (True, AddConstraintNotValid("order", NAMED)),
        (True, sql(f"{TABLE} VALIDATE CONSTRAINT order_named")),
        (False, AddIndexConcurrently("order", BY_CHANGE)),
        (False, migrations.RunPython(rewrite)),
        (
            True,
            migrations.CreateModel("Parcel", [("id", models.UUIDField(primary_key=True))]),
        ),
        # What a function says runs later, a row at a time; a guard may be replaced by another.
        (
            True,
            sql(
                "CREATE OR REPLACE FUNCTION inventory_is_kept() RETURNS trigger LANGUAGE plpgsql "
                f"AS $$ BEGIN {ALL_ROWS}; RETURN NEW; END $$; DROP TRIGGER {KEEPS}; "
                f"CREATE TRIGGER {KEEPS.replace(' ON', ' BEFORE UPDATE ON')} "
                "FOR EACH ROW EXECUTE FUNCTION inventory_is_kept()"
            ),
        ),
    ],
)
def test_what_lets_it_go_on_is_not(today, atomic, operation):
    assert linting.findings(migration(operation, atomic=atomic), today) == {}


def test_what_cannot_be_rolled_back_is_one_step(today):
    two = [
        AddIndexConcurrently("order", BY_CHANGE),
        AddIndexConcurrently("order", models.Index(fields=["number"], name="order_by_number")),
    ]

    assert linting.findings(migration(*two, atomic=False), today).keys() == {"one-step"}


def test_a_migration_may_say_why_it_is_right_this_time(today):
    dropped = migrations.RemoveField("order", "customer_name")
    reason = {"ban-drop-column": "v0.2.0 does not name it any more."}

    assert linting.findings(migration(dropped, allowed=reason), today) == {}


def test_what_is_allowed_must_be_needed(today):
    added = migrations.AddField("order", "colour", models.CharField(max_length=9, null=True))

    found = linting.findings(migration(added, allowed={"ban-drop-columm": "A slip."}), today)

    assert found.keys() == {"ban-drop-columm"}
