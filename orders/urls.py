from django.urls import path, register_converter

from orders import unit_views, views


class CartId:
    """Chosen by the client; views.OfCart says what is wrong with one that cannot be."""

    regex = "[^/]+"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(CartId, "cart_id")

_SHIPMENT = "orders/<id:order_id>/shipments/<id:shipment_id>"
_RETURN = "orders/<id:order_id>/returns/<id:return_id>"

urlpatterns = [
    path("carts", views.CartsView.as_view()),
    path("carts/<cart_id:cart_id>", views.CartView.as_view()),
    path("carts/<cart_id:cart_id>/items", views.CartItemsView.as_view()),
    path("carts/<cart_id:cart_id>/items/<id:item_id>", views.CartItemView.as_view()),
    path("carts/<cart_id:cart_id>/checkout", views.CheckoutView.as_view()),
    path("orders", views.OrdersView.as_view()),
    path("orders/<id:order_id>/items", views.OrderItemsView.as_view()),
    path("orders/<id:order_id>/shipments", unit_views.ShipmentsView.as_view()),
    path(_SHIPMENT, unit_views.ShipmentView.as_view()),
    path(f"{_SHIPMENT}/undo", unit_views.UndoShipmentView.as_view()),
    path("orders/<id:order_id>/cancellations", unit_views.CancellationsView.as_view()),
    path("orders/<id:order_id>/returns", unit_views.ReturnsView.as_view()),
    path(_RETURN, unit_views.ReturnView.as_view()),
    path(f"{_RETURN}/items/<id:item_id>/settle", unit_views.SettleView.as_view()),
    path("inventories/<id:product_id>/holders", views.HoldersView.as_view()),
]
