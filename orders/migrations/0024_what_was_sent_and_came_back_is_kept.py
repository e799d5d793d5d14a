"""Keep what was sent, and what was taken back, as it was written down."""

from django.db import migrations

KEPT = """
CREATE TRIGGER shipment_lines_are_append_only
    BEFORE UPDATE OR DELETE ON orders_shipmentline FOR EACH ROW
    EXECUTE FUNCTION inventory_is_kept();

CREATE TRIGGER returns_are_append_only
    BEFORE UPDATE OR DELETE ON orders_return FOR EACH ROW
    EXECUTE FUNCTION inventory_is_kept();

CREATE TRIGGER shipments_are_not_deleted
    BEFORE DELETE ON orders_shipment FOR EACH ROW
    EXECUTE FUNCTION inventory_is_kept();

CREATE TRIGGER shipments_are_only_undone
    BEFORE UPDATE ON orders_shipment FOR EACH ROW
    WHEN (OLD.undone_at IS NOT NULL OR NEW.undone_at IS NULL
        OR to_jsonb(OLD) - 'undone_at' <> to_jsonb(NEW) - 'undone_at')
    EXECUTE FUNCTION inventory_is_kept();

CREATE TRIGGER return_lines_are_not_deleted
    BEFORE DELETE ON orders_returnline FOR EACH ROW
    EXECUTE FUNCTION inventory_is_kept();

-- Of units under inspection some may be settled: the rest is a line of its own then.
CREATE TRIGGER return_lines_are_only_settled
    BEFORE UPDATE ON orders_returnline FOR EACH ROW
    WHEN (OLD.settled_at IS NOT NULL OR NEW.settled_at IS NULL OR NEW.quantity > OLD.quantity
        OR to_jsonb(OLD) - '{quantity,settled_as,settled_at}'::text[]
            <> to_jsonb(NEW) - '{quantity,settled_as,settled_at}'::text[])
    EXECUTE FUNCTION inventory_is_kept();
"""

# A trigger for each row does not see rows go by TRUNCATE, which takes these with what they belong to.
TABLES = ("orders_shipmentline", "orders_returnline")
NOT_TRUNCATED = "".join(
    f"CREATE TRIGGER {table}_is_not_truncated BEFORE TRUNCATE ON {table} FOR EACH STATEMENT "
    "EXECUTE FUNCTION inventory_is_kept();"
    for table in TABLES
)


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0031_counts_are_kept"),
        ("orders", "0023_results_of_two_kinds"),
    ]

    operations = [
        migrations.RunSQL(
            KEPT,
            "DROP TRIGGER shipment_lines_are_append_only ON orders_shipmentline;"
            "DROP TRIGGER returns_are_append_only ON orders_return;"
            "DROP TRIGGER shipments_are_not_deleted ON orders_shipment;"
            "DROP TRIGGER shipments_are_only_undone ON orders_shipment;"
            "DROP TRIGGER return_lines_are_not_deleted ON orders_returnline;"
            "DROP TRIGGER return_lines_are_only_settled ON orders_returnline",
        ),
        migrations.RunSQL(
            NOT_TRUNCATED,
            ";".join(f"DROP TRIGGER {table}_is_not_truncated ON {table}" for table in TABLES),
        ),
    ]
