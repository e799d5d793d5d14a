"""Believe the clocks of two machines, of which the one that writes may be behind."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inventory", "0009_stock_state")]

    operations = [
        migrations.RemoveConstraint("stocktransaction", "stock_transaction_counted_before"),
        migrations.AddConstraint(
            model_name="stocktransaction",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("counted_at", None),
                    models.Q(("action__in", ["increment", "decrement"]), ("by_order", False)),
                    _connector="OR",
                ),
                name="stock_transaction_counted_by_hand",
            ),
        ),
    ]
