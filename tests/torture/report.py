"""What a long run of torture came to, for people, as Markdown."""

import os
import platform
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from config.supervisor import PROJECT
from tests.torture import check_history
from tests.torture.chaos import Report

OUTCOMES = {"ok": "done", "fail": "refused", "info": "unknown"}


def written(reports: Sequence[Report], *, seconds: float, server: str) -> str:
    """Write it, whatever has come of it."""
    calls, deaths, moves = Counter[tuple[str, str]](), Counter[str](), Counter[str]()
    for report in reports:
        calls += report.calls
        deaths += report.deaths
        moves += report.moves
    differences = [
        f"seed {report.seed}: {found}" for report in reports for found in report.differences
    ]
    sides = ["", "| operation | done | refused | unknown |", "|---|---|---|---|"]
    sides += [
        f"| {what} | " + " | ".join(f"{calls[what, kind]:,}" for kind in OUTCOMES) + " |"
        for what in sorted({what for what, _ in calls})
    ]
    sides += [
        "| **all** | "
        + " | ".join(
            f"{sum(number for (_, of), number in calls.items() if of == kind):,}"
            for kind in OUTCOMES
        )
        + " |"
    ]
    return "\n".join(
        [
            f"- command: `python -m tests.torture {shlex.join(sys.argv[1:])}`, commit {_commit()}",
            f"- {len(reports)} crowds, seeds {reports[0].seed} to {reports[-1].seed}, "
            f"in {seconds / 60:.0f} minutes; ended {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            f"- {os.cpu_count()} cores, load {os.getloadavg()[2]:.1f} at the end; "
            f"Python {platform.python_version()}, PostgreSQL {server}",
            f"- what died: {_list(deaths)}",
            f"- what the gateway's stand-in did: {_list(moves)}",
            *sides,
            "",
            "Checked after each crowd: orders, payments, stock, the log, the gateway's book and "
            "the clients' words (`checker.py`), `reconcile_payments`, and by the history alone:",
            "",
            *[f"- {_title(check.__doc__)}" for check in check_history.CHECKS],
            "",
            "**Verdict**: " + ("nothing differs." if not differences else "it does not hold:"),
            *[f"- {difference}" for difference in differences],
            "",
        ]
    )


def _list(numbers: Counter[str]) -> str:
    return ", ".join(f"{number:,} {what}" for what, number in sorted(numbers.items())) or "nothing"


def _title(docstring: str | None) -> str:
    return (docstring or "").split("\n\n")[0].replace("\n", " ").strip()


def _commit() -> str:
    asked = ["git", "-C", str(PROJECT), "rev-parse", "--short", "HEAD"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False)
    return told.stdout.strip() or "unknown"
