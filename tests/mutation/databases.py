"""One server with a migrated database, of which copies are made: one for each guard."""

import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from config.embedded import Server

PROJECT = Path(__file__).resolve().parents[2]
TEMPLATE = "mutation_template"
# Whoever waits for a lock that nobody gives back is ended then.
LONGEST_SECONDS = 300
# So many failures tell enough.
FAILURES_MAX = 5


class Databases:
    """The databases of the server that an address is on, and the one that it names."""

    def __init__(self, url: str) -> None:
        self._server, _, self.name = url.rpartition("/")

    def url(self, name: str) -> str:
        return f"{self._server}/{name}"

    def migrate(self) -> None:
        self._execute(self.name, f"CREATE DATABASE {TEMPLATE}")
        command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        environment = {**os.environ, "DATABASE_URL": self.url(TEMPLATE)}
        subprocess.run(command, cwd=PROJECT, env=environment, check=True)

    def copy(self, name: str, statement: str = "") -> None:
        """Make the database anew, and take away what the statement takes away."""
        self._execute("postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self._execute("postgres", f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        if statement:
            self._execute(name, statement)

    def _execute(self, database: str, statement: str) -> None:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def databases() -> Iterator[Databases]:
    """Start a server, migrate a database on it, and delete all that in the end."""
    folder = Path(tempfile.gettempdir(), f"holdfast-mutation-{secrets.token_hex(4)}")
    server = Server(folder, durable=False)
    # Whoever owns a database may not end a process that cleans it, and so could not drop it.
    server.settings = {**server.settings, "autovacuum": "off"}
    try:
        server.start()
        made = Databases(server.url)
        made.migrate()
        yield made
    finally:
        server.delete()
