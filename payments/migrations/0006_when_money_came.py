from django.db import migrations, models

# Of what was captured before, the moment was not kept. An authorization has its capture on record;
# a payment that nothing happened to since was written last when it was captured; and of any other
# it is known when it was made.
CAPTURED_SO_FAR = """
UPDATE payments_payment AS payment
SET captured_at = CASE
    WHEN method = 'authorize' THEN coalesce((
        SELECT max(updated_at) FROM payments_attempt
        WHERE payment_id = payment.id AND kind = 'capture' AND status = 'succeeded'
    ), created_at)
    WHEN EXISTS (SELECT FROM payments_attempt WHERE payment_id = payment.id) THEN created_at
    ELSE updated_at
END
WHERE captured_amount > 0
"""


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0005_what_needs_attention"),
    ]

    operations = [
        migrations.AddField(
            model_name="payment",
            name="captured_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.RunSQL(CAPTURED_SO_FAR, migrations.RunSQL.noop),
        migrations.AddIndex(
            model_name="payment",
            index=models.Index(
                fields=["captured_at"],
                condition=models.Q(("captured_at__isnull", False)),
                name="payments_captured",
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("captured_amount", 0), ("captured_at__isnull", False), _connector="OR"
                ),
                name="payment_captured_some_time",
            ),
        ),
        migrations.AddIndex(
            model_name="attempt",
            index=models.Index(
                fields=["updated_at"],
                condition=models.Q(("kind", "refund"), ("status", "succeeded")),
                name="attempts_refunded",
            ),
        ),
    ]
