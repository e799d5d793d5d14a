"""Whether the role that serves may do all that it has to, as `check --deploy` asks the database.

What it needs is what config/roles.sql gives it. A database whose owner serves has it all. And the
other way round: whether it could go around what guards the books.
"""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Warning, register
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
# The function that only the tables' owner may call.
OWNERS = "inventory_repair_stock"

# Without the right to look into a schema, or without the schema in the path that is searched, its
# tables are as good as not there, and nobody can be asked about rights to them.
_LACKING = """
SELECT DISTINCT CASE WHEN has_schema_privilege(relnamespace, 'USAGE')
    THEN format('schema %%s in its search_path', relnamespace::regnamespace)
    ELSE format('USAGE on schema %%s', relnamespace::regnamespace) END
FROM pg_class
WHERE relkind IN ('r', 'p') AND relname = ANY (%(tables)s)
    AND to_regclass(relname::text) IS NULL
UNION ALL
SELECT privilege || ' on ' || name
FROM unnest(%(names)s::text[], %(rights)s::text[]) AS needed (name, privilege)
WHERE NOT has_table_privilege(to_regclass(name), privilege)
UNION ALL
SELECT format('UPDATE (%%s) on %%s', field, name)
FROM unnest(%(of_fields)s::text[], %(fields)s::text[]) AS needed (name, field)
WHERE NOT has_column_privilege(to_regclass(name), field, 'UPDATE')
UNION ALL
SELECT 'USAGE on ' || counter.relname
FROM pg_class AS counter JOIN pg_depend AS owned ON owned.objid = counter.oid
WHERE owned.deptype = 'a'
    AND owned.refobjid = ANY (SELECT to_regclass(name) FROM unnest(%(tables)s::text[]) AS name)
    -- In this order: of anything else it cannot be asked.
    AND CASE counter.relkind WHEN 'S' THEN NOT has_sequence_privilege(counter.oid, 'USAGE') END
UNION ALL
-- Of triggers' own functions nobody needs a right.
SELECT 'EXECUTE on ' || proname FROM pg_proc
WHERE pronamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass(%(migrations)s))
    AND prorettype <> 'trigger'::regtype AND proname <> %(owners)s
    AND NOT has_function_privilege(oid, 'EXECUTE')
UNION ALL
SELECT format('all rows of %%s, which has row level security', name)
FROM unnest(%(tables)s::text[]) AS name WHERE row_security_active(to_regclass(name))
"""
# What a role may do that does not own the table, and what nobody needs.
_BEYOND = """
SELECT 'everything, as a superuser' FROM pg_roles WHERE rolname = current_user AND rolsuper
UNION ALL
SELECT privilege || ' on ' || name
FROM unnest(%(names)s::text[], %(rights)s::text[]) AS kept (name, privilege)
    JOIN pg_class ON oid = to_regclass(name)
WHERE NOT pg_has_role(relowner, 'USAGE') AND has_table_privilege(oid, privilege)
"""
# Guards that stand there and do nothing: those of foreign keys are triggers, too.
_SWITCHED_OFF = """
SELECT DISTINCT 'triggers of ' || tgrelid::regclass FROM pg_trigger
WHERE tgrelid = ANY (SELECT to_regclass(name) FROM unnest(%(tables)s::text[]) AS name)
    AND tgenabled NOT IN ('O', 'A')
UNION ALL
SELECT 'all triggers, by session_replication_role'
WHERE current_setting('session_replication_role') = 'replica'
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
    names, rights = zip(*pairs, strict=True)
    of_fields, later = zip(*fields, strict=True)
    return _asked(
        _LACKING,
        names=[*names],
        rights=[*rights],
        of_fields=[*of_fields],
        fields=[*later],
        migrations=MIGRATIONS,
        owners=OWNERS,
    )


def beyond() -> list[str]:
    """Return the rights by which it could rewrite what is kept, unless it owns that."""
    pairs = [
        (table, right)
        for table in sorted({MIGRATIONS, *KEPT, *SAID_LATER, *STAYING})
        for right in ("UPDATE", "DELETE", "TRUNCATE", "TRIGGER")
        if right not in needed(table)
    ]
    names, rights = zip(*pairs, strict=True)
    return _asked(_BEYOND, names=[*names], rights=[*rights])


def switched_off() -> list[str]:
    """Return the guards of the database that have been put out of action."""
    return _asked(_SWITCHED_OFF)


def _asked(statement: str, **parameters: Any) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"tables": sorted(tables()), **parameters})
        return [told for (told,) in cursor.fetchall()]


def _some(found: list[str]) -> str:
    more = f" and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
    return f"{', '.join(found[:_TOLD])}{more}"


# Without the tag of databases, for whose checks one has to ask in so many words.
@register(deploy=True)
def the_role_may_do_its_work(**options: Any) -> Iterator[CheckMessage]:
    try:
        lacks, is_beyond, off = lacking(), beyond(), switched_off()
    except DatabaseError:
        # Another check says so.
        return
    if lacks:
        yield Error(
            f"The role that serves lacks rights: {_some(lacks)}.",
            hint="Run config/roles.sql as the owner of the tables, as docs/operations.md tells.",
            id="holdfast.E010",
        )
    if is_beyond:
        yield Warning(
            f"The role that serves may do what it never has to: {_some(is_beyond)}.",
            hint="Serve as a role that is no superuser, and run config/roles.sql for it.",
            id="holdfast.W018",
        )
    if off:
        yield Error(
            f"Guards of the database are switched off: {_some(off)}.",
            hint="As the owner of the tables, ALTER TABLE … ENABLE TRIGGER ALL for each; then "
            "`manage.py audit_inventory --whole`.",
            id="holdfast.E011",
        )
