"""What leaves a shop open to strangers is said before it opens."""

import re
from typing import Any

import pytest
from django.core.checks import run_checks

from api import checks
from config.supervisor import PROJECT

# As random as the keys that `secrets` makes.
STRONG = "4dQnH0wU8a1kZyLr9cXf3TgVbEsMj6Ip"
STRONG_TOO = "n2Wm8RkYc5tJq0BvZ7xDhL4sGfUa9EoP"


@pytest.fixture(autouse=True)
def closed_shop(settings):
    settings.HOLDFAST_DEMO = False
    settings.MANUAL_GATEWAY_FOR_SHOPPERS = False
    settings.SECRET_KEY = STRONG
    settings.TOKEN_KEYS = {"1": STRONG_TOO}
    settings.ALLOWED_HOSTS = ["shop.example.com", ".shop.example.com", "192.0.2.7"]
    settings.CORS_ALLOWED_ORIGINS = ["https://shop.example.com", "http://localhost:5173"]
    settings.CSRF_TRUSTED_ORIGINS = ["https://*.example.com", "https://admin.example.com:8443"]


def found() -> list[str]:
    messages = run_checks(tags=[checks.TAG], include_deployment_checks=True)
    assert all(message.hint for message in messages)
    return sorted(str(message.id) for message in messages)


def test_a_closed_shop_is_told_nothing():
    assert found() == []
    assert checks.what_leaves_the_shop_open() == []


def test_t42_keys_that_can_be_guessed_are_errors(settings):
    settings.SECRET_KEY = "abc"
    settings.TOKEN_KEYS = {"2": STRONG_TOO, "1": "abc"}

    assert found() == ["holdfast.E002", "holdfast.E003", "holdfast.E004"]


@pytest.mark.parametrize(
    "key",
    [
        "",
        "a" * 64,
        "abcab" * 10,
        STRONG[:31],
        "demo-token_key-good-for-loopback-only",
        "demo-secret_key-good-for-loopback-only",
        "django-insecure-" + STRONG,
    ],
)
def test_a_key_is_long_not_monotonous_and_not_public(settings, key):
    settings.TOKEN_KEYS = {"1": key}

    assert found() == ["holdfast.E003"]


@pytest.mark.parametrize(
    ("fault", "id"),
    [
        ({"HOLDFAST_DEMO": True}, "E001"),
        ({"TOKEN_KEYS": {"1": STRONG}}, "E004"),
        ({"TOKEN_KEYS": {"2": STRONG_TOO, "1": STRONG_TOO}}, "E004"),
        ({"METRICS_TOKEN": STRONG}, "E004"),
        ({"ALLOWED_HOSTS": ["shop.example.com", "*"]}, "E005"),
        ({"ALLOWED_HOSTS": [".com"]}, "E005"),
        ({"CSRF_TRUSTED_ORIGINS": ["https://*"]}, "E005"),
        ({"CSRF_TRUSTED_ORIGINS": ["https://*.com"]}, "E005"),
        ({"CORS_ALLOWED_ORIGINS": ["*"]}, "E005"),
        ({"CORS_ALLOWED_ORIGINS": ["null"]}, "E005"),
        ({"BEHIND_TLS_PROXY": True}, "E006"),
        ({"MANUAL_GATEWAY_FOR_SHOPPERS": True}, "W001"),
        ({"STRIPE_SECRET_KEY": "sk_test_123"}, "W002"),
        ({"STRIPE_API_BASE": "http://127.0.0.1:12111"}, "W002"),
        ({"METRICS_TOKEN": "abc"}, "W003"),
    ],
)
def test_t42_each_fault_of_the_environment_has_its_id(settings, fault: dict[str, Any], id: str):
    for name, value in fault.items():
        setattr(settings, name, value)

    assert found() == [f"holdfast.{id}"]
    assert bool(checks.what_leaves_the_shop_open()) == id.startswith("E")


@pytest.mark.parametrize("password", ["short", "holdfast", "postgres"])
def test_the_password_of_the_database_is_not_the_first_that_one_tries(
    settings, monkeypatch, password
):
    monkeypatch.setitem(settings.DATABASES["default"], "USER", "holdfast")
    monkeypatch.setitem(settings.DATABASES["default"], "PASSWORD", password)

    assert found() == ["holdfast.W004"]


def test_with_its_proxies_counted_tls_may_end_there(settings):
    settings.BEHIND_TLS_PROXY = True
    settings.NUM_TRUSTED_PROXIES = 1

    assert found() == []


def test_every_check_is_in_the_documents():
    said = re.findall(r"`(holdfast\.[EWI]\d{3})`", (PROJECT / "docs/operations.md").read_text())
    sources = [PROJECT / "api/checks.py", PROJECT / "demo/checks.py"]
    raised = re.findall(r'id="(.*?)"', "".join(source.read_text() for source in sources))

    assert sorted(said) == sorted(raised)
