"""A database that was once a demo's, in a shop that is none."""

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test import Client

from api import tokens
from api.models import ApiClient, Change
from demo import checks, logins
from tests.factories import api_client

pytestmark = pytest.mark.django_db

LOGIN = "/admin/login/"


@pytest.fixture
def former_demo(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    logins.create()
    settings.HOLDFAST_DEMO = False


@pytest.fixture(autouse=True)
def no_shop_window(settings):
    settings.SHOP_WINDOW_CLIENT = ""


def found() -> dict[str | None, str]:
    return {message.id: message.msg for message in checks.the_database_is_a_shops()}


def test_a_database_of_its_own_is_told_nothing():
    assert found() == {}


@pytest.mark.usefixtures("former_demo")
def test_t42_logins_and_secrets_of_the_demo_are_found():
    names = found()

    assert names.keys() == {"holdfast.E007", "holdfast.E008"}
    assert names["holdfast.E007"].endswith(": clerk, demo, manager, owner, viewer.")
    assert names["holdfast.E008"].endswith(": demo.")


@pytest.mark.usefixtures("former_demo")
def test_whoever_has_a_password_of_their_own_may_stay():
    for person in User.objects.exclude(username="viewer"):
        person.set_password("kelp-and-anchor")
        person.save()
    User.objects.filter(username="viewer").update(is_active=False)
    ApiClient.objects.filter(client_id="demo").update(active=False)

    assert found() == {}


def test_a_shop_window_belongs_to_a_storefront(settings):
    server, storefront = api_client("a-secret-of-a-server"), api_client(secret="")

    for client_id in ("nobody", server.client_id):
        settings.SHOP_WINDOW_CLIENT = client_id
        assert found().keys() == {"holdfast.W008"}
    settings.SHOP_WINDOW_CLIENT = storefront.client_id
    assert found() == {}


def test_a_database_that_does_not_answer_is_no_error(monkeypatch):
    def fail():
        raise OperationalError

    monkeypatch.setattr(connection.introspection, "table_names", fail)

    assert found().keys() == {"holdfast.I001"}


@pytest.mark.usefixtures("former_demo")
def test_t42_the_demos_password_opens_no_door_outside_of_the_demo(settings):
    answer = Client().post(LOGIN, {"username": "demo", "password": "demo"})

    assert answer.status_code == 200

    settings.HOLDFAST_DEMO = True
    assert Client().post(LOGIN, {"username": "demo", "password": "demo"}).status_code == 302


@pytest.mark.usefixtures("former_demo")
def test_t42_the_demos_secret_gets_no_token_outside_of_the_demo(settings):
    with pytest.raises(tokens.BadCredentials):
        tokens.issue("client_credentials", "demo", "demo-secret")

    settings.HOLDFAST_DEMO = True
    assert tokens.issue("client_credentials", "demo", "demo-secret")["identifier"]


@pytest.mark.usefixtures("former_demo")
def test_t21_the_demo_s_logins_and_clients_are_on_record_once_each():
    told = sorted(Change.objects.values_list("kind", "thing_name", "what"))

    people = sorted(("auth.user", name, "created") for name in logins.NAMES)
    clients = sorted(
        ("api.apiclient", str(client), "created") for client in ApiClient.objects.all()
    )
    assert told == [*clients, *people]
