from django.contrib import admin
from django.urls import include, path

handler400 = "api.views.bad_request"
handler404 = "api.views.not_found"
handler500 = "api.views.server_error"

urlpatterns = [
    path("", include("api.urls")),
    path("v2/", include("inventory.urls")),
    path("v2/", include("orders.urls")),
    path("v2/", include("payments.urls")),
    path("admin/", admin.site.urls),
]
