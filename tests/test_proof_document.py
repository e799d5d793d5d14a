"""docs/proof.md names each case and a test that there is; what it says is open has no test yet."""

import re
from pathlib import Path

import pytest

from config import supervisor

DOCUMENT = (supervisor.PROJECT / "docs" / "proof.md").read_text()
TESTS = supervisor.PROJECT / "tests"
ROWS: dict[str, str] = dict(
    re.findall(r"^\| ([FT]\d+) \| .+ \| ([^|]+) \|$", DOCUMENT, re.MULTILINE)
)
NOT_YET = "not yet"
_CASES_OF_TESTS = {
    (letter.upper() + str(int(number)))
    for file in TESTS.rglob("test_*.py")
    for letter, number in re.findall(r"^ *def test_([ft])(\d\d)_", file.read_text(), re.MULTILINE)
}


def test_every_case_and_every_trial_has_a_row():
    cases = [f"F{number}" for number in range(1, 45)]
    trials = [f"T{number}" for number in range(1, 56)]

    assert list(ROWS) == cases + trials


@pytest.mark.parametrize("case", ROWS)
def test_a_row_names_tests_that_there_are(case):
    if ROWS[case] == NOT_YET:
        assert case not in _CASES_OF_TESTS, "there is a test by now"
        return
    named = re.findall(r"`(tests/[^`]+)`", ROWS[case])

    assert named
    for test in named:
        file, _, name = test.partition("::")
        text = Path(supervisor.PROJECT, file).read_text()
        assert f"def {name}(" in text if name else "def test_" in text, test


def test_no_test_bears_a_number_of_no_case():
    assert set(ROWS) >= _CASES_OF_TESTS
