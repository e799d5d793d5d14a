from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    """Find what programs ask of orders again and again, and the audit each hour, among all."""

    atomic = False
    dependencies = [("orders", "0025_days_of_new_shipments")]

    operations = [
        AddIndexConcurrently(
            "order",
            models.Index(
                fields=["external_ref"], condition=~Q(external_ref=""), name="orders_external_ref"
            ),
        ),
        AddIndexConcurrently(
            "order",
            models.Index(
                fields=["payment", "created_at"],
                condition=Q(shipping="unfulfilled"),
                name="orders_unfulfilled",
            ),
        ),
        AddIndexConcurrently(
            "order", models.Index(fields=["updated_at", "id"], name="orders_by_change")
        ),
    ]
