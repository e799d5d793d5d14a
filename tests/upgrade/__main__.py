"""`make upgrade-check`: upgrade a shop that sells, from the last release to what is here.

The last tag sells, the database is migrated under it, old and new processes serve side by side,
and at last the new ones alone. It ends by itself, with status 1 if anybody met an error or an
answer that is not in the description of the release that gave it, if the books differ, or if
anything that either release did since then is told to nobody.
"""

import argparse
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import django

from config.embedded import Server

if TYPE_CHECKING:
    from tests.upgrade.load import Load
    from tests.upgrade.release import Release

BUYERS = 4


def main() -> int:
    arguments = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    from tests.upgrade.release import Broken, last_tag

    if not (tag := arguments.tag or last_tag()):
        _say("There is no tag of a release to upgrade from, so nothing was tried.")
        return 2
    server = Server(Path(tempfile.gettempdir(), f"holdfast-upgrade-{secrets.token_hex(4)}"))
    server.start()
    os.environ |= {"DJANGO_SETTINGS_MODULE": "config.settings", "DATABASE_URL": server.url}
    django.setup()
    folder = Path(tempfile.mkdtemp(prefix="holdfast-upgrade-"))
    try:
        return _upgrade(tag, folder, server.url, arguments)
    except Broken as broken:
        _say(str(broken))
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        server.delete()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.upgrade", description=__doc__)
    parser.add_argument("--from", dest="tag", help="another tag or commit than the last release")
    parser.add_argument("--seconds", type=float, default=40, help="of selling, in each phase")
    parser.add_argument("--entries", type=int, default=0, help="fill the log with so many first")
    return parser.parse_args()


def _upgrade(tag: str, folder: Path, url: str, arguments: argparse.Namespace) -> int:
    from tests.upgrade.load import Load
    from tests.upgrade.release import Broken, Release

    load = Load()
    _say(f"Installing {tag} ...")
    old, new = Release.of(tag, folder / "old", url), Release.of_here(folder / "new", url)
    wrong: list[str] = []
    migrated_at: datetime | None = None
    try:
        _say(f"Starting {tag} with its demo ...")
        old.start()
        if arguments.entries:
            _say(f"Filling the log with {arguments.entries} entries ...")
            old.manage("fill", f"--entries={arguments.entries}", "--orders=100", "--deliveries=10")
        migrated_at, wrong = _phases(load, old, new, arguments.seconds)
    except Broken as broken:
        wrong = [str(broken)]
    finally:
        load.end()
        for release in (old, new):
            release.stop()
    wrong += [f"{count} times {what}" for what, count in load.wrong.most_common()]
    if not wrong:
        wrong = [*_books(load, new), *_untold(migrated_at)]
    if wrong:
        wrong += [f"the {one.name} log: {line}" for one in (old, new) for line in one.logged()]
    _say(*_summary(load), *(wrong or ["Nothing went wrong."]))
    return 1 if wrong else 0


def _phases(
    load: "Load", old: "Release", new: "Release", seconds: float
) -> tuple[datetime | None, list[str]]:
    """Return since when all is told, and what went wrong."""

    def sell(phase: str) -> None:
        load.phase = phase
        _say(f"{phase} ...")
        time.sleep(seconds)

    load.admit(old)
    load.phase = "old alone"
    load.start(BUYERS)
    sell("old alone")
    load.phase = "migrating"
    begun = time.monotonic()
    migrated = new.manage("migrate")
    _say(f"Migrated in {time.monotonic() - begun:.1f} s.")
    if migrated.returncode:
        return None, [f"migrate failed: {migrated.stderr[-2000:]}"]
    migrated_at = datetime.now(UTC)
    sell("old, migrated")
    # What a load balancer asks before it goes on sending calls.
    old.get("/health/ready")
    new.start()
    load.admit(old, new)
    sell("side by side")
    load.admit(new)
    old.stop()
    sell("new alone")
    return migrated_at, []


def _books(load: "Load", new: "Release") -> list[str]:
    """Compare what is left of it all, in the words of the new release."""
    audited = new.manage("audit_inventory", "--whole")
    wrong = [f"The audit: {audited.stdout}{audited.stderr}"] if audited.returncode else []
    from orders.models import Order

    paid = set(map(str, Order.objects.filter(payment="paid").values_list("pk", flat=True)))
    if lost := set(load.paid) - paid:
        wrong.append(f"{len(lost)} orders were told to be paid and are not, such as {min(lost)}")
    return wrong + _lost_jobs()


def _untold(migrated_at: datetime | None) -> list[str]:
    """Compare the feed with what old and new have done since the tables were there.

    Of the stock's logs, the audit has done so.
    """
    from events.models import Event
    from orders.models import Order
    from payments.services import audit
    from tests.torture import hearing

    wrong = hearing.differences_of_feed(migrated_at)
    wrong += [f"The audit: {each}" for each in audit.differences()]
    orders = Order.objects.filter(created_at__gte=migrated_at).count() if migrated_at else 0
    _say(f"{Event.objects.count()} events were told, and {orders} orders since it was migrated.")
    return wrong


def _lost_jobs() -> list[str]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT task_name, count(*) FROM procrastinate_jobs WHERE status = 'failed' GROUP BY 1"
        )
        return [f"{count} jobs of {name} have failed" for name, count in cursor.fetchall()]


def _summary(load: "Load") -> list[str]:
    calls: Counter[tuple[str, str]] = Counter()
    for (phase, release, _), count in load.calls.items():
        calls[phase, release] += count
    told = [
        f"{phase}: {count} calls to {release}, the longest {load.longest[phase]:.1f} s"
        for (phase, release), count in calls.items()
    ]
    return [*told, f"{len(load.paid)} orders were paid."]


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
