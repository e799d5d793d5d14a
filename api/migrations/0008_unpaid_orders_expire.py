"""Unpaid orders expire unless the store says otherwise; what a store has saved already stays."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("api", "0007_custom_items_by_shoppers")]

    operations = [
        migrations.AlterField(
            model_name="storesettings",
            name="unpaid_order_expiry_hours",
            field=models.PositiveIntegerField(db_default=336, default=336),
        ),
    ]
