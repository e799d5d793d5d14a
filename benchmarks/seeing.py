"""What a line for each request and the numbers at /metrics cost a purchase.

A process runs the whole of Django and buys by turns with and without them. One process and not
two: how its memory happens to lie makes one of two alike slower by more than what is measured.
"""

import gc
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
from config.embedded import Server

PROCESSES = 7
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "12"))
# Bought in one go, since a thread tells of them together.
AT_ONCE = 100

Rounds = list[tuple[float, float]]


def bench(server: Server) -> None:
    from benchmarks.run import database_cpu, fill

    call_command("migrate", verbosity=0)
    products = json.dumps([str(product) for product in fill()])
    database = database_cpu(server)
    with tempfile.TemporaryDirectory(prefix="holdfast-seeing-") as name:
        before = database()
        processes = [_measured(products, Path(name) / str(each)) for each in range(PROCESSES)]
        purchases = PROCESSES * 2 * (ROUNDS + 1) * AT_ONCE
        _tell(processes, (database() - before) / purchases)


def _tell(processes: list[Rounds], database: float) -> None:
    """Print the medians of the processes. `database`: its time of a purchase, in seconds."""
    # Of each the mean: whichever comes second in a round finds warmer caches, and has its turn.
    halves = [
        [statistics.mean(half) / AT_ONCE for half in zip(*rounds, strict=True)]
        for rounds in processes
    ]
    seen, unseen = (statistics.median(half) for half in zip(*halves, strict=True))
    print(f"\n{'a purchase':<32}{'CPU us':>8}")
    print(f"{'Django, with lines and numbers':<32}{seen * 1e6:>8.0f}")
    print(f"{'Django, without':<32}{unseen * 1e6:>8.0f}")
    print(f"{'PostgreSQL':<32}{database * 1e6:>8.0f}")
    for name, beside in (("more, of Django's half", 0.0), ("more, of a purchase", database)):
        shares = sorted((a - b) / (b + beside) for a, b in halves)
        told = f"(median of {len(shares)} processes; {shares[0]:.1%} to {shares[-1]:.1%})"
        print(f"{name:<32}{statistics.median(shares):>8.1%}   {told}")


def _measured(products: str, folder: Path) -> Rounds:
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
        # The last are told of a moment later.
        time.sleep(2 * telling.GATHERED_SECONDS)
        return time.process_time() - began

    def bought_unseen() -> float:
        with _blind():
            return bought()

    # As in a web server: what is loaded is not looked through for garbage.
    gc.collect()
    gc.freeze()
    rounds = []
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
