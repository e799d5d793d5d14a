from django.urls import path

from api import views

urlpatterns = [
    path("oauth/access_token", views.TokenView.as_view()),
    path("health/live", views.live),
    path("health/ready", views.ready),
]
