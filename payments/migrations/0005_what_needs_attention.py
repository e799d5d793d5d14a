"""Payments and attempts that somebody should look at: hardly any, among all that went well."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0004_stripe")]

    operations = [
        migrations.AddIndex(
            "attempt",
            models.Index(
                fields=["created_at"],
                condition=models.Q(("kind__in", ["void", "refund"]), ("status", "failed")),
                name="attempts_failed",
            ),
        ),
        migrations.AddIndex(
            "payment",
            models.Index(
                fields=["created_at"], condition=models.Q(("late", True)), name="payments_late"
            ),
        ),
    ]
