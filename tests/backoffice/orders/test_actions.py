"""What people do with an order in the admin."""

from typing import Any

import pytest

from api.errors import Moved
from api.idempotency import KeyInUse
from backoffice import attention
from inventory.models import Action
from inventory.services import stock as inventory
from orders.models import Order
from orders.services import shipments
from payments.gateways.base import UNKNOWN, Answer, Outcome
from payments.models import Attempt, Gateway, Payment
from payments.services import payments
from payments.services.payments import PaymentRequest
from tests.backoffice.orders.looking import (
    ORDERS,
    action,
    cancel,
    money,
    numbers,
    opened,
    page,
    states,
    told,
)
from tests.backoffice.pages import client_with, send, send_as_it_is, text
from tests.factories import (
    MERCHANT,
    paid_order,
    product,
    shipped_order,
    undo_ship,
    unpaid_order,
)
from tests.fake_gateway import OK

pytestmark = pytest.mark.django_db

CANCEL = {"reason": "Wants another size", "whereto": "available"}


def paid_by_card(order: Order, **fields: Any) -> Payment:
    return payments.pay(order.pk, PaymentRequest("test", **fields), actor=MERCHANT)


def pay(order: Order, amount: int | None = None, **fields: Any) -> Payment:
    return payments.pay(order.pk, PaymentRequest("test", amount=amount, **fields), actor=MERCHANT)


def test_an_order_that_needs_attention_says_why_and_can_be_left_be(admin_client):
    order = paid_order({product(9, price=1000): 1})
    payments.cancel(order.pk, actor=MERCHANT)
    assert "leave-be" in text(admin_client.get(page(order)))

    asked = text(admin_client.get(action(order, "leave-be")))
    without = send(admin_client, action(order, "leave-be"), {"reason": " "})
    response = send(admin_client, action(order, "leave-be"), {"reason": "An agreed fee"})

    assert "(Cancelled, and money is still held)" in asked
    assert "Moves neither stock nor money." in asked
    assert "Say why: it is kept with the order." in text(without)
    assert response["Location"] == page(order)
    shown = text(admin_client.get(page(order)))
    assert "leave-be" not in shown
    assert "It needs attention again when something happens to it." in shown
    # The money is where it was, and nobody is to forget it.
    assert "Money still held: $10.00." in shown
    assert ("Left be", "admin", "An agreed fee") in told(admin_client, order)


def test_an_ordinary_order_has_nothing_to_be_left_be(admin_client):
    order = paid_order({product(9): 1})

    assert "leave-be" not in text(admin_client.get(page(order)))
    refused = send(admin_client, action(order, "leave-be"), {"reason": "Because"})

    assert "Nothing of this order needs attention." in text(refused)


# Cancel, and the money.


def test_cancel_offers_the_refund_and_has_it_on(admin_client):
    order = paid_order({product(10, price=1250): 2})

    form = admin_client.get(action(order, "cancel")).context["form"]

    assert form.fields["refund"].label == "and refund $25.00"
    assert form["refund"].value() is True


def test_money_that_a_cancelled_order_keeps_is_shown(admin_client):
    order = paid_order({product(10, price=1250): 2})
    cancel(admin_client, order)

    shown = text(admin_client.get(page(order)))

    assert "Money still held: $25.00." in shown


def test_who_may_not_refund_can_cancel_and_leaves_the_money(admin_client):
    order = paid_order({product(10, price=1250): 2})
    client = client_with("view_order", "change_order")

    asked = text(client.get(action(order, "cancel")))
    cancel(client, order)

    assert "and refund" not in asked
    assert "$25.00 stays held until somebody refunds it." in asked
    assert money(order) == (2500, 0, 0)
    assert order.is_cancelled


def test_t11_who_may_no_longer_refund_cancels_nothing_by_a_form_that_refunds(admin_client):
    order = paid_order({product(10, price=1250): 2})
    client = client_with("view_order", "change_order")

    response = cancel(client, order, refund="on")

    assert 'There is no place for "refund" any more' in text(response)
    assert money(order) == (2500, 0, 0)
    assert not order.is_cancelled


# Capture, and let go.


def test_capture_takes_what_was_authorized(admin_client):
    order = unpaid_order({product(10, price=1250): 2})
    payment = paid_by_card(order, method=Payment.Method.AUTHORIZE)

    asked = text(admin_client.get(action(payment, "capture")))
    send(admin_client, action(payment, "capture"), {"amount": "25.00"})

    assert "Takes the authorized $25.00 through Test." in asked
    assert money(order) == (2500, 0, 0)
    assert "/capture/" not in text(admin_client.get(page(order)))


def test_a_part_is_captured_and_the_rest_is_owing_again(admin_client):
    order = unpaid_order({product(10, price=1250): 2})
    payment = paid_by_card(order, method=Payment.Method.AUTHORIZE)

    too_much = text(send(admin_client, action(payment, "capture"), {"amount": "25.01"}))
    said = text(send(admin_client, action(payment, "capture"), {"amount": "10.00"}, follow=True))

    assert "Between 0 and $25.00, which is authorized." in too_much
    assert "$10.00 is captured." in said
    assert money(order) == (1000, 0, 0)
    assert (order.payment, order.payable) == ("partially_paid", 1500)


def test_what_is_let_go_gives_the_units_back(admin_client):
    shirt = product(10, price=1250)
    order = unpaid_order({shirt: 2})
    payment = paid_by_card(order, method=Payment.Method.AUTHORIZE)

    asked = text(admin_client.get(action(payment, "void")))
    send(admin_client, action(payment, "void"), {"reason": "Never answered"})

    assert "Gives 2 units back to available." in asked
    assert money(order) == (0, 0, 0)
    assert numbers(shirt) == (10, 10, 0)


def test_what_is_captured_is_not_captured_again(admin_client):
    order = unpaid_order({product(10): 1})
    payment = paid_by_card(order)

    asked = text(admin_client.get(action(payment, "capture")))
    response = send(admin_client, action(payment, "capture"), {"amount": "10.00"}, follow=True)

    assert "cannot be captured in its current state" in asked
    assert "cannot be captured in its current state" in text(response)


# Refund.


def test_a_part_is_refunded_and_the_units_stay_with_the_order(admin_client):
    shirt = product(10, price=1250)
    order = unpaid_order({shirt: 2})
    payment = paid_by_card(order)

    asked = text(admin_client.get(action(payment, "refund")))
    send(admin_client, action(payment, "refund"), {"amount": "5.00", "reason": "Scratched"})

    assert "Gives money back through Test: up to $25.00." in asked
    assert "the order goes on holding 2 units until cancelled" in asked
    assert money(order) == (2500, 0, 500)
    assert numbers(shirt) == (10, 8, 2)
    attempt = Attempt.objects.get()
    assert (attempt.reason, attempt.actor_name) == ("Scratched", "admin")


def test_a_refund_sent_twice_is_made_once(admin_client):
    order = unpaid_order({product(10, price=1250): 2})
    payment = paid_by_card(order)
    sent = {"amount": "5.00", "reason": "Scratched", "once": "the-same-form"}

    send(admin_client, action(payment, "refund"), sent)
    response = send(admin_client, action(payment, "refund"), sent, follow=True)

    assert "recorded already" in text(response)
    assert money(order) == (2500, 0, 500)


@pytest.mark.parametrize("amount", ["", "0", "-1", "25.01", "all"])
def test_an_amount_that_cannot_go_back_is_refused(admin_client, amount):
    order = unpaid_order({product(10, price=1250): 2})
    payment = paid_by_card(order)

    response = send(admin_client, action(payment, "refund"), {"amount": amount, "reason": "Oh"})

    assert list(response.context["form"].errors) == ["amount"]
    assert money(order) == (2500, 0, 0)


def test_what_was_given_back_elsewhere_is_only_marked(admin_client):
    order = unpaid_order({product(10, price=1250): 2})
    payment = paid_by_card(order)
    sent = {"reason": "In cash", "elsewhere": "on"}

    part = send(admin_client, action(payment, "refund"), {**sent, "amount": "5.00"})
    send(admin_client, action(payment, "refund"), {**sent, "amount": "25.00"})

    assert "Only all of it can be marked as refunded: $25.00." in text(part)
    assert money(order) == (2500, 0, 2500)


# What was seen.


def test_t11_a_form_shown_again_keeps_what_was_typed_and_can_be_sent(admin_client):
    order = shipped_order({product(10, price=4000): 2})
    payment = order.payments.get()
    first, second = [opened(admin_client, payment, "refund") for _ in range(2)]

    first.send(amount="40.00", reason="Returned")
    shown = second.send(amount="30.00", reason="Torn")
    form = shown.context["form"]
    again = {name: form[name].value() for name in form.fields if form[name].value()}
    second.send(**again)

    assert (form["amount"].value(), form["reason"].value()) == ("30.00", "Torn")
    assert money(order) == (8000, 0, 7000)


CHANGED = {
    "ship": {},
    "cancel": CANCEL,
    "record-payment": {"amount": "1.00"},
    "leave-be": {"reason": "Agreed"},
}


@pytest.mark.parametrize("name", CHANGED)
def test_t11_nothing_is_done_with_an_order_that_is_not_as_it_was_seen(admin_client, name):
    order = unpaid_order({product(10, price=1000): 3})
    pay(order, 1000)
    form = opened(admin_client, order, name)
    pay(order, 500)
    events = order.events.count()

    shown = form.send(**CHANGED[name])

    assert "Captured: was $10.00, and is $15.00 now." in text(shown)
    assert money(order) == (1500, 0, 0)
    assert order.events.count() == events
    assert not order.is_cancelled


@pytest.mark.parametrize(
    ("name", "typed"),
    [("capture", {"amount": "10.00"}), ("void", {"reason": "Too late"})],
)
def test_t11_nothing_is_done_with_a_payment_that_is_not_as_it_was_seen(admin_client, name, typed):
    order = unpaid_order({product(10, price=1000): 3})
    payment = pay(order, 1000, method=Payment.Method.AUTHORIZE)
    form = opened(admin_client, payment, name)
    pay(order, 500)

    assert "Captured: was $0.00, and is $5.00 now." in text(form.send(**typed))
    assert money(order) == (500, 1000, 0)


def test_t11_two_people_settle_the_same_refund_and_not_the_next_one_too(admin_client, gateway):
    order = unpaid_order({product(10, price=1250): 2})
    payment = payments.pay(order.pk, PaymentRequest("fake"), actor=MERCHANT)
    gateway.on_perform = lambda attempt: UNKNOWN
    for _ in range(2):
        payments.refund(order.pk, payment.pk, 300, actor=MERCHANT)
    first, second = [opened(admin_client, payment, "settle-by-hand") for _ in range(2)]

    for form in (first, second):
        form.send(outcome="failed", reason="In the dashboard")

    assert payment.attempts.filter(status="pending").count() == 1


@pytest.mark.parametrize("seen", ["", "nonsense", "[1]", "[" * 9_999, '{"captured": {}, "x": 1}'])
def test_t11_a_form_that_says_nothing_or_nonsense_of_what_was_seen_does_nothing(admin_client, seen):
    order = paid_order({product(10): 3})

    response = send_as_it_is(admin_client, action(order, "ship"), {"seen": seen})

    assert response.status_code == 200
    assert "so nothing was done." in text(response)
    order.refresh_from_db()
    assert not order.is_shipped


def test_t11_a_note_is_right_whatever_happened_to_the_order(admin_client):
    order = unpaid_order({product(10): 1})
    form = opened(admin_client, order, "note")
    pay(order)

    form.send(text="Rings twice.")

    assert order.events.filter(text="Rings twice.").exists()


def test_t11_what_is_decided_under_the_lock_is_decided_on_what_was_seen(admin_client, monkeypatch):
    order = shipped_order({product(10, price=4000): 1})
    payment = order.payments.get()
    form = opened(admin_client, payment, "refund")
    refund = payments.refund

    def after_somebody_else(*about: Any, **how: Any) -> Attempt:
        monkeypatch.setattr(payments, "refund", refund)
        refund(order.pk, payment.pk, 1500, actor=MERCHANT)
        return refund(*about, **how)

    monkeypatch.setattr(payments, "refund", after_somebody_else)
    shown = form.send(amount="20.00", reason="Torn")

    assert "Refunded: was $0.00, and is $15.00 now." in text(shown)
    assert shown.context["form"]["amount"].value() == "20.00"
    assert money(order) == (4000, 0, 1500)


@pytest.mark.parametrize(
    "decide",
    [
        lambda order, seen: shipments.ship(order.pk, actor=MERCHANT, seen=seen),
        lambda order, seen: payments.cancel(order.pk, actor=MERCHANT, seen=seen),
        lambda order, seen: payments.pay(
            order.pk, PaymentRequest("manual", amount=100), actor=MERCHANT, seen=seen
        ),
        lambda order, seen: attention.leave_be(order.pk, actor=MERCHANT, reason="x", seen=seen),
        lambda order, seen: undo_ship(shipped_order({product(10): 1}), reason="x", seen=seen),
    ],
    ids=["ship", "cancel", "pay", "leave-be", "undo-ship"],
)
def test_t11_a_service_that_is_told_what_was_seen_decides_on_that_alone(decide):
    order = paid_order({product(10): 3})

    with pytest.raises(Moved):
        decide(order, {**order.standing(), "refunded": 100})


def test_t11_the_second_of_two_clicks_says_what_becomes_of_the_first(admin_client, monkeypatch):
    order = paid_order({product(10): 3})

    def still_running(*about: Any, **how: Any) -> None:
        raise KeyInUse

    monkeypatch.setattr(shipments, "ship", still_running)

    assert "is being done. Look again" in text(send_as_it_is(admin_client, action(order, "ship")))


def test_t11_what_a_gateway_refused_can_be_tried_again_from_the_form(admin_client, gateway):
    order = unpaid_order({product(10, price=1250): 2})
    payment = payments.pay(order.pk, PaymentRequest("fake"), actor=MERCHANT)
    gateway.on_perform = lambda attempt: Answer(Outcome.FAILED, failure="Not today")
    form = opened(admin_client, payment, "refund")

    refused = form.send(amount="5.00", reason="Torn")
    gateway.on_perform = lambda attempt: OK
    again = refused.context["form"]
    form.send(**{name: again[name].value() for name in again.fields if again[name].value()})

    assert "Not today" in text(refused)
    assert money(order) == (2500, 0, 500)


def test_refunding_is_for_those_who_may():
    order = unpaid_order({product(10): 1})
    payment = paid_by_card(order)
    client = client_with("view_order", "change_order", "add_payment")

    assert "/refund/" not in text(client.get(page(order)))
    response = send(client, action(payment, "refund"), {"amount": "1.00", "reason": "Oh"})
    assert response.status_code == 403


# What hangs.


def hanging(order: Order) -> Payment:
    return paid_by_card(order, token="unknown")


def test_check_now_asks_the_gateway_and_settles_by_its_answer(admin_client, gateway):
    shirt = product(10, price=1250)
    order = unpaid_order({shirt: 2})
    gateway.on_charge = lambda payment: UNKNOWN
    payment = payments.pay(order.pk, PaymentRequest("fake"), actor=MERCHANT)
    gateway.on_find_charge = lambda payment: OK

    asked = text(admin_client.get(action(payment, "check-now")))
    response = send(admin_client, action(payment, "check-now"), follow=True)

    assert "what became of the purchase of $25.00" in asked
    assert "the payment is complete." in text(response)
    assert money(order) == (2500, 0, 0)
    assert numbers(shirt) == (10, 8, 2)
    assert ("Payment checked", "admin", "$25.00") in told(admin_client, order)


def test_check_now_says_when_nobody_knows_yet(admin_client):
    payment = hanging(unpaid_order({product(10): 1}))

    response = send(admin_client, action(payment, "check-now"), follow=True)

    assert "does not know yet" in text(response)


def test_a_hanging_payment_is_settled_by_hand_as_failed_and_gives_its_units_back(admin_client):
    shirt = product(10, price=1250)
    order = unpaid_order({shirt: 2})
    payment = hanging(order)

    asked = text(admin_client.get(action(payment, "settle-by-hand")))
    send(
        admin_client,
        action(payment, "settle-by-hand"),
        {"outcome": "failed", "reason": "Seen in the dashboard"},
    )

    assert "gives 2 units back to available" in asked
    assert money(order) == (0, 0, 0)
    assert numbers(shirt) == (10, 10, 0)
    assert ("Payment settled by hand", "admin", "failed: Seen in the dashboard") in told(
        admin_client, order
    )


def test_of_two_refunds_that_hang_the_older_one_is_settled_first(admin_client, gateway):
    order = unpaid_order({product(10, price=1250): 2})
    payment = payments.pay(order.pk, PaymentRequest("fake"), actor=MERCHANT)
    gateway.on_perform = lambda attempt: UNKNOWN
    for amount in (300, 400):
        payments.refund(order.pk, payment.pk, amount, actor=MERCHANT)

    asked = text(admin_client.get(action(payment, "settle-by-hand")))
    for outcome in ("succeeded", "failed"):
        send(
            admin_client,
            action(payment, "settle-by-hand"),
            {"outcome": outcome, "reason": "In the dashboard"},
        )

    assert "found out about the refund of $3.00. Then comes the refund of $4.00." in asked
    ended = payment.attempts.order_by("created_at").values_list("amount", "status")
    assert list(ended) == [(300, "succeeded"), (400, "failed")]
    assert money(order) == (2500, 0, 300)


@pytest.mark.parametrize("missing", ["outcome", "reason"])
def test_settling_by_hand_wants_an_outcome_and_a_reason(admin_client, missing):
    payment = hanging(unpaid_order({product(10): 1}))
    sent = {"outcome": "succeeded", "reason": "Seen"}
    del sent[missing]

    response = send(admin_client, action(payment, "settle-by-hand"), sent)

    assert list(response.context["form"].errors) == [missing]
    payment.refresh_from_db()
    assert payment.is_pending


def test_what_is_settled_is_neither_checked_nor_settled_again(admin_client):
    order = unpaid_order({product(10): 1})
    payment = paid_by_card(order)

    shown = text(admin_client.get(page(order)))

    assert "/check-now/" not in shown
    assert "/settle-by-hand/" not in shown
    sent = {"outcome": "failed", "reason": "Oh"}
    send(admin_client, action(payment, "settle-by-hand"), sent)
    assert money(order)[0] == 1250


def test_settling_by_hand_is_for_the_owner():
    payment = hanging(unpaid_order({product(10): 1}))
    client = client_with("view_order", "change_order", "add_payment", "change_payment")

    assert client.get(action(payment, "check-now")).status_code == 200
    assert client.get(action(payment, "settle-by-hand")).status_code == 403


# A note.


def test_a_note_is_kept_in_the_timeline(admin_client):
    order = unpaid_order({product(10): 1})

    send(admin_client, action(order, "note"), {"text": "Rings twice.\n<b>Beware</b>"})

    assert ("Note", "admin", "Rings twice.\n<b>Beware</b>") in [
        (what, who, note.replace("\r", "")) for what, who, note in told(admin_client, order)
    ]
    assert "<b>Beware" not in admin_client.get(page(order)).content.decode()


def test_an_empty_note_is_none(admin_client):
    order = unpaid_order({product(10): 1})

    response = send(admin_client, action(order, "note"), {"text": " "})

    assert "Write something." in text(response)
    assert not order.events.exists()


# The page.


def test_the_page_costs_the_same_for_one_payment_and_for_several(
    admin_client, django_assert_num_queries
):
    def order_with(parts: int) -> Order:
        order = unpaid_order({product(50, price=1000): 1, product(50, price=1000): 2})
        for _ in range(parts):
            paid_by_card(order, amount=3000 // parts)
        return order

    few, many = order_with(1), order_with(6)
    # The store's settings are read by now.
    admin_client.get(page(few))

    for order in (few, many):
        with django_assert_num_queries(14):
            admin_client.get(page(order))


def test_a_payment_of_another_order_leads_back(admin_client):
    order, other = paid_order({product(10): 1}), paid_order({product(10): 1})

    foreign = f"{ORDERS}{other.pk}/payments/{order.payments.get().pk}/refund/"

    assert admin_client.get(foreign).url == page(other)


# Cancel.


def test_cancel_says_what_it_does_to_stock_and_money(admin_client):
    shirt = product(10, price=1250)
    order = paid_order({shirt: 2})

    asked = text(admin_client.get(action(order, "cancel")))
    cancel(admin_client, order)

    assert "Gives 2 units back to available, unless they are written off." in asked
    assert "Gives $25.00 back, too. Without that it stays held" in asked
    assert numbers(shirt) == (10, 10, 0)
    assert states(order) == ("cancelled", "paid", "unfulfilled")
    assert (order.captured, order.refunded) == (2500, 0)


def test_cancel_refunds_in_the_same_step_when_asked_to(admin_client):
    shirt = product(10, price=1250)
    order = unpaid_order({shirt: 2})
    pay(order, 1000)
    payments.pay(order.pk, PaymentRequest("manual"), actor=MERCHANT)

    response = cancel(admin_client, order, refund="on")

    assert "$10.00 is refunded." in text(response)
    assert "$15.00 is refunded." in text(response)
    assert states(order) == ("cancelled", "refunded", "unfulfilled")
    assert (order.captured, order.refunded) == (2500, 2500)


def test_cancel_lets_authorizations_go(admin_client):
    order = unpaid_order({product(10, price=1250): 2})
    pay(order, method=Payment.Method.AUTHORIZE)

    asked = text(admin_client.get(action(order, "cancel")))
    cancel(admin_client, order)

    assert "Lets the authorized $25.00 go." in asked
    assert states(order) == ("cancelled", "unpaid", "unfulfilled")


def test_t13_cancel_gives_up_the_payment_that_waits_for_its_buyer_and_says_so(admin_client):
    shirt = product(1, price=1250)
    order = unpaid_order({shirt: 1})
    paid_by_card(order, token="requires_action")

    asked = text(admin_client.get(action(order, "cancel")))
    cancel(admin_client, order)

    assert "Gives up the payment of $12.50 that waits for its buyer." in asked
    assert order.payments.get().status == "failed"
    order.refresh_from_db()
    assert order.is_cancelled
    assert numbers(shirt) == (1, 1, 0)


def test_money_is_recorded_in_the_place_of_what_waits_for_its_buyer(admin_client):
    order = unpaid_order({product(1, price=1250): 1})
    paid_by_card(order, token="requires_action")

    asked = text(admin_client.get(action(order, "record-payment")))
    send(admin_client, action(order, "record-payment"), {"amount": "12.50"})

    assert "Takes the place of $12.50 that waits for its buyer" in asked
    assert states(order)[1] == "paid"
    assert list(order.payments.order_by("pk").values_list("status", flat=True)) == (
        ["failed", "complete"]
    )


def test_t13_more_is_recorded_than_a_part_that_waits_for_its_buyer_leaves_to_pay(admin_client):
    order = unpaid_order({product(1, price=1250): 1})
    paid_by_card(order, amount=1000, token="requires_action")
    path = action(order, "record-payment")

    asked = text(admin_client.get(path))
    too_much = text(send(admin_client, path, {"amount": "12.51"}))
    send(admin_client, path, {"amount": "12.50"})

    assert "Beyond $2.50, it takes the place of $10.00 that waits for its buyer" in asked
    assert "$0.01 more than is owed." in too_much
    assert states(order)[1] == "paid"


def test_one_payment_that_waits_for_its_buyer_is_let_go(admin_client):
    shirt = product(1, price=1250)
    order = unpaid_order({shirt: 1})
    payment = paid_by_card(order, token="requires_action")

    asked = text(admin_client.get(action(payment, "void")))
    send(admin_client, action(payment, "void"), {"reason": "Pays by transfer"})

    assert "Gives up the $12.50 that waits for its buyer." in asked
    assert "Gives 1 unit back to available." in asked
    payment.refresh_from_db()
    assert (payment.status, payment.failure) == ("failed", "Pays by transfer")
    assert numbers(shirt) == (1, 1, 0)


def test_cancel_is_not_offered_while_a_gateway_is_silent(admin_client, impatient):
    order = unpaid_order({product(1, price=1250): 1})
    paid_by_card(order, token="slow")

    assert "is being settled" in text(admin_client.get(action(order, "cancel")))
    assert "/cancel/" not in text(admin_client.get(page(order)))


def test_a_shipped_order_is_not_cancelled(admin_client):
    shirt = product(10)
    order = paid_order({shirt: 2})
    shipments.ship(order.pk, actor=MERCHANT)

    response = cancel(admin_client, order, refund="on")

    assert "The order is shipped already." in text(response)
    assert numbers(shirt) == (8, 8, 0)
    assert states(order) == ("complete", "paid", "fulfilled")


# Record payment.


def test_record_payment_offers_what_is_left_and_takes_the_stock(admin_client):
    shirt = product(10, price=1250)
    order = unpaid_order({shirt: 2})

    form = admin_client.get(action(order, "record-payment"))
    response = send(
        admin_client,
        action(order, "record-payment"),
        {"amount": "25.00", "reference": "Bank, 3 May"},
    )

    assert form.context["form"]["amount"].value() == "25.00"
    assert "Takes 2 units from available for this order." in text(form)
    assert response.status_code == 302
    payment = Payment.objects.get()
    assert (payment.gateway, payment.amount) == ("manual", 2500)
    assert (payment.custom_reference, payment.actor_name) == ("Bank, 3 May", "admin")
    assert numbers(shirt) == (10, 8, 2)
    assert states(order) == ("complete", "paid", "unfulfilled")


def test_a_part_can_be_recorded(admin_client):
    order = unpaid_order({product(10, price=1250): 2})

    send(admin_client, action(order, "record-payment"), {"amount": "10"})

    assert admin_client.get(action(order, "record-payment")).context["form"]["amount"].value() == (
        "15.00"
    )
    assert states(order) == ("incomplete", "partially_paid", "unfulfilled")


def test_a_part_sent_twice_is_recorded_once(admin_client):
    order = unpaid_order({product(10, price=1250): 2})
    sent = {"amount": "10", "once": "the-same-form"}

    send(admin_client, action(order, "record-payment"), sent)
    response = send(admin_client, action(order, "record-payment"), sent, follow=True)

    assert "recorded already" in text(response)
    assert Payment.objects.count() == 1


@pytest.mark.parametrize("amount", ["", "0", "-5", "12.505", "all"])
def test_an_amount_that_cannot_be_is_refused(admin_client, amount):
    shirt = product(10, price=1250)
    order = unpaid_order({shirt: 2})

    response = send(admin_client, action(order, "record-payment"), {"amount": amount})

    assert list(response.context["form"].errors) == ["amount"]
    assert not Payment.objects.exists()
    assert numbers(shirt) == (10, 10, 0)


def test_t16_what_is_more_than_owed_is_recorded_as_money_to_give_back(admin_client):
    order = unpaid_order({product(10, price=1250): 2})
    address = action(order, "record-payment")

    asked = send(admin_client, address, {"amount": "30.00"})
    asked_before = Payment.objects.count()
    again = send(admin_client, address, {"amount": "31.00", "beyond": "500"})
    done = send(admin_client, address, {"amount": "30.00", "beyond": "500"}, follow=True)

    assert "$5.00 more than is owed. Send it again" in text(asked)
    assert asked.context["form"]["beyond"].value() == "500"
    assert "$6.00 more than is owed." in text(again)
    assert asked_before == 0
    assert f"$25.00 recorded for order {order}, and $5.00 to give back." in text(done)
    assert money(order) == (2500, 0, 0)
    assert states(order) == ("complete", "paid", "unfulfilled")
    excess = order.payments.get(late=True)
    assert (excess.gateway, excess.amount, excess.refundable_amount) == ("manual", 500, 500)
    shown = text(admin_client.get(page(order)))
    assert "Needs attention: Paid more than was owed." in shown
    assert "More than was owed: to be given back" in shown

    send(admin_client, action(excess, "refund"), {"amount": "5.00", "reason": "Sent back"})

    assert attention.why(order.pk) == []
    assert states(order) == ("complete", "paid", "unfulfilled")


def test_t16_what_waits_for_its_buyer_makes_way_for_more_than_is_owed(admin_client):
    order = unpaid_order({product(10, price=1250): 2})
    paid_by_card(order, amount=1000, token="requires_action")

    send(admin_client, action(order, "record-payment"), {"amount": "26.00", "beyond": "100"})

    assert sorted(order.payments.values_list("status", "amount", "late")) == [
        ("complete", 100, True),
        ("complete", 2500, False),
        ("failed", 1000, False),
    ]


def test_t16_nothing_is_beyond_while_a_payment_may_still_count(admin_client):
    order = unpaid_order({product(10, price=1250): 2})
    paid_by_card(order, amount=1000, token="unknown")

    refused = send(
        admin_client, action(order, "record-payment"), {"amount": "16.00", "beyond": "100"}
    )

    assert "still pending" in text(refused)
    assert order.payments.count() == 1


def test_a_payment_that_finds_no_stock_is_refused_with_the_numbers(admin_client):
    shirt = product(10)
    order = unpaid_order({shirt: 2})
    inventory.record(shirt.pk, Action.DECREMENT, 9, actor=MERCHANT)

    response = send(admin_client, action(order, "record-payment"), {"amount": "25.00"})

    assert "Only 1 is available; 2 asked for." in text(response)
    assert 'value="25.00"' in text(response)
    assert not Payment.objects.exists()
    assert numbers(shirt) == (1, 1, 0)


def test_recording_needs_the_manual_gateway(admin_client):
    Gateway.objects.filter(slug="manual").update(enabled=False)
    shirt = product(10)
    order = unpaid_order({shirt: 2})

    response = send(admin_client, action(order, "record-payment"), {"amount": "25.00"})

    assert "The payment gateway is unknown or not enabled." in text(response)
    assert numbers(shirt) == (10, 10, 0)


def test_a_paid_order_takes_no_more_money(admin_client):
    order = paid_order({product(10): 2})

    asked = text(admin_client.get(action(order, "record-payment")))
    send(admin_client, action(order, "record-payment"), {"amount": "1.00"})

    assert "nothing of it is left to pay" in asked
    assert Payment.objects.count() == 1


def test_an_order_of_nothing_is_paid_with_nothing(admin_client):
    order = unpaid_order({product(10, price=0): 2})

    send(admin_client, action(order, "record-payment"), {"amount": "0.00"})

    assert states(order) == ("complete", "paid", "unfulfilled")


# Who may.


@pytest.mark.parametrize("name", ["ship", "cancel", "record-payment"])
def test_who_may_only_view_orders_does_nothing_with_them(name):
    shirt = product(10)
    order = paid_order({shirt: 2})
    client = client_with("view_order")

    shown = text(client.get(page(order)))

    assert f"/{name}/" not in shown
    assert client.get(action(order, name)).status_code == 403
    assert send(client, action(order, name), {"amount": "1"}).status_code == 403
    assert numbers(shirt) == (10, 8, 2)


def test_orders_are_closed_to_everybody_else(client):
    order = unpaid_order({product(10): 2})

    assert client.get(page(order)).status_code == 302
    assert client_with().get(page(order)).status_code == 403


def test_whoever_may_not_see_an_order_does_nothing_to_it():
    order = unpaid_order({product(stock=10): 1})
    client = client_with("add_payment")

    for answer in (
        client.get(action(order, "record-payment")),
        client.post(action(order, "record-payment"), {"amount": "1"}),
    ):
        assert answer.status_code == 403
    assert not order.payments.exists()
