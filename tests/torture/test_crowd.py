"""Short runs of what `make torture` does for long."""

import random
import subprocess
import sys

import pytest

from config.supervisor import PROJECT
from tests.torture import chaos
from tests.torture.conftest import database_url
from tests.torture.store import Store

SECONDS = 8


@pytest.mark.django_db(transaction=True)
def test_after_everything_that_may_happen_all_books_agree(store: Store):
    report = chaos.run(store, seed=random.randrange(1_000_000), seconds=SECONDS)

    assert report.differences == [], report
    assert report.calls["pay", "ok"] > 0, report


@pytest.mark.processes
@pytest.mark.django_db
def test_f19_what_clients_were_told_outlives_postgresql(tmp_path):
    """An immediate stop and a promoted standby, on two servers of its own."""
    report = tmp_path / "report.md"
    command = [sys.executable, "-m", "tests.torture", "--minutes", "0.1", "--rounds", "0"]

    ran = subprocess.run(
        [*command, "--report", str(report), "--like", database_url()],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    told = report.read_text()
    assert "immediate stops of PostgreSQL" in told
    assert "standbys promoted" in told
    assert "**Verdict**: nothing differs." in told
