import hashlib
import hmac
import secrets

from django.db import models

from api.ids import uuid7


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

    def make_secret(self, secret: str = "") -> str:
        """Set a new secret of 256 random bits, which only the caller ever sees, and return it.

        A random value of that size needs no slow hash, and a token call no second of CPU for one.
        """
        secret = secret or secrets.token_urlsafe(32)
        self.secret_sha256 = _sha256(secret)
        return secret

    def has_secret(self, secret: str) -> bool:
        return bool(self.secret_sha256) and hmac.compare_digest(self.secret_sha256, _sha256(secret))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class IdempotencyKey(models.Model):
    """A request that must happen once, and what was answered. See api.idempotency."""

    id = models.UUIDField(primary_key=True)
    client_id = models.CharField(max_length=64)
    method = models.CharField(max_length=8)
    path = models.CharField(max_length=1000)
    key = models.CharField(max_length=255)
    # SHA-256 of the body: the same key with another body is a mistake, not a repetition.
    fingerprint = models.CharField(max_length=64)
    # The one call that holds the key; another call must not answer in its name.
    claim_id = models.UUIDField()
    # What the call was about, from which its answer can be made again if it was lost.
    resource_id = models.CharField(max_length=128)
    status = models.PositiveSmallIntegerField(null=True)
    body = models.TextField(blank=True)
    created_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.key}"

    @property
    def answered(self) -> bool:
        return self.status is not None
