"""Who may get in, and what each may do: every change of it is on record."""

from django.contrib.auth.models import User

from api import changes
from api.actors import Actor
from api.models import Change
from api.transactions import in_transaction
from backoffice import logins


@in_transaction
def let_in(person: User, *, actor: Actor) -> None:
    """Forget the wrong passwords that were typed for a person's name."""
    logins.let_in(person.get_username())
    changes.happened(actor, Change.What.LET_IN, person)
