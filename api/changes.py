"""What people and programs set, from what to what: a record that only grows.

It is for whatever has no log of its own: products and their prices, settings, currencies, gateways,
API clients, people. Whoever changes one of them does it in a `recorded` block, in the transaction
of the change.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Model

from api import clock, compiled
from api.actors import Actor
from api.errors import require_as_seen
from api.models import Change
from api.transactions import assert_in_transaction

# Each field by its name, as the record keeps it.
State = Mapping[str, Any]

# What the services keep by themselves, and nobody sets.
_KEPT_BY_ITSELF = {"created_at", "updated_at", "date_joined", "last_login", "version"}
# Of these the record says only that they changed.
_SECRETS = {
    *("password", "secret_sha256"),
    *("secret_key", "signing_secret", "old_signing_secret"),
}
_ROWS_A_STATEMENT = 1000


def fields_of(row: Model) -> dict[str, Any]:
    """Read every field of a row: one that is added to its model is on record by itself."""
    return {
        field.name: _plain(field.to_python(field.value_from_object(row)))
        for field in row._meta.concrete_fields
        if not field.primary_key and field.name not in _KEPT_BY_ITSELF
    }


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)


@contextmanager
def recorded(
    actor: Actor,
    row: Model,
    what: Change.What = Change.What.CHANGED,
    *,
    state: Callable[[], State] | None = None,
    seen: Mapping[str, Any] | None = None,
) -> Iterator[None]:
    """Put on record what the block changes of a row that is locked. Nothing: then no entry.

    `state` tells what belongs to the row beside its own fields. `seen` is what stood in some of
    its fields when somebody decided to change them. Raises: Moved.
    """
    assert_in_transaction()
    require_as_seen(seen, lambda: {name: getattr(row, name) for name in seen or {}})
    read = state or (lambda: fields_of(row))
    before = read()
    yield
    record(entries(actor, what, [(row, before, read())]))


def created(actor: Actor, row: Model, state: State | None = None) -> None:
    after = fields_of(row) if state is None else state
    record(entries(actor, Change.What.CREATED, [(row, {}, after)]))


def deleted(actor: Actor, row: Model) -> None:
    """Put on record what a row was, before it is deleted."""
    record(entries(actor, Change.What.DELETED, [(row, fields_of(row), {})]))


def happened(actor: Actor, what: Change.What, row: Model) -> None:
    """Put on record what changes no field."""
    record([_entry(actor, what, row, [])])


def entries(
    actor: Actor, what: Change.What, states: Iterable[tuple[Model, State, State]]
) -> list[Change]:
    """Compare rows before and after; those that are as they were get no entry."""
    compared = ((row, _differences(before, after)) for row, before, after in states)
    return [_entry(actor, what, row, differences) for row, differences in compared if differences]


def record(entries: Collection[Change]) -> None:
    """Write entries, a thousand with a statement, in the transaction of what they tell."""
    assert_in_transaction()
    now = clock.now()
    for entry in entries:
        entry.at = now
    rows = list(entries)
    for begin in range(0, len(rows), _ROWS_A_STATEMENT):
        compiled.insert_many(rows[begin : begin + _ROWS_A_STATEMENT])


def _entry(actor: Actor, what: Change.What, row: Model, differences: list[Any]) -> Change:
    entry = Change(
        kind=row._meta.label_lower,
        thing_id=str(row.pk),
        thing_name=str(row),
        what=what,
        fields=differences,
    )
    entry.actor = actor
    return entry


def _differences(before: State, after: State) -> list[dict[str, Any]]:
    """List the fields that differ. To be empty and not to be there is the same."""
    pairs = {name: (before.get(name), after.get(name)) for name in {**before, **after}}
    return [
        {"field": name} if name in _SECRETS else {"field": name, "before": was, "after": now}
        for name, (was, now) in pairs.items()
        if was != now and {was, now} != {None, ""}
    ]
