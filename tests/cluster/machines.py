"""Machines: network namespaces on one bridge, each with an address and processes of its own."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from config.supervisor import PROJECT

NETWORK = "10.77.0"
BRIDGE = "holdfast"
# As systemd does with `Restart=always` and `RestartSec=1`.
RESTART_SECONDS = 1
POLL_SECONDS = 0.1
# Much longer than anything takes even on a machine that is busy with other things.
PATIENCE_SECONDS = 120
# What a program gets to see of the caller's environment.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Process:
    """One that is started again whenever it has ended, unless its machine is off."""

    def __init__(
        self, command: list[str], environment: Mapping[str, str], log: Path, folder: Path
    ) -> None:
        self.command, self.environment, self.folder = command, environment, folder
        self.log: BinaryIO = log.open("ab")
        self.ended_at: float | None = None
        self.deaths = 0
        self.start()

    def start(self) -> None:
        self.ended_at = None
        self.process = subprocess.Popen(
            self.command,
            cwd=self.folder,
            env={"PATH": PATH, "LC_ALL": "C.UTF-8", **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )

    def keep(self) -> None:
        if self.process.poll() is None:
            return
        if self.ended_at is None:
            self.ended_at = time.monotonic()
            self.deaths += 1
            # What it started would be in the way of the next one.
            self.signal(signal.SIGKILL)
        if time.monotonic() - self.ended_at >= RESTART_SECONDS:
            self.start()

    def signal(self, number: signal.Signals) -> None:
        """Send it to the process and to all that it has started, but for daemons."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    @property
    def children(self) -> list[int]:
        pid = self.process.pid
        with suppress(OSError):
            return [
                int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            ]
        return []


class Machine:
    def __init__(self, name: str, number: int, folder: Path) -> None:
        self.name, self.address = name, f"{NETWORK}.{number}"
        self.folder = folder / name
        self.folder.mkdir()
        # PostgreSQL, PgBouncer and etcd run as another user.
        self.folder.chmod(0o777)
        self.processes: dict[str, Process] = {}
        self.is_on = True
        self.enter: list[str] = []

    def lay(self) -> None:
        """Make its namespace, and a cable from there to the bridge."""
        _ip("netns", "add", self.name)
        _ip("link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        _ip("link", "set", self.cable, "master", BRIDGE, "up")
        inside = ("-n", self.name)
        _ip(*inside, "address", "add", f"{self.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip(*inside, "link", "set", device, "up")
        self.enter = ["ip", "netns", "exec", self.name]

    @property
    def cable(self) -> str:
        return f"to-{self.name}"

    def run(self, name: str, command: list[str], environment: Mapping[str, str]) -> None:
        """Keep a program running."""
        log = self.folder / f"{name}.log"
        self.processes[name] = Process([*self.enter, *command], environment, log, PROJECT)

    def keep(self) -> None:
        if self.is_on:
            for process in self.processes.values():
                process.keep()

    # What befalls it.

    def kill(self, name: str) -> None:
        """Kill one of its programs, which is then started again."""
        self.processes[name].signal(signal.SIGKILL)

    def freeze(self, *names: str) -> None:
        """Let the named programs stand still, or everything."""
        self._signal(signal.SIGSTOP, names)

    def thaw(self, *names: str) -> None:
        self._signal(signal.SIGCONT, names)

    def _signal(self, number: signal.Signals, names: Iterable[str]) -> None:
        for name in names:
            self.processes[name].signal(number)
        if not names:
            for pid in self.pids():
                with suppress(ProcessLookupError):
                    os.kill(pid, number)

    def switch_off(self) -> None:
        """Everything ends in the middle of what it did, and nothing says goodbye.

        Off the net first, since a machine that lost its power sends no packet either.
        """
        self.is_on = False
        self.cut()
        while pids := self.pids():
            self._signal(signal.SIGKILL, ())
            for pid in pids:
                wait_until(lambda pid=pid: not _is_alive(pid), f"{pid} to end")  # type: ignore[misc]

    def switch_on(self) -> None:
        self.join()
        self.is_on = True

    def cut(self) -> None:
        """Pull the cable."""
        _ip("link", "set", self.cable, "down")

    def join(self) -> None:
        _ip("link", "set", self.cable, "up")

    def pids(self) -> list[int]:
        listed = subprocess.run(
            ["ip", "netns", "pids", self.name], check=True, capture_output=True, text=True
        )
        return [int(pid) for pid in listed.stdout.split() if _is_alive(int(pid))]


class Outside(Machine):
    """Where the buyers are: it has the bridge itself, and is never off."""

    def lay(self) -> None:
        _ip("link", "set", "lo", "up")
        _ip("link", "add", BRIDGE, "type", "bridge")
        _ip("link", "set", BRIDGE, "up")
        _ip("address", "add", f"{self.address}/24", "dev", BRIDGE)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def _is_alive(pid: int) -> bool:
    """Tell whether a process still does something: one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(
    condition: Callable[[], object],
    what: str,
    *,
    meanwhile: Callable[[], object] = lambda: None,
    seconds: float = PATIENCE_SECONDS,
) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"Waited {seconds} s for {what}"
        meanwhile()
        time.sleep(POLL_SECONDS)
