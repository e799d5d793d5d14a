"""deploy/Dockerfile and compose.yaml, as far as they can be read without Docker.

`make image` builds the one and serves from it, in a clean root of its own.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from config.supervisor import PROJECT
from tests import node
from tests.deploy.test_systemd import UNITS, secrets

DOCKERFILE = PROJECT / "deploy" / "Dockerfile"
COMPOSE = PROJECT / "deploy" / "compose.yaml"
OURS = ("migrate", "web", "worker", "payments-worker")

pytestmark = pytest.mark.processes


def read(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    node.installed()
    script = (
        "import {readFileSync} from 'fs'; import {parse} from 'yaml';"
        f"console.log(JSON.stringify(parse(readFileSync('{COMPOSE}', 'utf8'), {{merge: true}})))"
    )
    told = subprocess.run(
        ["node", "--input-type=module", "--eval", script],
        cwd=node.FOLDER,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(told.stdout)
    return found


def test_hadolint_finds_nothing_in_the_dockerfile():
    told = read(str(Path(sys.executable).with_name("hadolint")), str(DOCKERFILE))

    assert (told.returncode, told.stdout) == (0, "")


def test_the_specification_knows_all_that_compose_is_told():
    """dclint holds the file against its schema, too. The ports are the world's, on purpose."""
    program = node.MODULES / ".bin" / "dclint"
    node.installed()

    told = read(str(program), str(COMPOSE), "--quiet", "--disable-rule=no-unbound-port-interfaces")

    assert (told.returncode, (told.stdout + told.stderr).strip()) == (0, "")


def test_no_container_may_more_than_it_must(compose):
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service, name
    assert re.findall(r"^USER (\d+):\d+$", DOCKERFILE.read_text(), re.MULTILINE) == ["10001"]


def test_what_a_container_says_fills_no_disk(compose):
    for name, service in compose["services"].items():
        kept = service["logging"]
        assert kept["driver"] == "local", name
        assert kept["options"].keys() == {"max-size", "max-file"}, name


def test_nothing_serves_before_the_tables_are_migrated(compose):
    for name in set(OURS) - {"migrate"}:
        waits_for = compose["services"][name]["depends_on"]["migrate"]
        assert waits_for == {"condition": "service_completed_successfully"}, name
    # One that begins anew without end would never have completed.
    assert compose["services"]["migrate"]["restart"] == "no"


def test_every_secret_is_a_file_in_each_container_and_no_other(compose):
    for name in OURS:
        service = compose["services"][name]
        names = [each["target"] if isinstance(each, dict) else each for each in service["secrets"]]
        files = {
            key: value for key, value in service["environment"].items() if key.endswith("_FILE")
        }

        assert files == {f"{secret}_FILE": f"/run/secrets/{secret}" for secret in secrets()}
        assert sorted(names) == sorted(secrets())
    for name, secret in compose["secrets"].items():
        assert secret == {"file": f"/etc/holdfast/secrets/{name}"}


def test_containers_run_what_the_units_run(compose):
    for name in ("worker", "payments-worker"):
        unit = (UNITS / f"holdfast-{name}.service").read_text()
        [started] = re.findall(r"^ExecStart=/opt/holdfast/current/bin/(.*)$", unit, re.MULTILINE)
        assert compose["services"][name]["command"] == started.split()


def test_what_is_copied_for_the_wheel_is_all_that_it_is_made_of():
    project = (PROJECT / "pyproject.toml").read_text()
    [folders] = re.findall(r"^only-include = \[(.*?)\]", project, re.MULTILINE | re.DOTALL)
    kept = re.findall(r"^!(.*)$", DOCKERFILE.with_suffix(".dockerignore").read_text(), re.MULTILINE)

    assert set(re.findall(r'"(\w+)"', folders)) <= set(kept)
    assert {"pyproject.toml", "README.md", "LICENSE", "requirements*.lock", "deploy"} <= set(kept)
