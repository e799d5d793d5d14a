"""Whose turn it is to be told, what comes next for it, and what its answers mean.

An integration is told by one worker at a time, who has a lease on it, and by that one event after
the other. What came of them is written together, by whoever still has the lease: one that was
frozen or cut off writes nothing, and what it has sent since is sent again.

What fails waits for its time while later events go on. But where one after the other fails, nobody
is there: then nothing new is sent, the oldest is tried at its times, and the others wait with it.
As soon as anything arrives, all that waited goes first, in order.
"""

import json
import random
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog
from django.db import connection
from django.db.models import F, Max, QuerySet
from django.db.models.functions import Now

from api import changes, clock, compiled, metrics
from api.actors import SYSTEM
from api.transactions import in_transaction
from events.errors import EventsForgotten, FeedSetBack
from events.models import Delivery, DeliveryAttempt, Event, Integration, Progress
from events.services import feed
from events.services.messages import Occurrence
from events.services.sending import Answer

log = structlog.get_logger(__name__)

LEASE_SECONDS = 30
# Occurrence in one turn: so many are read, and what came of them is written, at once.
BATCH = 50
# Between one attempt and the next, by Standard Webhooks. After the tenth it is given up.
PAUSES = [
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    *(timedelta(hours=hours) for hours in (2, 5, 10, 14, 20, 24)),
]
ATTEMPTS = 1 + len(PAUSES)
# So much later at most, that receivers which failed together are not asked together again.
_JITTER = 0.1
_LATER_MAX = timedelta(hours=24)
# Of so many deliveries one after the other has failed: then nobody is there.
IN_A_ROW = 3
# Where more wait, such as all events of a type that a receiver cannot take, nothing new is sent.
WAITING_MAX = 1_000
_WHY_LENGTH = 500

State = Delivery.State
Origin = Delivery.Origin


class Lost(Exception):
    """Somebody else tells this integration now, or nobody is to."""


# Leases. Their time is the database's: machines may differ by seconds.

_CLAIM = """
UPDATE events_progress AS progress
SET leased_by = %(me)s, leased_until = clock_timestamp() + make_interval(secs => %(seconds)s)
FROM (
    SELECT free.integration_id FROM events_progress AS free
    JOIN events_integration AS integration ON integration.id = free.integration_id
    WHERE (free.leased_until IS NULL OR free.leased_until < clock_timestamp())
        AND free.integration_id <> ALL(%(but)s::uuid[])
        AND (integration.enabled OR EXISTS (
            SELECT FROM events_delivery AS delivery
            WHERE delivery.integration_id = integration.id
                AND delivery.state = 'waiting' AND delivery.origin = 'test'
        ))
    ORDER BY free.integration_id FOR NO KEY UPDATE OF free SKIP LOCKED
) AS free
WHERE progress.integration_id = free.integration_id
RETURNING progress.integration_id, progress.position
"""
# Those that have nothing to do also say how far they have looked.
_RENEW = """
UPDATE events_progress AS progress
SET leased_until = clock_timestamp() + make_interval(secs => %(seconds)s),
    position = greatest(progress.position, mine.position)
FROM jsonb_to_recordset(%(mine)s::jsonb) AS mine (id uuid, position bigint)
WHERE progress.integration_id = mine.id
    AND progress.leased_by = %(me)s AND progress.leased_until > clock_timestamp()
RETURNING progress.integration_id
"""
_LEAVE = """
UPDATE events_progress SET leased_by = NULL, leased_until = NULL
WHERE integration_id = ANY(%(ids)s::uuid[]) AND leased_by = %(me)s
"""


@dataclass
class Lease:
    """What the one who tells an integration knows of it, beside what is written down."""

    me: uuid.UUID
    integration_id: uuid.UUID
    # Of the last event that was looked at, which is written down later.
    position: int
    # Up to which position it was told before, by the feed.
    told_up_to: int = 0
    # Deliveries that failed since the last one that did not.
    failed: set[uuid.UUID] = field(default_factory=set)
    # Whether the last look has found no event that is for it.
    is_caught_up: bool = False

    @property
    def nobody_is_there(self) -> bool:
        return len(self.failed) >= IN_A_ROW


def claim(me: uuid.UUID, but: Collection[uuid.UUID] = ()) -> list[Lease]:
    """Take a lease on every integration that nobody tells, except for some."""
    asked = {"me": me, "seconds": LEASE_SECONDS, "but": list(but)}
    leases = [Lease(me, *row) for row in _rows(_CLAIM, asked)]
    for lease in leases:
        _remember(lease)
    return leases


def _remember(lease: Lease) -> None:
    """Find out how it went before."""
    told = Delivery.objects.filter(integration=lease.integration_id, origin=Origin.FEED)
    lease.told_up_to = told.aggregate(last=Max("position"))["last"] or 0
    tries = DeliveryAttempt.objects.filter(integration=lease.integration_id).order_by("-pk")
    for delivery_id, succeeded in tries.values_list("delivery", "succeeded")[:BATCH]:
        if succeeded:
            break
        lease.failed.add(delivery_id)


def renew(me: uuid.UUID, positions: Mapping[uuid.UUID, int]) -> set[uuid.UUID]:
    """Keep leases, and write down how far each has looked; return those that were still held."""
    mine = [{"id": str(pk), "position": position} for pk, position in positions.items()]
    asked = {"me": me, "seconds": LEASE_SECONDS, "mine": json.dumps(mine)}
    return {integration_id for (integration_id,) in _rows(_RENEW, asked)}


def leave(me: uuid.UUID, integration_ids: Collection[uuid.UUID]) -> None:
    """Let others tell these."""
    with connection.cursor() as cursor:
        cursor.execute(_LEAVE, {"me": me, "ids": list(integration_ids)})


_WITH_SOMETHING_TO_DO = """
SELECT progress.integration_id, integration.observes,
    NOT integration.enabled OR EXISTS (
        SELECT FROM events_delivery AS delivery
        WHERE delivery.integration_id = progress.integration_id
            AND delivery.state = 'waiting' AND delivery.next_at <= %(now)s
            AND (progress.waits_until IS NULL OR progress.waits_until <= %(now)s
                OR delivery.origin = 'test')
    ),
    coalesce(progress.waits_until > %(now)s, false)
FROM events_progress AS progress
JOIN events_integration AS integration ON integration.id = progress.integration_id
WHERE progress.leased_by = %(me)s
"""


@dataclass(frozen=True)
class Standing:
    """What an integration that is ours wants to hear, and whether something waits for it now."""

    integration_id: uuid.UUID
    observes: Collection[str]
    is_due: bool
    waits: bool


def standings(me: uuid.UUID) -> list[Standing]:
    asked = {"me": me, "now": clock.now()}
    return [Standing(*row) for row in _rows(_WITH_SOMETHING_TO_DO, asked)]


_NEWS = """
SELECT coalesce(max(position), %(seen)s), coalesce(array_agg(DISTINCT type), '{}')
FROM (
    SELECT position, type FROM events_event WHERE position > %(seen)s
    ORDER BY position LIMIT %(limit)s
) AS new
"""
_NEWS_MAX = 5_000


def news(seen: int) -> tuple[int, frozenset[str]]:
    """Return how far the feed goes, or some thousand events further, and what types these have."""
    [(last, types)] = _rows(_NEWS, {"seen": seen, "limit": _NEWS_MAX})
    return last, frozenset(types)


# Turns.


@dataclass(frozen=True)
class Parcel:
    """A delivery that is to be tried; one of an event that is new has no row yet."""

    delivery: Delivery
    told: Occurrence
    is_new: bool

    @property
    def attempt(self) -> int:
        return self.delivery.attempts + 1


@dataclass(frozen=True)
class Turn:
    integration: Integration
    parcels: Sequence[Parcel]
    # How far it has been looked when all of them are told.
    position: int


def next_turn(lease: Lease) -> Turn | None:
    """Find out what is to be sent next, in this order; None if nothing is, now.

    Raises: Lost.
    """
    lease.is_caught_up = False
    mine = Progress.objects.filter(leased_by=lease.me, leased_until__gt=Now())
    progress = mine.select_related("integration").filter(pk=lease.integration_id).first()
    if progress is None:
        raise Lost
    integration = progress.integration
    while due := _due(lease, progress):
        if parcels := list(_again(due)):
            return Turn(integration, parcels, lease.position)
        # The feed has let go of all of these: they wait no more.
    return _new_turn(lease, integration) if due is None else None


def _due(lease: Lease, progress: Progress) -> Sequence[Delivery] | None:
    """Return which deliveries are to be tried again now; None if new events may be told.

    Raises: Lost, if it is told nothing more.
    """
    now = clock.now()
    in_order = _waiting(lease).order_by(F("position").asc(nulls_first=True), "pk")
    waiting = list(in_order[: WAITING_MAX + 1])
    if tests := [delivery for delivery in waiting if delivery.origin == Origin.TEST]:
        return tests
    if not progress.integration.enabled:
        raise Lost
    if progress.waits_until and progress.waits_until > now:
        return []
    due = [delivery for delivery in waiting if delivery.next_at and delivery.next_at <= now]
    if waiting and lease.nobody_is_there:
        return [waiting[0]] if waiting[0] in due else []
    if due or len(waiting) > WAITING_MAX:
        return due[:BATCH]
    return None


def _again(deliveries: Sequence[Delivery]) -> Iterator[Parcel]:
    """Bring what is to be told again from the feed, which may have let go of some of it."""
    kept = Event.objects.in_bulk([row.position for row in deliveries if row.position is not None])
    for delivery in deliveries:
        if delivery.origin == Origin.TEST:
            at, payload = delivery.created_at, delivery.payload
            told = Occurrence(delivery.event_id, delivery.type, None, at, payload, is_test=True)
            yield Parcel(delivery, told, is_new=False)
        elif event := kept.get(delivery.position):
            yield Parcel(delivery, _told(event), is_new=False)
        else:
            _end_one_that_was_forgotten(delivery)


def _told(event: Event) -> Occurrence:
    return Occurrence(event.id, event.type, event.position, event.occurred_at, event.payload)


def _end_one_that_was_forgotten(delivery: Delivery) -> None:
    Delivery.objects.filter(pk=delivery.pk, state=State.WAITING).update(
        state=State.GIVEN_UP, next_at=None, ended_at=clock.now()
    )


def _new_turn(lease: Lease, integration: Integration) -> Turn | None:
    page = _page(lease, integration.observes)
    position = page.events[-1].position if page.more else page.last_position
    if not page.events:
        lease.position, lease.is_caught_up = position, True
        return None
    return Turn(integration, [_parcel(lease, event) for event in page.events], position)


def _page(lease: Lease, observes: Collection[str]) -> feed.Page:
    """Read on, or from the first event on that is still kept."""
    try:
        return feed.page(lease.position, BATCH, observes)
    except EventsForgotten:
        position = feed.page(None, 1).first_position - 1
    except FeedSetBack:
        position = feed.last_position()
    # What lies between, it never hears of by itself.
    of = str(lease.integration_id)
    log.error("not_in_the_feed_any_more", integration=of, told=lease.position, goes_on=position)
    lease.position = position
    return _page(lease, observes)


def _parcel(lease: Lease, event: Event) -> Parcel:
    delivery = Delivery(
        integration_id=lease.integration_id,
        # Of what was told before, the feed's delivery may be there.
        origin=Origin.RESENT if event.position <= lease.told_up_to else Origin.FEED,
        position=event.position,
        event_id=event.id,
        type=event.type,
        created_at=clock.now(),
    )
    return Parcel(delivery, _told(event), is_new=True)


# What came of it.


@dataclass(frozen=True)
class Taken:
    parcel: Parcel
    answer: Answer


_WRITE_PROGRESS = """
UPDATE events_progress SET
    position = %(position)s,
    leased_until = clock_timestamp() + make_interval(secs => %(seconds)s),
    delivered_at = coalesce(%(delivered_at)s, delivered_at),
    failing_since = CASE WHEN %(delivered_at)s IS NULL
        THEN coalesce(failing_since, %(failed_at)s) ELSE %(failed_at)s END,
    waits_until = CASE WHEN %(delivered_at)s IS NULL THEN waits_until END
WHERE integration_id = %(id)s AND leased_by = %(me)s AND leased_until > clock_timestamp()
"""
_WRITE_TRIED_AGAIN = """
UPDATE events_delivery AS delivery
SET state = tried.state, attempts = tried.attempts, next_at = tried.next_at,
    ended_at = tried.ended_at
FROM jsonb_to_recordset(%(rows)s::jsonb)
    AS tried (id uuid, state text, attempts smallint, next_at timestamptz, ended_at timestamptz)
WHERE delivery.id = tried.id
"""


def settle(lease: Lease, taken: Sequence[Taken], position: int) -> None:
    """Write what came of some deliveries, in the order in which they were sent.

    `position` is how far it has been looked with them. Raises: Lost; then nothing is written, or it
    was told for the last time.
    """
    for one in taken:
        _decide(one)
    failed = set(lease.failed)
    for one in taken:
        failed.add(one.parcel.delivery.pk) if one.answer.fault else failed.clear()
    _write(lease, taken, position, failed)
    lease.position, lease.failed = position, failed
    for one in taken:
        metrics.DELIVERIES.labels(_outcome(one)).inc()
    if any(map(_disables, taken)):
        raise Lost


def _decide(taken: Taken) -> None:
    """Give a delivery the state that follows from an answer."""
    delivery, answer = taken.parcel.delivery, taken.answer
    delivery.attempts += 1
    delivery.next_at = None
    if answer.succeeded:
        delivery.state = State.DELIVERED
    elif _is_last(taken):
        delivery.state = State.GIVEN_UP
    else:
        delivery.state = State.WAITING
        delivery.next_at = answer.at + _pause(delivery.attempts, answer.retry_after)
    is_over = delivery.state != State.WAITING
    delivery.ended_at = answer.at if is_over else None


def _is_last(taken: Taken) -> bool:
    delivery = taken.parcel.delivery
    is_test = delivery.origin == Origin.TEST
    return is_test or taken.answer.is_gone or delivery.attempts >= ATTEMPTS


def _pause(attempts: int, retry_after: float | None) -> timedelta:
    pause = PAUSES[attempts - 1] * (1 + _JITTER * random.random())  # noqa: S311
    asked = timedelta(seconds=min(retry_after or 0, _LATER_MAX.total_seconds()))
    return max(pause, asked)


def _disables(taken: Taken) -> bool:
    """Tell whether it is told nothing more: of a test nobody draws such a conclusion."""
    delivery = taken.parcel.delivery
    return delivery.state == State.GIVEN_UP and delivery.origin != Origin.TEST


def _outcome(taken: Taken) -> str:
    """Name what came of an attempt, among the numbers."""
    state = taken.parcel.delivery.state
    return "failed" if state == State.WAITING else state.replace(" ", "_")


@in_transaction
def _write(
    lease: Lease, taken: Sequence[Taken], position: int, failed: Collection[uuid.UUID]
) -> None:
    """Raises: Lost."""
    last = next(filter(_disables, taken), None)
    if last:
        _disable(lease)
    _write_progress(lease, taken, position)
    compiled.insert_many([one.parcel.delivery for one in taken if one.parcel.is_new])
    _write_tried_again([one.parcel.delivery for one in taken if not one.parcel.is_new])
    compiled.insert_many([_attempt(one) for one in taken])
    if lease.nobody_is_there and len(failed) < IN_A_ROW:
        _let_all_go(lease)
    if last:
        _give_up(lease, last)
    else:
        _wait(lease, taken, failed)


def _write_progress(lease: Lease, taken: Sequence[Taken], position: int) -> None:
    """Raises: Lost."""
    delivered_at = failed_at = None
    for one in taken:
        if one.answer.succeeded:
            delivered_at, failed_at = one.answer.at, None
        else:
            failed_at = failed_at or one.answer.at
    values: dict[str, Any] = {
        "id": lease.integration_id,
        "me": lease.me,
        "seconds": LEASE_SECONDS,
        "position": position,
        "delivered_at": delivered_at,
        "failed_at": failed_at,
    }
    with connection.cursor() as cursor:
        cursor.execute(_WRITE_PROGRESS, values)
        if not cursor.rowcount:
            raise Lost


def _write_tried_again(deliveries: Sequence[Delivery]) -> None:
    if not deliveries:
        return
    names = ("id", "state", "attempts", "next_at", "ended_at")
    rows = [{name: getattr(delivery, name) for name in names} for delivery in deliveries]
    with connection.cursor() as cursor:
        cursor.execute(_WRITE_TRIED_AGAIN, {"rows": json.dumps(rows, default=str)})


def _attempt(taken: Taken) -> DeliveryAttempt:
    answer, delivery = taken.answer, taken.parcel.delivery
    return DeliveryAttempt(
        delivery_id=delivery.pk,
        integration_id=delivery.integration_id,
        number=delivery.attempts,
        at=answer.at,
        milliseconds=answer.milliseconds,
        succeeded=answer.succeeded,
        status_code=answer.status,
        error_detail=answer.fault,
        body=answer.body,
    )


def _let_all_go(lease: Lease) -> None:
    """Have everything that waits sent now: somebody is there again."""
    now = clock.now()
    _waiting(lease).filter(next_at__gt=now).update(next_at=now)


def _wait(lease: Lease, taken: Sequence[Taken], failed: Collection[uuid.UUID]) -> None:
    """Leave it alone for as long as it has asked for, or while nobody is there."""
    moments = [
        one.parcel.delivery.next_at
        for one in taken
        if one.answer.retry_after is not None and one.parcel.delivery.next_at
    ]
    if len(failed) >= IN_A_ROW:
        oldest = _waiting(lease).order_by("position", "pk").first()
        moments += [oldest.next_at] if oldest and oldest.next_at else []
    if moments:
        Progress.objects.filter(pk=lease.integration_id).update(waits_until=max(moments))


def _disable(lease: Lease) -> None:
    integration = Integration.objects.select_for_update(no_key=True).get(pk=lease.integration_id)
    with changes.recorded(SYSTEM, integration):
        integration.enabled = False
        integration.updated_at = clock.now()
        integration.save(update_fields=["enabled", "updated_at"])


def _give_up(lease: Lease, taken: Taken) -> None:
    """Tell it nothing more. What was given up waits with the rest until somebody enables it."""
    delivery = taken.parcel.delivery
    Progress.objects.filter(pk=lease.integration_id).update(
        given_up_at=taken.answer.at,
        given_up_why=_why(taken),
        leased_by=None,
        leased_until=None,
        waits_until=None,
    )
    again(delivery).save(force_insert=True)


def _why(taken: Taken) -> str:
    delivery, answer = taken.parcel.delivery, taken.answer
    if answer.is_gone:
        return f"{answer.fault} It wants to be told nothing more."
    why = f"{delivery.type} failed {delivery.attempts} times. The last time: {answer.fault}"
    return why[:_WHY_LENGTH]


def again(delivery: Delivery) -> Delivery:
    """Make another delivery of the same event, to be sent at the next moment."""
    now = clock.now()
    return Delivery(
        integration_id=delivery.integration_id,
        origin=Origin.RESENT,
        position=delivery.position,
        event_id=delivery.event_id,
        type=delivery.type,
        next_at=now,
        created_at=now,
    )


def _waiting(lease: Lease) -> "QuerySet[Delivery]":
    return Delivery.objects.filter(integration=lease.integration_id, state=State.WAITING)


def _rows(statement: str, parameters: Mapping[str, Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())
