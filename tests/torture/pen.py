"""Writes what a client did and was told, one JSON object a line, as it happens."""

import json
import os
import time
from typing import Any


class Pen:
    """One client's. Any number of them write into the same file, each line at once."""

    def __init__(self, path: str, process: str) -> None:
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.process = process

    def write(self, type: str, f: str, value: dict[str, Any]) -> None:
        """`type` is invoke before a call; and after it ok, fail (refused) or info (unknown)."""
        line = {
            "process": self.process,
            "type": type,
            "f": f,
            "value": value,
            # One clock for all processes of the machine, which nobody sets.
            "time": time.monotonic_ns(),
        }
        os.write(self.file, json.dumps(line).encode() + b"\n")
