"""Integrations in the admin: how it goes with each, and what is done with it."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from api import clock
from api.ids import uuid7
from api.models import Change
from backoffice.events import health, words
from backoffice.events.integrations import behind
from events.models import Delivery, Integration, Progress
from events.services import kinds
from tests.backoffice.events.making import attempt, delivery, event, integration
from tests.backoffice.pages import client_with, filled_in, hidden, send, text

pytestmark = pytest.mark.django_db

INTEGRATIONS = "/admin/events/integration/"
NEW = {
    "name": "Accounts",
    "url": "https://books.example.com/hook",
    "secret_key": "s3cret",
    "observes": ["order.*", "stock.low"],
    "description": "",
    "enabled": "on",
}
OF_ORDERS = {type_ for type_ in kinds.TYPES if type_.startswith("order.")}


def page(of: Integration, action: str = "change") -> str:
    return f"{INTEGRATIONS}{of.pk}/{action}/"


def standing(of: Integration) -> health.Health:
    return health.of(health.with_health(Integration.objects.filter(pk=of.pk)).get())


# Making and changing it.


def test_the_secret_that_signs_is_shown_once(admin_client):
    response = admin_client.post(f"{INTEGRATIONS}add/", NEW, follow=True)

    made = Integration.objects.get()
    assert set(made.observes) == OF_ORDERS | {"stock.low"}
    assert (made.enabled, made.secret_key) == (True, "s3cret")
    assert made.signing_secret in text(response)
    for shown in (INTEGRATIONS, page(made), page(made, "history")):
        assert made.signing_secret not in text(admin_client.get(shown))


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"url": "ftp://books.example.com/"}, "url"),
        ({"url": "https://10.0.0.1/hook"}, "url"),
        ({"observes": []}, "observes"),
        ({"observes": ["customer.created"]}, "observes"),
        ({"secret_key": "zwölf\n"}, "secret_key"),
        ({"name": ""}, "name"),
    ],
)
def test_what_is_wrong_stands_at_its_field(admin_client, wrong, field):
    response = admin_client.post(f"{INTEGRATIONS}add/", {**NEW, **wrong})

    assert list(response.context["adminform"].form.errors) == [field]
    assert not Integration.objects.exists()


def test_a_form_that_nobody_has_touched_changes_nothing(admin_client):
    made = integration(observes=["stock.low", "order.paid"])
    sent = filled_in(admin_client.get(page(made)))

    admin_client.post(page(made), sent)
    assert not Change.objects.exists()

    admin_client.post(page(made), {**sent, "observes": [*sent["observes"], "order.created"]})
    made.refresh_from_db()
    assert set(made.observes) == {"stock.low", "order.paid", "order.created"}


def test_two_people_who_change_the_same_are_told(admin_client):
    made = integration()
    sent = filled_in(admin_client.get(page(made)))
    Integration.objects.update(observes=["stock.low"])

    refused = admin_client.post(page(made), {**sent, "observes": ["order.paid", "stock.out"]})

    assert "Somebody changed it since this form was opened" in text(refused)
    made.refresh_from_db()
    assert made.observes == ["stock.low"]


def test_secrets_are_for_those_who_may_change_it():
    made = integration(secret_key="s3cret")
    looking = client_with("view_integration", "view_delivery", "view_event")

    shown = text(looking.get(page(made)))

    assert "Order paid" in shown
    assert "s3cret" not in shown
    assert made.signing_secret not in shown
    assert looking.get(page(made, "renew")).status_code == 403


# How it goes.


def test_how_it_goes_is_said_in_words():
    now = clock.now()
    fine = integration({"delivered_at": now - timedelta(minutes=2)})
    just_now = integration({"delivered_at": now})
    failing = integration({"failing_since": now - timedelta(days=1)})
    attempt(delivery(failing, event("order.paid", uuid7())), 500)
    gone = integration({"given_up_at": now, "given_up_why": "It answered 410."}, enabled=False)
    off = integration(enabled=False)

    assert standing(fine) == ("on", "Delivered 2\xa0minutes ago")
    assert standing(just_now).words == "Delivered just now"
    assert standing(failing).state == "failing"
    assert re.fullmatch(
        r"Failing since yesterday at \d\d:\d\d: it answered 500", standing(failing).words
    )
    assert standing(gone).state == "disabled by itself"
    assert standing(gone).words.endswith(": It answered 410.")
    assert standing(off).state == "off"
    assert standing(integration()).words == "Nothing was delivered yet"


def test_what_is_behind_is_said(admin_client):
    made = integration({"position": 3})
    for type_ in ("order.paid", "cart.updated", "order.paid", "order.paid", "stock.low"):
        event(type_, uuid7())
    delivery(made, event("order.paid", uuid7()))

    read = health.with_health(Integration.objects.all()).get()

    assert behind(read) == "2 events, 1 waiting to be sent"
    assert "2 events, 1 waiting to be sent" in text(admin_client.get(INTEGRATIONS))


def test_the_list_asks_as_much_for_many_as_for_one(admin_client):
    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            admin_client.get(INTEGRATIONS)
        return len(queries)

    integration()
    asked()
    for_one = asked()
    for _ in range(9):
        integration()

    assert asked() == for_one


def test_the_dashboard_names_those_that_are_not_told(admin_client):
    assert "is not told of events" not in text(admin_client.get("/admin/"))
    integration()
    integration({"failing_since": clock.now()}, name="Shipping")
    integration({"given_up_at": clock.now()}, name="Search", enabled=False)
    integration({"failing_since": clock.now()}, name="Off", enabled=False)

    shown = text(admin_client.get("/admin/"))

    assert re.findall(r">(\w+)</a> is not told of events", shown) == ["Search", "Shipping"]
    assert "is not told" not in text(client_with("view_order").get("/admin/"))
    for asked, names in (("failing", ["Shipping"]), ("gave-up", ["Search"])):
        rows = admin_client.get(INTEGRATIONS, {"health": asked}).context["cl"].result_list
        assert [row.name for row in rows] == names


# What is done with it.


def test_a_new_secret_is_shown_once_and_the_old_one_signs_for_a_while(admin_client):
    made = integration()

    response = send(admin_client, page(made, "renew"), follow=True)

    old = made.signing_secret
    made.refresh_from_db()
    assert made.signing_secret != old == made.old_signing_secret
    assert made.signing_secret in text(response)
    assert made.signing_secret not in text(admin_client.get(page(made)))


def test_who_enables_it_is_told_from_where_it_goes_on(admin_client):
    for _ in range(3):
        event("order.paid", uuid7())
    by_people, by_itself = (
        integration({"position": 1}, enabled=False),
        integration({"position": 1, "given_up_at": clock.now()}, enabled=False),
    )

    assert "what happens from now on" in text(admin_client.get(page(by_people, "enable")))
    asked = text(admin_client.get(page(by_itself, "enable")))
    assert "goes on where it was, and catches up: 2 events so far" in asked
    for each, position in ((by_people, 3), (by_itself, 1)):
        send(admin_client, page(each, "enable"))
        each.refresh_from_db()
        assert each.enabled
        assert Progress.objects.get(pk=each.pk).position == position


def test_who_disables_it_is_told_what_is_given_up(admin_client):
    made = integration()
    waiting = delivery(made, event("order.paid", uuid7()), next_at=clock.now())

    assert "1 delivery that waits is given up" in text(admin_client.get(page(made, "disable")))
    send(admin_client, page(made, "disable"))

    made.refresh_from_db()
    waiting.refresh_from_db()
    assert not made.enabled
    assert waiting.state == Delivery.State.GIVEN_UP


def test_a_test_of_any_type_can_be_sent(admin_client):
    made = integration()
    asked = page(made, "test")

    response = admin_client.post(
        asked, {**hidden(admin_client, asked), "type": "order.refunded"}, follow=True
    )

    sent = Delivery.objects.get()
    assert (sent.origin, sent.type, sent.integration) == ("test", "order.refunded", made)
    assert f'href="/admin/events/delivery/{sent.pk}/change/"' in text(response)


def test_everything_since_a_moment_is_counted_before_it_is_sent(admin_client):
    made = integration({"position": 4})
    now = clock.now()
    for days, type_ in (
        (9, "order.paid"),
        (3, "order.paid"),
        (3, "cart.updated"),
        (1, "order.paid"),
    ):
        event(type_, uuid7(), numbered_at=now - timedelta(days=days))
    asked = page(made, "send_since")
    since = {"since": f"{now - timedelta(days=5):%Y-%m-%dT%H:%M}"}

    counted = admin_client.post(asked, {**hidden(admin_client, asked), **since})

    assert "that is 2 events." in text(counted)
    assert Progress.objects.get().position == 4
    form = counted.context["form"]
    confirmed = {field.html_name: field.value() for field in form.hidden_fields()}
    other = {"since": f"{now - timedelta(days=2):%Y-%m-%dT%H:%M}"}
    admin_client.post(asked, {**confirmed, **other})
    assert Progress.objects.get().position == 4
    admin_client.post(asked, {**confirmed, **since})
    assert Progress.objects.get().position == 1


@pytest.mark.parametrize(
    ("typed", "says"), [("", "Say since when."), ("2999-01-01T10:00", "That is yet to come.")]
)
def test_a_moment_that_cannot_be_meant_is_refused(admin_client, typed, says):
    asked = page(integration(), "send_since")

    refused = admin_client.post(asked, {**hidden(admin_client, asked), "since": typed})

    assert says in text(refused)


def test_it_is_deleted_by_those_who_may(admin_client):
    made = integration()
    assert client_with("view_integration").get(page(made, "delete")).status_code == 403

    send(admin_client, page(made, "delete"))

    assert not Integration.objects.exists()
    assert Change.objects.get().what == Change.What.DELETED


def test_every_type_that_is_told_has_words():
    assert set(words.TYPES) == kinds.TYPES
    offered = [type_ for _, types in words.grouped(kinds.TYPES) for type_, _ in types]
    assert offered == words.TYPES
