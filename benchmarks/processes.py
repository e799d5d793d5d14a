"""How much CPU a process and all that it started have used: steady even on a shared machine."""

import os
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, its living descendants and those that have ended."""
    ticks = 0
    waiting = [pid]
    while waiting:
        process = waiting.pop()
        ticks += _ticks(process)
        waiting.extend(_children(process))
    return ticks / _TICKS_PER_SECOND


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    # utime, stime, and the same of children that were waited for: fields 14 to 17 of proc(5).
    return sum(int(field) for field in fields[11:15])


def _children(pid: int) -> list[int]:
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return [
            int(child) for thread in threads for child in (thread / "children").read_text().split()
        ]
    except (FileNotFoundError, ProcessLookupError):
        return []
