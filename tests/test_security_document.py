"""What docs/security.md names is there: its bounds are those of the code, and tests show it all."""

import re
from pkgutil import resolve_name
from typing import Any

import pytest

from config import supervisor
from tests.test_limits_document import SETTINGS, default_of

DOCUMENT = (supervisor.PROJECT / "docs" / "security.md").read_text()
_TABLE = DOCUMENT.partition("<!-- bounds -->")[2].partition("<!-- end of bounds -->")[0]
BOUNDS = {
    way_in: (bound, kept_by, shown_by)
    for way_in, bound, kept_by, shown_by in re.findall(
        r"^\| (?!way in)(.+?) \| (.+?) \| (.+?) \| (.+?) \|$", _TABLE, re.MULTILINE
    )
}
_THREATS = DOCUMENT.partition("<!-- threats -->")[2].partition("<!-- end of threats -->")[0]
THREATS = {
    threat: (answer, shown_by)
    for threat, answer, shown_by in re.findall(
        r"^\|[^|-]*\| (?!what they try)(.+?) \| (.+?) \| (.+?) \|$", _THREATS, re.MULTILINE
    )
}


def numbers(text: str) -> set[float]:
    return {float(each.replace(",", "")) for each in re.findall(r"\d[\d,]*(?:\.\d+)?", text)}


def named(text: str) -> list[str]:
    return re.findall(r"`(.+?)`", text)


@pytest.mark.parametrize("way_in", BOUNDS)
def test_a_bound_is_the_one_of_the_code(way_in):
    bound, kept_by, _ = BOUNDS[way_in]
    there = [value_of(name) for name in named(kept_by)]

    assert there
    assert {float(value) for value in there if isinstance(value, int | float)} <= numbers(bound)


def value_of(name: str) -> Any:
    """Whatever stands at a dotted name, such as `api.views.ApiView.initial`.

    Of a setting that the environment may change, what it is where nothing does.
    """
    module, _, setting = name.rpartition(".")
    if module == "config.settings" and re.search(rf'env\.int\(\s*"{setting}"', SETTINGS):
        return default_of(setting)
    parts = name.split(".")
    for split in range(len(parts) - 1, 0, -1):
        try:
            return resolve_name(f"{'.'.join(parts[:split])}:{'.'.join(parts[split:])}")
        except ModuleNotFoundError:
            continue
    raise AssertionError(name)


@pytest.mark.parametrize("way_in", BOUNDS)
def test_a_bound_has_a_test(way_in):
    _assert_tests(named(BOUNDS[way_in][2]))


def _assert_tests(names: list[str]) -> None:
    assert names
    for test in names:
        file, _, name = test.partition("::")
        text = (supervisor.PROJECT / file).read_text()
        assert f"def {name}(" in text if name else "def test_" in text, test


@pytest.mark.parametrize("threat", THREATS)
def test_a_threat_is_answered_and_has_a_test(threat):
    answer, shown_by = THREATS[threat]

    assert answer
    _assert_tests(named(shown_by))


def test_everybody_who_might_attack_is_in_the_table():
    who = re.findall(r"^\| (?!who)([^|]+?) \|", _THREATS, re.MULTILINE)

    assert who == [
        "A stranger",
        "A shopper",
        "A program with a token of the server",
        "A person with a role",
        "Who pretends to be a gateway",
        "The network, and other sites",
        "The operator, by mistake",
        "An insider with `psql`",
    ]
