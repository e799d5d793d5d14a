"""Which stock is low: at or below its product's own threshold, or the store's."""

from django.db.models import F, Max, Q
from django.db.models.functions import Coalesce

from api import store
from inventory.models import Product


def is_low(*, stock: str = "", product: str = "product__") -> Q:
    """Name managed stock that is low, by the ways from a query's rows to stock and product.

    The highest of the products' own thresholds spares looking up the product of what is not low.
    Stock rows have no index on what a sale changes, so all of them are looked at.
    """
    threshold = store.current().low_stock_threshold
    highest = Product.objects.aggregate(highest=Max("low_stock_threshold"))["highest"] or 0
    own = Coalesce(F(f"{product}low_stock_threshold"), threshold)
    at_most = f"{stock}available__lte"
    return Q((f"{stock}managed", True), (at_most, max(threshold, highest))) & Q((at_most, own))
