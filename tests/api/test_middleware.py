"""What is compressed, and what is told only once."""

import gzip
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, cast

import pytest
from django.contrib.auth.models import User
from django.test import Client

from inventory.models import Action
from inventory.services import currencies
from inventory.services import stock as inventory
from inventory.services.products import Money
from payments.services.payments import PaymentRequest, pay
from tests.factories import MERCHANT, filled_cart, paid_order, product, unpaid_order
from tests.http import Api, administrator, shopper

pytestmark = pytest.mark.django_db


def is_compressed(answer: Any) -> Any:
    return "gzip" in answer.get("Content-Encoding", "")


def gotten(api: Api, path: str, accepted: str = "gzip") -> Any:
    return api.client.get(path, headers={**api.headers, "Accept-Encoding": accepted})


# Compression.


@pytest.mark.parametrize("path", ["/v2/products", "/v2/openapi.json"])
def test_t37_long_answers_are_compressed(storefront, path):
    for _ in range(10):
        product()

    plain, compressed = gotten(storefront, path, ""), gotten(storefront, path)

    assert not is_compressed(plain)
    assert is_compressed(compressed)
    assert gzip.decompress(compressed.content) == plain.content
    assert len(compressed.content) < len(plain.content) / 4
    assert int(compressed["Content-Length"]) == len(compressed.content)
    assert all("Accept-Encoding" in answer["Vary"] for answer in (plain, compressed))


@pytest.mark.parametrize(
    ("accepted", "takes_it"),
    [
        *(("gzip", True), ("br, gzip", True), ("deflate,gzip;q=0.5, br", True)),
        *(("", False), ("br", False), ("gzip;q=0", False), ("gzip; q=0.000, br", False)),
        *(("gzip;Q=0", False), ("identity", False), ("x-gzipped", False)),
    ],
)
def test_only_who_takes_gzip_gets_it(storefront, accepted, takes_it):
    for _ in range(3):
        product()

    assert is_compressed(gotten(storefront, "/v2/products", accepted)) == takes_it


def test_head_tells_of_an_answer_what_get_does(storefront):
    for _ in range(3):
        product()

    got = gotten(storefront, "/v2/products")
    told = storefront.client.head(
        "/v2/products", headers={**storefront.headers, "Accept-Encoding": "gzip"}
    )

    assert (is_compressed(told), told.content) == (True, b"")
    assert [told[name] for name in ("ETag", "Vary")] == [got[name] for name in ("ETag", "Vary")]


def test_what_is_short_is_not_compressed(storefront):
    assert not is_compressed(gotten(storefront, "/v2/products"))


def test_what_changes_something_is_answered_uncompressed(storefront):
    shirts = [product(stock=9) for _ in range(9)]
    cart = filled_cart(dict.fromkeys(shirts, 1))
    line = {"type": "cart_item", "id": str(shirts[0].pk), "quantity": 1}

    added = storefront.post(f"/v2/carts/{cart}/items", line, Accept_Encoding="gzip")

    assert len(added.content) > 5_000
    assert not is_compressed(added)


def test_what_holds_a_secret_is_not_compressed(storefront):
    order = paid_order({product(stock=1): 1})
    admin = Client()
    admin.force_login(User.objects.create_superuser("owner"))

    payment = PaymentRequest("manual", custom_reference="x" * 200, name="x" * 200)
    parts = unpaid_order({product(stock=1, price=500): 1})
    for _ in range(2):
        pay(parts.pk, replace(payment, amount=100), actor=MERCHANT)

    answers = [
        gotten(storefront, f"/v2/carts/{order.cart_id}/orders"),
        gotten(administrator(), f"/v2/orders/{parts.pk}/transactions"),
        admin.get("/admin/api/apiclient/", headers={"Accept-Encoding": "gzip"}),
    ]

    for answer in answers:
        assert (answer.status_code, is_compressed(answer)) == (200, False)
        assert len(answer.content) > 1_000


@pytest.mark.parametrize("path", ["/admin/", "/admin/inventory/product/export/"])
def test_pages_and_exports_are_compressed(path):
    admin = Client()
    admin.force_login(User.objects.create_superuser("owner"))
    product(stock=2, name="Linen shirt")

    answer = admin.get(path, headers={"Accept-Encoding": "gzip"})

    assert is_compressed(answer)
    parts = cast("Iterable[bytes]", answer) if answer.streaming else [answer.content]
    assert gzip.decompress(b"".join(parts)) != b""


# What the caller knows already.


@pytest.mark.parametrize("path", ["/v2/products", "/v2/products/{id}", "/v2/currencies"])
@pytest.mark.parametrize("caller", [shopper, administrator])
def test_t37_what_has_not_changed_is_told_once(path, caller):
    api = caller()
    address = path.replace("{id}", str(product(stock=5).pk))
    first = api.get(address)
    etag = first["ETag"]

    assert first["Cache-Control"] == "private, no-cache"
    assert "X-Moltin-Currency" in first["Vary"]
    for known in (etag, etag.removeprefix("W/"), f'"other", {etag}', "*"):
        again = api.get(address, If_None_Match=known)
        assert (again.status_code, again.content) == (304, b""), known
        assert [again[name] for name in ("ETag", "Cache-Control")] == [etag, "private, no-cache"]
    for unknown in ('"other"', "nonsense", ""):
        assert api.get(address, If_None_Match=unknown).content == first.content


def test_a_change_of_stock_or_currency_is_told(storefront):
    shirt = product(stock=1, prices=[Money("USD", 1000)])
    currencies.create(code="EUR", format="€{price}", actor=MERCHANT)
    address = f"/v2/products/{shirt.pk}"
    etag = storefront.get(address)["ETag"]

    in_euros = storefront.get(address, If_None_Match=etag, X_Moltin_Currency="EUR")
    inventory.record(shirt.pk, Action.DECREMENT, 1, actor=MERCHANT)
    sold_out = storefront.get(address, If_None_Match=etag)

    assert in_euros.status_code == 200
    assert sold_out.json()["data"]["meta"]["stock"]["availability"] == "out-stock"
    assert sold_out["ETag"] != etag


def test_a_compressed_answer_has_the_same_name(storefront):
    for _ in range(5):
        product()
    compressed = gotten(storefront, "/v2/products")

    assert is_compressed(compressed)
    assert compressed["ETag"] == gotten(storefront, "/v2/products", "")["ETag"]
    again = storefront.get("/v2/products", If_None_Match=compressed["ETag"], Accept_Encoding="gzip")
    assert again.status_code == 304
    assert "Accept-Encoding" in again["Vary"]


def test_nothing_else_is_kept(storefront):
    back_office, cart = administrator(), filled_cart({product(stock=3): 1})
    lines = back_office.get(f"/v2/carts/{cart}")
    refused = storefront.get("/v2/products?sort=colour", If_None_Match="*")
    made = back_office.post("/v2/products", {"name": "Cap", "sku": "CAP", "price": []})

    for answer in (lines, refused, made, back_office.get("/v2/inventories")):
        assert answer["Cache-Control"] == "no-store"
        assert "ETag" not in answer


# Addresses.


def test_t37_images_of_ours_have_absolute_addresses(storefront):
    ours = product(stock=1, image_url="/static/shirt.svg")
    theirs = product(stock=1, image_url="https://cdn.example.com/shirt.svg")
    cart = filled_cart({ours: 1, theirs: 1, product(stock=1): 1})

    shown = storefront.get("/v2/products?sort=created_at").json()["data"]
    items = storefront.get(f"/v2/carts/{cart}/items").json()["data"]

    absolute = "http://testserver/static/shirt.svg"
    assert [each["image_url"] for each in shown] == [absolute, theirs.image_url, ""]
    assert [each["image"]["href"] for each in items] == [absolute, theirs.image_url, ""]


def test_an_image_that_is_written_back_as_it_was_told_stays_as_it_was():
    ours, back_office = product(image_url="/static/shirt.svg"), administrator()
    told = back_office.get(f"/v2/products/{ours.pk}").json()["data"]["image_url"]

    back_office.put(f"/v2/products/{ours.pk}", {"image_url": told})

    ours.refresh_from_db()
    assert ours.image_url == "/static/shirt.svg"


@pytest.mark.parametrize("beyond", [":9000/shirt.png", ".example/shirt.png", "//cdn/shirt.png"])
def test_t37_an_image_of_a_host_that_begins_like_ours_stays_where_it_is(beyond):
    shirt, theirs = product(), f"http://testserver{beyond}"

    answer = administrator().put(f"/v2/products/{shirt.pk}", {"image_url": theirs})

    # It would be kept without its host if it were ours.
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] == "field_address"
