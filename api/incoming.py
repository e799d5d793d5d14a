"""How much of a request's body is read, and how much is made of it.

Before that, the web server has read it: see config.front.
"""

import re
from io import BytesIO

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, UnreadablePostError


def read(request: HttpRequest, most: int) -> None:
    """Read a body of at most so many bytes, which Django keeps.

    Raises: RequestDataTooBig, before anything is read; UnreadablePostError.
    """
    require_at_most(request, most)
    if most <= settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        _ = request.body
    elif not hasattr(request, "_body"):
        # As Django does, which takes no more than that for what it keeps.
        try:
            request._body = request.read()
        except OSError as error:
            raise UnreadablePostError(*error.args) from error
        request._stream = BytesIO(request._body)


def require_at_most(request: HttpRequest, most: int) -> None:
    """Raises: RequestDataTooBig."""
    told = request.META.get("CONTENT_LENGTH") or ""
    if told.isdecimal() and int(told) > most:
        raise RequestDataTooBig("The request's body is too large.")


# How deep a body may be nested, and how many values it may have in all.
JSON_DEPTH_MAX = 32
JSON_VALUES_MAX = 20_000
_TEXTS = re.compile(rb'"(?:[^"\\]+|\\.)*+"?', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")


def require_small(written: bytes) -> None:
    """Look, before anything is made of a body, how much there would be.

    Raises: ValueError.
    """
    if _opened(written) <= JSON_DEPTH_MAX and written.count(b",") < JSON_VALUES_MAX // 2:
        return
    # Only now is it worth while to leave out what stands inside of texts.
    bare = _TEXTS.sub(b"", written)
    if _opened(bare) + bare.count(b",") > JSON_VALUES_MAX:
        raise ValueError(f"It has more than {JSON_VALUES_MAX} values.")
    depth = 0
    for bracket in _BRACKETS.findall(bare):
        depth += 1 if bracket in b"[{" else -1
        if depth > JSON_DEPTH_MAX:
            raise ValueError("It is nested too deeply.")


def _opened(written: bytes) -> int:
    return written.count(b"[") + written.count(b"{")
