"""Messages of gateways, and of Stripe above all: kept once, and only ever a reason to ask."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.utils import quote
from django.db import connection
from django.test import Client
from procrastinate.contrib.django.models import ProcrastinateJob

from api import clock
from api.ids import uuid7
from orders.models import Order
from payments import gateways, jobs
from payments.errors import SignatureRefused
from payments.gateways.base import Answer, Dispute, Message, Outcome
from payments.models import Gateway, GatewayEvent, Payment
from payments.services import gateway_events, payments, reconciliation, recovery, settling
from payments.services.payments import PaymentRequest
from tests.factories import MERCHANT, product, stock_of, unpaid_order
from tests.fake_gateway import OK, FakeGateway
from tests.fake_stripe import WEBHOOK_SECRET, FakeStripe
from tests.fake_stripe.webhooks import signature

pytestmark = pytest.mark.django_db

SUCCEEDED, DECLINED = "payment_intent.succeeded", "payment_intent.payment_failed"
ASKS = "pm_card_threeDSecure2Required"


@pytest.fixture
def order() -> Order:
    return unpaid_order({product(stock=10, price=1000): 1})


def pay(order: Order, token: str = "pm_card_visa", **more: Any) -> Payment:
    return payments.pay(order.pk, PaymentRequest("stripe", token=token, **more), actor=MERCHANT)


def send(body: str | bytes, *, secret: str = WEBHOOK_SECRET, at: float | None = None) -> Any:
    text = body.decode(errors="replace") if isinstance(body, bytes) else body
    signed = signature(text, secret, int(at if at is not None else time.time()))
    return Client().generic(
        "POST",
        "/webhooks/stripe",
        body,
        content_type="application/json",
        headers={"Stripe-Signature": signed},
    )


def told(stripe: FakeStripe, kind: str) -> dict[str, Any]:
    """The newest event of this type."""
    return [event for event in stripe.events() if event["type"] == kind][-1]


def deliver(event: dict[str, Any], *, times: int = 1) -> None:
    for _ in range(times):
        assert send(json.dumps(event, indent=2)).status_code == 200


def work() -> int:
    """Do what the jobs that were left would do, and tell how many there were."""
    left = ProcrastinateJob.objects.filter(task_name=jobs.look_into_event.name)
    asked = [job.args["event_id"] for job in left]
    for event_id in asked:
        jobs.look_into_event(event_id=event_id)
    return len(asked)


def state(order: Order) -> tuple[str, int]:
    order.refresh_from_db()
    return order.payment, stock_of(order.items.get().product).allocated


def silent_payment(stripe: FakeStripe, order: Order) -> Payment:
    """A payment that Stripe charged, while its answer was lost."""
    stripe.fault(operation="confirm", answer="dropped")
    return pay(order)


# What a message brings about.


@pytest.mark.parametrize("times", [1, 5])
def test_f25_a_message_however_often_settles_once(stripe, order, times):
    payment = silent_payment(stripe, order)

    deliver(told(stripe, SUCCEEDED), times=times)
    jobs_left = work()

    assert jobs_left == 1
    assert state(order) == ("paid", 1)
    event = GatewayEvent.objects.get()
    assert (event.payment, event.type, event.reference) == (payment, SUCCEEDED, payment.reference)
    assert event.handled_at is not None


def test_f25_no_message_at_all_is_made_up_for_by_recovery(stripe, order):
    silent_payment(stripe, order)

    recovery.settle_pending()

    assert state(order) == ("paid", 1)


def test_f25_a_message_of_what_is_known_already_changes_nothing(stripe, order):
    pay(order)

    deliver(told(stripe, SUCCEEDED))
    work()

    assert state(order) == ("paid", 1)
    order.refresh_from_db()
    assert order.captured == 1000


def test_f25_a_message_that_comes_before_the_answer_leaves_it_to_whoever_waits(stripe, order):
    payment = payments.begin(
        order.pk, PaymentRequest("stripe", token="pm_card_visa"), actor=MERCHANT
    )
    Payment.objects.filter(pk=payment.pk).update(reference="pi_of_another_time")
    message = {
        "id": "evt_1",
        "type": DECLINED,
        "data": {"object": {"object": "payment_intent", "id": "pi_of_another_time"}},
    }

    deliver(message)
    work()

    assert payments.payment_of(order.pk, payment.pk).status == "pending"
    assert stripe.calls() == []


def test_f25_a_failure_delivered_after_the_success_that_followed_it(stripe, order):
    payment = pay(order, ASKS)
    stripe.authenticate(payment.reference, succeeds=False)
    failure = told(stripe, DECLINED)
    settling.settle(payment, Answer(Outcome.SUCCEEDED, payment.reference))

    deliver(failure)
    work()

    assert state(order) == ("paid", 1)


def test_f25_success_after_the_order_was_cancelled_goes_back_and_is_noted(stripe, order):
    payment = silent_payment(stripe, order)
    recovery.settle_by_hand(
        order.pk, payment.pk, succeeded=False, reference="", reason="silence", actor=MERCHANT
    )
    payments.cancel(order.pk, actor=MERCHANT)

    deliver(told(stripe, SUCCEEDED))
    work()
    recovery.settle_pending()

    assert [move["kind"] for move in stripe.book()["moves"]] == ["charge", "refund"]
    assert "money_came_late" in order.events.values_list("kind", flat=True)
    assert state(order) == ("unpaid", 0)


def test_f25_a_decline_that_only_a_message_tells_of_gives_the_units_back(stripe, order):
    payment = pay(order, ASKS)
    stripe.authenticate(payment.reference, succeeds=False)

    deliver(told(stripe, DECLINED))
    work()

    assert payments.payment_of(order.pk, payment.pk).status == "failed"
    assert state(order) == ("unpaid", 0)


def test_f28_a_message_that_an_authorization_lapsed_gives_the_units_back(stripe, order):
    payment = pay(order, method=Payment.Method.AUTHORIZE)
    stripe.lapse(payment.reference)

    deliver(told(stripe, "payment_intent.canceled"), times=2)
    work()

    assert payments.payment_of(order.pk, payment.pk).status == "cancelled"
    assert state(order) == ("unpaid", 0)


def test_a_message_that_an_authorization_was_captured_at_stripe_itself(stripe, order):
    payment = pay(order, method=Payment.Method.AUTHORIZE)
    stripe.account.capture({"amount_to_capture": "600"}, payment.reference)

    deliver(told(stripe, SUCCEEDED), times=2)
    work()

    order.refresh_from_db()
    assert (order.payment, order.captured, order.authorized) == ("partially_paid", 600, 0)
    assert reconciliation.differences(payment.created_at) == []


def test_a_message_that_money_was_refunded_at_stripe_itself(stripe, order):
    payment = pay(order)
    stripe.account.create_refund({"payment_intent": payment.reference, "amount": "400"})

    for kind in ("charge.refunded", "refund.created"):
        deliver(told(stripe, kind), times=2)
    work()

    assert payments.payment_of(order.pk, payment.pk).refunded_amount == 400
    assert reconciliation.differences(payment.created_at) == []


def test_a_refund_that_was_on_its_way_arrives_by_message(stripe, order):
    stripe.settings(refund_status="pending")
    payment = pay(order)
    payments.refund(order.pk, payment.pk, 400, actor=MERCHANT)
    [refund] = stripe.book()["refunds"]
    stripe.set_refund(refund["id"], status="succeeded")

    deliver(told(stripe, "refund.updated"))
    work()

    assert payments.payment_of(order.pk, payment.pk).refunded_amount == 400


def test_a_refund_that_never_reached_its_buyer_is_owed_again(stripe, order):
    payment = pay(order)
    payments.refund(order.pk, payment.pk, 400, actor=MERCHANT)
    [refund] = stripe.book()["refunds"]
    stripe.set_refund(refund["id"], status="failed")

    deliver(told(stripe, "refund.failed"), times=2)
    work()

    order.refresh_from_db()
    assert payments.payment_of(order.pk, payment.pk).refunded_amount == order.refunded == 0
    assert [event.kind for event in order.events.all()] == ["refund_came_back"]
    assert reconciliation.differences(payment.created_at) == []


def test_a_message_that_comes_while_something_else_is_asked_is_looked_into_later(stripe, order):
    payment = pay(order)
    payments.refund(order.pk, payment.pk, 400, actor=MERCHANT)
    [refund] = stripe.book()["refunds"]
    another = payments.begin_refund(order.pk, payment.pk, 300, actor=MERCHANT)
    stripe.set_refund(refund["id"], status="failed")
    deliver(told(stripe, "refund.failed"))

    work()
    meanwhile = GatewayEvent.objects.get().handled_at
    [at_once, again] = ProcrastinateJob.objects.order_by("pk")
    settling.settle_attempt(another, Answer(Outcome.SUCCEEDED, "re_2"))
    jobs.look_into_event(**again.args)

    assert meanwhile is None
    assert (at_once.scheduled_at, again.task_name) == (None, jobs.look_into_event.name)
    assert again.scheduled_at > clock.now()
    assert GatewayEvent.objects.get().handled_at is not None
    assert payments.payment_of(order.pk, payment.pk).refunded_amount == 300


def test_f25_a_message_whose_job_was_lost_is_looked_into_all_the_same(stripe, order):
    """It has been answered with 200, so that nobody sends it again."""
    payment = pay(order, method=Payment.Method.AUTHORIZE)
    stripe.account.capture({}, payment.reference)
    deliver(told(stripe, "payment_intent.succeeded"))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_jobs SET status = 'failed'")

    at_once = gateway_events.take_up_again()
    with clock.replaced(lambda: datetime.now(UTC) + timedelta(minutes=3)):
        jobs.settle_pending_payments(0)
        again = gateway_events.take_up_again()
    work()

    # A message of this moment has a job that somebody may be at; one that waits is enough.
    assert (at_once, again) == (0, 0)
    assert ProcrastinateJob.objects.filter(task_name=jobs.look_into_event.name).count() == 2
    assert GatewayEvent.objects.get().handled_at is not None
    assert payments.payment_of(order.pk, payment.pk).captured_amount == payment.amount


@pytest.mark.parametrize("silent", ["list_refunds", "retrieve_intent"])
def test_a_message_whose_question_gets_no_answer_is_asked_again(stripe, order, silent):
    payment = pay(order, method=Payment.Method.AUTHORIZE)
    stripe.account.capture({}, payment.reference)
    stripe.account.create_refund({"payment_intent": payment.reference, "amount": "400"})
    deliver(told(stripe, "charge.refunded"))
    stripe.fault(operation=silent, answer="dropped")

    work()
    unheard = GatewayEvent.objects.get().handled_at
    again = ProcrastinateJob.objects.latest("pk")
    jobs.look_into_event(**again.args)

    assert unheard is None
    assert again.scheduled_at > clock.now()
    assert GatewayEvent.objects.get().handled_at is not None
    assert payments.payment_of(order.pk, payment.pk).refunded_amount == 400


def test_a_message_is_not_asked_about_for_ever(stripe, order):
    pay(order)
    deliver(told(stripe, SUCCEEDED))
    GatewayEvent.objects.update(received_at=clock.now() - timedelta(days=4))
    stripe.fault(operation="list_refunds", answer="dropped")

    work()

    assert GatewayEvent.objects.get().handled_at is not None
    assert ProcrastinateJob.objects.count() == 1


def test_a_message_is_asked_about_less_and_less_often(stripe, order):
    pay(order)
    deliver(told(stripe, SUCCEEDED))
    now = clock.now()
    GatewayEvent.objects.update(received_at=now - timedelta(hours=1))
    stripe.fault(operation="list_refunds", answer="dropped")

    work()

    again = ProcrastinateJob.objects.latest("pk").scheduled_at
    assert timedelta(minutes=30) < again - now < timedelta(minutes=33)


def test_only_messages_that_wait_and_have_no_job_are_taken_up_again(stripe, order):
    pay(order)
    event = told(stripe, SUCCEEDED)
    for name in ("lost", "waits", "handled", "too old"):
        deliver({**event, "id": name})
    of = GatewayEvent.objects.filter
    GatewayEvent.objects.update(received_at=clock.now() - timedelta(minutes=3))
    of(id="handled").update(handled_at=clock.now())
    of(id="too old").update(received_at=clock.now() - timedelta(days=7))
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE procrastinate_jobs SET status = 'failed' WHERE args ->> 'event_id' <> 'waits'"
        )

    assert gateway_events.take_up_again() == 1

    again = ProcrastinateJob.objects.latest("pk")
    assert (again.status, again.queue_name, again.args) == (
        "todo",
        "events",
        {"event_id": "lost"},
    )


# What is only kept.


def test_f26_a_message_that_settles_nothing_is_kept_and_changes_nothing(stripe, order):
    payment = silent_payment(stripe, order)

    deliver(told(stripe, SUCCEEDED) | {"id": "evt_2", "type": "payment_intent.processing"})

    assert work() == 0
    assert GatewayEvent.objects.get().handled_at is not None
    assert payments.payment_of(order.pk, payment.pk).status == "pending"


def test_f26_a_message_about_nothing_of_ours_is_kept_and_shown(stripe, order, admin_client):
    deliver(
        {
            "id": "evt_3",
            "type": SUCCEEDED,
            "data": {"object": {"object": "payment_intent", "id": "pi_of_nobody"}},
        }
    )

    listed = admin_client.get("/admin/payments/gatewayevent/?known=no").content.decode()
    page = admin_client.get(
        f"/admin/payments/gatewayevent/{quote('evt_3')}/change/"
    ).content.decode()

    assert work() == 0
    assert GatewayEvent.objects.get().payment is None
    assert "pi_of_nobody" in listed
    assert "pi_of_nobody" in page


@pytest.mark.parametrize("metadata", [{}, {"payment_id": str(uuid7())}])
def test_a_message_about_nothing_of_ours_is_about_no_other_payment(stripe, order, metadata):
    pay(order)
    about = {"object": "payment_intent", "id": "pi_of_nobody", "metadata": metadata}

    deliver({"id": "evt_8", "type": SUCCEEDED, "data": {"object": about}})

    assert GatewayEvent.objects.get().payment is None


def test_to_look_into_one_message_leaves_the_others_to_be_looked_into(stripe, order):
    pay(order)
    event = told(stripe, SUCCEEDED)
    for name in ("evt_1", "evt_2"):
        deliver({**event, "id": name})

    jobs.look_into_event(event_id="evt_1")

    assert [event.id for event in GatewayEvent.objects.filter(handled_at=None)] == ["evt_2"]


def test_a_message_is_never_about_the_payment_of_another_gateway(stripe, order):
    payment = payments.pay(order.pk, PaymentRequest("test"), actor=MERCHANT)
    about = {
        "object": "payment_intent",
        "id": payment.reference,
        "metadata": {"payment_id": str(payment.pk)},
    }

    deliver({"id": "evt_7", "type": SUCCEEDED, "data": {"object": about}})

    assert GatewayEvent.objects.get().payment is None


def test_a_dispute_is_kept_loud_and_told_on_the_orders_page(stripe, order, admin_client, caplog):
    payment = pay(order)
    dispute = {
        "object": "dispute",
        "id": "dp_1",
        "payment_intent": payment.reference,
        "reason": "fraudulent",
        "status": "needs_response",
    }

    deliver({"id": "evt_6", "type": "charge.dispute.created", "data": {"object": dispute}}, times=2)

    assert work() == 0
    assert GatewayEvent.objects.get().payment == payment
    assert caplog.text.count("payment_disputed") == 1
    page = admin_client.get(f"/admin/orders/order/{order.pk}/change/")
    told_there = [(event.what, event.note) for event in page.context["timeline"]]
    assert ("Stripe: dispute created", "fraudulent · needs_response · dp_1") in told_there
    assert state(order) == ("paid", 1)


def test_disputes_of_payments_are_told_the_oldest_first(stripe, order):
    payment = pay(order)
    about = {"object": "dispute", "payment_intent": payment.reference}
    for name, status in (("evt_2", "needs_response"), ("evt_1", "lost")):
        dispute = {**about, "id": "dp_1", "reason": "fraudulent", "status": status}
        deliver({"id": name, "type": "charge.dispute.updated", "data": {"object": dispute}})
    deliver(told(stripe, SUCCEEDED))

    found = list(gateway_events.disputes_of([payment]))

    assert [event.id for event, _ in found] == ["evt_2", "evt_1"]
    assert ["lost" in dispute.notes for _, dispute in found] == [False, True]
    assert list(gateway_events.disputes_of([])) == []


def test_a_message_about_something_that_is_no_charge_is_kept(stripe):
    deliver({"id": "evt_4", "type": "customer.created", "data": {"object": {"object": "customer"}}})

    assert GatewayEvent.objects.get().reference == ""


def test_a_charge_is_known_by_what_we_told_stripe_before_its_reference_was_committed(stripe, order):
    payment = payments.begin(
        order.pk, PaymentRequest("stripe", token="pm_card_visa"), actor=MERCHANT
    )
    about = {
        "object": "payment_intent",
        "id": "pi_5",
        "metadata": {"payment_id": str(payment.pk)},
    }

    deliver({"id": "evt_5", "type": SUCCEEDED, "data": {"object": about}})

    assert GatewayEvent.objects.get().payment == payment


# What is refused.


def test_f26_a_wrong_signature_is_401_and_nothing_is_kept(stripe, order):
    silent_payment(stripe, order)
    body = json.dumps(told(stripe, SUCCEEDED))

    wrong = [
        send(body, secret="whsec_of_somebody_else"),
        send(body, at=time.time() - 3600),
        send(body, at=time.time() + 3600),
        Client().post("/webhooks/stripe", body, content_type="application/json"),
    ]

    assert [answer.status_code for answer in wrong] == [401] * 4
    assert wrong[0].json()["errors"][0]["code"] == "signature_refused"
    assert not GatewayEvent.objects.exists()


@pytest.mark.parametrize(
    "header", ["", "t=", "t=x,v1=y", "v1=", "=,=,", f"t={10**40},v1=a", "t=1,v1=\u00e9", "t=1"]
)
def test_a_signature_of_no_form_is_401(stripe, header):
    answer = Client().generic(
        "POST", "/webhooks/stripe", b"{}", headers={"Stripe-Signature": header}
    )

    assert answer.status_code == 401


@pytest.mark.parametrize("seconds", [-240, 240])
def test_a_clock_may_be_a_little_off(stripe, order, seconds):
    silent_payment(stripe, order)

    assert send(json.dumps(told(stripe, SUCCEEDED)), at=time.time() + seconds).status_code == 200


@pytest.mark.parametrize(
    ("key", "of", "whose"),
    [
        ("sk_test_fake", {"account": "acct_of_somebody"}, "another account"),
        ("sk_test_fake", {"livemode": True}, "live mode"),
        ("sk_live_fake", {"livemode": False}, "test mode"),
        ("rk_live_fake", {"livemode": "true"}, "test mode"),
    ],
)
def test_t43_what_is_told_of_another_account_or_mode_is_kept_and_loud(
    stripe, order, settings, caplog, key, of, whose
):
    payment = silent_payment(stripe, order)
    settings.STRIPE_SECRET_KEY = key

    deliver({**told(stripe, SUCCEEDED), **of}, times=2)
    dispute = {"object": "dispute", "payment_intent": payment.reference}
    deliver({"id": "evt_9", "type": "charge.dispute.created", "data": {"object": dispute}, **of})

    assert work() == 0
    assert {event.payment for event in GatewayEvent.objects.all()} == {None}
    assert payments.payment_of(order.pk, payment.pk).status == "pending"
    assert caplog.text.count("event_of_somebody_else") == 2
    assert whose in caplog.text
    assert "payment_disputed" not in caplog.text


def test_a_message_of_our_own_mode_is_ours(stripe, order):
    silent_payment(stripe, order)

    deliver({**told(stripe, SUCCEEDED), "livemode": False, "account": None})

    assert work() == 1


ODD: list[Any] = [
    *(None, True, 0, -1.5, 10**400, "", "x" * 5000, "\ud800", "\0", [], [1], [[]], {}, {"a": 1}),
    *({"payment_id": {}}, {"payment_id": None}, {"payment_id": ["\0"]}),
]


def spoilt(message: Any, value: Any) -> Iterator[Any]:
    """The message with the value in each place of it, one at a time."""
    yield value
    for name in message if isinstance(message, dict) else ():
        for nested in spoilt(message[name], value):
            yield {**message, name: nested}


@pytest.mark.thorough
@pytest.mark.parametrize("kind", [SUCCEEDED, "charge.dispute.created"])
def test_t43_whatever_stands_in_a_signed_message_it_is_kept_or_refused(stripe, order, kind):
    payment = silent_payment(stripe, order)
    event = {**told(stripe, SUCCEEDED), "id": "evt_1", "type": kind, "account": None}

    for value in ODD:
        for message in spoilt(event, value):
            assert send(json.dumps(message)).status_code in {200, 400}
    work()

    assert not GatewayEvent.objects.filter(id="").exists()
    assert payments.payment_of(order.pk, payment.pk).status in {"pending", "complete"}


def test_while_the_secret_is_rolled_a_message_is_signed_by_both(stripe, order):
    """Stripe signs by the old and the new secret until the old one has expired."""
    silent_payment(stripe, order)
    body, now = json.dumps(told(stripe, SUCCEEDED)), int(time.time())
    other = signature(body, "whsec_that_is_no_more", now)
    ours = signature(body, WEBHOOK_SECRET, now).partition(",")[2]

    answer = Client().post(
        "/webhooks/stripe",
        body,
        content_type="application/json",
        headers={"Stripe-Signature": f"{other},{ours}"},
    )

    assert answer.status_code == 200
    assert GatewayEvent.objects.count() == 1


def test_without_a_secret_every_message_is_refused(stripe, settings):
    settings.STRIPE_WEBHOOK_SECRET = ""

    assert send('{"id": "evt"}', secret="").status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        *("", "[]", "null", "{}", '{"id": "evt", "type": "t"}', "no json"),
        '{"id": "evt", "type": "t", "data": {"object": null}}',
        '{"id": "evt", "type": "t", "data": {"object": {"object": "charge", "payment_intent": 7}}}',
        '{"id": "evt", "type": "t", "data": {"object": {"object": "charge", "metadata": ["a"]}}}',
        '{"id": "evt", "type": "t\\u0000", "data": {"object": {"object": "charge"}}}',
        '{"id": "evt", "type": "t", "data": {"object": {"object": "charge", "to": "\\u0000"}}}',
        "[" * 100_000,
    ],
)
def test_a_signed_body_that_is_no_message_is_a_400(stripe, body):
    answer = send(body)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["status"] == 400
    assert not GatewayEvent.objects.exists()


def test_without_any_of_its_keys_a_gateway_refuses_messages_and_keeps_its_address(settings):
    settings.STRIPE_SECRET_KEY = settings.STRIPE_WEBHOOK_SECRET = ""

    assert send('{"id": "evt"}', secret="").status_code == 401


def test_only_posts_are_taken(stripe):
    assert Client().get("/webhooks/stripe").status_code == 405


# Gateways beside Stripe.


class Telling(FakeGateway):
    """A gateway whose messages are read by its own rules."""

    message = Message("m_1", "it.moved", "ch_1", "", may_have_changed=True, body={"at": "noon"})

    def read_message(self, headers: Any, body: bytes) -> Message:
        if headers.get("x-signed") != "yes":
            raise SignatureRefused
        return self.message

    def dispute(self, event: GatewayEvent) -> Dispute | None:
        return Dispute("lost", [event.body["at"], ""]) if event.type == "it.is_lost" else None


@pytest.fixture
def telling(gateway, monkeypatch) -> Telling:
    """The gateway `telling`, beside those that there are."""
    made = Telling()
    monkeypatch.setattr(gateways, "adapters", lambda: {"telling": made})
    Gateway.objects.create(slug="telling", name="Telling", enabled=True)
    return made


def tell(slug: str, signed: str = "yes") -> Any:
    return Client(enforce_csrf_checks=True).post(
        f"/webhooks/{slug}", b"it", content_type="text/plain", headers={"X-Signed": signed}
    )


def test_a_gateway_reads_its_own_messages_and_is_asked_by_them(telling, order):
    telling.on_charge = lambda payment: Answer(Outcome.UNKNOWN, "ch_1")
    payment = payments.pay(order.pk, PaymentRequest("telling"), actor=MERCHANT)
    telling.message = replace(telling.message, payment_id=str(payment.pk))
    telling.on_find_charge = lambda payment: OK

    answers = [tell("telling", "no"), tell("telling"), tell("telling")]

    assert [answer.status_code for answer in answers] == [401, 200, 200]
    assert work() == 1
    assert state(order) == ("paid", 1)
    event = GatewayEvent.objects.get()
    assert (event.gateway, event.payment, event.body) == ("telling", payment, {"at": "noon"})


def test_a_dispute_is_told_in_its_gateways_own_words(telling, order, admin_client, caplog):
    payment = payments.pay(order.pk, PaymentRequest("telling"), actor=MERCHANT)
    telling.message = replace(telling.message, type="it.is_lost", may_have_changed=False)

    assert tell("telling").status_code == 200

    assert GatewayEvent.objects.get().payment == payment
    assert caplog.text.count("payment_disputed") == 1
    page = admin_client.get(f"/admin/orders/order/{order.pk}/change/")
    told_there = [(event.what, event.note) for event in page.context["timeline"]]
    assert ("Telling: dispute lost", "noon") in told_there


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "m" * 101},
        {"type": "t" * 101},
        {"reference": "r" * 101},
        {"id": "m\x00"},
        {"id": "m\nlevel=error"},
        {"id": "  "},
        {"type": "paid\r\n"},
        {"reference": "\u202e1"},
        {"body": {"at": "\x00"}},
    ],
)
def test_what_cannot_be_kept_is_no_message(telling, wrong):
    telling.message = replace(telling.message, **wrong)

    answer = tell("telling")

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == "no_message"
    assert not GatewayEvent.objects.exists()


@pytest.mark.parametrize("slug", ["nobody", "manual", "fake", "test"])
def test_a_gateway_that_tells_nothing_by_itself_has_no_address(gateway, slug):
    answer = tell(slug)

    assert answer.status_code == 404
    assert answer.json()["errors"][0]["code"] == "gateway_not_found"
    assert not GatewayEvent.objects.exists()
