"""The settings as production has them: without HOLDFAST_DEMO, in processes of their own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
CHECKS = ROOT / "api" / "checks.py"
SECRETS = {
    "SECRET_KEY": "one-of-more-than-fifty-characters-for-these-tests-here-1",
    "TOKEN_KEY": "another-one-that-nobody-is-going-to-guess",
}

pytestmark = pytest.mark.processes


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    limits = (name for name in os.environ if name.endswith("_LIMIT"))
    of_tests = {"HOLDFAST_DEMO", "GATEWAY_WAITS_MAX", *limits}
    inherited = {name: value for name, value in os.environ.items() if name not in of_tests}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def settings(*names: str, **environment: str) -> list[Any]:
    script = (
        f"import json; from config import settings as s; print(json.dumps([{', '.join(names)}]))"
    )
    told = run("-c", script, **SECRETS, **environment)
    assert told.returncode == 0, told.stderr
    found: list[Any] = json.loads(told.stdout)
    return found


def test_django_finds_nothing_to_warn_of():
    checked = run("manage.py", "check", "--deploy", "--fail-level", "WARNING", **SECRETS)

    assert checked.returncode == 0, checked.stderr
    # The database of this process has no tables.
    assert re.findall(r"\((\w+\.\w+)\)", checked.stdout + checked.stderr) == ["holdfast.I002"]


# An environment with one fault, by the check that finds it. Those of the database's content are in
# tests/demo/test_checks.py.
FAULTS = {
    "E001": {"HOLDFAST_DEMO": "1"},
    "E002": {"SECRET_KEY": "abc"},
    "E003": {"TOKEN_KEY": "abc"},
    "E004": {"METRICS_TOKEN": SECRETS["SECRET_KEY"]},
    "E005": {"ALLOWED_HOSTS": "*"},
    "E006": {"BEHIND_TLS_PROXY": "1"},
    "E009": {"STRIPE_SECRET_KEY": "sk_live_1", "STRIPE_PUBLISHABLE_KEY": "sk_live_2"},
    "W001": {"MANUAL_GATEWAY_FOR_SHOPPERS": "1"},
    "W002": {"STRIPE_API_BASE": "http://127.0.0.1:12111"},
    "W003": {"METRICS_TOKEN": "abc"},
    "W004": {"DATABASE_URL": "postgresql://shop:postgres@db/shop"},
    "W005": {"ALLOWED_HOSTS": "https://shop.example.com"},
    "W006": {"STRIPE_SECRET_KEY": "sk_live_1"},
    "W007": {"STATIC_ROOT": "/nowhere"},
    "W009": {"REQUEST_LIMIT": "0"},
    "W010": {"MEDIA_ROOT": ""},
    "W011": {"MEDIA_ROOT": "/dev/null/media"},
    "W012": {"S3_BUCKET": "shop", "S3_PUBLIC_URL": "http://pictures.example.com"},
    "W015": {"DATABASE_POOL_SIZE": "3"},
    "W016": {"WEB_THREADS": "2", "GATEWAY_WAITS_MAX": "2"},
    "W017": {"DATABSE_URL_FILE": "/run/secrets/DATABASE_URL"},
}


def test_t42_every_check_passes_a_good_environment_and_can_fail():
    """Each is asked by itself, and about what the settings make of the environment."""
    script = (
        "import json, os, runpy, sys\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'config.settings'\n"
        "import django; django.setup()\n"
        "from django.core.checks.registry import registry\n"
        "from django.conf import settings\n"
        "from api.checks import TAG\n"
        "checks = [each for each in registry.deployment_checks if TAG in each.tags]\n"
        "def found(**environment):\n"
        "    kept = dict(os.environ)\n"
        "    os.environ.update(environment)\n"
        "    told = runpy.run_path('config/settings.py')\n"
        "    for name in filter(str.isupper, told):\n"
        "        setattr(settings, name, told[name])\n"
        "    said = {each.__name__: [m.id for m in each(app_configs=None)] for each in checks}\n"
        "    os.environ.clear(); os.environ.update(kept)\n"
        "    return said\n"
        "faults = json.loads(sys.argv[1])\n"
        "print(json.dumps([found(), {id: found(**fault) for id, fault in faults.items()}]))\n"
    )
    told = run("-c", script, json.dumps(FAULTS), **SECRETS)
    assert told.returncode == 0, told.stderr
    good, faulty = json.loads(told.stdout)

    assert not any(good.values())
    for id, by_check in faulty.items():
        assert any(f"holdfast.{id}" in told for told in by_check.values()), id
    # None is there that no fault makes fail, and no fault that nobody looks for.
    assert {name for each in faulty.values() for name in each if each[name]} == good.keys()
    assert FAULTS.keys() == set(re.findall(r'id="holdfast\.(.*?)"', CHECKS.read_text()))


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


def test_browsers_keep_to_tls_also_for_subdomains_unless_told_otherwise():
    hsts = ("s.SECURE_HSTS_INCLUDE_SUBDOMAINS", "s.SECURE_HSTS_PRELOAD")
    off = {"SECURE_HSTS_INCLUDE_SUBDOMAINS": "false", "SECURE_HSTS_PRELOAD": "false"}

    assert settings(*hsts) == [True, True]
    assert settings(*hsts, **off) == [False, False]


# The web server.


@pytest.mark.parametrize(
    ("threads", "waits", "connections"), [("", 2, 8), ("1", 1, 8), ("16", 8, 16)]
)
def test_there_are_connections_for_all_threads_and_half_of_them_wait_for_no_gateway(
    threads, waits, connections
):
    names = ("s.GATEWAY_WAITS_MAX", "s.DATABASES['default']['OPTIONS']['pool']['max_size']")
    told = dict.fromkeys(("DATABASE_POOL_SIZE", "GATEWAY_WAITS_MAX"), "")

    assert settings(*names, WEB_THREADS=threads, **told) == [waits, connections]


def test_t42_a_shop_that_is_open_to_strangers_is_not_served():
    served = run("-c", "import config.wsgi", **SECRETS | {"TOKEN_KEY": "abc"})

    assert served.returncode == 1
    assert served.stderr.startswith("Holdfast does not serve a shop that is open to strangers:")
    assert "holdfast.E003" in served.stderr
    assert "HINT" in served.stderr


def test_a_shop_that_is_not_is_served():
    served = run("-c", "import config.wsgi", **SECRETS)

    assert (served.returncode, served.stderr) == (0, "")


# Values as containers, people and hosting providers write them.


def test_a_variable_that_is_empty_counts_as_one_that_is_not_set():
    names = ("HOLDFAST_DEMO", "SHOW_STOCK_LEVEL", "LIMIT_SECONDS", "TIME_ZONE", "STATIC_ROOT")
    lists = ("TOKEN_KEYS", "ALLOWED_HOSTS", "IMAGE_SOURCES")
    told = [f"s.{name}" for name in (*names, *lists)]

    assert settings(*told, **dict.fromkeys((*names, *lists, "DATABASE_URL"), "")) == settings(*told)


def test_every_variable_may_be_told_as_a_file(tmp_path):
    """Secrets above all; what is empty counts as not set there too."""
    told = {
        "SECRET_KEY": "of-a-file\n",
        "TOKEN_KEYS": "2:two,1:one\r\n",
        "DATABASE_URL": "postgresql://shop:hunter2@db/shop\n",
        "LIMIT_SECONDS": "7",
        "METRICS_TOKEN": "\n",
    }
    files = {f"{name}_FILE": tmp_path / name for name in told}
    for name, value in told.items():
        Path(tmp_path, name).write_bytes(value.encode())
    names = ("SECRET_KEY", "TOKEN_KEYS", "LIMIT_SECONDS", "METRICS_TOKEN")
    script = (
        "import json; from config import settings as s\n"
        f"print(json.dumps([getattr(s, name) for name in {names}]))\n"
        "print(s.DATABASES['default']['PASSWORD'])"
    )

    said = {"DATABASE_URL": "", **{name: str(file) for name, file in files.items()}}
    found = run("-c", script, **said)

    assert found.stderr == ""
    values, password = found.stdout.splitlines()
    assert json.loads(values) == ["of-a-file", {"2": "two", "1": "one"}, 7, ""]
    assert password == "hunter2"


def test_a_variable_that_is_told_twice_is_named(tmp_path):
    file = tmp_path / "key"
    file.write_text("hunter2")

    told = run("manage.py", "check", **SECRETS, SECRET_KEY_FILE=str(file))

    assert told.returncode == 2
    assert told.stderr == (
        "Nothing runs with this environment: "
        "SECRET_KEY and SECRET_KEY_FILE are both set: leave one out.\n"
    )


@pytest.mark.parametrize("kind", ["missing", "a folder", "in no folder", "no text"])
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path, kind):
    (tmp_path / "no text").write_bytes(b"\xff\xfe\x00hunter2")
    (tmp_path / "a folder").mkdir()
    file = tmp_path / ("no text/key" if kind == "in no folder" else kind)

    told = run("manage.py", "check", **SECRETS, STRIPE_SECRET_KEY_FILE=str(file))

    assert told.returncode == 2
    assert told.stderr == (
        "Nothing runs with this environment: "
        f"STRIPE_SECRET_KEY_FILE names {file}, which is no text file that can be read.\n"
    )


def test_what_an_editor_of_windows_leaves_at_the_end_is_no_part_of_a_value():
    told = {
        "HOLDFAST_INSTALLATION": " shop\r",
        "STRIPE_SECRET_KEY": "sk_test_1\r",
        "TIME_ZONE": " ",
    }

    found = settings("s.HOLDFAST_INSTALLATION", "s.STRIPE_SECRET_KEY", "s.TIME_ZONE", **told)

    assert found == ["shop", "sk_test_1", "UTC"]


def test_spaces_may_stand_around_the_parts_of_a_list():
    lists = {"ALLOWED_HOSTS": "a.example, b.example,", "TOKEN_KEYS": "2:two , 1:one"}

    found = settings("s.ALLOWED_HOSTS", "s.TOKEN_KEYS", **lists)

    assert found == [["a.example", "b.example"], {"2": "two", "1": "one"}]


def test_the_database_may_be_told_as_hosting_providers_do():
    url = "postgres://u.project:p%40ss%2Fw%23@pooler.example.com:6543/shop?sslmode=require\n"

    [found] = settings("s.DATABASES['default']", DATABASE_URL=url)

    told = [found[name] for name in ("USER", "PASSWORD", "HOST", "PORT", "NAME")]
    assert told == ["u.project", "p@ss/w#", "pooler.example.com", 6543, "shop"]
    assert found["OPTIONS"]["sslmode"] == "require"


@pytest.mark.parametrize(
    ("servers", "hosts", "ports"),
    [
        ("db1:5432,db2:5433", "db1,db2", "5432,5433"),
        ("db1,db2", "db1,db2", ""),
        ("[::1]:5432,10.0.0.7", "::1,10.0.0.7", "5432,"),
        ("%2Frun%2FOne,%2Frun%2FTwo", "/run/One,/run/Two", ""),
    ],
)
def test_t45_the_address_of_the_database_may_name_several_servers(servers, hosts, ports):
    url = f"postgresql://shop:a%2Cb@{servers}/shop?target_session_attrs=primary"

    [found] = settings("s.DATABASES['default']", DATABASE_URL=url)

    told = [found[name] for name in ("USER", "PASSWORD", "HOST", "PORT", "NAME")]
    assert told == ["shop", "a,b", hosts, ports, "shop"]
    assert found["OPTIONS"]["target_session_attrs"] == "primary"


def test_t45_without_a_word_of_that_a_server_that_only_reads_is_no_database():
    url = "postgresql://shop@db1,db2/shop"

    [options] = settings("s.DATABASES['default']['OPTIONS']", DATABASE_URL=url)

    assert options["target_session_attrs"] == "read-write"


def test_what_the_address_of_the_database_tells_the_server_takes_no_limit_away():
    url = "postgresql://shop@db/shop?options=-c%20search_path%3Dshop"

    [options] = settings("s.DATABASES['default']['OPTIONS']['options']", DATABASE_URL=url)

    assert options.startswith("-c lock_timeout=3000 ")
    assert options.endswith(" -c search_path=shop")


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("postgresql://shop:hunter2#@db/shop", "a # is %23"),
        ("postgresql://shop:hunter2@db1:x,db2/shop", "DATABASE_URL must look like"),
        ("postgresql://shop:hunter2@db/shop?pgbouncer=true", '"pgbouncer". Leave it out.'),
    ],
)
def test_what_is_wrong_with_the_address_of_the_database_is_said_without_it(url, remedy):
    told = run("-c", "import config.settings", **SECRETS, DATABASE_URL=url)

    assert told.returncode != 0
    assert remedy in told.stderr
    assert "hunter2" not in told.stderr


# Values that cannot be.

WRONG = {
    **dict.fromkeys(("CART_EXPIRY_DAYS", "AUTHORIZATION_DAYS", "SESSION_HOURS"), "99999999999"),
    **dict.fromkeys(("LIMIT_SECONDS", "WEB_THREADS", "LOGIN_FAILURES"), "0"),
    **dict.fromkeys(("NUM_TRUSTED_PROXIES", "REQUEST_LIMIT", "TOKEN_LIMIT"), "-1"),
    **dict.fromkeys(("DATABASE_POOL_SIZE", "UNPAID_ORDERS_PER_ADDRESS"), "-1"),
    **dict.fromkeys(("LOGIN_LIMIT", "GATEWAY_TIMEOUT_SECONDS", "SECURE_HSTS_SECONDS"), "many"),
    **dict.fromkeys(("HOLDFAST_DEMO", "BEHIND_TLS_PROXY", "DATABASE_PREPARE"), "perhaps"),
    "LOG_LEVEL": "LOUD",
    "TIME_ZONE": "Europe/Nowhere",
    "IMAGE_SOURCES": "https:; script-src *",
    **dict.fromkeys(("CSRF_TRUSTED_ORIGINS", "CORS_ALLOWED_ORIGINS"), "https://[shop, https://a:b"),
    "DATABASE_URL": "mysql://shop:hunter2@db/shop",
}


def test_t42_a_value_that_cannot_be_is_named():
    script = (
        "import json, os, runpy, sys\n"
        "from django.core.exceptions import ImproperlyConfigured\n"
        "from environs import EnvError\n"
        "unnamed = []\n"
        "for name, value in json.loads(sys.argv[1]).items():\n"
        "    os.environ[name] = value\n"
        "    try:\n"
        "        runpy.run_path('config/settings.py')\n"
        "    except (EnvError, ImproperlyConfigured) as error:\n"
        "        if name in str(error) and 'hunter2' not in str(error):\n"
        "            continue\n"
        "    finally:\n"
        "        del os.environ[name]\n"
        "    unnamed.append(name)\n"
        "print(unnamed)\n"
    )

    told = run("-c", script, json.dumps(WRONG), **SECRETS)

    assert (told.stdout, told.stderr) == ("[]\n", "")


@pytest.mark.parametrize(
    ("command", "status"),
    [
        # Of which 1 says that the books differ.
        (["manage.py", "audit_inventory"], 2),
        (["-c", "import config.wsgi"], 1),
    ],
)
def test_t42_nothing_starts_with_one_and_a_sentence_says_so(command, status):
    told = run(*command, **SECRETS, LIMIT_SECONDS="0")

    assert told.returncode == status
    assert told.stderr.startswith("Nothing runs with this environment: ")
    assert "LIMIT_SECONDS" in told.stderr
    assert told.stderr.count("\n") == 1


def test_the_keys_for_tokens_may_be_told_in_one_way_alone():
    told = run("-c", "import config.settings", SECRET_KEY="x", TOKEN_KEYS="1:one")

    assert (told.returncode, told.stderr) == (0, "")


# The demo.


@pytest.mark.parametrize("host", ["shop.example.com", "*", "0.0.0.0", "localhost.example.com"])
def test_t42_the_demo_has_no_public_host(host):
    started = run("-c", "import config.settings", HOLDFAST_DEMO="1", ALLOWED_HOSTS=host)

    assert started.returncode != 0
    assert "HOLDFAST_DEMO=1 takes no ALLOWED_HOSTS but those of this machine" in started.stderr


def test_the_demo_has_any_host_of_this_machine():
    hosts = "127.0.0.2,localhost,[::1],shop.localhost,.localhost"

    started = run("-c", "import config.settings", HOLDFAST_DEMO="1", ALLOWED_HOSTS=hosts)

    assert started.returncode == 0, started.stderr


# Keys.


@pytest.mark.parametrize("keys", ["a-key-without-kid", "1:one,1:another"])
def test_no_key_for_tokens_is_lost_without_a_word(keys):
    started = run("-c", "import config.settings", **SECRETS, TOKEN_KEYS=keys)

    assert started.returncode != 0
    assert "TOKEN_KEYS is written kid:key,kid:key" in started.stderr
