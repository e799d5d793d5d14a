"""Whether the role that serves may do all that it has to, as `check --deploy` asks the database.

What it needs is what config/roles.sql gives it. A database whose owner serves has it all.
"""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, register
from django.db import DatabaseError, connection

# Of which rows are only ever added.
KEPT = frozenset(
    {
        *("inventory_stocktransaction", "orders_orderevent", "orders_shipmentline"),
        *("orders_return", "api_change"),
    }
)
# Of which a row says these columns later.
SAID_LATER = {
    "inventory_stockcount": ("withdrawn_at", "withdrawn_sequence"),
    "orders_shipment": ("undone_at",),
    "orders_returnline": ("quantity", "settled_as", "settled_at"),
}
# Of which no row ever goes.
STAYING = frozenset(
    {
        *("inventory_stockcheckpoint", "orders_auditresult", "orders_order"),
        *("payments_payment", "payments_attempt", "payments_gatewayevent"),
        "payments_installation",
    }
)
MIGRATIONS = "django_migrations"

_LACKING = """
SELECT privilege || ' on ' || name FROM unnest(%s::text[], %s::text[]) AS needed (name, privilege)
WHERE NOT has_table_privilege(to_regclass(name), privilege)
UNION ALL
SELECT format('UPDATE (%%s) on %%s', field, name)
FROM unnest(%s::text[], %s::text[]) AS needed (name, field)
WHERE NOT has_column_privilege(to_regclass(name), field, 'UPDATE')
UNION ALL
SELECT 'USAGE on ' || counter.relname
FROM pg_class AS counter JOIN pg_depend AS owned ON owned.objid = counter.oid
WHERE owned.deptype = 'a'
    AND owned.refobjid = ANY (SELECT to_regclass(name) FROM unnest(%s::text[]) AS name)
    -- In this order: of anything else it cannot be asked.
    AND CASE counter.relkind WHEN 'S' THEN NOT has_sequence_privilege(counter.oid, 'USAGE') END
"""
_TOLD = 5


def needed(table: str) -> set[str]:
    """Return what may be done with a table as a whole."""
    if table == MIGRATIONS:
        return {"SELECT"}
    if table in KEPT or table in SAID_LATER:
        return {"SELECT", "INSERT"}
    return {"SELECT", "INSERT", "UPDATE"} | (set() if table in STAYING else {"DELETE"})


def tables() -> set[str]:
    models = apps.get_models(include_auto_created=True)
    return {MIGRATIONS, *(model._meta.db_table for model in models)}


def lacking() -> list[str]:
    """Return the rights that this role should have, and has not, in one statement."""
    pairs = [(table, right) for table in sorted(tables()) for right in sorted(needed(table))]
    fields = [(table, field) for table, some in SAID_LATER.items() for field in some]
    arrays = [[*part] for part in (*zip(*pairs, strict=True), *zip(*fields, strict=True))]
    with connection.cursor() as cursor:
        cursor.execute(_LACKING, [*arrays, sorted(tables())])
        return [right for (right,) in cursor.fetchall()]


# Without the tag of databases, for whose checks one has to ask in so many words.
@register(deploy=True)
def the_role_may_do_its_work(**options: Any) -> Iterator[CheckMessage]:
    try:
        found = lacking()
    except DatabaseError:
        # Another check says so.
        return
    if found:
        more = f" and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
        yield Error(
            f"The role that serves lacks rights: {', '.join(found[:_TOLD])}{more}.",
            hint="Run config/roles.sql as the owner of the tables, as docs/operations.md tells.",
            id="holdfast.E010",
        )
