from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import F, Q


class Migration(migrations.Migration):
    """Let a payment capture what its status says. The rows that are there are looked at next."""

    dependencies = [("payments", "0007_found_by_reference")]

    operations = [
        AddConstraintNotValid(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=Q(
                    Q(method="authorize") | Q(late=True) | Q(captured_amount=F("amount")),
                    status="complete",
                    method__in=["purchase", "authorize"],
                )
                | Q(
                    Q(status="cancelled", method="authorize")
                    | Q(status__in=["pending", "failed"], late=False),
                    captured_amount=0,
                    captured_at=None,
                ),
                name="payment_captured_as_its_status_says",
            ),
        ),
        AddConstraintNotValid(
            model_name="attempt",
            constraint=models.CheckConstraint(
                condition=Q(
                    kind__in=["capture", "void", "refund"],
                    status__in=["pending", "succeeded", "failed"],
                    amount__gte=0,
                ),
                name="attempt_of_a_known_kind",
            ),
        ),
    ]
