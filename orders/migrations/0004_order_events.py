"""What was done to an order, by whom and why: a log of its own, which nobody can change."""

import django.db.models.deletion
from django.db import migrations, models

import api.ids

KEPT = """
CREATE TRIGGER order_events_are_append_only
    BEFORE UPDATE OR DELETE ON orders_orderevent FOR EACH ROW
    EXECUTE FUNCTION inventory_is_kept();
"""

# Of orders that were shipped or cancelled before, only the stock's log knows who did it.
TOLD_SO_FAR = """
INSERT INTO orders_orderevent (id, order_id, kind, text, actor_kind, actor_id, actor_name, created_at)
SELECT gen_random_uuid(), done.id, done.kind, '',
    coalesce(log.actor_kind, 'system'), coalesce(log.actor_id, 'unknown'),
    coalesce(log.actor_name, 'unknown'), done.at
FROM (
    SELECT id, 'shipped' AS kind, 'shipped' AS reason, shipped_at AS at
    FROM orders_order WHERE shipped_at IS NOT NULL
    UNION ALL
    SELECT id, 'cancelled', 'order cancelled', cancelled_at
    FROM orders_order WHERE cancelled_at IS NOT NULL
) AS done
LEFT JOIN LATERAL (
    SELECT actor_kind, actor_id, actor_name FROM inventory_stocktransaction AS entry
    WHERE entry.order_id = done.id AND entry.reason = done.reason LIMIT 1
) AS log ON true;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0002_the_log_agrees_with_the_stock"),
        ("orders", "0003_custom_items"),
    ]

    operations = [
        migrations.CreateModel(
            name="OrderEvent",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=api.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("shipped", "Shipped"),
                            ("ship_undone", "Ship undone"),
                            ("cancelled", "Cancelled"),
                            ("changed", "Changed"),
                            ("note", "Note"),
                            ("payment_settled_by_hand", "Payment settled by hand"),
                            ("money_came_late", "Money came late"),
                        ],
                        max_length=32,
                    ),
                ),
                ("text", models.TextField(blank=True)),
                ("actor_kind", models.CharField(max_length=16)),
                ("actor_id", models.CharField(max_length=64)),
                ("actor_name", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField()),
                (
                    "order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="events",
                        to="orders.order",
                    ),
                ),
            ],
        ),
        migrations.RunSQL(KEPT, "DROP TRIGGER order_events_are_append_only ON orders_orderevent"),
        migrations.RunSQL(TOLD_SO_FAR, migrations.RunSQL.noop),
    ]
