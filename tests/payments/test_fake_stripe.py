"""The stand-in for Stripe does what Stripe's documentation says, seen with Stripe's own library."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import stripe
from stripe import (
    APIConnectionError,
    APIError,
    AuthenticationError,
    CardError,
    IdempotencyError,
    InvalidRequestError,
    RateLimitError,
    StripeClient,
)

from config.supervisor import PROJECT
from tests import fake_stripe
from tests.fake_stripe import API_KEY, WEBHOOK_SECRET, FakeStripe


def client_of(url: str, *, key: str = API_KEY, seconds: float = 10) -> StripeClient:
    return StripeClient(
        key,
        base_addresses={"api": url},
        max_network_retries=0,
        http_client=stripe.RequestsClient(timeout=seconds),
    )


@pytest.fixture
def fake() -> Iterator[FakeStripe]:
    with fake_stripe.serving() as served:
        yield served


@pytest.fixture
def client(fake: FakeStripe) -> StripeClient:
    return client_of(fake.url)


def intent_of(client: StripeClient, amount: int = 1000, key: str = "", **fields: Any) -> Any:
    asked: Any = {
        "amount": amount,
        "currency": "usd",
        "payment_method": "pm_card_visa",
        "payment_method_types": ["card"],
        **fields,
    }
    return client.v1.payment_intents.create(asked, {"idempotency_key": key} if key else None)


def confirmed(client: StripeClient, amount: int = 1000, **fields: Any) -> Any:
    return client.v1.payment_intents.confirm(intent_of(client, amount, **fields).id)


def authorized(client: StripeClient, amount: int = 1000) -> Any:
    return confirmed(client, amount, capture_method="manual")


def refund(client: StripeClient, intent: Any, amount: int | None = None, **fields: Any) -> Any:
    asked: Any = {"payment_intent": intent.id, **fields}
    if amount is not None:
        asked["amount"] = amount
    return client.v1.refunds.create(asked)


def said(raised: pytest.ExceptionInfo[stripe.StripeError]) -> Any:
    """Return what Stripe itself said in an error."""
    return raised.value.error


def moves(fake: FakeStripe) -> list[tuple[str, int]]:
    return [(move["kind"], move["amount"]) for move in fake.book()["moves"]]


def events_of(fake: FakeStripe) -> list[str]:
    return [event["type"] for event in fake.events()]


# Intents.


def test_an_intent_moves_no_money_until_it_is_confirmed(fake, client):
    made = intent_of(client, metadata={"payment_id": "p-1"})
    before = moves(fake)

    paid = client.v1.payment_intents.confirm(made.id)

    assert (made.status, made.amount_received, before) == ("requires_confirmation", 0, [])
    assert (paid.status, paid.amount_received) == ("succeeded", 1000)
    assert fake.book()["moves"] == [
        {
            "kind": "charge",
            "intent": made.id,
            "amount": 1000,
            "currency": "usd",
            "payment_id": "p-1",
        }
    ]
    assert client.v1.payment_intents.retrieve(made.id).latest_charge == paid.latest_charge


def test_a_card_may_come_with_the_confirmation_as_a_token(client):
    made = intent_of(client, payment_method=None)

    paid = client.v1.payment_intents.confirm(
        made.id, {"payment_method_data": {"type": "card", "card": {"token": "tok_visa"}}}
    )

    assert made.status == "requires_payment_method"
    assert paid.status == "succeeded"


@pytest.mark.parametrize(
    ("card", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", None),
    ],
)
def test_an_intent_stays_open_after_a_decline(fake, client, card, code, decline_code):
    made = intent_of(client, payment_method=card)

    with pytest.raises(CardError) as declined:
        client.v1.payment_intents.confirm(made.id)
    after = client.v1.payment_intents.retrieve(made.id)
    paid = client.v1.payment_intents.confirm(made.id, {"payment_method": "pm_card_visa"})

    assert declined.value.http_status == 402
    assert declined.value.code == code
    assert said(declined).decline_code == decline_code
    assert said(declined).payment_intent.status == "requires_payment_method"
    assert (after.status, after.payment_method) == ("requires_payment_method", None)
    assert after.last_payment_error.code == code
    assert paid.status == "succeeded"
    assert moves(fake) == [("decline", 1000), ("charge", 1000)]


@pytest.mark.parametrize(
    "card", ["pm_card_threeDSecure2Required", "pm_card_authenticationRequired"]
)
def test_a_buyer_who_authenticates_has_paid(fake, client, card):
    asked = confirmed(client, payment_method=card)
    before = moves(fake)

    fake.authenticate(asked.id)

    assert (asked.status, asked.next_action.type) == ("requires_action", "use_stripe_sdk")
    assert asked.client_secret.startswith(f"{asked.id}_secret_")
    assert before == []
    assert client.v1.payment_intents.retrieve(asked.id).status == "succeeded"


def test_a_server_that_confirms_by_hand_does_it_again_after_the_authentication(fake, client):
    asked = confirmed(
        client, payment_method="pm_card_authenticationRequired", confirmation_method="manual"
    )

    fake.authenticate(asked.id)
    between = client.v1.payment_intents.retrieve(asked.id).status
    paid = client.v1.payment_intents.confirm(asked.id)

    assert (between, paid.status) == ("requires_confirmation", "succeeded")


def test_a_buyer_who_fails_to_authenticate_may_try_again(fake, client):
    asked = confirmed(client, payment_method="pm_card_authenticationRequired")

    fake.authenticate(asked.id, succeeds=False)

    failed = client.v1.payment_intents.retrieve(asked.id)
    assert failed.status == "requires_payment_method"
    assert failed.last_payment_error.code == "payment_intent_authentication_failure"


def test_whoever_may_be_sent_elsewhere_must_be_able_to_come_back(client):
    made = intent_of(client, payment_method_types=None)
    stays = intent_of(
        client,
        payment_method_types=None,
        automatic_payment_methods={"enabled": True, "allow_redirects": "never"},
    )

    with pytest.raises(InvalidRequestError, match="return_url"):
        client.v1.payment_intents.confirm(made.id)
    paid = client.v1.payment_intents.confirm(made.id, {"return_url": "https://shop.example/back"})

    assert paid.status == client.v1.payment_intents.confirm(stays.id).status == "succeeded"


def test_an_authorization_is_captured_once_and_not_beyond_its_amount(fake, client):
    held = authorized(client)

    with pytest.raises(InvalidRequestError) as too_much:
        client.v1.payment_intents.capture(held.id, {"amount_to_capture": 1001})
    captured = client.v1.payment_intents.capture(held.id, {"amount_to_capture": 900})
    with pytest.raises(InvalidRequestError) as again:
        client.v1.payment_intents.capture(held.id)

    assert (held.status, held.amount_capturable) == ("requires_capture", 1000)
    assert too_much.value.code == "amount_too_large"
    assert (captured.status, captured.amount_received) == ("succeeded", 900)
    assert again.value.code == "payment_intent_unexpected_state"
    assert said(again).payment_intent.status == "succeeded"
    assert moves(fake) == [("authorize", 1000), ("capture", 900)]


def test_what_is_cancelled_can_be_neither_confirmed_nor_captured(fake, client):
    held, unpaid = authorized(client), intent_of(client)

    for intent in (held, unpaid):
        assert client.v1.payment_intents.cancel(intent.id).status == "canceled"
    for act in (client.v1.payment_intents.confirm, client.v1.payment_intents.capture):
        with pytest.raises(InvalidRequestError) as refused:
            act(held.id)
        assert refused.value.code == "payment_intent_unexpected_state"

    assert moves(fake) == [("authorize", 1000), ("void", 1000)]
    assert list(client.v1.refunds.list({"payment_intent": held.id}).data) == []


def test_what_is_paid_is_not_cancelled_but_refunded(client):
    paid = confirmed(client)

    with pytest.raises(InvalidRequestError) as refused:
        client.v1.payment_intents.cancel(paid.id)

    assert refused.value.code == "payment_intent_unexpected_state"
    assert said(refused).payment_intent.status == "succeeded"


def test_f28_an_authorization_that_lapses_is_cancelled_by_the_bank(fake, client):
    held = authorized(client)

    fake.lapse(held.id)

    lapsed = client.v1.payment_intents.retrieve(held.id)
    assert (lapsed.status, lapsed.cancellation_reason) == ("canceled", "automatic")
    assert moves(fake) == [("authorize", 1000), ("lapse", 1000)]
    assert events_of(fake)[-2:] == ["charge.expired", "payment_intent.canceled"]


def test_intents_are_listed_newest_first_in_pages(client):
    made = [intent_of(client, amount) for amount in (100, 200, 300)]
    since = {"created": {"gte": made[0].created}}

    first = client.v1.payment_intents.list({**since, "limit": 2})
    second = client.v1.payment_intents.list({**since, "limit": 2, "starting_after": made[1].id})
    later = client.v1.payment_intents.list({"created": {"gt": int(time.time()) + 5}})

    assert [intent.amount for intent in first.data] == [300, 200]
    assert [intent.amount for intent in second.data] == [100]
    assert (first.has_more, second.has_more, later.data) == (True, False, [])
    assert len(list(client.v1.payment_intents.list({"limit": 1}).auto_paging_iter())) == 3


def test_an_intent_shows_its_charge_where_that_is_asked(client):
    refund(client, confirmed(client), 400)
    intent_of(client)

    unpaid, paid = client.v1.payment_intents.list({"expand": ["data.latest_charge"]}).data
    alone = client.v1.payment_intents.retrieve(paid.id, {"expand": ["latest_charge"]})

    assert unpaid.latest_charge is None
    assert (paid.latest_charge.amount_captured, paid.latest_charge.amount_refunded) == (1000, 400)
    assert alone.latest_charge.id == paid.latest_charge.id
    with pytest.raises(InvalidRequestError, match="cannot be expanded"):
        client.v1.payment_intents.retrieve(paid.id, {"expand": ["review"]})


@pytest.mark.parametrize(
    ("currency", "amount", "refused"),
    [
        ("usd", 49, "amount_too_small"),
        ("usd", 100_000_000, "amount_too_large"),
        ("kwd", 1005, None),
        ("isk", 1050, None),
    ],
)
def test_amounts_are_in_the_units_of_their_currency(client, currency, amount, refused):
    with pytest.raises(InvalidRequestError) as error:
        intent_of(client, amount, currency=currency)

    assert (error.value.code, error.value.param) == (refused, "amount")


def test_currencies_of_other_decimals_keep_their_amounts(client):
    assert confirmed(client, 500, currency="jpy").amount_received == 500
    assert confirmed(client, 12340, currency="kwd").amount_received == 12340


def test_what_nobody_knows_is_refused_by_name(fake, client):
    with pytest.raises(InvalidRequestError) as no_intent:
        client.v1.payment_intents.retrieve("pi_of_somebody_else")
    with pytest.raises(InvalidRequestError) as no_card:
        intent_of(client, payment_method="pm_card_unheard_of")
    with pytest.raises(InvalidRequestError) as no_parameter:
        intent_of(client, colour="red")
    with pytest.raises(AuthenticationError):
        intent_of(client_of(fake.url, key="sk_test_other"))
    with pytest.raises(InvalidRequestError):
        client.v1.payment_intents.search({"query": "metadata['payment_id']:'p-1'"})

    assert (no_intent.value.http_status, no_intent.value.code) == (404, "resource_missing")
    assert (no_card.value.http_status, no_card.value.code) == (400, "resource_missing")
    assert no_parameter.value.code == "parameter_unknown"


# Refunds.


def test_f24_no_more_goes_back_than_was_captured(fake, client):
    paid = confirmed(client)

    first = refund(client, paid, 400, metadata={"attempt_id": "a-1"})
    with pytest.raises(InvalidRequestError, match="greater than unrefunded amount"):
        refund(client, paid, 601)
    rest = refund(client, paid)
    with pytest.raises(InvalidRequestError) as nothing_left:
        refund(client, paid, 1)

    assert (first.status, first.amount, rest.amount) == ("succeeded", 400, 600)
    assert nothing_left.value.code == "charge_already_refunded"
    assert client.v1.refunds.retrieve(first.id).metadata["attempt_id"] == "a-1"
    assert [one.id for one in client.v1.refunds.list({"payment_intent": paid.id}).data] == [
        rest.id,
        first.id,
    ]
    assert fake.book()["intents"][0]["refunded"] == 1000


def test_what_is_not_captured_has_nothing_to_refund(client):
    for intent in (authorized(client), intent_of(client)):
        with pytest.raises(InvalidRequestError, match="does not have a successful charge"):
            refund(client, intent, 100)


def test_a_refund_that_the_bank_sends_back_can_be_made_again(fake, client):
    fake.settings(refund_status="pending")
    paid = confirmed(client)
    pending = refund(client, paid)

    fake.set_refund(pending.id, status="failed")
    failed = client.v1.refunds.retrieve(pending.id)
    again = refund(client, paid)
    fake.set_refund(again.id, status="succeeded")

    assert (pending.status, failed.status) == ("pending", "failed")
    assert client.v1.refunds.retrieve(again.id).status == "succeeded"
    assert moves(fake)[1:] == [("refund", 1000), ("refund_failed", 1000), ("refund", 1000)]


# Keys.


def test_the_same_call_with_the_same_key_gets_the_first_answer_again(fake, client):
    first = intent_of(client, key="k-1")
    again = intent_of(client, key="k-1")
    other = intent_of(client, key="k-2")

    assert first.id == again.id != other.id
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.last_response.headers
    assert len(fake.book()["intents"]) == 2


def test_a_key_is_good_for_one_call_only(client):
    made = intent_of(client, key="k-1")

    with pytest.raises(IdempotencyError):
        intent_of(client, 2000, key="k-1")
    with pytest.raises(IdempotencyError):
        client.v1.payment_intents.confirm(made.id, {}, {"idempotency_key": "k-1"})


def test_a_decline_is_remembered_and_a_mistake_is_not(fake, client):
    made = intent_of(client, payment_method="pm_card_chargeDeclined")
    for _ in range(2):
        with pytest.raises(CardError):
            client.v1.payment_intents.confirm(made.id, {}, {"idempotency_key": "k-1"})
    with pytest.raises(InvalidRequestError):
        intent_of(client, 0, key="k-2")

    assert intent_of(client, key="k-2").status == "requires_confirmation"
    assert moves(fake) == [("decline", 1000)]


def test_f27_a_key_whose_call_is_still_running_is_refused(fake, client):
    fake.fault(operation="create_intent", hold=True, before=True)
    made: list[Any] = []
    first = threading.Thread(target=lambda: made.append(intent_of(client, key="k-1")))
    first.start()
    fake.wait_until_held("create_intent")

    with pytest.raises(APIError) as running:
        intent_of(client, key="k-1")
    fake.release()
    first.join()
    again = intent_of(client, key="k-1")

    assert (running.value.http_status, said(running).code) == (
        409,
        "idempotency_key_in_use",
    )
    assert [one.id for one in made] == [again.id]


def test_keys_are_forgotten_in_time(fake, client):
    first = intent_of(client, key="k-1")
    fake.settings(key_seconds=0)

    again = intent_of(client, key="k-1")

    assert again.id != first.id


# Faults.


def test_a_charge_whose_connection_drops_is_made_all_the_same(fake, client):
    made = intent_of(client)
    fake.fault(operation="confirm", answer="dropped")

    with pytest.raises(APIConnectionError):
        client.v1.payment_intents.confirm(made.id)

    assert client.v1.payment_intents.retrieve(made.id).status == "succeeded"
    assert moves(fake) == [("charge", 1000)]


@pytest.mark.parametrize(("works", "moved"), [(True, [("charge", 1000)]), (False, [])])
def test_an_answer_of_500_says_nothing_and_is_what_its_key_gets_again(fake, client, works, moved):
    made = intent_of(client)
    fake.fault(operation="confirm", answer="500", works=works)

    for _ in range(2):
        with pytest.raises(APIError) as error:
            client.v1.payment_intents.confirm(made.id, {}, {"idempotency_key": "k-1"})
        assert error.value.http_status == 500

    assert moves(fake) == moved


def test_an_intent_that_is_in_use_can_be_asked_for_again(fake, client):
    made = intent_of(client)
    fake.fault(operation="confirm", answer="429")

    with pytest.raises(RateLimitError) as busy:
        client.v1.payment_intents.confirm(made.id, {}, {"idempotency_key": "k-1"})
    paid = client.v1.payment_intents.confirm(made.id, {}, {"idempotency_key": "k-1"})

    assert said(busy).code == "lock_timeout"
    assert paid.status == "succeeded"


def test_a_slow_charge_outlasts_its_caller_and_is_made(fake, client):
    made = intent_of(client)
    fake.fault(operation="confirm", hold=True)

    with pytest.raises(APIConnectionError):
        client_of(fake.url, seconds=0.2).v1.payment_intents.confirm(made.id)
    held = fake.wait_until_held("confirm")
    fake.release()

    assert held == [{"operation": "confirm", "id": made.id}]
    assert client.v1.payment_intents.retrieve(made.id).status == "succeeded"


def test_a_call_that_waits_before_its_work_has_not_moved_anything(fake, client):
    made = intent_of(client)
    fake.fault(operation="confirm", hold=True, before=True)

    with pytest.raises(APIConnectionError):
        client_of(fake.url, seconds=0.2).v1.payment_intents.confirm(made.id)
    fake.wait_until_held("confirm")
    cancelled = client.v1.payment_intents.cancel(made.id)
    fake.release()

    assert cancelled.status == "canceled"
    assert moves(fake) == []


def test_faults_end_after_so_many_calls_and_when_they_are_cleared(fake, client):
    fake.fault(operation="any", times=2, answer="dropped", works=False)
    fake.fault(operation="retrieve_intent", times=9, seconds=30)

    for _ in range(2):
        with pytest.raises(APIConnectionError):
            intent_of(client)
    fake.clear_faults()

    assert client.v1.payment_intents.retrieve(intent_of(client).id).amount == 1000


# Webhooks.


@pytest.fixture
def endpoint() -> Iterator[Any]:
    """A server that keeps what it is sent: body and signature."""
    received: list[tuple[str, str]] = []

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            received.append((body, self.headers["Stripe-Signature"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    server.received = received  # type: ignore[attr-defined]
    yield server
    server.shutdown()
    server.server_close()


def send_to(fake: FakeStripe, endpoint: Any, *, kept: bool = False) -> list[tuple[str, str]]:
    url = f"http://127.0.0.1:{endpoint.server_port}/webhooks/stripe"
    fake.settings(webhook_url=url, webhooks_kept=kept)
    received: list[tuple[str, str]] = endpoint.received
    return received


def types(received: list[tuple[str, str]]) -> list[str]:
    return [json.loads(body)["type"] for body, _ in received]


def test_events_are_sent_as_they_happen_and_signed_by_the_secret(fake, client, endpoint):
    received = send_to(fake, endpoint)

    paid = confirmed(client)
    fake.webhooks.wait_until_sent()

    assert types(received) == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
    ]
    body, signed = received[-1]
    event = stripe.Webhook.construct_event(body, signed, WEBHOOK_SECRET)
    assert (event.type, event.data.object["id"]) == ("payment_intent.succeeded", paid.id)
    assert event.data.object["status"] == "succeeded"
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body, signed, "whsec_other")
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(
            body.replace("succeeded", "canceled"), signed, WEBHOOK_SECRET
        )


def test_f25_events_can_come_late_twice_in_any_order_or_not_at_all(fake, client, endpoint):
    received = send_to(fake, endpoint, kept=True)
    confirmed(client)
    at_first = list(received)

    deliveries = fake.send_events(["payment_intent.succeeded", "payment_intent.created"], times=2)

    assert at_first == []
    assert types(received) == ["payment_intent.succeeded"] * 2 + ["payment_intent.created"] * 2
    assert [delivery["status"] for delivery in deliveries] == [200] * 4


def test_an_event_tells_what_was_true_when_it_happened(fake, client):
    confirmed(client)

    created, _, succeeded = fake.events()

    assert created["data"]["object"]["status"] == "requires_confirmation"
    assert succeeded["data"]["object"]["status"] == "succeeded"


def test_every_change_has_its_event(fake, client):
    held = authorized(client)
    client.v1.payment_intents.capture(held.id)
    refund(client, held, 100)
    confirmed(client, payment_method="pm_card_authenticationRequired")
    with pytest.raises(CardError):
        confirmed(client, payment_method="pm_card_chargeDeclined")

    assert [event for event in events_of(fake) if event != "payment_intent.created"] == [
        "payment_intent.amount_capturable_updated",
        "charge.captured",
        "payment_intent.succeeded",
        "charge.refunded",
        "refund.created",
        "payment_intent.requires_action",
        "charge.failed",
        "payment_intent.payment_failed",
    ]


# As a process.


@pytest.mark.processes
def test_it_runs_as_a_process_that_is_steered_over_http():
    command = [sys.executable, "-m", "tests.fake_stripe"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            fake_stripe.control(url, "fault", operation="confirm", answer="dropped")
            with pytest.raises(APIConnectionError):
                confirmed(client_of(url))

            book = fake_stripe.control(url, "book")
        finally:
            process.kill()

    assert [move["kind"] for move in book["moves"]] == ["charge"]
    assert [intent["status"] for intent in book["intents"]] == ["succeeded"]
