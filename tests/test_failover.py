"""Two servers in `DATABASE_URL`, of which one stands by: what goes on when it takes over."""

import http.client
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import Any

import psycopg
import pytest
from django.db import connection as tests_own

from config.embedded import Server, die_with_parent, programs
from config.supervisor import PROJECT
from tests.test_supervisor import free_port
from tests.test_worker import wait_until
from tests.torture.cluster import _Replicated
from tests.way import quoted

pytestmark = [pytest.mark.processes, pytest.mark.django_db]


@pytest.fixture
def pair() -> Iterator[tuple[Server, Server]]:
    """A primary with the tables of the tests' database, and a standby that has them too."""
    folder = Path(mkdtemp(prefix="holdfast-pair-", dir=gettempdir()))
    folder.chmod(0o711)
    first, other = _Replicated(folder / "a"), _Replicated(folder / "b")
    first.start()
    server, _, _ = os.environ["DATABASE_URL"].rpartition("/")
    source = f"{server}/{tests_own.settings_dict['NAME']}"
    dump = [str(programs() / "pg_dump"), "--no-acl", "--no-owner", f"--dbname={source}"]
    told = subprocess.run(dump, check=True, capture_output=True).stdout
    fill = [str(programs() / "psql"), "--quiet", "--set=ON_ERROR_STOP=1", f"--dbname={first.url}"]
    subprocess.run(fill, check=True, input=told, stdout=subprocess.DEVNULL)
    other.copy_of(first)
    yield first, other
    first.delete()
    other.delete()
    shutil.rmtree(folder)


@pytest.fixture
def start(pair: tuple[Server, Server]) -> Iterator[Any]:
    # The standby first, which nobody is to take for the primary.
    first, other = pair
    servers = f"{quoted(other.sockets)},{quoted(first.sockets)}"
    url = f"postgresql://holdfast@{servers}/holdfast?target_session_attrs=read-write"
    started: list[subprocess.Popen[bytes]] = []

    def start(*command: str, **environment: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=PROJECT,
            env=os.environ | {"DATABASE_URL": url, "DATABASE_POOL_SIZE": "4"} | environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def ask(server: Server, statement: str) -> Any:
    with psycopg.connect(server.url, autocommit=True) as connection:
        [found] = connection.execute(statement).fetchone() or [None]
        return found


def is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    return False


def test_t45_web_server_worker_and_commands_follow_the_primary(pair, start):
    first, other = pair
    port = free_port()
    start("manage.py", "serve", WEB_PORT=str(port), WEB_WORKERS="1")
    start("manage.py", "work")
    wait_until(lambda: is_ready(port))
    wait_until(lambda: ask(first, "SELECT count(*) FROM api_jobworker"))
    wait_until(
        lambda: (
            ask(other, "SELECT pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()")
            and ask(other, "SELECT count(*) FROM api_jobworker")
        )
    )

    assert first.process is not None
    first.process.send_signal(signal.SIGQUIT)
    first.process.wait()
    with psycopg.connect(other.url, user="postgres", dbname="postgres", autocommit=True) as standby:
        standby.execute("SELECT pg_promote()")
    promoted = ask(other, "SELECT now()")

    wait_until(lambda: is_ready(port))
    beats = f"SELECT count(*) FROM api_jobworker WHERE beat_at > '{promoted}'"
    wait_until(lambda: ask(other, beats))
    assert start("manage.py", "create_api_client", "erp").wait() == 0
    assert ask(other, "SELECT count(*) FROM api_apiclient WHERE client_id = 'erp'") == 1
