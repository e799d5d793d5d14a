"""Payments, which the wire calls transactions, and gateways are told: see the outbox."""

from django.db import migrations

PAYMENTS = """
CREATE TRIGGER created_payment_is_told AFTER INSERT ON payments_payment FOR EACH ROW
    EXECUTE FUNCTION events_tell('transaction', 'created');
CREATE TRIGGER changed_payment_is_told AFTER UPDATE ON payments_payment FOR EACH ROW
    WHEN ((OLD.gateway, OLD.method, OLD.status, OLD.currency, OLD.amount, OLD.captured_amount,
            OLD.refunded_amount, OLD.reference, OLD.name, OLD.custom_reference, OLD.action)
        IS DISTINCT FROM (NEW.gateway, NEW.method, NEW.status, NEW.currency, NEW.amount,
            NEW.captured_amount, NEW.refunded_amount, NEW.reference, NEW.name,
            NEW.custom_reference, NEW.action))
    EXECUTE FUNCTION events_tell('transaction', 'updated');
"""

# A payment shows what is on its way.
ATTEMPTS = """
CREATE TRIGGER attempt_is_told AFTER INSERT ON payments_attempt FOR EACH ROW
    WHEN (NEW.status = 'pending')
    EXECUTE FUNCTION events_tell_of('transaction', 'updated', 'payment_id');
CREATE TRIGGER ended_attempt_is_told AFTER UPDATE ON payments_attempt FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION events_tell_of('transaction', 'updated', 'payment_id');
"""

GATEWAYS = """
CREATE TRIGGER changed_gateway_is_told AFTER UPDATE ON payments_gateway FOR EACH ROW
    WHEN (OLD.* IS DISTINCT FROM NEW.*)
    EXECUTE FUNCTION events_tell_of('payment-gateway', 'updated', 'slug');
"""


class Migration(migrations.Migration):
    dependencies = [
        ("events", "0002_changes_are_told"),
        ("payments", "0012_messages_that_wait"),
    ]

    operations = [
        migrations.RunSQL(
            PAYMENTS,
            "DROP TRIGGER created_payment_is_told ON payments_payment;"
            "DROP TRIGGER changed_payment_is_told ON payments_payment",
        ),
        migrations.RunSQL(
            ATTEMPTS,
            "DROP TRIGGER attempt_is_told ON payments_attempt;"
            "DROP TRIGGER ended_attempt_is_told ON payments_attempt",
        ),
        migrations.RunSQL(GATEWAYS, "DROP TRIGGER changed_gateway_is_told ON payments_gateway"),
    ]
