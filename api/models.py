import hashlib
import hmac
import secrets

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from api.actors import Actor
from api.ids import uuid7


class ActedBy(models.Model):
    """Who did something, as text: no later deletion changes it."""

    actor_kind = models.CharField(max_length=16)
    actor_id = models.CharField(max_length=64)
    actor_name = models.CharField(max_length=200)

    class Meta:
        abstract = True

    @property
    def actor(self) -> Actor:
        return Actor(self.actor_kind, self.actor_id, self.actor_name)

    @actor.setter
    def actor(self, actor: Actor) -> None:
        self.actor_kind, self.actor_id, self.actor_name = actor.kind, actor.id, actor.name


class Change(ActedBy):
    """What was changed of a thing, field by field: kept as it is. See api.changes."""

    class What(models.TextChoices):
        CREATED = "created"
        CHANGED = "changed"
        DELETED = "deleted"
        DEACTIVATED = "deactivated"
        REACTIVATED = "reactivated"
        SECRET_RENEWED = "secret renewed"  # noqa: S105 - no secret
        PASSWORD_CHANGED = "password changed"  # noqa: S105 - no password
        LET_IN = "let in again"

    # In this order things changed: what is changed is locked until its entry is committed.
    id = models.BigAutoField(primary_key=True)
    # The model, such as inventory.product. All of it is text, which stays when the thing goes.
    kind = models.CharField(max_length=64)
    thing_id = models.CharField(max_length=64)
    thing_name = models.TextField()
    what = models.CharField(max_length=16, choices=What)
    # Each with its name and the values before and after, as {field, before, after}.
    fields = models.JSONField()
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["kind", "thing_id", "-id"], name="change_of_a_thing")]

    def __str__(self) -> str:
        return f"{self.thing_name} {self.what}"


class ApiClient(models.Model):
    """A program that may call the API."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    client_id = models.CharField(max_length=64, unique=True)
    name = models.CharField(max_length=200)
    # Empty for a storefront, which runs in browsers and can keep no secret.
    secret_sha256 = models.CharField(max_length=64, blank=True, editable=False)
    active = models.BooleanField(default=True)
    # Counted up to end the tokens that are out.
    version = models.PositiveIntegerField(default=1, editable=False)
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = "API client"

    def __str__(self) -> str:
        return f"{self.name} ({self.client_id})"

    @property
    def is_storefront(self) -> bool:
        return not self.secret_sha256

    def standing(self) -> dict[str, str]:
        """What people decide by who renew a secret, or shut a client out."""
        return {"secret and access": f"version {self.version}"}

    def make_secret(self, secret: str = "") -> str:
        """Set a new secret of 256 random bits, which only the caller ever sees, and return it.

        A random value of that size needs no slow hash, which would cost each token call CPU time.
        """
        secret = secret or secrets.token_urlsafe(32)
        self.secret_sha256 = _sha256(secret)
        return secret

    def has_secret(self, secret: str) -> bool:
        return bool(self.secret_sha256) and hmac.compare_digest(self.secret_sha256, _sha256(secret))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class IdempotencyKey(models.Model):
    """A request that must happen once, and what came of it. See api.idempotency."""

    id = models.UUIDField(primary_key=True)
    client_id = models.CharField(max_length=64)
    method = models.CharField(max_length=8)
    path = models.CharField(max_length=1000)
    key = models.CharField(max_length=255)
    # SHA-256 of what the body says: the same key with another body is a mistake, no repetition.
    fingerprint = models.CharField(max_length=64)
    # The one call that holds the key; another call must not answer in its name.
    claim_id = models.UUIDField()
    # What the call was about, from which its answer is made again.
    resource_id = models.CharField(max_length=128)
    # Of a refusal, or of an answer with errors beside it: these, as JSON. No resource tells them.
    status = models.PositiveSmallIntegerField(null=True)
    body = models.TextField(blank=True)
    created_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.key}"


class JobWorker(models.Model):
    """A process that does jobs, and when it last said that it lives. See api.work."""

    id = models.UUIDField(primary_key=True)
    host = models.CharField(max_length=255)
    process = models.PositiveIntegerField()
    queues = ArrayField(models.CharField(max_length=128))
    # By the clock of the database, as all that is compared with it.
    started_at = models.DateTimeField(db_default=Now())
    beat_at = models.DateTimeField(db_default=Now())

    class Meta:
        # Nobody but the workers themselves writes it.
        default_permissions = ()

    def __str__(self) -> str:
        return f"worker {self.process} on {self.host}"


class CallCount(models.Model):
    """How many calls of a kind one address has been allowed lately. See api.limits."""

    pk = models.CompositePrimaryKey("kind", "address")
    kind = models.CharField(max_length=16)
    address = models.CharField(max_length=64)
    # The number of the period since 1970; older counts are over.
    period = models.BigIntegerField()
    calls = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.calls} {self.kind} calls from {self.address}"


PAGE_LENGTH_MAX = 100
CART_EXPIRY_DAYS_MAX = 365
# Fourteen days.
UNPAID_ORDER_EXPIRY_HOURS = 336


class StoreSettings(models.Model):
    """What a merchant sets for the whole store. See api.store."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    # Empty: Holdfast's own name, and the time zone of the environment.
    name = models.CharField(max_length=100, blank=True, default="")
    time_zone = models.CharField(max_length=64, blank=True, default="")
    page_length = models.PositiveSmallIntegerField(default=25)
    cart_expiry_days = models.PositiveSmallIntegerField(default=7)
    # Whether carts without a setting of their own take more than is available until checkout.
    defer_inventory_check = models.BooleanField(default=False)
    # Whether the list of carts shows those that belong to no customer, which is all of them.
    show_all_carts = models.BooleanField(default=True)
    # Whether shoppers add custom items: then they say what those cost.
    custom_items_by_shoppers = models.BooleanField(default=False, db_default=False)
    # At this many available units or fewer, stock is low, unless a product has its own threshold.
    low_stock_threshold = models.PositiveIntegerField(default=5)
    # After how many hours an unpaid order is cancelled; 0 is never.
    unpaid_order_expiry_hours = models.PositiveIntegerField(
        default=UNPAID_ORDER_EXPIRY_HOURS, db_default=UNPAID_ORDER_EXPIRY_HOURS
    )
    partly_paid_order_expiry_hours = models.PositiveIntegerField(default=0, db_default=0)

    class Meta:
        verbose_name_plural = "store settings"
        constraints = [
            models.CheckConstraint(condition=Q(id=1), name="store_settings_one_row"),
            models.CheckConstraint(
                condition=Q(
                    page_length__range=(1, PAGE_LENGTH_MAX),
                    cart_expiry_days__range=(1, CART_EXPIRY_DAYS_MAX),
                ),
                name="store_settings_within_limits",
            ),
        ]

    def __str__(self) -> str:
        return "Store settings"
