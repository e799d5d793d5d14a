from django.urls import path

from payments import views

_TRANSACTION = "orders/<id:order_id>/transactions/<id:payment_id>"

urlpatterns = [
    path("carts/<cart_id:cart_id>/orders", views.CartOrdersView.as_view()),
    path("orders/<id:order_id>", views.OrderView.as_view()),
    path("orders/<id:order_id>/payments", views.PaymentsView.as_view()),
    path("orders/<id:order_id>/transactions", views.TransactionsView.as_view()),
    path(_TRANSACTION, views.TransactionView.as_view()),
    path(f"{_TRANSACTION}/confirm", views.ConfirmView.as_view()),
    path(f"{_TRANSACTION}/capture", views.CaptureView.as_view()),
    path(f"{_TRANSACTION}/refund", views.RefundView.as_view()),
    path(f"{_TRANSACTION}/cancel", views.VoidView.as_view()),
    path("gateways", views.GatewaysView.as_view()),
    path("gateways/<slug:slug>", views.GatewayView.as_view()),
]
