"""Who shops and works meanwhile, sent to any release that is open, as a load balancer would."""

import http.client
import json
import random
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import urlencode

from config.supervisor import HOST
from tests.http import BUYER, FORM, JSON
from tests.upgrade.release import Release

PRODUCT = "01900000-0000-7000-8000-000000000021"
PAGES = (
    *("/admin/", "/admin/orders/order/", "/admin/inventory/product/", "/admin/inventory/sheet/"),
    f"/admin/inventory/product/{PRODUCT}/change/",
    f"/admin/inventory/product/{PRODUCT}/inventory/",
    f"/admin/inventory/product/{PRODUCT}/history/",
)
TIMEOUT_SECONDS = 60


class Answer(NamedTuple):
    release: Release
    status: int
    text: str
    headers: http.client.HTTPMessage

    @property
    def data(self) -> Any:
        return json.loads(self.text)["data"]


class Load:
    """Threads that call, and what was wrong with what they were answered."""

    def __init__(self) -> None:
        self.phase = ""
        self.calls: Counter[tuple[str, str, str]] = Counter()
        # By what is wrong, how often: one fault makes hundreds of them.
        self.wrong: Counter[str] = Counter()
        # By phase, the seconds of the longest call: who holds a table makes all of them wait.
        self.longest: dict[str, float] = {}
        self.paid: list[str] = []
        self._open: list[Release] = []
        self._under_way: Counter[str] = Counter()
        self._change = threading.Condition()
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, buyers: int) -> None:
        people: list[Callable[[], None]] = [*[self.buy] * buyers, self.look, self.ship]
        for who in people:
            thread = threading.Thread(target=self._go_on, args=(who,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(TIMEOUT_SECONDS)

    def admit(self, *releases: Release) -> None:
        """Send every call to one of these, and return when none is under way at another."""
        with self._change:
            self._open = [*releases]
            names = {release.name for release in releases}
            self._change.wait_for(
                lambda: not any(n for name, n in self._under_way.items() if name not in names),
                TIMEOUT_SECONDS,
            )

    def _go_on(self, who: Callable[[], None]) -> None:
        while not self._over.is_set():
            try:
                who()
            except Exception as error:
                self.wrong[f"{self.phase}: {who.__name__} met {error!r}"[:300]] += 1
                self._over.wait(0.2)

    # What they do.

    def buy(self) -> None:
        """From a token to a payment that is asked for twice, each step at any release."""
        form = {"grant_type": "implicit", "client_id": "demo-storefront"}
        headers = self._token(form)
        cart = f"cart-{uuid.uuid4().hex}"
        self.send("GET", f"/v2/products/{PRODUCT}", headers)
        line = {"type": "cart_item", "id": PRODUCT, "quantity": 1}
        self.send("POST", f"/v2/carts/{cart}/items", headers, line)
        path = f"/v2/carts/{cart}/checkout"
        order = self.send("POST", path, headers, BUYER, key=uuid.uuid4().hex).data["id"]
        asked = {"gateway": "test", "method": "purchase", "payment": "ok"}
        key = uuid.uuid4().hex
        first = self.send("POST", f"/v2/orders/{order}/payments", headers, asked, key=key)
        again = self.send("POST", f"/v2/orders/{order}/payments", headers, asked, key=key)
        if first.data["id"] != again.data["id"]:
            self.wrong[f"{self.phase}: asked twice with one key, paid twice"] += 1
        if first.data["status"] == "complete":
            self.paid.append(order)
        self.send("GET", f"/v2/orders/{order}", headers)

    def look(self) -> None:
        """Somebody in the admin, who logs in at one release and looks at pages of all."""
        page = self.send("GET", "/admin/login/", {})
        csrf = _cookie(page, "csrftoken")
        form = {"username": "demo", "password": "demo", "csrfmiddlewaretoken": csrf}
        sent = {"Content-Type": FORM, "Cookie": f"csrftoken={csrf}"}
        entered = self.send("POST", "/admin/login/?next=/admin/", sent, urlencode(form))
        cookies = {"Cookie": f"sessionid={_cookie(entered, 'sessionid')}"}
        for path in PAGES * 5:
            page = self.send("GET", path, cookies)
            if page.status != http.HTTPStatus.OK:
                self.wrong[f"{self.phase}: {page.status} for {path}"] += 1
            if self.paid and not self._over.is_set():
                order = random.choice(self.paid)
                self.send("GET", f"/admin/orders/order/{order}/change/", cookies)

    def ship(self) -> None:
        """A program of the store's: stock comes in, orders are read and shipped."""
        headers = self._token(
            {
                "grant_type": "client_credentials",
                "client_id": "demo",
                "client_secret": "demo-secret",
            }
        )
        stock = f"/v2/inventories/{PRODUCT}"
        more = {"type": "stock-transaction", "action": "increment", "quantity": 1000}
        self.send("POST", f"{stock}/transactions", headers, more, key=uuid.uuid4().hex)
        for _ in range(10):
            self.send("GET", stock, headers)
            self.send("GET", f"{stock}/transactions?sort=-created_at", headers)
            self.send("GET", "/v2/orders?filter=eq(payment,paid)", headers)
            if self.paid and not self._over.is_set():
                path = f"/v2/orders/{random.choice(self.paid)}"
                shipped = {"type": "order", "shipping": "fulfilled"}
                self.send("PUT", path, headers, shipped, key=uuid.uuid4().hex)

    def _token(self, form: dict[str, str]) -> dict[str, str]:
        answer = self.send("POST", "/oauth/access_token", {"Content-Type": FORM}, urlencode(form))
        token = json.loads(answer.text)["access_token"]
        return {"Content-Type": JSON, "Authorization": f"Bearer {token}"}

    # How it is asked, and what is wrong with an answer.

    def send(
        self, method: str, path: str, headers: dict[str, str], body: Any = None, *, key: str = ""
    ) -> Answer:
        if isinstance(body, dict):
            body = json.dumps({"data": body})
        sent = {**headers, **({"Idempotency-Key": key} if key else {})}
        with self._somewhere() as release:
            phase, kind = self.phase, f"{method} {_template(path)}"
            self.calls[phase, release.name, kind] += 1
            begun = time.monotonic()
            connection = http.client.HTTPConnection(HOST, release.port, timeout=TIMEOUT_SECONDS)
            try:
                connection.request(method, path, body, sent)
                got = connection.getresponse()
                answer = Answer(release, got.status, got.read().decode(), got.headers)
            except (OSError, http.client.HTTPException) as error:
                self.wrong[f"{phase}: no answer of {release.name} to {kind}: {error!r}"] += 1
                raise
            finally:
                connection.close()
                took = time.monotonic() - begun
                self.longest[phase] = max(took, self.longest.get(phase, 0))
        for wrong in faults(answer, method, path):
            self.wrong[f"{phase}: {release.name}, {kind}: {wrong}"] += 1
        return answer

    @contextmanager
    def _somewhere(self) -> Iterator[Release]:
        with self._change:
            release = random.choice(self._open)
            self._under_way[release.name] += 1
        try:
            yield release
        finally:
            with self._change:
                self._under_way[release.name] -= 1
                self._change.notify_all()


def faults(answer: Answer, method: str, path: str) -> list[str]:
    """Return what a caller of that release did not have to reckon with."""
    if answer.status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
        return [f"{answer.status}"]
    if answer.release.description is None:
        return []
    plain = SimpleNamespace(status_code=answer.status, content=answer.text.encode())
    try:
        answer.release.description.assert_fits(method, path, plain)
    except AssertionError as error:
        return [str(error)[:300]]
    return []


def _template(path: str) -> str:
    """Name all orders alike."""
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|cart-\w+", "…", path.partition("?")[0])


def _cookie(answer: Answer, name: str) -> str:
    for cookie in answer.headers.get_all("Set-Cookie") or []:
        if cookie.startswith(f"{name}="):
            return cookie.removeprefix(f"{name}=").partition(";")[0]
    raise LookupError(f"{answer.status} without the cookie {name}")
