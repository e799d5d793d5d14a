"""A person on the page and a program on the API, who do the same with one order at once."""

import pytest

from tests.backoffice.orders.looking import action
from tests.backoffice.pages import hidden
from tests.concurrency import run_together
from tests.factories import paid_order, product
from tests.http import administrator
from tests.stock import numbers

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.thorough]


def test_f09_units_that_page_and_program_ship_at_once_leave_once(admin_client):
    shirt = product(stock=10)
    order = paid_order({shirt: 3})
    line, program = order.items.get(), administrator()
    address = action(order, "ship")
    typed = {**hidden(admin_client, address), f"units_{line.pk.hex}": "2"}
    sent = {"type": "shipment", "items": [{"id": str(line.pk), "quantity": 2}]}

    page, answer = run_together(
        lambda: admin_client.post(address, typed),
        lambda: program.post(f"/v2/orders/{order.pk}/shipments", sent),
    )

    line.refresh_from_db()
    assert (page.status_code, answer.status_code) in {(302, 422), (200, 201)}
    assert (line.shipped, line.left) == (2, 1)
    assert numbers(shirt) == (8, 7, 1)
