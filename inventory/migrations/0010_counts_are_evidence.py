"""Let every entry say from when it counts, and keep what was counted, also where it agreed."""

import django.db.models.deletion
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

import api.ids

# What the log's entries do, now with the moments of each.
EFFECTS = """
CREATE OR REPLACE VIEW inventory_stock_effect AS
SELECT stock_id, sequence,
    quantity * CASE WHEN action IN ('increment', 'deallocate') THEN 1 ELSE -1 END AS available,
    quantity * CASE action WHEN 'allocate' THEN 1 WHEN 'deallocate' THEN -1 ELSE 0 END AS allocated,
    CASE WHEN by_order THEN 0 ELSE
        quantity * CASE action WHEN 'allocate' THEN 1 WHEN 'deallocate' THEN -1 ELSE 0 END
    END AS held,
    available AS available_after, allocated AS allocated_after, held AS held_after{}
FROM inventory_stocktransaction;
"""
EFFECTS_AT_A_MOMENT = EFFECTS.format(", created_at, effective_at")
EFFECTS_BEFORE = "DROP VIEW inventory_stock_effect;" + EFFECTS.format("")

# The counts of which the log still knows: those that corrected something and were not taken back.
# Their entries' reasons begin with what was counted.
COUNTS_SO_FAR = """
INSERT INTO inventory_stockcount
    (id, stock_id, units, counted_at, change, sequence, line_id, actor_kind, actor_id, actor_name,
     recorded_at)
SELECT gen_random_uuid(), entry.stock_id, substring(entry.reason FROM '^count of ([0-9]+)')::int,
    entry.effective_at, CASE action WHEN 'increment' THEN quantity ELSE -quantity END,
    entry.sequence, line.id, entry.actor_kind, entry.actor_id, entry.actor_name, entry.created_at
FROM inventory_stocktransaction AS entry
JOIN inventory_stock AS stock ON stock.id = entry.stock_id
LEFT JOIN inventory_countline AS line
    ON line.product_id = stock.product_id AND line.sequence = entry.sequence
WHERE entry.effective_at IS NOT NULL AND entry.reason ~ '^count of [0-9]{1,10}( |:|$)'
    AND line.reverted_sequence IS NULL
    AND NOT EXISTS (
        SELECT FROM inventory_stocktransaction AS undone
        WHERE undone.stock_id = entry.stock_id AND undone.sequence = entry.sequence + 1
            AND undone.reason LIKE 'undo: count of %'
    );
"""


class Migration(migrations.Migration):
    dependencies = [("inventory", "0009_stock_state")]

    operations = [
        migrations.RemoveConstraint(
            model_name="stocktransaction", name="stock_transaction_counted_by_hand"
        ),
        migrations.RenameField(
            model_name="stocktransaction", old_name="counted_at", new_name="effective_at"
        ),
        # Not of the entries that are there: a worker's clock may have been behind.
        AddConstraintNotValid(
            model_name="stocktransaction",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("effective_at", None),
                    ("effective_at__lte", models.F("created_at")),
                    _connector="OR",
                ),
                name="stock_transaction_effective_by_then",
            ),
        ),
        migrations.AddIndex(
            model_name="stocktransaction",
            index=models.Index(
                condition=models.Q(("effective_at__isnull", False)),
                fields=["stock", "created_at"],
                name="stock_effective_before",
            ),
        ),
        migrations.AddIndex(
            model_name="stocktransaction",
            index=models.Index(
                condition=models.Q(("action", "increment"), ("by_order", True)),
                fields=["stock", "created_at"],
                name="stock_that_came_back",
            ),
        ),
        migrations.RunSQL(EFFECTS_AT_A_MOMENT, EFFECTS_BEFORE),
        migrations.CreateModel(
            name="StockCount",
            fields=[
                ("actor_kind", models.CharField(max_length=16)),
                ("actor_id", models.CharField(max_length=64)),
                ("actor_name", models.CharField(max_length=200)),
                (
                    "id",
                    models.UUIDField(
                        default=api.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("units", models.IntegerField()),
                ("counted_at", models.DateTimeField()),
                ("change", models.BigIntegerField()),
                ("sequence", models.BigIntegerField()),
                ("recorded_at", models.DateTimeField()),
                ("withdrawn_at", models.DateTimeField(null=True)),
                ("withdrawn_sequence", models.BigIntegerField(null=True)),
                (
                    "line",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="inventory.countline",
                    ),
                ),
                (
                    "stock",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="counts",
                        to="inventory.stock",
                    ),
                ),
            ],
            options={
                "default_permissions": (),
                "indexes": [
                    models.Index(
                        condition=models.Q(("withdrawn_at", None)),
                        fields=["stock", "counted_at"],
                        name="last_count_of_a_stock",
                    )
                ],
            },
        ),
        migrations.RunSQL(COUNTS_SO_FAR, migrations.RunSQL.noop),
    ]
