"""What left with an order can come back: as a whole, or some units of a line."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("orders", "0004_order_events")]

    operations = [
        migrations.AlterModelOptions(
            "order",
            {"permissions": [("undo_ship_order", "Can undo the shipping of an order")]},
        ),
        migrations.AddField("orderitem", "returned", models.IntegerField(default=0)),
        migrations.AddConstraint(
            "orderitem",
            models.CheckConstraint(
                condition=models.Q(("returned__gte", 0), ("returned__lte", models.F("shipped"))),
                name="order_item_returned_within_shipped",
            ),
        ),
    ]
