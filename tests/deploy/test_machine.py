"""What `make machine` takes from the documents, so that the two cannot part unnoticed."""

import re

import pytest

from tests.deploy import machine

FOLLOWED = (*machine.FOLLOWED, machine.UPGRADE)


@pytest.mark.parametrize(
    ("title", "first", "last"),
    [
        ("The shop", "apt-get install", "holdfast createsuperuser"),
        ("In front of it", "apt-get install --yes nginx", "nginx -t && systemctl reload nginx"),
        ("A first order", "holdfast create_api_client", "api orders/$order '' -G"),
        ("Upgrades", "release=", "nginx -t && systemctl reload nginx"),
    ],
)
def test_a_section_has_the_commands_that_are_followed(title, first, last):
    [blocks] = [blocks for name, _, blocks in FOLLOWED if name == title]
    text = "\n".join(machine.commands(title)[:blocks])

    assert text.startswith(first)
    assert text.splitlines()[-1].startswith(last)


def test_what_is_done_instead_is_done_instead_of_something():
    said = "\n".join("\n".join(machine.commands(title)) for title, _, _ in FOLLOWED)

    assert [theirs for theirs, _ in machine.INSTEAD if not re.search(theirs, said, re.M)] == []


def test_nothing_is_left_that_asks_somebody_or_another_machine():
    for title, _, blocks in FOLLOWED:
        script = machine.script(title, blocks)
        assert not re.search(r"^(editor|apt-get|certbot) ", script, re.M)
        assert "…" not in script
