"""A pytest plugin: the tests' own PostgreSQL, unless DATABASE_URL names another server.

It must run before pytest-django reads the settings, and so is loaded by `-p` in pyproject.toml.
"""

import atexit
import gc
import os
import secrets
import shutil
import signal
import tempfile
from pathlib import Path
from types import FrameType

import psycopg
import pytest

from config.embedded import Server

# How all processes of a run learn that their server knows a role that owns nothing: see
# tests/roles.py. One that DATABASE_URL names has the one role that it names.
ROLE = "TESTS_SERVE_AS"


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    # Until all is imported and collected: see tests/conftest.py.
    gc.disable()
    os.environ["HOLDFAST_DEMO"] = "1"
    # Tests open and close connections thread by thread; a pool would hand them on.
    os.environ["DATABASE_POOL_SIZE"] = "0"
    # On a busy machine a test may think for long between two statements, as Hypothesis does when it
    # first makes texts.
    os.environ["DATABASE_IDLE_TIMEOUT_MS"] = os.environ["DATABASE_STATEMENT_TIMEOUT_MS"] = "120000"
    # All tests come from one address; those of the limits set them.
    for limit in ("TOKEN_LIMIT", "CHECKOUT_LIMIT", "PAYMENT_LIMIT", "LOGIN_LIMIT", "REQUEST_LIMIT"):
        os.environ[limit] = "0"
    # Some tests let dozens of threads wait for a gateway at once; those of the waits set this.
    os.environ["GATEWAY_WAITS_MAX"] = "1000"
    if not os.environ.get("DATABASE_URL"):
        os.environ["DATABASE_URL"] = _start_server()
    os.environ["MEDIA_ROOT"] = _folder_for_pictures()


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """For `--numprocesses=auto`: while one waits for another program, the next has its core."""
    return len(os.sched_getaffinity(0)) + 1


def _folder_for_pictures() -> str:
    folder = tempfile.mkdtemp(prefix="holdfast-media-")
    atexit.register(_remove, folder, owner=os.getpid())
    return folder


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def _start_server() -> str:
    folder = Path(tempfile.gettempdir(), f"holdfast-tests-{secrets.token_hex(4)}")
    server = Server(folder, durable=False)
    # pytest exits in order when it is interrupted, and only then.
    signal.signal(signal.SIGTERM, _interrupt)
    atexit.register(_delete, server, owner=os.getpid())
    server.start()
    os.environ[ROLE] = _make_role(server.url)
    return server.url


def _make_role(url: str) -> str:
    """Make a role that can become the owner, and has none of its rights until it does."""
    role = "holdfast_application"
    with psycopg.connect(url, user="postgres") as superuser:
        superuser.execute(f"CREATE ROLE {role} LOGIN NOINHERIT")
        superuser.execute(f"GRANT holdfast TO {role}")
    return role


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _delete(server: Server, owner: int) -> None:
    # A process that a test forked must not take the database away from the others.
    if os.getpid() == owner:
        # `make` hands a signal on to a test run that has got it already.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        server.delete()
