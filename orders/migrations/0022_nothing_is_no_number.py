from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0028_nothing_is_no_number"),
        ("orders", "0021_shipments_by_day"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="cartitem",
            name="cart_item_is_product_or_priced",
        ),
        migrations.AddConstraint(
            model_name="cartitem",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("product__isnull", False), ("unit_price__isnull", True)),
                    models.Q(
                        ("product__isnull", True),
                        ("unit_price__gte", 0),
                        ("unit_price__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="cart_item_is_product_or_priced",
            ),
        ),
    ]
