"""What `make machine` takes from the documents, so that the two cannot part unnoticed."""

import re

import pytest

from tests.deploy import machine
from tests.deploy.test_systemd import secrets


@pytest.mark.parametrize(
    ("title", "first", "last"),
    [
        ("With systemd", "apt-get install", "holdfast createsuperuser"),
        ("The edge", "apt-get install nginx", "nginx -t && systemctl reload nginx"),
        ("A first order", "shop=https", "api orders/$order '' -G"),
    ],
)
def test_a_section_has_the_commands_that_are_followed(title, first, last):
    [blocks] = [blocks for name, _, blocks in machine.FOLLOWED if name == title]
    text = "\n".join(machine.commands(title)[:blocks])

    assert text.startswith(first)
    assert text.splitlines()[-1].startswith(last)


def test_what_is_done_instead_is_done_instead_of_something():
    said = "\n".join("\n".join(machine.commands(title)) for title, _, _ in machine.FOLLOWED)

    assert [theirs for theirs, _ in machine.INSTEAD if not re.search(theirs, said, re.M)] == []


def test_nothing_is_left_that_asks_somebody_or_another_machine():
    for title, _, blocks in machine.FOLLOWED:
        script = machine.script(title, blocks)
        assert not re.search(r"^(editor|apt-get|certbot) ", script, re.M)
        assert "…" not in script


def test_every_secret_gets_its_file():
    made = "\n".join(machine.commands("With systemd"))

    assert {name for name in secrets() if not re.search(rf"\b{name}\b", made)} == set()
