"""Let the log's entries of counts say when it was counted."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("inventory", "0007_lines_left_out")]

    operations = [
        migrations.AddField(
            model_name="stocktransaction",
            name="counted_at",
            field=models.DateTimeField(null=True),
        ),
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
