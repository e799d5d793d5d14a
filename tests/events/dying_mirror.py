"""docs/examples/stock_mirror.py, killed just before the nth statement that begins so, or never.

python -m tests.events.dying_mirror "UPDATE stock" 3 mirror.sqlite
"""

import itertools
import os
import runpy
import signal
import sqlite3
import sys
from typing import Any


def main() -> None:
    begins, number = sys.argv.pop(1), int(sys.argv.pop(1))
    passed = itertools.count(1)
    connect = sqlite3.connect

    def connected(*arguments: Any) -> sqlite3.Connection:
        database: sqlite3.Connection = connect(*arguments)
        database.set_trace_callback(look_at)
        return database

    def look_at(statement: str) -> None:
        if statement.startswith(begins) and next(passed) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    sqlite3.connect = connected  # type: ignore[assignment]
    runpy.run_path("docs/examples/stock_mirror.py", run_name="__main__")


if __name__ == "__main__":
    main()
