"""What `make cluster` says of a run, and of machines on which it cannot run."""

import dataclasses
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cluster import report
from tests.cluster.__main__ import arguments_of, unable
from tests.cluster.estate import DEPLOY, missing, number, variables
from tests.cluster.report import Outcome
from tests.cluster.trials import TRIALS

GOOD = Outcome(
    name="primary",
    what="The primary dies",
    goal=15,
    before=0.4,
    without=9.96,
    after_return=None,
    paid=1234,
    statuses={200: 2000, 503: 17, None: 3},
    seen=["the standby led after 8.1 s"],
)


def _paid(key: str, second: float, *, status: int = 200, f: str = "pay", type: str = "ok") -> str:
    value = {"status": status, "told": {"id": key}}
    return json.dumps({"f": f, "type": type, "value": value, "time": int(second * 1e9)}) + "\n"


def test_a_payment_counts_when_somebody_was_told_first_that_it_is_complete(tmp_path: Path) -> None:
    history = tmp_path / "history.jsonl"
    history.write_text(
        _paid("a", 3)
        + _paid("b", 2)
        + _paid("a", 3.5)
        + _paid("c", 1, status=202)
        + _paid("d", 1, type="info", status=503)
        + _paid("e", 1, f="checkout")
        + _paid("c", 4, f="confirm")
    )
    assert report.acknowledged(history) == [2.0, 3.0, 4.0]


def test_the_longest_time_without_a_payment_is_also_looked_for_at_both_ends() -> None:
    assert report.longest([11.0, 12.0, 16.0], 10.0, 17.0) == 4.0
    assert report.longest([14.0], 10.0, 15.0) == 4.0
    assert report.longest([11.0], 10.0, 15.0) == 4.0
    assert report.longest([9.0, 16.0], 10.0, 15.0) == 5.0


def test_what_comes_after_the_return_is_the_first_payment_since_then() -> None:
    assert report.after([1.0, 5.5, 6.0], 5.0) == 0.5
    assert report.after([1.0], 5.0) == float("inf")
    assert report.after([1.0], None) is None


def test_a_trial_in_which_all_holds_is_a_row_without_a_complaint() -> None:
    assert GOOD.wrong == []
    assert GOOD.row() == (
        "| `primary` | The primary dies; the standby led after 8.1 s | 10.0 (15) | 0.4 | 1,234 "
        "| 2,000 of 200, 17 of 503, 3 lost | all agree |"
    )


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("nobody could pay for 15.1 s", {"without": 15.1}),
        ("1 answers with 500", {"statuses": {200: 5, 500: 1}}),
        ("first paid 3.2 s after the return", {"after_return": 3.2}),
        ("an order is gone", {"differences": ["an order is gone"]}),
    ],
)
def test_what_must_not_be_is_named(what: str, changed: dict[str, object]) -> None:
    outcome = dataclasses.replace(GOOD, **changed)  # type: ignore[arg-type]
    assert outcome.wrong == [what]
    assert what in report.written([GOOD, outcome], "PostgreSQL 15.18")


def test_each_trial_says_what_it_does_and_for_how_long_nobody_may_pay() -> None:
    for name, trial in TRIALS.items():
        assert len(trial.what) > 10, name
        assert 0 < trial.goal <= 100, name


def test_only_the_named_trials_run() -> None:
    assert arguments_of(["--only", "primary,standby"]).only == ["primary", "standby"]
    assert arguments_of([]).only == list(TRIALS)
    with pytest.raises(SystemExit):
        arguments_of(["--only", "primary,moon"])


def test_a_machine_that_lacks_programs_says_how_to_get_them() -> None:
    assert unable(["patroni", "haproxy"], 0) == (
        "make cluster needs more programs: apt-get install patroni haproxy"
    )
    assert unable([], 1000).startswith("make cluster makes network namespaces")
    assert unable([], 0) == ""


def test_a_version_is_read_out_of_what_a_program_says() -> None:
    assert number("HAProxy version 2.6.12-1+deb12u4 2026/01/01") == "2.6.12"
    assert number("nothing") == "?"


def test_environment_files_are_read_as_systemd_does() -> None:
    found = variables(DEPLOY / "patroni" / "etcd")
    assert found["ETCD_INITIAL_CLUSTER"].count("=http://") == 3
    assert found["ETCD_NAME"] == "a"


@pytest.mark.processes
@pytest.mark.parametrize("name", ["database", "edge"])
def test_haproxy_takes_its_files(name: str) -> None:
    if shutil.which("haproxy") is None:
        pytest.skip("HAProxy is not installed: apt-get install haproxy")
    addresses = {
        "DATABASE_A": "10.77.0.11",
        "DATABASE_B": "10.77.0.12",
        "EDGE": ":8080",
        "WEB_1": "10.77.0.21:8000",
        "WEB_2": "10.77.0.22:8000",
    }
    config = str(DEPLOY / "haproxy" / f"{name}.cfg")
    told = subprocess.run(
        ["haproxy", "-c", "-f", config],
        env=os.environ | addresses,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr


def test_what_is_missing_is_named_by_its_package() -> None:
    assert set(missing()) <= {
        *("postgresql-15", "patroni", "etcd-server", "pgbouncer", "haproxy"),
        *("iproute2", "util-linux"),
    }
