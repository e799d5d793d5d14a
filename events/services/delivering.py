"""The loop in a worker that tells integrations what happened, each in a task of its own.

So one whose receiver hangs slows no other. What comes next and what an answer means is in `turns`;
here is when it is looked, and that what has been sent is written down within a second.
"""

import asyncio
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import ParamSpec, TypeVar

import structlog
import uvloop
from django.db import connection

from api import clock, news
from config import outages
from events.services import closing, feed, turns
from events.services.messages import message
from events.services.sending import Answer, Sender
from events.services.turns import Lease, Lost, Parcel, Taken, Turn

P = ParamSpec("P")
R = TypeVar("R")
log = structlog.get_logger(__name__)

# How often it is looked whether the feed has moved, though nobody says so; what else is due; and
# whether leases go on.
POLL_SECONDS = 0.5
LOOK_SECONDS = 1.0
RENEW_SECONDS = 10.0
# So long news are gathered, where one comes after the other.
GATHERED_SECONDS = 0.01
# So long what came of a delivery may wait to be written down.
UNWRITTEN_SECONDS = 1.0
# How long a copy of a shop waits before it looks again whether it is one.
CLOSED_SECONDS = 60.0
# An integration that cannot be told by a fault of ours is left alone for so long.
FAULT_SECONDS = 30.0
# What is under way may take so long when it is told to stop.
LAST_SECONDS = 0.5
# Whoever has a page or more to tell gives way to those who buy: after each event it pauses so many
# times as long as it had to wait for a core itself, up to so many seconds.
GENTLENESS = 10
PAUSE_MAX_SECONDS = 0.05
# Statements at once.
_THREADS = 4
# What Linux says of a thread: nanoseconds on a core, and nanoseconds in which it waited for one.
_SCHEDULING = Path("/proc/thread-self/schedstat")


def run(stop: threading.Event) -> None:
    """Tell integrations until told to stop. Raises: DatabaseError, while the database is away."""
    if closing.is_closed():
        stop.wait(CLOSED_SECONDS)
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_go_on(stop))


async def _go_on(stop: threading.Event) -> None:
    deliverer = Deliverer(Sender())
    try:
        await deliverer.go_on_until(stop)
    finally:
        await deliverer.end()


@dataclass
class _Telling:
    """One integration that is told by this worker."""

    lease: Lease
    observes: frozenset[str] = frozenset()
    # Set when there may be something to send.
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    is_idle: bool = False
    waits: bool = False
    task: "asyncio.Task[None] | None" = None


class Deliverer:
    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self.me = uuid.uuid4()
        self.tellings: dict[uuid.UUID, _Telling] = {}
        self.threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="delivering")
        self.waiter = news.Waiter(news.NUMBERED)
        self.waiting = ThreadPoolExecutor(1, thread_name_prefix="delivering-waits")
        self.stops = False
        # Why nothing can go on.
        self.fault: BaseException | None = None
        # Up to where the feed has been looked at.
        self.seen = 0

    async def go_on_until(self, stop: threading.Event) -> None:
        """Raises: DatabaseError, while the database is away."""
        self.seen = await self.asked(feed.last_position)
        look_at = renew_at = 0.0
        while not stop.is_set():
            now = time.monotonic()
            if now >= renew_at:
                renew_at = now + RENEW_SECONDS
                if await self.asked(closing.is_closed):
                    return
                await self.renew()
            if now >= look_at:
                look_at = now + LOOK_SECONDS
                await self.look()
            await self.poll()
            if self.fault:
                raise self.fault
            await self.wait(stop)

    async def wait(self, stop: threading.Event) -> None:
        """Wait for news of the feed, in a thread of its own, and a moment for more of them."""
        await asyncio.sleep(GATHERED_SECONDS)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self.waiting, self.waiter.wait, POLL_SECONDS, stop)

    async def asked(self, ask: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Ask the database, which keeps nobody waiting but who asks."""

        def ask_and_let_go() -> R:
            try:
                return ask(*args, **kwargs)
            finally:
                connection.close()

        return await asyncio.get_running_loop().run_in_executor(self.threads, ask_and_let_go)

    async def look(self) -> None:
        """Take on whom nobody tells, and wake those for whom something waits."""
        for lease in await self.asked(turns.claim, self.me, tuple(self.tellings)):
            self.take_on(lease)
        standings = {row.integration_id: row for row in await self.asked(turns.standings, self.me)}
        for integration_id, telling in self.tellings.items():
            standing = standings.get(integration_id)
            if standing is None:
                self.drop(telling)
                continue
            telling.observes = frozenset(standing.observes)
            if standing.is_due or (telling.waits and not standing.waits):
                telling.wake.set()
            telling.waits = standing.waits

    async def poll(self) -> None:
        """Wake those whom new events are for. All others have heard all that is for them."""
        if not self.tellings:
            return
        self.seen, types = await self.asked(turns.news, self.seen)
        for telling in self.tellings.values():
            if telling.observes & types:
                telling.wake.set()
            elif telling.is_idle and telling.lease.is_caught_up and not telling.wake.is_set():
                telling.lease.position = max(telling.lease.position, self.seen)

    async def renew(self) -> None:
        positions = {
            integration_id: telling.lease.position if telling.is_idle else 0
            for integration_id, telling in self.tellings.items()
        }
        held = await self.asked(turns.renew, self.me, positions)
        for integration_id in positions.keys() - held:
            if telling := self.tellings.get(integration_id):
                self.drop(telling)

    def take_on(self, lease: Lease) -> None:
        telling = _Telling(lease)
        self.tellings[lease.integration_id] = telling
        telling.task = asyncio.create_task(self.tell(telling))

    def drop(self, telling: _Telling) -> None:
        """End with one that is not ours any more. It finds out by itself while it sends."""
        if telling.task and telling.is_idle:
            telling.task.cancel()

    async def tell(self, telling: _Telling) -> None:
        """Tell one integration for as long as the lease on it is ours."""
        integration_id = telling.lease.integration_id
        try:
            try:
                await self.take_turns(telling)
            except Lost:
                await self.asked(turns.leave, self.me, [integration_id])
        except Exception as error:
            if outages.is_away(error):
                self.fault = error
            else:
                log.exception("integration_not_told", integration=str(integration_id))
                await asyncio.sleep(FAULT_SECONDS)
        finally:
            del self.tellings[integration_id]

    async def take_turns(self, telling: _Telling) -> None:
        """Raises: Lost."""
        while not self.stops:
            telling.wake.clear()
            turn = await self.asked(turns.next_turn, telling.lease)
            if turn:
                await self.take(telling.lease, turn)
            else:
                telling.is_idle = True
                await telling.wake.wait()
                telling.is_idle = False

    async def take(self, lease: Lease, turn: Turn) -> None:
        """Send what is in a turn, one after the other, until one fails. Raises: Lost."""
        unwritten = _Unwritten(self, lease, lease.position)
        has_much = len(turn.parcels) >= turns.BATCH
        waited = waited_for_a_core()
        try:
            for parcel in turn.parcels:
                sending = asyncio.ensure_future(self.send(turn, parcel))
                try:
                    await unwritten.write_meanwhile(sending)
                    unwritten.add(Taken(parcel, await sending))
                finally:
                    sending.cancel()
                if self.stops or unwritten.is_enough:
                    return
                if has_much:
                    waited = await self.give_way(waited)
            unwritten.position = turn.position
        finally:
            await unwritten.write()

    async def give_way(self, waited: float) -> float:
        """Pause where cores are short. `waited`: for how long it had waited for one until then."""
        pause = GENTLENESS * (waited_for_a_core() - waited)
        if pause > 0:
            await asyncio.sleep(min(pause, PAUSE_MAX_SECONDS))
        return waited_for_a_core()

    async def send(self, turn: Turn, parcel: Parcel) -> Answer:
        headers, body = message(
            turn.integration, parcel.told, attempt=parcel.attempt, moment=clock.now()
        )
        return await self.sender.post(turn.integration.url, headers, body)

    async def end(self) -> None:
        """End what is under way, and let others tell these integrations."""
        self.stops = True
        mine = list(self.tellings)
        late = {telling.task for telling in self.tellings.values() if telling.task}
        for telling in self.tellings.values():
            telling.wake.set()
        if late and not self.fault:
            _, late = await asyncio.wait(late, timeout=LAST_SECONDS)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=LAST_SECONDS)
        try:
            if not self.fault:
                await self.asked(turns.leave, self.me, mine)
        finally:
            await self.sender.close()
            self.waiter.close()
            self.waiting.shutdown(wait=False)
            self.threads.shutdown(wait=False)


def waited_for_a_core() -> float:
    """Return for how many seconds this thread could have gone on and had no core.

    Always the same where the system does not say.
    """
    try:
        return int(_SCHEDULING.read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


@dataclass
class _Unwritten:
    """What came of deliveries, until it is written down."""

    deliverer: Deliverer
    lease: Lease
    # Of the last event that was told for the first time.
    position: int
    taken: list[Taken] = field(default_factory=list)
    until: float = 0.0

    def add(self, taken: Taken) -> None:
        if not self.taken:
            self.until = time.monotonic() + UNWRITTEN_SECONDS
        self.taken.append(taken)
        if taken.parcel.is_new:
            self.position = taken.parcel.told.position or self.position

    @property
    def is_enough(self) -> bool:
        """Tell whether what comes next depends on it, or it has waited for long enough."""
        return bool(self.taken[-1].answer.fault) or time.monotonic() > self.until

    async def write_meanwhile(self, sending: "asyncio.Future[Answer]") -> None:
        """Write it if a receiver takes longer than it may wait. Raises: Lost."""
        if self.taken:
            await asyncio.wait({sending}, timeout=max(0.0, self.until - time.monotonic()))
            if not sending.done():
                await self.write()

    async def write(self) -> None:
        """Raises: Lost."""
        taken, self.taken = self.taken, []
        if taken or self.position > self.lease.position:
            await self.deliverer.asked(turns.settle, self.lease, taken, self.position)
