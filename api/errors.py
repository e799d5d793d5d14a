"""What is refused, and how HTTP words it.

Every app has an `errors.py` with one small class for each situation. Its kind stands here or, if
only that app knows it, beside the class.
Services raise them; the API answers through `answer_exception`, and the admin shows their message.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import psycopg
import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig, TooManyFieldsSent
from django.db import IntegrityError, InternalError, OperationalError
from django.db.models import ProtectedError, RestrictedError
from django.http import Http404, JsonResponse, UnreadablePostError
from procrastinate.exceptions import ConnectorException
from psycopg.errors import ForeignKeyViolation, UniqueViolation
from rest_framework import exceptions
from rest_framework.response import Response

from api import answers, metrics
from config import outages
from config.logs import without_details

log = structlog.get_logger(__name__)


class Kind(NamedTuple):
    """A kind of refusal, as HTTP words it. An app has kinds of its own beside its refusals."""

    status: int
    title: str
    # Whether it was the request that was at fault, or its moment, and not what the shop was like.
    # Then it is no answer that an idempotency key keeps: the corrected request may use the key.
    of_form: bool = False


BAD_REQUEST = Kind(400, "Bad Request", of_form=True)
# Worded like the one before, of a request that would be good if the shop were another one.
NOT_POSSIBLE = Kind(400, "Bad Request")
UNAUTHORIZED = Kind(401, "Unauthorized", of_form=True)
BAD_TOKEN = Kind(401, "Unable to validate access token", of_form=True)
FORBIDDEN = Kind(403, "Forbidden", of_form=True)
NOT_FOUND = Kind(404, "Not Found")
METHOD_NOT_ALLOWED = Kind(405, "Method Not Allowed", of_form=True)
NOT_ACCEPTABLE = Kind(406, "Not Acceptable", of_form=True)
CONFLICT = Kind(409, "Conflict")
BODY_TOO_LARGE = Kind(413, "Content Too Large", of_form=True)
UNSUPPORTED_MEDIA_TYPE = Kind(415, "Unsupported Media Type", of_form=True)
INVALID = Kind(422, "Failed Validation", of_form=True)
WRONG_STATE = Kind(422, "Unprocessable Entity")
TOO_MANY_REQUESTS = Kind(429, "Too Many Requests", of_form=True)
SERVER_ERROR = Kind(500, "Internal Server Error", of_form=True)
BUSY = Kind(503, "Service Unavailable", of_form=True)


class Refusal(Exception):
    """A request that cannot be done, for a reason that the caller can understand.

    `str(refusal)` speaks to people in the admin. API clients read `detail`, which is the same text
    unless the class fixes one: the shopper, for example, must not learn what is left of what.
    """

    kind: ClassVar[Kind]
    code: ClassVar[str]
    detail: str = ""
    # The database constraint that says the same, if there is one: see `refusal_of`.
    constraint: ClassVar[str] = ""
    retry_after_seconds: int | None = None
    # Among the numbers of /metrics, where each is once, however many tell somebody of it.
    is_counted = False

    def __init__(
        self, message: str = "", *, source: str = "", meta: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message or self.detail)
        self.detail = self.detail or message
        self.source = source
        self.meta = meta

    @property
    def title(self) -> str:
        return self.kind.title

    @property
    def lasts(self) -> bool:
        """Tell whether this is the answer to the request, which an idempotency key keeps."""
        return not self.kind.of_form and self.retry_after_seconds is None

    def entries(self) -> list[answers.Error]:
        return [
            entry(
                self.kind.status,
                self.title,
                self.detail,
                code=self.code,
                source=self.source,
                meta=self.meta,
            )
        ]


def entry(
    status: int,
    title: str,
    detail: str = "",
    *,
    code: str,
    source: str = "",
    meta: Mapping[str, Any] | None = None,
) -> answers.Error:
    """Make one entry of `errors[]`: what is empty is left out."""
    details: answers.ErrorDetails = {}
    if detail:
        details["detail"] = detail
    if source:
        details["source"] = source
    if meta:
        details["meta"] = meta
    return {"status": status, "title": title, **details, "code": code}


class NotFound(Refusal):
    kind = NOT_FOUND
    code = "not_found"
    # What was not found, if the title is to name it.
    thing: ClassVar[str] = ""

    @property
    def title(self) -> str:
        return f"{self.thing} not found" if self.thing else self.kind.title


class Forbidden(Refusal):
    kind = FORBIDDEN
    code = "forbidden"


class BadRequest(Refusal):
    kind = BAD_REQUEST
    code = "bad_request"


class UnsupportedMediaType(Refusal):
    """A body of a kind, or packed in a way, that is not read here."""

    kind = UNSUPPORTED_MEDIA_TYPE
    code = "unsupported_media_type"


class BodyTooLarge(Refusal):
    kind = BODY_TOO_LARGE
    code = "body_too_large"
    detail = "The request's body is larger than is taken here."


class Busy(Refusal):
    kind = BUSY
    code = "busy"
    # With the same records, with bodies that arrive slowly, or with files that others fetch.
    detail = "The server is busy with what others ask of it. Please try again in a moment."
    retry_after_seconds = 1


class DatabaseAway(Refusal):
    """The database cannot be reached, or was lost in the middle, perhaps at the commit itself."""

    kind = BUSY
    code = "database_away"
    detail = (
        "The database does not answer, so nobody knows whether this was done. Please try again in "
        "a moment, with the same Idempotency-Key."
    )
    retry_after_seconds = 1


class Conflict(Refusal):
    """What the call depends on was changed at that moment, in a way that nobody foresaw."""

    kind = CONFLICT
    code = "conflict"
    detail = "Write conflict detected"
    retry_after_seconds = 1


class UnknownField(Refusal):
    """A name that no version of the contract knows, where to ignore it could cost money."""

    kind = INVALID
    code = "unknown_field"
    detail = "This call knows no such field."


class NotSupported(Refusal):
    """A name that the contract knows, of which nothing here makes anything."""

    kind = INVALID
    code = "not_supported"
    detail = "This call does not act on the field."


def refusal_of(error: IntegrityError) -> Refusal | None:
    """Find the refusal that stands for a violated constraint: the one that names it, or Conflict.

    None for a CHECK that no refusal names: violating it is our own mistake, and a loud one.
    """
    cause = error.__cause__
    name = cause.diag.constraint_name if isinstance(cause, psycopg.Error) else None
    for refusal in _below(Refusal):
        if name and refusal.constraint == name:
            return refusal()
    if not isinstance(cause, ForeignKeyViolation | UniqueViolation) and not isinstance(
        error, ProtectedError | RestrictedError
    ):
        return None
    log.error("unforeseen_conflict", constraint=name, error=without_details(str(error), error))
    return Conflict()


def _below(kind: type[Refusal]) -> Iterator[type[Refusal]]:
    for refusal in kind.__subclasses__():
        yield refusal
        yield from _below(refusal)


# What somebody saw of a thing, each part under its name: money as numbers, all else as text.
Standing = Mapping[str, int | str]


class Moved(Refusal):
    """What somebody decided on is no longer as it was when they saw it."""

    kind = CONFLICT
    code = "moved"
    detail = "It changed since this form was opened. Nothing was done."


def require_as_seen(seen: Standing | None, standing: Callable[[], Standing]) -> None:
    """Decide on what is locked whether it is still as somebody saw it, if that is to matter.

    Raises: Moved.
    """
    if seen is not None and dict(seen) != dict(standing()):
        raise Moved


@dataclass(frozen=True)
class FieldError:
    source: str
    title: str
    detail: str
    code: str


class Invalid(Refusal):
    """A body whose fields are missing, of a wrong type (400), or break a rule (422)."""

    kind = INVALID
    code = "invalid"

    # What is wrong with the shape of a body rather than with what it says.
    SHAPE: ClassVar[frozenset[str]] = frozenset(
        {"required", "null", "invalid", "type", "format", "not_a_list"}
    )

    def __init__(self, *errors: FieldError, strictly: bool = False) -> None:
        """`strictly`: a wrong type breaks a rule, too (422); what is missing is still a 400."""
        super().__init__("; ".join(f"{error.source}: {error.detail}" for error in errors))
        self.errors = errors
        self.strictly = strictly

    def entries(self) -> list[answers.Error]:
        """Return one entry per field, all with one status, since a response has only one."""
        titles = [error.title for error in self.errors]
        if self.strictly:
            misshapen = all(title == "required" for title in titles)
        else:
            misshapen = any(title in self.SHAPE for title in titles)
        kind = BAD_REQUEST if misshapen else self.kind
        return [
            entry(
                kind.status,
                error.title if misshapen else kind.title,
                error.detail,
                code=error.code,
                source=error.source,
            )
            for error in self.errors
        ]


def invalid_fields(errors: Any, source: str = "data") -> Iterator[FieldError]:
    """Flatten a serializer's nested errors into one for each field."""
    if isinstance(errors, Mapping):
        for name, nested in errors.items():
            deeper = source if name == "non_field_errors" else f"{source}.{name}"
            yield from invalid_fields(nested, deeper)
    elif isinstance(errors, list) and errors and isinstance(errors[0], exceptions.ErrorDetail):
        code = errors[0].code or "invalid"
        detail = f"{source.rpartition('.')[2]} is required" if code == "required" else errors[0]
        stands_alone = code in {UnknownField.code, NotSupported.code}
        yield FieldError(source, code, str(detail), code if stands_alone else f"field_{code}")
    elif isinstance(errors, list):
        for position, nested in enumerate(errors):
            yield from invalid_fields(nested, f"{source}.{position}")


def answer_exception(exception: Exception, context: Mapping[str, Any]) -> Response | None:
    """Answer the exception that DRF caught. None means that nobody foresaw it: a 500, loudly."""
    refusal = exception if isinstance(exception, Refusal) else as_refusal(exception)
    return answer(refusal) if refusal else None


# A statement that waited too long for a lock, or ran too long; or lost to another one.
_NOT_NOW = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.QueryCanceled,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
)
_given_up = outages.OnceASecond(__name__, "error", "statement_given_up")


def is_given_up(exception: BaseException | None) -> bool:
    """Tell whether the database gave up a statement, and those who run the shop that it did."""
    cause = exception and exception.__cause__
    if not isinstance(cause, _NOT_NOW):
        return False
    _given_up.tell(error=outages.short(cause.diag.message_primary))
    return True


# Whoever leaves a job to the worker hears of the database in the queue's words.
DATABASE_ERRORS = (OperationalError, InternalError, ConnectorException)


def answer(refusal: Refusal) -> Response:
    entries = _counted(refusal)
    response = Response({"errors": entries}, status=entries[0]["status"])
    if refusal.retry_after_seconds is not None:
        response["Retry-After"] = str(refusal.retry_after_seconds)
    if refusal.kind in {UNAUTHORIZED, BAD_TOKEN}:
        response["WWW-Authenticate"] = "Bearer"
    return response


def _counted(refusal: Refusal) -> list[answers.Error]:
    entries = refusal.entries()
    if not refusal.is_counted:
        refusal.is_counted = True
        metrics.REFUSALS.labels(entries[0]["code"]).inc()
    return entries


def count(refusal: Refusal) -> None:
    """Count a refusal that a person reads on a page, and no program as an answer."""
    _counted(refusal)


def refused(refusal: Refusal) -> JsonResponse:
    """Answer with a refusal where DRF does not."""
    headers = {"Cache-Control": "no-store"}
    if refusal.retry_after_seconds is not None:
        headers["Retry-After"] = str(refusal.retry_after_seconds)
    entries = _counted(refusal)
    return JsonResponse({"errors": entries}, status=entries[0]["status"], headers=headers)


class _Foreign(Refusal):
    """What Django or DRF raised, in our words."""

    def __init__(self, kind: Kind, code: str, detail: str) -> None:
        super().__init__(detail)
        self.__dict__.update(kind=kind, code=code)


_FOREIGN: dict[type[Exception], tuple[Kind, str]] = {
    exceptions.ParseError: (BAD_REQUEST, "malformed"),
    exceptions.NotAuthenticated: (BAD_TOKEN, "bad_token"),
    exceptions.AuthenticationFailed: (BAD_TOKEN, "bad_token"),
    exceptions.PermissionDenied: (FORBIDDEN, "forbidden"),
    PermissionDenied: (FORBIDDEN, "forbidden"),
    exceptions.NotFound: (NOT_FOUND, "not_found"),
    Http404: (NOT_FOUND, "not_found"),
    exceptions.MethodNotAllowed: (METHOD_NOT_ALLOWED, "method_not_allowed"),
    exceptions.NotAcceptable: (NOT_ACCEPTABLE, "not_acceptable"),
    exceptions.UnsupportedMediaType: (UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
}


def as_refusal(exception: Exception) -> Refusal | None:
    """Return the refusal that says what Django or DRF raised, if there is one."""
    if isinstance(exception, IntegrityError):
        return refusal_of(exception)
    if isinstance(exception, DATABASE_ERRORS) and outages.is_away(exception):
        # No refusal to those who run the shop: they are to learn of it.
        outages.tell(exception)
        return DatabaseAway()
    if is_given_up(exception):
        return Busy()
    if isinstance(exception, RequestDataTooBig):
        return BodyTooLarge()
    if isinstance(exception, TooManyFieldsSent):
        # Left to Django, each of them would be an error in the log, with its traceback.
        return BadRequest("The address or the form has too many parameters.")
    if isinstance(exception, UnreadablePostError):
        return Busy()
    if type(exception) not in _FOREIGN:
        return None
    kind, code = _FOREIGN[type(exception)]
    return _Foreign(kind, code, str(getattr(exception, "detail", "") or kind.title))
