"""Every page there is, in one list: what `make screenshots` shows and test_tour looks at.

A new page wants one line here. It is opened in the demo, by a person of the role that it names.
Swagger UI at /v2/docs is not ours, and its greys are too faint.
"""

from dataclasses import dataclass

from playwright.sync_api import Page

PRODUCTS = "/admin/inventory/product/"
ORDERS = "/admin/orders/order/"


@dataclass(frozen=True)
class Sight:
    """A page: where it begins, and which links or buttons lead on from there, by their text."""

    name: str
    path: str
    steps: tuple[str, ...] = ()
    role: str = "owner"

    def visit(self, page: Page) -> None:
        page.goto(self.path)
        for step in self.steps:
            named = page.get_by_role("link", name=step).or_(page.get_by_role("button", name=step))
            named.or_(page.get_by_text(step, exact=True)).first.click()
        page.wait_for_load_state("networkidle")


CHECKOUT = ("Add Mug, blue to the cart", "Check out", "Fill in an example")

SIGHTS = [
    Sight("shop", "/", role=""),
    Sight("shop-checkout", "/", CHECKOUT, role=""),
    Sight("shop-order", "/", (*CHECKOUT, "Place the order"), role=""),
    Sight("shop-paid", "/", ("Pay $",), role=""),
    Sight("login", "/admin/login/", role=""),
    Sight("dashboard", "/admin/"),
    Sight("products", PRODUCTS),
    Sight("products-none", f"{PRODUCTS}?q=no+such+product"),
    Sight("product", PRODUCTS, ("Shirt, navy, M",)),
    Sight("product-prices", PRODUCTS, ("Shirt, navy, M", "Prices")),
    Sight("product-inventory", PRODUCTS, ("Shirt, navy, M", "Inventory")),
    Sight("product-count", f"{PRODUCTS}?q=TEE-NAVY-M&do=count"),
    Sight("product-history", PRODUCTS, ("Shirt, navy, M", "History")),
    Sight("product-new", f"{PRODUCTS}add/"),
    Sight("stock-log", "/admin/inventory/stocktransaction/"),
    Sight("counts", "/admin/inventory/countfile/"),
    Sight("count-upload", "/admin/inventory/countfile/add/"),
    Sight("orders", ORDERS),
    Sight("order", ORDERS, ("#1",)),
    Sight("carts", "/admin/orders/cart/"),
    Sight("gateways", "/admin/payments/gateway/"),
    Sight("currencies", "/admin/inventory/currency/"),
    Sight("locations", "/admin/inventory/location/"),
    Sight("api-clients", "/admin/api/apiclient/"),
    Sight("users", "/admin/auth/user/"),
    Sight("groups", "/admin/auth/group/"),
]
