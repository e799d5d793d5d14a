"""Deleting what is over. There may be millions of rows of it, and no statement may take long."""

from typing import Any

from django.db.models import QuerySet

# Deleted together.
BATCH = 1_000


def purge(rows: QuerySet[Any, Any]) -> int:
    """Delete the rows, each batch in a transaction of its own, and return how many there were.

    A row that has changed meanwhile, so that it is none of them any more, stays.
    """
    purged = 0
    while found := list(rows.values_list("pk", flat=True)[:BATCH]):
        purged += rows.filter(pk__in=found).delete()[0]
    return purged
