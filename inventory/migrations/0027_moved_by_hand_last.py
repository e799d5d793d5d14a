from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inventory", "0026_price_sums")]

    operations = [
        migrations.AddIndex(
            "stocktransaction",
            models.Index(
                fields=["id"],
                condition=models.Q(("by_order", False)),
                name="stock_moved_by_hand_last",
            ),
        ),
    ]
