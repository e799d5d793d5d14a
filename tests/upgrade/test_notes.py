"""What a release says of itself is its section of the changelog."""

import re

import pytest

from config.supervisor import PROJECT
from tests.upgrade import notes

CHANGELOG = """# Changelog

## [Unreleased]

## [0.2.0] - 2026-11-27

### Added

- Carts.

## [0.1.0]

- Stock.
"""


def test_the_notes_of_a_release_are_its_own_section_alone():
    assert notes.notes("0.2.0", CHANGELOG) == "### Added\n\n- Carts."
    assert notes.notes("0.1.0", CHANGELOG) == "- Stock."


@pytest.mark.parametrize("version", ["Unreleased", "0.2", "0.3.0"])
def test_a_release_of_which_nothing_is_said_has_none(version):
    with pytest.raises(LookupError, match=re.escape(f"[{version}]")):
        notes.notes(version, CHANGELOG)


def test_the_changelog_of_ours_has_notes_of_its_newest_section():
    newest = re.search(r"^## \[(.+?)\]", (PROJECT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert newest
    assert notes.main(newest[1])
