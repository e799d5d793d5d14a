"""Views that people save of a list, each their own."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from backoffice import saved_views
from backoffice.models import SavedView
from tests.backoffice.orders.test_list import ORDERS
from tests.backoffice.pages import client_with, signed_in, text

pytestmark = pytest.mark.django_db

VIEWS = f"{ORDERS}views/"


def save(client: Client, name: str, of: str = "payment=paid&q=ada") -> str:
    return text(client.post(f"{VIEWS}?of={of.replace('&', '%26')}", {"name": name}, follow=True))


def tabs(client: Client, **asked: str) -> list[tuple[str, str, bool]]:
    return [tuple(tab) for tab in client.get(ORDERS, asked).context["views"]]


def test_a_view_is_a_tab_of_its_person_alone(admin_client):
    save(admin_client, "Paid by Ada", "q=ada&list=unpaid&payment=paid&p=3&e=1&nonsense=1")
    link = "?list=unpaid&payment=paid&q=ada"

    assert tabs(admin_client) == [("Paid by Ada", link, False)]
    opened = tabs(admin_client, q="ada", payment="paid", list="unpaid")
    assert opened == [("Paid by Ada", link, True)]
    other = User.objects.create_superuser("other")
    assert tabs(signed_in(other)) == []
    view = SavedView.objects.get()
    assert signed_in(other).post(f"{VIEWS}{view.pk}/", {"delete": "yes"}).status_code == 404


def test_a_view_is_renamed_and_deleted(admin_client):
    save(admin_client, "One")
    save(admin_client, "Two")
    view = SavedView.objects.get(name="One")
    page = f"{VIEWS}{view.pk}/"

    assert "You have a view of this name already." in text(admin_client.post(page, {"name": "TWO"}))
    admin_client.post(page, {"name": "one"})
    assert [name for name, *_ in tabs(admin_client)] == ["one", "Two"]
    admin_client.post(page, {"delete": "yes"})
    assert [name for name, *_ in tabs(admin_client)] == ["Two"]


@pytest.mark.parametrize(
    ("name", "of", "said"),
    [
        ("ONE", "q=bob", "You have a view of this name already."),
        ("", "q=bob", "Give it a name."),
        ("a" * 61, "q=bob", "at most 60 characters"),
        ("\x00", "q=bob", "Null characters are not allowed."),
        ("New", "", "a view keeps what was asked for"),
        ("New", "nonsense=1", "a view keeps what was asked for"),
        ("New", "&".join(f"q{number}=1" for number in range(99)), "a view keeps what was asked"),
    ],
)
def test_what_cannot_be_kept_as_a_view_is_said(admin_client, name, of, said):
    save(admin_client, "One")

    assert said in save(admin_client, name, of)
    assert SavedView.objects.count() == 1


def test_a_person_has_so_many_views_and_no_more(admin_client, monkeypatch):
    monkeypatch.setattr(saved_views, "VIEWS_MAX", 1)
    save(admin_client, "One")

    assert "You have 1 views. Delete one first." in save(admin_client, "Two")


def test_views_are_for_those_who_see_the_list():
    seller, nobody = client_with("view_order"), signed_in(_without_rights())

    assert seller.get(VIEWS).status_code == 200
    assert nobody.get(VIEWS).status_code == nobody.post(VIEWS).status_code == 403


def _without_rights() -> User:
    return User.objects.create_user("nobody", is_staff=True)
