"""The page at `/`: a shop, as an example of what can be built on the public API.

The server only delivers the page, with the store's name on it. Whatever it shows or does is a call
with a shopper's token, made by the scripts in static/shop, which frontend developers may read and
copy.
"""

from csp.decorators import csp
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from api import store
from api.policies import PAGE


@require_safe
@csp(PAGE)
def page(request: HttpRequest) -> HttpResponse:
    if not settings.SHOP_WINDOW_CLIENT:
        raise Http404
    shown = {"client_id": settings.SHOP_WINDOW_CLIENT, "store": store.title(request)}
    return render(request, "shop/window.html", shown)
