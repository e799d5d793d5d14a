"""What integrations were sent, in the admin: each attempt, what it sent, and what came back."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User

from api import clock
from api.ids import uuid7
from events.models import Delivery, Event, Integration
from tests.backoffice.events.making import attempt, delivery, event, integration
from tests.backoffice.pages import client_with, send, signed_in, text
from tests.factories import paid_order, product

pytestmark = pytest.mark.django_db

DELIVERIES = "/admin/events/delivery/"


def page(of: Delivery, action: str = "change") -> str:
    return f"{DELIVERIES}{of.pk}/{action}/"


def found(client: Any, **query: str) -> list[int]:
    return [row.position for row in client.get(DELIVERIES, query).context["cl"].result_list]


def test_deliveries_are_listed_by_integration_and_state(admin_client, django_assert_num_queries):
    accounts, search = integration(), integration(name="Search")
    for of, state in (
        (accounts, "delivered"),
        (search, "delivered"),
        (accounts, "given up"),
        (accounts, "waiting"),
    ):
        delivery(of, event("order.paid", uuid7()), state=state)

    assert found(admin_client) == [4, 3, 2, 1]
    assert found(admin_client, integration=str(accounts.pk)) == [4, 3, 1]
    assert found(admin_client, integration=str(accounts.pk), state="given up") == [3]
    assert found(admin_client, day=f"{clock.now() - timedelta(days=2):%Y-%m-%d}") == []
    order = paid_order({product(9): 2})
    delivery(accounts, event("order.paid", order.pk))
    with django_assert_num_queries(6) as queries:
        shown = text(admin_client.get(DELIVERIES))
    assert f'/admin/orders/order/{order.pk}/change/">Order {order}</a>' in shown
    assert not any("COUNT(" in query["sql"] for query in queries.captured_queries)


def test_each_attempt_shows_what_was_sent_and_what_came_back(admin_client):
    sent = delivery(
        integration(secret_key="s3cret"), event("order.paid", "o-1", {"note": "<b>x</b>"})
    )
    attempt(sent, 500, body="<h1>broken</h1>", milliseconds=1234)
    attempt(sent, None, error_detail="No answer within 10 seconds.")

    shown = admin_client.get(page(sent))

    assert "<h1>broken" not in shown.content.decode()
    assert "<b>x</b>" not in shown.content.decode()
    said = text(shown)
    for part in (
        "It answered 500 after 1234 ms.",
        "<h1>broken</h1>",
        "No answer within 10 seconds.",
        "X-MOLTIN-INTEGRATION-TRIGGER: order.paid",
        "X-MOLTIN-SECRET-KEY: s3cret",
        f"webhook-id: {sent.event_id}",
        '"attempt": 2',
        '"note": "<b>x</b>"',
    ):
        assert part in said
    assert said.index("Attempt 2") < said.index("Attempt 1")


def test_secrets_and_what_one_may_not_see_are_hidden():
    sent = delivery(
        integration(secret_key="s3cret"),
        event("order.paid", "o-1", {"customer": {"name": "Ada Buyer"}}),
    )
    attempt(sent, 200)

    looking = text(client_with("view_delivery", "view_order").get(page(sent)))
    User.objects.get().user_permissions.remove(Permission.objects.get(codename="view_order"))
    person = signed_in(User.objects.get())
    without_orders = text(person.get(page(sent)))

    assert "Ada Buyer" in looking
    assert "Ada Buyer" not in without_orders
    assert "s3cret" not in looking + without_orders
    assert "Send again" not in looking


def test_what_the_feed_has_forgotten_is_said(admin_client):
    sent = delivery(integration(), event("order.paid", "o-1"))
    attempt(sent, 500)
    Event.objects.all().delete()

    assert "does not keep this event any more" in text(admin_client.get(page(sent)))


def test_a_delivery_that_is_over_is_sent_again(admin_client):
    over = delivery(integration(), event("order.paid", "o-1"), state="delivered")

    response = send(admin_client, page(over, "resend"), follow=True)

    again = Delivery.objects.exclude(pk=over.pk).get()
    assert (again.event_id, again.origin, again.state) == (over.event_id, "resent", "waiting")
    assert f'href="{page(again)}"' in text(response)
    assert "It is still on its way." in text(admin_client.get(page(again, "resend")))
    Event.objects.all().delete()
    assert "no longer kept" in text(admin_client.get(page(over, "resend")))
    Integration.objects.update(enabled=False)
    assert "Enable it first." in text(admin_client.get(page(over, "resend")))
    assert "Send again" not in text(admin_client.get(page(over)))


def test_nobody_changes_what_was_sent(admin_client):
    sent = delivery(integration(), event("order.paid", "o-1"))

    assert admin_client.post(page(sent), {"state": "delivered"}).status_code == 403
    assert admin_client.get(f"{DELIVERIES}add/").status_code == 403
    assert client_with("view_delivery").post(page(sent, "resend")).status_code == 403
