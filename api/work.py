"""Doing jobs: in lanes, through outages of the database, until somebody says that it is enough.

procrastinate's workers do the jobs, one for each lane. They end where they lose the database, and
then wait for whatever still runs: so all of them begin anew as soon as it is there again. What
still ran is done twice by that, which does no harm: no job may, see the jobs of each app.
"""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import psycopg
import structlog
from procrastinate.connector import BaseConnector
from procrastinate.contrib.django import app
from procrastinate.contrib.django.django_connector import DjangoConnector
from procrastinate.contrib.django.utils import connector_params
from procrastinate.exceptions import ConnectorException, UniqueViolation
from procrastinate.job_context import JobContext
from procrastinate.jobs import Job, Status
from procrastinate.psycopg_connector import PsycopgConnector
from procrastinate.worker import Worker
from psycopg.errors import ForeignKeyViolation, RaiseException
from psycopg_pool import AsyncConnectionPool

from api import beside
from api.ids import uuid7
from api.lanes import TELLING
from config import outages
from config.systemd import notify

T = TypeVar("T")
log = structlog.get_logger(__name__)

# How often a worker says that it lives, and after what silence others take up its jobs.
BEAT_SECONDS = 5
SILENT_SECONDS = 20
# A database that is frozen lets one wait for ever.
PATIENCE_SECONDS = 10
LOOK_SECONDS = 1
# After what time a job of a kind that is not known is asked for again.
NEWER_SECONDS = 30
# Of a job whose worker dies each time.
ATTEMPTS = 10

_IS_READY = """
SELECT to_regclass('procrastinate_workers') IS NOT NULL AND to_regclass('api_jobworker') IS NOT NULL
"""
_BEAT = """
INSERT INTO api_jobworker (id, host, process, queues)
VALUES (%(id)s, %(host)s, %(process)s, %(queues)s)
ON CONFLICT (id) DO UPDATE SET beat_at = now()
"""
_LEAVE = "DELETE FROM api_jobworker WHERE id = %(id)s"
# Until then everybody can see that somebody is missing.
_FORGET = "DELETE FROM api_jobworker WHERE beat_at < now() - interval '1 hour'"


def work(lanes: Mapping[str, int], *, grace: float) -> None:
    """Do the jobs of these queues, of each so many at once, until told to stop by a signal.

    What is under way then has `grace` seconds, and else is taken up by another worker. Raises:
    whatever is no fault of the database, which is waited for.
    """
    with beside.running() if TELLING in lanes else nullcontext():
        asyncio.run(_Work(lanes, grace).until_told_to_stop())


class _Connector(PsycopgConnector):
    """Lanes have connections of their own. What a job defers goes by the job's connection.

    So a job that is deferred in a transaction is there when that has committed, as anywhere else.
    """

    def get_sync_connector(self) -> BaseConnector:
        return DjangoConnector()


class _Lane(Worker):
    """A lane that leaves alone what only a newer release knows, whose worker comes soon."""

    async def _process_job(self, context: JobContext) -> None:
        if context.job.task_name in self.app.tasks:
            await super()._process_job(context)
            return
        log.warning("job_of_newer_release", job=context.job.id, task=context.job.task_name)
        try:
            later = datetime.now(UTC) + timedelta(seconds=NEWER_SECONDS)
            await app.job_manager.retry_job(context.job, retry_at=later)
        except UniqueViolation:
            # As in `take_up_again`.
            await app.job_manager.finish_job(context.job, Status.FAILED, delete_job=False)


def _ended(call_next: Callable[[], Any], context: JobContext, worker: Worker) -> Any:
    """Let each job end. Of this one error asyncio would never hear, and wait for its job for ever.

    Raises: RuntimeError, and whatever the job raises.
    """
    try:
        return call_next()
    except StopIteration as error:
        raise RuntimeError("The job asked for more than there was.") from error


class _Work:
    def __init__(self, lanes: Mapping[str, int], grace: float) -> None:
        self.lanes = lanes
        self.grace = grace
        self.me = {
            "id": uuid7(),
            "host": socket.gethostname()[:255],
            "process": os.getpid(),
            "queues": list(lanes),
        }
        self.parameters = connector_params()
        self.is_told_to_stop = False
        # Set when there is something else to do than to wait.
        self.news = asyncio.Event()
        # Why the lanes cannot go on.
        self.fault = ""
        # Lanes with jobs in threads, which nothing can end but the end of the process.
        self.left_behind: set[asyncio.Task[None]] = set()

    async def until_told_to_stop(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.set_exception_handler(self._nobody_waited)
        notify("READY=1")
        try:
            await self._go_on()
        except Exception:
            log.exception("worker_failed")
            os._exit(1)
        if self.left_behind:
            os._exit(0)

    async def _go_on(self) -> None:
        pool = AsyncConnectionPool(
            kwargs=self.parameters,
            open=False,
            min_size=1,
            max_size=4,
            timeout=PATIENCE_SECONDS / 2,
            check=AsyncConnectionPool.check_connection,
            reconnect_timeout=2 * LOOK_SECONDS,
            reconnect_failed=AsyncConnectionPool.check,
        )
        with app.replace_connector(_Connector(kwargs=self.parameters)):
            await app.open_async(pool)
            while await self._has_database():
                await pool.open()
                # What it has may lead to a server that stands by for another one now.
                await pool.drain()
                await self._do_jobs()
            await pool.close(timeout=1)

    def _stop(self) -> None:
        self.is_told_to_stop = True
        self.news.set()

    def _interrupt(self, fault: object) -> None:
        """Have all lanes begin anew."""
        self.fault = self.fault or outages.short(fault)
        self.news.set()

    async def _has_database(self) -> bool:
        """Wait until it answers and has our tables. False if told to stop meanwhile."""
        since = time.monotonic()
        while not self.is_told_to_stop:
            notify("WATCHDOG=1")
            if not (fault := await self._fault_of_database()):
                break
            if not self.fault:
                log.error("worker_waits_for_database", fault=fault)
                notify("STATUS=Waits for the database")
            self.fault = fault
            self.news.clear()
            await self._news_within(LOOK_SECONDS)
        else:
            return False
        if self.fault:
            log.warning("worker_has_database", waited=round(time.monotonic() - since, 1))
        self.fault = ""
        notify("STATUS=Does jobs")
        return True

    async def _fault_of_database(self) -> str:
        try:
            is_ready = await _soon(_asked_whether_ready(self.parameters))
        except (psycopg.OperationalError, TimeoutError) as error:
            return outages.short(error)
        return "" if is_ready else "it has no tables of this version: run migrate"

    async def _do_jobs(self) -> None:
        """Do jobs until told to stop, or until the lanes cannot go on."""
        self.news.clear()
        # Threads of its own, one for each job: asyncio has so few that one lane could take them
        # all, and those of lanes that were left behind are still taken.
        threads = ThreadPoolExecutor(sum(self.lanes.values()) + 1)
        asyncio.get_running_loop().set_default_executor(threads)
        lanes: dict[asyncio.Task[None], Any] = {}
        for queue, at_once in self.lanes.items():
            worker = self._worker(queue, at_once)
            lanes[asyncio.create_task(worker.run())] = worker
        for lane in lanes:
            lane.add_done_callback(self._lane_ended)
        while not self.news.is_set():
            notify("WATCHDOG=1")
            try:
                await _soon(self._beat())
            except (ConnectorException, TimeoutError) as error:
                self._interrupt(_known(error))
            await self._news_within(BEAT_SECONDS)
        await self._end(lanes)

    def _worker(self, queue: str, at_once: int) -> Any:
        options: dict[str, Any] = {
            **app.worker_defaults,
            "queues": [queue],
            "concurrency": at_once,
            "name": None,
            "install_signal_handlers": False,
            "update_heartbeat_interval": BEAT_SECONDS,
            "stalled_worker_timeout": SILENT_SECONDS,
        }
        options["task_middleware"] = [_ended, *options.get("task_middleware", [])]
        return _Lane(app, **options)

    def _lane_ended(self, lane: asyncio.Task[None]) -> None:
        if lane in self.left_behind:
            self.left_behind.discard(lane)
        elif not self.is_told_to_stop:
            self._interrupt(lane.exception() or "a lane has ended")

    async def _beat(self) -> None:
        await app.connector.execute_query_async(_BEAT, **self.me)
        await app.connector.execute_query_async(_FORGET)
        await take_up_again()

    async def _end(self, lanes: Mapping[asyncio.Task[None], Any]) -> None:
        """End the lanes, or leave behind those whose jobs take too long."""
        if self.is_told_to_stop:
            notify("STOPPING=1")
        else:
            self.fault = await self._fault_of_database() or self.fault
            log.error("worker_lost_database", fault=self.fault)
            notify("STATUS=Waits for the database")
        for worker in lanes.values():
            worker.stop()
        _, late = await asyncio.wait(lanes, timeout=self.grace if self.is_told_to_stop else 1)
        self.left_behind |= late
        for lane in lanes.keys() - late:
            _known(lane.exception())
        if self.is_told_to_stop:
            with suppress(ConnectorException, TimeoutError):
                await _soon(self._leave([lanes[lane] for lane in late]))

    async def _leave(self, late: Iterable[Any]) -> None:
        """Let others take up at once what is left, and say that nobody is missing."""
        for worker in late:
            if worker.worker_id is not None:
                await app.job_manager.unregister_worker(worker.worker_id)
        await app.connector.execute_query_async(_LEAVE, id=self.me["id"])

    async def _news_within(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.news.wait(), seconds)

    def _nobody_waited(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Hear of a task that nobody waited for: a job of which nobody could write what became."""
        error = context.get("exception")
        if isinstance(error, ConnectorException):
            # Somebody else has taken it up meanwhile, and writes that.
            if not isinstance(error.__cause__, RaiseException):
                self._interrupt(error.__cause__ or error)
        else:
            loop.default_exception_handler(context)


async def _soon(asked: Coroutine[Any, Any, T]) -> T:
    """Wait for an answer of the database for so long. Raises: TimeoutError, and does not wait for
    what the database may never let end."""
    task = asyncio.ensure_future(asked)
    done, _ = await asyncio.wait({task}, timeout=PATIENCE_SECONDS)
    if not done:
        task.cancel()
        raise TimeoutError("the database does not answer")
    return task.result()


async def _asked_whether_ready(parameters: dict[str, Any]) -> bool:
    async with await psycopg.AsyncConnection.connect(**parameters) as connection:
        [is_ready] = await (await connection.execute(_IS_READY)).fetchone() or [False]
        return bool(is_ready)


def _known(error: BaseException | None) -> BaseException | None:
    """Return what lanes can begin anew after. Raises: any other error."""
    cause = (isinstance(error, ConnectorException) and error.__cause__) or error
    known = (psycopg.OperationalError, psycopg.InternalError, TimeoutError)
    # Two took a job at once, or this one was silent for so long that others took it for dead.
    of_others = (UniqueViolation, ForeignKeyViolation)
    if cause is None or isinstance(cause, (*known, *of_others)):
        return cause
    raise cause


async def take_up_again() -> None:
    """Have the jobs done that a worker left in the middle when it was killed or cut off."""
    for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=SILENT_SECONDS):
        try:
            await _take_up(job)
        except UniqueViolation:
            # Another one of its kind waits already, of which there may be one: that does the work.
            await app.job_manager.finish_job(job, Status.FAILED, delete_job=False)
        except ConnectorException as error:
            # Another worker was faster.
            if not isinstance(error.__cause__, RaiseException):
                raise


async def _take_up(job: Job) -> None:
    if job.attempts < ATTEMPTS:
        log.warning("job_taken_up_again", job=job.id, task=job.task_name)
        await app.job_manager.retry_job(job)
    else:
        log.error("job_given_up", job=job.id, task=job.task_name, attempts=job.attempts)
        await app.job_manager.finish_job(job, Status.FAILED, delete_job=False)
