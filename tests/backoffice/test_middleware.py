"""What stands around all pages for people."""

import json

import pytest
from django.contrib.auth.models import User

from backoffice.middleware import (
    MESSAGE_LENGTH_MAX,
    MESSAGES_MAX,
    SEARCH_LENGTH_MAX,
    SEARCH_WORDS_MAX,
)
from tests.backoffice.pages import signed_in

pytestmark = pytest.mark.django_db

STORE = "/admin/inventory/product/"


@pytest.fixture
def owner():
    return signed_in(User.objects.create_superuser("maria"))


def test_the_admin_is_found_without_its_last_slash(client):
    assert client.get("/admin")["Location"] == "/admin/"


@pytest.mark.parametrize(
    "address",
    [
        f"{STORE}?q=",
        "/admin/orders/order/export/?q=",
        "/admin/autocomplete/?app_label=inventory&model_name=stock&field_name=product&term=",
    ],
)
def test_t38_a_search_is_short(owner, address):
    taken = owner.get(address + "a%20" * SEARCH_WORDS_MAX)
    b"".join(taken)

    assert taken.status_code == 200
    assert owner.get(address + "a%20" * (SEARCH_WORDS_MAX + 1)).status_code == 400
    assert owner.get(address + "a" * (SEARCH_LENGTH_MAX + 1)).status_code == 400


def test_t39_what_nobody_reads_does_not_pile_up(owner):
    for _ in range(MESSAGES_MAX + 5):
        owner.get(f"{STORE}{'x' * 5_000}/change/")

    waiting = json.loads(owner.session["_messages"])

    assert len(waiting) == MESSAGES_MAX
    assert all(len(str(message)) < MESSAGE_LENGTH_MAX + 100 for message in waiting)
