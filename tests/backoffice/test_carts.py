"""Carts in the admin."""

import pytest

from api import clock
from orders.models import Cart
from tests.backoffice.pages import text
from tests.factories import filled_cart, product

pytestmark = pytest.mark.django_db


def test_carts_can_be_looked_at_only(admin_client, django_assert_num_queries):
    shirt = product(9, name="Shirt")
    cart_id = filled_cart({shirt: 2})

    shown = text(admin_client.get(f"/admin/orders/cart/{cart_id}/change/"))

    assert "Shirt" in shown
    assert admin_client.post(f"/admin/orders/cart/{cart_id}/change/", {}).status_code == 403
    assert admin_client.get("/admin/orders/cart/add/").status_code == 403
    with django_assert_num_queries(3):
        admin_client.get("/admin/orders/cart/")
    for _ in range(5):
        filled_cart({shirt: 1})
    with django_assert_num_queries(3):
        admin_client.get("/admin/orders/cart/")


def test_the_list_tells_of_each_cart_how_much_is_in_it(admin_client):
    shirt, cap = product(9, name="Shirt"), product(9, name="Cap")
    filled_cart({shirt: 2, cap: 3})
    empty = Cart.objects.create(
        id="empty", created_at=clock.now(), updated_at=clock.now(), expires_at=clock.now()
    )

    shown = admin_client.get("/admin/orders/cart/").context["cl"].result_list

    assert [(cart.lines, cart.units) for cart in shown] == [(2, 5), (0, 0)]
    assert shown[-1] == empty
