"""The official JavaScript SDKs, unmodified, drive a Holdfast server over HTTP: see tests/sdk."""

import json
import re
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

import pytest

from api import store
from config.supervisor import PROJECT
from tests.events.made import attempt, integration, job
from tests.factories import MERCHANT, api_client, product
from tests.node import installed, run

API = (PROJECT / "docs" / "api.md").read_text()
SECRET = "back-office-secret"
# Each SDK, and which of the documented methods it does not have.
SDKS = {
    "@moltin/sdk": {"Cart.AddProducts", "Cart.RemovePromotion"},
    "@elasticpath/js-sdk": set(),
}


@pytest.mark.processes
@pytest.mark.parametrize("sdk", SDKS)
def test_the_sdk_drives_the_shop_as_the_documentation_says(sdk, live_server, tmp_path):
    methods = tmp_path / "methods.json"
    office, storefront = api_client(SECRET), api_client(secret="")
    store.change(custom_items_by_shoppers=True, actor=MERCHANT)
    attempt(job(integration(name="Told once")), 1)

    run(
        [installed(), "--test", "--test-reporter=spec", "run.js"],
        {
            "HOLDFAST_SDK": sdk,
            "HOLDFAST_HOST": urlsplit(live_server.url).netloc,
            "HOLDFAST_CLIENT_ID": office.client_id,
            "HOLDFAST_CLIENT_SECRET": SECRET,
            "HOLDFAST_STOREFRONT_ID": storefront.client_id,
            "HOLDFAST_METHODS": str(methods),
        },
    )

    seen = json.loads(methods.read_text())
    documented = dict(documented_methods())
    named = {name for name in documented if "*" not in name}
    assert named - set(seen["all"]) == SDKS[sdk]
    assert named & set(seen["all"]) - seen["outcomes"].keys() == set()
    assert contradictions(documented, seen["outcomes"]) == []
    assert [name for name in seen["all"] if is_forgotten(documented, name)] == []


@pytest.mark.processes
def test_t29_the_maintained_sdk_buys(live_server):
    shirt, storefront = product(stock=100, price=1250), api_client(secret="")
    office = api_client(SECRET)
    attempt(job(integration(name="Told once")), 1)

    run(
        [installed(), "--test", "--test-reporter=spec", "maintained.js"],
        {
            "HOLDFAST_HOST": urlsplit(live_server.url).netloc,
            "HOLDFAST_STOREFRONT_ID": storefront.client_id,
            "HOLDFAST_CLIENT_ID": office.client_id,
            "HOLDFAST_CLIENT_SECRET": SECRET,
            "HOLDFAST_PRODUCT": str(shirt.pk),
        },
    )


def documented_methods():
    """Yield each method of the table, or a pattern of methods, with what is said of it."""
    for names, verdict in re.findall(r"^\| (`.+?`) \| (\w+) \|", API, re.MULTILINE):
        for name in re.findall(r"`([\w.*]+)`", names):
            yield name, verdict


def contradictions(documented, outcomes):
    return [
        (name, verdict(documented, name), seen)
        for name, seen in outcomes.items()
        if ("answered" in seen) != (verdict(documented, name) == "works")
    ]


def verdict(documented, name):
    patterns = (pattern for pattern in documented if fnmatchcase(name, pattern))
    return documented.get(name) or documented.get(next(patterns, ""))


def is_forgotten(documented, name):
    """A method without a word, of an endpoint of which the table speaks."""
    endpoints = {known.split(".")[0] for known in documented}
    return name.split(".")[0] in endpoints and not verdict(documented, name)
