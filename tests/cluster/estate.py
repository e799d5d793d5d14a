"""Which machine runs what, and the way in: the real programs with the files of `deploy/`."""

import http.client
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from config.supervisor import PROJECT
from tests import fake_stripe
from tests.cluster.machines import PATIENCE_SECONDS, POLL_SECONDS, Machine, Outside, wait_until
from tests.torture.nursery import Nursery
from tests.torture.site import Site

DEPLOY = PROJECT / "deploy"
# What must be there, by the Debian package that brings it.
POSTGRESQL = Path("/usr/lib/postgresql/15/bin")
PROGRAMS = {
    "postgresql-15": str(POSTGRESQL / "postgres"),
    "patroni": "patroni",
    "etcd-server": "etcd",
    "pgbouncer": "pgbouncer",
    "haproxy": "haproxy",
    "iproute2": "ip",
    "util-linux": "setpriv",
}
# Where programs run that refuse to be root's.
ACCOUNT = "postgres"
WEB_PORT, EDGE_PORT, STRIPE_PORT = 8000, 8080, 8081
PATRONI_PORT = 8008
# All buyers are one address, and none of them is to be kept from buying.
NO_LIMITS = {
    **{f"{kind}_LIMIT": "0" for kind in ("TOKEN", "CHECKOUT", "PAYMENT", "REQUEST")},
    "CARTS_PER_ADDRESS": "0",
    "UNPAID_ORDERS_PER_ADDRESS": "0",
}


def missing() -> list[str]:
    """Name the Debian packages that this machine lacks."""
    return [package for package, program in PROGRAMS.items() if shutil.which(program) is None]


class Estate(Site):
    """To the harness it is a site as any other. Whoever waits for something keeps it running."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="holdfast-cluster-"))
        self.folder.chmod(0o755)
        self.log = (self.folder / "log").open("w")
        self.outside = Outside("outside", 1, self.folder)
        self.a, self.b = Machine("a", 11, self.folder), Machine("b", 12, self.folder)
        self.c = Machine("c", 13, self.folder)
        self.web_1, self.web_2 = (
            Machine("web-1", 21, self.folder),
            Machine("web-2", 22, self.folder),
        )
        self.stripe_machine = Machine("stripe", 31, self.folder)
        self.machines = [
            *(self.outside, self.a, self.b, self.c, self.web_1, self.web_2, self.stripe_machine)
        ]
        self.passwords = {
            name: secrets.token_hex(16)
            for name in ("postgres", "replicator", "holdfast_owner", "holdfast")
        }
        self.port = EDGE_PORT
        self.edge = f"{self.outside.address}:{EDGE_PORT}"
        self.stripe_url = f"http://{self.stripe_machine.address}:{STRIPE_PORT}"
        self.secrets = {"SECRET_KEY": secrets.token_urlsafe(48), "TOKEN_KEY": secrets.token_hex(32)}

    # Starting, from the ground up.

    def start_database(self) -> None:
        for machine in self.machines:
            machine.lay()
        for machine in (self.a, self.b, self.c):
            self._run_etcd(machine)
        for machine in (self.a, self.b):
            self._run_patroni(machine)
        self.until(self.is_replicated, "PostgreSQL and its standby")
        for machine in (self.outside, self.web_1, self.web_2):
            self._run_way_to_primary(machine)
        self._make_database()

    def start_shop(self) -> None:
        self.stripe_machine.run(
            "stripe",
            [sys.executable, "-m", "tests.fake_stripe", "--port", str(STRIPE_PORT + 1)],
            {},
        )
        self.stripe_machine.run("way", ["haproxy", "-db", "-f", str(self._way_to_stripe())], {})
        for machine in (self.web_1, self.web_2):
            self._run_pgbouncer(machine)
            self._run_web(machine)
        self.outside.run(
            "edge",
            self._haproxy("edge"),
            {
                "EDGE": f":{EDGE_PORT}",
                "WEB_1": f"{self.web_1.address}:{WEB_PORT}",
                "WEB_2": f"{self.web_2.address}:{WEB_PORT}",
            },
        )
        self.wait_until_ready()
        url = f"http://{self.edge}/webhooks/stripe"
        self.until(lambda: self._can(lambda: self.control("settings", webhook_url=url)), "Stripe")

    def start_workers(self) -> None:
        """Only now: whoever makes the first API clients empties the table of jobs."""
        for machine, queues in ((self.web_1, "--without"), (self.web_2, "--only")):
            command = [sys.executable, "manage.py", "work", queues, "payments"]
            machine.run("worker", command, self.environment(self.direct_url("holdfast")))

    def end(self, *, keeps_log: bool = False) -> None:
        """The processes end with the namespace."""
        if not keeps_log:
            for machine in self.machines[1:]:
                machine.switch_off()
            shutil.rmtree(self.folder, ignore_errors=True)

    # PostgreSQL.

    def url(self, role: str, port: int = 5000) -> str:
        """By way of the HAProxy on the same machine, or of PgBouncer."""
        return f"postgresql://{role}:{self.passwords[role]}@127.0.0.1:{port}/shop"

    def direct_url(self, role: str) -> str:
        """By naming both machines, of which the one is taken that can be written."""
        machines = ",".join(f"{machine.address}:5432" for machine in (self.a, self.b))
        return f"postgresql://{role}:{self.passwords[role]}@{machines}/shop"

    def _run_etcd(self, machine: Machine) -> None:
        example = "10.77.0.11"
        named = {"ETCD_NAME": machine.name, "ETCD_DATA_DIR": str(machine.folder / "etcd")}
        given = {
            name: value
            if name == "ETCD_INITIAL_CLUSTER"
            else value.replace(example, machine.address)
            for name, value in variables(DEPLOY / "patroni" / "etcd").items()
        }
        machine.run("etcd", [*_as_account(), "etcd"], given | named)

    def _run_patroni(self, machine: Machine) -> None:
        example = "10.77.0.11"
        given = {
            name: value if name.endswith("HOSTS") else value.replace(example, machine.address)
            for name, value in variables(DEPLOY / "patroni" / "environment").items()
        }
        named = {
            "HOME": str(machine.folder),
            "PATRONI_NAME": machine.name,
            "PATRONI_POSTGRESQL_DATA_DIR": str(machine.folder / "data"),
            "PATRONI_POSTGRESQL_PGPASS": str(machine.folder / "pgpass"),
            "PATRONI_SUPERUSER_PASSWORD": self.passwords["postgres"],
            "PATRONI_REPLICATION_PASSWORD": self.passwords["replicator"],
        }
        config = str(DEPLOY / "patroni" / "patroni.yml")
        machine.run("patroni", [*_as_account(), "patroni", config], given | named)

    def _run_way_to_primary(self, machine: Machine) -> None:
        addresses = {"DATABASE_A": self.a.address, "DATABASE_B": self.b.address}
        machine.run("way", self._haproxy("database"), addresses)

    def _make_database(self) -> None:
        statements = [
            *(
                f"CREATE ROLE {role} LOGIN PASSWORD '{self.passwords[role]}'"
                for role in ("holdfast_owner", "holdfast")
            ),
            "CREATE DATABASE shop OWNER holdfast_owner",
            "ALTER ROLE holdfast SET lock_timeout = '3s'",
            "ALTER ROLE holdfast SET statement_timeout = '15s'",
            "ALTER ROLE holdfast SET idle_in_transaction_session_timeout = '15s'",
        ]
        administrator = self.url("postgres").replace("/shop", "/postgres")
        commands = [part for statement in statements for part in ("-c", statement)]
        # HAProxy takes both for the primary until it has asked them.
        self.go_on(2)
        psql(administrator, *commands)
        owner = self.url("holdfast_owner")
        grants = ("--variable=app=holdfast", f"--file={PROJECT / 'config' / 'roles.sql'}")
        psql(owner, *grants)
        migrating = subprocess.Popen(
            [sys.executable, "manage.py", "migrate", "--verbosity=0"],
            cwd=PROJECT,
            env={**self.environment(owner), "DATABASE_STATEMENT_TIMEOUT_MS": "0"},
        )
        self.until(lambda: migrating.poll() is not None, "the tables")
        assert migrating.returncode == 0
        psql(owner, *grants)
        # What an old primary is asked to write down.
        psql(owner, "-c", "CREATE TABLE cluster_mark (mark text PRIMARY KEY)")

    def members(self) -> dict[str, dict[str, Any]]:
        """Tell what Patroni says of each machine, by the first one that answers."""
        for machine in (self.a, self.b):
            with suppress(OSError, ValueError, http.client.HTTPException):
                with urllib.request.urlopen(
                    f"http://{machine.address}:{PATRONI_PORT}/cluster", timeout=1
                ) as response:
                    found = json.load(response)["members"]
                return {member["name"]: member for member in found}
        return {}

    def is_replicated(self) -> bool:
        """Tell whether there are a primary and a standby that may take over."""
        roles = {member["role"] for member in self.members().values()}
        return {"leader", "sync_standby"} <= roles

    @property
    def primary(self) -> Machine:
        found = [name for name, each in self.members().items() if each["role"] == "leader"]
        assert found, "Nobody leads."
        return self.a if found == ["a"] else self.b

    @property
    def standby(self) -> Machine:
        return self.other(self.primary)

    def other(self, machine: Machine) -> Machine:
        return self.b if machine is self.a else self.a

    def leads(self, machine: Machine) -> bool:
        """Ask the machine itself."""
        try:
            address = f"http://{machine.address}:{PATRONI_PORT}/primary"
            with urllib.request.urlopen(address, timeout=1) as response:
                return bool(response.status == http.HTTPStatus.OK)
        except (OSError, http.client.HTTPException):
            return False

    def takes_writes(self, machine: Machine) -> bool:
        """Ask its PostgreSQL, whatever Patroni thinks of it."""
        try:
            return self.ask(machine, "SELECT NOT pg_is_in_recovery()") == "t"
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return False

    def ask(self, machine: Machine, statement: str) -> str:
        """Ask a server itself, as its administrator."""
        password = self.passwords["postgres"]
        url = f"postgresql://postgres:{password}@{machine.address}/shop?connect_timeout=2"
        return psql(url, "--tuples-only", "--no-align", "-c", statement).strip()

    def versions(self) -> str:
        """Name what carries the shop."""
        asked = {
            "PostgreSQL": [str(POSTGRESQL / "postgres"), "--version"],
            "Patroni": ["patroni", "--version"],
            "etcd": ["etcd", "--version"],
            "PgBouncer": ["pgbouncer", "--version"],
            "HAProxy": ["haproxy", "-v"],
        }
        told = {
            name: subprocess.run(command, check=True, capture_output=True, text=True).stdout
            for name, command in asked.items()
        }
        return ", ".join(f"{name} {number(said)}" for name, said in told.items())

    # The shop.

    def environment(self, url: str) -> dict[str, str]:
        addresses = ",".join(machine.address for machine in self.machines)
        return {
            **self.secrets,
            "DATABASE_URL": url,
            "ALLOWED_HOSTS": f"127.0.0.1,{addresses}",
            "BEHIND_TLS_PROXY": "true",
            "NUM_TRUSTED_PROXIES": "1",
            "MEDIA_ROOT": str(self.folder / "media"),
            "STRIPE_SECRET_KEY": fake_stripe.API_KEY,
            "STRIPE_PUBLISHABLE_KEY": "pk_test_fake",
            "STRIPE_WEBHOOK_SECRET": fake_stripe.WEBHOOK_SECRET,
            "STRIPE_API_BASE": self.stripe_url,
            **NO_LIMITS,
        }

    def _run_pgbouncer(self, machine: Machine) -> None:
        users, config = machine.folder / "userlist.txt", machine.folder / "pgbouncer.ini"
        users.write_text(f'"holdfast" "{self.passwords["holdfast"]}"\n')
        example = (DEPLOY / "pgbouncer" / "pgbouncer.ini").read_text()
        config.write_text(example.replace("/etc/pgbouncer/userlist.txt", str(users)))
        machine.run("pgbouncer", [*_as_account(), "pgbouncer", str(config)], {})

    def _run_web(self, machine: Machine) -> None:
        listening = {"WEB_HOST": machine.address, "WEB_PORT": str(WEB_PORT)}
        behind_pgbouncer = {"DATABASE_POOL_SIZE": "0", "DATABASE_PREPARE": "false"}
        environment = self.environment(self.url("holdfast", 6432)) | behind_pgbouncer | listening
        machine.run("web", [sys.executable, "manage.py", "serve"], environment)

    def _haproxy(self, name: str) -> list[str]:
        return ["haproxy", "-db", "-f", str(DEPLOY / "haproxy" / f"{name}.cfg")]

    def _way_to_stripe(self) -> Path:
        """Stripe's book must outlive it: so what dies is the way to it, as a whole process."""
        path = self.stripe_machine.folder / "way.cfg"
        path.write_text(
            "defaults\n mode tcp\n timeout connect 2s\n timeout client 1m\n timeout server 1m\n"
            f"listen stripe\n bind {self.stripe_machine.address}:{STRIPE_PORT}\n"
            f" server stripe 127.0.0.1:{STRIPE_PORT + 1}\n"
        )
        return path

    # What the harness asks of a site.

    def run(self, *argv: str, times: int = 1, ahead: float = 0) -> list[list[Any]]:
        """Run a command as the harness's own child, which has all of Django loaded already."""
        from django.db import connections

        # No child may speak on the parent's.
        connections.close_all()
        terminal = os.dup(2)
        os.dup2(self.log.fileno(), 2)
        try:
            return Nursery().command(argv=list(argv), times=times, ahead=ahead)
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)

    def wait_until_ready(self) -> None:
        """Wait until nothing is missing any more."""
        self.until(self.is_replicated, "a standby that has caught up")
        for machine in (self.web_1, self.web_2):
            self.until(lambda machine=machine: is_ready(machine.address, WEB_PORT), machine.name)  # type: ignore[misc]
        self.until(lambda: is_ready("127.0.0.1", EDGE_PORT, "/health/live"), "the edge")

    def keep(self) -> None:
        for machine in self.machines:
            machine.keep()

    def go_on(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.keep()
            time.sleep(POLL_SECONDS)

    def until(
        self, condition: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS
    ) -> None:
        wait_until(condition, what, meanwhile=self.keep, seconds=seconds)

    def _can(self, act: Callable[[], object]) -> bool:
        try:
            act()
        except (OSError, urllib.error.URLError, subprocess.CalledProcessError):
            return False
        return True


def is_ready(host: str, port: int, path: str = "/health/ready") -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def number(said: str) -> str:
    """Find the number of a version in what a program says of itself."""
    found = re.search(r"\d+(\.\d+)+", said)
    return found[0] if found else "?"


def variables(path: Path) -> dict[str, str]:
    """Read a file as systemd reads an `EnvironmentFile`."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def psql(url: str, *arguments: str) -> str:
    told = subprocess.run(
        psql_command(url, *arguments), check=True, capture_output=True, text=True, timeout=60
    )
    return told.stdout


def psql_command(url: str, *arguments: str) -> list[str]:
    options = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--dbname={url}"]
    return [str(POSTGRESQL / "psql"), *options, *arguments]


def mount_over(folder: str) -> None:
    """Hide a folder behind an empty one, for this run alone."""
    subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=True)


def _as_account() -> list[str]:
    return ["setpriv", f"--reuid={ACCOUNT}", f"--regid={ACCOUNT}", "--clear-groups"]
