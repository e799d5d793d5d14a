"""What a line for each request and the numbers at /metrics cost a purchase.

A process runs the whole of Django and buys by turns with and without them. One process and not
two: how its memory happens to lie makes one of two alike slower by more than what is measured.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from django.core.management import call_command

from benchmarks.flow import BUYER, MANUAL

PROCESSES = 5
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "60"))
AT_ONCE = 10


def bench() -> None:
    from benchmarks.run import fill

    call_command("migrate", verbosity=0)
    products = json.dumps([str(product) for product in fill()])
    with tempfile.TemporaryDirectory(prefix="holdfast-seeing-") as name:
        _tell([_measured(products, Path(name) / str(number)) for number in range(PROCESSES)])


def _tell(processes: list[list[tuple[float, float]]]) -> None:
    """Print the medians; the share is of the web server's half of a purchase, without network."""
    each = [(a / AT_ONCE, b / AT_ONCE) for rounds in processes for a, b in rounds]
    with_them, without = (statistics.median(half) for half in zip(*each, strict=True))
    shares = sorted(statistics.median(a / b - 1 for a, b in rounds) for rounds in processes)
    print(f"\n{'a purchase in Django':<32}{'CPU us':>8}")
    print(f"{'with lines and numbers':<32}{with_them * 1e6:>8.0f}")
    print(f"{'without':<32}{without * 1e6:>8.0f}")
    print(
        f"{f'more, median of {len(shares)} processes':<32}{statistics.median(shares):>8.1%}"
        f"   (from {shares[0]:.1%} to {shares[-1]:.1%})"
    )


def _measured(products: str, folder: Path) -> list[tuple[float, float]]:
    """Return what a process says of each round: seconds with them, and without."""
    folder.mkdir()
    # As in production: LOG_LEVEL is the default, and lines are JSON in a file.
    environment = os.environ | {
        "LOG_REQUESTS": "true",
        "METRICS_DIR": str(folder / "metrics"),
        "BENCH_PRODUCTS": products,
    }
    with (folder / "log").open("w") as errors:
        told = subprocess.run(
            [sys.executable, "-m", "benchmarks.seeing"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            check=True,
        )
    rounds = json.loads(told.stdout)
    lines = (folder / "log").read_text().count('"event": "request"')
    assert lines == 3 * AT_ONCE * (ROUNDS + 1) + 1, "a line for each request that is to be seen"
    return [(seen, unseen) for seen, unseen in rounds]


# In each of the processes.


def _main() -> None:
    import django

    from config import logs, telling

    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    django.setup()
    from django.core.wsgi import get_wsgi_application

    application = get_wsgi_application()
    # The demo writes for people; what is measured is production's.
    logs.configure(logs.configuration("WARNING", requests=True, readable=False))
    products = json.loads(os.environ["BENCH_PRODUCTS"])
    form = b"grant_type=implicit&client_id=bench"
    token = _post(application, "/oauth/access_token", form, "application/x-www-form-urlencoded")

    def bought() -> float:
        began = time.process_time()
        for _ in range(AT_ONCE):
            products.append(products.pop(0))
            _buy(application, token["access_token"], products[0])
        # Its lines are written a moment later.
        time.sleep(2 * telling.GATHERED_SECONDS)
        return time.process_time() - began

    def bought_unseen() -> float:
        with _blind():
            return bought()

    rounds = []
    # As in a web server.
    with telling.apart():
        # The first round finds out what is found out once. The first in one has colder caches.
        for number in range(ROUNDS + 1):
            if number % 2:
                rounds.append((bought(), bought_unseen()))
            else:
                rounds.append((bought_unseen(), bought())[::-1])
    print(json.dumps(rounds[1:]))


@contextmanager
def _blind() -> Iterator[None]:
    """Take away what this measures."""
    from api import errors, metrics, traffic

    with (
        mock.patch.object(traffic, "begin", _nothing),
        mock.patch.object(traffic, "end", _nothing),
        mock.patch.object(metrics, "once_committed", _nothing),
        mock.patch.object(errors, "_counted", _uncounted),
    ):
        yield


def _nothing(*told: Any) -> None:
    pass


def _uncounted(refusal: Any) -> Any:
    return refusal.entries()


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
