"""A complete purchase over HTTP, as a frontend makes it: add to cart, check out, pay."""

import http.client
import itertools
import json
import statistics
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ADDRESS = {
    "first_name": "Ada",
    "last_name": "Byron",
    "line_1": "1 Main Street",
    "postcode": "10001",
    "region": "NY",
    "country": "US",
}
BUYER = {
    "customer": {"name": "Ada Byron", "email": "ada@example.com"},
    "billing_address": ADDRESS,
    "shipping_address": ADDRESS,
}
MANUAL = {"gateway": "manual", "method": "purchase"}


class Shopper:
    """One kept-alive connection, with a storefront's token."""

    def __init__(self, port: int, client_id: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        form = f"grant_type=implicit&client_id={client_id}"
        self.headers = {"Content-Type": "application/x-www-form-urlencoded"}
        token = self._post("/oauth/access_token", form)["access_token"]
        self.headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}

    def buy(self, products: list[str]) -> None:
        """Raises: AssertionError unless the order ends up paid."""
        cart = uuid.uuid4().hex
        items = [{"type": "cart_item", "id": product, "quantity": 1} for product in products]
        # One line as a product page adds it, and several in one call.
        self.post(f"/v2/carts/{cart}/items", items if len(items) > 1 else items[0])
        order = self.post(f"/v2/carts/{cart}/checkout", BUYER)["data"]
        payment = self.post(f"/v2/orders/{order['id']}/payments", MANUAL)["data"]
        assert payment["status"] == "complete"

    def post(self, path: str, data: Any) -> Any:
        return self._post(path, json.dumps({"data": data}))

    def _post(self, path: str, body: str) -> Any:
        self.connection.request("POST", path, body, self.headers)
        response = self.connection.getresponse()
        answer = json.loads(response.read())
        assert response.status < 300, answer
        return answer


@dataclass(frozen=True)
class Measured:
    flows_per_second: float
    web_ms: float
    database_ms: float
    p50_ms: float
    p99_ms: float

    @property
    def cpu_ms(self) -> float:
        return self.web_ms + self.database_ms


def measure(
    baskets: list[list[str]],
    *,
    port: int,
    client_id: str,
    shoppers: int,
    flows: int,
    cpu: Callable[[], tuple[float, float]],
) -> Measured:
    """Let shoppers buy `flows` baskets in turn; `cpu` tells the web server's and the database's."""
    crowd = [Shopper(port, client_id) for _ in range(shoppers)]
    turns = itertools.cycle(baskets)
    for shopper in crowd:
        shopper.buy(next(turns))
    left = iter(range(flows))
    seconds: list[float] = []

    def shop(shopper: Shopper) -> None:
        for _ in left:
            basket = next(turns)
            started = time.perf_counter()
            shopper.buy(basket)
            seconds.append(time.perf_counter() - started)

    threads = [threading.Thread(target=shop, args=[shopper]) for shopper in crowd]
    web, database = cpu()
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - started
    web_after, database_after = cpu()
    assert len(seconds) == flows, "some purchases failed"
    per_flow = 1000 / flows
    return Measured(
        flows / elapsed,
        (web_after - web) * per_flow,
        (database_after - database) * per_flow,
        statistics.median(seconds) * 1000,
        statistics.quantiles(seconds, n=100)[98] * 1000,
    )
