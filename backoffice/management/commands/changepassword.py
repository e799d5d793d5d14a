import getpass
from typing import Any

from django.contrib.auth.management.commands import changepassword
from django.contrib.auth.models import User

from api.actors import COMMAND_LINE
from backoffice import rights


class Command(changepassword.Command):
    """Django's own, which is on record here."""

    def handle(self, *args: Any, **options: Any) -> str | None:
        name = options["username"] or getpass.getuser()
        before = User.objects.filter(username=name).values_list("password", flat=True).first()
        said: str | None = super().handle(*args, **options)
        person = User.objects.get(username=name)
        rights.record_password(person, before or "", actor=COMMAND_LINE)
        return said
