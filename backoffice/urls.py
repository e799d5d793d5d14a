"""The pages for people that are not of Django's admin, or stand before one of its own."""

from django.apps import apps
from django.contrib import admin
from django.core.exceptions import FieldDoesNotExist, PermissionDenied
from django.db.models.fields.related import RelatedField
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


def choices(request: HttpRequest) -> HttpResponse:
    """Django's choices for a field, which fail where somebody names one that has none."""
    model_named = request.GET.get("app_label", ""), request.GET.get("model_name", "")
    try:
        field = apps.get_model(*model_named)._meta.get_field(request.GET.get("field_name", ""))
    except (LookupError, FieldDoesNotExist) as error:
        raise PermissionDenied from error
    if not isinstance(field, RelatedField):
        raise PermissionDenied
    return admin.site.autocomplete_view(request)


urlpatterns = [
    path("autocomplete/", admin.site.admin_view(choices)),
    path("password_change/", admin.site.admin_view(own_password, cacheable=True)),
]
