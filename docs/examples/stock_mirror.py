"""Keep a copy of a shop's stock in an SQLite file, by the feed of what happens there.

    export SHOP_URL=https://shop.example SHOP_CLIENT_ID=… SHOP_CLIENT_SECRET=…
    python3 stock_mirror.py mirror.sqlite

At first it reads all products and their stock, then what happened since, and goes on until it is
stopped. It may be killed at any moment: what it knows, and up to where, change together.
"""

import json
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

Json = dict[str, Any]

TYPES = "product.created,product.updated,product.deleted,stock-transaction.created"
EVENTS = f"/v2/events?page[limit]=100&filter=in(type,{TYPES})"

SCHEMA = """
CREATE TABLE IF NOT EXISTS stock (product_id TEXT PRIMARY KEY, sku TEXT, managed INTEGER,
    available INTEGER DEFAULT 0, allocated INTEGER DEFAULT 0, total INTEGER DEFAULT 0);
-- One row: the last event of the feed of which we know all up to it.
CREATE TABLE IF NOT EXISTS place (id INTEGER PRIMARY KEY, position INTEGER, event TEXT);
"""
KEEP_PRODUCT = """INSERT INTO stock (product_id, sku, managed) VALUES (:id, :sku, :manage_stock)
ON CONFLICT (product_id) DO UPDATE SET sku = excluded.sku, managed = excluded.managed"""
SET_NUMBERS = """UPDATE stock SET available = :available, allocated = :allocated, total = :total
WHERE product_id = :product_id"""
KEEP_PLACE = "INSERT OR REPLACE INTO place VALUES (1, ?, ?)"


class Behind(Exception):
    """The feed does not go on from where we are: it has forgotten that, or was set back."""


class Shop:
    """The shop's API, asked with a token that is renewed when it has run out."""

    def __init__(self) -> None:
        self.url = os.environ["SHOP_URL"].rstrip("/")
        names = ("client_id", "client_secret")
        self.client = {name: os.environ[f"SHOP_{name.upper()}"] for name in names}
        self.token = ""

    def get(self, path: str) -> Json:
        if not self.token:
            form = urlencode({"grant_type": "client_credentials", **self.client})
            self.token = self._ask("/oauth/access_token", form.encode())["access_token"]
        try:
            return self._ask(path)
        except HTTPError as error:
            if error.code == 410:
                raise Behind from error
            if error.code == 401:
                self.token = ""
            raise

    def every(self, path: str) -> Iterator[Json]:
        """Walk a list to its end, by positions: what comes or goes meanwhile shifts no page."""
        following: str | None = f"{path}?page[limit]=100"
        while following:
            page = self.get(following)
            yield from page["data"]
            following = page["links"]["next"]

    def _ask(self, path: str, form: bytes | None = None) -> Json:
        request = Request(self.url + path, form, {"Authorization": f"Bearer {self.token}"})
        with urlopen(request, timeout=30) as answer:
            found: Json = json.load(answer)
        return found


class Mirror:
    def __init__(self, path: str, shop: Shop) -> None:
        self.shop = shop
        self.database = sqlite3.connect(path)
        self.database.executescript(SCHEMA)

    def catch_up(self) -> None:
        """Take over all that has happened by now."""
        try:
            while self._take_a_page():
                pass
        except Behind:
            self.begin_anew()

    def begin_anew(self) -> None:
        # Up to where the feed is, before all else: what happens while we read, it tells us later.
        feed = self.shop.get(EVENTS)["meta"]
        products = list(self.shop.every("/v2/products"))
        stocks = list(self.shop.every("/v2/inventories"))
        with self.database:
            self.database.execute("DELETE FROM stock")
            self.database.executemany(KEEP_PRODUCT, products)
            self.database.executemany(SET_NUMBERS, [{**s, "product_id": s["id"]} for s in stocks])
            self.database.execute(KEEP_PLACE, [feed["last_position"], feed["last_id"]])

    def _take_a_page(self) -> bool:
        """Take over the next events, and tell whether there are more."""
        place = self.database.execute("SELECT position, event FROM place").fetchone()
        if not place:
            raise Behind
        # By the id the shop knows if that is still the event there. If its database was set back
        # to an earlier moment it is not, and some of what we know has never happened.
        after = f"&page[after]={place[0]}" + (f"&page[after_id]={place[1]}" if place[1] else "")
        page = self.shop.get(EVENTS + after)
        events, feed, more = page["data"], page["meta"], page["links"]["next"] is not None
        reached = (feed["last_position"], feed["last_id"])
        if more:
            reached = (events[-1]["position"], events[-1]["id"])
        if reached != place:
            with self.database:
                for event in events:
                    self._take(event["triggered_by"], event["payload"])
                self.database.execute(KEEP_PLACE, reached)
        return more

    def _take(self, what: str, payload: Json) -> None:
        match what, payload:
            case "product.deleted", {"id": product_id}:
                self.database.execute("DELETE FROM stock WHERE product_id = ?", [product_id])
            case "product.created" | "product.updated", {"data": product}:
                self.database.execute(KEEP_PRODUCT, product)
            case "stock-transaction.created", {"data": entry}:
                # It says what there is after it: no sum of ours that could differ.
                self.database.execute(SET_NUMBERS, entry)


def main() -> None:
    mirror = Mirror(sys.argv[1], Shop())
    while True:
        try:
            mirror.catch_up()
        except (OSError, HTTPException) as error:
            # The shop is away, or has no time for us. Its feed keeps what we miss.
            print(f"{error}; trying again", file=sys.stderr)
        time.sleep(1)


if __name__ == "__main__":
    main()
