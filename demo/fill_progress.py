"""What `manage.py fill` says while it works: a line every few seconds, or one that is rewritten."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import OutputWrapper

SECONDS = 5.0
# On a terminal, where the same line is written again.
SECONDS_ON_A_TERMINAL = 0.2
_TO_THE_END_OF_THE_LINE = "\x1b[K"


class Progress:
    """How far a long work is: in steps, each of so many things. Without an output it is silent."""

    def __init__(self, out: OutputWrapper | None = None) -> None:
        self._out = out
        self._is_terminal = out is not None and out.isatty()
        self._every = SECONDS_ON_A_TERMINAL if self._is_terminal else SECONDS
        self._began = self._step_began = self._told_at = time.monotonic()
        self._of = 0

    def step(self, what: str, of: int = 0) -> None:
        """Begin another step, of so many things."""
        self._of = of
        self._step_began = self._told_at = time.monotonic()
        self._say(what)

    def at(self, done: int) -> None:
        """Say how many of the step's things are done, unless it was said a moment ago."""
        now = time.monotonic()
        if now - self._told_at >= self._every and done:
            self._told_at = now
            left = (now - self._step_began) * (self._of - done) / done
            more = f", some {_in_words(left)} to go" if done < self._of else ""
            self._say(f"  {done:,} of {self._of:,}{more}", passing=True)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Say now and then that it goes on, while nobody knows how far it is."""
        ended = threading.Event()

        def tell() -> None:
            while not ended.wait(self._every):
                self._say("  still at it", passing=True)

        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        try:
            yield
        finally:
            ended.set()
            teller.join()

    def _say(self, what: str, *, passing: bool = False) -> None:
        if self._out is None:
            return
        line = f"{time.monotonic() - self._began:7.1f} s  {what}"
        if self._is_terminal:
            line = f"\r{line}{_TO_THE_END_OF_THE_LINE}"
        self._out.write(line, ending="" if self._is_terminal and passing else "\n")
        self._out.flush()


def _in_words(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
