"""Receive a shop's webhooks, verify that they come from it, and keep each once, in an SQLite file.

    SIGNING_SECRET=whsec_… python3 webhook_receiver.py inbox.sqlite 8080

Whoever works on them reads that file, by position, in his own time: a shop waits ten seconds for an
answer, and sends again what was not answered.
"""

import base64
import hashlib
import hmac
import json
import os
import sqlite3
import sys
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer

INBOX = "CREATE TABLE IF NOT EXISTS inbox (id TEXT PRIMARY KEY, position INTEGER, event TEXT)"
# How old a delivery may be: whoever has listened to one cannot send it again later.
TOLERANCE_SECONDS = 300
BYTES_MAX = 10_000_000


def is_from_the_shop(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """Verify by Standard Webhooks. The body must be as it came, byte for byte."""
    told = headers.get("webhook-timestamp", "")
    if not told.isdecimal() or abs(now - int(told)) > TOLERANCE_SECONDS:
        return False
    signed = f"{headers.get('webhook-id', '')}.{told}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = b"v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256))
    # While a secret is replaced there are two signatures, of the new one and of the one before.
    signatures = headers.get("webhook-signature", "").encode().split()
    return any(hmac.compare_digest(expected, each) for each in signatures)


def keep(database: sqlite3.Connection, body: bytes) -> None:
    """Keep an event, once. It is committed when this returns, so the shop may forget it."""
    event = json.loads(body)
    with database:
        database.execute(
            "INSERT OR IGNORE INTO inbox VALUES (?, ?, ?)",
            [event["id"], event.get("position"), body.decode()],
        )


class Receiver(BaseHTTPRequestHandler):
    timeout = 20
    secret: str
    database: sqlite3.Connection

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(min(length, BYTES_MAX))
        headers = {name.lower(): value for name, value in self.headers.items()}
        if is_from_the_shop(self.secret, headers, body, time.time()):
            keep(self.database, body)
            self.send_response(204)
        else:
            self.send_response(401)
        self.end_headers()


def main() -> None:
    path, port = sys.argv[1], int(sys.argv[2])
    Receiver.secret = os.environ["SIGNING_SECRET"]
    Receiver.database = sqlite3.connect(path)
    Receiver.database.execute(INBOX)
    # In front of it belongs something that speaks TLS, such as nginx.
    HTTPServer(("127.0.0.1", port), Receiver).serve_forever()


if __name__ == "__main__":
    main()
