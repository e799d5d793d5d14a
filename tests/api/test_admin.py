"""API clients and people in the admin."""

import re
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from api import tokens
from api.models import ApiClient
from tests.factories import api_client

pytestmark = pytest.mark.django_db

CLIENTS = "/admin/api/apiclient/"


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


def test_a_client_that_is_made_inactive_gets_no_more_tokens(admin_client):
    client = api_client("secret", client_id="office", name="Office")

    admin_client.post(f"{CLIENTS}{client.pk}/change/", {"name": "Office"})

    client.refresh_from_db()
    assert not client.active
    with pytest.raises(tokens.BadCredentials):
        tokens.issue("client_credentials", "office", "secret")


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
