"""Have the log vacuumed after so many new entries, however long it is.

Its index of days learns of entries by that alone, and reads all those that it does not know. As
PostgreSQL has it, up to a fifth of the log would be new.
"""

from django.db import migrations

VACUUMED = """
ALTER TABLE inventory_stocktransaction SET (
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000
);
"""
AS_OTHERS = """
ALTER TABLE inventory_stocktransaction RESET (
    autovacuum_vacuum_insert_scale_factor, autovacuum_vacuum_insert_threshold
);
"""


class Migration(migrations.Migration):
    dependencies = [("inventory", "0033_sheets_that_fail")]

    operations = [migrations.RunSQL(VACUUMED, AS_OTHERS)]
