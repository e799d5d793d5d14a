import re

import pytest
from django.conf import settings as project
from django.test import Client

from api import store
from api.models import StoreSettings

SCRIPTS = project.BASE_DIR / "demo" / "static" / "shop"


@pytest.mark.django_db
def test_the_shop_is_called_what_its_store_is_called(settings):
    settings.SHOP_WINDOW_CLIENT = "our-storefront"
    assert "<title>Holdfast: the shop window</title>" in Client().get("/").text

    StoreSettings.objects.update_or_create(defaults={"name": "Tea & <b>Tin</b>"})
    store.forget()
    page = Client().get("/").text
    assert "<title>Tea &amp; &lt;b&gt;Tin&lt;/b&gt;: the shop window</title>" in page
    assert "<h1>Tea &amp; &lt;b&gt;Tin&lt;/b&gt; <small>" in page


@pytest.mark.django_db
def test_the_page_names_its_client_and_may_load_its_own_files_only(settings):
    settings.SHOP_WINDOW_CLIENT = "our-storefront"

    page = Client().get("/")

    assert page.status_code == 200
    assert '<meta name="client-id" content="our-storefront">' in page.text
    policy = dict(part.split(" ", 1) for part in page["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert " style=" not in page.text
    assert " on" not in "".join(re.findall(r"<[^>]*>", page.text)).replace(" only", "")
    assert page.cookies == {}


def test_without_a_client_there_is_nothing(settings):
    settings.SHOP_WINDOW_CLIENT = ""

    page = Client().get("/")

    assert page.status_code == 404
    assert page.json()["errors"][0]["code"] == "not_found"


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.js")), ids=lambda script: script.name)
def test_scripts_make_no_html_of_text(script):
    forbidden = "innerHTML|outerHTML|insertAdjacentHTML|document.write|eval|Function\\("

    assert re.findall(forbidden, script.read_text()) == []


def test_the_shop_asks_for_nothing_that_is_not_public():
    asked = re.findall(r"[`\"](/(?:v2|oauth)[^`\"]*)", "".join(map(str, _texts())))

    assert {path.split("?")[0] for path in asked} == {
        "/oauth/access_token",
        "/v2/products",
        "/v2/carts/${memory.cart}",
        "/v2/orders/${order.id}/payments",
        "/v2/orders/${order.id}/transactions/${transaction.id}/confirm",
    }


def _texts():
    return [script.read_text() for script in SCRIPTS.glob("*.js")]
