"""docs/examples/stock_mirror.py: whatever happens and dies meanwhile, it is equal to the shop."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from django.core.servers.basehttp import ThreadedWSGIServer
from django.core.wsgi import get_wsgi_application
from django.test.testcases import QuietWSGIRequestHandler

from config.supervisor import PROJECT
from events.models import Event
from events.services import feed, keeping, sequencing
from inventory.models import Action, Product, Stock
from inventory.services import products, stock
from orders.services import shipments
from payments.services import payments
from tests.concurrency import PATIENCE_SECONDS, run_together
from tests.events.examples import program
from tests.factories import MERCHANT, api_client, paid_order, product
from tests.served import free_port

pytestmark = pytest.mark.django_db(transaction=True)


class Web:
    """The shop's web server, which goes away and comes back in the same place."""

    def __init__(self) -> None:
        self.port = free_port()

    def start(self) -> None:
        self.server = ThreadedWSGIServer(("127.0.0.1", self.port), QuietWSGIRequestHandler)
        self.server.set_app(get_wsgi_application())
        threading.Thread(target=self.server.serve_forever, args=[0.02], daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def web(books_agree: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """Served to the mirror, which has a client of its own."""
    web = Web()
    client = api_client("mirror-secret")
    monkeypatch.setenv("SHOP_URL", f"http://127.0.0.1:{web.port}")
    monkeypatch.setenv("SHOP_CLIENT_ID", client.client_id)
    monkeypatch.setenv("SHOP_CLIENT_SECRET", "mirror-secret")
    web.start()
    yield web
    web.stop()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "mirror.sqlite")


def mirror(path: str) -> Any:
    example = program("stock_mirror")
    return example.Mirror(path, example.Shop())


def mirrored(path: str) -> dict[str, tuple[int, ...]]:
    rows = sqlite3.connect(path).execute(
        "SELECT sku, managed, available, allocated, total FROM stock"
    )
    return {sku: tuple(numbers) for sku, *numbers in rows}


def in_the_shop() -> dict[str, tuple[int, ...]]:
    rows = Stock.objects.filter(product__in=Product.objects.kept()).select_related("product")
    return {row.product.sku: (row.managed, row.available, row.allocated, row.total) for row in rows}


# Just before which statement it dies, and at which of these: while it begins, and later.
DEATHS = [
    ("INSERT INTO stock", 2),
    ("COMMIT", 1),
    ("SELECT position", 2),
    ("BEGIN", 1),
    ("UPDATE stock", 3),
    ("INSERT OR REPLACE", 1),
    ("COMMIT", 1),
    ("SELECT position", 2),
]


@pytest.mark.processes
def test_a_mirror_that_is_killed_at_every_step_is_equal_to_the_shop(web, path):
    common = product(500, sku="COMMON")

    def happen(number: int) -> None:
        """Move a product of all, and one that nothing moves later: what is missed stays missed."""
        own = product(10, sku=f"OWN-{number}")
        first, second = paid_order({own: 1, common: 1}), paid_order({own: 2, common: 1})
        payments.cancel(first.pk, actor=MERCHANT)
        shipments.ship(second.pk, actor=MERCHANT)
        sequencing.number_all()
        stock.count(own.pk, 6, actor=MERCHANT)
        products.update(own.pk, sku=f"OWN-{number}-B", actor=MERCHANT)
        products.archive(product(3).pk, actor=MERCHANT)
        products.update(product(4).pk, manage_stock=False, actor=MERCHANT)
        sequencing.number_all()

    def die(begins: str, number: int) -> int:
        command = [sys.executable, "-m", "tests.events.dying_mirror", begins, str(number), path]
        dying = subprocess.Popen(
            command, cwd=PROJECT, env=os.environ, stderr=subprocess.PIPE, text=True
        )
        assert dying.stderr
        if begins == "BEGIN":
            assert "trying again" in dying.stderr.readline()
            web.start()
        return dying.wait(PATIENCE_SECONDS)

    happen(0)
    for round_, death in enumerate(DEATHS):
        if death[0] == "BEGIN":
            web.stop()
        ends = run_together(
            partial(die, *death),
            partial(happen, 2 * round_ + 1),
            partial(happen, 2 * round_ + 2),
        )
        assert ends == [-signal.SIGKILL, None, None]

    sequencing.number_all()
    place = sqlite3.connect(path).execute("SELECT position FROM place").fetchone()
    assert 0 < place[0] < feed.last_position()
    late = mirror(path)
    late.begin_anew = lambda: pytest.fail("it knew where it was")
    late.catch_up()
    assert mirrored(path) == in_the_shop()
    assert len(mirrored(path)) == 1 + 2 * (2 * len(DEATHS) + 1)


def test_what_happens_while_a_mirror_begins_is_not_missed_however_short_the_pages(web, path):
    shirt = product(5, sku="SHIRT")
    caps = [product(1, sku=f"CAP-{number}") for number in range(3)]
    sequencing.number_all()
    begun = mirror(path)
    get, every = begun.shop.get, begun.shop.every

    def and_meanwhile(of: str) -> list[Any]:
        found = list(every(of))
        stock.record(shirt.pk, Action.DECREMENT, 1, actor=MERCHANT)
        products.archive(caps.pop().pk, actor=MERCHANT)
        sequencing.number_all()
        return found

    begun.shop.get = lambda asked: get(asked.replace("page[limit]=100", "page[limit]=1"))
    begun.shop.every = and_meanwhile
    begun.catch_up()
    begun.catch_up()

    assert mirrored(path) == in_the_shop() == {"SHIRT": (1, 3, 0, 3), "CAP-0": (1, 1, 0, 1)}


def test_a_mirror_that_was_away_for_longer_than_the_feed_is_kept_begins_anew(web, path):
    shirt = product(5, sku="SHIRT")
    sequencing.number_all()
    mirror(path).catch_up()
    assert mirrored(path) == {"SHIRT": (1, 5, 0, 5)}

    stock.record(shirt.pk, Action.DECREMENT, 2, actor=MERCHANT)
    cap = product(1, sku="CAP")
    sequencing.number_all()
    older = Event.objects.filter(position__lt=feed.last_position())
    older.update(numbered_at="2020-01-01T00:00Z")
    assert keeping.purge()
    products.archive(cap.pk, actor=MERCHANT)
    sequencing.number_all()

    mirror(path).catch_up()
    assert mirrored(path) == in_the_shop() == {"SHIRT": (1, 3, 0, 3)}


def test_so_does_one_whose_shop_was_set_back_and_has_gone_on(web, path):
    shirt, cap = product(5, sku="SHIRT"), product(5, sku="CAP")
    sequencing.number_all()
    mirror(path).catch_up()
    known = feed.last_position()
    # As if it had been told of this before the database was set back.
    with sqlite3.connect(path) as database:
        database.execute("UPDATE stock SET available = 99 WHERE sku = 'SHIRT'")
    Event.objects.filter(position=known).delete()
    for _ in range(3):
        stock.record(cap.pk, Action.DECREMENT, 1, actor=MERCHANT)
    sequencing.number_all()
    assert feed.last_position() > known

    mirror(path).catch_up()
    assert mirrored(path) == in_the_shop()
    assert shirt.sku in mirrored(path)


def test_a_token_that_has_run_out_is_renewed_at_the_next_look(web, path):
    product(5, sku="SHIRT")
    shirts = mirror(path)
    shirts.shop.token = "of yesterday"

    with pytest.raises(HTTPError, match="401"):
        shirts.catch_up()
    shirts.catch_up()

    assert mirrored(path) == {"SHIRT": (1, 5, 0, 5)}
