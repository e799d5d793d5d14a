"""From the first release on, migrations that were released stay as they are."""

import shutil
import subprocess
from pathlib import Path

import pytest

from config.supervisor import PROJECT
from tests.upgrade import frozen


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "orders" / "migrations"
    folder.mkdir(parents=True)
    (tmp_path / "docs" / "releases").mkdir(parents=True)
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    for name in ("__init__", "0001_initial", "0002_number"):
        (folder / f"{name}.py").write_text(name)
    frozen.write(tmp_path)
    return tmp_path


def test_the_released_migrations_are_as_they_were_released():
    assert frozen.differences() == []


def test_one_that_is_changed_or_gone_is_named(project):
    assert frozen.differences(project) == []

    (project / "orders" / "migrations" / "0001_initial.py").write_text("changed")
    (project / "orders" / "migrations" / "0002_number.py").unlink()

    assert frozen.differences(project) == [
        "orders/migrations/0001_initial.py is changed: it was released",
        "orders/migrations/0002_number.py is gone: it was released",
    ]


def test_a_new_one_is_newer_than_the_release(project):
    assert frozen.newer(project) == []

    (project / "orders" / "migrations" / "0003_colour.py").write_text("new")

    assert frozen.differences(project) == []
    assert frozen.newer(project) == ["orders/migrations/0003_colour.py"]


def test_before_the_first_release_all_may_change(project):
    (project / frozen.MANIFEST).write_text("# No release yet.\n")

    assert (frozen.differences(project), frozen.newer(project)) == ([], [])


def test_operators_can_read_it_without_us(project):
    check = ["sha256sum", "--check", "--quiet", frozen.MANIFEST]

    assert subprocess.run(check, cwd=project, check=False).returncode == 0
    (project / "orders" / "migrations" / "0001_initial.py").write_text("changed")
    assert subprocess.run(check, cwd=project, check=False).returncode == 1
