"""What the worker does by the clock. Every job may run twice, or at the same time, without harm."""

from procrastinate.contrib.django import app

from orders import carts


@app.periodic(cron="27 * * * *")
@app.task(queueing_lock="purge_carts", pass_context=False)
def purge_carts(timestamp: int) -> None:
    carts.purge_carts()
