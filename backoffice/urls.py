"""The pages for people that are not of Django's admin, or stand before one of its own."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import path

from api.actors import Actor
from backoffice import rights


def own_password(request: HttpRequest) -> HttpResponse:
    """Django's page for one's own password, on record."""
    person = request.user
    if request.method != "POST" or person.pk is None:
        return admin.site.password_change(request)
    with rights.password_on_record(person.pk, actor=Actor.person(person)):
        return admin.site.password_change(request)


urlpatterns = [
    path("password_change/", admin.site.admin_view(own_password, cacheable=True)),
]
