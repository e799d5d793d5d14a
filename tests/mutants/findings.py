"""What was found of each mutant, in one text file for each module."""

import sys
import time
from collections import Counter
from pathlib import Path
from typing import TextIO

from tests.mutants.changes import Mutant


class Findings:
    """Writes as it goes, so that nothing is lost when it is stopped."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = ""
        self._file: TextIO
        self._counted: Counter[str] = Counter()
        self._began = 0.0

    def alive(self, path: str) -> set[str]:
        """Return the mutants that nothing noticed the last time, in words."""
        return {told for found, _, told in self._last_time(path) if found != "killed"}

    def begin(self, path: str, *, anew: bool) -> None:
        """Begin a module's file; if it is not anew, with what has been noticed already."""
        noticed = [] if anew else [each for each in self._last_time(path) if each[0] == "killed"]
        self.folder.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = self._file_of(path).open("w")
        self._counted = Counter()
        self._began = time.monotonic()
        for each in noticed:
            self._write(*each)

    def add(self, mutant: Mutant, *, killed: bool, tests: tuple[int, int], by: str) -> None:
        found = "killed" if killed else "survived" if tests[1] else "unreached"
        how = by if killed else f"{tests[0]} of {tests[1]} tests"
        self._write(found, how, mutant.told)
        if not killed:
            self.say(f"{found} ({how})  {self._path}:{mutant.told}")

    def end(self) -> None:
        counts = ", ".join(f"{number} {found}" for found, number in sorted(self._counted.items()))
        seconds = time.monotonic() - self._began
        summary = f"{self._path}: {self._counted.total()} mutants: {counts}; {seconds:.0f} s"
        self._file.write(f"# {summary}\n")
        self._file.close()
        self.say(summary)

    def say(self, *lines: str) -> None:
        for line in lines:
            sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def _write(self, found: str, how: str, told: str) -> None:
        self._counted[found] += 1
        self._file.write(f"{found}\t{how}\t{told}\n")
        self._file.flush()

    def _last_time(self, path: str) -> list[list[str]]:
        file = self._file_of(path)
        lines = file.read_text().splitlines() if file.exists() else []
        return [line.split("\t") for line in lines if not line.startswith("#")]

    def _file_of(self, path: str) -> Path:
        return self.folder / (path.removesuffix(".py").replace("/", ".") + ".txt")
