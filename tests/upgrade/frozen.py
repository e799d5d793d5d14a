"""Which migrations the last release has, by what is in their files.

They have run in somebody's shop. One that is changed runs differently in the next new shop than it
did there, and one that is gone leaves a database that no release knows.
"""

import hashlib
import sys
import tomllib
from pathlib import Path

from config.supervisor import PROJECT

MANIFEST = "docs/releases/migrations.sha256"


def write(project: Path = PROJECT) -> None:
    """Freeze what there is, for the version that pyproject.toml names."""
    version = tomllib.loads((project / "pyproject.toml").read_text())["project"]["version"]
    lines = [f"{digest}  {path}" for path, digest in _there(project).items()]
    text = "\n".join([f"# The migrations of v{version}: `sha256sum --check` reads this.", *lines])
    (project / MANIFEST).write_text(f"{text}\n")


def frozen(project: Path = PROJECT) -> dict[str, str]:
    """Return what the last release has, hash by path; nothing before the first release."""
    lines = (project / MANIFEST).read_text().splitlines()
    pairs = (line.split("  ") for line in lines if not line.startswith("#"))
    return {path: digest for digest, path in pairs}


def differences(project: Path = PROJECT) -> list[str]:
    there = _there(project)
    return [
        f"{path} is {'changed' if path in there else 'gone'}: it was released"
        for path, digest in frozen(project).items()
        if there.get(path) != digest
    ]


def newer(project: Path = PROJECT) -> list[str]:
    """Return the paths of migrations that no release has; none before the first release."""
    released = frozen(project)
    return [path for path in _there(project) if path not in released] if released else []


def _there(project: Path) -> dict[str, str]:
    return {
        str(file.relative_to(project)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(project.glob("*/migrations/*.py"))
        if file.name != "__init__.py"
    }


if __name__ == "__main__":
    write()
    sys.stdout.write(f"{MANIFEST} names {len(frozen())} migrations.\n")
