"""deploy/environment: every variable that there is, with what happens without it."""

import os
import re
import subprocess
import sys

import pytest

from config.settings import VARIABLES
from config.supervisor import PROJECT
from tests.test_production import SECRETS
from tests.test_readme import OPERATIONS, section

TOLD = (PROJECT / "deploy" / "environment").read_text()
LINES = re.findall(r"^(#?)([A-Z0-9_]+)=(.*)$", TOLD, re.MULTILINE)
DEFAULTS = {name: value for off, name, value in LINES if off}
SET = {name: value for off, name, value in LINES if not off}
ROW = re.compile(r"^\| `([A-Z0-9_]+)` \| (.*?) \| (?:.+) \|$", re.MULTILINE)
# A default that is one value, which may be another one in the demo.
ONE_VALUE = re.compile(r"`([^`]*)`(?: \(demo: .*\))?")


def documented() -> dict[str, str]:
    rows = dict(ROW.findall(section(OPERATIONS, "Environment")))
    found = {name: ONE_VALUE.fullmatch(default) for name, default in rows.items()}
    return {name: match[1] if match else "" for name, match in found.items()}


def test_it_has_every_variable_of_the_documents_once():
    names = [name for _, name, _ in LINES]

    assert sorted(names) == sorted(documented())


def test_no_other_variable_is_read():
    assert set(VARIABLES) == {name for _, name, _ in LINES}


def test_what_is_off_shows_the_documented_default():
    expected = {name: default for name, default in documented().items() if name in DEFAULTS}

    assert expected == DEFAULTS


def test_both_readers_take_it_as_it_is():
    """systemd and Docker agree on plain lines alone: no quotes, no space around what is set."""
    lines = [line for line in TOLD.splitlines() if line and not line.startswith("# ")]

    assert [line for line in lines if line != "#" and not re.match(r"#?[A-Z0-9_]+=", line)] == []
    assert [line for line in lines if re.search(r"""["'\\$ \t]""", line)] == []
    assert max(map(len, TOLD.splitlines())) <= 100


@pytest.mark.processes
def test_a_shop_opens_with_it_and_nobody_finds_fault(collected, tmp_path):
    """But for the folders, which are on no machine that only tests."""
    told = SET | SECRETS | {"MEDIA_ROOT": str(tmp_path), "STATIC_ROOT": str(collected)}
    told["DATABASE_URL"] = os.environ["DATABASE_URL"]

    checked = run("manage.py", "check", "--deploy", "--fail-level=WARNING", **told)

    assert checked.returncode == 0, checked.stderr


@pytest.mark.processes
def test_setting_all_that_is_off_changes_nothing():
    assert settings(**DEFAULTS | SECRETS) == settings(**SECRETS)


def settings(**environment: str) -> str:
    """All that can be told alike in two processes."""
    script = (
        "import re; from config import settings as s\n"
        "told = {name: repr(value) for name, value in vars(s).items() if name.isupper()}\n"
        "print('\\n'.join(f'{k}={v}' for k, v in told.items() if not re.search(' at 0x', v)))"
    )
    told = run("-c", script, **environment)
    assert told.returncode == 0, told.stderr
    assert "LIMIT_SECONDS=" in told.stdout
    return told.stdout


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """With this environment and nothing of the tests' own."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"], "PYTHONHASHSEED": "0", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
