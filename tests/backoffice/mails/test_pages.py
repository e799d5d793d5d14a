"""The page on which a store says who sends its mails, who is told, of what and in which words."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from api import clock
from api.models import Change
from events.models import Mail, MailProgress, MailSettings, MailText
from events.services import mail_settings, notices
from tests.backoffice.pages import text
from tests.events.mails import happen, switch_on, told
from tests.factories import MERCHANT, paid_order, product

pytestmark = pytest.mark.django_db

PAGE = "/admin/events/mailsettings/1/change/"
WORDS = "/admin/events/mailtext/order-placed/change/"
PREVIEW = "/admin/events/mailtext/order-placed/preview/"
ALL = [each.name for each in notices.known()]


def save(client: Any, **fields: Any) -> Any:
    typed = {
        "sender_name": "",
        "sender_address": "shop@example.com",
        "staff": "ada@example.com\nbob@example.com",
        "off": ALL,
    }
    return client.post(PAGE, {**typed, **fields}, follow=True)


def ticked(answer: Any) -> list[str]:
    boxes = re.findall(r'<input type="checkbox" name="off"[^>]*>', answer.text)
    return [box.split('value="')[1].split('"')[0] for box in boxes if box.endswith(" checked>")]


def test_mail_is_switched_on_by_a_sender(admin_client):
    assert "Mail is off" in text(admin_client.get("/admin/events/mailsettings/", follow=True))

    save(admin_client)

    row = MailSettings.objects.get()
    assert (row.sender_address, row.off) == ("shop@example.com", [])
    assert row.staff == ["ada@example.com", "bob@example.com"]
    assert MailProgress.objects.exists()
    assert Change.objects.filter(kind="events.mailsettings").exists()
    assert "In the demo they are kept" in text(admin_client.get(PAGE))


def test_a_notice_whose_box_is_not_ticked_is_not_sent(admin_client):
    save(admin_client, off=[name for name in ALL if name != "order-placed"])

    assert MailSettings.objects.get().off == ["order-placed"]
    assert ticked(admin_client.get(PAGE)) == [*ALL[1:]]


def test_what_is_not_typed_well_is_said_and_drawn_as_it_was_typed(admin_client):
    answer = save(
        admin_client, staff="ada@example.com nobody", sender_address="shop", off=["stock-out"]
    )

    said = text(answer)
    assert "nobody is no e-mail address." in said
    assert "Enter a valid email address." in said
    assert not MailSettings.objects.exists()
    assert ticked(answer) == ["stock-out"]


def test_two_people_change_different_things(admin_client):
    switch_on()
    opened = {"initial-staff": "staff@example.com", "initial-sender_name": "The Shop"}
    mail_settings.change(actor=MERCHANT, staff=["new@example.com"])

    save(admin_client, **opened, staff="staff@example.com", sender_name="Other")

    row = MailSettings.objects.get()
    assert (row.staff, row.sender_name) == (["new@example.com"], "Other")


def test_a_server_that_cannot_be_reached_is_said(admin_client, settings):
    settings.MAILS_ARE_SENT, settings.EMAIL_HOST = True, "mail.example.com"
    switch_on()
    MailProgress.objects.update(failing_since=clock.now(), failing_why="Connection refused")

    assert "cannot be reached" in text(admin_client.get(PAGE))


def test_what_did_not_go_out_is_said(admin_client, settings):
    settings.MAILS_ARE_SENT, settings.EMAIL_HOST = True, "mail.example.com"
    sent(state=Mail.State.IN_DOUBT, next_at=None)

    assert "Mails that are in doubt: 1." in text(admin_client.get(PAGE))


def test_a_test_goes_to_whoever_asks(admin_client, settings):
    settings.MAILS_ARE_SENT, settings.EMAIL_HOST = True, "mail.example.com"
    User.objects.update(email="me@example.com")
    switch_on()
    url = reverse("admin:events_mailsettings_send_test", args=[1])
    page = admin_client.get(PAGE)
    assert "Send me a test" in text(page)
    form = admin_client.get(url, follow=True).context["form"]

    admin_client.post(
        url, {"seen": form["seen"].value(), "once": form["once"].value()}, follow=True
    )

    assert Mail.objects.get().recipient == "me@example.com"


# Words.


def write(client: Any, **parts: str) -> Any:
    typed = {"subject": "Thanks", "text": "{{ order.number }}", "html": "<p>{{ order.name }}</p>"}
    return client.post(WORDS, {**typed, **parts}, follow=True)


def test_a_store_writes_its_own_words_and_takes_ours_again(admin_client):
    assert "Your order #{{ order.number }}" in text(admin_client.get(WORDS))

    write(admin_client)

    assert MailText.objects.get().subject == "Thanks"
    assert "yours" in text(admin_client.get(PAGE))
    url = reverse("admin:events_mailtext_take_ours", args=["order-placed"])
    form = admin_client.get(url, follow=True).context["form"]
    admin_client.post(
        url, {"seen": form["seen"].value(), "once": form["once"].value()}, follow=True
    )
    assert not MailText.objects.exists()
    assert [each.what for each in Change.objects.filter(kind="events.mailtext").order_by("pk")] == [
        "changed",
        "deleted",
    ]


@pytest.mark.parametrize(
    ("part", "template", "fault"),
    [
        ("text", "{{ ordr.number }}", "There is nothing called ordr.number here."),
        ("html", '{% include "x" %}', "Invalid block tag on line 1"),
        ("subject", "{{ order.number|safe }}", "Invalid filter"),
    ],
)
def test_words_of_which_no_mail_can_be_made_are_not_kept(admin_client, part, template, fault):
    answer = write(admin_client, **{part: template})

    assert fault in text(answer)
    assert not MailText.objects.exists()


def test_words_that_failed_with_something_real_are_shown_as_such(admin_client):
    write(admin_client)
    MailText.objects.update(fault="It cannot be made: too long", fault_at=clock.now())

    assert "too long" in text(admin_client.get(PAGE))
    assert "too long" in text(admin_client.get(WORDS))


# A preview.


def test_a_preview_shows_what_is_typed_of_a_real_order_and_saves_nothing(admin_client):
    order = paid_order({product(9, name="Shirt"): 1})
    typed = {"subject": "S {{ order.number }}", "text": "T {{ order.total }}", "html": "<i>x</i>"}

    assert 'name="_order" form="mailtext_form"' in admin_client.get(WORDS).text
    answer = admin_client.post(PREVIEW, {**typed, "_order": f"#{order.number}"})

    said = text(answer)
    assert f"S {order.number}" in said
    assert "T $12.50" in said
    assert 'sandbox title="The mail as HTML" srcdoc="&lt;i&gt;x&lt;/i&gt;' in answer.text
    assert not MailText.objects.exists()


def test_a_preview_without_an_order_is_of_an_example(admin_client):
    assert "Your order #1042" in text(admin_client.get(PREVIEW))
    assert "nothing like that of an order #77" in text(admin_client.get(f"{PREVIEW}?_order=77"))
    assert "No mail can be made" in text(admin_client.post(PREVIEW, {"text": "{% if %}"}))


@pytest.mark.parametrize("name", ALL)
def test_every_notice_has_a_page_of_its_words_and_a_preview(admin_client, name):
    switch_on()
    page = f"/admin/events/mailtext/{name}/"

    assert admin_client.get(f"{page}change/").status_code == 200
    assert "No mail can be made" not in text(admin_client.get(f"{page}preview/"))


# Mails sent.


def sent(**fields: Any) -> Mail:
    switch_on()
    order = paid_order({product(9, name="Shirt"): 1})
    happen("order.created", order.pk)
    [mail] = told()
    Mail.objects.filter(pk=mail.pk).update(**fields)
    return mail


def test_mails_are_listed_and_found_by_address_and_by_order(admin_client):
    mail = sent()
    listed = "/admin/events/mail/"

    assert mail.subject in text(admin_client.get(listed))
    assert mail.subject in text(admin_client.get(f"{listed}?q=ada@example.com"))
    assert mail.subject in text(admin_client.get(f"{listed}?q={mail.subject.split('#')[1]}"))
    assert mail.subject not in text(admin_client.get(f"{listed}?q=bob@example.com"))


def test_a_mail_is_shown_as_it_goes_out_and_apart_from_the_page(admin_client):
    mail = sent(html="<script>alert(1)</script>")

    answer = admin_client.get(f"/admin/events/mail/{mail.pk}/change/")

    assert "1 x Shirt" in text(answer)
    assert 'sandbox title="The mail as HTML" srcdoc="&lt;script&gt;' in answer.text
    assert "sent to nobody" in text(answer)


def test_one_in_doubt_is_sent_again_by_a_person_and_says_what_that_may_do(admin_client, settings):
    settings.MAILS_ARE_SENT, settings.EMAIL_HOST = True, "mail.example.com"
    mail = sent(state=Mail.State.IN_DOUBT, next_at=None)
    url = f"/admin/events/mail/{mail.pk}/send-again/"
    assert url in admin_client.get(f"/admin/events/mail/{mail.pk}/change/").text
    page = admin_client.get(url)
    assert "Then it arrives a second time." in text(page)
    form = page.context["form"]
    data = {"seen": form["seen"].value(), "once": form["once"].value()}

    admin_client.post(url, data)
    mail.refresh_from_db()
    assert mail.state == Mail.State.WAITING

    Mail.objects.update(state=Mail.State.REFUSED, next_at=None)
    admin_client.post(url, data)
    assert Mail.objects.get().state == Mail.State.REFUSED
