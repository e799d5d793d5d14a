"""What is told of the work, in the log and in numbers, is told by a thread of its own.

One after the other that takes a fifth of the time of single ones between requests, which find
nothing of it in the processor's caches. And nobody who is answered waits for it.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from config import lines

_log = logging.getLogger(__name__)

# For how long it gathers, to be told together.
GATHERED_SECONDS = 0.2
# How much may wait for it. Whoever comes then tells of his work himself.
WAITING_MAX = 10_000
# How often a reader of the log who stood still is given what was kept for him.
AGAIN_SECONDS = 1
# How long the end of a process waits for it.
LAST_SECONDS = 1

Tell = Callable[[], object]


class _Thread:
    def __init__(self) -> None:
        self._waiting = deque[Tell]()
        self._some = threading.Event()
        self._ends = False
        self._thread = threading.Thread(target=self._tell_for_ever, name="telling", daemon=True)
        self._thread.start()

    def take(self, tell: Tell) -> None:
        if len(self._waiting) >= WAITING_MAX:
            _tell_now(tell)
            return
        self._waiting.append(tell)
        if not self._some.is_set():
            self._some.set()

    def end(self) -> None:
        self._ends = True
        self._some.set()
        self._thread.join(LAST_SECONDS)

    def _tell_for_ever(self) -> None:
        while not self._ends:
            if self._some.wait(AGAIN_SECONDS) and not self._ends:
                time.sleep(GATHERED_SECONDS)
            # Before they are taken: what comes now is seen now, or the next time.
            self._some.clear()
            self._tell()
        # What came between the last look and the end.
        self._tell()

    def _tell(self) -> None:
        while self._waiting:
            _told(self._waiting.popleft())
        # In few calls: with each of them this thread and those that work change places.
        lines.write_kept()


def _tell_now(tell: Tell) -> None:
    tell()
    lines.write_kept()


def _told(tell: Tell) -> None:
    try:
        tell()
    except Exception:
        _log.exception("not_told")


_thread: _Thread | None = None


def later(tell: Tell) -> None:
    """Have this called: at once, or inside `apart` a moment later by its thread."""
    # Read once: it ends while others are at work.
    if thread := _thread:
        thread.take(tell)
    else:
        _tell_now(tell)


def is_apart() -> bool:
    """Tell whether this process has the thread."""
    return _thread is not None


@contextmanager
def apart() -> Iterator[None]:
    """Have a thread call what is told here. What a process told last is lost if it is killed."""
    global _thread
    _thread = thread = _Thread()
    try:
        yield
    finally:
        _thread = None
        thread.end()
