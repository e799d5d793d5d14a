"""Every page there is, in one list: what `make screenshots` shows and test_tour looks at.

A new page wants one line here. It is opened in the demo, by a person of the role that it names.
"""

from dataclasses import dataclass

from playwright.sync_api import Page

PRODUCTS = "/admin/inventory/product/"
DELIVERIES = "/admin/inventory/delivery/"
PICTURES = "/admin/inventory/picture/"
ORDERS = "/admin/orders/order/"
PAID = f"{ORDERS}?list=to-ship"
UNPAID = f"{ORDERS}?list=unpaid&payment=unpaid"
FIGURES = f"{ORDERS}figures/"
STOCKTAKES = "/admin/inventory/stocktake/"
COUNTED_HALF = "Autumn stocktake"
SHIRT = "Shirt, navy, M"
# The demo's products have the same ids always.
SHIRT_PAGE = f"{PRODUCTS}01900000-0000-7000-8000-000000000002/"


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
        if self.role and not self.steps:
            # Alpine has drawn it, and nothing else comes later.
            page.wait_for_selector("html:not([x-cloak])")
        else:
            page.wait_for_load_state("networkidle")


CHECKOUT = ("Add Mug, blue to the cart", "Check out", "Fill in an example")

SIGHTS = [
    Sight("shop", "/", role=""),
    Sight("shop-checkout", "/", CHECKOUT, role=""),
    Sight("shop-order", "/", (*CHECKOUT, "Place the order"), role=""),
    Sight("shop-paid", "/", ("Pay $",), role=""),
    Sight("docs", "/v2/docs", role=""),
    Sight("docs-call", "/v2/docs", ("Check out a cart", "Try it out"), role=""),
    Sight("docs-token", "/v2/docs", ("Authorize",), role=""),
    Sight("login", "/admin/login/", role=""),
    Sight("dashboard", "/admin/"),
    Sight("products", PRODUCTS),
    Sight("products-none", f"{PRODUCTS}?q=no+such+product"),
    Sight("product", PRODUCTS, (SHIRT,)),
    Sight("product-prices", f"{SHIRT_PAGE}prices/"),
    Sight("product-pictures", f"{SHIRT_PAGE}pictures/"),
    Sight("pictures", PICTURES),
    Sight("pictures-unused", f"{PICTURES}?show=unused"),
    Sight("picture", PICTURES, ("shirt-navy.png",)),
    Sight("picture-upload", f"{PICTURES}add/"),
    Sight("pictures-delete-unused", f"{PICTURES}delete-unused/"),
    Sight("product-history", f"{SHIRT_PAGE}stock-history/"),
    Sight("product-count", f"{SHIRT_PAGE}inventory/?do=count"),
    Sight("product-new", f"{PRODUCTS}add/"),
    Sight("product-refused", f"{PRODUCTS}add/", ("Save",)),
    Sight("product-archive", PRODUCTS, (SHIRT, "Delete")),
    Sight("products-archived", f"{PRODUCTS}archived/"),
    Sight("products-many", f"{PRODUCTS}many/change-prices/?found=q%3Dshirt"),
    Sight("stock-value", f"{PRODUCTS}stock-value/"),
    Sight("labels", f"{PRODUCTS}labels/?found="),
    Sight("labels-print", f"{PRODUCTS}labels/?found=", ("Show them for printing",)),
    Sight("inventory", f"{SHIRT_PAGE}inventory/"),
    Sight("stock-sheet", f"{PRODUCTS}stock-sheet/?q=mug"),
    Sight("inventory-viewer", f"{SHIRT_PAGE}inventory/", role="viewer"),
    Sight("deliveries", DELIVERIES),
    Sight("delivery", DELIVERIES, ("4718",)),
    Sight("delivery-new", f"{DELIVERIES}add/"),
    Sight("delivery-book", DELIVERIES, ("4718", "Book …")),
    Sight("stock-log", "/admin/inventory/stocktransaction/"),
    Sight("stocktakes", STOCKTAKES),
    Sight("stocktake-new", f"{STOCKTAKES}add/"),
    Sight("stocktake", STOCKTAKES, (COUNTED_HALF,)),
    Sight("stocktake-close", STOCKTAKES, (COUNTED_HALF, "Close …")),
    Sight("counts", "/admin/inventory/sheet/"),
    Sight("count-upload", "/admin/inventory/sheet/add/"),
    Sight("count-file", "/admin/inventory/sheet/", ("bags-and-posters.csv",)),
    Sight("products-file", "/admin/inventory/sheet/", ("winter-prices.csv",)),
    Sight("import-columns", "/admin/inventory/sheet/", ("price-list-december.csv",)),
    Sight("categories", "/admin/inventory/category/"),
    Sight("variants", "/admin/inventory/parent/"),
    Sight("variants-new", "/admin/inventory/parent/add/"),
    Sight("variants-parent", "/admin/inventory/parent/", ("Shirt",)),
    Sight("category", "/admin/inventory/category/", ("Shirts",)),
    Sight("category-new", "/admin/inventory/category/add/"),
    Sight("figures", FIGURES),
    Sight("figures-best-sellers", f"{FIGURES}best-sellers/"),
    Sight("figures-refunds", f"{FIGURES}refunds/"),
    Sight("figures-cover", f"{FIGURES}cover/"),
    Sight("figures-movements", f"{FIGURES}movements/"),
    Sight("figures-months", f"{FIGURES}months/"),
    Sight("figures-list", f"{FIGURES}list/taken/?currency=USD"),
    Sight("audit", "/admin/orders/auditresult/"),
    Sight("products-low", f"{PRODUCTS}?stock_state=low&status__exact=live"),
    Sight("orders", ORDERS),
    Sight("orders-attention", f"{ORDERS}?list=attention"),
    Sight("orders-filtered", f"{ORDERS}?placed=this-month&at_most=nothing", ("Filter",)),
    Sight("orders-views", f"{ORDERS}?placed=this-month", ("Save this view",)),
    Sight("customer", f"{ORDERS}?list=to-ship", ("@",)),
    Sight("customer-which", f"{ORDERS}customer/"),
    Sight("orders-shipped", f"{ORDERS}?list=shipped"),
    Sight("order-note", PAID, ("#", "Add note")),
    Sight("order-undo-ship", f"{ORDERS}?list=shipped", ("#", "Undo shipment")),
    Sight("order-shipped", f"{ORDERS}?list=shipped", ("#",)),
    Sight("order-take-back", f"{ORDERS}?list=shipped", ("#", "Take back")),
    Sight("orders-none", f"{ORDERS}?q=no+such+order"),
    Sight("order-new", f"{ORDERS}add/"),
    Sight("order-unpaid", UNPAID, ("#",)),
    Sight("order-lines", UNPAID, ("#", "Change the items")),
    Sight("order-shipping-address", UNPAID, ("#", "Change the shipping address")),
    Sight("order-paid", PAID, ("#",)),
    Sight("order-ship", PAID, ("#", "Ship")),
    Sight("order-attention", f"{ORDERS}?list=attention", ("#",)),
    Sight("order-leave-be", f"{ORDERS}?list=attention", ("#", "Leave it be")),
    Sight("order-print", PAID, ("#", "Print packing slip")),
    Sight("order-cancel", UNPAID, ("#", "Cancel order")),
    Sight("order-cancel-items", PAID, ("#", "Cancel the rest")),
    Sight("order-refund", PAID, ("#", "Refund")),
    Sight("order-record-payment", UNPAID, ("#", "Record payment")),
    Sight("carts", "/admin/orders/cart/"),
    Sight("events", "/admin/events/event/"),
    Sight("integrations", "/admin/events/integration/"),
    Sight("integration-new", "/admin/events/integration/add/"),
    Sight("store", "/admin/api/storesettings/"),
    Sight("mail", "/admin/events/mailsettings/1/change/"),
    Sight("mail-words", "/admin/events/mailtext/order-shipped/change/"),
    Sight("mail-preview", "/admin/events/mailtext/order-shipped/preview/"),
    Sight("mails-sent", "/admin/events/mail/"),
    Sight("gateway-events", "/admin/payments/gatewayevent/"),
    Sight("gateways", "/admin/payments/gateway/"),
    Sight("gateway", "/admin/payments/gateway/", ("Manual",)),
    Sight("currencies", "/admin/inventory/currency/"),
    Sight("currency", "/admin/inventory/currency/", ("USD",)),
    Sight("currency-new", "/admin/inventory/currency/add/"),
    Sight("locations", "/admin/inventory/location/"),
    Sight("location", "/admin/inventory/location/", ("Default",)),
    Sight("api-clients", "/admin/api/apiclient/"),
    Sight("api-client", "/admin/api/apiclient/", ("Back office",)),
    Sight("api-client-new", "/admin/api/apiclient/add/"),
    Sight("users", "/admin/auth/user/"),
    Sight("user", "/admin/auth/user/", ("clerk",)),
    Sight("user-new", "/admin/auth/user/add/"),
    Sight("groups", "/admin/auth/group/"),
    Sight("group", "/admin/auth/group/", ("stock clerk",)),
    Sight("own-password", "/admin/password_change/"),
    Sight("forbidden", "/admin/auth/user/add/", role="viewer"),
]

# What docs/pictures shows, and as which of these sights.
DOCUMENTED = {
    "shop.png": "shop",
    "dashboard.png": "dashboard",
    "inventory.png": "inventory",
    "products.png": "products",
    "products-by-file.png": "products-file",
    "columns.png": "import-columns",
    "prices.png": "products-many",
    "product-pictures.png": "product-pictures",
    "categories.png": "categories",
    "delivery.png": "delivery",
    "delivery-book.png": "delivery-book",
    "stocktake.png": "stocktake",
    "stock-sheet.png": "stock-sheet",
    "labels.png": "labels",
    "stock-value.png": "stock-value",
    "order.png": "order-paid",
    "ship.png": "order-ship",
    "cancel-rest.png": "order-cancel-items",
    "orders.png": "orders",
    "figures.png": "figures",
}
