"""A release in a folder of its own, with what it has locked, as somebody would run it."""

import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
import time
from pathlib import Path

from config.embedded import die_with_parent
from config.supervisor import HOST, PROJECT
from tests.described import Description

# Installing and loading the demo take the longest.
READY_SECONDS = 300


class Broken(Exception):
    """A release that cannot be started or asked."""


def last_tag(project: Path = PROJECT) -> str | None:
    command = ["git", "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"]
    found = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    return found.stdout.strip() or None


class Release:
    """Its web server and worker, on one database with another release."""

    def __init__(self, name: str, code: Path, python: str, data: Path, url: str) -> None:
        self.name = name
        self.code = code
        self.python = python
        self.port = _free_port()
        self.data = data
        self.data.mkdir(parents=True)
        # Both serve one shop: with the same keys, which the demo has in common.
        self.environment = os.environ | {"DATABASE_URL": url, "HOLDFAST_DEMO": "1"}
        self.environment |= {f"{kind}_LIMIT": "0" for kind in ("TOKEN", "CHECKOUT", "PAYMENT")}
        self.environment |= {"LOGIN_LIMIT": "0", "REQUEST_LIMIT": "0"}
        self.environment.pop("DJANGO_SETTINGS_MODULE", None)
        self.process: subprocess.Popen[bytes] | None = None
        self.description: Description | None = None

    @classmethod
    def of_here(cls, data: Path, url: str) -> "Release":
        return cls("new", PROJECT, sys.executable, data, url)

    @classmethod
    def of(cls, tag: str, data: Path, url: str) -> "Release":
        """Check a tag out, with an environment of what it has locked."""
        code = data / "code"
        tree = ["git", "archive", "--format=tar", tag]
        packed = subprocess.run(tree, cwd=PROJECT, capture_output=True, check=False)
        if packed.returncode:
            raise Broken(f"{tag} cannot be checked out: {packed.stderr.decode()}")
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
            archive.extractall(code, filter="data")
        make = ["make", "--no-print-directory", ".venv/run.installed"]
        # `make` hands its own variables on to what it starts.
        clean = {name: value for name, value in os.environ.items() if "MAKE" not in name}
        made = subprocess.run(
            make, cwd=code, env=clean, capture_output=True, text=True, check=False
        )
        if made.returncode:
            raise Broken(f"{tag} cannot be installed: {made.stderr}")
        return cls("old", code, str(code / ".venv" / "bin" / "python"), data / "run", url)

    @property
    def log(self) -> Path:
        return self.data / "log"

    def start(self) -> None:
        """Start web server and worker; in a new database, the tables and the demo come first."""
        options = ("--port", str(self.port), "--data", str(self.data))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self.python, "-m", "config.supervisor", *options],
                cwd=self.code,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGTERM),
            )
        deadline = time.monotonic() + READY_SECONDS
        while "Ctrl-C stops everything" not in self.log.read_text():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Broken(f"The {self.name} release did not start:\n{self.log.read_text()}")
            time.sleep(0.2)
        self.description = Description(json.loads(self.get("/v2/openapi.json")))

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(READY_SECONDS)
        self.process = None

    def get(self, path: str) -> str:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status != http.HTTPStatus.OK:
            raise Broken(f"{path} of the {self.name} release: {answer.status} {text}")
        return text

    def manage(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.python, "manage.py", *command],
            cwd=self.code,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def logged(self) -> list[str]:
        """Return the errors that its log has a traceback of, once each."""
        found = re.findall(r"^[\w.]+(?:Error|Exception|Violation)\b.*", self.log.read_text(), re.M)
        return [*dict.fromkeys(found)][:10]


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])
