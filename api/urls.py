from django.urls import path

from api import documentation, settings_views, views

urlpatterns = [
    path("oauth/access_token", views.TokenView.as_view()),
    path("v2/settings", settings_views.SettingsView.as_view()),
    path("v2/settings/cart", settings_views.CartSettingsView.as_view()),
    path("v2/openapi.json", documentation.OpenApiView.as_view()),
    path("v2/docs", documentation.page),
    path("health/live", views.live),
    path("health/ready", views.ready),
]
