"""The line that each request leaves in the log."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from api.models import ApiClient
from api.transactions import Stale
from orders.services import orders
from tests.factories import product, unpaid_order
from tests.http import BUYER, Api
from tests.logged import lines, logged

pytestmark = pytest.mark.django_db


def line_of(call: Callable[[], Any]) -> dict[str, Any]:
    with logged("WARNING") as written:
        call()
    [line] = lines(written, event="request")
    return line


def test_a_line_says_who_did_what_and_how_it_went(back_office: Api):
    shirt = product(stock=3)
    back_office.add_to_cart("secret-cart", str(shirt.pk), 1)
    order: list[str] = []

    def check_out() -> None:
        answer = back_office.post("/v2/carts/secret-cart/checkout", BUYER)
        order.append(answer.json()["data"]["id"])
        order.append(answer["X-Request-Id"])
        order.append(str(len(answer.content)))

    line = line_of(check_out)

    assert line["level"] == "info"
    assert line["logger"] == "holdfast.requests"
    assert line["method"] == "POST"
    assert line["route"] == "v2/carts/<cart_id:cart_id>/checkout"
    assert line["status"] == 201
    assert line["ms"] > 0
    assert line["client"] == ApiClient.objects.get().client_id
    assert [line["order"], line["request_id"], str(line["bytes"])] == order
    assert "secret-cart" not in str(line)


def test_a_line_about_money_names_order_and_payment(back_office: Api):
    order = unpaid_order({product(stock=1): 1})
    paid: list[str] = []
    line = line_of(lambda: paid.append(back_office.pay(str(order.pk)).json()["data"]["id"]))

    assert line["order"] == str(order.pk)
    assert [line["payment"]] == paid

    path = f"/v2/orders/{order.pk}/transactions/{paid[0]}"
    line = line_of(lambda: back_office.get(path))
    assert (line["order"], line["payment"]) == (str(order.pk), paid[0])


def test_a_person_is_told_by_number_and_is_not_looked_up_for_the_line():
    owner = User.objects.create_superuser("owner", password="x")
    browser = Client()
    browser.force_login(owner)

    assert line_of(lambda: browser.get("/admin/"))["person"] == str(owner.pk)
    line = line_of(lambda: browser.get("/nowhere"))
    assert line["route"] == "none"
    assert not {"person", "client"} & line.keys()


def test_a_refusal_has_a_line_like_any_other():
    line = line_of(lambda: Client().get("/v2/orders"))

    assert (line["status"], line["route"]) == (401, "v2/orders")


def test_health_and_files_have_one_for_those_who_look_for_faults_alone():
    with logged("WARNING") as written:
        Client().get("/health/live")
        Client().get("/static/api/favicon.svg")
        Client().get("/media/nothing.webp")
    assert lines(written, event="request") == []

    with logged("DEBUG") as written:
        Client().get("/health/live")
    assert [line["level"] for line in lines(written, event="request")] == ["debug"]


def test_what_was_begun_again_is_in_the_line(back_office: Api, monkeypatch):
    made = orders.place
    failed: list[int] = []

    def stale_once(*given, **named):
        if not failed:
            failed.append(1)
            raise Stale
        return made(*given, **named)

    monkeypatch.setattr(orders, "place", stale_once)
    back_office.add_to_cart("cart", str(product(stock=3).pk), 1)

    line = line_of(lambda: back_office.post("/v2/carts/cart/checkout", BUYER))
    assert (line["status"], line["tried_again"]) == (201, ["stale"])
    assert "tried_again" not in line_of(lambda: back_office.get("/v2/orders"))
