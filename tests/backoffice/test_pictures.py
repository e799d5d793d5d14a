"""The page of all pictures: uploaded, found, and deleted once no product shows them."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from backoffice import pictures as pages
from inventory.models import Picture
from inventory.services import pictures
from tests.backoffice.pages import client_with, send, text
from tests.drawn import drawn, picture
from tests.factories import MERCHANT, paid_order, product
from tests.http import statements

pytestmark = pytest.mark.django_db

LIST = "/admin/inventory/picture/"
CLERK = ("view_picture", "add_picture", "delete_picture", "view_product")


def page_of(kept: Picture) -> str:
    return f"{LIST}{kept.pk}/change/"


def used() -> Picture:
    kept = picture("used.png")
    pictures.attach(product(name="Linen shirt").pk, [kept.pk], actor=MERCHANT)
    return kept


def test_pictures_are_uploaded_and_found_by_name():
    clerk = client_with(*CLERK)
    sent = [SimpleUploadedFile(f"{name}.png", drawn()) for name in ("Hat", "mug")]

    uploaded = clerk.post(f"{LIST}add/", {"files": sent}, follow=True)

    assert "2 pictures were uploaded." in text(uploaded)
    found = text(clerk.get(f"{LIST}?q=hat"))
    assert ("Hat.png" in found, "mug.png" in found) == (True, False)
    assert "No picture has “cap” in its name." in text(clerk.get(f"{LIST}?q=cap"))


def test_the_list_is_walked_from_the_newest_on(monkeypatch):
    monkeypatch.setattr(pages, "A_PAGE", 2)
    names = ["a.png", "b.png", "c.png"]
    for name in names:
        picture(name)
    clerk = client_with(*CLERK)

    first = clerk.get(LIST)
    older = first.context["page"].older
    second = clerk.get(f"{LIST}?{older}")

    assert [each.name for each in first.context["page"].pictures] == ["c.png", "b.png"]
    assert [each.name for each in second.context["page"].pictures] == ["a.png"]
    assert second.context["page"].older == ""
    assert clerk.get(f"{LIST}?before=x&show=y").status_code == 200


def test_who_shows_a_picture_is_told_and_it_is_not_deleted():
    kept, clerk = used(), client_with(*CLERK)

    assert "Shown by 1 product" in text(clerk.get(LIST))
    assert "Linen shirt" in text(clerk.get(page_of(kept)))
    assert "Products show this picture" in text(send(clerk, f"{LIST}{kept.pk}/delete/"))
    assert Picture.objects.count() == 1


def test_an_unused_picture_is_deleted():
    kept, clerk = picture(), client_with(*CLERK)

    answer = send(clerk, f"{LIST}{kept.pk}/delete/", follow=True)

    assert "shirt.png is deleted." in text(answer)
    assert not Picture.objects.exists()


def test_all_unused_pictures_are_deleted_as_they_were_told():
    kept, clerk = used(), client_with(*CLERK)
    picture(), picture()
    page = f"{LIST}delete-unused/"
    seen = clerk.get(page)
    newer = picture()
    again = clerk.post(page, {field.html_name: field.value() for field in seen.context["form"]})

    assert "shows 2 of the pictures" in text(seen)
    assert "It changed since this form was opened" in text(again)
    newer.delete()
    assert "2 pictures were deleted." in text(send(clerk, page, follow=True))
    assert [each.pk for each in Picture.objects.all()] == [kept.pk]
    assert "Every picture is shown by a product." in text(clerk.get(page))


@pytest.mark.parametrize("page", ["", "add/", "delete-unused/", "{}/change/", "{}/delete/"])
def test_who_may_see_no_pictures_sees_none_of_the_pages(page):
    kept, somebody = picture(), client_with("view_product")

    assert somebody.get(f"{LIST}{page}".format(kept.pk)).status_code == 403
    assert somebody.post(f"{LIST}{page}".format(kept.pk)).status_code == 403


def test_the_list_costs_the_same_however_many_there_are():
    clerk = client_with(*CLERK)
    used()
    clerk.get(LIST)
    few = statements(lambda: clerk.get(LIST))
    used(), picture()

    assert statements(lambda: clerk.get(LIST)) == few


def test_small_pictures_stand_in_lists_orders_and_pick_lists():
    shirt = product(9, name="Linen shirt")
    kept = picture()
    pictures.attach(shirt.pk, [kept.pk], actor=MERCHANT)
    order = paid_order({shirt: 1})
    clerk = client_with("view_product", "view_order", "change_stock", "view_stock")
    small = f"/media/{kept.pk.hex}-96.webp"

    for path in (
        "/admin/inventory/product/",
        "/admin/inventory/product/stock-sheet/",
        f"/admin/orders/order/{order.pk}/change/",
        f"/admin/orders/order/print/?order={order.pk}",
    ):
        assert small in text(clerk.get(path)), path
