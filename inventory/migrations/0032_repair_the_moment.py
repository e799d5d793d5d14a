"""Set also the moment of the last movement to what the log says, where only that differs."""

from importlib import import_module

from django.db import migrations

# Whoever changes stock locks its row first: nobody can have one while the trigger is away.
REPAIR = """
DROP FUNCTION inventory_repair_stock(uuid);

CREATE FUNCTION inventory_repair_stock(which uuid)
RETURNS TABLE (available int, allocated int, held int, sequence bigint, last_moved_at timestamptz)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    logged record;
BEGIN
    LOCK TABLE inventory_stock IN EXCLUSIVE MODE;
    RETURN QUERY SELECT available, allocated, held, sequence, last_moved_at
        FROM inventory_stock WHERE id = which FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no stock %', which USING ERRCODE = 'no_data_found';
    END IF;
    SELECT count(*) AS entries, coalesce(sum(available), 0) AS available,
        coalesce(sum(allocated), 0) AS allocated, coalesce(sum(held), 0) AS held,
        coalesce(bool_and(holds), true) AS holds, max(created_at) AS moved_at
    INTO logged
    FROM (
        SELECT available, allocated, held, created_at,
            sequence = row_number() OVER log
            AND (available_after, allocated_after, held_after)
                = (sum(available) OVER log, sum(allocated) OVER log, sum(held) OVER log)
            AND created_at >= lag(created_at, 1, created_at) OVER log AS holds
        FROM inventory_stock_effect WHERE stock_id = which
        WINDOW log AS (ORDER BY sequence ROWS UNBOUNDED PRECEDING)
    ) AS entries;
    IF NOT logged.holds THEN
        RAISE EXCEPTION 'the log of stock % is broken: it cannot say what the stock is', which
            USING ERRCODE = 'restrict_violation';
    END IF;
    ALTER TABLE inventory_stock DISABLE TRIGGER updated_stock_is_logged;
    UPDATE inventory_stock
    SET available = logged.available, allocated = logged.allocated, held = logged.held,
        sequence = logged.entries, last_moved_at = logged.moved_at
    WHERE id = which AND (available, allocated, held, sequence, last_moved_at) IS DISTINCT FROM
        (logged.available, logged.allocated, logged.held, logged.entries, logged.moved_at);
    ALTER TABLE inventory_stock ENABLE TRIGGER updated_stock_is_logged;
END $$;

REVOKE EXECUTE ON FUNCTION inventory_repair_stock(uuid) FROM PUBLIC;
"""


class Migration(migrations.Migration):
    dependencies = [("inventory", "0031_counts_are_kept")]

    operations = [
        migrations.RunSQL(
            REPAIR,
            "DROP FUNCTION inventory_repair_stock(uuid);"
            + import_module("inventory.migrations.0030_repair").REPAIR,
        ),
    ]
