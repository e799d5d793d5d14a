"""People in the admin: who keeps them, and who lets them in again."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from api.actors import COMMAND_LINE, Actor
from api.errors import Moved, Refusal
from api.models import Change
from backoffice import logins, rights
from backoffice.rights import RoleTaken, UsernameTaken
from tests.backoffice.pages import filled_in, signed_in, text
from tests.concurrency import run_together
from tests.factories import MERCHANT

pytestmark = pytest.mark.django_db

USERS = "/admin/auth/user/"


@pytest.fixture
def owner() -> Client:
    """Somebody who may keep people, and is no superuser."""
    user = User.objects.create(username="owner", is_staff=True)
    user.groups.add(Group.objects.get(name="owner"))
    client = Client()
    client.force_login(user)
    return client


def test_owner_makes_a_login_with_a_role(owner):
    clerk = Group.objects.get(name="stock clerk")
    password = "a long one for this test"

    owner.post(
        f"{USERS}add/",
        {
            "username": "maria",
            "password1": password,
            "password2": password,
            "usable_password": "true",
            "is_staff": "on",
            "groups": [clerk.pk],
        },
    )

    maria = User.objects.get(username="maria")
    assert maria.is_staff
    assert maria.has_perm("inventory.change_stock")
    assert not maria.has_perm("orders.change_order")


def test_owner_makes_nobody_a_superuser(owner):
    colleague = User.objects.create(username="maria", is_staff=True)

    sent = {"username": "maria", "is_superuser": "on", "is_staff": "on", "is_active": "on"}
    response = owner.post(f"{USERS}{colleague.pk}/change/", sent)

    assert response.status_code == 302
    colleague.refresh_from_db()
    assert not colleague.is_superuser


@pytest.mark.parametrize("page", ["change", "delete", "password"])
def test_owner_cannot_touch_a_superuser(owner, page):
    boss = User.objects.create_superuser("boss")

    sent = {"username": "boss", "password1": "taken over 1", "password2": "taken over 1"}
    response = owner.post(f"{USERS}{boss.pk}/{page}/", {**sent, "post": "yes"})

    assert response.status_code == 403
    boss.refresh_from_db()
    assert not boss.has_usable_password()


def shut_out(name: str) -> User:
    user = User.objects.create(username=name, is_staff=True)
    # Twice three from one place, with two browsers.
    for agent in ("one", "another"):
        AccessAttempt.objects.create(
            username=name, ip_address="192.0.2.7", user_agent=agent, failures_since_start=3
        )
    return user


def test_owner_lets_somebody_in_before_the_time_is_over(owner):
    maria, jonas = shut_out("maria"), shut_out("jonas")
    page = f"{USERS}{maria.pk}/let_in/"
    assert page in text(owner.get(f"{USERS}{maria.pk}/change/"))

    asked = text(owner.get(page))
    assert "Forgets the wrong passwords" in asked
    assert logins.is_shut_out("maria")
    response = owner.post(page, follow=True)

    assert "maria can log in again." in text(response)
    assert page not in text(response)
    assert not logins.is_shut_out("maria")
    assert logins.is_shut_out(jonas.get_username())
    [entry] = Change.objects.filter(thing_name="maria")
    assert (entry.what, entry.actor_name) == ("let in again", "owner")


def test_nobody_is_offered_an_open_door(owner):
    maria = User.objects.create(username="maria", is_staff=True)
    AccessAttempt.objects.create(
        username="maria", ip_address="192.0.2.7", user_agent="one", failures_since_start=4
    )

    assert "let_in" not in text(owner.get(f"{USERS}{maria.pk}/change/"))
    assert "maria is not shut out." in text(owner.get(f"{USERS}{maria.pk}/let_in/"))


def test_a_door_that_was_shut_long_ago_is_open():
    shut_out("maria")
    AccessAttempt.objects.update(attempt_time=timezone.now() - settings.AXES_COOLOFF_TIME)

    assert not logins.is_shut_out("maria")


def test_owner_lets_no_superuser_in(owner):
    boss = shut_out("boss")
    User.objects.filter(pk=boss.pk).update(is_superuser=True)

    assert "let_in" not in text(owner.get(f"{USERS}{boss.pk}/change/"))
    assert owner.post(f"{USERS}{boss.pk}/let_in/").status_code == 403
    assert logins.is_shut_out("boss")


def test_group_page_offers_no_rights_to_the_tables_of_django(owner):
    group = Group.objects.get(name="viewer")
    session = Permission.objects.get(codename="delete_session")

    response = owner.post(
        f"/admin/auth/group/{group.pk}/change/", {"name": "viewer", "permissions": [session.pk]}
    )

    assert list(response.context["adminform"].form.errors) == ["permissions"]


# People are deactivated, and somebody always stays who may let others in.


def send(client: Client, address: str, **typed: Any) -> Any:
    """Send a page's form as a browser would, with some fields typed anew; None unticks a box."""
    sent: dict[str, Any] = {}
    for field in client.get(address).context["adminform"].form:
        value = field.value()
        if value is not None and value is not False:
            sent[field.html_name] = value
        if field.field.show_hidden_initial:
            sent[field.html_initial_name] = "" if value is None else value
    changed = {**sent, **typed}
    gone = {name for name, value in typed.items() if value is None}
    return client.post(address, {name: changed[name] for name in changed.keys() - gone})


def page_of(person: User) -> str:
    return f"{USERS}{person.pk}/change/"


def role(name: str) -> Group:
    return Group.objects.get(name=name)


def staff(name: str, *roles: str) -> User:
    person = User.objects.create(username=name, is_staff=True)
    person.groups.set(Group.objects.filter(name__in=roles))
    return person


def told(person: User | Group) -> list[tuple[str, list[dict[str, Any]]]]:
    entries = Change.objects.filter(thing_id=str(person.pk), thing_name=str(person))
    return [(entry.what, entry.fields) for entry in entries.order_by("pk")]


def test_t21_what_is_changed_of_a_person_is_on_record(owner):
    maria = staff("maria", "viewer")

    send(owner, page_of(maria), email="maria@example.com", groups=[role("stock clerk").pk])

    assert told(maria) == [
        (
            "changed",
            [
                {"field": "email", "before": "", "after": "maria@example.com"},
                {"field": "role: viewer", "before": True, "after": None},
                {"field": "role: stock clerk", "before": None, "after": True},
            ],
        )
    ]
    assert "Role: stock clerk: no → yes" in text(owner.get(f"{USERS}{maria.pk}/history/"))


def test_a_new_person_is_on_record_without_the_password(owner):
    password = "a long one for this test"

    answer = send(owner, f"{USERS}add/", username="maria", password1=password, password2=password)

    assert answer.status_code == 302
    maria = User.objects.get(username="maria")
    [(what, fields)] = told(maria)
    assert what == "created"
    assert {"field": "username", "before": None, "after": "maria"} in fields
    assert password not in str(fields)
    assert maria.password not in str(fields)


@pytest.mark.parametrize("whose", ["own", "another's"])
def test_a_changed_password_is_on_record_and_not_its_value(owner, whose):
    person = User.objects.get(username="owner") if whose == "own" else staff("maria")
    person.set_password("the old one of this test")
    person.save()
    owner.force_login(User.objects.get(username="owner"))
    password = "the new one of this test"
    if whose == "own":
        typed = {
            "old_password": "the old one of this test",
            "new_password1": password,
            "new_password2": password,
        }
        answer = owner.post("/admin/password_change/", typed)
    else:
        typed = {"password1": password, "password2": password}
        answer = owner.post(f"{USERS}{person.pk}/password/", typed)

    assert answer.status_code == 302
    person.refresh_from_db()
    assert person.check_password(password)
    assert told(person) == [("password changed", [{"field": "password"}])]
    assert owner.get("/admin/").status_code == 200


def test_a_refused_password_is_not_on_record(owner):
    maria = staff("maria")

    answer = owner.post(f"{USERS}{maria.pk}/password/", {"password1": "one", "password2": "two"})

    assert answer.status_code == 200
    assert told(maria) == []


def test_nobody_is_left_without_a_password(owner):
    maria = staff("maria")
    maria.set_password("the old one of this test")
    maria.save()

    sent = {"usable_password": "false", "unset-password": "1"}
    answer = owner.post(f"{USERS}{maria.pk}/password/", sent)
    made = owner.post(f"{USERS}add/", {"username": "new", "is_staff": "on", **sent})

    assert answer.status_code == made.status_code == 200
    maria.refresh_from_db()
    assert maria.has_usable_password()
    assert not User.objects.filter(username="new").exists()


def test_t21_whoever_is_deactivated_is_logged_out_for_good(owner):
    maria = staff("maria", "viewer")
    hers = signed_in(maria)
    other = signed_in(staff("jonas", "viewer"))
    assert hers.get("/admin/").status_code == 200

    answer = send(owner, page_of(maria), is_active=None)

    shown = text(owner.get(answer.url))
    assert "maria can no longer log in, and was logged out wherever they were." in shown
    assert told(maria)[0][0] == "deactivated"
    assert hers.get("/admin/").status_code == 302
    send(owner, page_of(maria), is_active="on")
    assert told(maria)[1][0] == "reactivated"
    assert hers.get("/admin/").status_code == 302
    assert other.get("/admin/").status_code == 200


@pytest.mark.parametrize("is_superuser", [False, True])
def test_t21_nobody_deletes_people_or_roles(owner, is_superuser):
    User.objects.filter(username="owner").update(is_superuser=is_superuser)
    maria = staff("maria")
    own = Group.objects.create(name="Accountants")

    for address in (f"{USERS}{maria.pk}/delete/", f"/admin/auth/group/{own.pk}/delete/"):
        assert owner.get(address).status_code == 403
        assert owner.post(address, {"post": "yes"}).status_code == 403
    for name, row in (("user", maria), ("group", own)):
        chosen = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
        owner.post(f"/admin/auth/{name}/", chosen)
        assert "/delete/" not in text(owner.get(f"/admin/auth/{name}/{row.pk}/change/"))

    assert User.objects.filter(pk=maria.pk).exists()
    assert Group.objects.filter(pk=own.pk).exists()


OWN: list[dict[str, Any]] = [{"is_active": None}, {"is_staff": None}, {"groups": None}]


@pytest.mark.parametrize("typed", OWN)
@pytest.mark.parametrize("alone", [True, False])
def test_t21_an_owner_cannot_shut_himself_out(owner, typed, alone):
    if not alone:
        staff("another", "owner")
    me = User.objects.get(username="owner")

    answer = send(owner, page_of(me), **typed)

    assert answer.status_code == 200
    assert rights.OwnRights.detail in text(answer)
    assert told(me) == []
    assert owner.get(page_of(me)).status_code == 200


def test_a_superuser_does_not_take_that_from_themselves():
    boss = User.objects.create_superuser("boss")
    staff("owner", "owner")

    answer = send(signed_in(boss), page_of(boss), is_superuser=None, groups=[role("owner").pk])

    assert rights.OwnRights.detail in text(answer)
    boss.refresh_from_db()
    assert boss.is_superuser


def test_what_an_owner_changes_of_themselves_otherwise_is_changed(owner):
    me = User.objects.get(username="owner")
    both = [role("owner").pk, role("viewer").pk]

    answer = send(owner, page_of(me), first_name="Ada", groups=both)

    assert answer.status_code == 302
    me.refresh_from_db()
    assert (me.first_name, me.groups.count()) == ("Ada", 2)


@pytest.mark.parametrize("change", [{"is_active": False}, {"is_staff": False}, {"given": []}])
def test_t21_the_last_owner_is_not_shut_out_by_anybody(change):
    last = staff("last", "owner")

    with pytest.raises(rights.NobodyLeft):
        rights.change_person(last.pk, actor=COMMAND_LINE, **change)

    last.refresh_from_db()
    assert (last.is_active, last.is_staff, last.groups.count()) == (True, True, 1)


def test_who_has_no_password_is_nobody_who_stays(monkeypatch):
    last = staff("last", "owner")
    monkeypatch.delenv("DJANGO_SUPERUSER_PASSWORD", raising=False)
    call_command("createsuperuser", username="boss", email="b@example.com", interactive=False)

    with pytest.raises(rights.NobodyLeft):
        rights.change_person(last.pk, actor=COMMAND_LINE, is_active=False)


def test_the_role_of_the_last_owner_is_not_emptied_by_anybody():
    staff("last", "owner")

    with pytest.raises(rights.NobodyLeft):
        rights.change_role(role("owner").pk, [], actor=COMMAND_LINE)

    assert role("owner").permissions.exists()


def test_no_role_loses_what_its_last_owner_needs(owner):
    page = f"/admin/auth/group/{role('owner').pk}/change/"
    kept = role("owner").permissions.exclude(codename="change_user")

    answer = send(owner, page, permissions=[permission.pk for permission in kept])

    assert rights.OwnRights.detail in text(answer)
    assert role("owner").permissions.filter(codename="change_user").exists()


def test_what_is_changed_of_a_role_is_on_record(owner):
    own = Group.objects.create(name="Accountants")
    permission = Permission.objects.get(codename="view_order")

    send(owner, f"/admin/auth/group/{own.pk}/change/", permissions=[permission.pk])

    assert told(own) == [
        ("changed", [{"field": "permission: Can view order", "before": None, "after": True}])
    ]


def test_the_four_roles_keep_their_names(owner):
    page = f"/admin/auth/group/{role('viewer').pk}/change/"

    send(owner, page, name="Onlooker")

    assert Group.objects.filter(name="viewer").exists()
    assert not Group.objects.filter(name="Onlooker").exists()


def test_what_two_owners_change_of_a_person_stands_both(owner):
    maria = staff("maria", "viewer")
    opened = owner.get(page_of(maria)).context["adminform"].form
    sent = {field.html_name: field.value() for field in opened if field.value()}
    sent |= {field.html_initial_name: field.value() or "" for field in opened}
    rights.change_person(maria.pk, actor=MERCHANT, is_active=False)

    owner.post(page_of(maria), {**sent, "email": "maria@example.com"})

    maria.refresh_from_db()
    assert (maria.email, maria.is_active) == ("maria@example.com", False)


def demote(actor: User, other: User) -> Callable[[], None]:
    return lambda: rights.change_person(other.pk, [], actor=Actor.person(actor))


def two_owners_demote_each_other() -> tuple[list[Any], set[str]]:
    one, two = staff("one", "owner"), staff("two", "owner")
    outcomes = run_together(demote(one, two), demote(two, one))
    left = User.objects.filter(groups__name="owner").values_list("username", flat=True)
    return outcomes, set(left)


@pytest.mark.django_db(transaction=True)
def test_t21_of_two_owners_who_demote_each_other_at_once_one_stays(monkeypatch):
    both_are_there(monkeypatch, "_lock", before=True)

    outcomes, left = two_owners_demote_each_other()

    assert len(left) == 1
    assert {type(outcome) for outcome in outcomes} == {type(None), rights.NobodyLeft}


@pytest.mark.django_db(transaction=True)
def test_without_the_lock_both_of_them_would_go(monkeypatch):
    monkeypatch.setattr(rights, "_lock", lambda pk: User.objects.get(pk=pk))
    both_are_there(monkeypatch, "_owners", before=False)

    outcomes, left = two_owners_demote_each_other()

    assert (outcomes, left) == ([None, None], set())


@pytest.mark.django_db(transaction=True)
def test_of_two_who_take_each_others_rights_by_role_and_by_person_one_stays():
    keepers = Group.objects.create(name="keepers")
    keepers.permissions.set(Permission.objects.filter(codename__in=["change_user", "change_group"]))
    one, two = staff("one", "owner"), staff("two", "keepers")

    outcomes = run_together(
        lambda: rights.change_role(keepers.pk, [], actor=Actor.person(one)),
        lambda: rights.change_person(one.pk, [], actor=Actor.person(two)),
    )

    assert len(rights._owners()) == 1
    assert sum(isinstance(outcome, Refusal) for outcome in outcomes) == 1


def both_are_there(monkeypatch: pytest.MonkeyPatch, name: str, *, before: bool) -> None:
    """Let nobody into a function of `rights`, or back from it, before both are there."""
    function, barrier = getattr(rights, name), threading.Barrier(2)

    def met(*args: Any) -> Any:
        if before:
            barrier.wait(30)
        answer = function(*args)
        if not before:
            barrier.wait(30)
        return answer

    monkeypatch.setattr(rights, name, met)


def test_the_way_back_in_is_on_record(monkeypatch, capsys):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "a long one for this test")

    call_command("createsuperuser", username="boss", email="boss@example.com", interactive=False)
    monkeypatch.setattr("getpass.getpass", lambda prompt: "another long one, just as good")
    call_command("changepassword", "boss")

    boss = User.objects.get(username="boss")
    assert [what for what, _ in told(boss)] == ["created", "password changed"]
    assert {entry.actor for entry in Change.objects.all()} == {COMMAND_LINE}


def untouched(client: Client, of: User) -> dict[str, Any]:
    """Return what a browser would send of a person's page untouched."""
    form = client.get(f"{USERS}{of.pk}/change/").context["adminform"].form
    sent: dict[str, Any] = {}
    for field in form:
        if not field.field.disabled:
            sent[field.html_name] = sent[field.html_initial_name] = field.value() or ""
    return sent


def test_no_page_shows_what_is_kept_of_a_password(owner):
    maria = User.objects.create_user("maria", password="a long one for this test")

    assert maria.password not in text(owner.get(f"{USERS}{maria.pk}/change/"))


def test_t11_who_comes_second_to_a_person_keeps_all_roles_that_were_ticked(owner):
    roles = list(Group.objects.filter(name__in=["viewer", "stock clerk"]))
    maria = User.objects.create(username="maria", email="old@example.com")
    maria.groups.set(roles)
    form = untouched(owner, maria)
    User.objects.filter(pk=maria.pk).update(email="new@example.com")

    told = owner.post(f"{USERS}{maria.pk}/change/", {**form, "email": "mine@example.com"})
    shown = told.context["adminform"].form

    assert "it is new@example.com now" in text(told)
    assert sorted(map(int, shown["groups"].value())) == sorted(role.pk for role in roles)


def test_t11_roles_that_somebody_else_gave_are_told_by_name(owner):
    viewer, clerk, manager = Group.objects.exclude(name="owner").order_by("name")
    maria = User.objects.create(username="maria")
    form = untouched(owner, maria)
    maria.groups.set([viewer, clerk])

    told = owner.post(f"{USERS}{maria.pk}/change/", {**form, "groups": [manager.pk]})
    again = told.context["adminform"].form
    seen = again["groups"].as_hidden(only_initial=True)

    assert f"it is {viewer}, {clerk} now" in text(told)
    assert all(f'value="{role.pk}"' in seen for role in (viewer, clerk))


def test_t11_roles_that_two_people_give_to_somebody_without_any_are_not_lost(owner):
    maria = User.objects.create(username="maria")
    form = filled_in(owner.get(page_of(maria)))
    rights.change_person(maria.pk, [role("viewer")], actor=MERCHANT)

    told = owner.post(page_of(maria), {**form, "groups": [role("stock clerk").pk]})

    assert "it is viewer now" in text(told)
    assert [group.name for group in maria.groups.all()] == ["viewer"]


def test_t11_roles_are_given_also_if_something_else_was_wrong_at_first(owner):
    maria = User.objects.create(username="maria")
    ticked = {**filled_in(owner.get(page_of(maria))), "groups": [role("viewer").pk]}

    wrong = filled_in(owner.post(page_of(maria), {**ticked, "email": "nowhere"}))
    owner.post(page_of(maria), {**wrong, "email": "maria@example.com"})

    assert [group.name for group in maria.groups.all()] == ["viewer"]


@pytest.mark.parametrize("address", ["user", "group"])
def test_t11_a_form_that_did_not_arrive_takes_nothing_away(owner, address):
    maria = staff("maria", "viewer")
    thing = maria if address == "user" else role("viewer")
    given = role("viewer").permissions.count()

    owner.post(f"/admin/auth/{address}/{thing.pk}/change/", {"username": "maria"})

    maria.refresh_from_db()
    assert (maria.is_active, maria.is_staff, maria.groups.count()) == (True, True, 1)
    assert role("viewer").permissions.count() == given


def test_t11_of_two_changes_at_once_none_is_lost_to_the_other():
    maria, viewer = staff("maria"), role("viewer")
    permissions = list(viewer.permissions.all())

    rights.change_person(
        maria.pk, [viewer], actor=COMMAND_LINE, seen={"groups": []}, email="a@b.se"
    )
    with pytest.raises(Moved):
        rights.change_person(maria.pk, [role("owner")], actor=COMMAND_LINE, seen={"groups": []})
    with pytest.raises(Moved):
        rights.change_person(maria.pk, actor=COMMAND_LINE, seen={"email": ""}, email="c@d.se")
    rights.change_role(viewer.pk, [], actor=COMMAND_LINE, seen={"permissions": permissions[::-1]})
    with pytest.raises(Moved):
        rights.change_role(viewer.pk, [], actor=COMMAND_LINE, seen={"permissions": permissions})

    maria.refresh_from_db()
    assert (maria.email, maria.groups.get()) == ("a@b.se", viewer)


def test_a_name_that_was_taken_at_the_same_moment_is_refused():
    """As by a second click: no form could see it."""
    maria, viewer = staff("maria"), role("viewer")
    for change, refusal in (
        (lambda: rights.create_person(User(username="maria"), [], actor=MERCHANT), UsernameTaken),
        (lambda: rights.create_role(Group(name="viewer"), [], actor=MERCHANT), RoleTaken),
    ):
        with pytest.raises(refusal):
            change()

    assert (User.objects.get(), Group.objects.filter(name="viewer").get()) == (maria, viewer)


# Who may change people, but not roles: a help desk, which lets people in and renews passwords.


@pytest.fixture
def desk() -> User:
    person = staff("desk", "viewer")
    permissions = Permission.objects.filter(codename__in=["add_user", "change_user"])
    person.user_permissions.set(permissions)
    return User.objects.get(pk=person.pk)


def test_t21_nobody_gives_rights_that_they_do_not_have(desk):
    client, maria, page = signed_in(desk), staff("maria"), page_of(desk)

    for address in (page, page_of(maria)):
        answer = client.post(
            address, {**filled_in(client.get(address)), "groups": [role("owner").pk]}
        )
        assert rights.BeyondOwnRights.detail in text(answer)
    made = {
        "username": "new",
        "password1": "a long one for this",
        "password2": "a long one for this",
    }
    client.post(f"{USERS}add/", {**made, "is_staff": "on", "groups": [role("owner").pk]})
    viewer = {"groups": [role("viewer").pk]}
    client.post(page_of(maria), {**filled_in(client.get(page_of(maria))), **viewer})

    assert maria.groups.get() == role("viewer")
    assert not User.objects.filter(groups__name="owner").exists()
    assert not User.objects.filter(username="new").exists()


def test_t21_nobody_opens_a_door_to_more_rights_than_they_have(desk):
    client, boss = signed_in(desk), staff("boss", "owner")
    staff("another", "owner")

    for page in ("change", "password", "let_in"):
        address = f"{USERS}{boss.pk}/{page}/"
        typed = {"password1": "a long one for this", "password2": "a long one for this"}
        assert client.post(address, {"username": "mine", **typed}).status_code == 403
    with pytest.raises(rights.BeyondOwnRights):
        rights.change_person(boss.pk, actor=Actor.person(desk), is_active=False)

    boss.refresh_from_db()
    assert (boss.username, boss.is_active, boss.password) == ("boss", True, "")


def test_t21_a_role_gets_no_rights_from_who_has_them_not():
    keeper = staff("keeper")
    keeper.user_permissions.set(Permission.objects.filter(codename="change_group"))
    both = Permission.objects.filter(codename__in=["change_group", "change_user"])
    permissions = list(both.order_by("codename"))
    mine = Group.objects.create(name="mine")
    keeper.groups.add(mine)
    actor = Actor.person(keeper)

    rights.change_role(mine.pk, permissions[:1], actor=actor)
    for change in (
        lambda: rights.change_role(mine.pk, permissions, actor=actor),
        lambda: rights.create_role(Group(name="more"), permissions, actor=actor),
        lambda: rights.change_role(role("viewer").pk, [], actor=actor),
    ):
        with pytest.raises(rights.BeyondOwnRights):
            change()

    assert (
        signed_in(keeper).post(f"/admin/auth/group/{role('viewer').pk}/change/").status_code == 403
    )
    assert not Group.objects.filter(name="more").exists()
