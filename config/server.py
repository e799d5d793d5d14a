"""The web server: one process that loads everything, and workers that it forks to serve.

They share what was loaded, and a worker that dies is replaced in a moment. When the first process
ends, so do all workers, even after a kill -9.
"""

import functools
import gc
import mmap
import os
import resource
import signal
import socket
import time
from collections.abc import Callable

import structlog
import uvicorn
from django.urls import get_resolver

from config import systemd, telling
from config.embedded import die_with_parent

log = structlog.get_logger(__name__)

# Connections that wait to be accepted by a worker.
BACKLOG = 1024
# A worker that lived for so long did not die of its start.
SETTLED_SECONDS = 10
LONGEST_PAUSE_SECONDS = 30
# How often the process manager is told that all is well.
BEAT_SECONDS = 5
# For how long a worker may show no sign of life, beyond what it is given to end.
SILENT_SECONDS = 30
# Beyond the grace, for a worker to end after its requests have.
LAST_SECONDS = 0.5
_STOP = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


class PortTakenError(Exception):
    """One sentence for the person at the terminal."""


def serve(
    host: str, port: int, *, workers: int, threads: int, grace: int, reserved: bool = False
) -> None:
    """Serve until a signal says stop, and then until all requests under way are answered, or for
    as many seconds as `grace`.

    Raises: PortTakenError, unless the caller has `reserved` the port.
    """
    from config import front  # noqa: F401

    # What every worker needs is loaded once for all, before it is asked for.
    _ = get_resolver().url_patterns
    held = [] if reserved else [_reservation(host, port)]
    listening = [_listening(host, port) for _ in range(workers)]
    # A worker has the connections of many, and more that strangers hold.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # What is there already is not looked at again, which would copy it into each of them.
    gc.collect()
    gc.freeze()
    _Server(listening, held, threads, grace).run()


def _reservation(host: str, port: int) -> socket.socket:
    """Hold the port, without listening: workers share it, but nobody else may take it alone.

    Raises: PortTakenError.
    """
    held = socket.socket(_family(host))
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind((host, port))
    except OSError as error:
        held.close()
        # A name that leads nowhere has no number of the system's.
        reason = error.strerror
        raise PortTakenError(f"Port {port} of {host} cannot be used ({reason}).") from None
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return held


def _listening(host: str, port: int) -> socket.socket:
    """Return a socket for one worker: over all of them, the kernel spreads the connections."""
    listening = socket.socket(_family(host))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.bind((host, port))
    listening.listen(BACKLOG)
    return listening


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


class _Worker:
    """A process that serves, and whichever takes its place when it has died."""

    def __init__(self, listening: socket.socket) -> None:
        self.listening = listening
        self.pid = 0
        self.pause = 0.0
        self.started_at = self.start_at = 0.0
        # A byte that both processes see: the worker sets it, and the first process clears it.
        self._sign_of_life = mmap.mmap(-1, 1)
        self._looks_without = 0

    def start(self, run: Callable[[], None]) -> None:
        self.started_at, parent = time.monotonic(), os.getpid()
        self._looks_without = 0
        try:
            self.pid = os.fork()
        except OSError as error:
            self._pause()
            reason = os.strerror(error.errno or 0)
            log.error("web_worker_not_started", error=reason, again_in=self.pause)
            return
        if self.pid:
            return
        try:
            # No orphan stays on the port.
            die_with_parent(signal.SIGTERM)()
            if os.getppid() == parent:
                run()
        except BaseException:
            log.critical("web_worker_failed", exc_info=True)
        finally:
            os._exit(1)

    def has_died(self, status: int) -> None:
        lived = time.monotonic() - self.started_at
        self.pid = 0
        self._pause()
        code = os.waitstatus_to_exitcode(status)
        log.error("web_worker_died", status=code, lived_seconds=round(lived), again_in=self.pause)

    def _pause(self) -> None:
        now = time.monotonic()
        if now - self.started_at > SETTLED_SECONDS:
            self.pause = 0
        else:
            self.pause = min(2 * self.pause or 1, LONGEST_PAUSE_SECONDS)
        self.start_at = now + self.pause

    def lives(self) -> None:
        """Say so, in the worker."""
        self._sign_of_life[0] = 1

    def look_after(self, seconds: float) -> None:
        """End a worker that has stood still for so long: whoever is connected to it waits."""
        self._looks_without = 0 if self._sign_of_life[0] else self._looks_without + 1
        self._sign_of_life[0] = 0
        # Counted in looks, since this process may have stood still, too.
        if self.pid and self._looks_without * BEAT_SECONDS > seconds:
            log.error("web_worker_stands_still", worker=self.pid, seconds=round(seconds))
            os.kill(self.pid, signal.SIGKILL)


class _Server:
    def __init__(
        self, listening: list[socket.socket], held: list[socket.socket], threads: int, grace: int
    ) -> None:
        self._workers = [_Worker(each) for each in listening]
        self._sockets = [*listening, *held]
        self._threads, self._grace = threads, grace

    def run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {*_STOP, signal.SIGCHLD})
        told, look_at = 0, time.monotonic() + BEAT_SECONDS
        while told not in _STOP:
            self._replace_the_dead()
            systemd.notify("READY=1", "WATCHDOG=1")
            now = time.monotonic()
            if now >= look_at:
                look_at = now + BEAT_SECONDS
                for worker in self._workers:
                    worker.look_after(max(SILENT_SECONDS, self._grace + BEAT_SECONDS))
            pauses = [worker.start_at - now for worker in self._workers if not worker.pid]
            told = _signal_within(max(0, min([BEAT_SECONDS, *pauses])))
        self._end()

    def _replace_the_dead(self) -> None:
        while ended := _ended():
            for worker in self._workers:
                if worker.pid == ended[0]:
                    worker.has_died(ended[1])
        for worker in self._workers:
            if not worker.pid and worker.start_at <= time.monotonic():
                worker.start(functools.partial(self._work, worker))

    def _end(self) -> None:
        """Let all finish what they have begun, and then leave none."""
        systemd.notify("STOPPING=1")
        for each in self._sockets:
            each.close()
        pids = {worker.pid for worker in self._workers if worker.pid}
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + self._grace + LAST_SECONDS
        while pids and (seconds := deadline - time.monotonic()) > 0:
            while ended := _ended():
                pids.discard(ended[0])
            _signal_within(min(seconds, 0.1))
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    # In a worker.

    def _work(self, worker: _Worker) -> None:
        from config import front

        # With connections for a socket that nobody listens to, the kernel would go on.
        for each in self._sockets:
            if each is not worker.listening:
                each.close()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        config = uvicorn.Config(
            front.Front(self._threads),
            interface="asgi3",
            http=front.Connection,
            ws="none",
            loop="uvloop",
            lifespan="off",
            proxy_headers=False,
            server_header=False,
            # The settings say what is logged. Of warnings, strangers make as many as they like.
            log_config=None,
            log_level="error",
            access_log=False,
            backlog=BACKLOG,
            timeout_keep_alive=front.KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=self._grace,
        )
        with telling.apart():
            _Loop(config, worker.lives).run(sockets=[worker.listening])


class _Loop(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, lives: Callable[[], None]) -> None:
        super().__init__(config)
        self._lives = lives

    async def on_tick(self, counter: int) -> bool:
        self._lives()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        # Else the signal that it was told by would end the process now, before its last lines. With
        # requests that were given up that is right: nobody knows what to answer them.
        if not self.server_state.tasks:
            self._captured_signals.clear()


def _signal_within(seconds: float) -> int:
    """Wait for a signal, of which the end of a child is one; return 0 if there was none."""
    found = signal.sigtimedwait({*_STOP, signal.SIGCHLD}, seconds)
    return found.si_signo if found else 0


def _ended() -> tuple[int, int] | None:
    """Return a child that has ended, and its status."""
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, status) if pid else None
