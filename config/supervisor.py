"""What `make run` starts: database, web server and job worker, which start and stop together."""

import argparse
import contextlib
import fcntl
import hashlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

import psycopg

from config.embedded import EmbeddedDatabaseError, Server, die_with_parent

PROJECT = Path(__file__).resolve().parent.parent
# The demo's passwords are in the documentation, so nothing but loopback may reach it.
HOST = "127.0.0.1"
READY_SECONDS = 60
# For requests and jobs under way. Stopping PostgreSQL comes on top; both fit into ten seconds.
STOP_SECONDS = 4
LONGEST_PAUSE_SECONDS = 30
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# In lanes, so that nothing waits for a slow gateway. Larger shops start more than one.
WORKERS = {"job worker": ("work", "--grace=3")}

WELCOME = """
Holdfast is ready.

  Shop        http://{host}:{port}/
  Shop API    http://{host}:{port}/v2
  Admin       http://{host}:{port}/admin/
"""
LOGINS = """
  Admin login: demo / demo, who may do everything
    viewer, clerk, manager and owner have the password demo, too, and the rights of their role
  API clients, for POST /oauth/access_token:
    server        client_id demo, client_secret demo-secret, client_credentials grant
    storefront    client_id demo-storefront, no secret, implicit grant
"""
NO_LOGINS = """
  The database had Holdfast's tables already, so it is served without demo data and demo logins.
"""


class CannotRun(Exception):
    """One sentence for the person at the terminal."""


class Stop(Exception):
    """Somebody pressed Ctrl-C, sent SIGTERM, or closed the terminal."""


def main() -> int:
    arguments = _arguments()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    for number in SIGNALS:
        signal.signal(number, _stop)
    try:
        # Pictures lie beside the database that names them, and what is counted beside both.
        os.environ.setdefault("MEDIA_ROOT", str(arguments.data / "media"))
        os.environ.setdefault("METRICS_DIR", str(arguments.data / "metrics"))
        if arguments.reset:
            reset(arguments.data)
        else:
            run(arguments.data, arguments.port)
    except Stop:
        print("Holdfast has stopped.")
    except (CannotRun, EmbeddedDatabaseError) as error:
        print(error, file=sys.stderr)
        return 1
    except PermissionError as error:
        message = f"{error.filename} belongs to another user: start Holdfast as that one."
        print(message, file=sys.stderr)
        return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m config.supervisor", description=__doc__)
    parser.add_argument("--reset", action="store_true", help="delete the embedded database")
    parser.add_argument("--data", type=Path, default=PROJECT / ".data", help="its folder")
    parser.add_argument("--port", default=os.environ.get("PORT") or "8000")
    return parser.parse_args()


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    # Stopping has begun and ends by itself; a second Ctrl-C would only cut it short.
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    raise Stop


def reset(data: Path) -> None:
    if os.environ.get("DATABASE_URL"):
        raise CannotRun("DATABASE_URL is set, and only the embedded database can be reset.")
    with _alone_in(data):
        Server(data / "postgres").delete()
        shutil.rmtree(data / "media", ignore_errors=True)
    print("The embedded database is deleted; the next `make run` loads the demo anew.")


def run(data: Path, port: str) -> NoReturn:
    if url := os.environ.get("DATABASE_URL"):
        with _reserved(port):
            is_new = prepare(url)
            serve(url, port, LOGINS if is_new else NO_LOGINS)
    # After a kill -9 the web server needs a moment to see that its supervisor is gone.
    with _alone_in(data) as was_killed, _reserved(port, patience=10 if was_killed else 0):
        server = Server(data / "postgres")
        if server.folder != server.preferred_folder:
            print(f"PostgreSQL may not enter {data}: the database is in {server.folder}.")
        try:
            prepare_embedded(server)
            serve(server.url, port, LOGINS, server)
        finally:
            server.stop()


@contextlib.contextmanager
def _alone_in(data: Path) -> Iterator[bool]:
    """Keep a second supervisor out of the folder, and tell whether the last one was killed."""
    data.mkdir(parents=True, exist_ok=True)
    with (data / "supervisor.pid").open("a+") as lock:
        lock.seek(0)
        process = lock.read().strip()
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotRun(
                f"Holdfast is already running from this folder (process {process}): stop it first."
            ) from None
        lock.truncate(0)
        print(os.getpid(), file=lock, flush=True)
        try:
            yield process != ""
        finally:
            lock.truncate(0)


@contextlib.contextmanager
def _reserved(port: str, *, patience: float = 0) -> Iterator[None]:
    """Hold the port, without listening.

    The web server sets SO_REUSEPORT and would share a taken port without a word.
    """
    if not (port.isdecimal() and 0 < int(port) < 65536):
        raise CannotRun(f"PORT={port} is not the number of a port.")
    deadline = time.monotonic() + patience
    with socket.socket() as reservation:
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        while True:
            try:
                reservation.bind((HOST, int(port)))
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    raise CannotRun(
                        f"Port {port} cannot be used ({os.strerror(error.errno or 0)}): "
                        "choose another one, as in `make run PORT=8001`."
                    ) from None
            time.sleep(0.2)
        # From here on the web server may share the port, but nobody can take it alone.
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        yield


def prepare_embedded(server: Server) -> None:
    """Start the embedded database and migrate it. It has the whole demo already, or is new."""
    prepared = server.folder / "prepared"
    code = _fingerprint()
    server.start()
    if not prepared.exists() and _has_tables(server.url):
        print("The first start was broken off: starting afresh.")
        server.delete()
        server.start()
    # Finding that there is nothing to migrate takes Django as long as all the rest of a start.
    if not prepared.exists() or prepared.read_text() != code:
        prepare(server.url)
        prepared.write_text(code)


def _fingerprint() -> str:
    """Return a hash that changes with everything that could bring a migration."""
    files = [PROJECT / "requirements.lock", PROJECT / "config" / "settings.py"]
    files += sorted(PROJECT.glob("*/migrations/*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def prepare(url: str) -> bool:
    """Migrate, and load the demo into a database without our tables. Return whether it was one."""
    is_new = not _has_tables(url)
    if is_new:
        print("Making the tables ...")
    _manage(url, "migrate", "--verbosity=0", "--skip-checks")
    if is_new:
        print("Loading the demo, once ...")
        _manage(url, "load_demo")
    return is_new


def _has_tables(url: str) -> bool:
    tables = "SELECT to_regclass('django_migrations'), to_regclass('inventory_product')"
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            return any(connection.execute(tables).fetchone() or [])
    except psycopg.OperationalError as error:
        raise CannotRun(f"The database cannot be reached: {error}".strip()) from None
    except psycopg.ProgrammingError:
        raise CannotRun("DATABASE_URL must look like postgresql://user@host/database.") from None


def _manage(url: str, *command: str) -> None:
    child = Child("database", url, "manage.py", *command, DATABASE_STATEMENT_TIMEOUT_MS="0")
    try:
        if child.process.wait():
            raise CannotRun(f"`manage.py {command[0]}` failed; what it said stands above.")
    finally:
        child.process.terminate()
        child.end(time.monotonic() + STOP_SECONDS)


def serve(url: str, port: str, logins: str, database: Server | None = None) -> NoReturn:
    """Serve until the caller is told to stop, which is an exception of its own."""
    children: list[Child] = []
    try:
        web = Child("web server", url, "manage.py", "serve", "--reserved", **web_environment(port))
        children.append(web)
        _wait_until_ready(web, int(port))
        # The workers start only now, or all would load Django on the same cores at the same time.
        # What they tell others leads to where the shop is found.
        children += [
            Child(name, url, "manage.py", *options, WEB_PORT=port)
            for name, options in WORKERS.items()
        ]
        print(WELCOME.format(host=HOST, port=port) + logins + "\nCtrl-C stops everything.")
        while True:
            time.sleep(0.2)
            if database and not database.is_running:
                raise CannotRun(f"PostgreSQL has stopped by itself, see {database.log}.")
            for child in children:
                child.keep_alive()
    finally:
        deadline = time.monotonic() + STOP_SECONDS
        for child in children:
            child.process.terminate()
        for child in children:
            child.end(deadline)


def web_environment(port: str) -> dict[str, str]:
    workers = os.environ.get("WEB_WORKERS") or str(min(os.cpu_count() or 1, 4))
    grace = str(STOP_SECONDS - 1)
    return {
        "WEB_HOST": HOST,
        "WEB_PORT": port,
        "WEB_WORKERS": workers,
        "WEB_GRACE_SECONDS": grace,
    }


def _wait_until_ready(web: "Child", port: int) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if web.process.poll() is not None:
            raise CannotRun("The web server did not start; what it said stands above.")
        if is_ready(port):
            return
        time.sleep(0.1)
    raise CannotRun(f"http://{HOST}:{port}/health/ready did not become ready.")


def is_ready(port: int) -> bool:
    """Ask the web server at this port of this machine whether traffic may be sent to it."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Child:
    """A Python process and what it starts, in a session of their own.

    Ctrl-C goes to everything in the terminal's session: that is the supervisor alone.
    """

    def __init__(self, name: str, url: str, *command: str, **environment: str) -> None:
        self.name = name
        self.command = [sys.executable, *command]
        self.environment = os.environ | {"DATABASE_URL": url} | environment
        self.pause = 0.0
        self.restart_at: float | None = None
        self.start()

    def start(self) -> None:
        self.started_at = time.monotonic()
        self.restart_at = None
        self.process = subprocess.Popen(  # noqa: S603
            self.command,
            cwd=PROJECT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )

    def keep_alive(self) -> None:
        """Start the process again when it has died, later and later if that happens often."""
        now = time.monotonic()
        if self.restart_at is None and self.process.poll() is not None:
            self.end(now)
            lifetime = now - self.started_at
            self.pause = 1 if lifetime > 60 else min(2 * self.pause or 1, LONGEST_PAUSE_SECONDS)
            self.restart_at = now + self.pause
            print(f"The {self.name} has died and starts again in {self.pause:.0f} s.")
        elif self.restart_at is not None and now >= self.restart_at:
            self.start()

    def end(self, deadline: float) -> None:
        """Wait for the process until the deadline, and then leave nothing of its group."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0, deadline - time.monotonic()))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


if __name__ == "__main__":
    sys.exit(main())
