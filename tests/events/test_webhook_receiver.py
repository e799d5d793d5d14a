"""docs/examples/webhook_receiver.py: it keeps what the shop has signed, and each event once."""

import http.client
import json
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import pytest

from events.models import Integration
from events.services import signing
from tests.events.examples import program

NOW = datetime(2026, 11, 28, 9, 30, tzinfo=UTC)
OLD, NEW = signing.new_secret(), signing.new_secret()
BODY = json.dumps({"id": "7", "position": 3, "triggered_by": "order.paid"}).encode()

receiver = program("webhook_receiver")


def signed(moment: datetime = NOW, **fields: Any) -> dict[str, str]:
    integration = Integration(**{"signing_secret": NEW, **fields})
    return signing.headers(integration, "7", moment, BODY)


def believes(headers: dict[str, str], secret: str = NEW, body: bytes = BODY) -> bool:
    return bool(receiver.is_from_the_shop(secret, headers, body, NOW.timestamp()))


def test_what_the_shop_has_signed_is_believed_and_nothing_else():
    assert believes(signed())
    assert not believes(signed(), secret=OLD)
    assert not believes(signed(), body=BODY + b" ")
    assert not believes({**signed(), "webhook-id": "8"})
    assert not believes({**signed(), "webhook-signature": "v1,"})
    assert not believes({})


@pytest.mark.parametrize("secret", [OLD, NEW], ids=["old", "new"])
def test_while_a_secret_is_replaced_either_is_good(secret):
    both = signed(old_signing_secret=OLD, old_signs_until=NOW + timedelta(hours=1))

    assert believes(both, secret=secret)


@pytest.mark.parametrize("minutes", [-6, 6])
def test_one_that_somebody_kept_is_not_believed_later(minutes):
    assert not believes(signed(NOW + timedelta(minutes=minutes)))


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    database = sqlite3.connect(tmp_path / "inbox.sqlite", check_same_thread=False)
    database.execute(receiver.INBOX)
    monkeypatch.setattr(receiver.Receiver, "database", database, raising=False)
    monkeypatch.setattr(receiver.Receiver, "secret", NEW, raising=False)
    yield database
    database.close()


def test_each_is_kept_once_however_often_it_comes(inbox):
    server = HTTPServer(("127.0.0.1", 0), receiver.Receiver)
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()

    def send(headers: dict[str, str]) -> int:
        shop = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        shop.request("POST", "/", BODY, headers)
        return shop.getresponse().status

    now = datetime.now(UTC)
    assert [send(signed(now)), send(signed(now)), send(signed())] == [204, 204, 401]
    server.shutdown()
    server.server_close()

    assert inbox.execute("SELECT id, position, event FROM inbox").fetchall() == [
        ("7", 3, BODY.decode())
    ]
