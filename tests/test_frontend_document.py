"""Every example of docs/frontend.md, run as it stands there against a server."""

import json
import re
from urllib.parse import urlsplit

import pytest

from api.models import ApiClient
from config.supervisor import PROJECT
from inventory.services import currencies
from inventory.services.products import Money
from orders.models import Order
from tests.factories import MERCHANT, api_client, product
from tests.fake_stripe import FakeStripe
from tests.node import installed, run

BLOCKS = re.findall(
    r"^```js\n(.*?)^```$", (PROJECT / "docs" / "frontend.md").read_text(), re.MULTILINE | re.DOTALL
)


def belongs(block: str, story: str) -> bool:
    """Tell whether an example is part of a story: one that says neither way is part of both."""
    by_sdk = re.search(r"\bshop\b", block)
    by_fetch = any(words in block for words in ("api(", "fetch(", "Stripe("))
    return not (by_fetch if story == "sdk" else by_sdk)


def test_every_example_is_part_of_a_story():
    assert len(BLOCKS) > 20
    assert all(belongs(block, "sdk") or belongs(block, "fetch") for block in BLOCKS)


@pytest.mark.processes
@pytest.mark.parametrize(("story", "orders"), [("sdk", 1), ("fetch", 3)])
def test_the_examples_of_a_story_work(story, orders, live_server, stripe: FakeStripe, tmp_path):
    storefront = api_client(secret="")
    ApiClient.objects.filter(pk=storefront.pk).update(client_id="demo-storefront")
    currencies.create(code="EUR", format="€{price}", actor=MERCHANT)
    prices = [Money("USD", 1250), Money("EUR", 1100)]
    shirt = product(stock=9, name="Linen shirt", image_url="/static/shirt.svg", prices=prices)
    product(stock=0, name="Sold shirt")
    product(stock=5, name="Cap")

    run(
        [installed(), "frontend.js"],
        {
            "HOLDFAST_STORY": json.dumps(
                {
                    "story": story,
                    "document": "".join(BLOCKS),
                    "blocks": [block for block in BLOCKS if belongs(block, story)],
                    "host": urlsplit(live_server.url).netloc,
                    "productId": str(shirt.pk),
                }
            )
        },
    )

    assert list(Order.objects.values_list("payment", flat=True)) == ["paid"] * orders
