"""What becomes a mail: the feed is followed from where mail was switched on.

The cursor moves in the transaction that makes the mails of what it passes, so that each event is
told once, whoever dies where. They are sent after that: see events.services.posting.

Staff are told of the first matter at once. Of what follows within ten minutes they are told when
those are over, in one mail: a sheet that empties 500 products makes two mails and not 500.
"""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from uuid import UUID

import structlog
from django.conf import settings
from django.db import DatabaseError, connection

from api import clock, store
from api.transactions import in_transaction
from events.models import Event, Mail, MailProgress, MailSettings, MailText, StaffMatter
from events.services import closing, notices, texts
from events.services.notices import Letter, Matter, Notice, Words
from events.services.texts import TextFault, Texts

log = structlog.get_logger(__name__)

# How many events become mails together, and how many matters stand in one.
EVENTS, MATTERS = 200, 100
TOGETHER = timedelta(minutes=10)
# How often it is looked for what stands in no feed.
LOOK = timedelta(minutes=1)
IDLE_SECONDS, CLOSED_SECONDS = 2.0, 30.0

_AHEAD = """
SELECT position, id, type, kind, subject, sequence, occurred_at, numbered_at, payload
FROM events_event WHERE position > %s AND position <= %s AND type = ANY(%s)
ORDER BY position LIMIT %s
"""


def run(stop: threading.Event) -> None:
    """Make mails of what happens, until told to stop."""
    while not stop.is_set():
        if closing.is_closed():
            stop.wait(CLOSED_SECONDS)
        elif not tell_some():
            stop.wait(IDLE_SECONDS)


@in_transaction
def tell_some() -> bool:
    """Make mails of the next events, and tell whether there may be more. One does so at a time."""
    progress = MailProgress.objects.select_for_update(skip_locked=True).first()
    if not progress:
        return False
    telling = _Telling(MailSettings.objects.get(), progress, clock.now())
    return telling.go_on()


def made_of(notice: Notice, words: Words, templates: Texts) -> Texts:
    """Make a mail. Raises: TextFault."""
    return texts.made(templates, {**words, "store": _store()})


def faults(notice: Notice, templates: Texts) -> dict[str, str]:
    """Tell of each part of a store's own texts why nothing good can be made of it."""
    found: dict[str, str] = {}
    for words in samples(notice):
        found |= texts.faults(templates, {**words, "store": _store()})
    return found


def samples(notice: Notice) -> list[Words]:
    """Return what texts are tried with: of staff's, one matter and more than are named."""
    if not notice.is_for_staff:
        return [notice.sample]
    return [_words_of([notice.sample], 1), _words_of([notice.sample] * 3, 5)]


def _words_of(matters: Sequence[Words], count: int) -> Words:
    return {"matters": list(matters), "count": count, "more": count - len(matters)}


def _store() -> Words:
    return {"name": store.current().name or "Holdfast", "url": settings.PUBLIC_URL}


@dataclass
class _Telling:
    """One transaction, which makes mails and moves the cursor."""

    settings: MailSettings
    progress: MailProgress
    now: datetime

    @cached_property
    def wanted(self) -> list[Notice]:
        return [each for each in notices.known() if each.name not in self.settings.off]

    @cached_property
    def own_texts(self) -> dict[str, MailText]:
        return {row.pk: row for row in MailText.objects.all()}

    def go_on(self) -> bool:
        begin = (self.progress.position, self.progress.looked_at)
        found, last = self._ahead()
        for event in found:
            if event.occurred_at >= self.progress.since:
                self._tell(event)
        has_more = len(found) == EVENTS
        self.progress.position = found[-1].position if has_more else last
        if not has_more:
            self._look()
            self._tell_staff()
        if (self.progress.position, self.progress.looked_at) != begin:
            self.progress.save(update_fields=["position", "looked_at"])
        return has_more

    def _ahead(self) -> tuple[list[Event], int]:
        """Read the next events that are told by mail, and how long the feed is."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT coalesce(max(position), 0) FROM events_event")
            [last] = cursor.fetchone()
        types = sorted(set().union(*(each.types for each in self.wanted)))
        # A database that was restored to an earlier moment has a shorter feed.
        after = min(self.progress.position, last)
        if after == last:
            return [], last
        return list(Event.objects.raw(_AHEAD, [after, last, types, EVENTS])), last

    def _tell(self, event: Event) -> None:
        for notice in self.wanted:
            if event.type not in notice.types:
                continue
            try:
                letters = list(notice.letters(event)) if notice.letters else []
                matters = list(notice.matters(event)) if notice.matters else []
            except DatabaseError:
                raise
            except Exception:
                # One that cannot be told keeps nothing from being told that comes after it.
                log.exception("notice_failed", notice=notice.name, position=event.position)
                continue
            self._keep(notice, matters)
            Mail.objects.bulk_create(
                [
                    self._mail(notice, letter)
                    for letter in letters
                    if letter.recipient and letter.is_news(event, self.progress.since)
                ],
                ignore_conflicts=True,
            )

    def _mail(self, notice: Notice, letter: Letter) -> Mail:
        written = self._written(notice, letter.words)
        return self._row(notice, letter.recipient, written, letter.key, letter.order_id)

    def _row(
        self,
        notice: Notice,
        recipient: str,
        written: Texts,
        key: str = "",
        order_id: UUID | None = None,
    ) -> Mail:
        is_kept = not settings.MAILS_ARE_SENT
        return Mail(
            notice=notice.name,
            key=key,
            order_id=order_id,
            sender=sender(self.settings),
            recipient=recipient,
            **written._asdict(),
            state=Mail.State.KEPT if is_kept else Mail.State.WAITING,
            created_at=self.now,
            next_at=None if is_kept else self.now,
        )

    def _written(self, notice: Notice, words: Words) -> Texts:
        """Make the texts: by ours, where a store's own do not stand what has happened."""
        if row := self.own_texts.get(notice.name):
            try:
                return made_of(notice, words, Texts(row.subject, row.text, row.html))
            except TextFault as fault:
                log.error("mail_text_failed", notice=notice.name, fault=str(fault))
                row.fault, row.fault_at = str(fault)[:500], self.now
                row.save(update_fields=["fault", "fault_at"])
        return made_of(notice, words, texts.ours(notice.name))

    # Staff.

    def _keep(
        self, notice: Notice, matters: Iterable[Matter], told_at: datetime | None = None
    ) -> None:
        rows = [
            StaffMatter(
                notice=notice.name, key=each.key, words=each.words, at=self.now, told_at=told_at
            )
            for each in matters
        ]
        StaffMatter.objects.bulk_create(rows, ignore_conflicts=True)

    def _look(self) -> None:
        """Look for what stands in no feed: what is new is kept, and what is over forgotten.

        What stands already when mail or a notice is switched on, people know.
        """
        looked_at = self.progress.looked_at
        if looked_at and self.now < looked_at + LOOK:
            return
        self.progress.looked_at = self.now
        for notice in notices.known():
            matters = notice.standing() if notice.standing else None
            if matters is None:
                continue
            found = {each.key: each for each in matters}
            rows = StaffMatter.objects.filter(notice=notice.name)
            rows.exclude(key__in=found).delete()
            known = set(rows.values_list("key", flat=True))
            is_known = not looked_at or notice.name in self.settings.off
            self._keep(
                notice,
                [each for key, each in found.items() if key not in known],
                self.now - TOGETHER if is_known else None,
            )

    def _tell_staff(self) -> None:
        waits = set(StaffMatter.objects.filter(told_at=None).values_list("notice", flat=True))
        for notice in self.wanted:
            if notice.name in waits:
                self._tell_matters(notice)

    def _tell_matters(self, notice: Notice) -> None:
        rows = StaffMatter.objects.filter(notice=notice.name)
        waiting = rows.filter(told_at=None)
        if said := notice.said_by - {*self.settings.off}:
            others = StaffMatter.objects.filter(notice__in=said).values("key")
            waiting.filter(key__in=others).delete()
        if rows.filter(told_at__gt=self.now - TOGETHER).exists() or not waiting.exists():
            return
        matters = list(waiting.order_by("pk")[:MATTERS].values_list("words", flat=True))
        written = self._written(notice, _words_of(matters, waiting.count()))
        Mail.objects.bulk_create([self._row(notice, each, written) for each in self.settings.staff])
        waiting.update(told_at=self.now)


def sender(mail_settings: MailSettings) -> str:
    """Write whom the mails are from, as it stands in their header."""
    # No header may hold more than one line.
    name = " ".join((mail_settings.sender_name or store.current().name).split())
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    address = mail_settings.sender_address
    return f'"{quoted}" <{address}>' if name else address
