"""Carts, orders, shipments and returns are told: see the outbox."""

from django.db import migrations

# Every change of a cart writes its row, if only the moment.
CARTS = """
CREATE TRIGGER changed_cart_is_told AFTER INSERT OR UPDATE ON orders_cart FOR EACH ROW
    EXECUTE FUNCTION events_tell('cart', 'updated');
CREATE TRIGGER deleted_cart_is_told AFTER DELETE ON orders_cart FOR EACH ROW
    EXECUTE FUNCTION events_tell('cart', 'deleted');
"""

# Paid is an order once: a refund that comes back to the shop does not pay it again.
ORDERS = """
CREATE FUNCTION orders_tell_order() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changes text[] := ARRAY['updated'];
BEGIN
    IF NEW.payment <> OLD.payment AND NEW.payment IN ('authorized', 'refunded') THEN
        changes := changes || NEW.payment::text;
    END IF;
    IF OLD.fully_paid_at IS NULL AND NEW.fully_paid_at IS NOT NULL THEN
        changes := changes || 'paid'::text;
    END IF;
    IF NEW.shipping = 'fulfilled' AND OLD.shipping <> 'fulfilled' THEN
        changes := changes || 'fulfilled'::text;
    END IF;
    IF NEW.status = 'cancelled' AND OLD.status <> 'cancelled' THEN
        changes := changes || 'cancelled'::text;
    END IF;
    INSERT INTO events_outbox (kind, subject, changes) VALUES ('order', NEW.id::text, changes);
    RETURN NULL;
END $$;

CREATE TRIGGER created_order_is_told AFTER INSERT ON orders_order FOR EACH ROW
    EXECUTE FUNCTION events_tell('order', 'created');
CREATE TRIGGER changed_order_is_told AFTER UPDATE ON orders_order FOR EACH ROW
    WHEN ((OLD.status, OLD.payment, OLD.shipping, OLD.currency, OLD.total, OLD.captured,
            OLD.authorized, OLD.refunded, OLD.fully_paid_at, OLD.shipments_made,
            OLD.shipments_undone, OLD.customer_name, OLD.customer_email, OLD.billing_address,
            OLD.shipping_address, OLD.order_number, OLD.external_ref, OLD.custom_attributes)
        IS DISTINCT FROM (NEW.status, NEW.payment, NEW.shipping, NEW.currency, NEW.total,
            NEW.captured, NEW.authorized, NEW.refunded, NEW.fully_paid_at, NEW.shipments_made,
            NEW.shipments_undone, NEW.customer_name, NEW.customer_email, NEW.billing_address,
            NEW.shipping_address, NEW.order_number, NEW.external_ref, NEW.custom_attributes))
    EXECUTE FUNCTION orders_tell_order();
"""

# A line that comes or goes changes its order's total, but for one that costs nothing.
ITEMS = """
CREATE TRIGGER free_item_is_told AFTER INSERT ON orders_orderitem FOR EACH ROW
    WHEN (NEW.unit_price = 0)
    EXECUTE FUNCTION events_tell_of('order', 'updated', 'order_id');
CREATE TRIGGER changed_item_is_told AFTER UPDATE ON orders_orderitem FOR EACH ROW
    WHEN ((OLD.position, OLD.product_id, OLD.cart_item_id, OLD.name, OLD.sku, OLD.quantity,
            OLD.unit_price, OLD.includes_tax, OLD.custom_inputs, OLD.location, OLD.shipped,
            OLD.cancelled, OLD.returned)
        IS DISTINCT FROM (NEW.position, NEW.product_id, NEW.cart_item_id, NEW.name, NEW.sku,
            NEW.quantity, NEW.unit_price, NEW.includes_tax, NEW.custom_inputs, NEW.location,
            NEW.shipped, NEW.cancelled, NEW.returned))
    EXECUTE FUNCTION events_tell_of('order', 'updated', 'order_id');
CREATE TRIGGER removed_item_is_told AFTER DELETE ON orders_orderitem FOR EACH ROW
    EXECUTE FUNCTION events_tell_of('order', 'updated', 'order_id');
"""

GOODS = """
CREATE TRIGGER shipment_is_told AFTER INSERT ON orders_shipment FOR EACH ROW
    EXECUTE FUNCTION events_tell('shipment', 'created');
CREATE TRIGGER undone_shipment_is_told AFTER UPDATE ON orders_shipment FOR EACH ROW
    WHEN (OLD.undone_at IS DISTINCT FROM NEW.undone_at)
    EXECUTE FUNCTION events_tell('shipment', 'updated');
CREATE TRIGGER return_is_told AFTER INSERT ON orders_return FOR EACH ROW
    EXECUTE FUNCTION events_tell('return', 'created');
CREATE TRIGGER settled_return_is_told AFTER UPDATE ON orders_returnline FOR EACH ROW
    WHEN ((OLD.quantity, OLD.settled_as, OLD.settled_at)
        IS DISTINCT FROM (NEW.quantity, NEW.settled_as, NEW.settled_at))
    EXECUTE FUNCTION events_tell_of('return', 'updated', 'of_return_id');
"""


class Migration(migrations.Migration):
    dependencies = [
        ("events", "0002_changes_are_told"),
        ("orders", "0026_what_programs_ask_for"),
    ]

    operations = [
        migrations.RunSQL(
            CARTS,
            "DROP TRIGGER changed_cart_is_told ON orders_cart;"
            "DROP TRIGGER deleted_cart_is_told ON orders_cart",
        ),
        migrations.RunSQL(
            ORDERS,
            "DROP TRIGGER created_order_is_told ON orders_order;"
            "DROP TRIGGER changed_order_is_told ON orders_order;"
            "DROP FUNCTION orders_tell_order()",
        ),
        migrations.RunSQL(
            ITEMS,
            "DROP TRIGGER free_item_is_told ON orders_orderitem;"
            "DROP TRIGGER changed_item_is_told ON orders_orderitem;"
            "DROP TRIGGER removed_item_is_told ON orders_orderitem",
        ),
        migrations.RunSQL(
            GOODS,
            "DROP TRIGGER shipment_is_told ON orders_shipment;"
            "DROP TRIGGER undone_shipment_is_told ON orders_shipment;"
            "DROP TRIGGER return_is_told ON orders_return;"
            "DROP TRIGGER settled_return_is_told ON orders_returnline",
        ),
    ]
