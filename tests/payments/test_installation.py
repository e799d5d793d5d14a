"""A copy of the shop asks no gateway, whichever way it would, until somebody says that it may."""

import io
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.db import connection

from api import clock
from api.ids import uuid7_of
from api.models import Change
from events.services import closing, integrations, mail_settings
from inventory.models import Stock
from inventory.services import images, picture_files
from orders.models import Order
from payments import jobs
from payments.errors import GatewaysClosed, PaymentDeclined
from payments.gateways.base import UNKNOWN
from payments.models import Attempt, Gateway, GatewayEvent, Installation, Payment
from payments.services import gateway_events, installation, payments, recovery
from payments.services.payments import PaymentRequest
from tests.backoffice.pages import signed_in, text
from tests.drawn import drawn
from tests.factories import MERCHANT, product, unpaid_order
from tests.fake_gateway import FakeGateway
from tests.http import Api

pytestmark = pytest.mark.django_db

LONG_AGO = timedelta(days=30)
SILENT = ("charge", "announce", "confirm", "find_charge", "give_up", "perform", "find", "refunds")


def close() -> None:
    """Do what restoring a backup does."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO payments_installation (id, name, place, accounts, closed_at, closed_why) "
            "VALUES (1, '', '', '{}', now(), 'restored to noon') ON CONFLICT (id) DO UPDATE "
            "SET closed_at = excluded.closed_at, closed_why = excluded.closed_why"
        )
    installation.forget()


def opened(**remembered: Any) -> None:
    installation.open_gateways(actor=MERCHANT)
    Installation.objects.update(**remembered)
    installation.forget()


class Shop:
    """A shop in which each way to a gateway is open: what it then asks is in `asked`."""

    def __init__(self, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shirt = product(stock=20, price=1000)
        self.unpaid = unpaid_order({self.shirt: 1})
        self.authorized = self.paid(method=Payment.Method.AUTHORIZE)
        self.captured = self.paid()
        gateway.on_charge = lambda payment: UNKNOWN
        self.open = self.paid()
        self.queued = self.paid()
        self.queued.queued_until = clock.now() + timedelta(minutes=5)
        for each in (self.open, self.queued):
            each.charging_until = None
            each.write()
        self.event = GatewayEvent.objects.create(
            id="evt_1", gateway="fake", body={}, payment=self.open, received_at=clock.now()
        )
        self.asked: list[str] = []
        for name in SILENT:
            monkeypatch.setattr(gateway, name, self._writing_down(name, getattr(gateway, name)))

    def paid(self, **more: Any) -> Payment:
        request = PaymentRequest("fake", **more)
        return payments.pay(unpaid_order({self.shirt: 1}).pk, request, actor=MERCHANT)

    def _writing_down(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def asked(*about: Any) -> Any:
            self.asked.append(name)
            return method(*about)

        return asked

    def lapse(self) -> None:
        Order.objects.update(created_at=clock.now() - LONG_AGO)
        Payment.objects.update(created_at=clock.now() - LONG_AGO)


@pytest.fixture
def shop(gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop(gateway, monkeypatch)


def of(payment: Payment) -> tuple[Any, Any]:
    return payment.order_id, payment.pk


REFUSED: dict[str, Callable[[Shop], object]] = {
    "paying": lambda shop: payments.pay(shop.unpaid.pk, PaymentRequest("fake"), actor=MERCHANT),
    "capturing": lambda shop: payments.capture(*of(shop.authorized), actor=MERCHANT),
    "voiding": lambda shop: payments.void(*of(shop.authorized), actor=MERCHANT),
    "refunding": lambda shop: payments.refund(*of(shop.captured), 100, actor=MERCHANT),
    "cancelling what is authorized": lambda shop: payments.cancel(
        shop.authorized.order_id, actor=MERCHANT
    ),
    "checking now": lambda shop: recovery.check_now(*of(shop.open), actor=MERCHANT),
}
LET_BE: dict[str, Callable[[Shop], object]] = {
    "going on after 3-D Secure": lambda shop: payments.confirm(*of(shop.open)),
    "what is open": lambda shop: recovery.settle_pending(),
    "what was left to a worker": lambda shop: jobs.charge_queued(payment_id=str(shop.queued.pk)),
    "a message of the gateway": lambda shop: gateway_events.look_into(shop.event.pk),
    "an authorization whose time is over": lambda shop: recovery.void_lapsed_authorizations(),
    "orders that wait for too long": lambda shop: recovery.expire_orders(),
    "what any other way would ask": lambda shop: recovery.look_at(*of(shop.open)),
}


def standing() -> list[Any]:
    return [
        *Order.objects.order_by("pk").values("status", "payment"),
        *Payment.objects.order_by("pk").values("status", "captured_amount", "refunded_amount"),
        *Stock.objects.values("available", "allocated"),
        *Attempt.objects.values(),
    ]


@pytest.mark.parametrize("way", REFUSED)
def test_while_gateways_are_closed_it_is_refused(shop, way):
    close()
    before = standing()

    with pytest.raises(GatewaysClosed, match="restored to noon"):
        REFUSED[way](shop)

    assert (shop.asked, standing()) == ([], before)


@pytest.mark.parametrize("way", LET_BE)
def test_while_gateways_are_closed_it_is_let_be(shop, way):
    shop.lapse()
    close()
    before = standing()

    LET_BE[way](shop)

    assert (shop.asked, standing()) == ([], before)


@pytest.mark.parametrize("way", [*REFUSED, *LET_BE])
def test_each_of_these_ways_does_something_while_they_are_open(shop, way):
    if way in LET_BE:
        shop.lapse()
    before = standing()

    with suppress(PaymentDeclined):
        {**REFUSED, **LET_BE}[way](shop)

    assert shop.asked or standing() != before


def test_money_that_moves_elsewhere_is_recorded_all_the_same(shop):
    close()

    payments.pay(shop.unpaid.pk, PaymentRequest("manual"), actor=MERCHANT)
    settled = recovery.settle_by_hand(
        *of(shop.open), succeeded=True, reference="ch_9", reason="it is there", actor=MERCHANT
    )

    shop.unpaid.refresh_from_db()
    assert (shop.unpaid.payment, settled.status) == ("paid", "complete")


def test_what_was_refunded_elsewhere_is_marked_all_the_same(shop):
    close()

    payments.refund(*of(shop.captured), None, actor=MERCHANT)

    assert shop.asked == []


def test_a_shopper_is_told_that_nobody_can_pay_now(storefront: Api, gateway, shirt):
    order = unpaid_order({shirt: 1})
    close()

    wanted = {"gateway": "fake", "method": "purchase"}
    answer = storefront.post(f"/v2/orders/{order.pk}/payments", wanted)

    [error] = answer.json()["errors"]
    assert (answer.status_code, error["code"]) == (503, "gateways_closed")
    assert "noon" not in answer.content.decode()
    assert answer.headers["Retry-After"] == "60"


def test_a_gateway_that_is_disabled_is_called_so_even_then(shop):
    Gateway.objects.update(enabled=False)
    close()

    with pytest.raises(Exception, match="not enabled"):
        REFUSED["paying"](shop)


# How a copy is known.


def test_where_nothing_is_remembered_they_are_open():
    assert Installation.objects.count() == 0
    assert installation.why_closed() == ""


def test_a_database_that_was_copied_row_by_row_is_another_place():
    opened()
    assert installation.why_closed() == ""

    database, table = Installation.objects.get().place.split("/")
    for place in (f"{database}/1", f"1/{table}"):
        opened(place=place)
        assert "this database is a copy" in installation.why_closed()


@pytest.mark.parametrize(("here", "is_closed"), [("shop", False), ("staging", True), ("", True)])
def test_a_disk_that_another_installation_starts_is_known_by_its_name(settings, here, is_closed):
    settings.HOLDFAST_INSTALLATION = "shop"
    opened()
    settings.HOLDFAST_INSTALLATION = here

    assert bool(installation.why_closed()) == is_closed
    assert ("belongs to shop" in installation.why_closed()) == is_closed


def test_a_name_that_nobody_has_given_is_none(settings):
    opened()
    settings.HOLDFAST_INSTALLATION = "shop"

    assert installation.why_closed() == ""


def test_a_key_of_the_other_mode_asks_about_no_payment_of_this_one(stripe, settings):
    opened()
    assert installation.why_closed() == ""
    settings.STRIPE_SECRET_KEY = "sk_live_fake"
    installation.forget()

    assert "the key of stripe is of live mode, the payments of test" in installation.why_closed()

    settings.STRIPE_SECRET_KEY = ""
    assert installation.why_closed() == ""


def test_enabling_a_gateway_remembers_where_that_was_once(stripe, settings):
    settings.HOLDFAST_INSTALLATION = "shop"
    payments.set_gateway("manual", enabled=True, actor=MERCHANT)
    payments.set_gateway("stripe", name="Cards", actor=MERCHANT)
    assert not Installation.objects.exists()

    payments.set_gateway("stripe", enabled=True, actor=MERCHANT)
    settings.HOLDFAST_INSTALLATION = "staging"
    settings.STRIPE_SECRET_KEY, settings.STRIPE_PUBLISHABLE_KEY = "sk_live_fake", "pk_live_fake"
    payments.set_gateway("stripe", enabled=True, actor=MERCHANT)

    row = Installation.objects.get()
    assert (row.name, row.accounts, row.place.count("/")) == ("shop", {"stripe": "test"}, 1)


def test_enabling_a_gateway_opens_nothing(shop):
    close()

    payments.set_gateway("test", enabled=True, actor=MERCHANT)

    installation.forget()
    assert "restored to noon" in installation.why_closed()


# Who says so, and who opens them.


def test_the_worker_is_loud_about_it(shop, caplog):
    close()

    with caplog.at_level(logging.ERROR):
        jobs.settle_pending_payments(timestamp=0)

    [record] = caplog.records
    assert "gateways_closed" in record.getMessage()
    assert "restored to noon" in record.getMessage()


def test_a_copy_deletes_no_picture_of_the_shop_whose_folder_its_environment_names(
    shop, settings, tmp_path
):
    settings.MEDIA_ROOT = str(tmp_path)
    yesterday = clock.now() - timedelta(days=2)
    newer_than_the_copy = uuid7_of(int(yesterday.timestamp() * 1000), 0, 1)
    picture_files.write(newer_than_the_copy, images.draw(drawn()).files)
    close()

    assert picture_files.purge() == 0
    assert list(tmp_path.iterdir())

    installation.open_gateways(actor=MERCHANT)
    assert picture_files.purge() == 1
    assert not list(tmp_path.iterdir())


def test_a_copy_of_a_shop_without_gateways_is_known_once_somebody_is_told_of_it():
    integration, _ = integrations.create(
        name="Accounts", url="https://example.com", observes=["order.paid"], actor=MERCHANT
    )
    assert not Installation.objects.exists()

    integrations.change(integration.pk, enabled=True, actor=MERCHANT)

    assert not closing.is_closed()
    assert installation.why_closed() == ""
    Installation.objects.update(place="1/1")
    assert closing.is_closed()
    assert "this database is a copy" in installation.why_closed()


def test_a_copy_of_a_shop_is_known_once_it_sends_mails():
    mail_settings.change(actor=MERCHANT, sender_address="shop@example.com")
    assert not closing.is_closed()

    Installation.objects.update(place="1/1")
    assert closing.is_closed()


def test_one_that_is_told_from_the_beginning_is_no_other():
    integrations.create(
        name="Accounts",
        url="https://example.com",
        observes=["order.paid"],
        enabled=True,
        actor=MERCHANT,
    )

    assert Installation.objects.get().place


def test_monitoring_is_told_and_strangers_are_not_told_why(client):
    opened()
    assert "gateways" not in client.get("/health/ready").json()

    close()

    answer = client.get("/health/ready")
    assert (answer.status_code, answer.json()["gateways"]) == (200, {"closed": True})


def test_every_page_for_people_says_so():
    page = "/admin/inventory/product/"
    person = signed_in(User.objects.create_superuser("boss"))
    assert "No payment gateway" not in text(person.get(page))

    close()

    for address in (page, "/admin/", "/admin/payments/gateway/"):
        told = text(person.get(address))
        assert "No payment gateway is asked: closed at" in told
        assert "restored to noon" in told


def found() -> dict[str, str]:
    messages = run_checks(include_deployment_checks=True)
    return {message.id: message.msg for message in messages if message.id in {*WARNINGS}}


WARNINGS = ("holdfast.W013", "holdfast.W014")


def test_the_check_before_opening_says_so(stripe, settings):
    assert found().keys() == {"holdfast.W014"}
    settings.HOLDFAST_INSTALLATION = "shop"
    opened()
    assert found() == {}

    close()

    assert "restored to noon" in found()["holdfast.W013"]


def run_open(monkeypatch: pytest.MonkeyPatch, typed: str) -> str:
    out = io.StringIO()
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{typed}\n"))
    call_command("open_gateways", stdout=out)
    return out.getvalue()


def test_whoever_opens_them_types_the_name_and_is_on_record(shop, settings, monkeypatch):
    settings.HOLDFAST_INSTALLATION = "shop"
    close()
    with pytest.raises(CommandError, match="Left as it is"):
        run_open(monkeypatch, "yes")
    with pytest.raises(GatewaysClosed):
        installation.require_open()

    told = run_open(monkeypatch, "shop")

    assert "restored to noon" in told
    installation.require_open()
    REFUSED["paying"](shop)
    entry = Change.objects.get(kind="payments.installation")
    fields = {each["field"]: each for each in json.loads(json.dumps(entry.fields))}
    assert entry.actor_name == "Command line"
    assert fields["closed_why"]["before"] == "restored to noon"
    assert fields["name"]["after"] == "shop"
