"""What came of the trials, for people, as Markdown."""

import itertools
import json
import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# What says that the same call is to be sent again. An answer that was lost has no status.
AGAIN = (502, 503, 504)
# How soon somebody can pay after PostgreSQL was away, however long that was.
AFTER_RETURN_SECONDS = 3.0


@dataclass(frozen=True)
class Outcome:
    """What a trial came to. Times are in seconds."""

    name: str
    what: str
    goal: float
    # The longest time in which nobody was told that a payment is complete: before, and after.
    before: float
    without: float
    # From the return of what was away to the first payment.
    after_return: float | None
    paid: int
    statuses: Mapping[int | None, int]
    seen: Sequence[str] = ()
    differences: Sequence[str] = ()

    @property
    def wrong(self) -> list[str]:
        """Say what must not be."""
        broken = [
            f"{number} answers with {status}"
            for status, number in self.statuses.items()
            if status is not None and status >= 500 and status not in AGAIN
        ]
        late = self.after_return is not None and self.after_return > AFTER_RETURN_SECONDS
        return [
            *self.differences,
            *broken,
            *([f"nobody could pay for {self.without:.1f} s"] if self.without > self.goal else []),
            *([f"first paid {self.after_return:.1f} s after the return"] if late else []),
        ]

    def row(self) -> str:
        seen = list(self.seen)
        if self.after_return is not None:
            seen.append(f"first paid {self.after_return:.1f} s after its return")
        cells = [
            f"`{self.name}`",
            "; ".join([self.what, *seen]),
            f"{self.without:.1f} ({self.goal:.0f})",
            f"{self.before:.1f}",
            f"{self.paid:,}",
            _counted(self.statuses),
            "; ".join(self.wrong) or "all agree",
        ]
        return f"| {' | '.join(cells)} |"


HEADER = (
    "trial",
    "what happens",
    "s without a payment (goal)",
    "before",
    "payments",
    "answers",
    "books",
)


def written(outcomes: Sequence[Outcome], versions: str) -> str:
    return "\n".join(
        [
            f"`make cluster` ({shlex.join(['python', '-m', 'tests.cluster', *sys.argv[1:]])}), "
            f"{os.cpu_count()} cores; {versions}",
            "",
            f"| {' | '.join(HEADER)} |",
            "|---" * len(HEADER) + "|",
            *[outcome.row() for outcome in outcomes],
            "",
        ]
    )


def _counted(statuses: Mapping[int | None, int]) -> str:
    known = sorted((status, number) for status, number in statuses.items() if status is not None)
    lost = statuses.get(None, 0)
    return ", ".join([*[f"{number:,} of {status}" for status, number in known], f"{lost} lost"])


# When somebody was told that a payment is complete.


def acknowledged(history: Path) -> list[float]:
    """Return the moments, of each payment the first, by the monotonic clock."""
    heard: dict[str, float] = {}
    for line in history.read_text().splitlines():
        row = json.loads(line)
        value = row["value"]
        if row["f"] in ("pay", "confirm") and row["type"] == "ok" and value["status"] == 200:
            heard.setdefault(value["told"]["id"], row["time"] / 1e9)
    return sorted(heard.values())


def longest(moments: Iterable[float], begin: float, end: float) -> float:
    """Return the longest time between two of them, or between one and an end of the trial."""
    between = [begin, *(at for at in moments if begin <= at <= end), end]
    return max(later - at for at, later in itertools.pairwise(between))


def after(moments: Iterable[float], begin: float | None) -> float | None:
    if begin is None:
        return None
    return min((at - begin for at in moments if at >= begin), default=float("inf"))
