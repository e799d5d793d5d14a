"""Which release this is."""

import tomllib
from importlib import metadata
from pathlib import Path

_OF_A_CHECKOUT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def version() -> str:
    """Return what pyproject.toml says, which an installed package carries along as its version."""
    if _OF_A_CHECKOUT.exists():
        found: str = tomllib.loads(_OF_A_CHECKOUT.read_text())["project"]["version"]
        return found
    return metadata.version("holdfast")
