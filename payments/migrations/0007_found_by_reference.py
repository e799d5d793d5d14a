"""Payments are found by what their gateway calls them, and by what the client does.

A payment's reference comes with the answer, when its row leaves the index of pending ones: that
update writes all of its indexes as it is.
"""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("payments", "0006_when_money_came")]

    operations = [
        migrations.AddIndex(
            model,
            models.Index(fields=[field], condition=~Q(**{field: ""}), name=name),
        )
        for model, field, name in (
            ("payment", "reference", "payments_reference"),
            ("payment", "custom_reference", "payments_custom_reference"),
            ("attempt", "reference", "attempts_reference"),
        )
    ]
