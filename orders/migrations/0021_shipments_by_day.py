import django.contrib.postgres.indexes
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0020_customers_and_parcels"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="shipment",
            index=django.contrib.postgres.indexes.BrinIndex(
                fields=["created_at"], name="shipments_by_day"
            ),
        ),
        migrations.AddIndex(
            model_name="shipment",
            index=models.Index(
                condition=models.Q(("undone_at__isnull", False)),
                fields=["created_at"],
                name="shipments_undone",
            ),
        ),
    ]
