"""Find who holds units of a product, among however many lines were ever sold."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("orders", "0006_cart_currency")]

    operations = [
        migrations.AddIndex(
            "orderitem",
            models.Index(
                condition=models.Q(("allocated__gt", 0)),
                fields=["product"],
                name="order_items_holding_units",
            ),
        ),
    ]
