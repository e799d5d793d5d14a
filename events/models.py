"""What others are told: the outbox, the feed that it becomes, and who listens to it.

The outbox is written by triggers, in the transaction of the change itself. The sequencer numbers
what has committed into the feed; from there it is delivered, and read.
"""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Func, Q
from django.db.models.functions import Now

from api.ids import uuid7

TYPE_LENGTH = 64


class TransactionNumber(models.Field):  # type: ignore[type-arg]
    """The number of a transaction of the database: by it, what one changed is known together."""

    def db_type(self, connection: Any) -> str:
        return "xid8"


class Outbox(models.Model):
    """That something changed, in the transaction that changed it: who reads this saw it commit.

    Triggers write it. A subject is locked while it is changed, so `ordinal` rises with the changes
    of each, though not with the commits of all.
    """

    ordinal = models.BigAutoField(primary_key=True)
    transaction = TransactionNumber(db_column="xid", db_default=Func(function="pg_current_xact_id"))
    occurred_at = models.DateTimeField(db_default=Func(function="clock_timestamp"))
    # What changed, such as an order, and how: the ends of the event's types, such as "updated".
    kind = models.CharField(max_length=TYPE_LENGTH)
    subject = models.CharField(max_length=128, db_default="")
    changes = ArrayField(models.TextField(), default=list, db_default=[])
    # Of stock: a row for a statement, with which entries of whose logs it wrote.
    stocks = ArrayField(models.UUIDField(), null=True)
    firsts = ArrayField(models.BigIntegerField(), null=True)
    lasts = ArrayField(models.BigIntegerField(), null=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.kind} {self.subject} {', '.join(self.changes)}"


class Event(models.Model):
    """One change, told: its place in the feed, and the thing as it was when it was numbered."""

    # Without gaps, and only one transaction at a time hands them out.
    position = models.BigIntegerField(primary_key=True)
    id = models.UUIDField(unique=True, default=uuid7, editable=False)
    # What the wire calls it: `triggered_by`.
    type = models.CharField(max_length=TYPE_LENGTH)
    kind = models.CharField(max_length=TYPE_LENGTH)
    subject = models.CharField(max_length=128)
    # Of an entry of a stock's log: its number in there.
    sequence = models.BigIntegerField(null=True)
    occurred_at = models.DateTimeField()
    numbered_at = models.DateTimeField(db_default=Now())
    # JSON, as text: nobody looks into it here, and it goes out as it came.
    payload = models.TextField()

    class Meta:
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["type", "position"], name="events_by_type"),
            # With what the audit asks of each: it reads no payload.
            models.Index(
                fields=["subject", "position"],
                include=["kind", "sequence"],
                name="events_by_subject",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.position} {self.type}"


class ToldStock(models.Model):
    """Which entries of a stock's log are in the feed, or were: from the first to the last one.

    Written by the sequencer alone, which refuses a gap. The audit compares it with the stock.
    """

    stock_id = models.UUIDField(primary_key=True)
    first = models.BigIntegerField()
    last = models.BigIntegerField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                condition=Q(first__gte=1, last__gte=models.F("first") - 1), name="told_in_a_row"
            )
        ]

    def __str__(self) -> str:
        return f"{self.first} to {self.last} of {self.stock_id}"


class Integration(models.Model):
    """A program that is told of events by webhook: what people, or it itself, set."""

    class Type(models.TextChoices):
        WEBHOOK = "webhook"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    enabled = models.BooleanField(default=False)
    integration_type = models.CharField(max_length=16, choices=Type, default=Type.WEBHOOK)
    url = models.CharField(max_length=2000)
    # Sent with each delivery as it is, in the body and in X-MOLTIN-SECRET-KEY: the published way.
    secret_key = models.CharField(max_length=500, blank=True)
    observes = ArrayField(models.CharField(max_length=TYPE_LENGTH))
    # What signs each delivery: `whsec_` and base64. Told once, to whoever makes or renews it.
    signing_secret = models.CharField(max_length=100, editable=False)
    # The one before, which signs beside it until then.
    old_signing_secret = models.CharField(max_length=100, blank=True, editable=False)
    old_signs_until = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(editable=False)
    updated_at = models.DateTimeField(editable=False)

    def __str__(self) -> str:
        return self.name


class Progress(models.Model):
    """How far an integration has been told, and how it goes: written by whoever delivers.

    Apart from what people set, which must not be locked while it is told.
    """

    integration = models.OneToOneField(
        Integration, models.CASCADE, primary_key=True, related_name="progress"
    )
    # Of the last event that was looked at for it: delivered, on its way again, or not for it.
    position = models.BigIntegerField()
    # Who delivers to it, and until when nobody else may.
    leased_by = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)
    # Nothing new is sent until then: it asked for that, or fails with whatever comes.
    waits_until = models.DateTimeField(null=True)
    # Since when nothing reached it; None while it goes well.
    failing_since = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    # Why it was disabled by itself, and when. Ends when somebody enables it.
    given_up_at = models.DateTimeField(null=True)
    given_up_why = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.integration_id} at {self.position}"


class Delivery(models.Model):
    """One event on its way to one integration; on the wire, an integration job."""

    class Origin(models.TextChoices):
        FEED = "feed"
        # Sent again because somebody wanted it.
        RESENT = "resent"
        TEST = "test"

    class State(models.TextChoices):
        # Not sent yet, or to be tried again.
        WAITING = "waiting"
        DELIVERED = "delivered"
        # After the last attempt, or because the integration was disabled or deleted meanwhile.
        GIVEN_UP = "given up"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # Which may be gone: of millions of these, none must be waited for when somebody deletes it.
    integration = models.ForeignKey(
        Integration,
        models.DO_NOTHING,
        related_name="deliveries",
        db_index=False,
        db_constraint=False,
    )
    origin = models.CharField(max_length=8, choices=Origin, default=Origin.FEED)
    # In the feed, which may have let it go; None for a test, which is in no feed.
    position = models.BigIntegerField(null=True)
    # The same for every attempt, and whoever sends it again.
    event_id = models.UUIDField()
    type = models.CharField(max_length=TYPE_LENGTH)
    # Of a test alone: of all others, the feed has it.
    payload = models.TextField(blank=True, default="")
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["integration", "position"],
                condition=Q(origin="feed"),
                name="delivery_once_from_the_feed",
            ),
            models.CheckConstraint(
                condition=Q(state="waiting", ended_at=None)
                | (~Q(state="waiting") & Q(ended_at__isnull=False)),
                name="delivery_ended_or_not",
            ),
            models.CheckConstraint(
                condition=Q(origin="test", position=None)
                | (~Q(origin="test") & Q(position__isnull=False)),
                name="delivery_of_an_event_or_a_test",
            ),
        ]
        indexes = [
            models.Index(fields=["integration", "-id"], name="deliveries_newest_first"),
            models.Index(
                fields=["integration", "next_at"],
                condition=Q(state="waiting"),
                name="deliveries_waiting",
            ),
            models.Index(fields=["event_id"], name="deliveries_of_an_event"),
            models.Index(fields=["created_at"], name="deliveries_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"


BODY_MAX = 2048


class DeliveryAttempt(models.Model):
    """One try to deliver, and what came back; on the wire, an integration log."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="tries", db_index=False)
    # As the delivery's, for lists of one integration.
    integration = models.ForeignKey(
        Integration, models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False
    )
    number = models.PositiveSmallIntegerField()
    at = models.DateTimeField()
    milliseconds = models.PositiveIntegerField()
    succeeded = models.BooleanField()
    # None where no answer came.
    status_code = models.PositiveSmallIntegerField(null=True)
    error_detail = models.CharField(max_length=500, blank=True, default="")
    # The beginning of what was answered.
    body = models.CharField(max_length=BODY_MAX, blank=True, default="")

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["delivery", "number"], name="attempt_once_a_number")
        ]
        indexes = [
            models.Index(fields=["integration", "-id"], name="attempts_newest_first"),
            # Few among many, and what people look for.
            models.Index(fields=["-id"], condition=Q(succeeded=False), name="attempts_that_failed"),
        ]

    def __str__(self) -> str:
        return f"{self.number} of {self.delivery_id}"


ADDRESS_LENGTH = 254
# Of people who work here. More are better told by one address that leads to all of them.
STAFF_MAX = 20


class MailSettings(models.Model):
    """As whom notices are sent by mail, to which staff, and which: one row, kept by people."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    sender_name = models.CharField(max_length=100, blank=True, default="")
    # Empty: nobody is told anything by mail.
    sender_address = models.CharField(max_length=ADDRESS_LENGTH, blank=True, default="")
    staff = ArrayField(models.CharField(max_length=ADDRESS_LENGTH), default=list, blank=True)
    # The notices that are not wanted: one that a release brings is.
    off = ArrayField(models.CharField(max_length=32), default=list, blank=True)

    class Meta:
        default_permissions = ("view", "change")
        verbose_name = verbose_name_plural = "mail"
        constraints = [models.CheckConstraint(condition=Q(id=1), name="mail_settings_one_row")]

    def __str__(self) -> str:
        return "Mail"


class MailProgress(models.Model):
    """How far the feed has been told by mail: one row, there while mail is switched on.

    Apart from what people set, which must not be locked while it is told.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    # Of the last event that was looked at.
    position = models.BigIntegerField()
    # When mail was switched on: what happened before that is told to nobody.
    since = models.DateTimeField()
    # When it was last looked for what stands in no feed; None until then.
    looked_at = models.DateTimeField(null=True)
    # Since when the mail server cannot be reached, and why; None while it can.
    failing_since = models.DateTimeField(null=True)
    failing_why = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=Q(id=1), name="mail_progress_one_row")]

    def __str__(self) -> str:
        return f"mail at {self.position}"


class MailText(models.Model):
    """What a store has written for a notice, in Django's template language; without one, ours."""

    notice = models.CharField(max_length=32, primary_key=True, editable=False)
    subject = models.CharField(max_length=200)
    text = models.TextField()
    html = models.TextField()
    # Why it could not be made with something that happened, and when that was last.
    fault = models.CharField(max_length=500, blank=True, default="", editable=False)
    fault_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        default_permissions = ("view", "change")

    def __str__(self) -> str:
        return self.notice


class StaffMatter(models.Model):
    """Something that staff are to be told of, once: a crossing, or a case that stands.

    What stands keeps its row until it does not any more, so that nobody is told of it again.
    """

    notice = models.CharField(max_length=32)
    key = models.CharField(max_length=200)
    # What its texts are made with.
    words = models.JSONField()
    at = models.DateTimeField()
    told_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["notice", "key"], name="staff_matter_once"),
        ]
        indexes = [
            models.Index(fields=["notice"], condition=Q(told_at=None), name="staff_matters_untold"),
        ]

    def __str__(self) -> str:
        return f"{self.notice} {self.key}"


class Mail(models.Model):
    """One mail to one address, as it is sent: at most once, unless somebody sends it again."""

    class State(models.TextChoices):
        WAITING = "waiting"
        # Somebody speaks with the mail server; that is committed before it hears of the mail.
        SENDING = "sending"
        SENT = "sent"
        # The server will not have it, or could not be reached for days.
        REFUSED = "refused"
        # Whoever sent it died, or lost the server, after all of it was said.
        IN_DOUBT = "in doubt"
        # Never to be sent: in the demo.
        KEPT = "kept"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    notice = models.CharField(max_length=32)
    # What it tells, such as the id of a shipment; empty for what staff are told together.
    key = models.CharField(max_length=200, blank=True, default="")
    sender = models.CharField(max_length=400)
    recipient = models.CharField(max_length=ADDRESS_LENGTH)
    subject = models.CharField(max_length=250)
    text = models.TextField()
    html = models.TextField(blank=True, default="")
    # Of which order it is, for those to whom it may be shown there.
    order_id = models.UUIDField(null=True)
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField()
    # When it is to be sent; None unless it waits.
    next_at = models.DateTimeField(null=True)
    # When it was last begun to send it, and when it was sent.
    begun_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        default_permissions = ("view",)
        permissions = [("send_mail", "Can send mails again")]
        constraints = [
            models.UniqueConstraint(
                fields=["notice", "key", "recipient"],
                condition=~Q(key=""),
                name="mail_once_for_each_thing",
            ),
            models.CheckConstraint(
                condition=Q(state="waiting", next_at__isnull=False)
                | (~Q(state="waiting") & Q(next_at=None)),
                name="mail_waits_until",
            ),
            models.CheckConstraint(
                condition=Q(state="sent", sent_at__isnull=False)
                | (~Q(state="sent") & Q(sent_at=None)),
                name="mail_sent_some_time",
            ),
        ]
        indexes = [
            models.Index(fields=["next_at"], condition=Q(state="waiting"), name="mails_waiting"),
            models.Index(fields=["begun_at"], condition=Q(state="sending"), name="mails_sending"),
            models.Index(fields=["created_at"], name="mails_by_age"),
            models.Index(fields=["recipient", "-id"], name="mails_by_recipient"),
            models.Index(fields=["state", "-id"], name="mails_by_state"),
            models.Index(
                fields=["order_id"], condition=Q(order_id__isnull=False), name="mails_of_an_order"
            ),
        ]

    def __str__(self) -> str:
        # On record, where it stays: so it names nobody.
        return f"Mail {self.pk}"

    def standing(self) -> dict[str, str]:
        """What people decide by who send it again."""
        return {"state": self.state}
