"""The forwarder knows where a message ends, and which one is a COMMIT."""

import pytest

from tests.torture.forwarder import COMMIT, Messages

HELLO = (12).to_bytes(4) + b"\x00\x03\x00\x00" + b"u\x00\x00\x00"
BEGIN = b"Q" + (10).to_bytes(4) + b"BEGIN\x00"


@pytest.fixture
def messages() -> Messages:
    """What follows the greeting of a client."""
    greeted = Messages()
    assert greeted.add(HELLO) == (HELLO, False)
    return greeted


def test_the_greeting_has_no_letter_and_all_else_has(messages):
    assert messages.add(BEGIN) == (BEGIN, False)


def test_f19_a_commit_is_known_as_psycopg_sends_it(messages):
    assert b"Q" + (11).to_bytes(4) + b"COMMIT\x00" == COMMIT
    assert messages.add(COMMIT) == (COMMIT, True)


def test_f19_a_commit_behind_another_message_is_known(messages):
    assert messages.add(BEGIN + COMMIT) == (BEGIN + COMMIT, True)


def test_f19_a_commit_that_arrives_in_parts_is_forwarded_as_a_whole(messages):
    parts = [messages.add(bytes([byte])) for byte in COMMIT]

    assert parts == [(b"", False)] * (len(COMMIT) - 1) + [(COMMIT, True)]


def test_a_statement_that_speaks_of_a_commit_is_none(messages):
    text = b"SELECT 'COMMIT'\x00"
    statement = b"Q" + (4 + len(text)).to_bytes(4) + text

    assert messages.add(statement) == (statement, False)
