"""The stock service by itself, in one process: allocating an order of one line and of twenty."""

import random
import threading
import time
import uuid
from collections.abc import Callable

from django.db import connection

from api.actors import SYSTEM
from api.transactions import in_transaction
from benchmarks.yardstick import Limit
from inventory.services import stock as inventory

THREADS = 4
allocate = in_transaction(inventory.allocate)


def measure(
    products: list[uuid.UUID], lines: int, operations: int, cpu: Callable[[], float]
) -> Limit:
    """Allocate at random products; CPU is this process's and the database's together."""
    left = iter(range(operations))

    def work() -> None:
        dice = random.Random()
        try:
            for _ in left:
                wanted = dict.fromkeys(dice.sample(products, lines), 1)
                allocate(wanted, order_id=uuid.uuid4(), actor=SYSTEM)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    database, own, started = cpu(), time.process_time(), time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - started
    spent = cpu() - database + time.process_time() - own
    return Limit(operations / elapsed, spent / operations * 1e6)
