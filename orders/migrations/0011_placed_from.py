"""Unpaid orders are counted by where they came from.

Checkouts of shoppers add a row to one more index, at its end for each place; it leaves the index
when the order is paid or cancelled, by updates that move the order between indexes anyway.
"""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("orders", "0010_left_be")]

    operations = [
        migrations.AddField(
            model_name="order",
            name="placed_from",
            field=models.CharField(blank=True, db_default="", editable=False, max_length=64),
        ),
        migrations.AddIndex(
            model_name="order",
            index=models.Index(
                condition=Q(
                    ("cancelled_at", None),
                    ("fully_paid_at", None),
                    Q(("placed_from", ""), _negated=True),
                ),
                fields=["placed_from", "created_at"],
                name="orders_unpaid_from",
            ),
        ),
    ]
