import threading
import time
from collections.abc import Callable
from typing import Any

from django.db import connection

# Longer than any lock is waited for: whoever meets nobody by then never will.
PATIENCE_SECONDS = 30

# On the same server there are the databases of other test processes.
_SOMEBODY_WAITS = """
SELECT EXISTS (
    SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE NOT granted AND datname = current_database()
)
"""


def run_together(*functions: Callable[[], Any]) -> list[Any]:
    """Call every function in a thread of its own, all from one moment on.

    Returns, in order, what each returned or the exception that it raised.
    """
    outcomes: list[Any] = [None] * len(functions)
    start = threading.Barrier(len(functions), timeout=PATIENCE_SECONDS)

    def run(position: int, function: Callable[[], Any]) -> None:
        try:
            # Connecting takes the longest and differs the most: done before the start.
            connection.ensure_connection()
            start.wait()
            outcomes[position] = function()
        except BaseException as raised:
            outcomes[position] = raised
        finally:
            connection.close()

    threads = [
        threading.Thread(target=run, args=entry, daemon=True) for entry in enumerate(functions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def wait_until_somebody_waits() -> None:
    """Return when another connection waits for a lock."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    with connection.cursor() as cursor:
        while time.monotonic() < deadline:
            cursor.execute(_SOMEBODY_WAITS)
            if cursor.fetchone() == (True,):
                return
    raise AssertionError("nobody waits")
