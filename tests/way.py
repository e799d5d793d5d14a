"""A way from other processes to the tests' database that can be closed, as if it were away."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection

from config.supervisor import PROJECT


def quoted(folder: Path | str) -> str:
    """Write a folder of sockets as the host of an address."""
    return quote(str(folder), safe="")


def url(host: str | None = None, **more: str) -> str:
    """Return the address of the tests' database as the role that serves, perhaps by another way."""
    database: dict[str, Any] = connection.settings_dict
    place = f"{database['USER']}@{quoted(host or database['HOST'])}"
    query = "&".join(f"{name}={value}" for name, value in more.items())
    return f"postgresql://{place}/{database['NAME']}?{query}".rstrip("?")


class Way:
    def __init__(self, folder: Path, server: Path) -> None:
        self.server = server
        self.url = url(str(folder))
        self.forwarder = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.forwarder", str(folder / server.name)],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def open(self) -> None:
        self._lead(str(self.server))

    def close(self) -> None:
        """Cut whoever is on it, and let nobody in."""
        self._lead(None)

    def _lead(self, to: str | None) -> None:
        assert self.forwarder.stdin
        self.forwarder.stdin.write(json.dumps({"do": "lead", "to": to}) + "\n")
        self.forwarder.stdin.flush()
        self._answer()

    def _answer(self) -> None:
        assert self.forwarder.stdout
        assert self.forwarder.stdout.readline(), "the forwarder has died"


@contextmanager
def to_the_database() -> Iterator[Way]:
    """Make a way that is closed at first."""
    host = connection.settings_dict["HOST"]
    if not host.startswith("/"):
        pytest.skip("the server that DATABASE_URL names is not reached by a socket")
    server = Path(host, f".s.PGSQL.{connection.settings_dict['PORT'] or 5432}")
    with tempfile.TemporaryDirectory(prefix="holdfast-way-") as folder:
        os.chmod(folder, 0o711)
        way = Way(Path(folder), server)
        try:
            yield way
        finally:
            way.forwarder.kill()
            way.forwarder.wait()
