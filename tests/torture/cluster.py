"""Two PostgreSQL servers of the harness's own, one of which stands by for the other, to be killed.

Whatever a client was told must be on the disks of both: commits wait for the disk (`fsync` is on)
and for the one that stands by (`synchronous_standby_names`). Holdfast reaches whichever is the
first by way of the forwarder, at one address that stays.
"""

import json
import os
import pwd
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from config.embedded import Server, _as_host, die_with_parent
from config.supervisor import PROJECT

# Much longer than anything takes even on a machine that is busy with other things.
PATIENCE_SECONDS = 120
# So long the checkpointer may take to tell all backends that commits wait for the other server.
SETTLE_SECONDS = 1.0
SOCKET = ".s.PGSQL.5432"
_REPLICATED = {
    "wal_level": "replica",
    "max_wal_senders": "8",
    "wal_keep_size": "512MB",
    "wal_retrieve_retry_interval": "100ms",
    "hot_standby": "on",
    # Also after a crash, when there is nobody yet to clean up.
    "restart_after_crash": "on",
}
_BACKENDS = """
SELECT pid FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY pid
"""


class _Replicated(Server):
    """A server that lets another one of its kind copy it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, durable=True)
        self.settings = self.settings | _REPLICATED

    def _admit_the_owner_alone(self) -> None:
        super()._admit_the_owner_alone()
        account = self.account.pw_name if self.account else pwd.getpwuid(os.geteuid()).pw_name
        self._append("pg_hba.conf", "local replication postgres peer map=other\n")
        self._append("pg_ident.conf", f'other "{account}" postgres\n')

    def _append(self, name: str, text: str) -> None:
        self._run(["tee", "-a", self.data / name], input=text)

    def copy_of(self, first: "Server") -> None:
        """Become one that stands by for the first, from a copy of its data."""
        self._prepare_folder()
        shutil.rmtree(self.data, ignore_errors=True)
        copy = self._reachable_programs() / "pg_basebackup"
        where = ["-h", str(first.sockets), "-U", "postgres", "-D", str(self.data)]
        self._run([copy, *where, "-R", "-X", "stream", "-c", "fast", "--no-sync"])
        self.start()


class Cluster:
    """The forwarder and the servers behind it."""

    def __init__(self) -> None:
        name = f"holdfast-torture-{secrets.token_hex(4)}"
        folder = Path(tempfile.gettempdir())
        self.first = _Replicated(folder / f"{name}-a")
        self.other = _Replicated(folder / f"{name}-b")
        self.folder = Path(tempfile.mkdtemp(prefix="holdfast-"))
        self.forwarder: subprocess.Popen[str] | None = None
        # Whether the other one has all that clients were told, so that it may take over.
        self.is_replicated = False
        # Its thread starts servers, and they end with it: so it lasts as long as they do.
        self.copier = ThreadPoolExecutor(1)
        self.copying: Future[None] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://holdfast@{_as_host(self.folder)}/holdfast"

    def start(self) -> None:
        self.first.start()
        self.forwarder = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.forwarder", str(self.folder / SOCKET)],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGKILL),
        )
        self._line()
        self.open()

    def end(self) -> None:
        self.copier.shutdown()
        if self.forwarder:
            self.forwarder.kill()
            self.forwarder.wait()
        for server in (self.first, self.other):
            server.delete()
        shutil.rmtree(self.folder, ignore_errors=True)

    def version(self) -> str:
        [[version]] = self._ask(self.first, "SHOW server_version")
        return str(version)

    # The way to the first server.

    def tell(self, order: str, **arguments: Any) -> Any:
        assert self.forwarder is not None
        assert self.forwarder.stdin is not None
        self.forwarder.stdin.write(json.dumps({"do": order, **arguments}) + "\n")
        self.forwarder.stdin.flush()
        return json.loads(self._line())

    def _line(self) -> str:
        assert self.forwarder is not None
        assert self.forwarder.stdout is not None
        line = self.forwarder.stdout.readline()
        assert line, "The forwarder has died."
        return line

    def open(self) -> None:
        self.tell("lead", to=str(self.first.sockets / SOCKET))

    def end_cuts(self) -> dict[str, int]:
        """Let nobody be cut any more, and tell how many were since the last time, and where."""
        counted: dict[str, int] = self.tell("end_cuts")
        return counted

    def close(self) -> None:
        self.tell("lead", to=None)

    # What befalls the servers.

    def replicate(self) -> None:
        """Have the other server stand by, and from then on every commit wait for it."""
        self.other.copy_of(self.first)
        # Copied with the data: as a first one it would wait for nobody, until told to.
        self._let_commits_wait(self.other, "")
        self._let_commits_wait(self.first, "*")
        time.sleep(SETTLE_SECONDS)
        self._wait_for_the_other()
        self.is_replicated = True

    def replicate_meanwhile(self) -> None:
        self.copying = self.copier.submit(self.replicate)

    def wait_until_replicated(self) -> None:
        if self.copying:
            self.copying.result()

    def stop_at_once(self) -> None:
        """Stop the first server as `pg_ctl stop -m immediate` does, and start it again.

        What it had committed and the other one not yet heard of shows up now, though nobody was
        told of it. So nobody gets in before the other one has it too.
        """
        self._fell_first()
        self.close()
        self.first.start()
        if self.is_replicated:
            self._wait_for_the_other()
        self.open()

    def kill_a_backend(self, chance: random.Random) -> bool:
        """Kill the process of one connection, after which PostgreSQL ends all and recovers.

        As after a stop, nobody gets in before the other one has what shows up. Return whether
        there was anybody.
        """
        self.tell("shut")
        killed = False
        with psycopg.connect(self._address(self.first), autocommit=True) as bystander:
            found = bystander.execute(_BACKENDS).fetchall()
            # Nobody keeps it from ending by itself before that.
            with suppress(ProcessLookupError, IndexError):
                os.kill(chance.choice(found)[0], signal.SIGKILL)
                _wait_until_cut(bystander)
                killed = True
        if self.is_replicated:
            self._wait_for_the_other()
        self.open()
        return killed

    def promote(self, *, behind_seconds: float = 0) -> None:
        """Stop the first server at once, for good, and let the other one take over.

        It takes over with what it has, from so much before: what was committed since then it never
        heard of, and so nobody may have been told of that.
        """
        assert self.is_replicated
        self.is_replicated = False
        [[sender]] = self._ask(self.first, "SELECT pid FROM pg_stat_replication")
        os.kill(sender, signal.SIGSTOP)
        time.sleep(behind_seconds)
        self._fell_first(sender)
        self.close()
        self._ask(self.other, "SELECT pg_promote(true, %s)", PATIENCE_SECONDS)
        self.first, self.other = self.other, self.first
        self.open()

    def _fell_first(self, stopped: int = 0) -> None:
        process = self.first.process
        assert process is not None
        process.send_signal(signal.SIGQUIT)
        if stopped:
            # The postmaster has told its children to end, which a stopped one cannot do.
            self._wait_until_told(stopped)
            with suppress(ProcessLookupError):
                os.kill(stopped, signal.SIGCONT)
        process.wait(PATIENCE_SECONDS)

    def _wait_until_told(self, stopped: int) -> None:
        """Wait until a signal waits for a stopped process, so that it sends nothing more.

        On a busy machine that may take so long that the postmaster kills it meanwhile.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        told = 1 << signal.SIGQUIT - 1
        while not told & _pending(stopped):
            assert time.monotonic() < deadline, "The postmaster does not end its children."
            time.sleep(0.005)

    def _let_commits_wait(self, server: Server, for_whom: str) -> None:
        self._ask(server, f"ALTER SYSTEM SET synchronous_standby_names = '{for_whom}'")
        self._ask(server, "SELECT pg_reload_conf()")

    def _wait_for_the_other(self) -> None:
        """Wait until the other one stands by and has all that the first one has by now."""
        [[position]] = self._ask(self.first, "SELECT pg_current_wal_flush_lsn()::text")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._ask(
            self.first,
            "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming' "
            "AND sync_state = 'sync' AND flush_lsn >= %s::pg_lsn",
            position,
        ):
            assert time.monotonic() < deadline, f"Nobody stands by, see {self.other.log}"
            time.sleep(0.05)

    def _address(self, server: Server) -> str:
        return f"postgresql://postgres@{_as_host(server.sockets)}/postgres"

    def _ask(self, server: Server, statement: str, *values: Any) -> list[Any]:
        """Ask a server itself, not by way of the forwarder, as soon as it lets anybody in."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                with psycopg.connect(self._address(server), autocommit=True) as connection:
                    # Without values, so that a % means itself.
                    cursor = connection.execute(statement, values or None)
                    return cursor.fetchall() if cursor.description else []
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


def _pending(process: int) -> int:
    """Return which signals wait for a process: all of them for one that is gone."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return -1
    for line in status.splitlines():
        if line.startswith("ShdPnd:"):
            return int(line.split()[1], 16)
    raise AssertionError("Linux tells of pending signals.")


def _wait_until_cut(bystander: psycopg.Connection[Any]) -> None:
    """Wait until the server has noticed that a backend died, and has ended all the others."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    with suppress(psycopg.OperationalError):
        while time.monotonic() < deadline:
            bystander.execute("SELECT 1")
            time.sleep(0.02)
        raise AssertionError("The server has not noticed that a backend died.")
