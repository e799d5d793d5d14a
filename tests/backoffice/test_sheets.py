"""The pages of counting by file, without a browser: who may, what is said, what is sent once."""

from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from backoffice.sheets import admin as sheets
from inventory.models import Sheet, StockTransaction
from inventory.services.sheets import processing
from tests.backoffice.pages import hidden
from tests.factories import MERCHANT, paid_order, product, stock_of

pytestmark = pytest.mark.django_db

COUNTS = "/admin/inventory/sheet/"
ADD = f"{COUNTS}add/"


def client_with(*permissions: str) -> Client:
    user = User.objects.create_user("jonas", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def clerk() -> Client:
    return client_with("view_sheet", "view_stock", "change_stock", "view_product")


def send(client: Client, content: str, name: str = "shelf.csv") -> Any:
    sheet = SimpleUploadedFile(name, content.encode(), "text/csv")
    return client.post(ADD, {"file": sheet}, follow=True)


def worked() -> Sheet:
    sheet = Sheet.objects.latest("pk")
    while processing.take_a_batch(sheet.pk):
        pass
    sheet.refresh_from_db()
    return sheet


def page_of(sheet: Sheet, action: str = "change") -> str:
    return reverse(f"admin:inventory_sheet_{action}", args=[sheet.pk])


def press(client: Client, sheet: Sheet, button: str, **options: Any) -> Any:
    return client.post(page_of(sheet, button), hidden(client, page_of(sheet)), **options)


def text(response: Any) -> str:
    return " ".join(unescape(response.content.decode()).split())


def test_t02_a_file_in_which_all_agrees_is_applied_too_so_that_it_is_kept(clerk):
    product(10, sku="A")
    product(10, sku="B")
    send(clerk, "sku,count\nA,10\nB,10\n")
    sheet = worked()
    page = text(clerk.get(page_of(sheet)))

    press(clerk, sheet, "apply")
    applied = text(clerk.get(page_of(worked())))
    press(clerk, sheet, "revert")
    reverted = text(clerk.get(page_of(worked())))

    assert "Applying it makes no change, and keeps that 2 agree." in page
    assert ">Apply</button>" in page
    assert "It made no change, and kept that 2 agree." in applied
    assert "It made no change, and kept that 2 agree, all taken back." in reverted


def test_a_file_goes_from_upload_to_applied_and_back(clerk):
    shirt = product(10, sku="A")

    assert "being checked" in text(send(clerk, "sku,count\nA,12\nX,1\n"))
    sheet = worked()
    page = text(clerk.get(page_of(sheet)))
    assert "Applying it makes 1 change: 2 units more, 0 fewer." in page
    assert "1 line has an error and is left alone." in page
    assert "No product has this sku." in page

    press(clerk, sheet, "apply")
    page = text(clerk.get(page_of(worked())))
    assert "It made 1 change: 2 units more, 0 fewer." in page
    assert stock_of(shirt).total == 12

    press(clerk, sheet, "revert")
    page = text(clerk.get(page_of(worked())))
    assert "It made 1 change: 2 units more, 0 fewer, all taken back." in page
    assert stock_of(shirt).total == 10
    assert StockTransaction.objects.latest("pk").actor_name == "jonas"


def test_f39_a_wrong_column_is_an_error_of_the_form(clerk):
    response = send(clerk, "sku,cuont\nA,12\n")

    assert response.status_code == 200
    assert 'Unknown columns: "cuont"' in text(response)
    assert not Sheet.objects.exists()


def test_no_file_at_all_is_an_error_of_the_form(clerk):
    assert "Choose a file." in text(clerk.post(ADD))
    assert "The file is empty." in text(send(clerk, ""))


def test_a_file_too_large_is_not_even_read(clerk, monkeypatch):
    monkeypatch.setattr(sheets, "BYTES_MAX", 2_000_000)
    monkeypatch.setattr(processing, "upload", None)

    response = send(clerk, "sku,count\n" + "A,12\n" * 600_000)

    assert "The file has 3 MB. Split it: at most 2 MB are taken at once." in text(response)


def test_the_same_file_again_leads_to_what_became_of_it(clerk):
    product(10, sku="A")
    send(clerk, "sku,count\nA,12\n")
    sheet = worked()
    press(clerk, sheet, "apply")
    worked()

    response = send(clerk, "sku,count\nA,12\n", name="copy of shelf.csv")

    assert response.redirect_chain[-1][0] == page_of(sheet)
    assert "This very file was uploaded before" in text(response)
    assert "Nothing was changed now" in text(response)
    assert StockTransaction.objects.count() == 2


def test_a_button_pressed_twice_works_once(clerk):
    shirt = product(10, sku="A")
    send(clerk, "sku,change\nA,5\n")
    sheet = worked()

    press(clerk, sheet, "apply")
    response = press(clerk, sheet, "apply", follow=True)

    assert "The file is being applied." in text(response)
    worked()
    response = press(clerk, sheet, "apply", follow=True)
    assert "The file is applied." in text(response)
    assert stock_of(shirt).total == 15


def test_t11_a_file_is_not_reverted_that_is_not_as_it_was_seen(clerk):
    shirt = product(0, sku="A")
    send(clerk, "sku,change\nA,5\n")
    press(clerk, worked(), "apply")
    sheet = worked()
    seen = hidden(clerk, page_of(sheet))
    paid_order({shirt: 1})
    press(clerk, sheet, "revert")
    worked()

    # Somebody else has seen a file of which nothing was taken back, and nothing failed to be.
    response = clerk.post(page_of(sheet, "revert"), seen, follow=True)
    unseen = clerk.post(page_of(sheet, "revert"), follow=True)

    for answer in (response, unseen):
        assert "It changed since this form was opened. Nothing was done." in text(answer)
    sheet.refresh_from_db()
    assert sheet.state == "applied"


def test_t11_a_buttons_second_click_is_told_from_a_second_person(clerk):
    product(0, sku="A")
    send(clerk, "sku,change\nA,5\n")
    sheet = worked()
    form = hidden(clerk, page_of(sheet))

    clerk.post(page_of(sheet, "apply"), form)
    again = clerk.post(page_of(sheet, "apply"), form, follow=True)

    assert "recorded already" in text(again)


def test_looking_at_a_buttons_address_does_nothing(clerk):
    product(10, sku="A")
    send(clerk, "sku,change\nA,5\n")
    sheet = worked()

    for action in ("apply", "revert", "discard"):
        assert clerk.get(page_of(sheet, action)).url == page_of(sheet)

    sheet.refresh_from_db()
    assert sheet.state == "checked"


def test_a_discarded_file_is_gone(clerk):
    send(clerk, "sku,change\nA,5\n")
    sheet = worked()

    response = press(clerk, sheet, "discard", follow=True)

    assert "Nothing was changed." in text(response)
    assert clerk.get(page_of(sheet)).status_code == 302
    assert press(clerk, sheet, "apply", follow=True).status_code == 200


def test_what_could_not_be_taken_back_can_be_tried_again(clerk):
    shirt = product(0, sku="A")
    send(clerk, "sku,change\nA,5\n")
    press(clerk, worked(), "apply")
    sheet = worked()
    paid_order({shirt: 1})

    press(clerk, sheet, "revert")
    page = text(clerk.get(page_of(worked())))

    assert "1 of its changes could not be taken back" in page
    assert "5 fewer, but only 4 of 5 are available: 1 is allocated." in page
    assert "Try the rest again" in page


def test_progress_is_told_until_there_is_none(clerk):
    product(10, sku="A")
    send(clerk, "sku,change\nA,5\nA,5\n")
    sheet = Sheet.objects.get()

    response = clerk.get(page_of(sheet, "progress"))
    assert "being checked: 0 of 2 lines" in text(response).replace("</span>", "")
    assert "HX-Refresh" not in response

    Sheet.objects.update(lines_total=50_000, lines_done=1_200)
    assert "1,200 of 50,000 lines" in text(clerk.get(page_of(sheet, "progress")))
    Sheet.objects.update(lines_total=2, lines_done=0)

    worked()
    assert clerk.get(page_of(sheet, "progress"))["HX-Refresh"] == "true"


def test_lines_are_paged_and_can_be_narrowed_down(clerk):
    for position in range(60):
        product(position % 2, sku=f"P{position:02}")
    content = "sku,count\n" + "".join(f"P{position:02},1\n" for position in range(60))
    send(clerk, content + "X,1\n")
    sheet = worked()

    first = clerk.get(page_of(sheet)).context["page"]
    second = clerk.get(page_of(sheet), {"after": first.next}).context["page"]
    third = clerk.get(page_of(sheet), {"after": second.next}).context["page"]
    back = clerk.get(page_of(sheet), {"after": third.previous}).context["page"]

    assert [len(page.lines) for page in (first, second, third)] == [25, 25, 11]
    assert (first.previous, third.next) == (None, None)
    assert back.lines == second.lines
    changes = clerk.get(page_of(sheet), {"show": "changes"}).context
    assert [tab.lines for tab in changes["tabs"]] == ["61", "30", "0", "1"]
    assert {line.change for line in changes["page"].lines} == {1}
    [wrong] = clerk.get(page_of(sheet), {"show": "errors"}).context["page"].lines
    assert wrong.sku == "X"


def test_t05_what_looks_like_a_mistake_is_said_and_confirmed_before_it_is_applied(clerk):
    shirt, mug = product(1_200, sku="A"), product(10, sku="B")
    send(clerk, "sku,count,reason\nA,1,234\nB,9,broken\n")
    sheet = worked()
    page = text(clerk.get(page_of(sheet), {"show": "marked"}))

    refused = text(press(clerk, sheet, "apply", follow=True))
    assert "1 line looks like a mistake. Look at what is marked" in refused
    assert worked().state == "checked"
    sent = hidden(clerk, page_of(sheet)) | {"looked_at": "on"}
    clerk.post(page_of(sheet, "apply"), sent)

    assert "1 is read, and 234 stands in the next cell: was it 1234?" in page
    assert "From 1,200 to 1: more than half would be gone." in page
    assert "broken" not in page
    assert 'name="looked_at"' in page
    assert worked().state == "applied"
    assert (stock_of(shirt).total, stock_of(mug).total) == (1, 9)


def test_a_file_without_marks_asks_for_nothing(clerk):
    product(10, sku="A")
    send(clerk, "sku,count\nA,9\n")

    assert "looked_at" not in text(clerk.get(page_of(worked())))


@pytest.mark.parametrize("query", [{"after": "x"}, {"after": "9" * 50}, {"show": "nonsense"}])
def test_an_address_that_makes_no_sense_shows_something(clerk, query):
    send(clerk, "sku,change\nA,5\n")

    assert clerk.get(page_of(worked()), query).status_code == 200


def test_pages_ask_a_fixed_number_of_questions(clerk, django_assert_max_num_queries):
    for position in range(30):
        product(1, sku=f"P{position}")
    send(clerk, "sku,count\n" + "".join(f"P{position},5\n" for position in range(30)))
    sheet = worked()

    with django_assert_max_num_queries(8):
        clerk.get(page_of(sheet))
    with django_assert_max_num_queries(8):
        clerk.get(COUNTS)


def test_whoever_may_only_look_finds_no_buttons_and_no_way_in():
    sheet, _ = processing.upload("a.csv", b"sku,change\nA,5\n", actor=MERCHANT)
    processing.take_a_batch(sheet.pk)
    viewer = client_with("view_sheet")

    page = text(viewer.get(page_of(sheet)))

    assert "Discard" not in page
    assert ADD not in text(viewer.get(COUNTS))
    assert viewer.get(ADD).status_code == 403
    assert send(viewer, "sku,change\nB,5\n").status_code == 403
    for action in ("apply", "revert", "discard"):
        assert viewer.post(page_of(sheet, action)).status_code == 403
    sheet.refresh_from_db()
    assert sheet.state == "checked"


def test_whoever_may_change_stock_and_not_see_counts_sees_none():
    sheet, _ = processing.upload("a.csv", b"sku,change\nA,5\n", actor=MERCHANT)
    stranger = client_with("change_stock")

    assert stranger.get(page_of(sheet)).status_code == 403
    assert stranger.get(page_of(sheet, "progress")).status_code == 403
    assert stranger.post(page_of(sheet, "apply")).status_code == 403
