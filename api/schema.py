"""What the API's description (OpenAPI) says, apart from the views that do it.

Each app's `schema.py` describes its operations with `describe`: what they take, answer and refuse.
What an answer looks like is derived from its type, which stands in the app's `answers.py`. What
holds for every operation, such as tokens, limits and idempotency keys, is added here.
"""

import json
import re
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Literal, Never, NotRequired, get_args, get_origin, get_type_hints

from django.utils.module_loading import autodiscover_modules
from drf_spectacular.drainage import warn
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from api.answers import COMPONENTS, CartSettings, Data, Errors, Keywords, Settings, T, Token
from api.authentication import Administrator, ShoppersMayRead
from api.errors import (
    BadRequest,
    BodyTooLarge,
    Busy,
    Conflict,
    DatabaseAway,
    Forbidden,
    Invalid,
    NotFound,
    NotSupported,
    Refusal,
    UnsupportedMediaType,
)
from api.filtering import (
    FilterCharacters,
    FilterNotParsed,
    FilterNotSupported,
    FilterTooLong,
    FilterValueWrong,
    ListFilters,
    SortNotSupported,
)
from api.idempotency import KEPT_FOR, KEY_LENGTH_MAX, KeyInUse, KeyReused, ResultGone
from api.limits import TooManyRequests
from api.pagination import LIMIT_MAX, OFFSET_MAX, PositionRefused
from api.settings_views import (
    CartSettingsChanges,
    CartSettingsView,
    ExpiresTooLate,
    SettingsChanges,
    SettingsView,
)
from api.tokens import BadCredentials, BadToken
from api.views import FORM, JSON, MULTIPART, TokenView

# A piece of JSON Schema. A serializer class stands for the body that it reads.
Piece = dict[str, Any]

TEXT: Piece = {"type": "string"}
# An object with names that nobody foresees: unsaid, some tools take it for one without any.
ANYTHING: Piece = {"type": "object", "additionalProperties": True}


def an_object(properties: Mapping[str, Any], optional: Mapping[str, Any] | None = None) -> Piece:
    """Describe an object: the properties that it always has, and those that it may have."""
    return {
        "type": "object",
        "properties": {**properties, **(optional or {})},
        "required": list(properties),
    }


def a_list(of: Any, **limits: int) -> Piece:
    return {"type": "array", "items": of, **limits}


def one_of(*values: str) -> Piece:
    return {"type": "string", "enum": list(values)}


def data(piece: Any) -> Piece:
    return an_object({"data": piece})


@dataclass(frozen=True)
class Named:
    """A piece with a name in the description, by which generated clients know it."""

    name: str
    piece: Any


def any_of(name: str, *pieces: Any) -> Named:
    """Describe what has one of several forms. It has a name, since no client can guess one."""
    return Named(name, {"anyOf": list(pieces)})


_types: dict[str, tuple[str, bool]] = {}
_alternatives: dict[str, tuple[str, ...]] = {}


def give_type(body: str, kind: str, *, required: bool = True) -> None:
    """Say what stands in a body's `type`, which its serializer does not read."""
    _types[body] = kind, required


def require_one(body: str, *fields: str) -> None:
    """Say that a body needs at least one of these fields.

    Each alternative is a whole body with a name: of properties beside `anyOf`, some tools that
    generate clients see only the one or the other.
    """
    _alternatives[body] = fields


_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}


def schema_of(hint: Any) -> Piece:
    """Derive the schema of an answer, or of a part of one, from its type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        piece = schema_of(arguments[0])
        for addition in arguments[1:]:
            piece |= (
                addition.values if isinstance(addition, Keywords) else {"description": addition}
            )
        return piece
    if origin is NotRequired:
        return schema_of(arguments[0])
    if origin is Literal:
        return one_of(*arguments)
    if origin is list:
        return a_list(schema_of(arguments[0]))
    if origin in {dict, Mapping}:
        return {"type": "object"} if Never in arguments else dict(ANYTHING)
    if type(None) in arguments:
        piece = schema_of(arguments[0])
        return {**piece, "type": [piece["type"], "null"]}
    if hint in COMPONENTS:
        return _reference(hint.__name__)
    if hint in _TYPES:
        return {"type": _TYPES[hint]}
    return _answer(hint)


def _answer(hint: Any) -> Piece:
    """Describe a TypedDict, which may be generic in one type."""
    answer, arguments = get_origin(hint) or hint, get_args(hint)
    fields = get_type_hints(answer, include_extras=True)
    return {
        "type": "object",
        "properties": {
            name: schema_of(_filled(field, arguments)) for name, field in fields.items()
        },
        "required": [name for name in fields if name in answer.__required_keys__],
    }


def _filled(field: Any, arguments: tuple[Any, ...]) -> Any:
    """Replace a generic answer's parameter by the type that it was given."""
    if field is T:
        return arguments[0]
    return field[arguments] if getattr(field, "__parameters__", ()) else field


_HEADERS = {
    "X-Request-Id": "The request's id, as the logs have it; one that the request brought is kept.",
    "Retry-After": "After so many seconds the same request may pass.",
    "ETag": "Names what the answer says. Sent as `If-None-Match`, it brings 304 while that holds.",
    "Idempotent-Replayed": "`true` if this is the answer that the first request with the key got.",
}
# Of a list that is always told as it is, and of one that can be asked for a part.
WHOLE_LIST_REFUSALS = (
    FilterCharacters,
    FilterNotParsed,
    FilterNotSupported,
    FilterTooLong,
    SortNotSupported,
)
LIST_REFUSALS = (*WHOLE_LIST_REFUSALS, FilterValueWrong, PositionRefused)
CURRENCY_HEADER = "X-Moltin-Currency", "The currency of prices; unsaid, the store's default."


@dataclass(frozen=True)
class Operation:
    summary: str
    description: str = ""
    # The whole body, or the serializer of what stands under its `data`.
    takes: "Piece | Named | type[Serializer[Any]] | None" = None
    body_required: bool = True
    # A body that the call might have.
    example: Mapping[str, Any] | None = None
    form: bool = False
    # Whether `takes` describes a form with a file in it.
    sends_file: bool = False
    # The type of each answer, by status; None for one without a body.
    answers: Mapping[int, Any] = field(default_factory=dict)
    refuses: Sequence[type[Refusal]] = ()
    lists: bool = False
    filters: type[ListFilters] = ListFilters
    limit_max: int = LIMIT_MAX
    # The names that `include` knows.
    includes: Sequence[str] = ()
    # Further query parameters: name, description and what they look like.
    query: Sequence[tuple[str, str, Piece]] = ()
    headers: Sequence[tuple[str, str]] = ()
    takes_idempotency_key: bool = True


_operations: dict[tuple[type[APIView], str], tuple[str, Operation]] = {}


def describe(tag: str, view: type[APIView], **operations: Operation) -> None:
    """Describe a view's operations, by their HTTP methods."""
    for method, operation in operations.items():
        _operations[view, method.upper()] = tag, operation


def read_descriptions(endpoints: Any) -> Any:
    autodiscover_modules("schema")
    return endpoints


_named: dict[str, Piece] = {}


def add_components(result: Piece, **_: Any) -> Piece:
    pieces = result["components"]["schemas"]
    for piece in pieces.values():
        _tell_defaults(piece)
    for body, (kind, required) in _types.items():
        pieces[body]["properties"] = {"type": one_of(kind), **pieces[body]["properties"]}
        if required:
            pieces[body]["required"] = ["type", *pieces[body].get("required", [])]
    for body, fields in _alternatives.items():
        pieces |= _bodies_with_one(body, pieces[body], fields)
    pieces |= _named
    pieces |= {answer.__name__: _answer(answer) for answer in COMPONENTS}
    result["components"]["headers"] = {
        name: {"description": text, "schema": TEXT} for name, text in _HEADERS.items()
    }
    return result


def _tell_defaults(body: Piece) -> None:
    """Move defaults into words: a client must not think that a field with one is always there."""
    for piece in body.get("properties", {}).values():
        unsaid = piece.pop("default", "")
        if unsaid != "":
            words = f"Unsaid: `{json.dumps(unsaid)}`."
            piece["description"] = " ".join(filter(None, [piece.get("description"), words]))


def _bodies_with_one(body: str, piece: Piece, fields: Sequence[str]) -> Piece:
    """Return the pieces by which `require_one` describes a body."""
    found = {}
    for name in fields:
        field = piece["properties"][name]
        if "string" in field.get("type", ()):
            field = {**field, "type": "string", "minLength": 1}
        found[f"{body.removesuffix('Request')}With{name.title()}Request"] = {
            **piece,
            "properties": {**piece["properties"], name: field},
            "required": [*piece.get("required", []), name],
        }
    return {**found, body: {"anyOf": [_reference(name) for name in found]}}


def _reference(name: str) -> Piece:
    return {"$ref": f"#/components/schemas/{name}"}


_making = threading.Lock()


def document() -> Piece:
    """Make the description once in each process: what makes it cannot do so in two threads."""
    with _making:
        return _made()


@cache
def _made() -> Piece:
    description: Piece = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return description


class Schema(AutoSchema):
    """Writes a described operation as OpenAPI."""

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: Any
    ) -> Piece | None:
        self.path, self.path_regex, self.path_prefix = path, path_regex, path_prefix
        self.method, self.registry = method.upper(), registry
        if (type(self.view), self.method) not in _operations:
            warn(f"nobody has described {self.method} {path}")
            return None
        tag, operation = _operations[type(self.view), self.method]
        return {
            "operationId": _camel(operation.summary),
            "tags": [tag],
            "summary": operation.summary,
            "description": " ".join(filter(None, [operation.description, self._who_may()])),
            "parameters": list(self._parameters(operation)),
            **self._request_body(operation),
            "security": [{"bearer": []}] if self.view.authentication_classes else [],
            "responses": {**self._answers(operation), **self._refusals(operation)},
        }

    def get_serializer_name(self, serializer: Any, direction: str) -> str:
        return type(serializer).__name__

    def _needs_administrator(self) -> bool:
        permissions = set(self.view.permission_classes)
        reads = self.method == "GET"
        return Administrator in permissions or (ShoppersMayRead in permissions and not reads)

    def _who_may(self) -> str:
        return "Administrators only." if self._needs_administrator() else ""

    def _is_idempotent(self, operation: Operation) -> bool:
        return self.method != "GET" and operation.takes_idempotency_key

    def _revalidates(self) -> bool:
        return self.method == "GET" and getattr(self.view, "revalidates", False)

    def _parameters(self, operation: Operation) -> Iterator[Piece]:
        variables = re.findall(r"{(\w+)}", self.path)
        yield from self._resolve_path_parameters(variables)  # type: ignore[no-untyped-call]
        if self._is_idempotent(operation):
            key = {
                "type": "string",
                "minLength": 1,
                "maxLength": KEY_LENGTH_MAX,
                "pattern": "^[!-~]([ -~]*[!-~])?$",
            }
            hours = KEPT_FOR.days * 24
            about = (
                f"The same request with the same key happens once, within {hours} hours. One that "
                "was refused for its form may be corrected under its key."
            )
            yield _parameter("Idempotency-Key", about, key, place="header")
        if self._revalidates():
            about = "The `ETag` of the answer that the caller has."
            yield _parameter("If-None-Match", about, TEXT, place="header")
        for name, text in operation.headers:
            yield _parameter(name, text, TEXT, place="header")
        for name, text, piece in operation.query:
            yield _parameter(name, text, piece)
        if operation.lists:
            yield from _list_parameters(operation.filters, operation.limit_max)
        if operation.includes:
            names = ", ".join(f"`{name}`" for name in operation.includes)
            yield _parameter("include", f"What to tell as well, of {names}: one or several.", TEXT)

    def _request_body(self, operation: Operation) -> Piece:
        if operation.takes is None:
            return {}
        takes = operation.takes
        if isinstance(takes, type) and not operation.form:
            takes = data(takes) if operation.body_required else an_object({}, {"data": takes})
        kind = FORM if operation.form else MULTIPART if operation.sends_file else JSON
        example = {"example": operation.example} if operation.example else {}
        content = {kind: {"schema": self._resolved(takes), **example}}
        return {"requestBody": {"content": content, "required": operation.body_required}}

    def _resolved(self, piece: Any) -> Any:
        """Replace serializers by references to their components."""
        if isinstance(piece, type):
            # A serializer without fields gets no component of its own.
            component = self.resolve_serializer(piece, "request")
            return component.ref if component else {"type": "object"}
        if isinstance(piece, Named):
            _named[piece.name] = self._resolved(piece.piece)
            return _reference(piece.name)
        if isinstance(piece, dict):
            return {name: self._resolved(nested) for name, nested in piece.items()}
        if isinstance(piece, list):
            return [self._resolved(nested) for nested in piece]
        return piece

    def _answers(self, operation: Operation) -> Piece:
        headers = ("Idempotent-Replayed",) if self._is_idempotent(operation) else ()
        headers = ("ETag",) if self._revalidates() else headers
        answers = {**operation.answers, **({304: None} if self._revalidates() else {})}
        return {
            str(status): _response(_STATUSES[status], answer, *headers)
            for status, answer in answers.items()
        }

    def _refusals(self, operation: Operation) -> Piece:
        reasons: defaultdict[int, dict[str, str]] = defaultdict(dict)
        for refusal in self._refuses(operation):
            reasons[refusal.kind.status][refusal.code] = refusal.detail or refusal.kind.title
        if operation.takes is not None:
            reasons[400]["field_…"] = "A field is missing or of the wrong type."
            reasons[422]["field_…"] = "A field breaks a rule."
            reasons[400]["malformed"] = "The body cannot be read."
            reasons[415][UnsupportedMediaType.code] = "The body is of another kind, or packed."
        return {
            str(status): _response(
                "\n".join(f"- `{code}`: {text}" for code, text in sorted(details.items())),
                Errors,
                *(("Retry-After",) if status in {409, 429, 503} else ()),
            )
            for status, details in sorted(reasons.items())
        }

    def _refuses(self, operation: Operation) -> Iterator[type[Refusal]]:
        """Yield the operation's own refusals, and those of every operation like it."""
        yield from operation.refuses
        yield from (BadRequest, TooManyRequests, DatabaseAway, Busy)
        if self.view.authentication_classes:
            yield BadToken
        if self._needs_administrator():
            yield Forbidden
        if "{" in self.path:
            yield NotFound
        if operation.lists:
            yield from LIST_REFUSALS
        if self._is_idempotent(operation):
            yield from (KeyInUse, KeyReused, ResultGone)
        if self.method != "GET":
            yield from (Conflict, BodyTooLarge)


_STATUSES = {
    200: "Done",
    201: "Created",
    202: "Under way: not settled yet",
    204: "Done",
    304: "Nothing has changed",
}


def _camel(summary: str) -> str:
    words: list[str] = re.findall(r"[a-z]+", summary.lower())
    return words[0] + "".join(word.title() for word in words[1:])


def _response(description: str, answer: Any, *headers: str) -> Piece:
    response: Piece = {
        "description": description,
        "headers": {
            name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-Id", *headers)
        },
    }
    if answer is not None:
        response["content"] = {"application/json": {"schema": schema_of(answer)}}
    return response


def _parameter(name: str, description: str, schema: Piece, *, place: str = "query") -> Piece:
    return {"name": name, "in": place, "description": description, "schema": schema}


def _list_parameters(filters: type[ListFilters], limit_max: int) -> Iterator[Piece]:
    limit = f"How many; 0 stands for the store's page length, and at most {limit_max}."
    yield _parameter("page[limit]", limit, {"type": "integer", "minimum": 0, "maximum": limit_max})
    yield _parameter(
        "page[offset]",
        "After how many records to begin. To go further, follow `links.next`, or filter.",
        {"type": "integer", "minimum": 0, "maximum": OFFSET_MAX},
    )
    yield _parameter(
        "page[after]",
        "The position at which the next page begins, as `links.next` has it: it goes on from there "
        "in the same order, at any depth. Not together with `page[offset]`.",
        TEXT,
    )
    if filters.takes:
        operators = "; ".join(
            f"`{name}`: {', '.join(takes.operators)}" for name, takes in filters.takes.items()
        )
        about = (
            "Terms such as `eq(name,value)`, joined by `:` or each in a `filter` of its own, all "
            f"of which must hold. {operators}."
        )
        yield _parameter("filter", about, TEXT)
    if filters.sorts:
        fields = ", ".join(f"`{name}`" for name in filters.sorts)
        about = f"One or several of {fields}, with commas between; a `-` before one turns it round."
        yield _parameter("sort", about, TEXT)


_CLIENT_ID: Piece = {**TEXT, "minLength": 1, "maxLength": 64}
_TOKEN_REQUEST = Named(
    "TokenRequest",
    {
        "oneOf": [
            Named(
                "ServerTokenRequest",
                an_object(
                    {
                        "grant_type": one_of("client_credentials"),
                        "client_id": _CLIENT_ID,
                        "client_secret": {**TEXT, "minLength": 1, "maxLength": 256},
                    }
                ),
            ),
            Named(
                "StorefrontTokenRequest",
                an_object({"grant_type": one_of("implicit"), "client_id": _CLIENT_ID}),
            ),
        ]
    },
)
describe(
    "Tokens",
    TokenView,
    post=Operation(
        "Get a token",
        "With a secret for an administrator, without one for a shopper. A token lives an hour.",
        takes=_TOKEN_REQUEST,
        form=True,
        answers={200: Token},
        refuses=[BadCredentials, Invalid],
        takes_idempotency_key=False,
    ),
)
describe(
    "Settings",
    SettingsView,
    get=Operation("Get the settings", answers={200: Data[Settings]}),
    put=Operation(
        "Change the settings",
        takes=SettingsChanges,
        answers={200: Data[Settings]},
        refuses=[NotSupported],
    ),
    delete=Operation("Reset the settings", answers={204: None}),
)
describe(
    "Settings",
    CartSettingsView,
    get=Operation("Get the settings of carts", answers={200: Data[CartSettings]}),
    put=Operation(
        "Change the settings of carts",
        takes=CartSettingsChanges,
        answers={200: Data[CartSettings]},
        refuses=[ExpiresTooLate, NotSupported],
    ),
)
