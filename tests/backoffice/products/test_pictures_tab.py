"""The Pictures tab: what a product shows, put in order, taken away and added to."""

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from inventory.models import Picture, Product
from inventory.services import images, pictures
from tests.backoffice.pages import client_with, filled_in, text
from tests.drawn import drawn, picture
from tests.factories import MERCHANT, product
from tests.http import statements

pytestmark = pytest.mark.django_db

CLERK = ("view_product", "change_product", "add_picture")


def tab(shirt: Product) -> str:
    return f"/admin/inventory/product/{shirt.pk}/pictures/"


def opened(clerk: Client, shirt: Product) -> dict[str, Any]:
    """What the buttons beside the pictures send, whichever is pressed."""
    sent = filled_in(clerk.get(tab(shirt)))
    return {name: sent[name][0] for name in ("once", "seen", "order")}


def showing(*some: Picture, **fields: Any) -> Product:
    shirt = product(name="Linen shirt", **fields)
    pictures.attach(shirt.pk, [each.pk for each in some], actor=MERCHANT)
    return shirt


def shown_by(shirt: Product) -> list[uuid.UUID]:
    return pictures.of_products([shirt.pk])[shirt.pk]


def files(*contents: bytes) -> list[SimpleUploadedFile]:
    return [SimpleUploadedFile(f"{place}.png", each) for place, each in enumerate(contents)]


@pytest.mark.parametrize(
    ("moved", "move", "order"),
    [
        (1, "earlier", [1, 0, 2]),
        (0, "later", [1, 0, 2]),
        (2, "first", [2, 0, 1]),
        (1, "remove", [0, 2]),
        (0, "earlier", [0, 1, 2]),
        (2, "later", [0, 1, 2]),
    ],
)
def test_a_button_moves_a_picture_once(moved, move, order):
    some = [picture(), picture(), picture()]
    shirt, clerk = showing(*some), client_with(*CLERK)
    form = {**opened(clerk, shirt), "move": f"{some[moved].pk}:{move}"}

    answers = [clerk.post(tab(shirt), form, follow=True) for _ in range(2)]

    assert shown_by(shirt) == [some[place].pk for place in order]
    assert "This was recorded already" in text(answers[1])


def test_pictures_are_dragged_into_their_order():
    some = [picture(), picture()]
    shirt, clerk = showing(*some), client_with(*CLERK)
    order = f"{some[1].pk},{some[0].pk}"

    clerk.post(tab(shirt), {**opened(clerk, shirt), "order": order})

    assert shown_by(shirt) == [some[1].pk, some[0].pk]


def test_who_saw_other_pictures_is_told_and_changes_nothing():
    main = picture()
    shirt, clerk = showing(main), client_with(*CLERK)
    form = {**opened(clerk, shirt), "move": f"{main.pk}:remove"}
    pictures.attach(shirt.pk, [picture().pk], actor=MERCHANT)

    answer = clerk.post(tab(shirt), form, follow=True)

    assert "changed since this page was opened" in text(answer)
    assert len(shown_by(shirt)) == 2


@pytest.mark.parametrize("sent", [{}, {"move": "x:first"}, {"order": "x"}, {"seen": "[1]"}])
def test_what_makes_no_sense_changes_nothing(sent):
    main = picture()
    shirt, clerk = showing(main), client_with(*CLERK)

    answer = clerk.post(tab(shirt), {**opened(clerk, shirt), **sent}, follow=True)

    assert "nothing was done" in text(answer)
    assert shown_by(shirt) == [main.pk]


def test_several_are_uploaded_at_once_and_what_is_none_is_named():
    shirt, clerk = showing(), client_with(*CLERK)
    sent = files(drawn(), b"rubbish", drawn())

    answer = clerk.post(tab(shirt), {"files": sent}, follow=True)

    assert len(shown_by(shirt)) == 2
    assert "2 pictures were uploaded." in text(answer)
    assert "1.png: This is not a whole picture" in text(answer)
    assert "Choose a picture." in text(clerk.post(tab(shirt), {}, follow=True))


def test_a_script_is_told_what_became_of_its_picture(monkeypatch):
    shirt, clerk = showing(), client_with(*CLERK)

    def send(*contents: bytes) -> dict[str, Any]:
        script = {"Accept": "application/json"}
        told: dict[str, Any] = clerk.post(
            tab(shirt), {"files": files(*contents)}, headers=script
        ).json()
        return told

    assert send(drawn()) == {"error": "", "again": None}
    assert "SVG" in send(b"<svg/>")["error"]
    with images._turn:
        monkeypatch.setattr(images, "TURN_SECONDS", 0.001)
        assert send(drawn())["again"] == 2


def test_the_twenty_first_picture_is_refused():
    shirt, clerk = showing(*[picture() for _ in range(20)]), client_with(*CLERK)

    answer = clerk.post(tab(shirt), {"files": files(drawn())}, follow=True)

    assert "at most 20 pictures" in text(answer)
    assert len(shown_by(shirt)) == 20


def test_more_files_than_a_form_may_have_are_refused_before_they_are_read():
    shirt, clerk = showing(), client_with(*CLERK)

    answer = clerk.post(tab(shirt), {"files": files(*[b"x"] * 21)})

    assert answer.status_code in {400, 413}
    assert shown_by(shirt) == []


@pytest.mark.parametrize("lacking", ["change_product", "add_picture"])
def test_who_may_not_uploads_nothing(lacking):
    shirt = showing()
    somebody = client_with(*(each for each in CLERK if each != lacking))

    assert somebody.post(tab(shirt), {"files": files(drawn())}).status_code == 403
    assert "Pictures to upload" not in text(somebody.get(tab(shirt)))
    assert not Picture.objects.exists()


def test_a_picture_from_elsewhere_is_shown_to_nobody_who_did_not_ask():
    shirt, clerk = showing(image_url="https://cdn.example.com/a.png"), client_with(*CLERK)

    page = text(clerk.get(tab(shirt)))

    assert 'data-address="https://cdn.example.com/a.png"' in page
    assert 'src="https://cdn' not in page


def test_the_page_costs_the_same_however_many_pictures_there_are():
    few, many = showing(picture()), showing(*[picture() for _ in range(5)])
    clerk = client_with(*CLERK)
    clerk.get(tab(few))

    assert statements(lambda: clerk.get(tab(few))) == statements(lambda: clerk.get(tab(many)))


def test_the_address_of_a_picture_elsewhere_begins_with_https_unless_it_is_left_alone():
    shirt, clerk = showing(image_url="http://cdn.example.com/a.png"), client_with(*CLERK)
    page = f"/admin/inventory/product/{shirt.pk}/change/"
    form = {name: values[0] for name, values in filled_in(clerk.get(page)).items()}
    form = {name: value for name, value in form.items() if not name.startswith("_")}

    renamed = clerk.post(page, {**form, "name": "Renamed", "description": ""})
    refused = clerk.post(page, {**form, "image_url": "http://cdn.example.com/b.png"})

    shirt.refresh_from_db()
    assert (renamed.status_code, shirt.name) == (302, "Renamed")
    assert shirt.image_url == "http://cdn.example.com/a.png"
    assert "begins with https://" in text(refused)


def test_whoever_may_only_see_products_moves_no_picture():
    some = [picture(), picture()]
    shirt = showing(*some)
    form = {**opened(client_with(*CLERK), shirt), "move": f"{some[1].pk}:first"}
    User.objects.all().delete()

    answer = client_with("view_product").post(tab(shirt), form)

    assert answer.status_code == 403
    assert shown_by(shirt) == [each.pk for each in some]
