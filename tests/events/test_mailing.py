"""What is told by mail: to whom, of what, and of each thing once."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from api import clock
from events.models import Event, Integration, Mail, MailProgress, MailText, Progress, StaffMatter
from events.services import mail_settings, mailing, sequencing
from orders.models import Order
from orders.services import notices as of_orders
from orders.services import shipments
from payments.models import Payment
from payments.services import payments
from tests.events.mails import happen, switch_on, told
from tests.factories import MERCHANT, paid_order, product, undo_ship, unpaid_order

pytestmark = pytest.mark.django_db


def after(**passed: float) -> Any:
    moment = clock.now() + timedelta(**passed)
    return clock.replaced(lambda: moment)


def placed() -> Order:
    order = unpaid_order({product(9, name="Shirt", price=1000): 2})
    happen("order.created", order.pk)
    return order


def subjects() -> list[str]:
    return [mail.subject for mail in told()]


# When anything is told.


def test_until_a_sender_is_set_nobody_is_told_anything():
    placed()

    assert told() == []
    mail_settings.change(actor=MERCHANT, staff=["staff@example.com"])
    placed()
    assert told() == []


def test_a_sender_of_two_lines_is_written_in_one():
    switch_on()
    mail_settings.change(actor=MERCHANT, sender_name="Shop\r\nBcc: a@example.com")
    placed()

    assert {mail.sender for mail in told()} == {'"Shop Bcc: a@example.com" <shop@example.com>'}


def test_what_happened_before_mail_was_switched_on_is_told_to_nobody():
    placed()
    numbered_late = placed()
    occurred_at = Event.objects.latest("position").occurred_at
    Event.objects.latest("position").delete()
    switch_on()
    happen("order.created", numbered_late.pk, occurred_at=occurred_at)

    assert told() == []
    assert MailProgress.objects.get().position == 2


def test_a_crossing_of_before_mail_was_switched_on_is_told_to_nobody():
    shirt = product(9)
    before = timezone.now()
    switch_on()
    happen("stock.out", shirt.pk, sequence=7, occurred_at=before, available=0)

    assert told() == []


def test_what_happened_while_mail_was_off_is_never_told():
    switch_on()
    mail_settings.change(actor=MERCHANT, sender_address="")
    placed()
    switch_on()

    assert told() == []
    placed()
    assert len(told()) == 1


def test_an_order_that_was_brought_here_is_told_to_nobody():
    switch_on()
    with after(days=-30):
        order = unpaid_order({product(9): 1})
    happen("order.created", order.pk)

    assert told() == []


def test_a_notice_that_is_not_wanted_is_not_sent():
    switch_on(off=["order-placed"])
    placed()
    assert told() == []

    mail_settings.change(actor=MERCHANT, off=[])
    assert told() == []
    placed()
    assert len(told()) == 1


# To buyers.


def test_a_buyer_is_told_what_was_ordered(settings):
    settings.MAILS_ARE_SENT = True
    switch_on()
    order = placed()

    [mail] = told()

    assert mail.sender == '"The Shop" <shop@example.com>'
    assert mail.recipient == "ada@example.com"
    assert mail.subject == f"Your order #{order.number}"
    assert "2 x Shirt  $20.00" in mail.text
    assert "Total: $20.00" in mail.text
    assert "2 &times; Shirt" in mail.html
    assert mail.order_id == order.pk
    assert mail.state == Mail.State.WAITING


def test_in_the_demo_a_mail_is_kept_and_never_waits_to_be_sent():
    switch_on()
    placed()

    [mail] = told()

    assert (mail.state, mail.next_at) == (Mail.State.KEPT, None)


def test_a_thing_is_told_once_however_often_its_event_is_read():
    switch_on()
    order = placed()
    happen("order.created", order.pk)
    assert len(told()) == 1

    MailProgress.objects.update(position=0)
    assert len(told()) == 1


def test_mails_and_cursor_move_together(monkeypatch):
    switch_on()
    placed()
    with monkeypatch.context() as patch:
        patch.setattr(MailProgress, "save", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            mailing.tell_some()
    assert not Mail.objects.exists()

    assert len(told()) == 1


def test_many_events_are_told_in_several_steps(monkeypatch):
    monkeypatch.setattr(mailing, "EVENTS", 2)
    switch_on()
    for _ in range(5):
        placed()
        happen("cart.updated", "a-cart")

    assert len(told()) == 5
    assert MailProgress.objects.get().position == 10


def test_a_thing_that_cannot_be_told_keeps_no_other_one_back(monkeypatch):
    switch_on()
    broken = placed()
    placed()
    words_of = of_orders.words_of
    monkeypatch.setattr(
        of_orders, "words_of", lambda order: 1 / 0 if order == broken else words_of(order)
    )

    assert len(told()) == 1


def test_a_buyer_is_told_of_each_parcel_with_what_is_in_it_and_where_it_can_be_followed():
    switch_on()
    order = paid_order({product(9, name="Shirt"): 3})
    [item] = order.items.all()
    for quantity, tracking in ((1, "JD014600"), (2, "https://example.com/track/7")):
        shipment = shipments.ship(
            order.pk, actor=MERCHANT, units={item.pk: quantity}, carrier="DHL", tracking=tracking
        )
        happen("shipment.created", shipment.pk)

    first, second = told()

    assert "1 x Shirt" in first.text
    assert "https://www.dhl.com/global-en/home/tracking.html?tracking-id=JD014600" in first.html
    assert "2 x Shirt" in second.text
    assert 'href="https://example.com/track/7"' in second.html


def test_a_parcel_that_was_undone_meanwhile_is_told_to_nobody():
    switch_on()
    order = paid_order({product(9): 1})
    shipment = shipments.ship(order.pk, actor=MERCHANT)
    undo_ship(order)
    happen("shipment.created", shipment.pk)

    assert told() == []


def refund(order: Order, amount: int) -> Payment:
    payment: Payment = order.payments.get()
    payments.refund(order.pk, payment.pk, amount, actor=MERCHANT)
    return payment


def test_a_buyer_is_told_of_each_refund_once_with_its_own_amount(gateway):
    order = unpaid_order({product(9, price=1000): 1})
    payments.pay(order.pk, payments.PaymentRequest("fake"), actor=MERCHANT)
    switch_on()
    # Two refunds in one event, and one in two.
    refund(order, 100)
    payment = refund(order, 250)
    happen("transaction.updated", payment.pk)
    assert [mail.subject.split()[0] for mail in told()] == ["$1.00", "$2.50"]

    refund(order, 400)
    happen("transaction.updated", payment.pk)
    happen("transaction.updated", payment.pk)
    assert [mail.subject.split()[0] for mail in told()] == ["$1.00", "$2.50", "$4.00"]


def test_a_refund_of_before_mail_was_switched_on_is_not_told_with_a_later_one(gateway):
    order = unpaid_order({product(9, price=1000): 1})
    payments.pay(order.pk, payments.PaymentRequest("fake"), actor=MERCHANT)
    refund(order, 100)
    switch_on()
    payment = refund(order, 250)
    happen("transaction.updated", payment.pk)

    assert [mail.subject.split()[0] for mail in told()] == ["$2.50"]


# To staff.


def cross(line: str, name: str = "Shirt", sequence: int = 7, available: int = 0) -> Any:
    shirt = product(9, name=name)
    happen(f"stock.{line}", shirt.pk, sequence=sequence, available=available)
    return shirt


def test_each_of_the_staff_is_told_once_of_a_crossing():
    switch_on("ada@example.com", "bob@example.com")
    shirt = cross("low", available=3)

    mails = told()

    assert {mail.recipient for mail in mails} == {"ada@example.com", "bob@example.com"}
    assert {mail.subject for mail in mails} == {"Shirt is low: 3 left"}
    assert f"/admin/inventory/product/{shirt.pk}/" in mails[0].text
    assert len(told()) == 2


def test_an_entry_that_crosses_both_lines_is_one_mail():
    switch_on()
    shirt = cross("low")
    happen("stock.out", shirt.pk, sequence=7, available=0)

    assert subjects() == ["Shirt is out of stock"]


def test_one_that_crosses_both_lines_is_low_where_only_that_is_wanted():
    switch_on(off=["stock-out"])
    shirt = cross("low")
    happen("stock.out", shirt.pk, sequence=7, available=0)

    assert subjects() == ["Shirt is low: 0 left"]


def test_what_follows_within_ten_minutes_is_one_mail():
    """A sheet that empties many products makes few mails."""
    switch_on()
    cross("out", "Mug")
    assert subjects() == ["Mug is out of stock"]
    for name in ("Shirt", "Bag", "Poster"):
        cross("out", name)
    with after(minutes=9):
        assert subjects() == ["Mug is out of stock"]
    with after(minutes=11):
        assert subjects() == ["Mug is out of stock", "3 products are out of stock"]
        assert len(told()) == 2


def test_a_mail_names_so_many_and_says_how_many_more_there_are(monkeypatch):
    monkeypatch.setattr(mailing, "MATTERS", 2)
    switch_on()
    for name in ("Shirt", "Bag", "Poster", "Mug", "Cap"):
        cross("out", name)

    [mail] = told()

    assert mail.subject == "5 products are out of stock"
    assert "Shirt" in mail.text
    assert "Poster" not in mail.text
    assert "And 3 more." in mail.text
    with after(minutes=11):
        assert len(told()) == 1


def needs_attention() -> Order:
    """Make an order that is cancelled while its buyer's money is still held."""
    order = paid_order({product(9): 1})
    Order.objects.filter(pk=order.pk).update(cancelled_at=clock.now())
    return order


@pytest.mark.tampers_with_the_books
def test_an_order_that_comes_on_the_list_is_told_once_while_it_stays_there():
    switch_on()
    needs_attention()
    assert told() == []

    new = needs_attention()
    with after(minutes=2):
        assert subjects() == [f"Order #{new.number} needs attention"]
    with after(minutes=20):
        assert len(told()) == 1

    Order.objects.filter(pk=new.pk).update(left_be_at=clock.now())
    with after(minutes=22):
        assert len(told()) == 1
    Order.objects.filter(pk=new.pk).update(left_be_at=None)
    with after(minutes=40):
        assert len(told()) == 2


@pytest.mark.tampers_with_the_books
def test_what_stood_while_a_notice_was_off_is_not_told_when_it_is_on_again():
    switch_on(off=["attention"])
    told()
    needs_attention()
    with after(minutes=2):
        assert told() == []
    mail_settings.change(actor=MERCHANT, off=[])
    with after(minutes=4):
        assert told() == []
    needs_attention()
    with after(minutes=6):
        assert len(told()) == 1


def integration(**progress: Any) -> Progress:
    now = clock.now()
    made = Integration.objects.create(
        name="Warehouse",
        enabled=True,
        url="https://example.com",
        observes=[],
        created_at=now,
        updated_at=now,
    )
    return Progress.objects.create(integration=made, position=0, **progress)


def test_an_integration_that_fails_is_told_after_a_quarter_of_an_hour_and_once_more_at_its_end():
    switch_on()
    told()
    row = integration(failing_since=clock.now())
    with after(minutes=10):
        assert told() == []
    with after(minutes=20):
        assert subjects() == ["Warehouse is not told of events"]
    row.given_up_at, row.given_up_why = clock.now(), "410 Gone"
    row.save()
    with after(minutes=40):
        assert len(told()) == 2
        assert "disabled by itself: 410 Gone" in told()[1].text


def test_without_staff_nobody_is_told_and_nothing_waits():
    switch_on()
    mail_settings.change(actor=MERCHANT, staff=[])
    cross("out")

    assert told() == []
    assert not StaffMatter.objects.filter(told_at=None).exists()


# A store's own words.


def test_a_store_writes_its_own_words():
    switch_on()
    mail_settings.write(
        "order-placed",
        actor=MERCHANT,
        subject="Thanks!",
        text="{{ order.total }}",
        html="<p>Hi</p>",
    )
    placed()

    [mail] = told()

    assert (mail.subject, mail.text, mail.html) == ("Thanks!", "$20.00\n", "<p>Hi</p>\n")
    mail_settings.take_ours("order-placed", actor=MERCHANT)
    order = placed()
    assert told()[1].subject == f"Your order #{order.number}"


def test_words_that_fail_with_what_has_happened_give_way_to_ours_and_people_are_told():
    switch_on()
    mail_settings.write(
        "order-placed",
        actor=MERCHANT,
        subject="Thanks!",
        text="{% for a, b in order.name %}{% endfor %}",
        html="<p>Hi</p>",
    )
    order = placed()

    [mail] = told()

    assert mail.subject == f"Your order #{order.number}"
    row = MailText.objects.get()
    assert "unpack" in row.fault
    assert row.fault_at


def test_a_look_at_nothing_new_asks_little(django_assert_num_queries):
    switch_on()
    told()

    # Both ends of the transaction, the three rows, and what waits for staff.
    with django_assert_num_queries(6):
        mailing.tell_some()


# All the way.


def test_what_the_shop_does_is_told_through_the_feed():
    switch_on()
    shirt = product(2, name="Shirt", price=1000, low_stock_threshold=1)
    # What one transaction does, as a test is one, is told together.
    sequencing.number_all()
    order = paid_order({shirt: 2})
    shipments.ship(order.pk, actor=MERCHANT, carrier="DHL", tracking="JD014600")
    payments.refund(order.pk, order.payments.get().pk, None, actor=MERCHANT)
    sequencing.number_all()

    assert sorted((mail.recipient, mail.subject) for mail in told()) == [
        ("ada@example.com", f"$20.00 of your order #{order.number} are on their way back"),
        ("ada@example.com", f"A parcel of your order #{order.number} is on its way"),
        ("ada@example.com", f"Your order #{order.number}"),
        ("staff@example.com", "Shirt is out of stock"),
    ]
    sequencing.number_all()
    assert len(told()) == 4
