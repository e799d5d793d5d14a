import django.db.models.deletion
import django.db.models.expressions
from django.db import migrations, models

import api.ids

# What was shipped or cancelled before was so as a whole, and what came back was restocked.
SO_FAR = """
UPDATE orders_orderitem SET stocked = true WHERE allocated > 0 OR shipped > 0;

UPDATE orders_orderitem AS item SET shipped = item.quantity
FROM orders_order AS sold
WHERE sold.id = item.order_id AND sold.shipped_at IS NOT NULL AND item.shipped = 0;

UPDATE orders_orderitem AS item SET cancelled = item.quantity
FROM orders_order AS sold
WHERE sold.id = item.order_id AND sold.cancelled_at IS NOT NULL;

UPDATE orders_order SET shipments_made = 1 WHERE shipped_at IS NOT NULL;

INSERT INTO orders_shipment
    (id, order_id, number, carrier, tracking, created_at, actor_kind, actor_id, actor_name)
SELECT gen_random_uuid(), sold.id, 1, '', left(coalesce(told.text, ''), 200), sold.shipped_at,
    coalesce(told.actor_kind, 'system'), coalesce(told.actor_id, 'unknown'),
    coalesce(told.actor_name, 'unknown')
FROM orders_order AS sold
LEFT JOIN LATERAL (
    SELECT text, actor_kind, actor_id, actor_name FROM orders_orderevent AS event
    WHERE event.order_id = sold.id AND event.kind = 'shipped'
    ORDER BY event.created_at DESC, event.id DESC LIMIT 1
) AS told ON true
WHERE sold.shipped_at IS NOT NULL;

INSERT INTO orders_shipmentline (id, shipment_id, item_id, quantity, entry_id)
SELECT gen_random_uuid(), shipment.id, item.id, item.shipped, gone.id
FROM orders_shipment AS shipment
JOIN orders_orderitem AS item ON item.order_id = shipment.order_id
LEFT JOIN LATERAL (
    SELECT entry.id FROM inventory_stocktransaction AS entry
    JOIN inventory_stock AS stock ON stock.id = entry.stock_id
    WHERE item.stocked AND entry.order_id = shipment.order_id AND entry.by_order
        AND entry.action = 'decrement' AND stock.product_id = item.product_id
    ORDER BY entry.sequence DESC LIMIT 1
) AS gone ON true;

INSERT INTO orders_return
    (id, order_id, number, reason, created_at, actor_kind, actor_id, actor_name)
SELECT gen_random_uuid(), came.order_id, 1, coalesce(back.reason, ''),
    coalesce(back.created_at, now()), coalesce(back.actor_kind, 'system'),
    coalesce(back.actor_id, 'unknown'), coalesce(back.actor_name, 'unknown')
FROM (SELECT DISTINCT order_id FROM orders_orderitem WHERE returned > 0) AS came
LEFT JOIN LATERAL (
    SELECT reason, created_at, actor_kind, actor_id, actor_name
    FROM inventory_stocktransaction AS entry
    WHERE entry.order_id = came.order_id AND entry.by_order AND entry.action = 'increment'
    ORDER BY entry.created_at DESC, entry.id DESC LIMIT 1
) AS back ON true;

INSERT INTO orders_returnline
    (id, of_return_id, item_id, quantity, disposition, settled_as)
SELECT gen_random_uuid(), back.id, item.id, item.returned, 'restocked', ''
FROM orders_return AS back
JOIN orders_orderitem AS item ON item.order_id = back.order_id AND item.returned > 0;

SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
"""


class Migration(migrations.Migration):
    """Orders are shipped in parts, cancelled in parts and taken back line by line."""

    dependencies = [
        ("inventory", "0026_price_sums"),
        ("orders", "0018_what_orders_are_found_by"),
    ]

    operations = [
        migrations.CreateModel(
            name="Return",
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
                ("number", models.IntegerField()),
                ("reason", models.TextField(blank=True)),
                ("created_at", models.DateTimeField()),
                ("attempt_id", models.UUIDField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="ReturnLine",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=api.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("quantity", models.IntegerField()),
                (
                    "disposition",
                    models.CharField(
                        choices=[
                            ("restocked", "Restocked"),
                            ("inspection", "Inspection"),
                            ("discarded", "Discarded"),
                            ("missing", "Missing"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "settled_as",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("restocked", "Restocked"),
                            ("inspection", "Inspection"),
                            ("discarded", "Discarded"),
                            ("missing", "Missing"),
                        ],
                        max_length=10,
                    ),
                ),
                ("settled_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Shipment",
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
                ("number", models.IntegerField()),
                ("carrier", models.CharField(blank=True, max_length=100)),
                ("tracking", models.CharField(blank=True, max_length=200)),
                ("created_at", models.DateTimeField()),
                ("undone_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="ShipmentLine",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=api.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("quantity", models.IntegerField()),
                ("entry_id", models.UUIDField(null=True)),
            ],
        ),
        migrations.RemoveConstraint(
            model_name="orderitem",
            name="order_item_holds_at_most_its_quantity",
        ),
        migrations.RemoveConstraint(
            model_name="orderitem",
            name="order_item_without_product_holds_none",
        ),
        migrations.AddField(
            model_name="order",
            name="shipments_made",
            field=models.IntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="order",
            name="shipments_undone",
            field=models.IntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="orderitem",
            name="cancelled",
            field=models.IntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="orderitem",
            name="stocked",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AlterField(
            model_name="orderevent",
            name="kind",
            field=models.CharField(
                choices=[
                    ("placed_at_the_desk", "Placed at the desk"),
                    ("shipped", "Shipped"),
                    ("ship_undone", "Ship undone"),
                    ("items_cancelled", "Items cancelled"),
                    ("taken_back", "Taken back"),
                    ("inspected", "Inspected"),
                    ("cancelled", "Cancelled"),
                    ("changed", "Changed"),
                    ("note", "Note"),
                    ("payment_checked", "Payment checked"),
                    ("payment_settled_by_hand", "Payment settled by hand"),
                    ("money_came_late", "Money came late"),
                    ("authorization_lapsed", "Authorization lapsed"),
                    ("refund_came_back", "Refund came back"),
                    ("left_be", "Left be"),
                ],
                max_length=32,
            ),
        ),
        migrations.AddField(
            model_name="return",
            name="order",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="returns",
                to="orders.order",
            ),
        ),
        migrations.AddField(
            model_name="returnline",
            name="item",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="orders.orderitem"
            ),
        ),
        migrations.AddField(
            model_name="returnline",
            name="of_return",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="lines",
                to="orders.return",
            ),
        ),
        migrations.AddField(
            model_name="shipment",
            name="order",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="shipments",
                to="orders.order",
            ),
        ),
        migrations.AddField(
            model_name="shipmentline",
            name="item",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="orders.orderitem"
            ),
        ),
        migrations.AddField(
            model_name="shipmentline",
            name="shipment",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="lines",
                to="orders.shipment",
            ),
        ),
        migrations.AddConstraint(
            model_name="return",
            constraint=models.UniqueConstraint(fields=("order", "number"), name="return_numbered"),
        ),
        migrations.AddConstraint(
            model_name="return",
            constraint=models.CheckConstraint(
                condition=models.Q(("number__gt", 0)), name="return_number_positive"
            ),
        ),
        migrations.AddIndex(
            model_name="returnline",
            index=models.Index(
                condition=models.Q(("disposition", "inspection"), ("settled_at", None)),
                fields=["of_return"],
                name="return_lines_to_inspect",
            ),
        ),
        migrations.AddConstraint(
            model_name="returnline",
            constraint=models.CheckConstraint(
                condition=models.Q(("quantity__gt", 0)), name="return_line_positive"
            ),
        ),
        migrations.AddConstraint(
            model_name="returnline",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("disposition__in", ["restocked", "inspection", "discarded", "missing"])
                ),
                name="return_line_known_disposition",
            ),
        ),
        migrations.AddConstraint(
            model_name="returnline",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("settled_as", ""), ("settled_at", None)),
                    models.Q(
                        ("disposition", "inspection"),
                        ("settled_as__in", ["restocked", "discarded"]),
                        ("settled_at__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="return_line_settled_after_inspection",
            ),
        ),
        migrations.AddConstraint(
            model_name="shipment",
            constraint=models.UniqueConstraint(
                fields=("order", "number"), name="shipment_numbered"
            ),
        ),
        migrations.AddConstraint(
            model_name="shipment",
            constraint=models.CheckConstraint(
                condition=models.Q(("number__gt", 0)), name="shipment_number_positive"
            ),
        ),
        migrations.AddConstraint(
            model_name="shipmentline",
            constraint=models.UniqueConstraint(
                fields=("shipment", "item"), name="shipment_line_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="shipmentline",
            constraint=models.CheckConstraint(
                condition=models.Q(("quantity__gt", 0)), name="shipment_line_positive"
            ),
        ),
        migrations.RunSQL(SO_FAR, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="order",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("shipments_undone__gte", 0),
                    ("shipments_undone__lte", models.F("shipments_made")),
                    models.Q(
                        models.Q(("status", "cancelled"), _negated=True),
                        ("shipments_undone", models.F("shipments_made")),
                        _connector="OR",
                    ),
                    models.Q(
                        models.Q(("shipping", "fulfilled"), _negated=True),
                        ("shipments_undone__lt", models.F("shipments_made")),
                        _connector="OR",
                    ),
                ),
                name="order_shipped_by_shipments",
            ),
        ),
        migrations.AddConstraint(
            model_name="orderitem",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("allocated__gte", 0),
                    ("cancelled__gte", 0),
                    (
                        "quantity__gte",
                        django.db.models.expressions.CombinedExpression(
                            django.db.models.expressions.CombinedExpression(
                                models.F("allocated"), "+", models.F("shipped")
                            ),
                            "+",
                            models.F("cancelled"),
                        ),
                    ),
                    ("shipped__gte", 0),
                ),
                name="order_item_holds_at_most_its_quantity",
            ),
        ),
        migrations.AddConstraint(
            model_name="orderitem",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("allocated", 0), ("stocked", False)),
                    models.Q(
                        (
                            "quantity",
                            django.db.models.expressions.CombinedExpression(
                                django.db.models.expressions.CombinedExpression(
                                    models.F("allocated"), "+", models.F("shipped")
                                ),
                                "+",
                                models.F("cancelled"),
                            ),
                        ),
                        ("stocked", True),
                    ),
                    _connector="OR",
                ),
                name="order_item_stocked_adds_up",
            ),
        ),
        migrations.AddConstraint(
            model_name="orderitem",
            constraint=models.CheckConstraint(
                condition=models.Q(("product__isnull", False), ("stocked", False), _connector="OR"),
                name="order_item_without_product_holds_none",
            ),
        ),
    ]
