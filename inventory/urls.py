from django.urls import path

from inventory import file_views, views

urlpatterns = [
    path("products", views.ProductsView.as_view()),
    path("products/<id:product_id>", views.ProductView.as_view()),
    path("files", file_views.FilesView.as_view()),
    path("files/<id:file_id>", file_views.FileView.as_view()),
    path("currencies", views.CurrenciesView.as_view()),
    path("currencies/<id:currency_id>", views.CurrencyView.as_view()),
    path("inventories", views.InventoriesView.as_view()),
    path("inventories/multiple", views.InventoriesMultipleView.as_view()),
    path("inventories/<id:product_id>", views.InventoryView.as_view()),
    path("inventories/<id:product_id>/transactions", views.StockTransactionsView.as_view()),
    path(
        "inventories/<id:product_id>/transactions/<id:entry_id>",
        views.StockTransactionView.as_view(),
    ),
]
