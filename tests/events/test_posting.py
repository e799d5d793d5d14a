"""Mails on their way to a server that takes, refuses, hangs or dies: each at most once."""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection

from api import clock
from api.models import Change
from events.errors import MailNotSendable
from events.models import Mail, MailProgress, StaffMatter
from events.services import closing, mail_settings, posting
from events.services.smtp import Backend
from tests.concurrency import PATIENCE_SECONDS, run_together
from tests.events import mail_server
from tests.events.mail_server import MailServer, dripping, hang_up, never
from tests.events.mails import switch_on
from tests.factories import MERCHANT

pytestmark = pytest.mark.django_db

State = Mail.State


@pytest.fixture(scope="module")
def mail_servers() -> Iterator[MailServer]:
    with mail_server.serving() as server:
        yield server


@pytest.fixture
def server(mail_servers: MailServer, settings) -> MailServer:
    mail_servers.reset()
    settings.MAILS_ARE_SENT = True
    settings.EMAIL_BACKEND = "events.services.smtp.Backend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", mail_servers.port
    settings.EMAIL_USE_TLS, settings.EMAIL_TIMEOUT = False, 5
    return mail_servers


@pytest.fixture(autouse=True)
def _on(books_agree: None) -> None:
    switch_on()


def after(**passed: float) -> Any:
    moment = clock.now() + timedelta(**passed)
    return clock.replaced(lambda: moment)


def waiting(subject: str = "Your order #7", **fields: Any) -> Mail:
    now = clock.now()
    values = {
        "notice": "order-placed",
        "sender": '"The Shop" <shop@example.com>',
        "recipient": "ada@example.com",
        "subject": subject,
        "text": "Grüße,\n.the shop\n",
        "html": "<p>Grüße</p>\n",
        "created_at": now,
        "next_at": now,
    }
    return Mail.objects.create(**{**values, **fields})


def send(stop: threading.Event | None = None) -> bool:
    return posting.send_waiting(stop or threading.Event())


def seen(mail: Mail) -> tuple[str, int]:
    mail.refresh_from_db()
    return mail.state, mail.attempts


def test_a_mail_arrives_as_text_and_html_and_says_what_it_is(server):
    mail = waiting("Your order #7: grün")

    assert send()

    [taken] = server.taken
    assert taken["Subject"] == "Your order #7: grün"
    assert taken["From"] == "The Shop <shop@example.com>"
    assert taken["To"] == "ada@example.com"
    assert taken["Message-ID"] == f"<{mail.pk}@example.com>"
    assert taken["Date"].datetime == mail.created_at.replace(microsecond=0)
    assert taken["Auto-Submitted"] == "auto-generated"
    plain, html = taken.iter_parts()
    assert plain.get_content().splitlines() == ["Grüße,", ".the shop"]
    assert html.get_content_type() == "text/html"
    assert html.get_content().strip() == "<p>Grüße</p>"
    assert seen(mail) == (State.SENT, 1)
    assert mail.sent_at


def test_several_go_in_one_conversation_and_none_a_second_time(server):
    for number in range(3):
        waiting(f"{number}")

    send()
    send()

    assert [taken["Subject"] for taken in server.taken] == ["0", "1", "2"]
    assert server.connections == 1


def test_what_is_not_due_yet_waits(server):
    waiting(next_at=clock.now() + timedelta(minutes=1))
    send()

    assert server.connections == 0
    with after(minutes=2):
        send()
    assert len(server.taken) == 1


@pytest.mark.parametrize("by", ["recipient", "subject"])
def test_nothing_that_a_buyer_writes_becomes_a_header(server, by):
    mail = waiting(**{by: "ada@example.com\nBcc: all@example.com"})

    send()

    assert server.taken == []
    assert seen(mail) == (State.REFUSED, 1)


# What the server says.


@pytest.mark.parametrize(
    ("command", "answer", "state"),
    [
        ("MAIL", "451 later", State.WAITING),
        ("MAIL", "550 not from you", State.WAITING),
        ("RCPT", "450 busy", State.WAITING),
        ("RCPT", "550 no such box", State.REFUSED),
        ("DATA", "421 too many", State.WAITING),
        (".", "451 later", State.WAITING),
        (".", "552 too long", State.REFUSED),
        ("MAIL", hang_up, State.WAITING),
        ("RCPT", "421 good bye", State.WAITING),
        ("RCPT", hang_up, State.WAITING),
        (".", hang_up, State.IN_DOUBT),
        (".", "25", State.IN_DOUBT),
    ],
)
def test_what_the_server_says_decides_whether_a_mail_is_tried_again(server, command, answer, state):
    mail = waiting()
    server.answers[command] = answer

    assert send()

    assert server.taken == []
    assert seen(mail) == (state, 1)
    assert mail.error
    assert bool(mail.next_at) is (state == State.WAITING)
    server.answers = {}
    with after(minutes=2):
        send()
    assert len(server.taken) == (1 if state == State.WAITING else 0)


def test_one_that_is_refused_keeps_no_other_one_back(server):
    server.answers["RCPT"] = "550 no such box"
    first, second = waiting("1"), waiting("2")

    send()

    assert seen(first) == seen(second) == (State.REFUSED, 1)
    assert server.connections == 1


def test_pauses_grow_until_it_is_refused_after_some_days(server):
    server.answers["RCPT"] = "450 busy"
    mail = waiting()
    pauses = []
    passed = timedelta()
    while seen(mail)[0] == State.WAITING:
        moment: Any = mail.next_at
        with after(seconds=(moment - clock.now()).total_seconds()):
            moment = clock.now()
            send()
        mail.refresh_from_db()
        if mail.next_at:
            pauses.append(mail.next_at - moment)
            passed += pauses[-1]

    assert mail.attempts == len(posting.PAUSES) + 1
    assert pauses == sorted(pauses)
    assert timedelta(days=3) < passed < timedelta(days=4)
    assert seen(mail)[0] == State.REFUSED


def test_a_server_that_cannot_be_reached_costs_no_attempt_and_is_told(server, settings):
    mail = waiting()
    settings.EMAIL_PORT = 1

    assert not send()
    assert seen(mail) == (State.WAITING, 0)
    assert "refused" in MailProgress.objects.get().failing_why
    assert MailProgress.objects.get().failing_since

    settings.EMAIL_PORT = server.port
    assert send()
    assert seen(mail) == (State.SENT, 1)
    assert MailProgress.objects.get().failing_since is None


def test_a_server_that_greets_nobody_is_given_up(server, settings):
    settings.EMAIL_TIMEOUT = 0.2
    mail = waiting()
    server.answers["hello"] = never

    assert not send()
    assert seen(mail) == (State.WAITING, 0)


@pytest.mark.parametrize(
    ("command", "state"), [("EHLO", State.WAITING), ("RCPT", State.WAITING), (".", State.IN_DOUBT)]
)
def test_a_conversation_has_an_end_however_slowly_the_server_answers(
    server, monkeypatch, command, state
):
    monkeypatch.setattr(posting, "DEADLINE_SECONDS", 0.6)
    mail = waiting()
    server.answers[command] = dripping

    send()

    assert seen(mail)[0] == state


def test_told_to_stop_it_ends_soon_whatever_the_server_does(server):
    mail = waiting()
    server.answers["."] = never
    stop = threading.Event()

    def tell_to_stop() -> None:
        server.asked.wait(PATIENCE_SECONDS)
        stop.set()

    threading.Thread(target=tell_to_stop, daemon=True).start()
    begun = time.monotonic()

    send(stop)

    assert time.monotonic() - begun < 4
    assert seen(mail)[0] == State.IN_DOUBT


# Whoever dies.


def test_that_it_is_being_sent_is_written_before_the_server_hears_of_it(server, monkeypatch):
    mail = waiting()
    states = []
    monkeypatch.setattr(Backend, "send", lambda backend, message: states.append(seen(mail)))

    send()

    assert states == [(State.SENDING, 1)]


def test_who_dies_while_a_mail_is_sent_leaves_it_in_doubt_and_nobody_sends_it_again(
    server, monkeypatch
):
    mail = waiting()
    with monkeypatch.context() as patch:
        patch.setattr(posting, "_settle", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            send()
    assert len(server.taken) == 1
    send()
    assert seen(mail)[0] == State.SENDING

    with after(minutes=6):
        send()
        assert seen(mail)[0] == State.IN_DOUBT
        send()
    assert len(server.taken) == 1


def test_a_database_that_is_away_for_a_moment_leaves_nothing_in_doubt(server, monkeypatch):
    mail = waiting()
    write, times = posting._write, []

    def away(*what: Any) -> None:
        times.append(what)
        if len(times) == 1:
            raise OperationalError("away")
        write(*what)

    monkeypatch.setattr(posting, "_write", away)
    monkeypatch.setattr(connection, "close", lambda: None)

    send()

    assert seen(mail) == (State.SENT, 1)
    assert len(server.taken) == 1


@pytest.mark.django_db(transaction=True)
def test_workers_that_send_at_once_send_each_mail_once(server):
    for number in range(12):
        waiting(f"{number}")

    run_together(*[send] * 4)

    assert sorted(int(taken["Subject"]) for taken in server.taken) == list(range(12))
    assert set(Mail.objects.values_list("state", "attempts")) == {(State.SENT, 1)}


# Where nothing is sent.


def test_a_copy_of_a_shop_sends_nothing_and_makes_no_mail(server, monkeypatch):
    monkeypatch.setattr(closing, "_is_a_copy", lambda: True)
    monkeypatch.setattr(posting, "CLOSED_SECONDS", 0.01)
    waiting()
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()

    posting.run(stop)

    assert server.connections == 0


def test_the_demo_sends_nothing(server, settings):
    settings.MAILS_ARE_SENT = False
    waiting()

    send()

    assert server.connections == 0


def test_without_a_server_mails_wait(server, settings):
    settings.EMAIL_HOST = ""
    mail = waiting()

    assert send()
    assert seen(mail) == (State.WAITING, 0)


def test_what_waits_when_mail_is_switched_off_is_not_sent_days_later(server):
    mail = waiting()
    mail_settings.change(actor=MERCHANT, sender_address="")
    switch_on()

    send()

    assert server.taken == []
    assert seen(mail)[0] == State.REFUSED


# By people.


@pytest.mark.parametrize("state", posting.SENDABLE)
def test_people_send_a_mail_again_as_it_was_and_it_is_on_record(server, state):
    sent_at = clock.now() if state == State.SENT else None
    mail = waiting(state=state, next_at=None, sent_at=sent_at, attempts=9)

    posting.send_again(mail.pk, actor=MERCHANT)
    send()

    [taken] = server.taken
    assert taken["Message-ID"].startswith(f"<{mail.pk}@")
    assert seen(mail) == (State.SENT, 1)
    [entry] = Change.objects.filter(kind="events.mail")
    assert entry.fields == [{"field": "state", "before": state, "after": "waiting"}]
    assert "ada" not in entry.thing_name


@pytest.mark.parametrize("state", [State.WAITING, State.SENDING, State.KEPT])
def test_what_is_on_its_way_is_not_sent_again(server, state):
    mail = waiting(state=state, next_at=clock.now() if state == State.WAITING else None)

    with pytest.raises(MailNotSendable):
        posting.send_again(mail.pk, actor=MERCHANT)


def test_a_test_mail_is_sent_to_whoever_asks(server):
    posting.send_test("owner@example.com")
    send()

    assert server.recipients == ["owner@example.com"]


def test_no_test_mail_is_promised_where_none_can_be_sent(server, settings):
    mail_settings.change(actor=MERCHANT, sender_address="")
    with pytest.raises(MailNotSendable, match="switched off"):
        posting.send_test("owner@example.com")
    settings.EMAIL_HOST = ""
    with pytest.raises(MailNotSendable, match="no mail server"):
        posting.send_test("owner@example.com")


# Keeping.


def test_mails_are_forgotten_as_old_as_they_are_kept(settings):
    kept, forgotten = waiting(), waiting()
    old = clock.now() - timedelta(days=settings.MAILS_KEPT_DAYS, minutes=1)
    Mail.objects.filter(pk=forgotten.pk).update(created_at=old)
    for notice, told_at in (("stock-out", old), ("stock-out", clock.now()), ("attention", old)):
        StaffMatter.objects.create(
            notice=notice, key=f"{told_at}", words={}, at=old, told_at=told_at
        )

    assert posting.purge() == 2

    assert list(Mail.objects.all()) == [kept]
    assert StaffMatter.objects.count() == 2
