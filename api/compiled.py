"""Statements compiled once: Django takes longer to write a query than PostgreSQL to answer it.

For the hot path only. They do what `QuerySet`, `bulk_create` and `save(update_fields=…)` do, from
the same models and fields, in a fifth of the time.
"""

import functools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar, cast

from django.db import connection
from django.db.models import Field, Model, QuerySet
from django.db.models.base import ModelState

M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class _Statement:
    sql: str
    # A parameter by its name, or the constant that the queryset itself holds.
    parameters: Sequence[tuple[str, Any]]
    columns: Sequence[str]
    converters: Sequence[tuple[int, Callable[[Any], Any]]]
    locks: bool


class Compiled(Generic[M]):
    """A queryset of fixed shape, whose parameters are given anew at each call.

    `markers` are values, different from each other and from every constant, by which parameters are
    found again in the compiled SQL. A list of one stands for `IN`, and is given as a list of any
    length.
    """

    def __init__(self, build: Callable[..., "QuerySet[M]"], **markers: Any) -> None:
        self._build = build
        self._markers = markers
        self._statement: _Statement | None = None
        self._compiling = threading.Lock()

    def __call__(self, **values: Any) -> list[M]:
        statement = self._statement or self._compile()
        assert connection.in_atomic_block or not statement.locks, "a lock needs a transaction"
        parameters = [values[name] if name else held for name, held in statement.parameters]
        with connection.cursor() as cursor:
            cursor.execute(statement.sql, parameters)
            rows = cursor.fetchall()
        for position, convert in statement.converters:
            rows = [(*row[:position], convert(row[position]), *row[position + 1 :]) for row in rows]
        return [_made(self._model, statement.columns, row) for row in rows]

    def _compile(self) -> _Statement:
        # Only inside a transaction does Django compile select_for_update(), hence not at import.
        with self._compiling:
            query = self._build(**self._markers).query
            self._model = cast(type[M], query.model)
            compiler = query.get_compiler(using="default")
            sql, parameters = compiler.as_sql()
            converters = compiler.get_converters([column[0] for column in compiler.select or []])
            by_value = {_alone(marker): name for name, marker in self._markers.items()}
            self._statement = _Statement(
                _any_instead_of_in(sql, self._markers),
                [(by_value.get(value, ""), value) for value in parameters],
                [field.attname for field in self._model._meta.concrete_fields],
                [
                    (position, functools.partial(_converted, functions, expression))
                    for position, (functions, expression) in converters.items()
                ],
                query.select_for_update,
            )
            return self._statement


def _made(model: type[M], columns: Sequence[str], row: Sequence[Any]) -> M:
    """Do what `from_db` does, but for the signals of a new instance, to which nobody listens."""
    made = model.__new__(model)
    made.__dict__.update(zip(columns, row, strict=True))
    made._state = ModelState()
    made._state.adding, made._state.db = False, "default"
    return made


def _alone(marker: Any) -> Any:
    return marker[0] if isinstance(marker, list) else marker


def _any_instead_of_in(sql: str, markers: dict[str, Any]) -> str:
    """Let one text serve lists of any length, and the server keep its plan."""
    lists = [marker for marker in markers.values() if isinstance(marker, list)]
    assert sql.count("IN (%s)") == len(lists)
    return sql.replace("IN (%s)", "= ANY(%s)")


def _converted(functions: Sequence[Callable[..., Any]], expression: Any, value: Any) -> Any:
    for function in functions:
        value = function(value, expression, connection)
    return value


def insert(rows: Sequence[Model]) -> None:
    """Insert rows of one model in one statement. Their values are of the fields' own types."""
    model = type(rows[0])
    columns = _columns(model, tuple(field.name for field in model._meta.local_concrete_fields))
    values = [_value(row, column) for row in rows for column in columns]
    with connection.cursor() as cursor:
        cursor.execute(_insert_sql(model, len(rows)), values)
    for row in rows:
        row._state.adding = False
        row._state.db = "default"


@functools.lru_cache(maxsize=1000)
def _insert_sql(model: type[Model], rows: int) -> str:
    columns = [f'"{field.column}"' for field in model._meta.local_concrete_fields]
    row = f"({', '.join(['%s'] * len(columns))})"
    return (
        f'INSERT INTO "{model._meta.db_table}" ({", ".join(columns)}) '  # noqa: S608
        f"VALUES {', '.join([row] * rows)}"
    )


def update(row: Model, *fields: str) -> None:
    """Write the given fields of a row, as `insert` does. Somebody must have locked it."""
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
    # What Django does to a value on its way to the database; None where it leaves it as it is.
    prepare: Callable[[Any], Any] | None


def _value(row: Model, column: _Column) -> Any:
    value = getattr(row, column.attname)
    return value if column.prepare is None or value is None else column.prepare(value)


@functools.cache
def _columns(model: type[Model], names: tuple[str, ...]) -> list[_Column]:
    return [_Column(field.attname, _preparation(field)) for field in _fields(model, names)]


# Of these kinds of fields PostgreSQL takes the values as they are, if they are of the right type.
_AS_IT_IS = {"BooleanField", "CharField", "DateTimeField", "SlugField", "TextField", "UUIDField"}


def _preparation(field: "Field[Any, Any]") -> Callable[[Any], Any] | None:
    """Find out once what `get_db_prep_save` would find out for every value."""
    kind = (getattr(field, "target_field", None) or field).get_internal_type()
    if kind in _AS_IT_IS:
        return None
    # An integer is told its size, or the server would plan anew for every size of value.
    sizes = cast(Any, connection.ops).integerfield_type_map
    return sizes.get(kind) or functools.partial(field.get_db_prep_save, connection=connection)
