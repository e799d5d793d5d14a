"""The notes of a release: what CHANGELOG.md says of it, for `git tag` and whoever reads tags."""

import sys
from pathlib import Path

from config.supervisor import PROJECT


def notes(version: str, changelog: str) -> str:
    """Return the section of a version, without its heading. Raises: LookupError."""
    for section in changelog.split("\n## ")[1:]:
        heading, _, text = section.partition("\n")
        if heading.startswith(f"[{version}]") and text.strip():
            return text.strip()
    raise LookupError(f"CHANGELOG.md says nothing of [{version}].")


def main(version: str, project: Path = PROJECT) -> str:
    try:
        return notes(version, (project / "CHANGELOG.md").read_text())
    except LookupError as error:
        sys.exit(str(error.args[0]))


if __name__ == "__main__":
    sys.stdout.write(f"Holdfast {sys.argv[1]}\n\n{main(sys.argv[1])}\n")
