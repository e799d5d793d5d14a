"""Has it been paid: every attempt to move money is on record before a gateway hears of it."""

import uuid
from datetime import datetime

from django.db import models
from django.db.models import F, Q

from api import compiled
from api.errors import Standing
from api.ids import uuid7
from api.models import ActedBy
from orders.models import Order


class Gateway(models.Model):
    """Whether the store uses a gateway; what it can do is code, in payments.gateways."""

    slug = models.SlugField(primary_key=True)
    name = models.CharField(max_length=100)
    enabled = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.name


class Installation(models.Model):
    """Whose database this is: one row, written as gateways are enabled and opened.

    See payments.services.installation.
    """

    id = models.SmallIntegerField(primary_key=True, default=1, editable=False)
    # What HOLDFAST_INSTALLATION said when they were opened.
    name = models.TextField(blank=True)
    # Which table of which database this was then, in the database's own numbers.
    place = models.TextField()
    # Whose money they moved then, by slug, as far as their keys told.
    accounts = models.JSONField(default=dict)
    # Since when nobody may ask a gateway, because the database was restored.
    closed_at = models.DateTimeField(null=True)
    closed_why = models.TextField(blank=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name or "this shop"


class Payment(ActedBy):
    """One part of an order's payment; on the wire, the order's transaction."""

    class Method(models.TextChoices):
        PURCHASE = "purchase"
        AUTHORIZE = "authorize"

    class Status(models.TextChoices):
        PENDING = "pending"
        COMPLETE = "complete"
        FAILED = "failed"
        CANCELLED = "cancelled"

    # Also the key by which the gateway tells a repetition from a second payment.
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    order = models.ForeignKey(Order, models.PROTECT, related_name="payments")
    gateway = models.CharField(max_length=50)
    method = models.CharField(max_length=9, choices=Method)
    status = models.CharField(max_length=9, choices=Status, default=Status.PENDING)
    currency = models.CharField(max_length=3)
    amount = models.BigIntegerField()
    captured_amount = models.BigIntegerField(default=0)
    # When it was captured, which happens once: it stays also when all of it is refunded.
    captured_at = models.DateTimeField(null=True)
    refunded_amount = models.BigIntegerField(default=0)
    # How much refunds that are still on their way would add to the refunded amount.
    refunding_amount = models.BigIntegerField(default=0)
    # Money that came when the order could no longer take it, or beyond what it could take: it never
    # counts, and goes back.
    late = models.BooleanField(default=False)
    # What the frontend sent for the gateway to charge.
    token = models.CharField(max_length=500, blank=True)
    reference = models.CharField(max_length=200, blank=True)
    name = models.CharField(max_length=200, blank=True)
    custom_reference = models.CharField(max_length=200, blank=True)
    failure = models.CharField(max_length=500, blank=True)
    # Until when some process may be waiting for the gateway's answer.
    charging_until = models.DateTimeField(null=True)
    # Until when it waits for a worker that is to charge it.
    queued_until = models.DateTimeField(null=True)
    # What the buyer has to do before the gateway goes on, in the words of the wire.
    action = models.JSONField(null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    amount__gte=0, captured_amount__gte=0, captured_amount__lte=F("amount")
                ),
                name="payment_captured_within_amount",
            ),
            models.CheckConstraint(
                condition=Q(captured_amount=0) | Q(captured_at__isnull=False),
                name="payment_captured_some_time",
            ),
            models.CheckConstraint(
                condition=Q(
                    refunded_amount__gte=0,
                    refunding_amount__gte=0,
                    captured_amount__gte=F("refunded_amount") + F("refunding_amount"),
                ),
                name="payment_refunds_within_captured",
            ),
            # Only late money may be less than a purchase, and only an authorization is let go.
            models.CheckConstraint(
                condition=Q(
                    Q(method="authorize") | Q(late=True) | Q(captured_amount=F("amount")),
                    status="complete",
                    method__in=["purchase", "authorize"],
                )
                | Q(
                    Q(status="cancelled", method="authorize")
                    | Q(status__in=["pending", "failed"], late=False),
                    captured_amount=0,
                    captured_at=None,
                ),
                name="payment_captured_as_its_status_says",
            ),
        ]
        indexes = [
            models.Index(
                fields=["created_at"], condition=Q(status="pending"), name="payments_pending"
            ),
            models.Index(fields=["created_at"], condition=Q(late=True), name="payments_late"),
            # What lapses: read every ten minutes, however many payments there are.
            models.Index(
                fields=["created_at"],
                condition=Q(status="complete", method="authorize", captured_amount=0),
                name="payments_authorized",
            ),
            # What was taken on a day.
            models.Index(
                fields=["captured_at"],
                condition=Q(captured_at__isnull=False),
                name="payments_captured",
            ),
            # By what the gateway calls it, and the client.
            models.Index(
                fields=["reference"], condition=~Q(reference=""), name="payments_reference"
            ),
            models.Index(
                fields=["custom_reference"],
                condition=~Q(custom_reference=""),
                name="payments_custom_reference",
            ),
        ]
        permissions = [
            ("refund_payment", "Can give captured money back"),
            ("settle_payment", "Can settle a payment by hand"),
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.amount} {self.currency} through {self.gateway}"

    def write(self) -> None:
        """Write the fields that change in a payment's life. The caller has locked its order."""
        compiled.update(self, *_LIFE)

    @staticmethod
    def known(payment_id: uuid.UUID) -> "Payment | None":
        return next(iter(compiled.fetch(Payment, "WHERE id = %s", [payment_id])), None)

    @property
    def transaction_type(self) -> str:
        """Return the wire's name for it: the record changes in place when captured or refunded."""
        if self.refunded_amount:
            return "refund"
        if self.is_authorization and self.captured_amount:
            return "capture"
        return self.method

    @property
    def is_authorization(self) -> bool:
        return self.method == self.Method.AUTHORIZE

    @property
    def is_pending(self) -> bool:
        return self.status == self.Status.PENDING

    @property
    def is_authorized(self) -> bool:
        """Tell whether money is reserved with the buyer's bank, and neither taken nor let go."""
        complete = self.status == self.Status.COMPLETE
        return complete and self.is_authorization and not self.captured_amount

    def pending_attempt(self) -> "Attempt | None":
        """Return what is under way of it, from attempts that were read with it. See `attempts`."""
        return next((attempt for attempt in self.attempts.all() if attempt.is_pending), None)

    @property
    def authorized_amount(self) -> int:
        return self.amount if self.is_authorized else 0

    def standing(self) -> Standing:
        """What people decide by who do something with this payment. One query."""
        pending = [attempt for attempt in self.attempts.all() if attempt.is_pending]
        return {
            "this payment": self.status,
            "captured of it": self.captured_amount,
            "refunded of it": self.refunded_amount,
            "on its way back of it": self.refunding_amount,
            "under way of it": ", ".join(
                sorted(f"{each.kind} of {each.created_at:%Y-%m-%d %H:%M:%S.%f}" for each in pending)
            ),
        }

    def is_under_way(self, now: datetime) -> bool:
        """Tell whether some process charges it or is about to: then no other may ask about it."""
        ends = (self.charging_until, self.queued_until)
        return self.is_pending and any(end is not None and end > now for end in ends)

    def waits_for_buyer(self, now: datetime) -> bool:
        """Tell whether it only waits for an act of its buyer's, so that it may be given up."""
        return self.is_pending and self.action is not None and not self.is_under_way(now)

    @property
    def refundable_amount(self) -> int:
        return self.captured_amount - self.refunded_amount - self.refunding_amount


_LIFE = (
    *("status", "captured_amount", "captured_at", "refunded_amount", "refunding_amount", "late"),
    *("reference", "failure", "charging_until", "queued_until", "action", "updated_at"),
)


class Attempt(ActedBy):
    """A capture, void or refund of a payment, on record before the gateway is asked."""

    class Kind(models.TextChoices):
        CAPTURE = "capture"
        VOID = "void"
        REFUND = "refund"

    class Status(models.TextChoices):
        PENDING = "pending"
        SUCCEEDED = "succeeded"
        FAILED = "failed"

    # Also the gateway's idempotency key.
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="attempts")
    kind = models.CharField(max_length=7, choices=Kind)
    status = models.CharField(max_length=9, choices=Status, default=Status.PENDING)
    amount = models.BigIntegerField()
    reference = models.CharField(max_length=200, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    failure = models.CharField(max_length=500, blank=True)
    charging_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            # A payment is captured once and voided once, and never both at a time.
            models.UniqueConstraint(
                fields=["payment"],
                condition=Q(kind__in=["capture", "void"], status="pending"),
                name="attempt_one_capture_or_void_at_a_time",
            ),
            models.CheckConstraint(
                condition=Q(
                    kind__in=["capture", "void", "refund"],
                    status__in=["pending", "succeeded", "failed"],
                    amount__gte=0,
                ),
                name="attempt_of_a_known_kind",
            ),
        ]
        indexes = [
            models.Index(
                fields=["created_at"], condition=Q(status="pending"), name="attempts_pending"
            ),
            models.Index(
                fields=["created_at"],
                condition=Q(status="failed", kind__in=["void", "refund"]),
                name="attempts_failed",
            ),
            # What was refunded on a day.
            models.Index(
                fields=["updated_at"],
                condition=Q(status="succeeded", kind="refund"),
                name="attempts_refunded",
            ),
            models.Index(
                fields=["reference"], condition=~Q(reference=""), name="attempts_reference"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount}"

    @property
    def is_pending(self) -> bool:
        return self.status == self.Status.PENDING

    def is_under_way(self, now: datetime) -> bool:
        """Tell whether some process waits for the gateway: then no other may ask about it."""
        waits = self.charging_until is not None and self.charging_until > now
        return self.is_pending and waits


class GatewayEvent(models.Model):
    """A message that a gateway sent unasked. Written once, however often it is delivered."""

    # The gateway's own name for the message.
    id = models.CharField(primary_key=True, max_length=200)
    gateway = models.CharField(max_length=50)
    type = models.CharField(max_length=100)
    # The gateway's name for the charge that the message is about.
    reference = models.CharField(max_length=200, blank=True)
    # None where no payment of ours is known by that name.
    payment = models.ForeignKey(Payment, models.PROTECT, null=True, related_name="events")
    body = models.JSONField()
    received_at = models.DateTimeField()
    # None until the payment was looked at; a message that changes nothing is handled on arrival.
    handled_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["-received_at"], name="gateway_events_newest_first"),
            # What waits, which is looked for every minute.
            models.Index(
                fields=["received_at"],
                condition=Q(handled_at=None),
                name="gateway_events_waiting",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.id}"
