"""The parent of web servers, job workers and commands: loaded once, so that a death costs little.

Started by `site`, which writes one JSON order a line and reads one line of answer. Whoever of the
children dies is replaced at once. They end with this process, and it ends with its own parent.
"""

import contextlib
import functools
import gc
import json
import os
import select
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import django

from config import server
from config.embedded import die_with_parent

COMMAND_SECONDS = 60
WORKER = ["work", "--grace=3"]
PAUSE_SECONDS = 0.02


def main() -> None:
    die_with_parent(signal.SIGKILL)()
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    gc.disable()
    django.setup()
    # What every child needs, loaded here once for all.
    import config.front
    import config.urls  # noqa: F401
    from tests.torture import marks

    marks.install()
    # No child looks through what all share, which would copy it.
    gc.freeze()
    gc.enable()
    nursery = Nursery()
    for line in _lines(meanwhile=nursery.replace_the_dead):
        order = json.loads(line)
        answer = getattr(nursery, order.pop("do"))(**order)
        os.write(1, json.dumps(answer).encode() + b"\n")
    nursery.end()


def _lines(meanwhile: Callable[[], None]) -> Iterator[bytes]:
    """Read orders, and do something else while there are none.

    There is one thread and no buffered reader here, for a lock that is held while another thread
    forks stays locked in the child.
    """
    unfinished = b""
    while True:
        if not select.select([0], [], [], PAUSE_SECONDS)[0]:
            meanwhile()
            continue
        read = os.read(0, 65536)
        if not read:
            return
        *lines, unfinished = (unfinished + read).split(b"\n")
        yield from lines


class Nursery:
    def __init__(self) -> None:
        # By process: of which kind it is, and what it runs, to run it again.
        self.children: dict[int, tuple[str, Callable[[], None]]] = {}
        self.deaths: Counter[str] = Counter()

    # Orders.

    def serve(self, *, port: int, servers: int) -> None:
        for _ in range(servers):
            self._keep("server", functools.partial(_serve, port))

    def work(self, *, workers: int) -> None:
        for _ in range(workers):
            self._keep("worker", _work)

    def rest(self, *, kind: str) -> None:
        """Kill all of a kind, for good."""
        for pid in [pid for pid, (of, _) in self.children.items() if of == kind]:
            _kill_group(pid)
            os.waitpid(pid, 0)
            del self.children[pid]

    def command(self, *, argv: list[str], times: int, ahead: float) -> list[list[Any]]:
        """Run a command so many times at once, `ahead` seconds later; return status and output."""
        outputs = [os.memfd_create("output") for _ in range(times)]
        running = {
            _fork(functools.partial(_command, argv, ahead, output)): output for output in outputs
        }
        statuses: dict[int, int] = {}
        deadline = time.monotonic() + COMMAND_SECONDS
        while len(statuses) < times:
            self.replace_the_dead()
            for pid in running.keys() - statuses.keys():
                if time.monotonic() > deadline:
                    _kill_group(pid)
                if (ended := os.waitpid(pid, os.WNOHANG)) != (0, 0):
                    statuses[pid] = os.waitstatus_to_exitcode(ended[1])
            time.sleep(PAUSE_SECONDS)
        return [[statuses[pid], _said(output)] for pid, output in running.items()]

    def processes(self, *, kind: str = "") -> list[int]:
        """List the children that are alive, of a kind if it is named, and what they started."""
        chosen = [pid for pid, (of, _) in self.children.items() if kind in ("", of)]
        return [one for pid in chosen for one in (pid, *_children_of(pid))]

    def fallen(self) -> dict[str, int]:
        """Tell how many children have died so far, by kind."""
        return {f"{kind}s died": number for kind, number in self.deaths.items()}

    # Keeping alive.

    def replace_the_dead(self) -> None:
        for pid, (kind, run) in list(self.children.items()):
            if os.waitpid(pid, os.WNOHANG)[0] != 0:
                _kill_group(pid)
                self.deaths[kind] += 1
                del self.children[pid]
                self._keep(kind, run)

    def end(self) -> None:
        for pid in self.children:
            _kill_group(pid)
        os._exit(0)

    def _keep(self, kind: str, run: Callable[[], None]) -> None:
        self.children[_fork(run)] = kind, run


def _fork(run: Callable[[], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.setsid()
        die_with_parent(signal.SIGKILL)()
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        # The parent's line of answers is not for them.
        os.dup2(2, 1)
        run()
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
    os._exit(status)


def _serve(port: int) -> None:
    # Here they die on purpose, and often: each next one would wait longer, up to half a minute.
    server.LONGEST_PAUSE_SECONDS = 0
    # One worker to a server, so that a death takes nobody along.
    server.serve("127.0.0.1", port, workers=1, threads=4, grace=3, reserved=True)


def _work() -> None:
    from events.services import delivering, turns
    from events.services.sending import Sender

    # Nobody here waits for minutes until a receiver is asked again, or a dead one's lease is over.
    turns.LEASE_SECONDS = 3
    turns.PAUSES[:] = [timedelta(seconds=least) for least in (0.2, 0.5, 1, 2, 4, 8, 8, 8, 8)]
    delivering.RENEW_SECONDS = 0.7
    delivering.Sender = functools.partial(Sender, seconds=1.0)  # type: ignore[assignment,attr-defined]
    _manage(WORKER)


def _manage(argv: list[str]) -> None:
    from django.core.management import execute_from_command_line

    # The checks of this code take longer than most commands, and find the same in each child.
    execute_from_command_line(["manage.py", argv[0], "--skip-checks", *argv[1:]])


def _command(argv: list[str], ahead: float, output: int) -> None:
    from api import clock

    os.dup2(output, 1)
    with clock.replaced(lambda: datetime.now(UTC) + timedelta(seconds=ahead)):
        try:
            _manage(argv)
        finally:
            # The process ends without Python's farewell.
            sys.stdout.flush()


def _said(output: int) -> str:
    os.lseek(output, 0, os.SEEK_SET)
    with open(output) as said:
        return said.read()


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _children_of(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as children:
            return [int(child) for child in children.read().split()]
    except OSError:
        return []


if __name__ == "__main__":
    main()
