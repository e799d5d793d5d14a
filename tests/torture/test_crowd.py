"""A short run of what `make torture` does for long."""

import random

import pytest

from tests.torture import chaos
from tests.torture.store import Store

SECONDS = 8


@pytest.mark.django_db(transaction=True)
def test_after_everything_that_may_happen_all_books_agree(store: Store):
    report = chaos.run(store, seed=random.randrange(1_000_000), seconds=SECONDS)

    assert report.differences == [], report
    assert report.calls["pay", "ok"] > 0, report
