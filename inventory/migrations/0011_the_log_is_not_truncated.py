from django.db import migrations

# A trigger for each row does not see rows go by TRUNCATE.
KEPT = """
CREATE TRIGGER log_is_not_truncated
    BEFORE TRUNCATE ON inventory_stocktransaction FOR EACH STATEMENT
    EXECUTE FUNCTION inventory_is_kept();

CREATE TRIGGER stock_is_not_truncated
    BEFORE TRUNCATE ON inventory_stock FOR EACH STATEMENT
    EXECUTE FUNCTION inventory_is_kept();
"""


class Migration(migrations.Migration):
    dependencies = [("inventory", "0010_counts_are_evidence")]

    operations = [
        migrations.RunSQL(
            KEPT,
            "DROP TRIGGER log_is_not_truncated ON inventory_stocktransaction;"
            "DROP TRIGGER stock_is_not_truncated ON inventory_stock",
        ),
    ]
