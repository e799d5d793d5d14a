"""The order list as a list of work, found among a million orders; and what the last audit found.

What it costs where many pass. Checkout inserts a row into one more index, orders_unpaid, at the end
that is in memory anyway, and one per line into order_item_by_sku; all others do not hold unpaid
orders. The first payment, and the one that completes the order, move it between indexes: each of
these updates writes the order's other indexes too, since it changes an indexed column. Shipped and
cancelled orders are indexed when that happens. No index is on a stock row.
"""

from django.db import migrations, models
from django.db.models import F, Q

CANCELLED_WITH_MONEY = Q(("cancelled_at__isnull", False)) & (
    Q(("captured__gt", F("refunded"))) | Q(("authorized__gt", 0))
)
PARTLY_PAID = Q(("cancelled_at", None), ("fully_paid_at", None)) & (
    Q(("captured__gt", 0)) | Q(("authorized__gt", 0))
)
INDEXES = [
    models.Index(
        fields=["fully_paid_at"],
        condition=Q(("cancelled_at", None), ("fully_paid_at__isnull", False), ("shipped_at", None)),
        name="orders_to_ship",
    ),
    models.Index(
        fields=["created_at"],
        condition=Q(("cancelled_at", None), ("fully_paid_at", None)),
        name="orders_unpaid",
    ),
    models.Index(
        fields=["shipped_at"], condition=Q(("shipped_at__isnull", False)), name="orders_shipped"
    ),
    models.Index(
        fields=["cancelled_at"],
        condition=Q(("cancelled_at__isnull", False)),
        name="orders_cancelled",
    ),
    models.Index(
        fields=["allocated_at"],
        condition=Q(("allocated_at__isnull", False)),
        name="orders_holding_units",
    ),
    models.Index(
        fields=["cancelled_at"],
        condition=CANCELLED_WITH_MONEY,
        name="orders_cancelled_with_money",
    ),
    models.Index(fields=["created_at"], condition=PARTLY_PAID, name="orders_partly_paid"),
    models.Index(
        fields=["order_number"], condition=~Q(("order_number", "")), name="orders_client_number"
    ),
]


class Migration(migrations.Migration):
    dependencies = [("orders", "0008_authorization_lapsed")]

    operations = [
        migrations.CreateModel(
            name="AuditResult",
            fields=[
                (
                    "id",
                    models.PositiveSmallIntegerField(
                        default=1, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("checked_at", models.DateTimeField()),
                ("differences", models.PositiveIntegerField()),
                ("example", models.TextField(blank=True)),
            ],
        ),
        migrations.AddConstraint(
            "auditresult",
            models.CheckConstraint(condition=Q(("id", 1)), name="audit_result_one_row"),
        ),
        *(migrations.AddIndex("order", index) for index in INDEXES),
        migrations.AddIndex(
            "orderitem", models.Index(fields=["sku", "order"], name="order_item_by_sku")
        ),
    ]
