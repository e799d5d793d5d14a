import pytest

from inventory.models import Product
from orders.models import Order
from tests.factories import product, unpaid_order


@pytest.fixture
def shirt() -> Product:
    return product(stock=10, price=1000)


@pytest.fixture
def order(shirt: Product) -> Order:
    """An unpaid order of one shirt, worth 1000."""
    return unpaid_order({shirt: 1})
