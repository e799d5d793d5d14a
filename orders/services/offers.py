"""Products as a shopper may buy them now, read in one query, however many there are."""

import uuid
from collections.abc import Collection
from typing import NamedTuple

from django.db import connection

from inventory.models import DEFAULT_LOCATION_ID, Picture, Product
from inventory.services import picture_files
from inventory.services.images import LARGE
from orders.errors import InsufficientStock, NoPrice
from orders.models import CartItem


class Image(NamedTuple):
    """A product's main picture, or one from elsewhere, of which only the address is known."""

    href: str
    mime_type: str = ""
    file_name: str = ""


class Offer(NamedTuple):
    """A product, or a custom item with the name and price that its line gives it."""

    product_id: uuid.UUID | None
    name: str
    sku: str
    slug: str
    description: str
    image: "Image"
    # Live and not archived.
    is_live: bool
    currency: str
    # None where the product has no price in this currency.
    unit_price: int | None
    includes_tax: bool
    # None where stock is not managed, so that it never runs out.
    available: int | None

    @property
    def is_for_sale(self) -> bool:
        return self.is_live and self.unit_price is not None

    @property
    def is_managed(self) -> bool:
        return self.available is not None

    def value_of(self, quantity: int) -> int:
        return (self.unit_price or 0) * quantity

    def require_price(self) -> None:
        """Raises: NoPrice."""
        if self.unit_price is None:
            raise NoPrice(
                f"This product does not have a price for {self.currency}",
                meta={"id": str(self.product_id), "sku": self.sku},
            )

    def require_enough(self, quantity: int) -> None:
        """Raises: InsufficientStock."""
        if self.available is not None and quantity > self.available:
            raise InsufficientStock


def custom_offer(item: CartItem, currency: str) -> Offer:
    return Offer(
        product_id=None,
        name=item.name,
        sku=item.sku,
        slug="",
        description=item.description,
        image=Image(""),
        is_live=True,
        currency=currency,
        unit_price=item.unit_price,
        includes_tax=item.includes_tax,
        available=None,
    )


_OFFERS = """
SELECT product.id, product.name, product.sku, product.slug, product.description,
       product.image_url, picture.id, picture.name,
       product.status = %s AND product.archived_at IS NULL, asked.currency,
       price.amount, coalesce(price.includes_tax, true), stock.available
FROM inventory_product AS product CROSS JOIN unnest(%s::text[]) AS asked (currency)
LEFT JOIN inventory_price AS price
    ON price.product_id = product.id AND price.currency = asked.currency
LEFT JOIN inventory_stock AS stock
    ON stock.product_id = product.id AND stock.location_id = %s AND stock.managed
LEFT JOIN inventory_productpicture AS shown
    ON shown.product_id = product.id AND shown.position = 0
LEFT JOIN inventory_picture AS picture ON picture.id = shown.picture_id
WHERE product.id = ANY(%s::uuid[])
"""


def offers(product_ids: Collection[uuid.UUID], currency: str) -> dict[uuid.UUID, Offer]:
    """Look up products as they are offered in a currency. Takes no lock."""
    return offers_in(product_ids, [currency])[currency]


def offers_in(
    product_ids: Collection[uuid.UUID], currencies: Collection[str]
) -> dict[str, dict[uuid.UUID, Offer]]:
    """Look up products as they are offered in each of the currencies."""
    by_currency: dict[str, dict[uuid.UUID, Offer]] = {currency: {} for currency in currencies}
    if product_ids:
        with connection.cursor() as cursor:
            cursor.execute(
                _OFFERS,
                [
                    Product.Status.LIVE.value,
                    list(currencies),
                    DEFAULT_LOCATION_ID,
                    list(product_ids),
                ],
            )
            for row in cursor.fetchall():
                offer = Offer(*(*row[:5], _image(*row[5:8]), *row[8:]))
                assert offer.product_id
                by_currency[offer.currency][offer.product_id] = offer
    return by_currency


def _image(image_url: str, picture_id: uuid.UUID | None, name: str) -> Image:
    if picture_id is None:
        return Image(image_url)
    return Image(picture_files.address(picture_id, LARGE), Picture.MIME_TYPE, name)
