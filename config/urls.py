from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from api.views import no_page
from demo import shop
from inventory.file_views import media
from payments import metrics
from payments.webhooks import webhook

handler400 = "api.views.bad_request"
handler403 = "api.views.forbidden"
handler404 = "api.views.not_found"
handler500 = "api.views.server_error"

urlpatterns = [
    # Addresses are tried in this order, so what a purchase calls comes first.
    path("v2/", include("orders.urls")),
    path("v2/", include("payments.urls")),
    path("v2/", include("inventory.urls")),
    path("v2/", include("events.urls")),
    path("", include("api.urls")),
    path("", shop.page),
    path("media/<str:name>", media),
    path("admin", RedirectView.as_view(url="/admin/")),
    # Django's redirect from a row to its page in a shop fails on a malformed id.
    path("admin/r/<path:anything>", admin.site.admin_view(no_page)),
    path("webhooks/<slug:slug>", webhook),
    path("metrics", metrics.exposed),
    path("version", metrics.version),
    path("admin/", include("backoffice.urls")),
    path("admin/", admin.site.urls),
]
