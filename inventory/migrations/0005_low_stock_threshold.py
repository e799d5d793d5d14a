from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inventory", "0004_moved_by_hand")]

    operations = [
        migrations.AddField(
            "product", "low_stock_threshold", models.PositiveIntegerField(blank=True, null=True)
        ),
        migrations.AddIndex(
            "product",
            models.Index(
                fields=["low_stock_threshold"],
                condition=models.Q(("low_stock_threshold__isnull", False)),
                name="product_own_threshold",
            ),
        ),
    ]
