from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("api", "0005_store_name_and_time_zone"),
    ]

    operations = [
        migrations.AddField(
            model_name="storesettings",
            name="partly_paid_order_expiry_hours",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="storesettings",
            name="unpaid_order_expiry_hours",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
    ]
