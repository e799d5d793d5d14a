"""Who may get in, and what each may do: every change of it is on record.

People are deactivated and never deleted, so that whoever is named anywhere can be looked up; and
somebody is always left who may let others in.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.db import OperationalError, transaction
from django.db.models import Q

from api import changes
from api.actors import Actor
from api.errors import CONFLICT, WRONG_STATE, Refusal, require_as_seen
from api.models import Change
from api.passwords import PasswordsBusy
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


class BeyondOwnRights(Refusal):
    kind = WRONG_STATE
    code = "beyond_own_rights"
    detail = "Nobody gives rights that they do not have, or changes who has more of them."


class UsernameTaken(Refusal):
    kind = CONFLICT
    code = "username_taken"
    constraint = "auth_user_username_key"
    detail = "Somebody has this name already."


class RoleTaken(Refusal):
    kind = CONFLICT
    code = "role_taken"
    constraint = "auth_group_name_key"
    detail = "There is a role of this name already."


class PersonGone(Refusal):
    kind = CONFLICT
    code = "person_gone"
    detail = "There is no such person or role any more."


# People.


@in_transaction
def create_person(person: User, given: Collection[Group], *, actor: Actor) -> None:
    """Save a new person with their roles. Raises: UsernameTaken, BeyondOwnRights."""
    person.save(force_insert=True)
    with _within_own_rights(actor, person):
        person.groups.set(given)
    changes.created(actor, person, _state_of(person))


@in_transaction
def change_person(
    pk: int,
    given: Collection[Group] | None = None,
    *,
    actor: Actor,
    seen: Mapping[str, Any] | None = None,
    **fields: Any,
) -> None:
    """Change the given fields and roles, and leave the rest. Who is deactivated is logged out.

    Locks everybody who might be an owner, so that no two owners can shut each other out at once.
    `seen` is what somebody saw of what they change.

    Raises: OwnRights, NobodyLeft, BeyondOwnRights; UsernameTaken; PersonGone, Moved.
    """
    person = _lock(pk)
    _require_as_seen(person, seen)
    with (
        _within_own_rights(actor, person),
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
    """Put on record that what Django does inside changed a person's password: not which it is.

    Passwords are hashed inside, so nobody waits for the person's row: whoever comes meanwhile is
    told to come back, as where the hasher itself is taken. Raises: PasswordsBusy.
    """
    with transaction.atomic():
        try:
            person = User.objects.select_for_update(no_key=True, nowait=True).get(pk=pk)
        except OperationalError as error:
            raise PasswordsBusy from error

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
    """Raises: RoleTaken, BeyondOwnRights."""
    role.save(force_insert=True)
    with _within_own_rights(actor, role):
        role.permissions.set(given)
    changes.created(actor, role, _state_of_role(role))


@in_transaction
def change_role(
    pk: int,
    given: Collection[Permission] | None = None,
    *,
    actor: Actor,
    name: str | None = None,
    seen: Mapping[str, Any] | None = None,
) -> None:
    """Change a role's name or permissions. `seen` is what somebody saw of what they change.

    Raises: OwnRights, NobodyLeft, BeyondOwnRights; RoleTaken; PersonGone, Moved.
    """
    _lock_owners(Q())
    role = Group.objects.select_for_update(no_key=True).filter(pk=pk).first()
    if role is None:
        raise PersonGone
    _require_as_seen(role, seen)
    with (
        _within_own_rights(actor, role),
        _somebody_stays(actor),
        changes.recorded(actor, role, state=lambda: _state_of_role(role)),
    ):
        if name is not None and role.name not in roles.ROLES:
            role.name = name
            role.save(update_fields=["name"])
        if given is not None:
            role.permissions.set(given)


def _require_as_seen(row: User | Group, seen: Mapping[str, Any] | None) -> None:
    """Raises: Moved."""
    lists = ("groups", "permissions")

    def of(name: str, value: Any) -> Any:
        return sorted(each.pk for each in value) if name in lists else value

    def is_now(name: str) -> Any:
        value = getattr(row, name)
        return value.all() if name in lists else value

    asked = {name: of(name, value) for name, value in (seen or {}).items()}
    require_as_seen(asked, lambda: {name: of(name, is_now(name)) for name in asked})


def may_touch(person: User | AnonymousUser, holder: User | Group) -> bool:
    """Tell whether a person may change another one, or a role, as far as their rights go.

    Whoever keeps people and roles may change anybody, and gives whatever there is to give. Anybody
    else would become more than they are by giving more than they have, or a password of their own
    choice to somebody who has more. Superusers are a matter of superusers.
    """
    if person.is_superuser:
        return True
    if isinstance(holder, User) and holder.is_superuser:
        return False
    if all(map(person.has_perm, _KEEPS_PEOPLE)):
        return True
    return isinstance(person, User) and _rights_of(holder) <= _rights_of(person)


def _rights_of(holder: User | Group) -> set[int]:
    """What is given to somebody, also while they may not log in."""
    if isinstance(holder, Group):
        return set(holder.permissions.values_list("pk", flat=True))
    given = Permission.objects.filter(Q(user=holder) | Q(group__user=holder))
    return set(given.values_list("pk", flat=True))


@contextmanager
def _within_own_rights(actor: Actor, holder: User | Group) -> Iterator[None]:
    """Raises: BeyondOwnRights, by what the actor has before the change."""
    person = User.objects.filter(pk=actor.id).first() if actor.kind == "user" else None
    if person is None or all(map(person.has_perm, _KEEPS_PEOPLE)):
        yield
        return
    own = _rights_of(person)
    before = _rights_of(holder)
    yield
    if not before | _rights_of(holder) <= own:
        raise BeyondOwnRights


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
    # Whoever has no password opens no door, such as whom `createsuperuser --noinput` made.
    no_password = Q(password__startswith=UNUSABLE_PASSWORD_PREFIX)
    people = User.objects.filter(is_staff=True).exclude(no_password)
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
