import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.supervisor import PROJECT
from tests.deploy.edge import folder_for_all


@pytest.fixture(scope="session")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the static files, as an operator makes it."""
    once, folder = _collected_once(tmp_path_factory.getbasetemp()), folder_for_all()
    static = folder / "static"
    shutil.copytree(once, static, copy_function=os.link)
    yield static
    shutil.rmtree(folder)


def _collected_once(folder: Path) -> Path:
    """Of the processes of a run one collects for all, since it takes a core eight seconds."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    once, unfinished = folder / "static", folder / "static.unfinished"
    with (folder / "static.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not once.exists():
            subprocess.run(
                [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity=0"],
                cwd=PROJECT,
                env=os.environ | {"STATIC_ROOT": str(unfinished)},
                check=True,
            )
            unfinished.rename(once)
    return once
