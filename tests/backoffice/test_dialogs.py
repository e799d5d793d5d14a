"""What asks for one thing or none, asked on the page one is on: see backoffice/static/dialog.js."""

import pytest

from backoffice.orders.actions import ORDER_ACTIONS
from orders.models import OrderEvent
from tests.backoffice.pages import hidden, send, text
from tests.factories import paid_order, product

pytestmark = pytest.mark.django_db

IN_DIALOG = {"headers": {"X-Dialog": "1"}}


@pytest.fixture
def note():
    return f"/admin/orders/order/{paid_order({product(5): 1}).pk}/note/"


def test_a_dialog_gets_the_form_alone_and_is_told_where_to_go_on(admin_client, note):
    asked = admin_client.get(note, **IN_DIALOG)
    assert asked["X-Dialog"] == "1"
    assert text(asked).strip().startswith(f'<form method="post" action="{note}"')
    assert "<html" in text(admin_client.get(note))

    form = hidden(admin_client, note)
    refused = admin_client.post(note, {**form, "text": ""}, **IN_DIALOG)
    assert refused["X-Dialog"] == "1"
    assert "Write something." in text(refused)

    done = [admin_client.post(note, {**form, "text": "Call first."}, **IN_DIALOG) for _ in range(2)]
    # Sent twice, it is done once; what is said of that waits for the page that comes.
    assert [each["X-Dialog-Then"] for each in done] == [note.replace("note", "change")] * 2
    assert OrderEvent.objects.filter(text="Call first.").count() == 1
    assert "This was recorded already" in text(admin_client.get(done[0]["X-Dialog-Then"]))


def test_a_dialog_tells_what_changed_since_it_was_opened(admin_client):
    shirt = product(5)
    delete = f"/admin/inventory/product/{shirt.pk}/delete/"
    form = hidden(admin_client, delete)
    paid_order({shirt: 1})

    answer = admin_client.post(delete, form, **IN_DIALOG)
    assert answer["X-Dialog"] == "1"
    assert "It changed since this form was opened, so nothing was done." in text(answer)
    shirt.refresh_from_db()
    assert not shirt.archived_at


def test_a_form_of_many_fields_is_a_page_and_no_dialog(admin_client):
    shirt = product(5)
    restore = f"/admin/inventory/product/archived/{shirt.pk}/restore/"
    send(admin_client, f"/admin/inventory/product/{shirt.pk}/delete/")

    answer = admin_client.get(restore, **IN_DIALOG)
    assert (answer.status_code, answer.content, "X-Dialog" in answer) == (204, b"", False)
    assert admin_client.get(restore).status_code == 200


def test_an_order_offers_as_dialogs_what_is_short(admin_client):
    order = paid_order({product(5): 1})
    page = text(admin_client.get(f"/admin/orders/order/{order.pk}/change/"))

    short = {action.name for action in ORDER_ACTIONS if action.is_short}
    assert "note" in short
    assert f'/{order.pk}/note/" data-dialog' in page
