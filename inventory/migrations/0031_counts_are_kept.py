"""Keep what was counted, and what of a delivery is in stock, as it was written down."""

from django.db import migrations

# A count may be withdrawn, once. Its columns are compared as a whole, those of later migrations
# too.
COUNTS = """
CREATE TRIGGER counts_are_not_deleted
    BEFORE DELETE ON inventory_stockcount FOR EACH ROW
    EXECUTE FUNCTION inventory_is_kept();

CREATE TRIGGER counts_are_only_withdrawn
    BEFORE UPDATE ON inventory_stockcount FOR EACH ROW
    WHEN (OLD.withdrawn_at IS NOT NULL OR NEW.withdrawn_at IS NULL
        OR to_jsonb(OLD) - '{withdrawn_at,withdrawn_sequence}'::text[]
            <> to_jsonb(NEW) - '{withdrawn_at,withdrawn_sequence}'::text[])
    EXECUTE FUNCTION inventory_is_kept();

CREATE TRIGGER counts_are_not_truncated
    BEFORE TRUNCATE ON inventory_stockcount FOR EACH STATEMENT
    EXECUTE FUNCTION inventory_is_kept();
"""

# A line is in stock if booking it has made one entry more than undoing it.
DELIVERIES = """
CREATE TRIGGER booked_lines_are_not_deleted
    BEFORE DELETE ON inventory_deliveryline FOR EACH ROW
    WHEN (cardinality(OLD.entries) % 2 = 1)
    EXECUTE FUNCTION inventory_is_kept();

CREATE TRIGGER booked_lines_are_kept
    BEFORE UPDATE ON inventory_deliveryline FOR EACH ROW
    WHEN (NEW.entries[:cardinality(OLD.entries)] <> OLD.entries
        OR (cardinality(OLD.entries) % 2 = 1
            AND to_jsonb(OLD) - 'entries' <> to_jsonb(NEW) - 'entries'))
    EXECUTE FUNCTION inventory_is_kept();

CREATE TRIGGER delivery_lines_are_not_truncated
    BEFORE TRUNCATE ON inventory_deliveryline FOR EACH STATEMENT
    EXECUTE FUNCTION inventory_is_kept();
"""


class Migration(migrations.Migration):
    dependencies = [("inventory", "0030_repair")]

    operations = [
        migrations.RunSQL(
            COUNTS,
            "DROP TRIGGER counts_are_not_deleted ON inventory_stockcount;"
            "DROP TRIGGER counts_are_only_withdrawn ON inventory_stockcount;"
            "DROP TRIGGER counts_are_not_truncated ON inventory_stockcount",
        ),
        migrations.RunSQL(
            DELIVERIES,
            "DROP TRIGGER booked_lines_are_not_deleted ON inventory_deliveryline;"
            "DROP TRIGGER booked_lines_are_kept ON inventory_deliveryline;"
            "DROP TRIGGER delivery_lines_are_not_truncated ON inventory_deliveryline",
        ),
    ]
