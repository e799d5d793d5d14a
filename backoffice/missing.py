"""What is answered where the thing of a page is not there, or not any more."""

from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin


def missing(page: ModelAdmin, request: HttpRequest, thing_id: object) -> HttpResponse:
    """Say so as Django's own pages do, by a method of theirs that is not public."""
    response: HttpResponse = page._get_obj_does_not_exist_redirect(
        request, page.opts, str(thing_id)
    )
    return response
