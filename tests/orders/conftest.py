import pytest

from api import clock
from inventory.models import Currency


@pytest.fixture
def euro() -> Currency:
    now = clock.now()
    return Currency.objects.create(code="EUR", created_at=now, updated_at=now)
