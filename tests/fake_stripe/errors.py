from typing import Any


class StripeError(Exception):
    """An answer that is no success: HTTP status and the fields of Stripe's `error` object."""

    # Whether a repetition with the same key gets this answer again, or is executed anew.
    saved = True

    def __init__(self, status: int, kind: str, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"type": kind, "message": message, **fields}


class BadParameters(StripeError):
    """Refused before anything was executed, and therefore not remembered by its key."""

    saved = False

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(400, "invalid_request_error", message, **fields)


def refused(message: str, **fields: Any) -> StripeError:
    return StripeError(400, "invalid_request_error", message, **fields)


def missing(kind: str, name: str, *, param: str = "intent", status: int = 404) -> StripeError:
    message = f"No such {kind}: '{name}'"
    return StripeError(
        status, "invalid_request_error", message, code="resource_missing", param=param
    )


UNKNOWN_KEY = StripeError(401, "invalid_request_error", "Invalid API Key provided")
UNKNOWN_KEY.saved = False
WENT_WRONG = StripeError(500, "api_error", "An unknown error occurred")
LOCKED = StripeError(
    429,
    "invalid_request_error",
    "This object cannot be accessed right now because another API request or Stripe process is "
    "currently accessing it.",
    code="lock_timeout",
)
LOCKED.saved = False
