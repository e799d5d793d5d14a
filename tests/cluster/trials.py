"""What is done to whom. Each trial is a generator that says for how long to go on meanwhile."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.cluster.estate import WEB_PORT, Estate, is_ready
from tests.cluster.machines import PATIENCE_SECONDS, Machine
from tests.cluster.pens import Pens

# So long somebody who has died stays away, if it is a machine.
AWAY_SECONDS = 20
LONG_SECONDS = 70
A_PROCESS, THE_PRIMARY = 5.0, 15.0


@dataclass
class Notes:
    """What a trial saw itself, and what of it must not be."""

    seen: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    # When whatever was away was back, where a trial knows that.
    back_at: float | None = None


Harm = Callable[[Estate, Notes], Iterator[float]]


@dataclass(frozen=True)
class Trial:
    harm: Harm
    # For how long at most nobody may be told that a payment is complete.
    goal: float

    @property
    def what(self) -> str:
        return (self.harm.__doc__ or "").split("\n\n")[0].replace("\n", " ").strip().rstrip(".")


def _nothing(site: Estate, notes: Notes) -> Iterator[float]:
    """Nothing, for half a minute."""
    yield 30


# Processes.


def _web_process(site: Estate, notes: Notes) -> Iterator[float]:
    """A web process is killed."""
    os.kill(site.web_1.processes["web"].children[0], signal.SIGKILL)
    yield 12


def _web_group(site: Estate, notes: Notes) -> Iterator[float]:
    """All web processes of one machine are killed."""
    site.web_1.kill("web")
    yield 12


def _job_worker(site: Estate, notes: Notes) -> Iterator[float]:
    """The job worker is killed."""
    site.web_1.kill("worker")
    yield 10


def _payments_worker(site: Estate, notes: Notes) -> Iterator[float]:
    """The payments worker is killed."""
    site.web_2.kill("worker")
    yield 10


def _pgbouncer(site: Estate, notes: Notes) -> Iterator[float]:
    """PgBouncer of one machine is killed."""
    site.web_1.kill("pgbouncer")
    yield 10


def _frozen_pgbouncer(site: Estate, notes: Notes) -> Iterator[float]:
    """PgBouncer of one machine stands still for 15 s."""
    site.web_1.freeze("pgbouncer")
    slowest = 0.0
    for _ in range(15):
        yield 1
        begun = time.monotonic()
        if not is_ready(site.web_1.address, WEB_PORT, "/health/live"):
            notes.wrong.append("/health/live did not answer")
        slowest = max(slowest, time.monotonic() - begun)
    site.web_1.thaw("pgbouncer")
    notes.seen.append(f"/health/live behind it answered in {slowest * 1000:.0f} ms at most")
    if slowest > 1:
        notes.wrong.append(f"/health/live took {slowest:.1f} s")
    yield 8


def _way(site: Estate, notes: Notes) -> Iterator[float]:
    """HAProxy between one machine and the primary is killed."""
    site.web_1.kill("way")
    yield 10


def _edge(site: Estate, notes: Notes) -> Iterator[float]:
    """The only edge is killed, and starts again after a second."""
    site.outside.kill("edge")
    yield 10


def _gateway(site: Estate, notes: Notes) -> Iterator[float]:
    """The gateway is killed, in the middle of its answers, and back after a second."""
    site.stripe_machine.kill("way")
    yield 10


def _silent_gateway(site: Estate, notes: Notes) -> Iterator[float]:
    """The gateway says nothing for 10 s."""
    site.stripe_machine.freeze("stripe")
    yield 10
    site.stripe_machine.thaw("stripe")
    yield 12


# PostgreSQL.


def _backend(site: Estate, notes: Notes) -> Iterator[float]:
    """The process of one connection of the primary is killed (kill -9)."""
    before = site.primary
    found = site.ask(before, "SELECT pid FROM pg_stat_activity WHERE usename = 'holdfast' LIMIT 1")
    os.kill(int(found), signal.SIGKILL)
    yield from _taken_over(site, before, notes)


def _postmaster(site: Estate, notes: Notes) -> Iterator[float]:
    """PostgreSQL of the primary is killed (kill -9), and Patroni beside it lives."""
    before = site.primary
    os.kill(int((before.folder / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    yield from _taken_over(site, before, notes)


def _primary(site: Estate, notes: Notes) -> Iterator[float]:
    """The primary's machine loses its power, with its etcd, and is back later."""
    before = site.primary
    before.switch_off()
    yield from _taken_over(site, before, notes, AWAY_SECONDS)
    before.switch_on()
    yield 10


def _frozen_primary(site: Estate, notes: Notes) -> Iterator[float]:
    """The primary's machine stands still, is replaced, and wakes up as what it was."""
    before = site.primary
    pens = Pens(site, before, inside=False)
    before.freeze()
    yield from _taken_over(site, before, notes, AWAY_SECONDS)
    # It has that to read when it wakes up.
    pens.write_on("asked for while it stood still")
    before.thaw()
    for number in range(5):
        pens.write(f"asked for {number} s after it woke up")
        yield 1
    yield 8
    if not site.leads(site.other(before)):
        notes.wrong.append("it took the lead back from whoever had replaced it")
    pens.end(notes.seen, notes.wrong)


def _cut_primary(site: Estate, notes: Notes) -> Iterator[float]:
    """The primary's machine is cut off from all others, and joins them later."""
    before = site.primary
    pens = Pens(site, before, inside=True)
    before.cut()
    pens.write_on("asked for when it was cut off")
    begun = time.monotonic()
    for number, _ in enumerate(_taken_over(site, before, notes, AWAY_SECONDS)):
        if number % 5 == 0:
            pens.write(f"asked for {time.monotonic() - begun:.1f} s later")
        yield 0.2
    before.join()
    yield 12
    pens.end(notes.seen, notes.wrong)


def _standby(site: Estate, notes: Notes) -> Iterator[float]:
    """The standby's machine loses its power, with its etcd, and is back later."""
    standby = site.standby
    standby.switch_off()
    yield AWAY_SECONDS
    standby.switch_on()
    yield 8


def _cut_standby(site: Estate, notes: Notes) -> Iterator[float]:
    """The standby's machine is cut off from all others: commits wait until it is given up."""
    standby = site.standby
    standby.cut()
    yield AWAY_SECONDS
    standby.join()
    yield 8


def _etcd(site: Estate, notes: Notes) -> Iterator[float]:
    """The etcd beside the primary is killed."""
    site.primary.kill("etcd")
    yield 12


def _away(site: Estate, notes: Notes) -> Iterator[float]:
    """Both machines of PostgreSQL lose their power for 70 s."""
    first, second = site.primary, site.standby
    for machine in (first, second):
        machine.switch_off()
    yield LONG_SECONDS
    for machine in (first, second):
        machine.switch_on()
    begun = time.monotonic()
    while not (site.takes_writes(first) or site.takes_writes(second)):
        yield 0.2
    notes.back_at = time.monotonic()
    notes.seen.append(f"one led again {time.monotonic() - begun:.0f} s after the power was back")
    yield 15


def _taken_over(
    site: Estate, before: Machine, notes: Notes, seconds: float = 12
) -> Iterator[float]:
    """Go on until the standby leads, and at least for so long."""
    begun = time.monotonic()
    while not site.leads(site.other(before)):
        if time.monotonic() - begun > PATIENCE_SECONDS:
            notes.wrong.append("nobody took over")
            return
        yield 0.2
    notes.seen.append(f"the standby led after {time.monotonic() - begun:.1f} s")
    while time.monotonic() - begun < seconds:
        yield 0.2


TRIALS = {
    "quiet": Trial(_nothing, A_PROCESS),
    "web": Trial(_web_process, A_PROCESS),
    "group": Trial(_web_group, A_PROCESS),
    "worker": Trial(_job_worker, A_PROCESS),
    "payments": Trial(_payments_worker, A_PROCESS),
    "pgbouncer": Trial(_pgbouncer, A_PROCESS),
    "frozen-pgbouncer": Trial(_frozen_pgbouncer, A_PROCESS),
    "way": Trial(_way, A_PROCESS),
    "edge": Trial(_edge, A_PROCESS),
    "gateway": Trial(_gateway, A_PROCESS),
    "silent-gateway": Trial(_silent_gateway, 10 + A_PROCESS),
    "etcd": Trial(_etcd, A_PROCESS),
    "standby": Trial(_standby, A_PROCESS),
    "cut-standby": Trial(_cut_standby, THE_PRIMARY),
    "backend": Trial(_backend, THE_PRIMARY),
    "postmaster": Trial(_postmaster, THE_PRIMARY),
    "primary": Trial(_primary, THE_PRIMARY),
    "frozen-primary": Trial(_frozen_primary, THE_PRIMARY),
    "cut-primary": Trial(_cut_primary, THE_PRIMARY),
    "away": Trial(_away, LONG_SECONDS + THE_PRIMARY),
}
