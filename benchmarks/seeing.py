"""What a line for each request and the numbers at /metrics cost a purchase.

Two processes run the whole of Django on one database, one of them with nothing of either. They buy
in turn, some purchases each, so that a machine that gets slower does so for both.
"""

import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management import call_command

from benchmarks.flow import BUYER, MANUAL

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "60"))
AT_ONCE = 20


def bench() -> None:
    from benchmarks.run import fill

    call_command("migrate", verbosity=0)
    products = [str(product) for product in fill()]
    with tempfile.TemporaryDirectory(prefix="holdfast-seeing-") as name:
        seen = _Half(products, Path(name), is_seen=True)
        unseen = _Half(products, Path(name), is_seen=False)
        # What is found out once, in each.
        for half in (seen, unseen):
            half.buys()
        rounds = []
        for number in range(ROUNDS):
            # The first one in a round has the colder caches.
            halves = (seen, unseen) if number % 2 else (unseen, seen)
            taken = {half: half.buys() for half in halves}
            rounds.append((taken[seen], taken[unseen]))
        for half in (seen, unseen):
            half.end()
        lines = (Path(name) / "seen.log").read_text().count('"event": "request"')
    assert lines >= 3 * ROUNDS * AT_ONCE, "the lines were not written"
    _tell(rounds)


def _tell(rounds: list[tuple[float, float]]) -> None:
    """Print the medians; the share is of the web server's half of a purchase, without network."""
    each = [(a / AT_ONCE, b / AT_ONCE) for a, b in rounds]
    with_them, without = (statistics.median(half) for half in zip(*each, strict=True))
    shares = [a / b - 1 for a, b in each]
    low, middle, high = statistics.quantiles(shares, n=4)
    print(f"\n{'a purchase in Django':<32}{'CPU us':>8}")
    print(f"{'with lines and numbers':<32}{with_them * 1e6:>8.0f}")
    print(f"{'without':<32}{without * 1e6:>8.0f}")
    print(
        f"{'more, median of the rounds':<32}{middle:>8.1%}"
        f"   (half of them between {low:.1%} and {high:.1%})"
    )


class _Half:
    def __init__(self, products: list[str], folder: Path, *, is_seen: bool) -> None:
        log = folder / ("seen.log" if is_seen else "unseen.log")
        # As in production: LOG_LEVEL is the default, and lines are JSON in a file.
        environment = os.environ | {
            "LOG_REQUESTS": "true" if is_seen else "false",
            "METRICS_DIR": str(folder / "metrics") if is_seen else "",
            "BENCH_SEEN": "1" if is_seen else "",
            "BENCH_PRODUCTS": json.dumps(products),
        }
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.seeing"],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def buys(self) -> float:
        """Let it buy some times, and return the processor time that this took."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write("buy\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def end(self) -> None:
        self._process.communicate()


# In each of the two processes.


def _main() -> None:
    import django

    from config import logs

    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    django.setup()
    if not os.environ["BENCH_SEEN"]:
        _blind()
    from django.core.wsgi import get_wsgi_application

    application = get_wsgi_application()
    # The demo writes for people; what is measured is production's.
    requests = bool(os.environ["BENCH_SEEN"])
    logs.configure(logs.configuration("WARNING", requests=requests, readable=False))
    products = json.loads(os.environ["BENCH_PRODUCTS"])
    form = b"grant_type=implicit&client_id=bench"
    token = _post(application, "/oauth/access_token", form, "application/x-www-form-urlencoded")
    for number, _ in enumerate(sys.stdin):
        began = time.process_time()
        for step in range(AT_ONCE):
            product = products[(number * AT_ONCE + step) % len(products)]
            _buy(application, token["access_token"], product)
        print(time.process_time() - began, flush=True)


def _blind() -> None:
    """Take away what this measures."""
    from api import errors, metrics, traffic

    vars(traffic)["begin"] = lambda request: None
    traffic.end = lambda *told: None
    metrics.once_committed = lambda *told: None
    errors._counted = lambda entries: entries


def _buy(application: Callable[..., Any], token: str, product: str) -> None:
    def post(path: str, data: Any) -> Any:
        body = json.dumps({"data": data}).encode()
        return _post(application, path, body, "application/json", f"Bearer {token}")["data"]

    cart = uuid.uuid4().hex
    post(f"/v2/carts/{cart}/items", {"type": "cart_item", "id": product, "quantity": 1})
    order = post(f"/v2/carts/{cart}/checkout", BUYER)
    assert post(f"/v2/orders/{order['id']}/payments", MANUAL)["status"] == "complete"


def _post(
    application: Callable[..., Any], path: str, body: bytes, kind: str, authorization: str = ""
) -> Any:
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "127.0.0.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": kind,
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_AUTHORIZATION": authorization,
        "wsgi.input": io.BytesIO(body),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
    }
    answered: list[str] = []
    response = application(environ, lambda status, headers: answered.append(status))
    answer = json.loads(b"".join(response))
    response.close()
    assert answered[0].startswith("2"), answer
    return answer


if __name__ == "__main__":
    _main()
