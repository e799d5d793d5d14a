"""What tests of mails need: mail that is switched on, and events that they tell themselves."""

import json
from datetime import datetime
from typing import Any

from django.db.models import Max
from django.utils import timezone

from api.ids import uuid7
from events.models import Event, Mail
from events.services import mail_settings, mailing
from tests.factories import MERCHANT


def switch_on(*staff: str, **fields: Any) -> None:
    mail_settings.change(
        actor=MERCHANT,
        sender_name="The Shop",
        sender_address="shop@example.com",
        staff=list(staff) or ["staff@example.com"],
        **fields,
    )


def happen(
    kind: str,
    subject: object,
    *,
    sequence: int | None = None,
    occurred_at: datetime | None = None,
    **data: Any,
) -> Event:
    """Put an event at the end of the feed, of what happens now."""
    last = Event.objects.aggregate(last=Max("position"))["last"] or 0
    return Event.objects.create(
        position=last + 1,
        id=uuid7(),
        type=kind,
        kind=kind.split(".")[0],
        subject=str(subject),
        sequence=sequence,
        occurred_at=occurred_at or timezone.now(),
        payload=json.dumps({"data": data}),
    )


def told() -> list[Mail]:
    """Make mails of all that has happened, and return all that there are."""
    while mailing.tell_some():
        pass
    return list(Mail.objects.order_by("pk"))
