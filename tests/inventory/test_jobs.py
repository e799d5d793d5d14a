"""A job worker that is killed in the middle of a file, and the one that comes after it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from django.db import connection

from api import clock
from inventory.models import Sheet
from inventory.services.sheets import processing
from tests.concurrency import PATIENCE_SECONDS
from tests.factories import MERCHANT, product, stock_of
from tests.product_sheets import worked

ROOT = Path(__file__).resolve().parents[2]
LINES = 8_000

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]


def worker(*options: str) -> subprocess.Popen[bytes]:
    database = connection.settings_dict
    place = f"{database['USER']}@{quote(database['HOST'], safe='')}"
    url = f"postgresql://{place}/{database['NAME']}"
    return subprocess.Popen(
        [sys.executable, "manage.py", "procrastinate", "worker", "-q", "sheets", *options],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": url},
        stderr=subprocess.DEVNULL,
    )


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_f39_a_killed_worker_leaves_no_line_out_and_none_twice():
    shirt = product(0, sku="A")
    content = "sku,change\n" + "A,1\n" * LINES
    file, _ = processing.upload("long.csv", content.encode(), actor=MERCHANT)
    worked(file)
    processing.apply(file.pk, actor=MERCHANT)

    def lines_done() -> int:
        file.refresh_from_db()
        return file.lines_done

    killed = worker()
    try:
        wait_until(lambda: lines_done() > 0)
    finally:
        killed.kill()
        killed.wait()
    assert (file.state, lines_done() < LINES) == ("applying", True)
    # The transaction that was open ends with its connection.
    wait_until(lambda: stock_of(shirt).available == lines_done())

    with clock.replaced(lambda: file.updated_at + timedelta(minutes=2)):
        assert processing.take_up_again() == 1
    while Sheet.objects.under_way().exists():
        assert worker("--one-shot").wait(PATIENCE_SECONDS) == 0

    file.refresh_from_db()
    assert (file.state, file.changed, file.lines_done) == ("applied", LINES, LINES)
    stock = stock_of(shirt)
    assert (stock.available, stock.sequence, stock.log.count()) == (LINES, LINES, LINES)
