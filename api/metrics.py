"""The numbers that processes count. `payments.metrics` tells them, beside those of the database.

With METRICS_DIR, all processes of a machine keep theirs in files there, one process in its own, so
that any web server tells the sum. A process that has ended leaves what it counted to its heirs: its
files are added to those of all who went before, or a counter would fall.
"""

import atexit
import fcntl
import functools
import mmap
import os
import platform
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import django
import prometheus_client
import prometheus_client.values
import structlog
from django.conf import settings
from django.db import connection, transaction
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.values import MultiProcessValue

from config import telling
from config.logs import KIND, VERSION

log = structlog.get_logger(__name__)

# How often a process says how many requests and connections are in use.
SAMPLE_SECONDS = 5


_ENDED = {"Z", "X"}


def _started(pid: int | str) -> str:
    """Return when a process started, in the kernel's ticks: one more may have its number later.

    Of one that has ended nothing, also while nobody has asked what became of it.
    """
    try:
        told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if told[0] in _ENDED else told[19]
    except (OSError, IndexError):
        return ""


_known = (0, "")


def _own_name() -> str:
    """Name this process in the names of its files: kind, number and start."""
    global _known
    pid = os.getpid()
    if _known[0] != pid:
        _known = (pid, f"{KIND}.{pid}.{_started(pid)}")
    return _known[1]


def _is_alive(name: str) -> bool:
    _, pid, started = name.split(".") if name.count(".") == 2 else ("", "", "?")
    return _started(pid) == started


def _opened() -> Path | None:
    """Make the folder ready, or None: then each process counts for itself alone."""
    try:
        # The web server's first process makes one for those that it forks.
        folder = Path(settings.METRICS_DIR or (KIND == "web" and _own_folder()) or "")
        if folder == Path():
            return None
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone_in(folder):
            _bury_the_dead(folder)
            if not any(_is_own(file) for file in folder.glob("*.db")):
                # Nobody is left, and what comes now may be another version with other numbers.
                for file in folder.glob("*.db"):
                    file.unlink()
    except OSError as error:
        log.error("metrics_of_this_process_alone", error=str(error))
        return None
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    vars(prometheus_client.values)["MmapedDict"] = _Counts
    prometheus_client.values.ValueClass = MultiProcessValue(_own_name)
    return folder


def _own_folder() -> str:
    folder, owner = tempfile.mkdtemp(prefix="holdfast-metrics-"), os.getpid()

    def remove() -> None:
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


_GONE = "gone"


def _is_own(file: Path) -> bool:
    return not file.stem.endswith(f"_{_GONE}")


class _File(MmapedDict):
    """Numbers in a file, which has its place on the disk before they are written through memory.

    Else a full disk would end the process: the kernel has no other way to say it. Raises: OSError,
    where there is no place.
    """

    def __init__(self, path: str) -> None:
        if not os.path.exists(path):
            # Nobody is to read one that has no place yet, or never gets it.
            new = Path(f"{path}.new")
            try:
                with new.open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, _BYTES)
                new.rename(path)
            except OSError:
                new.unlink(missing_ok=True)
                raise
        super().__init__(path)

    def reserve(self, *keys: str) -> None:
        """Make room for these, if they are new."""
        new = [len(key.encode()) + _BESIDE_KEY for key in keys if key not in self._positions]
        capacity = self._capacity
        while self._used + sum(new) > capacity:
            capacity *= 2
        if capacity > self._capacity:
            self._m = self._of_length(capacity)
            self._capacity = capacity

    def _of_length(self, length: int) -> mmap.mmap:
        os.posix_fallocate(self._f.fileno(), 0, length)
        return mmap.mmap(self._f.fileno(), length)

    def _init_value(self, key: str) -> None:
        self.reserve(key)
        super()._init_value(key)


_BYTES = 2**16
# A value takes its key, its length, two numbers, and what fills it up to a multiple of eight.
_BESIDE_KEY = 4 + 8 + 16


class _Counts(_File):
    """What this process counts. Where there is no place for it, it is in memory, and unread."""

    _is_in_memory = False

    def __init__(self, path: str) -> None:
        try:
            super().__init__(path)
        except OSError as error:
            self._have_no_place(error)
            self._m, self._capacity = mmap.mmap(-1, _BYTES), _BYTES
            self._positions = dict[str, int]()
            self._used = 8

    def close(self) -> None:
        if not self._is_in_memory:
            super().close()

    def _of_length(self, length: int) -> mmap.mmap:
        try:
            if not self._is_in_memory:
                return super()._of_length(length)
        except OSError as error:
            self._have_no_place(error)
        longer = mmap.mmap(-1, length)
        longer[: self._used] = self._m[: self._used]
        return longer

    def _have_no_place(self, error: OSError) -> None:
        log.error("metrics_of_this_process_are_lost", error=str(error))
        self._is_in_memory = True


def _bury_the_dead(folder: Path) -> None:
    """Add what ended processes have counted to what all did who ended before.

    Raises: OSError, where there is no place for it; then that of one is added whole or not at all.
    """
    for file in folder.glob("*.db"):
        kind, _, name = file.stem.rpartition("_")
        if name == _GONE or _is_alive(name):
            continue
        if not kind.startswith("gauge"):
            counted = {row[0]: row[1] for row in MmapedDict.read_all_values_from_file(str(file))}
            gone = _File(str(folder / f"{kind}_{_GONE}.db"))
            gone.reserve(*counted)
            for key, value in counted.items():
                gone.write_value(key, gone.read_value(key)[0] + value, 0.0)
            gone.close()
        file.unlink()


# When a number was first counted says nothing that anybody watches.
prometheus_client.disable_created_metrics()
_folder = _opened()
_registry = CollectorRegistry(auto_describe=False)

# What came in. A route is the template of an address, never the address: it may hold a secret.
REQUESTS = Counter(
    "holdfast_requests",
    "Requests answered, but for those of health, files and numbers.",
    ["route", "method", "status"],
    registry=_registry,
)
SECONDS = Histogram(
    "holdfast_request_seconds",
    "How long they took.",
    ["route"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=_registry,
)
IN_FLIGHT = Gauge(
    "holdfast_requests_in_flight",
    "Requests being answered now.",
    multiprocess_mode="livesum",
    registry=_registry,
)
REFUSALS = Counter(
    "holdfast_refusals",
    "Refusals, by the code that the caller reads.",
    ["code"],
    registry=_registry,
)
RETRIES = Counter(
    "holdfast_transactions_tried_again",
    "Transactions that were begun again, by what was in the way.",
    ["reason"],
    registry=_registry,
)
GIVEN_UP = Counter(
    "holdfast_transactions_given_up",
    "Transactions that failed at the last try, too, and were answered as busy.",
    ["reason"],
    registry=_registry,
)
ORDERS = Counter(
    "holdfast_orders",
    "What became of orders: placed, a state of their money, or what was done to them.",
    ["outcome"],
    registry=_registry,
)
PAYMENTS = Counter(
    "holdfast_payments",
    "What became of payments, captures, voids and refunds.",
    ["gateway", "outcome"],
    registry=_registry,
)
GATEWAY_SECONDS = Histogram(
    "holdfast_gateway_seconds",
    "How long gateways took to answer, by the answer.",
    ["gateway", "outcome"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    registry=_registry,
)
DELIVERIES = Counter(
    "holdfast_deliveries",
    "Attempts to tell an integration of an event, by what came of them.",
    ["outcome"],
    registry=_registry,
)
POOL = Gauge(
    "holdfast_pool_connections",
    "Connections of the pools of all processes, by state.",
    ["state"],
    multiprocess_mode="livesum",
    registry=_registry,
)
POOL_WAITING = Gauge(
    "holdfast_pool_waiting",
    "Threads that wait for a connection of their pool now.",
    multiprocess_mode="livesum",
    registry=_registry,
)


def once_committed(counter: Counter, *labels: str) -> None:
    """Count when the transaction has been committed: it may be rolled back, or begun again."""
    count = _child(counter, labels).inc
    transaction.on_commit(functools.partial(telling.later, count), robust=True)


# Finding a child by its labels takes longer than counting.
@functools.lru_cache(maxsize=4096)
def _child(counter: Counter, labels: tuple[str, ...]) -> Counter:
    return counter.labels(*labels)


# Requests being answered in this process. A set, which threads may change at once without a lock.
in_flight: set[object] = set()
_telling = 0


def keep_telling() -> None:
    """Say from time to time what is under way in this process, where others tell it for us.

    It is asked for again and again, since a thread is not there any more after a fork.
    """
    global _telling
    if _folder and _telling != os.getpid():
        _telling = os.getpid()
        threading.Thread(target=_tell_for_ever, name="metrics", daemon=True).start()


def _tell_for_ever() -> None:
    while True:
        tell_what_is_under_way()
        time.sleep(SAMPLE_SECONDS)


def tell_what_is_under_way() -> None:
    IN_FLIGHT.set(len(in_flight))
    pool = connection._connection_pools.get(connection.alias)  # type: ignore[attr-defined]
    if pool is None:
        return
    stats = pool.get_stats()
    size, idle = stats.get("pool_size", 0), stats.get("pool_available", 0)
    POOL.labels("idle").set(idle)
    POOL.labels("in_use").set(size - idle)
    POOL.labels("most").set(stats.get("pool_max", 0))
    POOL_WAITING.set(stats.get("requests_waiting", 0))


class _Processes(Collector):
    """What the kernel knows of the processes of this machine that count here."""

    def collect(self) -> Iterable[Metric]:
        memory = GaugeMetricFamily(
            "holdfast_process_resident_bytes", "Memory in use.", labels=["process", "pid"]
        )
        cpu = CounterMetricFamily(
            "holdfast_process_cpu_seconds", "Processor time used.", labels=["process", "pid"]
        )
        age = GaugeMetricFamily(
            "holdfast_process_age_seconds", "How long ago it started.", labels=["process", "pid"]
        )
        tick = os.sysconf("SC_CLK_TCK")
        for name in _living():
            kind, pid, _ = name.split(".")
            with suppress(OSError, IndexError):
                told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                uptime = float(Path("/proc/uptime").read_text().split()[0])
                memory.add_metric([kind, pid], int(told[21]) * os.sysconf("SC_PAGESIZE"))
                cpu.add_metric([kind, pid], (int(told[11]) + int(told[12])) / tick)
                age.add_metric([kind, pid], uptime - int(told[19]) / tick)
        return [memory, cpu, age]


def _living() -> set[str]:
    found = {_own_name()}
    if _folder:
        files = filter(_is_own, _folder.glob("*.db"))
        found |= {file.stem.rpartition("_")[2] for file in files}
    return set(filter(_is_alive, found))


class _Build(Collector):
    def collect(self) -> Iterable[Metric]:
        about = about_build()
        info = GaugeMetricFamily(
            "holdfast_build_info", "Which version this is.", labels=list(about)
        )
        info.add_metric(list(about.values()), 1)
        return [info]


def about_build() -> dict[str, str]:
    return {
        "version": VERSION,
        "commit": settings.HOLDFAST_COMMIT,
        "python": platform.python_version(),
        "django": django.get_version(),
    }


def registry() -> CollectorRegistry:
    """Return what this machine's processes have counted. Read it inside `at_rest`."""
    told = CollectorRegistry(auto_describe=False)
    told.register(_Build())
    told.register(_Processes())
    if _folder and _folder.is_dir():
        MultiProcessCollector(told, path=str(_folder))
    else:
        tell_what_is_under_way()
        told.register(_Own())
    return told


class _Own(Collector):
    def collect(self) -> Iterable[Metric]:
        return _registry.collect()


@contextmanager
def at_rest() -> Iterator[None]:
    """Keep the files of ended processes where they are while they are read."""
    with ExitStack() as stack:
        try:
            if _folder:
                # Somebody may have cleaned up under processes that go on.
                _folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                stack.enter_context(_alone_in(_folder))
                _bury_the_dead(_folder)
        except OSError as error:
            log.error("metrics_of_ended_processes_stay", error=str(error))
        yield
