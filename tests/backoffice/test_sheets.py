"""The pages of counting by file, without a browser: who may, what is said, what is sent once."""

import csv
import io
from datetime import UTC, date, datetime
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from api import clock
from backoffice.sheets import admin as sheets
from inventory.models import Action, Sheet, SheetContent, StockTransaction
from inventory.services import stock as inventory
from inventory.services.sheets import processing, reading
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

    page = text(send(clerk, "sku,count\nA,12\nX,1\n"))
    sheet = Sheet.objects.get()
    assert "Applying it makes 1 change: 2 units more, 0 fewer." in page
    assert "1 line has an error and is left alone." in page
    assert "No product has this sku." in page

    page = text(press(clerk, sheet, "apply", follow=True))
    assert "It made 1 change: 2 units more, 0 fewer." in page
    assert stock_of(shirt).total == 12

    page = text(press(clerk, sheet, "revert", follow=True))
    assert "It made 1 change: 2 units more, 0 fewer, all taken back." in page
    assert stock_of(shirt).total == 10
    assert StockTransaction.objects.latest("pk").actor_name == "jonas"


def test_f39_a_wrong_column_is_asked_about(clerk):
    response = send(clerk, "sku,cuont\nA,12\n")

    assert "What are the columns of shelf.csv?" in text(response)
    assert Sheet.objects.get().state == "mapping"


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


def test_a_button_pressed_twice_works_once(clerk, monkeypatch):
    monkeypatch.setattr(processing, "AT_ONCE", 0)
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


def test_progress_is_told_until_there_is_none(clerk, monkeypatch):
    monkeypatch.setattr(processing, "AT_ONCE", 0)
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


def test_a_large_workbook_is_read_by_a_job_and_the_page_says_so(clerk, monkeypatch):
    monkeypatch.setattr(reading, "SMALL", 0)
    product(10, sku="A")

    page = text(send(clerk, "sku,count\nA,8\n"))
    assert "The file is being read." in page
    assert "Holds" not in page
    sheet = Sheet.objects.get()
    assert "The file is being read." in text(clerk.get(page_of(sheet, "progress")))
    processing.work_on(sheet.pk)

    assert "Applying it makes 1 change" in text(clerk.get(page_of(sheet)))
    assert not SheetContent.objects.exists()


def test_what_a_job_could_not_read_is_said_and_can_be_discarded(clerk, monkeypatch):
    monkeypatch.setattr(reading, "SMALL", 0)
    send(clerk, 'sku,count\nA,8\n"B,9\n')
    sheet = Sheet.objects.get()
    processing.work_on(sheet.pk)

    page = text(clerk.get(page_of(sheet)))
    assert "Line 3 cannot be read" in page
    assert "not readable" in text(clerk.get(COUNTS))
    press(clerk, sheet, "discard")
    assert not Sheet.objects.exists()


UNKNOWN = "Artikel;Stück;Ort;Zeit\n0042;1.234;B4;03/04/2026 10:30\n"
CHOSEN = {"column_0": "sku", "column_1": "count", "column_2": "", "column_3": "counted_at"}


def test_t06_columns_are_chosen_beside_what_stands_in_them_and_remembered(clerk):
    shirt = product(10, sku="0042")
    with clock.replaced(lambda: datetime(2026, 4, 20, tzinfo=UTC)):
        page = text(send(clerk, UNKNOWN))
    sheet = Sheet.objects.get()
    assert "What are the columns of shelf.csv?" in page
    assert "1.234" in page
    form = hidden(clerk, page_of(sheet)) | CHOSEN

    asked = text(clerk.post(page_of(sheet, "columns"), form))
    assert "Say how this is meant: 03/04/2026 10:30." in asked
    assert "1.234 is 1234" in asked
    clerk.post(
        page_of(sheet, "columns"), form | {"day_first": "yes", "decimal_comma": "yes"}, follow=True
    )

    sheet.refresh_from_db()
    [line] = sheet.lines
    assert (sheet.state, line.sku, line.units) == ("checked", "0042", 1234)
    assert line.product_id == shirt.pk
    assert line.counted_at.date() == date(2026, 4, 3)
    # The next one is not asked about.
    again = text(send(clerk, UNKNOWN.replace("B4", "B5")))
    assert "What are the columns" not in again


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"column_1": ""}, "Say which column is: Count: units there are in all"),
        ({"column_0": ""}, "Say which column is: SKU or Barcode"),
        ({"column_2": "count"}, "Only one column can be: Count"),
        ({"column_2": "nonsense"}, "Select a valid choice"),
        ({"column_2": "change"}, "A file of c"),
    ],
)
def test_columns_that_do_not_do_are_refused_where_they_were_chosen(clerk, chosen, said):
    send(clerk, UNKNOWN)
    sheet = Sheet.objects.get()
    form = hidden(clerk, page_of(sheet)) | CHOSEN | {"day_first": "yes", "decimal_comma": "no"}

    response = clerk.post(page_of(sheet, "columns"), form | chosen)

    assert response.status_code == 200
    assert said in text(response)
    sheet.refresh_from_db()
    assert sheet.state == "mapping"


def test_columns_can_be_changed_until_the_file_is_applied(clerk):
    product(10, sku="A")
    send(clerk, "sku,count,reason\nA,1,8\nA,,9\n")
    sheet = Sheet.objects.get()
    assert "Say nothing, left out" not in text(clerk.get(page_of(sheet)))

    page = text(press(clerk, sheet, "change_columns", follow=True))
    assert "What are the columns of shelf.csv?" in page
    form = hidden(clerk, page_of(sheet)) | {"column_0": "sku", "column_1": "", "column_2": "count"}
    clerk.post(page_of(sheet, "columns"), form)

    sheet.refresh_from_db()
    assert [line.units for line in sheet.lines.order_by("number")] == [8, 9]
    assert (sheet.state, sheet.refused) == ("checked", 2)
    press(clerk, sheet, "discard")


def test_lines_left_out_come_back_when_other_columns_are_chosen(clerk):
    product(10, sku="A")
    product(10, sku="B")
    send(clerk, "sku,count,shelf\nA,,8\nB,9,7\n")
    sheet = Sheet.objects.get()
    form = hidden(clerk, page_of(sheet)) | {"column_0": "sku", "column_1": "count", "column_2": ""}
    clerk.post(page_of(sheet, "columns"), form)
    sheet.refresh_from_db()
    assert (sheet.lines_total, sheet.left_out) == (1, 1)

    press(clerk, sheet, "change_columns")
    form = hidden(clerk, page_of(sheet)) | {"column_0": "sku", "column_1": "", "column_2": "count"}
    clerk.post(page_of(sheet, "columns"), form)

    sheet.refresh_from_db()
    assert (sheet.lines_total, sheet.left_out) == (2, 0)
    assert [line.units for line in sheet.lines.order_by("number")] == [8, 7]


def refused_of(client: Client, sheet: Sheet) -> str:
    response = client.get(page_of(sheet, "refused"))
    return b"".join(response.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]


def test_refused_lines_come_as_a_file_with_why_and_can_be_sent_again(clerk):
    product(10, sku="A")
    product(10, sku="=B")
    send(clerk, "SKU ,Reason,Count\nA,,8\n=B,-,-5\n")
    sheet = Sheet.objects.get()

    content = refused_of(clerk, sheet)

    [header, line] = csv.reader(io.StringIO(content))
    assert header == ["SKU", "Reason", "Count", "counted_at", "why refused"]
    assert line[:3] == ["'=B", "'-", "-5"]
    assert datetime.fromisoformat(line[3]) == sheet.created_at
    assert line[4] == "A count cannot be below zero."
    # Corrected, and sent again: nothing is asked.
    page = text(send(clerk, content.replace("-5", "5")))
    assert "Applying it makes 1 change" in page
    [again] = Sheet.objects.latest("pk").lines
    assert (again.sku, again.units, again.counted_at) == ("=B", 5, sheet.created_at)


def test_refused_lines_of_an_applied_file_are_tried_again_once(clerk):
    shirt = product(10, sku="A")
    paid_order({shirt: 8})
    mug = product(10, sku="B")
    send(clerk, "sku,count\nA,5\nB,9\n")
    sheet = Sheet.objects.get()
    press(clerk, sheet, "apply")
    assert "1 line has an error" in text(clerk.get(page_of(sheet)))
    inventory.record(shirt.pk, Action.INCREMENT, 5, actor=MERCHANT)

    first = press(clerk, sheet, "again", follow=True)
    second = press(clerk, sheet, "again", follow=True)

    again = Sheet.objects.latest("pk")
    assert again.name == "Again: shelf.csv"
    assert [each.redirect_chain[-1][0] for each in (first, second)] == [page_of(again)] * 2
    # What was counted was counted then, before the five came.
    [line] = again.lines
    assert (line.number, line.counted_at, line.change) == (2, sheet.created_at, -5)
    press(clerk, again, "apply")
    assert (stock_of(shirt).total, stock_of(mug).total) == (10, 9)


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
    header = ";".join(f"x{place}" for place in range(40))
    send(clerk, f"sku;count;{header}\nA;1.234;\n")
    with django_assert_max_num_queries(14):
        clerk.get(page_of(Sheet.objects.latest("pk")))


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
