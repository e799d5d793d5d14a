from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    """Look at the payments that are there, in a transaction that keeps nobody from writing."""

    dependencies = [("payments", "0008_payments_are_what_they_say")]

    operations = [
        ValidateConstraint("payment", "payment_captured_as_its_status_says"),
        ValidateConstraint("attempt", "attempt_of_a_known_kind"),
    ]
