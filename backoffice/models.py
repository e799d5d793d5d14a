"""What the back office keeps of its own: people's views, and the sums of days that are over.

The sums can be thrown away, and are added up again from payments, orders and the log: see
backoffice.figures.days.
"""

from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from api.ids import uuid7
from inventory.models import REASON_LENGTH_MAX, Action


class AddedUp(models.Model):
    """Which days are added up, and in which time zone they begin and end: one row, or none."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    zone = models.CharField(max_length=64)
    # All days from the first of them to the last, which is over.
    since = models.DateField()
    until = models.DateField()

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=Q(id=1), name="added_up_one_row")]

    def __str__(self) -> str:
        return f"{self.since} to {self.until} in {self.zone}"


class MoneyOfDay(models.Model):
    """How much there was on a day of one kind, such as taken, in one currency."""

    day = models.DateField(db_index=True)
    kind = models.CharField(max_length=9)
    currency = models.CharField(max_length=3)
    number = models.BigIntegerField()
    amount = models.BigIntegerField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.number} {self.kind} on {self.day}: {self.amount} {self.currency}"


class SoldOfDay(models.Model):
    """How much of a product was in the orders that were paid in full on a day."""

    day = models.DateField(db_index=True)
    # None for lines that are no product. No foreign key, as in the log: nobody deletes a product.
    product_id = models.UUIDField(null=True)
    currency = models.CharField(max_length=3)
    orders = models.BigIntegerField()
    units = models.BigIntegerField()
    amount = models.BigIntegerField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.units} of {self.product_id} on {self.day}"


class OrderedOfDay(models.Model):
    """How many units of a product orders took from what was available, less what they gave back."""

    day = models.DateField(db_index=True)
    product_id = models.UUIDField()
    units = models.BigIntegerField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.units} of {self.product_id} on {self.day}"


class MovedOfDay(models.Model):
    """What was moved on a day for one reason."""

    day = models.DateField(db_index=True)
    action = models.CharField(max_length=10, choices=Action)
    by_order = models.BooleanField()
    reason = models.CharField(max_length=REASON_LENGTH_MAX)
    entries = models.BigIntegerField()
    units = models.BigIntegerField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.action} {self.units} on {self.day}: {self.reason}"


class SavedView(models.Model):
    """What somebody asked a list for, under a name: see backoffice.saved_views."""

    QUERY_MAX: ClassVar = 2_000

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False
    )
    # Which list, as its address is called.
    page = models.CharField(max_length=60)
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=QUERY_MAX)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                "person", "page", Lower("name"), name="saved_view_once_by_its_name"
            )
        ]

    def __str__(self) -> str:
        return self.name

    @staticmethod
    def lock(person_id: Any) -> None:
        """Let whoever saves views of this person take turns, until the transaction ends."""
        list(User.objects.select_for_update(no_key=True).filter(pk=person_id).values_list("pk"))
