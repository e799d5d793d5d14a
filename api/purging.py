"""Deleting what is over. There may be millions of rows of it, and no statement may take long."""

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet

# Deleted together.
BATCH = 1_000


def until_none_is_left(delete_some: Callable[[], int]) -> int:
    """Have a batch deleted again and again, and return how many rows there were."""
    purged = 0
    while deleted := delete_some():
        purged += deleted
    return purged


def purge(rows: QuerySet[Any, Any]) -> int:
    """Delete the rows, each batch in a transaction of its own, and return how many there were.

    A row that has changed meanwhile, so that it is none of them any more, stays.
    """
    purged = 0
    while found := list(rows.values_list("pk", flat=True)[:BATCH]):
        purged += rows.filter(pk__in=found).delete()[0]
    return purged
