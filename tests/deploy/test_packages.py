"""The wheel, in an environment of its own that has nothing but it and requirements.lock."""

import http.client
import os
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from config.supervisor import PROJECT
from config.version import version
from tests.test_production import SECRETS
from tests.test_supervisor import free_port, wait_for

PACKAGES = (
    "api",
    "backoffice",
    "config",
    "demo",
    "events",
    "inventory",
    "orders",
    "payments",
    "templates",
)
START_SECONDS = 30
OVER_TLS = {"X-Forwarded-Proto": "https"}

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = ["-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run([sys.executable, *command], cwd=PROJECT, check=True, capture_output=True)
    [made] = folder.iterdir()
    return made


class Installed:
    """An environment as a host of production has it, and a database of its own."""

    def __init__(self, folder: Path, database: str) -> None:
        self.folder = folder
        self.programs = folder / "venv" / "bin"
        venv.create(folder / "venv")
        inherited = ("PATH", "LANG", "HOME")
        self.environment = {name: os.environ[name] for name in inherited if name in os.environ}
        self.environment |= SECRETS | {
            "DATABASE_URL": database,
            "MEDIA_ROOT": str(folder / "media"),
            "STATIC_ROOT": str(folder / "static"),
            "ALLOWED_HOSTS": "shop.example.com",
            "BEHIND_TLS_PROXY": "true",
            "NUM_TRUSTED_PROXIES": "1",
        }

    def install(self, wheel: Path) -> None:
        """With uv or, where it finds nothing, with pip, as the Makefile does it."""
        python = str(self.programs / "python")
        locked = ["--require-hashes", "-r", str(PROJECT / "requirements.lock")]
        uv = [sys.executable, "-m", "uv", "pip"]
        if subprocess.run(
            [*uv, "sync", "--python", python, *locked], capture_output=True
        ).returncode:
            # What runs is compiled then; that is less than half.
            pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps"]
            pip += ["--no-compile"]
            subprocess.run([*pip, *locked], check=True, capture_output=True)
            subprocess.run([*pip, str(wheel)], check=True, capture_output=True)
            return
        installed = [*uv, "install", "--python", python, "--no-deps", str(wheel)]
        subprocess.run(installed, check=True, capture_output=True)

    def run(self, program: str, *arguments: str, **environment: str):
        return subprocess.run(
            [str(self.programs / program), *arguments],
            cwd=self.folder,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    server, _, _ = os.environ["DATABASE_URL"].rpartition("/")
    name = f"holdfast_packages_{os.getpid()}"
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            host = Installed(tmp_path_factory.mktemp("host"), f"{server}/{name}")
            host.install(wheel)
            yield host
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_the_wheel_has_every_file_of_its_packages(wheel):
    is_made = {"__pycache__", ".mypy_cache", ".ruff_cache"}
    kept = {
        path.relative_to(PROJECT).as_posix()
        for package in PACKAGES
        for path in (PROJECT / package).rglob("*")
        if path.is_file() and not is_made & {*path.parts}
    }

    packed = {
        name
        for name in zipfile.ZipFile(wheel).namelist()
        if not name.startswith(f"holdfast-{version()}.")
    }

    assert packed == kept


def test_the_wheel_is_of_the_version_that_the_project_tells(wheel, installed):
    told = installed.run("python", "-c", "from config.version import version; print(version())")

    assert wheel.name == f"holdfast-{version()}-py3-none-any.whl"
    assert told.stdout.strip() == version()


def test_from_the_wheel_a_shop_is_checked_migrated_and_served(installed):
    assert installed.run("holdfast", "migrate", "--verbosity=0").returncode == 0
    collected = installed.run("holdfast", "collectstatic", "--no-input", "--verbosity=0")
    (installed.folder / "media").mkdir()
    checked = installed.run("holdfast", "check", "--deploy", "--fail-level", "WARNING")

    assert (collected.returncode, checked.returncode) == (0, 0), checked.stderr

    port = free_port()
    with subprocess.Popen(
        [installed.programs / "holdfast", "serve"],
        cwd=installed.folder,
        env=installed.environment | {"WEB_PORT": str(port)},
    ) as server:
        try:
            wait_for(lambda: asked(port, "/health/ready") == 200, START_SECONDS)
            answers = {
                path: asked(port, path)
                for path in ("/health/ready", "/admin/login/", "/static/api/favicon.svg")
            }
        finally:
            server.terminate()

    assert answers == dict.fromkeys(answers, 200)


def test_production_has_no_postgresql_and_a_sentence_says_so(installed):
    """The code of the checkout, since only that one has what starts it."""
    told = subprocess.run(
        [installed.programs / "python", "-m", "config.supervisor", "--data", installed.folder],
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"], "HOLDFAST_DEMO": "1", "PORT": str(free_port())},
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.returncode == 1
    assert told.stderr == (
        "The embedded PostgreSQL is not installed: install requirements-demo.lock, "
        "or set DATABASE_URL to a PostgreSQL of your own.\n"
    )


def asked(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": "shop.example.com", **OVER_TLS})
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def test_what_builds_the_wheel_is_what_the_lock_names():
    told = tomllib.loads((PROJECT / "pyproject.toml").read_text())

    assert set(told["build-system"]["requires"]) <= set(told["dependency-groups"]["build"])
