"""deploy/systemd, as systemd's own tool reads it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from config.supervisor import PROJECT
from tests.deploy.test_environment import documented

UNITS = PROJECT / "deploy" / "systemd"
SERVICES = sorted(file.name for file in UNITS.glob("*.service"))
# On a scale to 100, on which a service that gives nothing up has 96.
EXPOSURE_MAX = 16

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if not found:
        assert not os.environ.get("CI"), "systemd-analyze is in Debian's package systemd"
        pytest.skip("systemd-analyze is in Debian's package systemd")
    return found


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units with their drop-in, for programs that are on this machine."""
    here = tmp_path / "system"
    shutil.copytree(UNITS, here)
    for unit in here.glob("*.service"):
        unit.write_text(re.sub(r"/opt/holdfast/current/bin/\w+", "/bin/true", unit.read_text()))
    return here


def asked(units: Path, *command: str) -> subprocess.CompletedProcess[str]:
    # The colon: what a machine has by itself comes after them.
    environment = os.environ | {"SYSTEMD_UNIT_PATH": f"{units}:", "SYSTEMD_LOG_LEVEL": "warning"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("service", SERVICES)
def test_systemd_knows_all_that_a_unit_says(analyze, units, service):
    told = asked(units, analyze, "verify", "--man=no", str(units / service))

    assert (told.returncode, told.stderr) == (0, "")


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_may_do_little(analyze, units, service):
    threshold = f"--threshold={EXPOSURE_MAX}"
    told = asked(units, analyze, "security", "--offline=true", "--no-pager", threshold, service)

    assert told.returncode == 0, told.stdout[-60:]


@pytest.mark.parametrize("service", SERVICES)
def test_every_secret_comes_from_a_file_and_is_handed_over(service):
    text = "".join(file.read_text() for file in (*UNITS.glob("*/*.conf"), UNITS / service))

    loaded = re.findall(r"^LoadCredential=(\w+):/etc/holdfast/secrets/\w+$", text, re.MULTILINE)
    named = re.findall(r"^Environment=(\w+)_FILE=%d/(\w+)$", text, re.MULTILINE)

    assert named == [(name, name) for name, _ in named]
    assert sorted(loaded) == sorted(name for name, _ in named)
    assert set(loaded) == secrets()


def secrets() -> set[str]:
    """What a variable's name shows to be one; a publishable key is none, and no key's id."""
    is_one = re.compile(r"DATABASE_URL|.*(_KEYS?|_TOKEN|_SECRET|_PASSWORD|_DSN)")
    return {name for name in documented() if is_one.fullmatch(name)} - {"STRIPE_PUBLISHABLE_KEY"}
