"""What the worker does on a schedule. Every job may run twice, or in parallel, without harm."""

from procrastinate.contrib.django import app

from orders.services import carts


@app.periodic(cron="27 * * * *")
@app.task(queueing_lock="purge_carts", pass_context=False)
def purge_carts(timestamp: int) -> None:
    carts.purge()
