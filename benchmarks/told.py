"""What it costs a shop that everything is told, and how soon others hear of it.

First what a purchase pays for it, with and without the triggers in turn; then how many events a
second go from a commit to the feed, and to receivers, while shoppers buy as fast as they can; and
at last whether shoppers notice that a receiver, which was away for long, is told all it missed.
"""

import itertools
import os
import re
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from django.core.management import call_command
from django.db import connection

from api import news
from api.actors import SYSTEM
from benchmarks import flow
from benchmarks.counts import buying, tell
from benchmarks.flow import Shopper
from benchmarks.processes import cpu_seconds
from benchmarks.receiver import Receiver, receiver
from benchmarks.run import CLIENT_ID, database_cpu, fill, web_server
from config.embedded import Server
from events.models import Event
from events.services import deliveries, feed, integrations, kinds, sequencing

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "10"))
# Of each round, both ways.
FLOWS = int(os.environ.get("BENCH_FLOWS", "300"))
LOAD_SECONDS = float(os.environ.get("BENCH_SECONDS", "30"))
MISSED = int(os.environ.get("BENCH_MISSED", "100000"))
# As many shoppers as make the whole machine busy, and as many as leave it time.
SHOPPERS, FEW_SHOPPERS = 4, 2
PATIENCE_SECONDS = 60

Cpu = Callable[[], float]


def bench(server: Server) -> None:
    call_command("migrate", verbosity=0)
    products = [str(product) for product in fill()]
    sequencing.number_all()
    with web_server() as (port, web):
        with buying(_crowd(port, SHOPPERS), products) as warming_up:
            time.sleep(5)
        assert warming_up
        sequencing.number_all()
        measure_price(server, port, web, products)
        with receiver() as hears, worker() as telling:
            # Until it works.
            _crowd(port, 1)[0].buy(products[:1])
            _settled()
            measure_load(server, port, products, telling, hears)
            measure_catching_up(server, port, products, telling, hears)
    call_command("audit_inventory")


def _crowd(port: int, shoppers: int) -> list[Shopper]:
    """Connect anew: the server ends a connection that is quiet for some seconds."""
    return [Shopper(port, CLIENT_ID) for _ in range(shoppers)]


# What a purchase pays.


def measure_price(server: Server, port: int, web: int, products: Sequence[str]) -> None:
    database = database_cpu(server)
    print(f"\n{'CPU ms of a purchase':<26}{'web':>8}{'db':>8}{'both':>8}{'numbered':>12}")
    for lines in (1, 5):
        turns = itertools.cycle(products)
        baskets = [list(itertools.islice(turns, lines)) for _ in range(FLOWS)]

        def bought(baskets: list[list[str]] = baskets) -> flow.Measured:
            return flow.measure(
                baskets,
                port=port,
                client_id=CLIENT_ID,
                shoppers=SHOPPERS,
                flows=FLOWS,
                cpu=lambda: (cpu_seconds(web), database()),
            )

        rounds = [_round(bought, database, number) for number in range(ROUNDS)]
        _tell_price(lines, rounds)
    # The audit would miss what was untold in between.
    sequencing.number_all()
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM events_event WHERE position < (SELECT max(position) FROM events_event)"
        )


@dataclass(frozen=True)
class Round:
    told: flow.Measured
    untold: flow.Measured
    # Milliseconds of a purchase that it takes to number what was told, all at once.
    numbering: float


def _round(bought: Callable[[], flow.Measured], database: Cpu, number: int) -> Round:
    """Buy both ways. The first has colder caches, so each has its turn."""
    if number % 2:
        told, numbering = bought(), _numbered(database)
        with _untold():
            return Round(told, bought(), numbering)
    with _untold():
        untold = bought()
    return Round(bought(), untold, _numbered(database))


def _numbered(database: Cpu) -> float:
    before = time.process_time() + database()
    sequencing.number_all()
    # Each shopper bought once more to warm up.
    return (time.process_time() + database() - before) / (FLOWS + SHOPPERS) * 1000


def _tell_price(lines: int, rounds: Sequence[Round]) -> None:
    name = "1 line" if lines == 1 else f"{lines} lines"
    for way, found in (
        ("told", [each.told for each in rounds]),
        ("untold", [each.untold for each in rounds]),
    ):
        web, database, both = (
            statistics.median(values)
            for values in zip(
                *((each.web_ms, each.database_ms, each.cpu_ms) for each in found), strict=True
            )
        )
        numbering = statistics.median(each.numbering for each in rounds)
        beside = f"{numbering:>12.2f}" if way == "told" else ""
        print(f"{f'{name}, {way}':<26}{web:>8.2f}{database:>8.2f}{both:>8.2f}{beside}")
    more = sorted(each.told.cpu_ms / each.untold.cpu_ms - 1 for each in rounds)
    # Only the database has more to do, and the web server's half varies by more than that.
    of_database = statistics.median(
        (each.told.database_ms - each.untold.database_ms) / each.untold.cpu_ms for each in rounds
    )
    of_numbering = statistics.median(each.numbering / each.told.cpu_ms for each in rounds)
    print(
        f"{'  more':<26}{statistics.median(more):>8.1%}   (median of {len(more)} rounds; "
        f"{more[0]:.1%} to {more[-1]:.1%}); {of_database:.1%} in the database; "
        f"numbering is {of_numbering:.1%}"
    )


@contextmanager
def _untold() -> Iterator[None]:
    _alter("DISABLE")
    try:
        yield
    finally:
        _alter("ENABLE")
        with connection.cursor() as cursor:
            cursor.execute(_FROM_HERE_ON)


# By the name of their function.
_TELLING = """
SELECT tgrelid::regclass::text, tgname FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
WHERE NOT tgisinternal AND prosrc LIKE '%events_outbox%'
"""


# What nobody told is not missed.
_FROM_HERE_ON = """
UPDATE events_toldstock SET first = stock.sequence + 1, last = stock.sequence
FROM inventory_stock AS stock WHERE stock.id = stock_id
"""


def _alter(what: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_TELLING)
        for table, trigger in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {table} {what} TRIGGER {trigger}")


# From a commit to the feed, and to receivers.


def measure_load(
    server: Server,
    port: int,
    products: list[str],
    telling: int,
    hears: Receiver,
) -> None:
    database = database_cpu(server)
    print(
        f"\n{f'{SHOPPERS} shoppers at once, worker runs':<36}{'purch/s':>8}{'events/s':>9}"
        f"{'p50 ms':>8}{'p99 ms':>8}{'heard/s':>8}{'p50 ms':>8}{'p99 ms':>8}{'worker':>8}{'db':>7}"
    )
    for name, observes in (
        ("nobody is told", []),
        ("one is told of orders paid", ["order.paid"]),
        ("one is told of everything", sorted(kinds.TYPES)),
    ):
        with _integration(hears, observes), watching() as seen:
            first = _settled()
            hears.forget()
            before = cpu_seconds(telling), database(), time.perf_counter()
            with buying(_crowd(port, SHOPPERS), products) as seconds:
                time.sleep(LOAD_SECONDS)
            elapsed = time.perf_counter() - before[2]
            backlog = sequencing.waiting(1_000_000)
            unheard = _events(first, observes) - hears.count()
            worker_cpu, db_cpu = cpu_seconds(telling) - before[0], database() - before[1]
            last = _settled()
            hears.wait_for(_events(first, observes))
            purchases = len(seconds) - 1
            to_feed = _to_feed(seen, first, last)
            to_receiver = _to_receiver(hears, first)
            print(
                f"{name:<36}{purchases / elapsed:>8.1f}{(last - first) / elapsed:>9.1f}"
                f"{_ms(to_feed, 50):>8}{_ms(to_feed, 99):>8}"
                f"{len(to_receiver) / elapsed:>8.1f}{_ms(to_receiver, 50):>8}"
                f"{_ms(to_receiver, 99):>8}{worker_cpu / elapsed:>8.0%}{db_cpu / elapsed:>7.0%}"
            )
            tell("  its purchases", seconds)
            print(
                f"  at the end {backlog.rows} rows waited for {backlog.seconds:.2f} s to be "
                f"numbered, and {unheard} events to be heard"
            )


def _settled() -> int:
    """Wait until all is numbered, and return the last position."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while sequencing.waiting(1).rows:
        assert time.monotonic() < deadline, "the feed does not keep up"
        time.sleep(0.1)
    return feed.last_position()


def _events(after: int, types: Sequence[str]) -> int:
    return Event.objects.filter(position__gt=after, type__in=types).count()


@contextmanager
def _integration(hears: Receiver, observes: Sequence[str]) -> Iterator[uuid.UUID | None]:
    if not observes:
        yield None
        return
    made, _ = integrations.create(
        name="Benchmark", url=hears.url, observes=observes, enabled=True, actor=SYSTEM
    )
    # Until a worker has taken it on.
    time.sleep(2)
    try:
        yield made.pk
    finally:
        integrations.delete(made.pk, actor=SYSTEM)


@contextmanager
def watching() -> Iterator[list[tuple[int, float]]]:
    """Look at the feed with each notice of it: up to which position it was seen, and when."""
    seen: list[tuple[int, float]] = []
    stop = threading.Event()

    def watch() -> None:
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as listening:
            listening.execute(f"LISTEN {news.NUMBERED}")
            while not stop.is_set():
                for _ in listening.notifies(timeout=0.5, stop_after=1):
                    pass
                [last] = listening.execute(
                    "SELECT coalesce(max(position), 0) FROM events_event"
                ).fetchone() or (0,)
                seen.append((last, time.time()))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def _to_feed(seen: Sequence[tuple[int, float]], first: int, last: int) -> list[float]:
    """Seconds from each change to when its event could be read."""
    looks = iter(seen)
    found: list[float] = []
    position, at = 0, 0.0
    occurred = Event.objects.filter(position__gt=first, position__lte=last).order_by("position")
    for number, moment in occurred.values_list("position", "occurred_at").iterator():
        while position < number:
            position, at = next(looks, (last, time.time()))
        found.append(at - moment.timestamp())
    return found


def _to_receiver(hears: Receiver, first: int) -> list[float]:
    occurred = dict(Event.objects.filter(position__gt=first).values_list("id", "occurred_at"))
    heard = {uuid.UUID(event_id): at for event_id, at in hears.heard()}
    return [at - occurred[pk].timestamp() for pk, at in heard.items() if pk in occurred]


def _ms(seconds: Sequence[float], percent: int) -> str:
    if len(seconds) < 2:
        return "-"
    return f"{statistics.quantiles(seconds, n=100)[percent - 1] * 1000:.0f}"


# A receiver that was away.


_COPY = """
INSERT INTO events_event
    (position, id, type, kind, subject, sequence, occurred_at, numbered_at, payload)
SELECT %(last)s + row_number() OVER (ORDER BY turn, position), gen_random_uuid(), type, 'copied',
    subject, sequence, occurred_at, clock_timestamp(), payload
FROM (SELECT * FROM events_event ORDER BY position DESC LIMIT %(copied)s) AS event,
    generate_series(1, %(turns)s) AS turn
LIMIT %(missed)s
"""
# Many times. The audit does not take them for what happened.
_COPIED = 2_000


def measure_catching_up(
    server: Server, port: int, products: list[str], telling: int, hears: Receiver
) -> None:
    """Let shoppers buy while nothing is told, and while a receiver hears all that it missed."""
    print(f"\n{f'{FEW_SHOPPERS} shoppers':<26}{'per s':>7}{'p50 ms':>8}{'p99 ms':>8}{'max ms':>8}")
    observes = sorted(kinds.TYPES)
    with _integration(hears, observes) as integration_id:
        assert integration_id
        integrations.change(integration_id, enabled=False, actor=SYSTEM)
        first = _missed(integration_id)
        hears.forget()
        with buying(_crowd(port, FEW_SHOPPERS), products) as calm:
            time.sleep(LOAD_SECONDS)
        _settled()
        database = database_cpu(server)
        before = cpu_seconds(telling), database()
        started = time.perf_counter()
        with buying(_crowd(port, FEW_SHOPPERS), products) as meanwhile:
            integrations.change(integration_id, enabled=True, actor=SYSTEM)
            _set_back(integration_id, first)
            while hears.count() < MISSED:
                time.sleep(0.5)
            elapsed = time.perf_counter() - started
        cpu = cpu_seconds(telling) - before[0], database() - before[1]
        _settled()
        hears.wait_for(_events(first, observes))
        tell("before", calm)
        tell("while one catches up", meanwhile)
        _require_order(hears, first)
        print(
            f"{MISSED:,} events in order in {elapsed:.0f} s: {MISSED / elapsed:,.0f} a second; "
            f"worker {cpu[0] / elapsed:.0%} and database {cpu[1] / elapsed:.0%} of a core, worker "
            f"at most {_memory(telling):,.0f} MB"
        )


def _missed(integration_id: uuid.UUID) -> int:
    """Fill the feed with a day's events, as an outage of the receiver leaves them."""
    first = _settled()
    with connection.cursor() as cursor:
        asked = {"last": first, "missed": MISSED, "copied": _COPIED}
        cursor.execute(_COPY, asked | {"turns": MISSED // min(_COPIED, first) + 1})
        cursor.execute("ANALYZE events_event")
    return first


def _set_back(integration_id: uuid.UUID, position: int) -> None:
    deliveries.resend_since(
        integration_id, Event.objects.get(position=position + 1).numbered_at, actor=SYSTEM
    )


def _require_order(hears: Receiver, first: int) -> None:
    positions = dict(Event.objects.filter(position__gt=first).values_list("id", "position"))
    heard = [positions.get(uuid.UUID(event_id), 0) for event_id, _ in hears.heard()]
    fresh = [*dict.fromkeys(position for position in heard if position > first)]
    assert fresh == sorted(fresh), "out of order"
    assert len(fresh) == len(positions), "some were not told"


def _memory(pid: int) -> float:
    """Megabytes that a process had in memory at most."""
    status = Path(f"/proc/{pid}/status").read_text()
    [kilobytes] = re.findall(r"VmHWM:\s+(\d+)", status)
    return int(kilobytes) / 1000


@contextmanager
def worker() -> Iterator[int]:
    """Run a job worker as `make run` does, and yield its process."""
    process = subprocess.Popen([sys.executable, "manage.py", "work"], env=os.environ)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)
