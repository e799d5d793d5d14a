"""From a payment to whoever is told of it, by a worker that is a process, and is killed."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from standardwebhooks.webhooks import Webhook

from config.supervisor import PROJECT
from events.models import Progress
from tests import way
from tests.concurrency import PATIENCE_SECONDS
from tests.events.receiver import Receiver, never, receiving
from tests.events.telling import progress, told_to
from tests.factories import paid_order, product

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@contextmanager
def working() -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "manage.py", "work", "--only", "telling", "--grace=1"]
    environment = os.environ | {"DATABASE_URL": way.url()}
    worker = subprocess.Popen(command, cwd=PROJECT, env=environment)
    try:
        yield worker
    finally:
        if worker.poll() is None:
            worker.terminate()
        worker.wait(PATIENCE_SECONDS)


def test_a_payment_reaches_whoever_is_told_though_a_worker_is_killed_meanwhile(receiver: Receiver):
    integration = told_to(receiver.url)
    order = paid_order({product(stock=2): 1})
    receiver.answers = [never]

    with working() as worker:
        receiver.wait_for(1)
        worker.kill()
        worker.wait(PATIENCE_SECONDS)
    # As long as nobody else may take over.
    Progress.objects.update(leased_until=order.created_at)
    with working() as worker:
        killed, received = receiver.wait_for(2)
        worker.terminate()
        assert worker.wait(PATIENCE_SECONDS) == 0

    assert killed.headers["webhook-id"] == received.headers["webhook-id"]
    assert Webhook(integration.signing_secret).verify(received.body, received.headers)
    told = json.loads(received.body)
    assert told["triggered_by"] == received.headers["x-moltin-integration-trigger"] == "order.paid"
    assert told["payload"]["data"]["id"] == str(order.pk)
    assert told["payload"]["data"]["payment"] == "paid"
    assert json.loads(told["resources"]) == told["payload"]
    # It has written that it was taken, and given the lease back.
    assert progress(integration).leased_by is None
    assert progress(integration).position >= told["position"]
