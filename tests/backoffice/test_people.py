"""People in the admin: who keeps them, and who lets them in again."""

import pytest
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.utils import timezone

from api.models import Change
from backoffice import logins
from tests.backoffice.pages import text

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
