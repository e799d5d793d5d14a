from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("api", "0006_order_expiry")]

    operations = [
        migrations.AddField(
            model_name="storesettings",
            name="custom_items_by_shoppers",
            field=models.BooleanField(db_default=False, default=False),
        ),
    ]
