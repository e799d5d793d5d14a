import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.http import HttpResponse
from django.test import Client
from django.utils.functional import SimpleLazyObject

from api.errors import Busy
from backoffice.refusals import RefusalMiddleware
from inventory.models import Product
from tests.backoffice.pages import signed_in, text

pytestmark = pytest.mark.django_db

STORE = "/admin/inventory/product/"
MANY = {f"name{number}": "x" for number in range(2000)}

# What cannot be answered as it was asked: the call, its status, and what a person reads.
REFUSED = {
    "an address of nothing": (lambda c: c.get("/admin/nothing/"), 404, "no such page"),
    "too large a form": (lambda c: c.post(STORE, {"a": "x" * 2**21}), 413, "larger than is taken"),
    "a form of too many fields": (
        lambda c: c.post(STORE, "a=&" * 2000, content_type="application/x-www-form-urlencoded"),
        400,
        "nothing was changed",
    ),
    "too many parameters": (lambda c: c.get(STORE, MANY), 400, "nothing was changed"),
    "no form at all": (
        lambda c: c.post(STORE, b"x", content_type="multipart/form-data"),
        400,
        "nothing was changed",
    ),
    "another host": (lambda c: c.get(STORE, HTTP_HOST="evil.test"), 400, "nothing was changed"),
    "too long a search": (lambda c: c.get(STORE, {"q": "a " * 30}), 400, "Go back and leave some"),
    "an address of a button": (lambda c: c.get("/admin/logout/"), 405, "button of another page"),
}


@pytest.fixture
def owner():
    return signed_in(User.objects.create_superuser("maria"))


@pytest.mark.parametrize("name", REFUSED)
def test_people_read_a_page_and_no_json_whatever_refuses_them(owner, name):
    call, status, words = REFUSED[name]

    for client in (owner, Client()):
        answer = call(client)

        if answer.status_code != 302:  # To the login.
            assert (answer.status_code, answer["Content-Type"][:9]) == (status, "text/html")
            assert words in text(answer)
            assert int(answer["Content-Length"]) == len(answer.content)
            assert answer["X-Request-Id"] in text(answer) or client is owner


def test_who_sends_a_file_when_their_login_has_ended_is_told_that(owner):
    for client, words in ((owner, "This is too large"), (Client(), "You are not logged in")):
        answer = client.post("/admin/inventory/sheet/add/", {"file": "x" * 2**21})

        assert (answer.status_code, words in text(answer)) == (413, True)


def test_t11_a_form_of_another_login_is_refused_with_a_page_that_says_so(owner):
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = owner.cookies

    answer = strict.post("/admin/auth/group/add/", {"name": "x", "csrfmiddlewaretoken": "y" * 64})

    assert (answer.status_code, "opened before you logged in" in text(answer)) == (403, True)
    assert "/admin/logout/" in text(answer)
    assert "CSRF" not in text(answer)


def test_what_a_service_refuses_is_a_page_where_no_form_has_a_place_for_it(owner, monkeypatch):
    def refuse(*args, **options):
        raise Busy

    monkeypatch.setattr("backoffice.products.list.ProductAdmin.get_queryset", refuse)

    answer = owner.get(STORE)

    assert (answer.status_code, answer["Retry-After"]) == (503, "1")
    assert Busy.detail in text(answer)


def test_a_fault_of_the_server_is_a_page_with_the_number_to_look_for(owner, monkeypatch):
    def fail(*args, **options):
        raise RuntimeError("secret")

    monkeypatch.setattr("backoffice.products.list.ProductAdmin.get_queryset", fail)
    owner.raise_request_exception = False

    answer = owner.get(STORE)

    assert (answer.status_code, answer["X-Request-Id"] in text(answer)) == (500, True)
    assert "secret" not in text(answer)


def test_whoever_is_logged_out_meanwhile_is_not_told_that_nothing_was_changed(owner, monkeypatch):
    def log_out(page, request):
        request.session["told"] = "something"
        Session.objects.all().delete()
        return Product.objects.none()

    monkeypatch.setattr("backoffice.products.list.ProductAdmin.get_queryset", log_out)

    answer = text(owner.get(STORE))

    assert "You were logged out" in answer
    assert "nothing was changed" not in answer


def test_programs_go_on_reading_json(client):
    assert client.get("/nothing").json()["errors"][0]["code"] == "not_found"
    assert client.post("/v2/carts/x/items", MANY).json()["errors"]


def test_what_was_said_meanwhile_waits_for_the_next_page(owner):
    owner.get("/admin/inventory/product/00000000-0000-0000-0000-000000000000/change/")

    assert "Perhaps it was deleted?" not in text(owner.get("/admin/nothing/"))
    assert "Perhaps it was deleted?" in text(owner.get("/admin/"))


def test_nobody_is_asked_who_they_are_where_the_server_has_a_fault(rf):
    def away() -> User:
        raise OperationalError("the connection is closed")

    request = rf.get(STORE)
    request.user = SimpleLazyObject(away)

    answer = RefusalMiddleware(lambda _: HttpResponse(status=500))(request)

    assert (answer.status_code, answer["Content-Type"][:9]) == (500, "text/html")
    assert "Internal Server Error" in text(answer)
