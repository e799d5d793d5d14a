"""Node and what is installed for it: the SDKs and tools that the tests drive, once for all."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from config.supervisor import PROJECT

FOLDER = PROJECT / "tests" / "sdk"
MODULES = FOLDER / "node_modules"
INSTALL = "npm install --no-package-lock --no-audit --no-fund --ignore-scripts"


def installed() -> str:
    """Return Node's program, with the packages of tests/sdk beside it. Skips without Node."""
    found, npm = shutil.which("node"), shutil.which("npm")
    if not found or not npm:
        reason = "the official JavaScript SDKs run on Node (18 or newer, with npm)"
        assert not os.environ.get("CI"), reason
        pytest.skip(reason)
    wanted, stamp = FOLDER / "package.json", MODULES / ".installed"
    MODULES.mkdir(exist_ok=True)
    # Tests run in several processes, of which one installs and the others wait.
    with (MODULES / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.stat().st_mtime < wanted.stat().st_mtime:
            run(INSTALL.split())
            stamp.touch()
    return found


def run(
    command: Sequence[str | Path],
    environment: Mapping[str, str] | None = None,
    folder: Path = FOLDER,
) -> None:
    """Run a program to its end, and fail the test with what it printed if it fails."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"{command}\n{done.stdout}\n{done.stderr}", pytrace=False)
