from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("api", "0003_store_settings")]

    operations = [
        migrations.AddField(
            "storesettings", "low_stock_threshold", models.PositiveIntegerField(default=5)
        ),
    ]
