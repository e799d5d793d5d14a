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
            models.Index(fields=["subject", "position"], name="events_by_subject"),
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
