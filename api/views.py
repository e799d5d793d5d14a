import functools
import re
import sys
from collections.abc import Set
from hashlib import blake2b
from json import JSONDecoder
from typing import Any, NoReturn

from django.conf import settings
from django.contrib.sessions.exceptions import SessionInterrupted
from django.db import DatabaseError
from django.http import (
    Http404,
    HttpRequest,
    HttpResponseNotModified,
    JsonResponse,
)
from django.utils.cache import patch_vary_headers
from django.utils.http import parse_etags
from django.views.decorators.http import require_safe
from rest_framework import serializers
from rest_framework.exceptions import ParseError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import FormParser, JSONParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api import bodies, health, incoming, limits, metrics, readiness, tokens
from api.authentication import AnyCaller, BearerAuthentication, bearer_token, caller_of
from api.bodies import WholeBody
from api.errors import (
    BAD_REQUEST,
    FORBIDDEN,
    NOT_FOUND,
    SERVER_ERROR,
    BadRequest,
    Busy,
    DatabaseAway,
    FieldError,
    Invalid,
    Kind,
    UnsupportedMediaType,
    as_refusal,
    entry,
    invalid_fields,
    is_given_up,
    refused,
)
from api.tokens import Caller
from config import outages


class AlwaysJson(BaseContentNegotiation):
    """Clients of the source API send any Accept header and read JSON."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON.")


def _each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("A name stands twice in one object.")
    return found


# Made once, since making it takes as long as reading a small body.
_decode = JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_each_name_once).decode


class StrictJsonParser(JSONParser):
    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        try:
            written = stream.read()
            incoming.require_small(written)
            return _decode(written.decode())
        except ValueError as error:
            raise ParseError(f"The body cannot be read as JSON: {error}") from error


FORM, JSON = "application/x-www-form-urlencoded", "application/json"
MULTIPART = "multipart/form-data"


def _require_readable(request: HttpRequest, reads: re.Pattern[str]) -> None:
    """Raises: UnsupportedMediaType for a body that this address does not read."""
    if request.method not in {"POST", "PUT"} or not request.body:
        return
    packed = (request.headers.get("Content-Encoding") or "identity")[:50]
    if packed.lower() != "identity":
        raise UnsupportedMediaType(f"A body is read as it is, and not packed by {packed}.")
    kind = (request.content_type or "")[:100]
    if reads.fullmatch(kind):
        return
    if reads.fullmatch(MULTIPART):
        raise UnsupportedMediaType(f"A file is sent here as {MULTIPART}, and not as {kind}.")
    # Unless told otherwise, curl calls all it sends a form, and openapi-fetch JSON.
    reads_json = not reads.fullmatch(FORM)
    looks_like_json = request.body.lstrip()[:1] in (b"{", b"[")
    if kind not in {FORM, JSON} or looks_like_json != reads_json:
        wanted = JSON if reads_json else FORM
        raise UnsupportedMediaType(f"A body is read here as {wanted}, and not as {kind}.")


class ApiView(APIView):
    """What every endpoint shares: a bearer token, JSON in and out, the `data` envelope."""

    authentication_classes = [BearerAuthentication]
    permission_classes = [AnyCaller]
    parser_classes = [StrictJsonParser]
    renderer_classes = [JSONRenderer]
    content_negotiation_class = AlwaysJson
    throttle_classes = []
    metadata_class = None
    # A kind in settings.LIMITS, if these calls are counted for all processes together.
    limited_as = ""
    # What a body may call itself: `fetch` calls a text a text/plain unless it is told otherwise.
    reads = re.compile(r"application/([\w.-]+\+)?json|text/plain|")
    # Whether answers to GET carry an ETag, by which the caller learns that nothing has changed.
    revalidates = False
    body_max = settings.DATA_UPLOAD_MAX_MEMORY_SIZE

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        limits.count(request._request, self.limited_as)
        # What an address takes is told to anybody: browsers ask without a token.
        if request.method == "OPTIONS":
            return
        super().initial(request, *args, **kwargs)
        # Only now, since nobody's file is waited for who may not call. A body is kept as it stands,
        # too, since an Idempotency-Key hashes it.
        if request.method not in {"GET", "HEAD"}:
            incoming.read(request._request, self.body_max)
            _require_readable(request._request, self.reads)

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Response:
        """Say by `Allow`, which every answer has, what this address takes."""
        return Response(status=204)

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        finalized = super().finalize_response(request, response, *args, **kwargs)
        # Tokens, carts and orders are private.
        finalized["Cache-Control"] = "no-store"
        reads = request.method in {"GET", "HEAD"}
        if self.revalidates and reads and finalized.status_code == 200:
            # Kept by the caller alone, who asks each time whether it still holds: stock changes
            # from moment to moment.
            finalized["Cache-Control"] = "private, no-cache"
            patch_vary_headers(finalized, ["X-Moltin-Currency"])
            finalized.add_post_render_callback(functools.partial(_unless_known, request))
        return finalized

    def absolute(self, address: str) -> str:
        """Return an address on this server with the host by which the caller knows it."""
        return self.request.build_absolute_uri(address) if address.startswith("/") else address

    @property
    def caller(self) -> Caller:
        return caller_of(self.request)

    def data(self) -> Any:
        """Return what the body holds under `data`.

        Raises: Invalid if there is no body, or none with `data`.
        """
        body = self.request.data
        if not isinstance(body, dict) or "data" not in body:
            raise Invalid(FieldError("data", "required", "data is required", "field_required"))
        return body["data"]

    def validated(self, serializer: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        """Read `data` through a serializer.

        Raises: Invalid, with an entry for each field; BadRequest if it is about something else than
        the address.
        """
        data = self.data()
        if self.request.method == "PUT" and isinstance(data, dict):
            self._require_same(data)
        return validated(serializer, data)

    def _require_same(self, data: dict[str, Any]) -> None:
        """Refuse to change one thing by what is said of another. Raises: BadRequest."""
        name = "slug" if "slug" in self.kwargs else "id"
        sent, named = data.get(name), next(reversed(self.kwargs.values()), None)
        if None not in (sent, named) and str(sent).lower() != str(named).lower():
            raise BadRequest("The address names another one.", source=f"data.{name}")

    def understood(
        self,
        body: type[WholeBody],
        *,
        body_required: bool = True,
        parameters: Set[str] = frozenset(),
    ) -> dict[str, Any]:
        """Read a call that is done only if all of it means something, as calls about money are.

        Nothing may stand beside `data`, nor in the address but the `parameters`. Where no body is
        required, an empty one counts as empty `data`, since SDKs send either.
        Raises: Invalid, with an entry for each field.
        """
        sent = self.request.data
        beside = sent.keys() - {"data"} if isinstance(sent, dict) else set()
        errors = bodies.unknown({*beside, *(self.request.query_params.keys() - parameters)})
        fields: dict[str, Any] = {}
        try:
            data = self.data() if body_required else self._optional_data()
            fields = validated(body, data)
        except Invalid as refusal:
            errors += refusal.errors
        if errors:
            raise Invalid(*errors, strictly=True)
        return fields

    def _optional_data(self) -> Any:
        sent = self.request.data
        return sent.get("data", {}) if isinstance(sent, dict) else sent


def _unless_known(request: Request, response: Response) -> HttpResponseNotModified | None:
    """Tag an answer by what it says. Who knows it already is told so, and not sent it again."""
    tag = f'"{blake2b(response.content, digest_size=16).hexdigest()}"'
    # Weak, because compressed it is other bytes that say the same.
    response["ETag"] = f"W/{tag}"
    known = parse_etags(request.headers.get("If-None-Match", ""))
    if not {each.removeprefix("W/") for each in known} & {tag, "*"}:
        return None
    unchanged = HttpResponseNotModified()
    for name in ("ETag", "Cache-Control", "Vary"):
        unchanged[name] = response[name]
    return unchanged


def validated(
    serializer: type[serializers.Serializer[Any]], data: Any, source: str = "data"
) -> dict[str, Any]:
    try:
        fields: dict[str, Any] = _reader(serializer).run_validation(data)
    except serializers.ValidationError as error:
        raise Invalid(*invalid_fields(error.detail, source)) from error
    return fields


@functools.cache
def _reader(serializer: type[serializers.Serializer[Any]]) -> serializers.Serializer[Any]:
    """Make one per class: validating changes nothing in it, and making it copies all fields."""
    return serializer()


def envelope(data: Any, status: int = 200, **beside: Any) -> Response:
    return Response({"data": data, **beside}, status=status)


def deleted(*_: object) -> Response:
    return Response(status=204)


# Of a token call, which anybody may make.
FORM_BYTES_MAX = 16_384


class GrantType(serializers.ChoiceField):
    """A field whose unknown values make the call malformed, as in the source API: a 400."""

    default_error_messages = {
        "invalid": f"This must be one of: {', '.join(sorted(tokens.SCOPES))}."
    }

    def to_internal_value(self, data: Any) -> str:
        if data not in self.choices:
            self.fail("invalid")
        return str(data)


class TokenRequest(serializers.Serializer[Any]):
    grant_type = GrantType(sorted(tokens.SCOPES))
    client_id = serializers.CharField(max_length=64)
    client_secret = serializers.CharField(max_length=256, default="")


class TokenView(ApiView):
    """`POST /oauth/access_token`, form-encoded, with a flat answer."""

    authentication_classes = []
    permission_classes = []
    parser_classes = [FormParser]
    reads = re.compile(f"{FORM}|text/plain|")
    limited_as = "token"
    body_max = FORM_BYTES_MAX

    def post(self, request: Request) -> Response:
        fields = validated(TokenRequest, request.data, source="form")
        return Response(tokens.issue(**fields, renewed=bearer_token(request)))


@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """Say that the process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """Say whether the database can be written, and has every migration: then send traffic.

    Migrations that only a newer release knows are told, and make no difference: while that one
    takes over, this one goes on serving. Nor does what else there is to tell of the shop.
    """
    try:
        database = readiness.ask()
    except DatabaseError:
        return _not_ready("the database does not answer")
    if not database.is_writable:
        return _not_ready("the database is read-only")
    if database.missing:
        missing = _counted("missing", database.missing)
        return _not_ready("migrations are missing", **missing)
    ahead = _counted("ahead", database.unknown) if database.unknown else {}
    try:
        return JsonResponse({"status": "ok", **ahead, **health.details()})
    except DatabaseError:
        return JsonResponse({"status": "ok", **ahead})


def _not_ready(status: str, **beside: object) -> JsonResponse:
    return JsonResponse({"status": status, **beside}, status=503, headers={"Retry-After": "1"})


def _counted(how: str, names: list[str]) -> dict[str, object]:
    # A database that is new lacks all of them.
    return {"migrations": {how: len(names), "first": names[:3]}}


def no_page(request: HttpRequest, **captured: str) -> NoReturn:
    raise Http404


def _error(kind: Kind, code: str, detail: str) -> JsonResponse:
    metrics.REFUSALS.labels(code).inc()
    body = {"errors": [entry(kind.status, kind.title, detail, code=code)]}
    # A cache in between may keep a 404, unless its headers forbid it.
    return JsonResponse(body, status=kind.status, headers={"Cache-Control": "no-store"})


def bad_request(request: HttpRequest, exception: Exception) -> JsonResponse:
    if refusal := as_refusal(exception):
        return refused(refusal)
    if isinstance(exception, SessionInterrupted):
        return _error(BAD_REQUEST, "logged_out", "The login ended meanwhile.")
    return _error(BAD_REQUEST, "bad_request", "The request could not be processed.")


def forbidden(request: HttpRequest, exception: Exception) -> JsonResponse:
    return _error(FORBIDDEN, "forbidden", "This is not allowed.")


def stale_form(request: HttpRequest, reason: str = "") -> JsonResponse:
    """Answer where Django finds that a form was not made for this browser or this login."""
    return _error(FORBIDDEN, "stale_form", "This form is not, or no longer, of this login.")


def not_found(request: HttpRequest, exception: Exception) -> JsonResponse:
    return _error(NOT_FOUND, "not_found", "There is nothing at this address.")


def server_error(request: HttpRequest) -> JsonResponse:
    # Django has asked for this answer while it handles the error, and logs that by itself.
    if outages.is_away(sys.exception()):
        return refused(DatabaseAway())
    if is_given_up(sys.exception()):
        return refused(Busy())
    request_id = getattr(request, "request_id", "")
    detail = "Something went wrong on the server."
    error = entry(500, SERVER_ERROR.title, detail, code="server_error")
    return JsonResponse({"errors": [{**error, "request_id": request_id}]}, status=500)
