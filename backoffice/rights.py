"""Who may get in, and what each may do: every change of it is on record.

People are deactivated and never deleted, so that whoever is named anywhere can be looked up; and
somebody is always left who may let others in.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth.models import Group, Permission, User
from django.db import transaction
from django.db.models import Q

from api import changes
from api.actors import Actor
from api.errors import CONFLICT, WRONG_STATE, Refusal
from api.models import Change
from api.transactions import in_transaction
from backoffice import logins, roles

_KEEPS_PEOPLE = ("auth.change_user", "auth.change_group")


class NobodyLeft(Refusal):
    kind = WRONG_STATE
    code = "nobody_left"
    detail = (
        "Nobody would be left who may keep people and roles. Make somebody else an owner first."
    )


class OwnRights(Refusal):
    kind = WRONG_STATE
    code = "own_rights"
    detail = "Nobody takes their own rights away. Another owner can do it."


class PersonGone(Refusal):
    kind = CONFLICT
    code = "person_gone"
    detail = "There is no such person or role any more."


# People.


@in_transaction
def create_person(person: User, given: Collection[Group], *, actor: Actor) -> None:
    """Save a new person with their roles."""
    person.save(force_insert=True)
    person.groups.set(given)
    changes.created(actor, person, _state_of(person))


@in_transaction
def change_person(
    pk: int, given: Collection[Group] | None = None, *, actor: Actor, **fields: Any
) -> None:
    """Change the given fields and roles, and leave the rest. Who is deactivated is logged out.

    Locks everybody who might be an owner, so that no two owners can shut each other out at once.

    Raises: OwnRights, NobodyLeft; PersonGone.
    """
    person = _lock(pk)
    with (
        _somebody_stays(actor),
        changes.recorded(actor, person, _what(person, fields), state=lambda: _state_of(person)),
    ):
        standing = _standing_of(person)
        for name, value in fields.items():
            setattr(person, name, value)
        if fields:
            person.save(update_fields=list(fields))
        if given is not None:
            person.groups.set(given)
        if actor == Actor.person(person) and standing - _standing_of(person):
            raise OwnRights
    if not person.is_active:
        logins.end_sessions(person.pk)


def _what(person: User, fields: dict[str, Any]) -> Change.What:
    if fields.get("is_active", person.is_active) == person.is_active:
        return Change.What.CHANGED
    return Change.What.DEACTIVATED if person.is_active else Change.What.REACTIVATED


@contextmanager
def password_on_record(pk: int, *, actor: Actor) -> Iterator[None]:
    """Put on record that what Django does inside changed a person's password: not which it is."""
    with transaction.atomic():
        person = User.objects.select_for_update(no_key=True).get(pk=pk)

        def state() -> changes.State:
            return {"password": User.objects.values_list("password", flat=True).get(pk=pk)}

        with changes.recorded(actor, person, Change.What.PASSWORD_CHANGED, state=state):
            yield


@in_transaction
def record_new(people: Iterable[User], *, actor: Actor) -> None:
    """Put on record people whom something else than these services has made."""
    for person in people:
        changes.created(actor, person, _state_of(person))


@in_transaction
def record_password(person: User, before: str, *, actor: Actor) -> None:
    """Put on record that something else than these services has changed a password."""
    states = (person, {"password": before}, {"password": person.password})
    changes.record(changes.entries(actor, Change.What.PASSWORD_CHANGED, [states]))


@in_transaction
def let_in(person: User, *, actor: Actor) -> None:
    """Forget the wrong passwords that were typed for a person's name."""
    logins.let_in(person.get_username())
    changes.happened(actor, Change.What.LET_IN, person)


# Roles. They are emptied rather than deleted: those who had one would lose it without a word.


@in_transaction
def create_role(role: Group, given: Collection[Permission], *, actor: Actor) -> None:
    role.save(force_insert=True)
    role.permissions.set(given)
    changes.created(actor, role, _state_of_role(role))


@in_transaction
def change_role(
    pk: int,
    given: Collection[Permission] | None = None,
    *,
    actor: Actor,
    name: str | None = None,
) -> None:
    """Change a role's name or permissions. Raises: OwnRights, NobodyLeft; PersonGone."""
    _lock_owners(Q())
    role = Group.objects.select_for_update(no_key=True).filter(pk=pk).first()
    if role is None:
        raise PersonGone
    with _somebody_stays(actor), changes.recorded(actor, role, state=lambda: _state_of_role(role)):
        if name is not None and role.name not in roles.ROLES:
            role.name = name
            role.save(update_fields=["name"])
        if given is not None:
            role.permissions.set(given)


@contextmanager
def _somebody_stays(actor: Actor) -> Iterator[None]:
    """Refuse what takes the right to keep people from the actor, or from the last who has it."""
    before = _owners()
    yield
    after = _owners()
    if actor.kind == "user" and actor.id in before - after:
        raise OwnRights
    if before and not after:
        raise NobodyLeft


def _owners() -> set[str]:
    """Whoever may keep people and roles, by whichever right: their ids, as an actor has them."""
    people = User.objects.filter(is_staff=True)
    for permission in _KEEPS_PEOPLE:
        has_it = User.objects.with_perm(
            permission, backend="django.contrib.auth.backends.ModelBackend"
        )
        people = people.filter(pk__in=has_it.values("pk"))
    return {str(pk) for pk in people.values_list("pk", flat=True)}


def _standing_of(person: User) -> set[str]:
    """What nobody takes from themselves, beside the right to keep people."""
    standing = {name for name in ("is_active", "is_staff", "is_superuser") if getattr(person, name)}
    return standing | ({roles.OWNER} & set(person.groups.values_list("name", flat=True)))


def _lock(pk: int) -> User:
    for person in _lock_owners(Q(pk=pk)):
        if person.pk == pk:
            return person
    raise PersonGone


def _lock_owners(others: Q) -> list[User]:
    people = User.objects.filter(Q(is_staff=True) | others)
    return list(people.order_by("pk").select_for_update(no_key=True))


def _state_of(person: User) -> changes.State:
    names = person.groups.order_by("name").values_list("name", flat=True)
    permissions = person.user_permissions.order_by("pk").values_list("name", flat=True)
    return {
        **changes.fields_of(person),
        **{f"role: {name}": True for name in names},
        **{f"permission: {name}": True for name in permissions},
    }


def _state_of_role(role: Group) -> changes.State:
    permissions = role.permissions.order_by("pk").values_list("name", flat=True)
    return {"name": role.name, **{f"permission: {name}": True for name in permissions}}
