"""What stock and log say of a product."""

from inventory.models import Product, StockTransaction
from tests.factories import stock_of


def numbers(wanted: Product) -> tuple[int, int, int]:
    """Total, available and allocated."""
    stock = stock_of(wanted)
    return stock.total, stock.available, stock.allocated


def entries(wanted: Product) -> list[tuple[str, int, str]]:
    """What the log says after the initial stock."""
    log = StockTransaction.objects.filter(stock__product=wanted).order_by("sequence")
    return list(log.exclude(reason="initial stock").values_list("action", "quantity", "reason"))
