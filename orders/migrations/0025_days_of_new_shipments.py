"""Have shipments vacuumed after so many new ones, as the log is: see the migration of that."""

from django.db import migrations

VACUUMED = """
ALTER TABLE orders_shipment SET (
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000
);
"""
AS_OTHERS = """
ALTER TABLE orders_shipment RESET (
    autovacuum_vacuum_insert_scale_factor, autovacuum_vacuum_insert_threshold
);
"""


class Migration(migrations.Migration):
    dependencies = [("orders", "0024_what_was_sent_and_came_back_is_kept")]

    operations = [migrations.RunSQL(VACUUMED, AS_OTHERS)]
