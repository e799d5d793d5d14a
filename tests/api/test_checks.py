"""What leaves a shop open to strangers is said before it opens."""

import json
import re
from typing import Any

import pytest
from django.contrib.staticfiles.apps import StaticFilesConfig
from django.contrib.staticfiles.finders import get_finders
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
    settings.LIMITS = {"token": 9, "checkout": 9, "payment": 9, "login": 9, "cart": 9}
    settings.UNPAID_ORDERS_PER_ADDRESS = settings.REQUEST_LIMIT = 9
    settings.GATEWAY_WAITS_MAX = 2
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
        "changeme" * 4,
        "Change-Me_" * 5,
        "p4ssw0rd" + "xK9" * 10,
        "insert-your-secret-key-here-please!!",
        "0123456789abcdef" * 4,
        "1q2w3e4r5t6y7u8i9o0p-1q2w3e4r5t6y",
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
        STRONG[:8] * 4,
        "00000000-0000-0000-0000-000000000001",
        "\udcff" + STRONG,
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
    "key",
    [
        STRONG,
        "a3f09c5e7b12d4688f6e0b9d7c21a5e4",  # openssl rand -hex 16
        "83650192746051948372605918374629",
        "7c9e6679-7425-40de-944b-e07fc1f90ae7",
        "Stapel Pferd Batterie korrekt Anker Hafen",
    ],
)
def test_any_key_that_was_made_by_chance_is_good(settings, key):
    settings.SECRET_KEY = key

    assert found() == []


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("DATABSE_URL", "DATABSE_URL is set, which nothing reads. Is it to be DATABASE_URL?"),
        ("STRIPE_PUBLISHABLE", "STRIPE_PUBLISHABLE is set, which nothing reads. Is it to be STR"),
        ("ALLOWED_HOST_FILE", "ALLOWED_HOST_FILE is set, which nothing reads. Is it to be ALL"),
        ("DATABASE_URL_FILE", ""),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", ""),
        ("POSTGRES_PASSWORD", ""),
    ],
)
def test_a_slip_in_the_name_of_a_variable_is_found(monkeypatch, name, told):
    monkeypatch.setenv(name, "a value that is told to nobody")

    said = [message.msg for message in checks.names_are_spelt()]

    assert (said[0].startswith(told) and "nobody" not in said[0]) if told else said == []


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
        ({"STRIPE_SECRET_KEY": "sk_test_1", "STRIPE_PUBLISHABLE_KEY": "pk_test_1"}, "W002"),
        ({"STRIPE_API_BASE": "http://127.0.0.1:12111"}, "W002"),
        ({"METRICS_TOKEN": "abc"}, "W003"),
        ({"METRICS_TOKEN": "changeme" * 4}, "W003"),
        ({"STRIPE_WEBHOOK_SECRET": "whsec_changeme"}, "W003"),
        ({"ALLOWED_HOSTS": ["https://shop.example.com"]}, "W005"),
        ({"ALLOWED_HOSTS": ["shop.example.com:8000"]}, "W005"),
        ({"ALLOWED_HOSTS": ["shop.example.com", " "]}, "W005"),
        ({"ALLOWED_HOSTS": ["*.example.com"]}, "W005"),
        ({"STATIC_ROOT": "/nowhere"}, "W007"),
        ({"REQUEST_LIMIT": 0}, "W009"),
        ({"LIMITS": {"token": 9, "checkout": 9, "payment": 9, "login": 0, "cart": 9}}, "W009"),
        ({"GATEWAY_WAITS_MAX": 4}, "W016"),
        ({"STRIPE_SECRET_KEY": "sk_live_1"}, "W006"),
        ({"STRIPE_SECRET_KEY": "sk_live_1", "STRIPE_PUBLISHABLE_KEY": "pk_test_1"}, "W006"),
        ({"STRIPE_SECRET_KEY": "live", "STRIPE_PUBLISHABLE_KEY": "pk_live_1"}, "W006"),
        ({"STRIPE_WEBHOOK_SECRET": STRONG}, "E004"),
    ],
)
def test_t42_each_fault_of_the_environment_has_its_id(settings, fault: dict[str, Any], id: str):
    for name, value in fault.items():
        setattr(settings, name, value)

    assert found() == [f"holdfast.{id}"]
    assert bool(checks.what_leaves_the_shop_open()) == id.startswith("E")


def test_a_secret_key_of_stripe_is_not_shown_to_buyers(settings):
    settings.STRIPE_SECRET_KEY, settings.STRIPE_PUBLISHABLE_KEY = "pk_live_1", "sk_live_1"

    assert found() == ["holdfast.E009", "holdfast.W006"]


@pytest.mark.parametrize(
    "password", ["short", "holdfast", "postgres", "changeme", "postgres123", "aaaaaaaaaa"]
)
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
    sources = [source for room in ("api", "demo") for source in PROJECT.glob(f"{room}/*.py")]
    raised = re.findall(r'id="(holdfast\..*?)"', "".join(source.read_text() for source in sources))

    assert sorted(said) == sorted(raised)


def test_pictures_are_kept_where_they_stay_and_can_be_written(settings, tmp_path):
    settings.MEDIA_ROOT = str(PROJECT / ".data" / "media")
    assert found() == ["holdfast.W010"]

    (tmp_path / "file").touch()
    settings.MEDIA_ROOT = str(tmp_path / "file" / "media")
    assert found() == ["holdfast.W011"]

    settings.MEDIA_ROOT = str(tmp_path / "not" / "yet" / "there")
    assert found() == []


def test_a_bucket_is_read_over_https(settings):
    settings.S3_BUCKET = "shop"
    settings.IMAGE_SOURCES = ["https:", "http://pictures.example.com"]

    assert found() == ["holdfast.W012"]


def test_a_folder_that_lacks_one_static_file_of_this_release_is_named(settings, tmp_path):
    settings.STATIC_ROOT = str(tmp_path)
    ignored = StaticFilesConfig.ignore_patterns
    paths = {name: name for finder in get_finders() for name, _ in finder.list(ignored)}
    manifest = tmp_path / "staticfiles.json"

    manifest.write_text(json.dumps({"paths": paths}))
    assert found() == []

    del paths["backoffice/admin.css"]
    manifest.write_text(json.dumps({"paths": paths}))
    assert found() == ["holdfast.W007"]
