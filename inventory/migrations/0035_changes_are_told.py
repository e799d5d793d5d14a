"""Products, currencies, pictures and every entry of a stock's log are told: see the outbox."""

from django.db import migrations

# One row for a statement, whatever its lines, since that is how the log is written.
LOG = """
CREATE FUNCTION inventory_tell_entries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO events_outbox (kind, stocks, firsts, lasts)
    SELECT 'stock', array_agg(stock_id), array_agg(first), array_agg(last)
    FROM (
        SELECT stock_id, min(sequence) AS first, max(sequence) AS last
        FROM entries GROUP BY stock_id
    ) AS stock
    HAVING count(*) > 0;
    RETURN NULL;
END $$;

CREATE TRIGGER entries_are_told AFTER INSERT ON inventory_stocktransaction
    REFERENCING NEW TABLE AS entries FOR EACH STATEMENT
    EXECUTE FUNCTION inventory_tell_entries();
"""

# To archive a product takes it away from whoever reads the API.
PRODUCTS = """
CREATE TRIGGER created_product_is_told AFTER INSERT ON inventory_product FOR EACH ROW
    WHEN (NEW.archived_at IS NULL)
    EXECUTE FUNCTION events_tell('product', 'created');
CREATE TRIGGER changed_product_is_told AFTER UPDATE ON inventory_product FOR EACH ROW
    WHEN (NEW.archived_at IS NULL AND
        (OLD.name, OLD.sku, OLD.slug, OLD.description, OLD.status, OLD.commodity_type,
            OLD.barcode, OLD.image_url, OLD.low_stock_threshold, OLD.cost, OLD.cost_currency,
            OLD.parent_id, OLD.options)
        IS DISTINCT FROM (NEW.name, NEW.sku, NEW.slug, NEW.description, NEW.status,
            NEW.commodity_type, NEW.barcode, NEW.image_url, NEW.low_stock_threshold, NEW.cost,
            NEW.cost_currency, NEW.parent_id, NEW.options))
    EXECUTE FUNCTION events_tell('product', 'updated');
CREATE TRIGGER archived_product_is_told AFTER UPDATE ON inventory_product FOR EACH ROW
    WHEN (OLD.archived_at IS NULL AND NEW.archived_at IS NOT NULL)
    EXECUTE FUNCTION events_tell('product', 'deleted');
CREATE TRIGGER restored_product_is_told AFTER UPDATE ON inventory_product FOR EACH ROW
    WHEN (OLD.archived_at IS NOT NULL AND NEW.archived_at IS NULL)
    EXECUTE FUNCTION events_tell('product', 'created');
CREATE TRIGGER deleted_product_is_told AFTER DELETE ON inventory_product FOR EACH ROW
    WHEN (OLD.archived_at IS NULL)
    EXECUTE FUNCTION events_tell('product', 'deleted');
"""

# What the API shows of a product, and other tables have.
OF_PRODUCTS = """
CREATE TRIGGER new_price_is_told AFTER INSERT OR DELETE ON inventory_price FOR EACH ROW
    EXECUTE FUNCTION events_tell_of('product', 'updated', 'product_id');
CREATE TRIGGER changed_price_is_told AFTER UPDATE ON inventory_price FOR EACH ROW
    WHEN (OLD.* IS DISTINCT FROM NEW.*)
    EXECUTE FUNCTION events_tell_of('product', 'updated', 'product_id');
CREATE TRIGGER shown_picture_is_told AFTER INSERT OR DELETE ON inventory_productpicture
    FOR EACH ROW EXECUTE FUNCTION events_tell_of('product', 'updated', 'product_id');
CREATE TRIGGER moved_picture_is_told AFTER UPDATE ON inventory_productpicture FOR EACH ROW
    WHEN (OLD.* IS DISTINCT FROM NEW.*)
    EXECUTE FUNCTION events_tell_of('product', 'updated', 'product_id');
CREATE TRIGGER managing_is_told AFTER UPDATE ON inventory_stock FOR EACH ROW
    WHEN (OLD.managed IS DISTINCT FROM NEW.managed)
    EXECUTE FUNCTION events_tell_of('product', 'updated', 'product_id');
"""

PICTURES = """
CREATE TRIGGER new_picture_is_told AFTER INSERT ON inventory_picture FOR EACH ROW
    EXECUTE FUNCTION events_tell('file', 'created');
CREATE TRIGGER deleted_picture_is_told AFTER DELETE ON inventory_picture FOR EACH ROW
    EXECUTE FUNCTION events_tell('file', 'deleted');
"""

CURRENCIES = """
CREATE TRIGGER new_currency_is_told AFTER INSERT ON inventory_currency FOR EACH ROW
    EXECUTE FUNCTION events_tell('currency', 'created');
CREATE TRIGGER changed_currency_is_told AFTER UPDATE ON inventory_currency FOR EACH ROW
    WHEN ((OLD.code, OLD.exchange_rate, OLD.format, OLD.decimal_point, OLD.thousand_separator,
            OLD.decimal_places, OLD."default", OLD.enabled)
        IS DISTINCT FROM (NEW.code, NEW.exchange_rate, NEW.format, NEW.decimal_point,
            NEW.thousand_separator, NEW.decimal_places, NEW."default", NEW.enabled))
    EXECUTE FUNCTION events_tell('currency', 'updated');
CREATE TRIGGER deleted_currency_is_told AFTER DELETE ON inventory_currency FOR EACH ROW
    EXECUTE FUNCTION events_tell('currency', 'deleted');
"""


class Migration(migrations.Migration):
    dependencies = [
        ("events", "0002_changes_are_told"),
        ("inventory", "0034_days_of_new_entries"),
    ]

    operations = [
        migrations.RunSQL(
            LOG,
            "DROP TRIGGER entries_are_told ON inventory_stocktransaction;"
            "DROP FUNCTION inventory_tell_entries()",
        ),
        migrations.RunSQL(
            PRODUCTS,
            "DROP TRIGGER created_product_is_told ON inventory_product;"
            "DROP TRIGGER changed_product_is_told ON inventory_product;"
            "DROP TRIGGER archived_product_is_told ON inventory_product;"
            "DROP TRIGGER restored_product_is_told ON inventory_product;"
            "DROP TRIGGER deleted_product_is_told ON inventory_product",
        ),
        migrations.RunSQL(
            OF_PRODUCTS,
            "DROP TRIGGER new_price_is_told ON inventory_price;"
            "DROP TRIGGER changed_price_is_told ON inventory_price;"
            "DROP TRIGGER shown_picture_is_told ON inventory_productpicture;"
            "DROP TRIGGER moved_picture_is_told ON inventory_productpicture;"
            "DROP TRIGGER managing_is_told ON inventory_stock",
        ),
        migrations.RunSQL(
            PICTURES,
            "DROP TRIGGER new_picture_is_told ON inventory_picture;"
            "DROP TRIGGER deleted_picture_is_told ON inventory_picture",
        ),
        migrations.RunSQL(
            CURRENCIES,
            "DROP TRIGGER new_currency_is_told ON inventory_currency;"
            "DROP TRIGGER changed_currency_is_told ON inventory_currency;"
            "DROP TRIGGER deleted_currency_is_told ON inventory_currency",
        ),
    ]
