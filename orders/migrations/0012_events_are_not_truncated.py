from django.db import migrations

KEPT = """
CREATE TRIGGER order_events_are_not_truncated
    BEFORE TRUNCATE ON orders_orderevent FOR EACH STATEMENT
    EXECUTE FUNCTION inventory_is_kept();
"""


class Migration(migrations.Migration):
    dependencies = [("orders", "0011_placed_from")]

    operations = [
        migrations.RunSQL(KEPT, "DROP TRIGGER order_events_are_not_truncated ON orders_orderevent"),
    ]
