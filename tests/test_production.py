"""The settings as production has them: without HOLDFAST_DEMO, in processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
SECRETS = {"SECRET_KEY": "a-secret-of-more-than-fifty-characters-for-this-test-1", "TOKEN_KEY": "t"}

pytestmark = pytest.mark.processes


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "HOLDFAST_DEMO"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def settings(*names: str) -> list[Any]:
    script = (
        f"import json; from config import settings as s; print(json.dumps([{', '.join(names)}]))"
    )
    told = run("-c", script, **SECRETS)
    assert told.returncode == 0, told.stderr
    found: list[Any] = json.loads(told.stdout)
    return found


def test_django_finds_nothing_to_warn_of():
    checked = run("manage.py", "check", "--deploy", "--fail-level", "WARNING", **SECRETS)

    assert checked.returncode == 0, checked.stderr
    assert "no issues" in checked.stdout


def test_nothing_starts_without_secrets_of_its_own():
    checked = run("manage.py", "check", TOKEN_KEY="t")

    assert checked.returncode != 0
    assert "SECRET_KEY" in checked.stderr


def test_cookies_travel_on_tls_alone_to_this_host_alone_and_from_it_alone():
    cookies = settings(
        "s.SESSION_COOKIE_NAME",
        "s.CSRF_COOKIE_NAME",
        "s.SESSION_COOKIE_SECURE",
        "s.CSRF_COOKIE_SECURE",
        "s.SESSION_COOKIE_SAMESITE",
        "s.CSRF_COOKIE_SAMESITE",
    )

    assert cookies == ["__Host-sessionid", "__Host-csrftoken", True, True, "Lax", "Lax"]


def test_people_log_in_every_working_day():
    assert settings("s.SESSION_COOKIE_AGE") == [12 * 3600]
