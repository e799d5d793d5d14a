"""A shop sells while it is backed up; something terrible happens; it is restored to just before.

With PostgreSQL's own programs, the scripts of deploy/backup, and Stripe's stand-in over HTTP, which
knows what the restored database does not.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from config.supervisor import PROJECT
from tests import fake_stripe
from tests.concurrency import PATIENCE_SECONDS
from tests.fake_stripe import FakeStripe
from tests.torture.cluster import _Replicated

pytestmark = pytest.mark.processes

SCRIPTS = PROJECT / "deploy" / "backup"

# What happens in a shop, by its own services, in a process of its own: what it reads from a line.
# After what it says to that, it says a line of nothing.
SHOP = """
import gc
import sys

import django

gc.disable()
django.setup()
gc.enable()

from api.actors import COMMAND_LINE
from inventory.models import Product
from payments.errors import GatewaysClosed
from payments.services import payments
from payments.services.payments import PaymentRequest
from tests.factories import product, unpaid_order

def shirt():
    return Product.objects.get(sku="SHIRT")

def pay(order_id, gateway="stripe", name=""):
    token = "pm_card_visa" if gateway == "stripe" else ""
    request = PaymentRequest(gateway, token=token, custom_reference=name)
    return payments.pay(order_id, request, actor=COMMAND_LINE)

for line in sys.stdin:
    what, *arguments = line.split()
    if what == "open":
        product(sku="SHIRT", stock=1000, price=1000)
        for slug in ("stripe", "manual"):
            payments.set_gateway(slug, enabled=True, actor=COMMAND_LINE)
    elif what == "sell":
        for _ in range(int(arguments[0])):
            print(pay(unpaid_order({shirt(): 1}).pk).status, flush=True)
    elif what == "order":
        print(unpaid_order({shirt(): 1}).pk)
    elif what == "pay":
        try:
            print(pay(*arguments).status)
        except GatewaysClosed as refusal:
            print(refusal)
    print(flush=True)
"""


class Archiving(_Replicated):
    """A server whose log is kept by deploy/backup, as the account that it runs as."""

    def __init__(self, folder: Path, backups: Path, scripts: Path) -> None:
        super().__init__(folder)
        self.backups, self.scripts = backups, scripts
        self.settings = self.settings | {
            "archive_mode": "on",
            "archive_command": f'{scripts}/archive-wal {backups} "%p" %f',
        }

    def _admit_the_owner_alone(self) -> None:
        """As Debian has it: the server's account is its superuser, too."""
        super()._admit_the_owner_alone()
        if self.account:
            self._append("pg_ident.conf", f'owner "{self.account.pw_name}" postgres\n')

    def script(self, name: str, *arguments: str, **environment: str) -> Any:
        """Begin one of the scripts."""
        who: dict[str, Any] = {}
        if self.account:
            who = {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []}
        return subprocess.Popen(
            [self.scripts / name, *arguments],
            cwd="/",
            env={
                "PATH": f"{self._reachable_programs()}:{os.defpath}",
                "PGHOST": str(self.sockets),
                "PGUSER": "postgres",
                "PGDATABASE": "holdfast",
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **who,
        )

    def run_script(self, name: str, *arguments: str, **environment: str) -> str:
        status, said = ended(self.script(name, *arguments, **environment))
        assert status == 0, said
        return said

    def ask(self, statement: str) -> Any:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement)
            row = cursor.fetchone() if cursor.description else None
            return row and row[0]

    def as_superuser(self, statement: str) -> Any:
        where = f"host={self.sockets} user=postgres dbname=holdfast"
        with psycopg.connect(where, autocommit=True) as connection:
            row = connection.execute(statement).fetchone()
            return row and row[0]

    def archive_all(self) -> None:
        """Wait until all that has happened so far is kept."""
        self.as_superuser("SELECT pg_create_restore_point('something to keep')")
        last = self.as_superuser("SELECT pg_walfile_name(pg_current_wal_lsn())")
        self.as_superuser("SELECT pg_switch_wal()")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (self.backups / "wal" / f"{last}.gz").exists():
            assert time.monotonic() < deadline, self.log.read_text()[-2000:]
            time.sleep(0.05)


def ended(process: Any) -> tuple[int, str]:
    said, _ = process.communicate(timeout=300)
    return process.returncode, said


class Shop:
    """Commands and sales, against one database."""

    def __init__(self, url: str, stripe: FakeStripe) -> None:
        self.environment = os.environ | {
            "DATABASE_URL": url,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "HOLDFAST_DEMO": "1",
            "HOLDFAST_INSTALLATION": "shop",
            "STRIPE_SECRET_KEY": fake_stripe.API_KEY,
            "STRIPE_PUBLISHABLE_KEY": "pk_test_fake",
            "STRIPE_API_BASE": stripe.url,
        }
        self.process: Any = None

    def begin(self, *what: str) -> Any:
        process = self._begin("-c", SHOP)
        self._say(process, *what)
        return process

    def does(self, *what: str) -> list[str]:
        self.process = self.process or self._begin("-c", SHOP)
        self._say(self.process, *what)
        said: list[str] = []
        while (line := self.process.stdout.readline()) != "\n":
            assert line, said
            said.append(line.rstrip())
        return said

    def _say(self, process: Any, *what: str) -> None:
        process.stdin.write(f"{' '.join(what)}\n")
        process.stdin.flush()

    def close(self) -> None:
        if self.process:
            self.process.kill()
            self.process.communicate()

    def command(self, *argv: str, typed: str = "") -> tuple[int, str]:
        process = self._begin("manage.py", *argv)
        said, _ = process.communicate(typed, timeout=300)
        return process.returncode, said

    def _begin(self, *argv: str) -> Any:
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", *argv],
            cwd=PROJECT,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="holdfast-backup-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def server(folder: Path) -> Iterator[Archiving]:
    scripts = folder / "scripts"
    shutil.copytree(SCRIPTS, scripts)
    backups = folder / "backups"
    backups.mkdir()
    made = Archiving(folder / "server", backups, scripts)
    made._give(backups)
    made.start()
    yield made
    made.delete()


@pytest.fixture
def restored(folder: Path, server: Archiving) -> Iterator[Archiving]:
    """Where the restored data goes; not running."""
    made = Archiving(folder / "restored", folder / "other-backups", server.scripts)
    made._prepare_folder()
    yield made
    made.delete()


@pytest.fixture
def shop(server: Archiving, stripe_server: FakeStripe) -> Iterator[Shop]:
    stripe_server.reset()
    made = Shop(server.url, stripe_server)
    yield made
    made.close()


@pytest.fixture
def copy(restored: Archiving, stripe_server: FakeStripe) -> Iterator[Shop]:
    made = Shop(restored.url, stripe_server)
    yield made
    made.close()


def test_t54_a_shop_is_restored_to_just_before_and_says_of_all_money_what_to_do(
    server, restored, shop, copy, stripe_server
):
    assert shop.command("migrate", "--verbosity=0") == (0, "")
    shop.does("open")
    pictures = server.folder / "pictures"
    server._run(["mkdir", pictures])
    server._run(["tee", pictures / "shirt.webp"], input="a picture")

    # It sells while the backup is made, and goes on.
    selling = shop.begin("sell", "30")
    assert selling.stdout.readline() == "complete\n"
    backup = Path(server.run_script("backup", str(server.backups), str(pictures)).splitlines()[-1])
    status, said = ended(selling)
    assert (status, said.split()) == (0, ["complete"] * 29)
    shop.does("sell", "3")
    [unpaid] = shop.does("order")
    moment = str(server.ask("SELECT clock_timestamp()"))

    # Something terrible happens, and nobody notices for a while.
    server.ask("UPDATE inventory_price SET amount = 100")
    shop.does("sell", "2")
    assert shop.does("pay", unpaid) == ["complete"]
    server.archive_all()

    told = server.run_script("restore", str(server.backups), str(restored.data), moment)
    assert "Payment gateways are closed in: holdfast" in told
    restored.start()
    assert restored.ask("SELECT array_agg(DISTINCT amount) FROM inventory_price") == [1000]
    assert restored.ask("SELECT count(*) FROM payments_payment") == 33
    assert (backup.parents[1] / "pictures" / "shirt.webp").read_text() == "a picture"

    # It agrees with itself, asks nobody, and knows what it does not have.
    assert copy.command("audit_inventory", "--whole")[0] == 0
    before = stripe_server.book()
    assert "No payment gateway is asked: closed at" in copy.does("pay", unpaid)[0]
    assert copy.command("settle_pending_payments")[0] == 0
    assert stripe_server.book() == before
    status, said = copy.command("reconcile_payments", "--json")
    *found, _ = map(json.loads, [line for line in said.splitlines() if line.startswith("{")])
    assert status == 1
    assert Counter(each["kind"] for each in found) == {"order_gone": 2, "payment_gone": 1}

    # Somebody does what it says, and opens them.
    for each in found:
        if each["kind"] == "order_gone":
            stripe_server.account.create_refund({"payment_intent": each["reference"]})
        else:
            assert each["order"] == unpaid
            assert copy.does("pay", unpaid, "manual", each["reference"]) == ["complete"]
    assert copy.command("reconcile_payments")[0] == 0
    assert copy.command("open_gateways", typed="shop\n")[0] == 0
    assert copy.does("sell", "1") == ["complete"]
    assert copy.command("audit_inventory", "--whole")[0] == 0
    assert copy.command("reconcile_payments")[0] == 0

    # What ran was let alone; and the newest backup can be restored.
    assert server.ask("SELECT count(*) FROM payments_payment") == 36
    _checked(server, stripe_server)


def _checked(server: Archiving, stripe: FakeStripe) -> None:
    """Let the check restore, and audit for it: its account may not enter our environment."""
    asked, status = server.folder / "asked", server.folder / "status"
    audit = f'echo "$DATABASE_URL" > {asked}.new; mv {asked}.new {asked}; '
    audit += f"while [ ! -e {status} ]; do sleep 0.1; done; exit $(cat {status})"
    server._run(["tee", server.folder / "holdfast"], input=f"#!/bin/sh\n{audit}\n")
    server._run(["chmod", "+x", server.folder / "holdfast"])
    holdfast = str(server.folder / "holdfast")
    checking = server.script("restore-check", str(server.backups), "holdfast", holdfast)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not asked.exists():
        assert checking.poll() is None, ended(checking)
        assert time.monotonic() < deadline
        time.sleep(0.05)
    found, said = Shop(asked.read_text().strip(), stripe).command("audit_inventory", "--whole")
    server._run(["tee", status], input=str(found))
    assert (found, ended(checking)[0]) == (0, 0), said


def test_only_so_many_backups_stay_with_the_log_since(server):
    first = Path(server.run_script("backup", str(server.backups)).splitlines()[-1])
    server.archive_all()
    kept = {path.name for path in (server.backups / "wal").iterdir()}
    _a_second_later(first)
    server.run_script("backup", str(server.backups), KEEP="1")

    assert kept
    assert not first.exists()
    assert len(list((server.backups / "base").iterdir())) == 1
    assert not kept <= {path.name for path in (server.backups / "wal").iterdir()}


def _a_second_later(made: Path) -> None:
    """Backups are named by the second."""
    while time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) <= made.name:
        time.sleep(0.05)


def test_a_segment_is_kept_once_and_never_written_over(tmp_path):
    segment = tmp_path / "segment"

    def archived(text: str) -> int:
        segment.write_text(text)
        script = [SCRIPTS / "archive-wal", tmp_path / "backups", segment, "0001"]
        return subprocess.run(script, check=False, capture_output=True).returncode

    assert [archived("one"), archived("one"), archived("another")] == [0, 0, 1]
    [kept] = (tmp_path / "backups" / "wal").iterdir()
    assert kept.name == "0001.gz"


def test_a_hole_in_the_log_is_no_end_of_it_and_nothing_is_left_to_be_started(server, restored):
    server.run_script("backup", str(server.backups))
    for name in ("one", "two", "three"):
        server.ask(f"CREATE TABLE {name} ()")
        server.archive_all()
    wal = server.backups / "wal"
    *_, lost, _ = sorted(path for path in wal.iterdir() if len(path.name) == len(f"{'0' * 24}.gz"))
    lost.rename(wal / "lost")

    status, said = ended(
        server.script("restore", str(server.backups), str(restored.data), "latest")
    )

    assert status == 1, said
    assert f"The log has a hole: {lost.stem} or the one before it" in said
    assert "last completed transaction was at log time" in said
    assert list(restored.data.parent.glob(f"{restored.data.name}*")) == []
    (wal / "lost").rename(lost)
    server.run_script("restore", str(server.backups), str(restored.data), "latest")
    # It writes into no archive, and would begin with where it left the shop's way.
    settings = (restored.data / "postgresql.auto.conf").read_text().splitlines()
    assert settings[-1] == "archive_mode = 'off'"
    assert not any(line.startswith(("restore_command", "recovery")) for line in settings)
    [marked] = (restored.data / "pg_wal" / "archive_status").glob("*.history.ready")
    assert (restored.data / "pg_wal" / marked.name.removesuffix(".ready")).exists()


def test_a_backup_says_when_the_log_is_not_kept_and_never_forgets_all(server):
    first = server.run_script("backup", str(server.backups))
    assert "NOT KEPT" not in first
    # PostgreSQL does not count that as a failure.
    (server.scripts / "archive-wal").rename(server.scripts / "away")
    server.ask("CREATE TABLE one ()")
    server.as_superuser("SELECT pg_switch_wal()")
    [waits] = (server.data / "pg_wal" / "archive_status").glob("*.ready")
    os.utime(waits, (time.time() - 3600,) * 2)

    told = server.run_script("backup", str(server.backups))
    assert f"THE LOG IS NOT KEPT: {waits.name} waits since 2" in told
    for keep in ("0", "-1", "many"):
        status, said = ended(server.script("backup", str(server.backups), KEEP=keep))
        assert (status, said) == (1, "KEEP is how many backups stay, at least 1.\n")
    assert Path(first.strip()).exists()


def test_a_moment_before_every_backup_and_a_folder_that_is_there_are_refused(server, restored):
    server.run_script("backup", str(server.backups))

    early = server.script("restore", str(server.backups), str(restored.data), "2020-01-01")
    there = server.script("restore", str(server.backups), str(server.data), "latest")

    assert ended(early) == (1, "No backup is older than 2020-01-01.\n")
    assert ended(there) == (1, f"{server.data} is there already.\n")
