"""A web server as production runs it, for tests of what it does with the network."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from typing import NamedTuple

from config.supervisor import PROJECT
from tests.concurrency import PATIENCE_SECONDS


class Served(NamedTuple):
    port: int
    process: "subprocess.Popen[str]"

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)

    def status(self, method: str, path: str, body: str = "", **headers: str) -> int:
        with contextlib.closing(self.connection()) as connection:
            connection.request(method, path, body, headers)
            return connection.getresponse().status

    def lives(self) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.status("GET", "/health/live") == 200
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def served(
    unset: Collection[str] = (), stderr: int | None = None, **environment: str
) -> Iterator[Served]:
    """Run `manage.py serve` with one worker, unless told otherwise, until it answers."""
    port = free_port()
    of_tests = {name: value for name, value in os.environ.items() if name not in unset}
    process = subprocess.Popen(
        [sys.executable, "manage.py", "serve"],
        cwd=PROJECT,
        env=of_tests | {"WEB_PORT": str(port), "WEB_WORKERS": "1"} | environment,
        stderr=stderr,
        text=True,
    )
    server = Served(port, process)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not server.lives():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield server
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
