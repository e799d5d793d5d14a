"""Whether and as whom a store tells by mail, to which staff, and in which words."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db.models import Max

from api import changes, clock
from api.actors import Actor
from api.idempotency import Key, claim
from api.transactions import in_transaction
from events.models import Event, Mail, MailProgress, MailSettings, MailText, StaffMatter
from events.services import closing, texts
from events.services.texts import Texts


def current() -> MailSettings:
    """Return what is set, or the defaults while nobody has set anything: no mail is sent."""
    return MailSettings.objects.first() or MailSettings()


def can_send() -> bool:
    """Tell whether there is a server to send mails by: in the demo, they are kept instead."""
    return bool(settings.EMAIL_HOST) and settings.MAILS_ARE_SENT


@in_transaction
def change(
    *,
    actor: Actor,
    seen: Mapping[str, Any] | None = None,
    key: Key | None = None,
    **fields: Any,
) -> None:
    """Change the given settings and leave the rest. Raises: Moved.

    With the first sender, mail is switched on: it tells what happens from then on. Without one it
    is off, and what was not told by then never is.
    """
    claim(key, "mail")
    MailSettings.objects.bulk_create([MailSettings()], ignore_conflicts=True)
    row = MailSettings.objects.select_for_update(no_key=True).get()
    was_on = bool(row.sender_address)
    with changes.recorded(actor, row, seen=seen):
        for name, value in fields.items():
            setattr(row, name, value)
        if fields:
            row.save(update_fields=list(fields))
    if bool(row.sender_address) != was_on:
        _begin() if row.sender_address else _end()


def _begin() -> None:
    closing.remember()
    last = Event.objects.aggregate(last=Max("position"))["last"] or 0
    MailProgress.objects.bulk_create([MailProgress(position=last, since=clock.now())])


def _end() -> None:
    MailProgress.objects.all().delete()
    StaffMatter.objects.all().delete()
    Mail.objects.filter(state=Mail.State.WAITING).update(
        state=Mail.State.REFUSED, next_at=None, error="Mail was switched off before it was sent."
    )


def texts_of(notice: str) -> Texts:
    """Return the templates of a notice: the store's own, or else ours."""
    row = MailText.objects.filter(pk=notice).first()
    return Texts(row.subject, row.text, row.html) if row else texts.ours(notice)


@in_transaction
def write(
    notice: str,
    *,
    actor: Actor,
    seen: Mapping[str, Any] | None = None,
    key: Key | None = None,
    **parts: str,
) -> None:
    """Let a store's own words stand for ours. Whoever calls has asked `texts.faults`.

    Raises: Moved.
    """
    claim(key, notice)
    begin = MailText(notice=notice, **texts.ours(notice)._asdict())
    MailText.objects.bulk_create([begin], ignore_conflicts=True)
    row = MailText.objects.select_for_update(no_key=True).get(pk=notice)
    with changes.recorded(actor, row, seen=seen):
        for name, value in parts.items():
            setattr(row, name, value)
        row.fault, row.fault_at = "", None
        row.save()


@in_transaction
def take_ours(notice: str, *, actor: Actor, key: Key | None = None) -> None:
    """Forget what a store has written for a notice, and use our words again."""
    claim(key, notice)
    row = MailText.objects.select_for_update().filter(pk=notice).first()
    if row:
        changes.deleted(actor, row)
        row.delete()
