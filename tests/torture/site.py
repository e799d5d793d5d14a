"""Starts what a store consists of, has parts of it killed, and lets it recover."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from signal import SIGKILL
from typing import Any, TextIO

from config.embedded import die_with_parent
from config.supervisor import PROJECT, is_ready
from tests import fake_stripe

READY_SECONDS = 60
# Longer than any lease on a charge, and than a buyer has for 3-D Secure.
MUCH_LATER_SECONDS = 3600
# One that ends when nothing is left to do.
WORKER = ("procrastinate", "worker", "--one-shot")


class Site:
    """The fake Stripe, the web servers, the job workers, and what is told to them."""

    def __init__(self, database_url: str, *, servers: int = 1, workers: int = 0) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="holdfast-torture-"))
        self.orders = self.folder / "orders"
        self.orders.mkdir()
        self.log = (self.folder / "log").open("w")
        self.port = _free_port()
        self.talking = threading.Lock()
        self.stripe = _start(["-m", "tests.fake_stripe"], {}, self.log)
        self.stripe_url = _line(self.stripe).strip()
        self.nursery = _start(
            ["-m", "tests.torture.nursery"], self._environment(database_url), self.log
        )
        self.tell("serve", port=self.port, servers=servers)
        self.tell("work", workers=workers)
        self.wait_until_ready()
        self.control("settings", webhook_url=f"http://127.0.0.1:{self.port}/webhooks/stripe")

    def _environment(self, database_url: str) -> dict[str, str]:
        # It needs the settings, which a cluster of machines has only later.
        from tests.torture import marks

        return {
            "HOLDFAST_DEMO": "1",
            "DATABASE_URL": database_url,
            "DATABASE_POOL_SIZE": "8",
            "GATEWAY_TIMEOUT_SECONDS": "2",
            # Half of the threads of a web server, as in production.
            "GATEWAY_WAITS_MAX": "2",
            "STRIPE_SECRET_KEY": fake_stripe.API_KEY,
            "STRIPE_PUBLISHABLE_KEY": "pk_test_fake",
            "STRIPE_WEBHOOK_SECRET": fake_stripe.WEBHOOK_SECRET,
            "STRIPE_API_BASE": self.stripe_url,
            **{f"{kind}_LIMIT": "0" for kind in ("TOKEN", "CHECKOUT", "PAYMENT", "REQUEST")},
            marks.ORDERS: str(self.orders),
        }

    def end(self, *, keeps_log: bool = False) -> None:
        """Kill everything. The nursery does so with its children when nobody gives it orders."""
        assert self.nursery.stdin is not None
        self.nursery.stdin.close()
        self.nursery.wait()
        self.stripe.kill()
        self.stripe.wait()
        self.log.close()
        if not keeps_log:
            shutil.rmtree(self.folder)

    # The fake Stripe.

    def control(self, name: str, **arguments: Any) -> Any:
        return fake_stripe.control(self.stripe_url, name, **arguments)

    def book(self) -> Any:
        return self.control("book")

    # The processes.

    def tell(self, order: str, **arguments: Any) -> Any:
        """Give the nursery an order and return its answer."""
        with self.talking:
            assert self.nursery.stdin is not None
            self.nursery.stdin.write(json.dumps({"do": order, **arguments}) + "\n")
            self.nursery.stdin.flush()
            return json.loads(_line(self.nursery))

    def kill_at(self, mark: str) -> None:
        """Order the process that reaches this mark first to die there."""
        from tests.torture import marks

        assert mark in marks.MARKS, mark
        self.orders.joinpath(mark).touch()

    def waiting_orders(self) -> list[str]:
        """List the marks that nobody has reached yet."""
        return sorted(path.name for path in self.orders.iterdir())

    def withdraw_orders(self) -> None:
        for path in self.orders.iterdir():
            path.unlink(missing_ok=True)

    def command(self, *argv: str, times: int = 1, ahead: float = 0) -> list[str]:
        """Run a management command, so many at once; return what each said."""
        results = self.run(*argv, times=times, ahead=ahead)
        failed = [said for status, said in results if status]
        assert not failed, f"{argv} failed: {failed}, see {self.log.name}"
        return [said for _, said in results]

    def recover(self, *, ahead: float = MUCH_LATER_SECONDS) -> None:
        """Let recovery run, two at once, so many seconds later."""
        self.command("settle_pending_payments", times=2, ahead=ahead)

    def work_off(self, *, ahead: float = 0) -> None:
        """Let a worker do all jobs that are waiting, and end."""
        self.command(*WORKER, ahead=ahead)

    def worker_ends(self) -> int:
        """Let a worker do likewise, who may die of it, and return its exit status."""
        [[status, _]] = self.run(*WORKER)
        return int(status)

    def run(self, *argv: str, times: int = 1, ahead: float = 0) -> list[list[Any]]:
        """Run a command that may die of it; return the exit status and output of each."""
        results: list[list[Any]] = self.tell("command", argv=argv, times=times, ahead=ahead)
        return results

    def wait_until_ready(self) -> None:
        """Wait for a server that answers: after a death, for the next one."""
        deadline = time.monotonic() + READY_SECONDS
        while not is_ready(self.port):
            assert self.nursery.poll() is None, f"The nursery has died, see {self.log.name}"
            assert time.monotonic() < deadline, f"No server became ready, see {self.log.name}"
            time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as reservation:
        reservation.bind(("127.0.0.1", 0))
        return int(reservation.getsockname()[1])


def _start(command: list[str], environment: dict[str, str], log: TextIO) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=PROJECT,
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        # Ctrl-C is for the harness, which ends them itself.
        start_new_session=True,
        preexec_fn=die_with_parent(SIGKILL),
    )


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "A process of the harness has died."
    return line
