"""Programs that are told of it all, and what they and the feed must have heard in the end."""

import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime
from typing import Any

from events.models import Delivery, Event, Outbox, Progress
from events.services import feed, kinds, sequencing
from orders.models import Order, Return, Shipment
from payments.models import Payment
from tests.events.receiver import Answering, Handler, Receiver, ok, raw, receiving, status
from tests.events.telling import told_to

# Longer than a lease, and than all that failed takes to be tried again.
SECONDS = 90
# Longer than a worker of the harness waits for an answer: see `nursery`.
LATE_SECONDS = 1.5
_KNOWN = {
    "order": Order,
    "transaction": Payment,
    "shipment": Shipment,
    "return": Return,
}


def late(handler: Handler) -> None:
    """Answer when nobody waits for it any more."""
    handler.receiver.released.wait(LATE_SECONDS)
    ok(handler)


def twice(handler: Handler) -> None:
    raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 500 No\r\n\r\n")(handler)


class Hearing:
    """One that always listens, and one that fails in every way, and dies for a while."""

    def __init__(self, chance: random.Random, observes: Collection[str] = kinds.TYPES) -> None:
        self.chance = chance
        self.observes = sorted(observes)
        self.began = feed.last_position()
        self.lock = threading.Lock()
        self.ends = ExitStack()
        self.receivers: dict[str, Receiver] = {}
        self.integrations = {}
        for name in ("steady", "moody"):
            receiver = self.receivers[name] = self.ends.enter_context(receiving())
            self.integrations[name] = told_to(
                receiver.url, name=name, observes=self.observes, position=self.began
            )
        self.receivers["moody"].answering = self._moody
        self.is_dead = False

    def _moody(self, handler: Handler) -> None:
        with self.lock:
            mood: Answering = self.chance.choices(
                [ok, status(500), raw(), twice, late], [80, 8, 5, 5, 2]
            )[0]
        raw()(handler) if self.is_dead else mood(handler)

    def let_all_be_told(self) -> list[str]:
        """Wait until nobody waits for anything; say what they wait for if that takes too long."""
        self.is_dead = False
        deadline = time.monotonic() + SECONDS
        while (waits := self._waits()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return waits

    def _waits(self) -> list[str]:
        if Outbox.objects.exists():
            return [f"the outbox still has {Outbox.objects.count()} rows"]
        found = []
        for name, integration in self.integrations.items():
            position = Progress.objects.get(pk=integration.pk).position
            # Where it ends is written down every now and then if nothing was for it.
            left = Event.objects.filter(position__gt=position, type__in=self.observes).count()
            waiting = Delivery.objects.filter(integration=integration, state="waiting").count()
            if left or waiting:
                found.append(f"{name} has {left} events to come, and {waiting} again")
        return found

    def differences(self) -> list[str]:
        """Name what was not heard, or not in order. Nobody may be changing anything meanwhile."""
        return [
            *self.let_all_be_told(),
            *differences_of_feed(),
            *(each for name in self.receivers for each in self._misheard(name)),
        ]

    def _misheard(self, name: str) -> Iterator[str]:
        """Each event was heard and no other one: in order, but for those that failed at first."""
        observed = Event.objects.filter(position__gt=self.began, type__in=self.observes)
        told = {str(pk): at for pk, at in observed.values_list("id", "position")}
        heard = [each.headers["webhook-id"] for each in self.receivers[name].received]
        first = list(dict.fromkeys(heard))
        if missing := told.keys() - set(first):
            yield f"{name} has not heard {len(missing)} of {len(told)} events: {min(missing)}"
        if unknown := set(first) - told.keys():
            yield f"{name} has heard {len(unknown)} events that are not in the feed: {min(unknown)}"
        tried = Delivery.objects.filter(integration=self.integrations[name], attempts__gt=1)
        failed = set(tried.values_list("position", flat=True))
        positions = [told[each] for each in first if each in told and told[each] not in failed]
        for before, after in itertools.pairwise(positions):
            if after < before:
                yield f"{name} has heard {after} for the first time after {before}"
                break

    def heard(self) -> Counter[str]:
        """Count what each has heard, and what of it not for the first time."""
        found: Counter[str] = Counter()
        for name, receiver in self.receivers.items():
            ids = [each.headers["webhook-id"] for each in receiver.received]
            found[f"events {name} heard"] += len(set(ids))
            found[f"of them {name} again"] += len(ids) - len(set(ids))
        return found

    def end(self) -> None:
        for integration in self.integrations.values():
            integration.delete()
        self.ends.close()


# The feed itself.


def differences_of_feed(since: datetime | None = None) -> list[str]:
    """Compare the feed with what there is, once all is numbered. Of the logs, the audit does it.

    With a moment: of what was made since.
    """
    sequencing.number_all()
    return [each for kind in _KNOWN for each in _untold(kind, since)]


def _untold(kind: str, since: datetime | None) -> Iterator[str]:
    """What was told first of a thing is that it was made, once, and last what it is now."""
    made = _KNOWN[kind]._default_manager.all()
    if since:
        made = made.filter(created_at__gte=since)
    ids = [str(pk) for pk in made.values_list("pk", flat=True)]
    documents = kinds.documents(kind, ids)
    told: dict[str, list[Event]] = {}
    for event in Event.objects.filter(kind=kind).order_by("position"):
        told.setdefault(event.subject, []).append(event)
    if not since and (unknown := told.keys() - set(ids)):
        yield f"the feed tells of a {kind} that there is not: {min(unknown)}"
    for subject, document in documents.items():
        events = told.get(subject, [])
        if [event.type for event in events].count(f"{kind}.created") != 1:
            yield f"of the {kind} {subject} it is not told once that it was made"
        elif not events[0].type.endswith(".created"):
            yield f"of the {kind} {subject} it is told late that it was made"
        elif _seen(json.loads(events[-1].payload)) != _seen(json.loads(json.dumps(document))):
            yield f"of the {kind} {subject} it is not told what became of it"


def _seen(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Leave out when it was written last: that alone is not told."""
    data = dict(document["data"])
    data.pop("updated_at", None)
    meta = dict(data.get("meta", {}))
    stamps = dict(meta.get("timestamps", {}))
    stamps.pop("updated_at", None)
    return {**document, "data": {**data, "meta": {**meta, "timestamps": stamps}}}
