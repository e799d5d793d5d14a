import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("orders", "0002_order_number")]

    operations = [
        migrations.AddField("cart", "defer_inventory_check", models.BooleanField(null=True)),
        migrations.AlterField(
            "cartitem",
            "product",
            models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="inventory.product",
            ),
        ),
        migrations.AddField("cartitem", "name", models.CharField(blank=True, max_length=200)),
        migrations.AddField("cartitem", "sku", models.CharField(blank=True, max_length=100)),
        migrations.AddField("cartitem", "description", models.TextField(blank=True)),
        migrations.AddField("cartitem", "unit_price", models.BigIntegerField(null=True)),
        migrations.AddField("cartitem", "includes_tax", models.BooleanField(default=True)),
        migrations.AddConstraint(
            "cartitem",
            models.CheckConstraint(
                condition=models.Q(
                    models.Q(("product__isnull", False), ("unit_price__isnull", True)),
                    models.Q(("product__isnull", True), ("unit_price__gte", 0)),
                    _connector="OR",
                ),
                name="cart_item_is_product_or_priced",
            ),
        ),
        migrations.AlterField(
            "orderitem",
            "product",
            models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="inventory.product",
            ),
        ),
        migrations.AddConstraint(
            "orderitem",
            models.CheckConstraint(
                condition=models.Q(
                    ("product__isnull", False),
                    models.Q(("allocated", 0), ("shipped", 0)),
                    _connector="OR",
                ),
                name="order_item_without_product_holds_none",
            ),
        ),
    ]
