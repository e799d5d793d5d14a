from django.urls import path, register_converter

from orders import views


class CartId:
    """Chosen by the client; views.OfCart says what is wrong with one that cannot be."""

    regex = "[^/]+"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(CartId, "cart_id")

urlpatterns = [
    path("carts", views.CartsView.as_view()),
    path("carts/<cart_id:cart_id>", views.CartView.as_view()),
    path("carts/<cart_id:cart_id>/items", views.CartItemsView.as_view()),
    path("carts/<cart_id:cart_id>/items/<id:item_id>", views.CartItemView.as_view()),
    path("carts/<cart_id:cart_id>/checkout", views.CheckoutView.as_view()),
    path("orders", views.OrdersView.as_view()),
    path("orders/<id:order_id>/items", views.OrderItemsView.as_view()),
    path("inventories/<id:product_id>/holders", views.HoldersView.as_view()),
]
