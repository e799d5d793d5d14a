from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("api", "0004_low_stock_threshold")]

    operations = [
        migrations.AddField(
            "storesettings", "name", models.CharField(blank=True, default="", max_length=100)
        ),
        migrations.AddField(
            "storesettings", "time_zone", models.CharField(blank=True, default="", max_length=64)
        ),
    ]
