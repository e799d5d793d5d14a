from csp.decorators import csp
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from rest_framework.request import Request
from rest_framework.response import Response

from api.policies import DOCS
from api.schema import document
from api.views import ApiView


class OpenApiView(ApiView):
    authentication_classes = []
    permission_classes = []
    schema = None
    revalidates = True

    def get(self, request: Request) -> Response:
        return Response(document())


@csp(DOCS)
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Show the description as a page where its calls can be tried."""
    return render(request, "api/docs.html")
