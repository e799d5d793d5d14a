from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    """Find the authorizations that lapse among all payments: those that are still held."""

    atomic = False
    dependencies = [("payments", "0010_whose_database_this_is")]

    operations = [
        AddIndexConcurrently(
            "payment",
            models.Index(
                fields=["created_at"],
                condition=Q(status="complete", method="authorize", captured_amount=0),
                name="payments_authorized",
            ),
        )
    ]
