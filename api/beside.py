"""What a worker does beside its jobs, for as long as it lives, each in a thread of its own.

An app registers its own when it is ready. Who serves the queue `telling` runs all of them; that no
two workers do the same at once is the affair of each.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from django.db import DatabaseError, connection

from config import outages

log = structlog.get_logger(__name__)

# How long after a fault it begins again, and how long the end of a worker waits for all of them.
AGAIN_SECONDS, LAST_SECONDS = 1.0, 3.0

# Goes on until this is set, and then ends within a second.
Run = Callable[[threading.Event], None]

_registered: dict[str, Run] = {}


def register(name: str, run: Run) -> None:
    """Have `run` called. Whatever it raises, it is called again: also when the database is away."""
    _registered[name] = run


@contextmanager
def running() -> Iterator[None]:
    stop = threading.Event()
    threads = [
        threading.Thread(target=_again_and_again, args=(name, run, stop), name=name, daemon=True)
        for name, run in _registered.items()
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(LAST_SECONDS)


def _again_and_again(name: str, run: Run, stop: threading.Event) -> None:
    is_told = False
    while not stop.is_set():
        try:
            run(stop)
            is_told = False
        except Exception as error:
            # That the database is away, its worker says for all.
            if not is_told and not outages.is_away(error):
                log.exception("beside_failed", name=name)
                is_told = True
        finally:
            _let_go()
        stop.wait(AGAIN_SECONDS)


def _let_go() -> None:
    try:
        connection.close()
    except DatabaseError:
        connection.connection = None
