"""Messages that gateways send unasked. A message is only a reason to look: what counts is what the
gateway answers when asked, so that messages may come late, twice, in any order, or never.
"""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from api.errors import Refusal
from payments.services import gateway_events


@csrf_exempt
@require_POST
def webhook(request: HttpRequest, slug: str) -> JsonResponse:
    """Verify the raw body, store the message once, answer at once: a worker does the rest."""
    try:
        message = gateway_events.read(slug, request.headers, request.body)
    except Refusal as refusal:
        return JsonResponse({"errors": refusal.entries()}, status=refusal.kind.status)
    gateway_events.receive(slug, message)
    return JsonResponse({"received": True})
