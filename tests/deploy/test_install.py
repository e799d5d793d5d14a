"""deploy/install: what a release needs is there after it, and what was there has stayed."""

import os
import subprocess
from pathlib import Path

import pytest

from config.supervisor import PROJECT
from tests.deploy.test_systemd import SERVICES, secrets

pytestmark = pytest.mark.processes

DRAWN = {"SECRET_KEY", "TOKEN_KEY", "METRICS_TOKEN"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def install(root: Path, kind: str) -> Path:
    """Return the folder of the secrets."""
    subprocess.run(
        [PROJECT / "deploy" / "install", kind],
        env={"PATH": os.environ["PATH"], "DESTDIR": str(root)},
        check=True,
    )
    return root / "etc" / "holdfast" / "secrets"


@pytest.mark.parametrize("kind", ["systemd", "containers"])
def test_every_secret_has_a_file_and_keys_are_drawn_at_random(root, tmp_path, kind):
    made = {file.name: file.read_text().strip() for file in install(root, kind).iterdir()}
    others = install(tmp_path / "other", kind)

    assert secrets() | {"OWNERS_DATABASE_URL"} <= set(made)
    assert {name for name in secrets() if made[name]} == DRAWN | {"DATABASE_URL"}
    # What Django takes for long.
    assert min(len(made[name]) for name in DRAWN) >= 50
    assert len({made[name] for name in DRAWN}) == len(DRAWN)
    assert {name for name in DRAWN if (others / name).read_text().strip() == made[name]} == set()
    assert (root / "etc/holdfast/environment").read_text().startswith("# Everything")


def test_what_is_there_stays_and_a_secret_that_is_new_gets_its_file(root):
    made = install(root, "systemd")
    environment = root / "etc" / "holdfast" / "environment"
    environment.write_text("ALLOWED_HOSTS=mine.example.com\n")
    key = (made / "SECRET_KEY").read_text()
    (made / "DATABASE_URL").write_text("postgresql://elsewhere/shop\n")
    (made / "SENTRY_DSN").unlink()

    install(root, "systemd")

    assert environment.read_text() == "ALLOWED_HOSTS=mine.example.com\n"
    assert (made / "SECRET_KEY").read_text() == key
    assert (made / "DATABASE_URL").read_text() == "postgresql://elsewhere/shop\n"
    assert (made / "SENTRY_DSN").read_text() == ""


def test_nobody_but_root_gets_to_a_secret(root):
    made = install(root, "systemd")

    assert made.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in made.iterdir()} == {0o600}


def test_a_container_reads_them_and_knows_the_password_of_its_database(root):
    made = install(root, "containers")
    password = (made / "POSTGRES_PASSWORD").read_text().strip()

    assert made.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in made.iterdir()} == {0o444}
    for name in ("DATABASE_URL", "OWNERS_DATABASE_URL"):
        told = (made / name).read_text().strip()
        assert told == f"postgresql://holdfast:{password}@postgres/holdfast"


def test_systemd_gets_the_units_and_an_administrator_the_commands(root):
    install(root, "systemd")

    units = root / "etc" / "systemd" / "system"
    assert sorted(file.name for file in units.glob("*.service")) == SERVICES
    assert (units / "holdfast-.service.d" / "common.conf").is_file()
    for command in ("holdfast", "holdfast-owner"):
        assert os.access(root / "usr" / "local" / "sbin" / command, os.X_OK)


def test_another_word_is_refused(tmp_path):
    told = subprocess.run(
        [PROJECT / "deploy" / "install", "docker"],
        env={"PATH": os.environ["PATH"], "DESTDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (told.returncode, list(tmp_path.iterdir())) == (2, [])
    assert told.stderr.endswith("install systemd|containers\n")
