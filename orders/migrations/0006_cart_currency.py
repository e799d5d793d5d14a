import django.db.models.deletion
from django.db import migrations, models

# Nobody can check out a cart whose currency is gone.
DELETE_CARTS_OF_NO_CURRENCY = """
WITH lost AS (
    SELECT id FROM orders_cart
    WHERE currency IS NOT NULL AND currency NOT IN (SELECT code FROM inventory_currency)
),
emptied AS (DELETE FROM orders_cartitem WHERE cart_id IN (SELECT id FROM lost))
DELETE FROM orders_cart WHERE id IN (SELECT id FROM lost)
"""


class Migration(migrations.Migration):
    dependencies = [("orders", "0005_what_comes_back")]

    operations = [
        migrations.RunSQL(DELETE_CARTS_OF_NO_CURRENCY, migrations.RunSQL.noop),
        migrations.AlterField(
            "cart",
            "currency",
            models.ForeignKey(
                db_column="currency",
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                to="inventory.currency",
                to_field="code",
            ),
        ),
    ]
