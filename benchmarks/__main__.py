"""`make bench`: what a purchase costs, and the stock service beside PostgreSQL's own limit.

Everything is measured in one run on one durable server, so that the ratios hold on any machine.
`HOLDFAST_DEMO=1 .venv/bin/python -m benchmarks counts` measures a stocktaking instead, `products` a
catalogue that comes in by file, `seeing` what logs and metrics cost a purchase, and `told` what it
costs that others are told of everything, and how soon they are;
`audit --entries 10000000` takes some minutes to make a large shop, and measures how its books are
compared.
"""

import os
import sys
import tempfile
from pathlib import Path

import django

from config.embedded import Server

LIMITS = ("TOKEN_LIMIT", "CHECKOUT_LIMIT", "PAYMENT_LIMIT", "REQUEST_LIMIT")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as name:
        folder = Path(name)
        # PostgreSQL may run as another user, who has to reach its data in here.
        folder.chmod(0o755)
        server = Server(folder / "postgres")
        try:
            server.start()
            os.environ.update(DATABASE_URL=server.url, DJANGO_SETTINGS_MODULE="config.settings")
            # All shoppers come from one address, and more of them than the limits let pass.
            os.environ.update(dict.fromkeys(LIMITS, "0"))
            django.setup()
            # Not before: they import models.
            from benchmarks import audit, counts, products, run, seeing, told

            if sys.argv[1:] == ["counts"]:
                counts.bench()
            elif sys.argv[1:] == ["products"]:
                products.bench()
            elif sys.argv[1:] == ["seeing"]:
                seeing.bench(server)
            elif sys.argv[1:] == ["told"]:
                told.bench(server)
            elif sys.argv[1:2] == ["audit"]:
                audit.bench(server, sys.argv[2:])
            else:
                run.bench(server, folder)
        finally:
            server.delete()


if __name__ == "__main__":
    main()
