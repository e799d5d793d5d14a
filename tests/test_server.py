"""`manage.py serve` as real processes: dying, stopping, and what it says when it cannot."""

import asyncio
import concurrent.futures
import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import uvicorn

from config.server import _Loop, _Worker
from config.supervisor import PROJECT
from tests.concurrency import PATIENCE_SECONDS
from tests.served import Served, served
from tests.test_supervisor import descendants, living, wait_for

pytestmark = pytest.mark.processes


@pytest.fixture
def silent_database():
    """Something that takes connections and says nothing, as a PgBouncer that was frozen."""
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        yield f"postgresql://shop@127.0.0.1:{frozen.getsockname()[1]}/shop"


def start(
    stderr: int | None = None, **environment: str
) -> contextlib.AbstractContextManager[Served]:
    away = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}
    return served((), stderr, HOLDFAST_DEMO="1", **away | environment)


def test_t50_of_two_workers_one_that_dies_is_replaced_and_the_other_serves():
    with start(WEB_WORKERS="2") as server:
        first, second = descendants(server.process.pid)

        os.kill(first, signal.SIGKILL)
        answers = [server.lives() for _ in range(20)]
        wait_for(lambda: len(descendants(server.process.pid)) == 2, PATIENCE_SECONDS)

        now = descendants(server.process.pid)
        assert second in now
        assert first not in now
        # Who was to be answered by the dead one waits for the one that takes its place.
        assert answers == [True] * 20


def test_t50_after_a_kill_of_the_first_process_no_orphan_is_left_on_the_port():
    with start(WEB_WORKERS="2") as server:
        workers = descendants(server.process.pid)
        assert len(workers) == 2

        server.process.kill()
        server.process.wait()

        wait_for(lambda: not living(workers), PATIENCE_SECONDS)
        assert living(workers) == []
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", server.port))


@pytest.fixture
def worker() -> Iterator[_Worker]:
    with socket.socket() as listening:
        worker = _Worker(listening)
        yield worker
        if worker.pid:
            os.kill(worker.pid, signal.SIGKILL)
            os.waitpid(worker.pid, 0)


def test_t50_a_worker_that_stands_still_is_ended(worker):
    worker.start(signal.pause)
    for _ in range(6):
        worker.look_after(30)
    assert os.waitpid(worker.pid, os.WNOHANG) == (0, 0)

    worker.look_after(30)

    pid, status = os.waitpid(worker.pid, 0)
    assert (pid, os.waitstatus_to_exitcode(status)) == (worker.pid, -signal.SIGKILL)
    worker.has_died(status)


def test_one_that_lives_is_not(worker):
    def live() -> None:
        loop = _Loop(uvicorn.Config(lambda: None), worker.lives)
        while True:
            asyncio.run(loop.on_tick(1))

    worker.start(live)
    for _ in range(20):
        wait_for(lambda: worker._sign_of_life[0], PATIENCE_SECONDS)
        worker.look_after(30)

    assert os.waitpid(worker.pid, os.WNOHANG) == (0, 0)


def test_t50_where_no_worker_can_be_started_now_it_is_tried_again(worker, monkeypatch):
    def fork() -> int:
        raise BlockingIOError(errno.EAGAIN, "as many processes as there may be")

    monkeypatch.setattr(os, "fork", fork)
    for pause in (1, 2, 4):
        worker.start(signal.pause)

        assert worker.pid == 0
        assert worker.pause == pause
        assert worker.start_at > time.monotonic()


def test_a_signal_lets_a_request_that_was_begun_end():
    with start() as server, contextlib.closing(server.connection()) as caller:
        workers = descendants(server.process.pid)
        caller.putrequest("POST", "/v2/carts")
        caller.putheader("Content-Length", "2")
        caller.endheaders(b"{")
        with contextlib.closing(server.connection()) as idle:
            # Taken in after the first one, which is under way by now.
            idle.request("GET", "/health/live")
            assert idle.getresponse().read()
            server.process.terminate()
            assert idle.sock.recv(1) == b""
        caller.send(b"}")

        assert caller.getresponse().status == 401
        assert server.process.wait(PATIENCE_SECONDS) == 0
        assert living(workers) == []


def test_a_signal_lets_the_last_lines_be_written():
    with start(stderr=subprocess.PIPE, LOG_REQUESTS="true") as server:
        assert server.status("GET", "/v2/currencies") == 401
        server.process.terminate()
        _, told = server.process.communicate(timeout=PATIENCE_SECONDS)

    assert [line for line in told.splitlines() if "currencies" in line]


def test_what_does_not_end_is_ended(silent_database):
    with (
        start(DATABASE_URL=silent_database, WEB_GRACE_SECONDS="1") as server,
        concurrent.futures.ThreadPoolExecutor(1) as callers,
    ):
        workers = descendants(server.process.pid)
        waiting = callers.submit(server.status, *READY)
        with pytest.raises(TimeoutError):
            waiting.result(0.3)

        server.process.terminate()

        assert server.process.wait(PATIENCE_SECONDS) == 0
        assert living(workers) == []
        assert waiting.exception() is not None


READY = ("GET", "/health/ready")


def test_t47_with_a_frozen_database_it_is_told_at_once_that_the_process_lives(silent_database):
    """Four threads, and eight callers who wait for the database."""
    with (
        start(DATABASE_URL=silent_database, WEB_GRACE_SECONDS="1") as server,
        concurrent.futures.ThreadPoolExecutor(8) as callers,
    ):
        waiting = [callers.submit(server.status, *READY) for _ in range(8)]
        with pytest.raises(TimeoutError):
            waiting[0].result(0.5)

        assert server.lives()
        assert not any(each.done() for each in waiting)
        server.process.terminate()


def test_a_taken_port_is_one_clear_sentence():
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as other:
        port = other.getsockname()[1]
        refused = subprocess.run(
            [sys.executable, "manage.py", "serve"],
            cwd=PROJECT,
            env=os.environ | {"WEB_PORT": str(port)},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    assert refused.returncode == 1
    assert refused.stderr == (
        f"CommandError: Port {port} of 127.0.0.1 cannot be used (Address already in use).\n"
    )
