from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from rest_framework.request import Request
from rest_framework.response import Response

from api.schema import document
from api.views import ApiView

# Everything that the page needs comes from here. Swagger UI sets styles from its script.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class OpenApiView(ApiView):
    authentication_classes = []
    permission_classes = []
    schema = None

    def get(self, request: Request) -> Response:
        return Response(document())


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """The description as a page, where its calls can be tried."""
    response = render(request, "api/docs.html")
    response["Content-Security-Policy"] = _POLICY
    return response
