"""The database's own net: not even psql can move a unit without its entry in the log."""

from django.db import migrations

TABLE = """
-- Half of each page stays free, so that every update of a stock row finds room beside it.
ALTER TABLE inventory_stock SET (fillfactor = 50);
"""

# inventory.models.EFFECTS in SQL; a test compares the two.
EFFECTS = """
CREATE VIEW inventory_stock_effect AS
SELECT stock_id, sequence,
    quantity * CASE WHEN action IN ('increment', 'deallocate') THEN 1 ELSE -1 END AS available,
    quantity * CASE action WHEN 'allocate' THEN 1 WHEN 'deallocate' THEN -1 ELSE 0 END AS allocated,
    CASE WHEN by_order THEN 0 ELSE
        quantity * CASE action WHEN 'allocate' THEN 1 WHEN 'deallocate' THEN -1 ELSE 0 END
    END AS held,
    available AS available_after, allocated AS allocated_after, held AS held_after
FROM inventory_stocktransaction;
"""

STOCK_IS_LOGGED = """
CREATE FUNCTION inventory_stock_is_logged() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    logged record;
BEGIN
    SELECT count(*) AS entries,
        coalesce(sum(available), 0) AS available,
        coalesce(sum(allocated), 0) AS allocated,
        coalesce(sum(held), 0) AS held,
        coalesce(bool_and(adds_up), true) AS adds_up
    INTO logged
    FROM (
        SELECT available, allocated, held,
            available_after = coalesce(OLD.available, 0) + sum(available) OVER log
            AND allocated_after = coalesce(OLD.allocated, 0) + sum(allocated) OVER log
            AND held_after = coalesce(OLD.held, 0) + sum(held) OVER log AS adds_up
        FROM inventory_stock_effect
        WHERE stock_id = NEW.id
            AND sequence > coalesce(OLD.sequence, 0) AND sequence <= NEW.sequence
        WINDOW log AS (ORDER BY sequence)
    ) AS entries;
    IF logged.entries <> NEW.sequence - coalesce(OLD.sequence, 0)
        OR logged.available <> NEW.available - coalesce(OLD.available, 0)
        OR logged.allocated <> NEW.allocated - coalesce(OLD.allocated, 0)
        OR logged.held <> NEW.held - coalesce(OLD.held, 0)
        OR NOT logged.adds_up
        OR TG_OP = 'UPDATE' AND (OLD.id, OLD.product_id, OLD.location_id)
            <> (NEW.id, NEW.product_id, NEW.location_id)
    THEN
        RAISE EXCEPTION 'stock % changed without its log', NEW.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER inserted_stock_is_logged
    AFTER INSERT ON inventory_stock DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((NEW.available, NEW.allocated, NEW.held, NEW.sequence) <> (0, 0, 0, 0))
    EXECUTE FUNCTION inventory_stock_is_logged();

CREATE CONSTRAINT TRIGGER updated_stock_is_logged
    AFTER UPDATE ON inventory_stock DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((OLD.id, OLD.product_id, OLD.location_id,
            OLD.available, OLD.allocated, OLD.held, OLD.sequence)
        <> (NEW.id, NEW.product_id, NEW.location_id,
            NEW.available, NEW.allocated, NEW.held, NEW.sequence))
    EXECUTE FUNCTION inventory_stock_is_logged();
"""

ENTRY_HAS_ITS_STOCK = """
CREATE FUNCTION inventory_entry_has_its_stock() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM inventory_stock WHERE id = NEW.stock_id AND sequence >= NEW.sequence
    ) THEN
        RAISE EXCEPTION 'log entry % of stock % moved no stock', NEW.sequence, NEW.stock_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER entry_has_its_stock
    AFTER INSERT ON inventory_stocktransaction DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION inventory_entry_has_its_stock();
"""

LOG_IS_APPEND_ONLY = """
CREATE FUNCTION inventory_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: its rows are kept as they are', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER log_is_append_only
    BEFORE UPDATE OR DELETE ON inventory_stocktransaction FOR EACH ROW
    EXECUTE FUNCTION inventory_is_kept();

CREATE TRIGGER stock_with_a_log_stays
    BEFORE DELETE ON inventory_stock FOR EACH ROW WHEN (OLD.sequence > 0)
    EXECUTE FUNCTION inventory_is_kept();
"""

FIRST_ROWS = """
INSERT INTO inventory_location (id, slug, name, enabled, priority)
VALUES ('00000000-0000-7000-8000-000000000001', 'default', 'Default', true, 0);

INSERT INTO inventory_currency
    (id, code, exchange_rate, format, decimal_point, thousand_separator, decimal_places, "default",
     enabled, created_at, updated_at)
VALUES ('00000000-0000-7000-8000-000000000002', 'USD', 1, '${price}', '.', ',', 2, true,
        true, now(), now());
"""


class Migration(migrations.Migration):
    dependencies = [("inventory", "0001_initial")]

    operations = [
        migrations.RunSQL(TABLE, migrations.RunSQL.noop),
        migrations.RunSQL(EFFECTS, "DROP VIEW inventory_stock_effect"),
        migrations.RunSQL(
            STOCK_IS_LOGGED,
            "DROP TRIGGER inserted_stock_is_logged ON inventory_stock;"
            "DROP TRIGGER updated_stock_is_logged ON inventory_stock;"
            "DROP FUNCTION inventory_stock_is_logged()",
        ),
        migrations.RunSQL(
            ENTRY_HAS_ITS_STOCK,
            "DROP TRIGGER entry_has_its_stock ON inventory_stocktransaction;"
            "DROP FUNCTION inventory_entry_has_its_stock()",
        ),
        migrations.RunSQL(
            LOG_IS_APPEND_ONLY,
            "DROP TRIGGER log_is_append_only ON inventory_stocktransaction;"
            "DROP TRIGGER stock_with_a_log_stays ON inventory_stock;"
            "DROP FUNCTION inventory_is_kept()",
        ),
        migrations.RunSQL(FIRST_ROWS, migrations.RunSQL.noop),
    ]
