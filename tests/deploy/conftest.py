import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.supervisor import PROJECT


@pytest.fixture(scope="session")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the static files, as an operator makes it."""
    folder = tmp_path_factory.mktemp("static")
    # Whom nginx runs as reads it, too.
    folder.chmod(0o755)
    subprocess.run(
        [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity=0"],
        cwd=PROJECT,
        env=os.environ | {"STATIC_ROOT": str(folder)},
        check=True,
    )
    return folder
