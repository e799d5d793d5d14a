"""Who tries passwords at the admin's door."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.hashers import PBKDF2PasswordHasher, get_hasher, make_password
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from api import limits, passwords
from api.actors import Actor
from backoffice import logins, rights
from config import settings as config_settings
from tests.concurrency import PATIENCE_SECONDS, run_together
from tests.http import statements

pytestmark = pytest.mark.django_db

LOGIN = "/admin/login/"
LONG = "a-rather-long-password"


@pytest.fixture(autouse=True)
def quick_hashes(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def maria(quick_hashes) -> User:
    return User.objects.create(username="maria", is_staff=True, password=make_password("right"))


def log_in(password: str, *, name: str = "maria", **headers: str) -> Any:
    return Client().post(LOGIN, {"username": name, "password": password}, **headers)  # type: ignore[arg-type]


def fail(times: int, **headers: str) -> Any:
    responses = [log_in("wrong", **headers) for _ in range(times)]
    return responses[-1]


@pytest.mark.usefixtures("maria")
def test_right_password_opens_the_door():
    assert log_in("right").status_code == 302


@pytest.mark.usefixtures("maria")
def test_fifth_wrong_password_closes_it_even_to_the_right_one():
    assert fail(4).status_code == 200

    locked = fail(1)

    assert locked.status_code == 429
    assert locked["Retry-After"] == "900"
    assert "15 minutes" in locked.content.decode()
    assert log_in("right").status_code == 429


@pytest.mark.usefixtures("maria")
def test_somebody_else_and_another_place_are_not_shut_out():
    User.objects.create(username="jonas", is_staff=True, password=make_password("right"))
    fail(5)

    assert log_in("right", name="jonas").status_code == 302
    assert log_in("right", REMOTE_ADDR="192.0.2.7").status_code == 302


@pytest.mark.usefixtures("maria")
def test_another_browser_at_the_same_place_is():
    fail(3, HTTP_USER_AGENT="one")
    fail(2, HTTP_USER_AGENT="another")

    assert log_in("right", HTTP_USER_AGENT="a third").status_code == 429


@pytest.mark.usefixtures("maria")
def test_nobody_learns_whether_a_name_exists():
    existing = [response.status_code for response in map(log_in, ["wrong"] * 6)]
    made_up = [log_in("wrong", name="nobody").status_code for _ in range(6)]

    assert existing == made_up == [200, 200, 200, 200, 429, 429]


@pytest.mark.usefixtures("maria")
def test_the_door_opens_when_the_time_is_over_though_somebody_went_on_trying(settings):
    fail(5)
    long_ago = timezone.now() - settings.AXES_COOLOFF_TIME
    AccessAttempt.objects.update(attempt_time=long_ago)
    log_in("wrong")

    assert log_in("right").status_code == 302


@pytest.mark.usefixtures("maria")
def test_trying_while_it_is_closed_keeps_it_closed_no_longer():
    fail(5)
    closed_at = AccessAttempt.objects.get().attempt_time

    fail(3)

    assert AccessAttempt.objects.get().attempt_time == closed_at


@pytest.mark.usefixtures("maria")
def test_right_password_makes_up_for_the_wrong_ones_before_it():
    fail(4)
    log_in("right")

    assert fail(4).status_code == 200


@pytest.mark.usefixtures("maria")
def test_whoever_is_let_in_needs_the_right_password_and_no_patience():
    fail(5)
    assert logins.is_shut_out("maria")

    logins.let_in("maria")

    assert log_in("wrong").status_code == 200
    assert log_in("right").status_code == 302


@pytest.mark.usefixtures("maria")
def test_behind_a_proxy_it_is_the_caller_who_counts(settings):
    settings.NUM_TRUSTED_PROXIES = 1
    fail(5, HTTP_X_FORWARDED_FOR="203.0.113.9")

    assert log_in("right", HTTP_X_FORWARDED_FOR="203.0.113.9").status_code == 429
    assert log_in("right", HTTP_X_FORWARDED_FOR="198.51.100.1").status_code == 302


@pytest.mark.usefixtures("maria")
def test_nobody_gets_more_attempts_by_inventing_addresses():
    for number in range(5):
        fail(1, HTTP_X_FORWARDED_FOR=f"203.0.113.{number}")

    assert log_in("right").status_code == 429


@pytest.mark.usefixtures("maria")
@pytest.mark.parametrize("address", ["2001:db8:1:2::7", "unknown", "", "10.0.0.1:4711", "\x00"])
def test_every_address_can_be_counted(settings, address):
    settings.NUM_TRUSTED_PROXIES = 1

    assert fail(5, HTTP_X_FORWARDED_FOR=address).status_code == 429


@pytest.mark.usefixtures("maria")
def test_a_network_of_ipv6_counts_as_one_address(settings):
    settings.NUM_TRUSTED_PROXIES = 1
    for number in range(5):
        fail(1, HTTP_X_FORWARDED_FOR=f"2001:db8:1:2::{number}")

    assert log_in("right", HTTP_X_FORWARDED_FOR="2001:db8:1:2::ffff").status_code == 429


@pytest.mark.usefixtures("maria")
def test_passwords_are_not_written_down():
    log_in("nearly the right one")

    assert "nearly" not in repr(list(AccessAttempt.objects.values()))


@pytest.mark.usefixtures("maria")
def test_trying_many_names_is_stopped_before_any_password_is_hashed(settings):
    settings.LIMITS = {**settings.LIMITS, "login": 3}
    limits.forget()
    for number in range(3):
        assert log_in("wrong", name=f"name-{number}").status_code == 200

    with patch("django.contrib.auth.hashers.check_password") as check:
        stopped = log_in("right")

    assert stopped.status_code == 429
    assert 1 <= int(stopped["Retry-After"]) <= settings.LIMIT_SECONDS
    assert "Too many requests from this address" in stopped.content.decode()
    assert not check.called
    assert Client().get(LOGIN).status_code == 200
    limits.forget()


# One password at a time.


@pytest.fixture
def hashing(settings) -> Iterator[None]:
    """Somebody else's password is being hashed."""
    settings.PASSWORD_HASHERS = ["tests.passwords.QuickOneAtATime"]
    with passwords._hashing:
        yield


def assert_told_to_come_back(response: Any) -> None:
    assert (response.status_code, response["Retry-After"]) == (429, "1")
    assert "Another password is being checked" in response.content.decode()


@pytest.mark.usefixtures("maria", "hashing")
@pytest.mark.parametrize("name", ["maria", "nobody"])
def test_t41_whoever_comes_while_a_password_is_checked_is_told_at_once_to_come_back(name):
    User.objects.update(password=f"pbkdf2_sha256$1$salt${'x' * 44}")

    assert_told_to_come_back(log_in("right", name=name))

    assert not AccessAttempt.objects.exists()


@pytest.mark.usefixtures("hashing")
@pytest.mark.parametrize(
    ("page", "sent"),
    [
        ("password_change/", {"old_password": "a", "new_password1": LONG, "new_password2": LONG}),
        (
            "auth/user/{id}/password/",
            {"password1": LONG, "password2": LONG, "usable_password": "true"},
        ),
        ("auth/user/add/", {"username": "jonas", "password1": LONG, "password2": LONG}),
    ],
)
def test_t41_so_is_whoever_sets_one(page, sent):
    old = f"pbkdf2_sha256$1$salt${'x' * 44}"
    owner = User.objects.create(username="o", is_staff=True, is_superuser=True, password=old)
    browser = Client()
    browser.force_login(owner)

    assert_told_to_come_back(browser.post(f"/admin/{page.format(id=owner.pk)}", sent))

    assert list(User.objects.values_list("password", flat=True)) == [old]


@pytest.mark.django_db(transaction=True)
def test_t41_of_many_who_come_at_once_one_is_let_through_at_a_time(settings, monkeypatch):
    settings.PASSWORD_HASHERS = ["tests.passwords.QuickOneAtATime"]
    User.objects.create(username="maria", is_staff=True, password=make_password("right"))
    others_were_told, at_once = threading.Barrier(4, timeout=PATIENCE_SECONDS), []
    hash_it = PBKDF2PasswordHasher.encode

    def encode(*args: Any, **options: Any) -> str:
        at_once.append(1)
        others_were_told.wait()
        return hash_it(*args, **options)

    def come() -> int:
        status: int = log_in("right").status_code
        if status == 429:
            others_were_told.wait()
        return status

    monkeypatch.setattr(PBKDF2PasswordHasher, "encode", encode)

    assert sorted(run_together(*[come] * 4)) == [302, 429, 429, 429]
    assert len(at_once) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("address", ["password_change/", "auth/user/{id}/password/"])
def test_t41_nobody_waits_for_a_person_whose_password_is_being_set(address):
    owner = User.objects.create(username="o", is_staff=True, is_superuser=True)
    browser = Client()
    browser.force_login(owner)
    sent = {"old_password": "a", "new_password1": LONG, "password1": LONG}

    with rights.password_on_record(owner.pk, actor=Actor.person(owner)):
        [answer] = run_together(lambda: browser.post(f"/admin/{address.format(id=owner.pk)}", sent))

    assert_told_to_come_back(answer)


def test_t41_every_password_is_hashed_that_way(settings):
    settings.PASSWORD_HASHERS = config_settings.PASSWORD_HASHERS

    hashers = [get_hasher(name) for name in ("default", "pbkdf2_sha256")]

    assert [type(hasher) for hasher in hashers] == [passwords.OneAtATime] * 2


@pytest.mark.usefixtures("maria")
def test_whoever_is_shut_out_costs_next_to_nothing(settings):
    fail(5)

    with patch("django.contrib.auth.hashers.check_password") as check:
        assert statements(lambda: log_in("right")) == 2
    assert not check.called


def test_what_counts_no_longer_is_forgotten(maria, settings):
    log_in("right")
    log_in("wrong")
    fail(1, REMOTE_ADDR="192.0.2.7")
    long_ago = timezone.now() - settings.AXES_COOLOFF_TIME - timedelta(minutes=1)
    AccessAttempt.objects.filter(ip_address="192.0.2.7").update(attempt_time=long_ago)
    Session.objects.create(session_key="over", expire_date=long_ago)

    logins.purge()

    assert AccessAttempt.objects.get().ip_address == "127.0.0.1"
    assert not Session.objects.filter(session_key="over").exists()
    assert Session.objects.count() == 1
