"""Web servers as production runs them behind the edge, on the tests' database."""

import os
import subprocess
import sys
from pathlib import Path
from signal import SIGKILL, SIGTERM

from config.embedded import die_with_parent
from config.supervisor import PROJECT, is_ready
from tests.concurrency import PATIENCE_SECONDS
from tests.deploy.edge import NAME, free_port, wait_until
from tests.test_production import SECRETS
from tests.torture.conftest import database_url


class Web:
    """One web server, which can die and come back at the same port."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "serve"],
            cwd=PROJECT,
            env=self._environment(),
            start_new_session=True,
            preexec_fn=die_with_parent(SIGKILL),
        )
        wait_until(self.is_ready)

    def _environment(self) -> dict[str, str]:
        of_tests = {"HOLDFAST_DEMO", *(name for name in os.environ if name.endswith("_LIMIT"))}
        inherited = {name: value for name, value in os.environ.items() if name not in of_tests}
        return inherited | {
            **SECRETS,
            "ALLOWED_HOSTS": NAME,
            "BEHIND_TLS_PROXY": "1",
            "NUM_TRUSTED_PROXIES": "1",
            "DATABASE_URL": database_url(),
            "DATABASE_POOL_SIZE": "4",
            "WEB_PORT": str(self.port),
            "WEB_WORKERS": "1",
            "STATIC_ROOT": str(self.folder / "static"),
            "MEDIA_ROOT": str(self.folder / "media"),
        }

    def is_ready(self) -> bool:
        assert self.process.poll() is None
        return is_ready(self.port)

    def kill(self) -> None:
        os.killpg(self.process.pid, SIGKILL)
        self.process.wait(PATIENCE_SECONDS)

    def stop(self) -> None:
        """Let it end what it has begun."""
        self.process.send_signal(SIGTERM)
        self.process.wait(PATIENCE_SECONDS)
