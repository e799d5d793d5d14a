"""`make run` as real processes: starting, stopping, dying, and what it says when it cannot."""

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import pytest
from django.db import connection as tests_own

from config import supervisor
from config.embedded import EmbeddedDatabaseError, Server, die_with_parent, programs

FIRST_START_SECONDS = 120
START_SECONDS = 30
STOP_SECONDS = 10

pytestmark = pytest.mark.processes


class Holdfast:
    """A supervisor in a session of its own, and what it has said so far."""

    def __init__(self, data: Path, *options: str, port: int | None = None, **environment: str):
        self.port = port or free_port()
        self.log = data / f"said-{self.port}"
        command = [sys.executable, "-m", "config.supervisor", "--data", str(data), *options]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port)],
                cwd=supervisor.PROJECT,
                env=clean_environment() | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGTERM),
            )

    @property
    def said(self) -> str:
        return self.log.read_text()

    def wait_until_ready(self, seconds: float = START_SECONDS) -> "Holdfast":
        wait_for(
            lambda: "Holdfast is ready" in self.said or self.process.poll() is not None, seconds
        )
        assert "Holdfast is ready" in self.said, self.said
        return self

    def answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
        return False

    def children(self) -> dict[str, int]:
        """What the supervisor started, by a word of its command."""
        found = {}
        for pid in descendants(self.process.pid):
            for word in ("postgres", "manage.py serve", "manage.py work"):
                if parent(pid) == self.process.pid and word in command_of(pid):
                    found[word] = pid
        return found

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)


def clean_environment() -> dict[str, str]:
    ours = {"DATABASE_URL", "DATABASE_POOL_SIZE", "PORT", "MAKEFLAGS", "MAKELEVEL"}
    return {name: value for name, value in os.environ.items() if name not in ours}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(condition, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


def parent(pid: int) -> int | None:
    """The parent of a living process. One that ended and was not waited for is not living."""
    try:
        state, ppid = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[:2]
    except OSError:
        return None
    return None if state == "Z" else int(ppid)


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def descendants(pid: int) -> list[int]:
    parents = {int(entry.name): parent(int(entry.name)) for entry in Path("/proc").glob("[0-9]*")}
    found = [pid]
    for candidate in found:
        found += [child for child, of in parents.items() if of == candidate]
    return found[1:]


def living(pids: list[int]) -> list[str]:
    return [command_of(pid) for pid in pids if parent(pid) is not None]


@contextlib.contextmanager
def folder_for_data():
    """A folder that PostgreSQL may enter, unlike pytest's own when root runs the tests."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-run-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def folder():
    with folder_for_data() as folder:
        yield folder


@pytest.fixture(scope="module")
def first_start():
    """What a first start with the demo says. Its data is there for the starts that follow."""
    with folder_for_data() as data:
        holdfast = Holdfast(data)
        try:
            holdfast.wait_until_ready(FIRST_START_SECONDS)
        finally:
            holdfast.end()
        yield data, holdfast


@pytest.fixture
def data(first_start):
    return first_start[0]


@pytest.fixture
def start(data):
    started = []

    def start(**options) -> Holdfast:
        started.append(Holdfast(data, **options))
        return started[-1].wait_until_ready()

    yield start
    for holdfast in started:
        if holdfast.process.poll() is None:
            holdfast.end()


def test_the_first_start_says_where_to_go_and_who_may_log_in(first_start):
    _, holdfast = first_start

    assert "Loading the demo" in holdfast.said
    assert f"http://127.0.0.1:{holdfast.port}/v2" in holdfast.said
    assert f"http://127.0.0.1:{holdfast.port}/admin/" in holdfast.said
    assert "demo / demo" in holdfast.said
    assert "client_id demo, client_secret demo-secret" in holdfast.said
    assert "client_id demo-storefront, no secret" in holdfast.said


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT, signal.SIGINT]])
def test_a_signal_stops_everything_and_leaves_no_process(start, signals):
    holdfast = start()
    everything = descendants(holdfast.process.pid)
    assert set(holdfast.children()) >= {"postgres", "manage.py serve"}
    assert holdfast.answers()

    for number in signals:
        holdfast.process.send_signal(number)

    assert holdfast.process.wait(STOP_SECONDS) == 0
    assert living(everything) == []
    assert "Loading the demo" not in holdfast.said


def test_after_kill_9_the_children_end_and_the_next_start_recovers(start):
    killed = start()
    everything = descendants(killed.process.pid)

    killed.end(signal.SIGKILL)
    survivor = start(port=killed.port)

    wait_for(lambda: not living(everything), STOP_SECONDS)

    assert survivor.answers()
    assert living(everything) == []

    os.kill(survivor.children()["postgres"], signal.SIGKILL)
    survivor.end(signal.SIGKILL)
    last = start()

    assert last.answers()
    assert "Loading the demo" not in survivor.said + last.said


def test_a_database_that_ends_ends_everything_with_one_sentence(start):
    holdfast = start()
    everything = descendants(holdfast.process.pid)

    os.kill(holdfast.children()["postgres"], signal.SIGKILL)

    assert holdfast.process.wait(STOP_SECONDS) == 1
    assert "PostgreSQL has stopped by itself" in holdfast.said
    assert living(everything) == []


def test_web_server_and_worker_start_again_when_they_die(start):
    holdfast = start()
    wait_for(lambda: "manage.py work" in holdfast.children(), START_SECONDS)
    died = holdfast.children()

    os.kill(died["manage.py serve"], signal.SIGKILL)
    os.kill(died["manage.py work"], signal.SIGKILL)
    wait_for(lambda: holdfast.said.count("has died and starts again") == 2, START_SECONDS)
    wait_for(lambda: len(holdfast.children()) == 3 and holdfast.answers(), START_SECONDS)

    now = holdfast.children()
    # What the worker tells others has links, too.
    assert f"WEB_PORT={holdfast.port}" in Path(f"/proc/{now['manage.py work']}/environ").read_text()
    assert holdfast.answers()
    assert now["manage.py serve"] != died["manage.py serve"]
    assert now["manage.py work"] != died["manage.py work"]
    assert now["postgres"] == died["postgres"]


def test_a_second_one_in_the_same_folder_and_a_reset_are_refused(start, data):
    holdfast = start()

    second, reset = Holdfast(data), Holdfast(data, "--reset")

    sentence = (
        "Holdfast is already running from this folder "
        f"(process {holdfast.process.pid}): stop it first.\n"
    )
    assert second.process.wait(START_SECONDS) == 1
    assert reset.process.wait(START_SECONDS) == 1
    assert second.said == reset.said == sentence
    assert holdfast.answers()


@pytest.mark.parametrize("shared", [False, True])
def test_a_taken_port_is_one_clear_sentence(folder, shared):
    with socket.socket() as other:
        if shared:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        refused = Holdfast(folder, port=port)

        assert refused.process.wait(START_SECONDS) == 1
    assert refused.said == (
        f"Port {port} cannot be used (Address already in use): "
        "choose another one, as in `make run PORT=8001`.\n"
    )


def test_an_old_python_is_one_clear_sentence(tmp_path):
    for name in ("Makefile", "requirements-demo.lock"):
        shutil.copy(supervisor.PROJECT / name, tmp_path)
    old = tmp_path / "old-python"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2\nexit 1\n')
    old.chmod(0o755)

    made = subprocess.run(
        ["make", "run", f"PYTHON={old}"],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=20,
    )

    assert made.returncode != 0
    assert made.stdout == ""
    assert made.stderr.splitlines()[0] == (
        f"Holdfast needs Python 3.11 or newer, and {old} is Python 3.9.2. "
        "Say which one to use: make PYTHON=/path/to/python3.11"
    )


@pytest.fixture
def foreign_database(db):
    """A migrated database on the tests' server, as somebody's own PostgreSQL would be.

    A copy of the tests' own, which is there in a fifth of the time that migrating another takes.
    """
    server, _, _ = os.environ["DATABASE_URL"].rpartition("/")
    copied, url = f"{server}/{tests_own.settings_dict['NAME']}", f"{server}/holdfast_foreign"
    dump = [str(programs() / "pg_dump"), "--no-acl", f"--dbname={copied}"]
    fill = [str(programs() / "psql"), "--quiet", "--set=ON_ERROR_STOP=1", f"--dbname={url}"]
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("CREATE DATABASE holdfast_foreign")
        told = subprocess.run(dump, check=True, capture_output=True).stdout
        subprocess.run(fill, check=True, input=told, stdout=subprocess.DEVNULL)
        yield url
        connection.execute("DROP DATABASE holdfast_foreign WITH (FORCE)")


@pytest.mark.django_db
def test_a_database_with_tables_of_ours_is_served_without_the_demo(foreign_database, folder):
    holdfast = Holdfast(folder, DATABASE_URL=foreign_database).wait_until_ready()
    children = holdfast.children()
    holdfast.end()

    assert "postgres" not in children
    assert "without demo data and demo logins" in holdfast.said
    assert "demo-secret" not in holdfast.said
    with psycopg.connect(foreign_database) as connection:
        assert connection.execute("SELECT count(*) FROM auth_user").fetchone() == (0,)


def test_a_database_out_of_reach_is_one_clear_sentence(folder):
    refused = Holdfast(folder, DATABASE_URL=f"postgresql://me@127.0.0.1:{free_port()}/shop")

    assert refused.process.wait(START_SECONDS) == 1
    assert refused.said.startswith("The database cannot be reached: ")


def test_a_demo_that_was_broken_off_is_made_anew(folder, monkeypatch):
    commands = []
    monkeypatch.setattr(supervisor, "_manage", lambda url, *command: commands.append(command[0]))
    server = Server(folder / "postgres", durable=False)
    server.start()
    with psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE django_migrations ()")
    server.stop()

    supervisor.prepare_embedded(server)
    server.delete()

    assert commands == ["migrate", "load_demo"]


def test_new_code_is_migrated_and_the_same_code_is_not(folder, monkeypatch):
    commands = []
    monkeypatch.setattr(supervisor, "_manage", lambda url, *command: commands.append(command[0]))
    server = Server(folder / "postgres", durable=False)
    supervisor.prepare_embedded(server)
    with psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE django_migrations ()")
    server.stop()

    supervisor.prepare_embedded(server)
    server.stop()
    assert commands == ["migrate", "load_demo"]

    monkeypatch.setattr(supervisor, "_fingerprint", lambda: "other code")
    supervisor.prepare_embedded(server)
    server.delete()
    assert commands == ["migrate", "load_demo", "migrate"]


def test_the_embedded_database_keeps_to_itself(folder):
    server = Server(folder / "postgres", durable=False)
    server.start()
    try:
        with psycopg.connect(server.url) as connection:
            role = "SELECT rolname, rolsuper FROM pg_roles WHERE rolname = current_user"

            assert connection.execute(role).fetchone() == ("holdfast", False)
            assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert server.folder.stat().st_mode & 0o777 == 0o700
        assert folder.stat().st_mode & 0o777 == 0o711
    finally:
        server.delete()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_t43_nobody_else_gets_in_not_even_the_account_that_it_runs_as(folder):
    server = Server(folder / "postgres", durable=False)
    server.start()
    # As it was before there was such a rule.
    (server.data / "pg_hba.conf").write_text("local all all trust\n")
    server.stop()
    server.start()
    psql = [str(programs() / "psql"), "--no-psqlrc", "-h", str(server.sockets), "-c", "SELECT 1"]
    try:
        for role in ("postgres", "holdfast"):
            asked = subprocess.run(
                [*psql, "-U", role, "postgres"],
                user="nobody",
                group="nogroup",
                extra_groups=[],
                cwd="/",
                capture_output=True,
                text=True,
                check=False,
            )
            assert asked.returncode == 2
            assert "Peer authentication failed" in asked.stderr
        with psycopg.connect(server.url, user="postgres", dbname="postgres") as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        server.delete()


def test_a_stale_process_number_harms_nobody(folder):
    server = Server(folder / "postgres", durable=False)
    server.start()
    assert server.process is not None
    left_behind = server.pid_file.read_text().replace(str(server.process.pid), "{pid}", 1)
    server.stop()

    with subprocess.Popen(["sleep", "60"]) as bystander:
        server.pid_file.write_text(left_behind.format(pid=bystander.pid))
        server.start()
        server.delete()

        assert bystander.poll() is None
        bystander.kill()


def test_a_folder_out_of_reach_is_left_as_it_is(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)

    server = Server(closed / "postgres", durable=False)
    try:
        server.start()

        assert closed.stat().st_mode & 0o777 == 0o700
        if os.geteuid() == 0:
            assert server.folder.parent == Path("/var/tmp")
            assert list(closed.iterdir()) == []
    finally:
        server.delete()
    assert not server.folder.exists()


def test_without_the_demo_switch_there_is_no_embedded_database(folder, monkeypatch):
    monkeypatch.delenv("HOLDFAST_DEMO")

    with pytest.raises(EmbeddedDatabaseError, match="set DATABASE_URL"):
        Server(folder / "postgres")
