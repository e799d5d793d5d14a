"""Find what people moved, among however many entries of orders."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inventory", "0003_search_indexes")]

    operations = [
        migrations.AddIndex(
            "stocktransaction",
            models.Index(
                condition=models.Q(("by_order", False)),
                fields=["stock", "sequence"],
                name="stock_moved_by_hand",
            ),
        ),
    ]
