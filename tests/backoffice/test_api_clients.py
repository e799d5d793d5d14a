"""API clients in the admin."""

import re

import pytest

from api import services, tokens
from api.models import ApiClient, Change
from tests.backoffice.pages import hidden, send, text
from tests.factories import MERCHANT, api_client

pytestmark = pytest.mark.django_db

CLIENTS = "/admin/api/apiclient/"


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
    response = send(admin_client, f"{CLIENTS}{client.pk}/rotate/", follow=True)

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

    send(admin_client, f"{CLIENTS}{client.pk}/revoke/")

    with pytest.raises(tokens.BadCredentials):
        tokens.issue("client_credentials", "office", "secret")
    with pytest.raises(tokens.BadToken):
        tokens.read(token)


def test_restored_client_needs_a_new_token(admin_client):
    client = api_client("secret", client_id="office", name="Office")
    token = tokens.issue("client_credentials", "office", "secret")["access_token"]
    send(admin_client, f"{CLIENTS}{client.pk}/revoke/")

    send(admin_client, f"{CLIENTS}{client.pk}/restore/")

    with pytest.raises(tokens.BadToken):
        tokens.read(token)
    again = tokens.issue("client_credentials", "office", "secret")["access_token"]
    assert tokens.read(again).client_id == "office"


def test_storefront_has_no_secret_to_replace(admin_client):
    client = api_client(secret="", client_id="shop", name="Shop")

    page = text(admin_client.get(f"{CLIENTS}{client.pk}/change/"))
    response = send(admin_client, f"{CLIENTS}{client.pk}/rotate/", follow=True)

    assert "New secret" not in page
    assert "has no secret that could be replaced" in text(response)
    client.refresh_from_db()
    assert client.is_storefront


def test_what_was_done_with_a_client_stands_in_its_history(admin_client):
    client = api_client("secret")

    send(admin_client, f"{CLIENTS}{client.pk}/rotate/")
    send(admin_client, f"{CLIENTS}{client.pk}/revoke/")

    entries = Change.objects.filter(thing_id=str(client.pk)).order_by("pk")
    assert [entry.what for entry in entries] == ["secret renewed", "deactivated"]
    assert {entry.actor_name for entry in entries} == {"admin"}


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


def test_t11_of_two_who_renew_a_secret_at_once_the_second_is_told(admin_client):
    client = api_client("secret")
    page = f"{CLIENTS}{client.pk}/rotate/"
    form = hidden(admin_client, page)
    admin_client.post(page, form)
    client.refresh_from_db()
    secret = client.secret_sha256

    told = text(admin_client.post(page, form))

    client.refresh_from_db()
    assert client.secret_sha256 == secret
    assert "was version 1, and is version 2 now." in told


@pytest.mark.parametrize("lookup", ["secret_sha256", "secret_sha256__startswith"])
def test_what_is_kept_of_a_secret_is_no_filter(admin_client, lookup):
    services.create_client("till", "The till", actor=MERCHANT)
    kept = ApiClient.objects.get().secret_sha256

    answer = admin_client.get("/admin/api/apiclient/", {lookup: kept})

    assert (answer.status_code, "The till" in text(answer)) == (302, False)
