"""Files over HTTP: the pictures of products, as the contract words them."""

import uuid
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from inventory.models import Picture, Product
from inventory.services import images, pictures
from tests.drawn import drawn, picture
from tests.factories import MERCHANT, filled_cart, product
from tests.http import Api, a_moment, an_id, assert_shape, statements

pytestmark = pytest.mark.django_db

FILE = {
    "id": an_id,
    "type": "file",
    "file_name": "shirt.png",
    "mime_type": "image/webp",
    "file_size": int,
    "public": True,
    "link": {"href": str, "meta": {}},
    "meta": {
        "dimensions": {"width": 60, "height": 40},
        "smaller": [{"pixels": int, "href": str}],
        "timestamps": {"created_at": a_moment},
    },
    "links": {"self": str},
}


def upload(api: Api, content: bytes, name: str = "shirt.png", *, key: str = "", **form: Any) -> Any:
    sent = {"file": SimpleUploadedFile(name, content), **form}
    return send(api, sent, key=key)


def send(api: Api, form: dict[str, Any], *, key: str = "") -> Any:
    body = encode_multipart(BOUNDARY, form)
    return api.send("POST", "/v2/files", body, content_type=MULTIPART_CONTENT, key=key)


def shown_by(*some: Picture) -> Product:
    shirt = product(stock=9, image_url="https://cdn.example.com/shirt.png")
    pictures.attach(shirt.pk, [each.pk for each in some], actor=MERCHANT)
    return shirt


def test_a_file_is_uploaded_told_of_served_and_deleted(back_office):
    answer = upload(back_office, drawn())
    told = answer.json()["data"]
    served = Client().get(told["link"]["href"])

    assert answer.status_code == 201
    assert_shape(told, FILE)
    for each in told["meta"]["smaller"]:
        assert Client().get(each["href"]).status_code == 200
    assert told["links"]["self"] == f"http://testserver/v2/files/{told['id']}"
    assert served["Content-Type"] == "image/webp"
    assert served["X-Content-Type-Options"] == "nosniff"
    assert "immutable" in served["Cache-Control"]
    assert "default-src 'none'" in served["Content-Security-Policy"]
    assert len(served.content) == told["file_size"]
    assert back_office.get(f"/v2/files/{told['id']}").json()["data"] == told
    assert back_office.get("/v2/files").json()["data"] == [told]
    assert back_office.delete(f"/v2/files/{told['id']}").status_code == 204
    assert back_office.get(f"/v2/files/{told['id']}").status_code == 404
    assert Client().get(told["link"]["href"]).status_code == 404


def test_large_files_are_taken_and_larger_ones_refused_before_they_are_read(back_office):
    file = drawn("PNG", (1500, 1200), mode="RGB", compress_level=0)
    assert len(file) > 5_000_000

    assert upload(back_office, file).status_code == 201
    assert upload(back_office, bytes(images.BYTES_MAX + 1)).json()["errors"] == [
        {
            "status": 422,
            "title": "Failed Validation",
            "detail": "A picture has at most 10 MB.",
            "source": "file",
            "code": "picture_too_large",
        }
    ]
    assert upload(back_office, bytes(images.BYTES_MAX + 70_000)).status_code == 413


def test_the_same_file_and_the_same_key_are_answered_alike(back_office):
    content = drawn()
    first = upload(back_office, content, key="once")

    again = upload(back_office, content, key="once")
    other_name = upload(back_office, content, "hat.png")

    assert again["Idempotent-Replayed"] == "true"
    assert first.json() == again.json() == other_name.json()
    assert upload(back_office, drawn(), key="once").status_code == 422


@pytest.mark.parametrize(
    ("form", "status", "source"),
    [
        ({}, 400, "file"),
        ({"file": "no file"}, 400, "file"),
        ({"file_location": "https://example.com/a.png"}, 422, "file_location"),
        ({"file": SimpleUploadedFile("a.png", b"rubbish"), "public": "false"}, 422, "public"),
        ({"file": SimpleUploadedFile("a.png", b"rubbish")}, 422, "file"),
        ({"file": SimpleUploadedFile("a.svg", b"<svg/>")}, 422, "file"),
    ],
    ids=range(6),
)
def test_what_is_no_picture_is_refused_with_its_field(back_office, form, status, source):
    answer = send(back_office, form)

    assert answer.status_code == status
    assert [error["source"] for error in answer.json()["errors"]] == [source]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "application/json", 415),
        (b"file=a", "application/x-www-form-urlencoded", 415),
        (b"", MULTIPART_CONTENT, 400),
        (b"rubbish", MULTIPART_CONTENT, 400),
        (b"rubbish", "multipart/form-data", 400),
    ],
    ids=range(5),
)
def test_a_body_that_is_no_form_with_a_file_is_refused(back_office, body, kind, status):
    assert back_office.send("POST", "/v2/files", body, content_type=kind).status_code == status


def test_files_are_for_administrators(storefront):
    kept = picture()

    for answer in (
        upload(storefront, drawn()),
        storefront.get("/v2/files"),
        storefront.get(f"/v2/files/{kept.pk}"),
        storefront.delete(f"/v2/files/{kept.pk}"),
    ):
        assert answer.status_code == 403


def test_files_are_filtered_and_sorted(back_office):
    small, large = picture("b.png"), picture("a.png", drawn(size=(99, 40)))

    def found(query: str) -> list[str]:
        return [each["id"] for each in back_office.get(f"/v2/files?{query}").json()["data"]]

    assert found("") == [str(large.pk), str(small.pk)]
    assert found("sort=created_at") == [str(small.pk), str(large.pk)]
    assert found("filter=like(file_name,*A.p*)") == [str(large.pk)]
    assert found("filter=lt(width,99):ge(height,40)") == [str(small.pk)]


def test_a_file_that_a_product_shows_stays(back_office):
    kept = picture()
    shown_by(kept)

    refused = back_office.delete(f"/v2/files/{kept.pk}")

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["code"] == "file_in_use"
    assert back_office.delete(f"/v2/files/{uuid.uuid4()}").status_code == 404


def test_a_product_names_its_pictures_and_tells_of_them_by_include(storefront, back_office):
    main, other = picture(), picture()
    shirt = shown_by(main, other)
    told = back_office.get(f"/v2/files/{main.pk}").json()["data"]

    one = storefront.get(f"/v2/products/{shirt.pk}?include=main_image").json()
    many = storefront.get("/v2/products?include=main_image,files").json()
    plain = storefront.get("/v2/products").json()

    assert one["data"]["relationships"] == {
        "main_image": {"data": {"type": "main_image", "id": str(main.pk)}},
        "files": {"data": [{"type": "file", "id": str(each.pk)} for each in (main, other)]},
    }
    assert one["data"]["image_url"] == told["link"]["href"]
    assert one["included"] == {"main_images": [told]}
    assert many["included"]["main_images"] == [told]
    assert [each["id"] for each in many["included"]["files"]] == [str(main.pk), str(other.pk)]
    assert "included" not in plain


def test_a_product_can_be_written_back_as_it_was_told(back_office):
    shirt = shown_by(picture())
    told = back_office.get(f"/v2/products/{shirt.pk}").json()["data"]

    answer = back_office.put(f"/v2/products/{shirt.pk}", told)
    other = {"relationships": {"main_image": {"data": {"type": "main_image", "id": "x"}}}}
    refused = back_office.put(f"/v2/products/{shirt.pk}", other)

    shirt.refresh_from_db()
    assert answer.status_code == 200
    assert shirt.image_url == "https://cdn.example.com/shirt.png"
    assert refused.status_code == 422


def test_pictures_from_elsewhere_come_over_https_but_for_those_that_are_there(back_office):
    shirt = product(image_url="http://cdn.example.com/shirt.png")
    path = f"/v2/products/{shirt.pk}"

    kept = back_office.put(path, {"image_url": shirt.image_url, "name": "Renamed"})
    refused = back_office.put(path, {"image_url": "http://cdn.example.com/other.png"})

    assert (kept.status_code, kept.json()["data"]["name"]) == (200, "Renamed")
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["source"] == "data.image_url"


def test_a_cart_shows_the_main_picture(storefront):
    kept = picture()
    cart = filled_cart({shown_by(kept): 1})

    (item,) = storefront.get(f"/v2/carts/{cart}/items").json()["data"]

    assert item["image"] == {
        "mime_type": "image/webp",
        "file_name": "shirt.png",
        "href": f"http://testserver/media/{kept.pk.hex}-1600.webp",
    }


def test_a_list_costs_the_same_however_many_pictures_there_are(storefront):
    path = "/v2/products?include=main_image,files"
    shown_by(picture())
    storefront.get(path)
    few = statements(lambda: storefront.get(path))

    for _ in range(3):
        shown_by(picture(), picture())

    assert statements(lambda: storefront.get(path)) == few


def test_nothing_but_files_of_pictures_is_served():
    for path in ("/media/", "/media/../manage.py", "/media/a/b.webp", f"/media/{'0' * 32}-97.webp"):
        assert Client().get(path).status_code == 404
    assert Client().post(f"/media/{'0' * 32}-96.webp").status_code == 405
