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
def collected() -> Iterator[Path]:
    """The folder of the static files, as an operator makes it."""
    folder = folder_for_all()
    static = folder / "static"
    subprocess.run(
        [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity=0"],
        cwd=PROJECT,
        env=os.environ | {"STATIC_ROOT": str(static)},
        check=True,
    )
    yield static
    shutil.rmtree(folder)
