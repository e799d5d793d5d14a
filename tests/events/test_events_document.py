"""docs/events.md: every event is in it, with an example of what is really told."""

import json
import os
import re
import sys

import pytest
from django.utils import timezone

from api.ids import uuid7
from events import serializers
from events.models import Event, Integration
from events.services import kinds, signing
from events.services.messages import Occurrence, message
from tests.events import examples
from tests.events.examples import DOCUMENT, EXAMPLE, rewritten
from tests.events.test_sequencing import CROSSINGS

EXAMPLES = DOCUMENT.parent / "examples"


def test_every_type_stands_in_it_once():
    types = re.findall(r"^#### `(.*)`$", DOCUMENT.read_text(), re.MULTILINE)

    assert len(types) == len(set(types))
    assert set(types) == kinds.TYPES


def test_its_crossings_are_those_that_are_tried():
    rows = re.findall(r"^\| (\d+ → \d.*?) \| (.+) \|$", DOCUMENT.read_text(), re.MULTILINE)
    tried = {(before, after): crossed for before, after, crossed in CROSSINGS}

    assert len(rows) == 5
    for pairs, told in rows:
        for before, after in re.findall(r"(\d+) → (\d+)", pairs):
            assert tried[int(before), int(after)] == re.findall(r"`(.+?)`", told)


def test_what_is_published_and_never_told_stands_in_it():
    [section] = re.findall(
        r"^## What is not told\n(.*?)(?=^## |\Z)", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL
    )

    assert set(re.findall(r"`([\w-]+)\.\*`", section)) == {
        each.split(".")[0] for each in kinds.PUBLISHED_ONLY
    }


@pytest.mark.django_db
def test_its_examples_are_what_is_told(settings):
    settings.PUBLIC_URL = "https://shop.example"

    told = examples.shown(examples.examples())

    if os.environ.get(examples.WRITE):
        DOCUMENT.write_text(rewritten(DOCUMENT.read_text(), told))
    in_it = EXAMPLE.finditer(DOCUMENT.read_text())
    assert {each["type"]: json.loads(each["json"]) for each in in_it} == told


def test_an_event_and_a_delivery_have_the_fields_that_it_shows():
    shown = [
        re.findall(r'^  "(\w+)"', block, re.MULTILINE)
        for block in re.findall(r"^```json\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.S)
    ]
    told = Occurrence(uuid7(), "order.paid", 4711, timezone.now(), '{"data": {}}')
    event = Event(
        id=told.event_id, position=4711, type=told.type, occurred_at=told.occurred_at, payload="{}"
    )
    integration = Integration(signing_secret=signing.new_secret(), secret_key="s")

    _, body = message(integration, told, attempt=1, moment=timezone.now())

    assert shown[0] == [*json.loads(serializers.event(event))]
    assert set(shown[1]) == json.loads(body).keys()


def test_a_receiver_in_python_verifies_as_it_says():
    [lines] = re.findall(
        r"^```python\n(.*?standardwebhooks.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL
    )
    body = b'{"id": "1", "triggered_by": "order.paid"}'
    secret = signing.new_secret()
    headers = signing.headers(Integration(signing_secret=secret), "1", timezone.now(), body)
    known = {"secret": secret, "headers": headers, "body": body}

    exec(lines, known)

    assert known["event"] == json.loads(body)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_the_examples_are_as_short_and_plain_as_it_says(path):
    text = path.read_text()
    imported = set(re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE))

    assert imported <= sys.stdlib_module_names
    [lines] = re.findall(
        rf"{path.name}\]\(examples/{path.name}\) does all of this in (\d+) lines",
        " ".join(DOCUMENT.read_text().split()),
    )
    assert len(text.splitlines()) <= int(lines)
