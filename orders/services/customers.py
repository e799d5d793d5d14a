"""Customers, who are known by the e-mail addresses of their orders, and by nothing else so far."""

from api import clock, compiled
from api.actors import Actor
from api.idempotency import Key, claim
from api.ids import uuid7
from api.transactions import in_transaction
from orders.models import CustomerNote


@in_transaction
def write_note(email: str, text: str, *, actor: Actor, key: Key | None = None) -> None:
    """Keep a note about a customer for colleagues to read."""
    note = CustomerNote(id=uuid7(), email=email.lower(), text=text, created_at=clock.now())
    claim(key, note.pk)
    note.actor = actor
    compiled.insert([note])
