from typing import Any

from django.contrib.auth.management.commands import createsuperuser
from django.contrib.auth.models import User

from api.actors import COMMAND_LINE
from backoffice import rights


class Command(createsuperuser.Command):
    """Django's own, which is on record here."""

    def handle(self, *args: Any, **options: Any) -> None:
        # No transaction around it: it asks for a name and a password.
        before = set(User.objects.values_list("pk", flat=True))
        super().handle(*args, **options)
        rights.record_new(User.objects.exclude(pk__in=before), actor=COMMAND_LINE)
