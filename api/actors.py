from dataclasses import dataclass
from typing import Self

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser


@dataclass(frozen=True)
class Actor:
    """Who did something, as the log keeps it: text, so that no later deletion changes history."""

    kind: str
    id: str
    name: str

    @classmethod
    def person(cls, user: AbstractBaseUser | AnonymousUser) -> Self:
        return cls("user", str(user.pk), user.get_username())


# What Holdfast does by itself, such as settling a payment that a crash left open.
SYSTEM = Actor("system", "holdfast", "Holdfast")

# Whoever operates the server: a command does not know who called it.
COMMAND_LINE = Actor("system", "command line", "Command line")
