"""Django looks for the pages of its admin here: to import them is to register them."""

from backoffice import base as base
from backoffice import carts as carts
from backoffice.orders import admin as orders
from backoffice.products import list as products

__all__ = ["base", "carts", "orders", "products"]
