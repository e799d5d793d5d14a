"""API clients and people in the admin."""

import re
from html import unescape
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.utils import timezone

from api import tokens
from api.models import ApiClient
from backoffice import logins
from tests.factories import api_client

pytestmark = pytest.mark.django_db

CLIENTS = "/admin/api/apiclient/"
USERS = "/admin/auth/user/"


@pytest.fixture
def admin_client() -> Client:
    """Somebody who may do everything; without a password, whose hash takes half a second."""
    client = Client()
    client.force_login(User.objects.create_superuser("admin"))
    return client


def text(response: Any) -> str:
    return unescape(response.content.decode())


def test_a_back_office_gets_its_secret_shown_once(admin_client):
    response = admin_client.post(
        f"{CLIENTS}add/", {"client_id": "office", "name": "Back office"}, follow=True
    )

    client = ApiClient.objects.get(client_id="office")
    secret = re.search(r"secret of office is ([\w-]{43})", text(response))
    assert secret
    assert client.has_secret(secret[1])
    assert secret[1] not in text(admin_client.get(CLIENTS))
    shown = text(admin_client.get(f"{CLIENTS}{client.pk}/change/"))
    assert secret[1] not in shown
    assert client.secret_sha256 not in shown


def test_a_storefront_has_no_secret(admin_client):
    response = admin_client.post(
        f"{CLIENTS}add/",
        {"client_id": "shop", "name": "Shop", "storefront": "on"},
        follow=True,
    )

    assert "secret of" not in text(response)
    assert not ApiClient.objects.get(client_id="shop").secret_sha256


def test_a_taken_client_id_is_refused_on_the_form(admin_client):
    api_client(client_id="office")

    response = admin_client.post(f"{CLIENTS}add/", {"client_id": "office", "name": "Other"})

    assert list(response.context["adminform"].form.errors) == ["client_id"]
    assert ApiClient.objects.count() == 1


def test_a_client_is_renamed_and_nothing_else(admin_client):
    client = api_client("secret", client_id="office", name="Office")

    sent = {"name": "Back office", "client_id": "other", "active": ""}
    admin_client.post(f"{CLIENTS}{client.pk}/change/", sent)

    client.refresh_from_db()
    assert (client.name, client.client_id, client.active) == ("Back office", "office", True)


def test_new_secret_is_shown_once_and_the_old_one_opens_nothing(admin_client):
    client = api_client("old", client_id="office", name="Office")
    token = tokens.issue("client_credentials", "office", "old")["access_token"]

    assert "shown once" in text(admin_client.get(f"{CLIENTS}{client.pk}/rotate/"))
    response = admin_client.post(f"{CLIENTS}{client.pk}/rotate/", follow=True)

    secret = re.search(r"secret of office is ([\w-]{43})", text(response))
    assert secret
    assert secret[1] not in text(admin_client.get(f"{CLIENTS}{client.pk}/change/"))
    assert tokens.issue("client_credentials", "office", secret[1])
    with pytest.raises(tokens.BadCredentials):
        tokens.issue("client_credentials", "office", "old")
    with pytest.raises(tokens.BadToken):
        tokens.read(token)


def test_revoked_client_gets_no_token_and_its_tokens_end(admin_client):
    client = api_client("secret", client_id="office", name="Office")
    token = tokens.issue("client_credentials", "office", "secret")["access_token"]

    admin_client.post(f"{CLIENTS}{client.pk}/revoke/")

    with pytest.raises(tokens.BadCredentials):
        tokens.issue("client_credentials", "office", "secret")
    with pytest.raises(tokens.BadToken):
        tokens.read(token)


def test_restored_client_needs_a_new_token(admin_client):
    client = api_client("secret", client_id="office", name="Office")
    token = tokens.issue("client_credentials", "office", "secret")["access_token"]
    admin_client.post(f"{CLIENTS}{client.pk}/revoke/")

    admin_client.post(f"{CLIENTS}{client.pk}/restore/")

    with pytest.raises(tokens.BadToken):
        tokens.read(token)
    again = tokens.issue("client_credentials", "office", "secret")["access_token"]
    assert tokens.read(again).client_id == "office"


def test_storefront_has_no_secret_to_replace(admin_client):
    client = api_client(secret="", client_id="shop", name="Shop")

    page = text(admin_client.get(f"{CLIENTS}{client.pk}/change/"))
    response = admin_client.post(f"{CLIENTS}{client.pk}/rotate/", follow=True)

    assert "New secret" not in page
    assert "has no secret that could be replaced" in text(response)
    client.refresh_from_db()
    assert client.is_storefront


def test_what_was_done_with_a_client_stands_in_its_history(admin_client):
    client = api_client("secret")

    admin_client.post(f"{CLIENTS}{client.pk}/rotate/")
    admin_client.post(f"{CLIENTS}{client.pk}/revoke/")

    entries = LogEntry.objects.filter(object_id=str(client.pk)).order_by("pk")
    assert [entry.get_change_message() for entry in entries] == ["New secret", "Revoke"]
    assert {entry.user.username for entry in entries} == {"admin"}


def test_a_step_is_not_taken_by_looking_at_it(admin_client):
    client = api_client("secret")

    for action in ("rotate", "revoke", "restore"):
        assert admin_client.get(f"{CLIENTS}{client.pk}/{action}/").status_code == 200

    same = ApiClient.objects.get()
    assert (same.version, same.active, same.has_secret("secret")) == (1, True, True)


def test_clients_are_never_deleted(admin_client):
    client = api_client()

    response = admin_client.post(f"{CLIENTS}{client.pk}/delete/", {"post": "yes"})

    assert response.status_code == 403


@pytest.mark.parametrize(
    "page", ["", "auth/user/", "auth/user/add/", "auth/group/", "api/apiclient/add/"]
)
def test_every_page_opens(admin_client, page):
    assert admin_client.get(f"/admin/{page}").status_code == 200


def test_jobs_are_not_shown(admin_client):
    assert "procrastinate" not in text(admin_client.get("/admin/")).lower()


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
    [entry] = LogEntry.objects.filter(object_id=maria.pk)
    assert "Let in again" in entry.get_change_message()


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
