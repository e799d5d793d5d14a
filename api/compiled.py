"""Reading and writing whole rows on the hot path, without Django's query machinery.

Django takes longer to write a query than PostgreSQL to answer it. `fetch`, `insert` and `update` do
what `QuerySet`, `bulk_create` and `save(update_fields=…)` do, from the same models and fields, in a
fifth of the time.
"""

import functools
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar, cast

from django.db import connection
from django.db.models import AutoField, Field, Model
from django.db.models.base import ModelState

M = TypeVar("M", bound=Model)


def fetch(model: type[M], where: str, parameters: Sequence[Any]) -> list[M]:
    """Look up rows by what follows `SELECT … FROM` their table: conditions, order, lock."""
    select, columns, converters = _reading(model)
    assert connection.in_atomic_block or " FOR " not in where, "a lock needs a transaction"
    with connection.cursor() as cursor:
        cursor.execute(f"{select} {where}", parameters)
        rows = cursor.fetchall()
    for position, convert in converters:
        rows = [(*row[:position], convert(row[position]), *row[position + 1 :]) for row in rows]
    return [_instance(model, columns, row) for row in rows]


class _Reading(NamedTuple):
    select: str
    columns: Sequence[str]
    # What Django does to values on their way from the database, by the column's place.
    converters: Sequence[tuple[int, Callable[[Any], Any]]]


@functools.cache
def _reading(model: type[Model]) -> _Reading:
    fields = model._meta.concrete_fields
    names = ", ".join(f'"{field.column}"' for field in fields)
    return _Reading(
        f'SELECT {names} FROM "{model._meta.db_table}"',  # noqa: S608
        [field.attname for field in fields],
        [
            (
                position,
                functools.partial(field.from_db_value, expression=None, connection=connection),
            )
            for position, field in enumerate(fields)
            if hasattr(field, "from_db_value")
        ],
    )


def _instance(model: type[M], columns: Sequence[str], row: Sequence[Any]) -> M:
    """Do what `from_db` does, except for a new instance's signals, to which nobody listens."""
    instance = model.__new__(model)
    instance.__dict__.update(zip(columns, row, strict=True))
    instance._state = ModelState()
    instance._state.adding, instance._state.db = False, "default"
    return instance


def insert(rows: Sequence[Model]) -> None:
    """Insert rows of one model in one statement. Values must be of the fields' own types."""
    model = type(rows[0])
    columns = _columns(model, tuple(field.name for field in model._meta.local_concrete_fields))
    values = [_value(row, column) for row in rows for column in columns]
    with connection.cursor() as cursor:
        cursor.execute(_insert_sql(model, len(rows)), values)
    for row in rows:
        row._state.adding = False
        row._state.db = "default"


def insert_many(rows: Sequence[Model]) -> None:
    """Do what `insert` does for some hundred rows, or for rows whose key the database makes."""
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(_insert_many_sql(type(rows[0])), [_document(rows)])


def insert_unless_there(rows: Sequence[M]) -> list[M]:
    """Insert rows, but for those that others stand in the way of; return those written."""
    if not rows:
        return []
    key = type(rows[0])._meta.pk.column
    statement = f'{_insert_many_sql(type(rows[0]))} ON CONFLICT DO NOTHING RETURNING "{key}"'
    with connection.cursor() as cursor:
        cursor.execute(statement, [_document(rows)])
        there = {pk for (pk,) in cursor.fetchall()}
    return [row for row in rows if row.pk in there]


@functools.cache
def _insert_many_sql(model: type[Model]) -> str:
    table = f'"{model._meta.db_table}"'
    columns = ", ".join(f'"{field.column}"' for field in _written(model))
    return (
        f"INSERT INTO {table} ({columns}) SELECT {columns} "  # noqa: S608
        f"FROM jsonb_populate_recordset(NULL::{table}, %s::jsonb)"
    )


def _document(rows: Sequence[Model]) -> str:
    """Write rows as one text: psycopg takes several times as long over as many values."""
    columns = [(field.column, field.attname) for field in _written(type(rows[0]))]
    table = [{column: getattr(row, name) for column, name in columns} for row in rows]
    return json.dumps(table, default=str)


@functools.cache
def _written(model: type[Model]) -> "list[Field[Any, Any]]":
    return [
        field
        for field in model._meta.local_concrete_fields
        if not field.generated and not isinstance(field, AutoField)
    ]


@functools.lru_cache(maxsize=1000)
def _insert_sql(model: type[Model], rows: int) -> str:
    columns = [f'"{field.column}"' for field in model._meta.local_concrete_fields]
    row = f"({', '.join(['%s'] * len(columns))})"
    return (
        f'INSERT INTO "{model._meta.db_table}" ({", ".join(columns)}) '  # noqa: S608
        f"VALUES {', '.join([row] * rows)}"
    )


def update(row: Model, *fields: str) -> None:
    """Write the named fields of a row, as `insert` does. The caller has locked the row."""
    values = [_value(row, column) for column in _columns(type(row), (*fields, row._meta.pk.name))]
    with connection.cursor() as cursor:
        cursor.execute(_update_sql(type(row), fields), values)
        assert cursor.rowcount == 1


@functools.cache
def _update_sql(model: type[Model], fields: tuple[str, ...]) -> str:
    meta = model._meta
    columns = ", ".join(f'"{field.column}" = %s' for field in _fields(model, fields))
    return f'UPDATE "{meta.db_table}" SET {columns} WHERE "{meta.pk.column}" = %s'  # noqa: S608


@functools.cache
def _fields(model: type[Model], names: tuple[str, ...]) -> "list[Field[Any, Any]]":
    by_name = {field.name: field for field in model._meta.concrete_fields}
    return [by_name[name] for name in names]


class _Column(NamedTuple):
    attname: str
    # What Django does to a value on its way to the database; None where it does nothing.
    prepare: Callable[[Any], Any] | None


def _value(row: Model, column: _Column) -> Any:
    value = getattr(row, column.attname)
    return value if column.prepare is None or value is None else column.prepare(value)


@functools.cache
def _columns(model: type[Model], names: tuple[str, ...]) -> list[_Column]:
    return [_Column(field.attname, _preparation(field)) for field in _fields(model, names)]


# Fields whose values PostgreSQL takes as they are, if they are of the right type.
_AS_IT_IS = {"BooleanField", "CharField", "DateTimeField", "SlugField", "TextField", "UUIDField"}


def _preparation(field: "Field[Any, Any]") -> Callable[[Any], Any] | None:
    """Find out once per field what `get_db_prep_save` would find out for every value."""
    kind = (getattr(field, "target_field", None) or field).get_internal_type()
    if kind in _AS_IT_IS:
        return None
    # An integer carries its size, or the server would plan anew for every size of value.
    sizes = cast(Any, connection.ops).integerfield_type_map
    return sizes.get(kind) or functools.partial(field.get_db_prep_save, connection=connection)
