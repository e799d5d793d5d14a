"""Mails on their way: each is sent at most once, unless somebody sends it again.

That a mail is being sent is committed before the server hears of it. Whoever dies then leaves it in
doubt: it may have arrived, so that nothing sends it again by itself. What the server has not taken
for sure is tried again for some days, with growing pauses.
"""

import random
import smtplib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from email.utils import format_datetime, parseaddr
from typing import NamedTuple
from uuid import UUID

import structlog
from django.conf import settings
from django.core import mail
from django.db import DatabaseError, connection

from api import changes, clock, purging, store
from api.actors import Actor
from api.errors import Standing, require_as_seen
from api.idempotency import Key, claim
from api.transactions import in_transaction
from events.errors import MailNotSendable
from events.models import Mail, MailProgress, StaffMatter
from events.services import closing, mail_settings, mailing, notices
from events.services.smtp import Backend

log = structlog.get_logger(__name__)

State = Mail.State
# After which pauses a mail is tried again: for three and a half days.
PAUSES = [
    *(timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2)),
    *(timedelta(hours=6), timedelta(hours=12), timedelta(hours=24), timedelta(hours=40)),
]
# What one mail may take, from the first word to the last.
DEADLINE_SECONDS = 60
# After that nobody is at it any more.
DOUBTED_AFTER = timedelta(seconds=5 * DEADLINE_SECONDS)
IDLE_SECONDS, CLOSED_SECONDS = 2.0, 30.0
TEST = "test"
# What a server says before it ends the conversation.
GOES_AWAY = 421
# Answers from here on say no; from the second on, for ever.
REFUSES, REFUSES_FOR_EVER = 400, 500
# How long a server that cannot be reached is left alone: longer each time.
AWAY_SECONDS, AWAY_SECONDS_MAX = 5.0, 300.0

_CLAIM = """
UPDATE events_mail
SET state = 'sending', begun_at = %(now)s, next_at = NULL, attempts = attempts + 1
WHERE id = (
    SELECT id FROM events_mail WHERE state = 'waiting' AND next_at <= %(now)s
    ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED
) RETURNING *
"""
DOUBT = "Nobody knows whether it arrived: it was being sent when "


class Outcome(NamedTuple):
    state: Mail.State
    error: str = ""


def run(stop: threading.Event) -> None:
    """Send what waits, until told to stop."""
    away = AWAY_SECONDS
    while not stop.is_set():
        if closing.is_closed():
            stop.wait(CLOSED_SECONDS)
        elif send_waiting(stop):
            away = AWAY_SECONDS
            stop.wait(IDLE_SECONDS)
        else:
            stop.wait(away)
            away = min(2 * away, AWAY_SECONDS_MAX)


def send_waiting(stop: threading.Event) -> bool:
    """Send what waits now. False if the server cannot be reached: then nothing was tried."""
    _give_up_waiting_for()
    if not _is_to_send():
        return True
    backend = _backend()
    try:
        with _bounded(backend, stop):
            backend.open()
    except OSError as error:
        backend.drop()
        _tell_away(_short(error))
        return False
    _tell_away("")
    while not stop.is_set() and not backend.is_lost and (row := _claimed()):
        _settle(row, _sent(backend, row, stop), stop)
    with _bounded(backend, stop):
        backend.leave()
    return True


def _backend() -> Backend:
    backend = mail.get_connection(settings.EMAIL_BACKEND)
    assert isinstance(backend, Backend), "no other backend says what became of a mail"
    return backend


def _is_to_send() -> bool:
    if not mail_settings.can_send() or not MailProgress.objects.exists():
        return False
    return Mail.objects.filter(state=State.WAITING, next_at__lte=clock.now()).exists()


@contextmanager
def _bounded(backend: Backend, stop: threading.Event) -> Iterator[None]:
    """End the conversation if it takes too long, or a moment after somebody says that it is over.

    The timeout of a socket is for each of its answers, of which a server may send one letter.
    """
    over = threading.Event()
    threading.Thread(target=_watch, args=(backend, stop, over), daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _watch(backend: Backend, stop: threading.Event, over: threading.Event) -> None:
    end = time.monotonic() + DEADLINE_SECONDS
    while not over.wait(0.5):
        if time.monotonic() >= end or (stop.is_set() and not over.wait(1)):
            backend.cut()
            return


def _claimed() -> Mail | None:
    """Take the next one that waits. That it is being sent is committed when this returns."""
    return next(iter(Mail.objects.raw(_CLAIM, {"now": clock.now()})), None)


def _sent(backend: Backend, row: Mail, stop: threading.Event) -> Outcome:
    """Send it. After whatever goes wrong, the server is asked anew."""
    try:
        with _bounded(backend, stop):
            backend.send(message_of(row))
    except smtplib.SMTPRecipientsRefused as refused:
        [(code, said)] = refused.recipients.values()
        return _refused(backend, row, code, said)
    except OSError as error:
        if isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= REFUSES:
            return _refused(backend, row, error.smtp_code, error.smtp_error)
        # What has no answer, or half of one, and what is said to whoever may not send anything.
        backend.drop()
        if backend.may_have_it:
            return Outcome(State.IN_DOUBT, f"{DOUBT}the server was lost: {_short(error)}"[:500])
        return _later(row, _short(error))
    except Exception as error:
        # Such as an address that no header may hold. It will be no other one later.
        backend.drop()
        log.exception("mail_not_made", mail=str(row.pk))
        return Outcome(State.REFUSED, _short(error))
    return Outcome(State.SENT)


def _refused(backend: Backend, row: Mail, code: int, said: bytes | str) -> Outcome:
    """The server will not have it, or only not now."""
    if code == GOES_AWAY:
        backend.drop()
    words = said.decode(errors="replace") if isinstance(said, bytes) else said
    error = f"{code} {words}"[:500]
    return Outcome(State.REFUSED, error) if code >= REFUSES_FOR_EVER else _later(row, error)


def _later(row: Mail, error: str) -> Outcome:
    is_last = row.attempts > len(PAUSES)
    return Outcome(State.REFUSED if is_last else State.WAITING, error)


def _settle(row: Mail, outcome: Outcome, stop: threading.Event) -> None:
    """Write down what became of it. Where the database is away, that is tried until told to stop:
    what nobody wrote down is in doubt.
    """
    while True:
        try:
            _write(row, outcome)
        except DatabaseError:
            connection.close()
            if stop.wait(1):
                raise
        else:
            return


@in_transaction
def _write(row: Mail, outcome: Outcome) -> None:
    now = clock.now()
    pause = PAUSES[min(row.attempts, len(PAUSES)) - 1] * random.uniform(0.9, 1.1)  # noqa: S311
    mine = Mail.objects.filter(pk=row.pk, attempts=row.attempts, begun_at=row.begun_at)
    mine.filter(state__in=[State.SENDING, State.IN_DOUBT]).update(
        state=outcome.state,
        error=outcome.error,
        next_at=now + pause if outcome.state == State.WAITING else None,
        sent_at=now if outcome.state == State.SENT else None,
    )
    if outcome.error:
        log.warning("mail_not_sent", mail=str(row.pk), state=outcome.state, error=outcome.error)


@in_transaction
def _give_up_waiting_for() -> None:
    """Leave in doubt what somebody began to send, and has said nothing of since."""
    lost = Mail.objects.filter(state=State.SENDING, begun_at__lt=clock.now() - DOUBTED_AFTER)
    if lost.update(state=State.IN_DOUBT, error=f"{DOUBT}a worker ended."):
        log.warning("mails_in_doubt")


def _tell_away(why: str) -> None:
    """Keep for people that the server cannot be reached, or that it can be again."""
    rows = MailProgress.objects.all()
    if not why:
        rows.exclude(failing_since=None).update(failing_since=None, failing_why="")
        return
    log.warning("mail_server_away", error=why)
    rows.filter(failing_since=None).update(failing_since=clock.now())
    rows.update(failing_why=why)


def _short(error: BaseException) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        words = said.decode(errors="replace") if isinstance(said, bytes) else said
        return f"{error.smtp_code} {words}"[:400]
    return (str(error) or type(error).__name__)[:400]


def message_of(row: Mail) -> mail.EmailMultiAlternatives:
    """Make the mail as it goes out. However often it is sent, it is the same one."""
    address = parseaddr(row.sender)[1]
    message = mail.EmailMultiAlternatives(
        row.subject,
        row.text,
        row.sender,
        [row.recipient],
        headers={
            "Message-ID": f"<{row.pk}@{address.rpartition('@')[2]}>",
            "Date": format_datetime(row.created_at),
            "Auto-Submitted": "auto-generated",
        },
    )
    if row.html:
        message.attach_alternative(row.html, "text/html")
    return message


# By people.

SENDABLE = (State.SENT, State.REFUSED, State.IN_DOUBT)


def require_sendable(row: Mail) -> None:
    """Raises: MailNotSendable."""
    if row.state not in SENDABLE:
        raise MailNotSendable("It is on its way, or never to be sent.")
    require_server()


def require_server() -> None:
    """Raises: MailNotSendable."""
    if not mail_settings.can_send():
        raise MailNotSendable("There is no mail server here: no mail leaves this shop.")
    if not MailProgress.objects.exists():
        raise MailNotSendable("Mail is switched off: say under Mail who sends it.")


@in_transaction
def send_again(
    mail_id: UUID, *, actor: Actor, seen: Standing | None = None, key: Key | None = None
) -> None:
    """Send a mail once more, as it is. Raises: MailNotSendable, Moved."""
    claim(key, mail_id)
    row = Mail.objects.select_for_update().get(pk=mail_id)
    require_as_seen(seen, row.standing)
    require_sendable(row)
    with changes.recorded(actor, row, state=row.standing):
        row.state, row.next_at, row.sent_at = State.WAITING, clock.now(), None
        row.attempts, row.error = 0, ""
        row.save(update_fields=["state", "next_at", "sent_at", "attempts", "error"])


@in_transaction
def send_test(recipient: str, key: Key | None = None) -> None:
    """Send a mail that tells nothing, to see whether one arrives. Raises: MailNotSendable."""
    claim(key, "mail test")
    require_server()
    now = clock.now()
    text = "This is a test, which somebody asked for under Mail. It has arrived."
    Mail.objects.create(
        notice=TEST,
        sender=mailing.sender(mail_settings.current()),
        recipient=recipient,
        subject=f"A test mail of {store.current().name or 'Holdfast'}",
        text=f"{text}\n",
        html=f"<p>{text}</p>\n",
        created_at=now,
        next_at=now,
    )


# Keeping.


def purge() -> int:
    """Forget mails as old as they are kept, with the words and addresses in them."""
    before = clock.now() - timedelta(days=settings.MAILS_KEPT_DAYS)
    return purging.purge(Mail.objects.filter(created_at__lt=before)) + purging.purge(
        StaffMatter.objects.filter(told_at__lt=before, notice__in=notices.of_events())
    )
