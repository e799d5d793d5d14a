"""What is over is deleted a batch at a time, however much there is."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from api import idempotency, limits, purging
from api.models import CallCount, IdempotencyKey
from backoffice import logins

pytestmark = pytest.mark.django_db


def _keys() -> type[IdempotencyKey]:
    IdempotencyKey.objects.bulk_create(
        IdempotencyKey(id=uuid.UUID(int=n), claim_id=uuid.UUID(int=n), created_at=_long_ago())
        for n in range(5)
    )
    return IdempotencyKey


def _counts() -> type[CallCount]:
    CallCount.objects.bulk_create(
        CallCount(kind="login", address=str(n), period=1, calls=1) for n in range(5)
    )
    return CallCount


def _sessions() -> type[Session]:
    Session.objects.bulk_create(
        Session(session_key=str(n), expire_date=_long_ago()) for n in range(5)
    )
    return Session


def _attempts() -> Any:
    for n in range(5):
        AccessAttempt.objects.create(username=str(n), failures_since_start=1)
    AccessAttempt.objects.update(attempt_time=_long_ago())
    return AccessAttempt


def _long_ago() -> Any:
    return timezone.now() - timedelta(days=9)


@pytest.mark.parametrize(
    ("made", "purge"),
    [
        (_keys, idempotency.purge),
        (_counts, limits.purge),
        (_sessions, logins.purge),
        (_attempts, logins.purge),
    ],
)
def test_no_statement_deletes_more_than_a_batch(
    monkeypatch: pytest.MonkeyPatch, made: Callable[[], Any], purge: Callable[[], Any]
):
    monkeypatch.setattr(purging, "BATCH", 2)
    model = made()

    with CaptureQueriesContext(connection) as queries:
        purge()

    deletes = [query["sql"] for query in queries if query["sql"].lstrip().startswith("DELETE")]
    assert sum(model._meta.db_table in sql for sql in deletes) >= 3
    assert model.objects.count() == 0


def test_a_row_that_is_renewed_meanwhile_stays(monkeypatch: pytest.MonkeyPatch):
    _keys()
    old = IdempotencyKey.objects.filter(created_at__lt=timezone.now() - timedelta(days=1))
    find = QuerySet.values_list

    def renewed(rows: Any, *fields: Any, **options: Any) -> Any:
        found = list(find(rows, *fields, **options))
        IdempotencyKey.objects.update(created_at=timezone.now())
        return found

    monkeypatch.setattr(QuerySet, "values_list", renewed)

    assert purging.purge(old) == 0
    assert IdempotencyKey.objects.count() == 5
