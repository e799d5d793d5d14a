"""What browsers may load and do on our pages, in the form that django-csp's decorator takes.

A response that says nothing gets the policy of settings.CONTENT_SECURITY_POLICY: nothing at all.
A page of its own is a view under `@csp(PAGE)`, its scripts and styles in files.
"""

from typing import Any

from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.conf import settings

Policy = dict[str, Any]

PAGE: Policy = {
    "default-src": [NONE],
    "script-src": [SELF],
    "style-src": [SELF],
    "img-src": [SELF, "data:", *settings.IMAGE_SOURCES],
    "connect-src": [SELF],
    "form-action": [SELF],
    "frame-ancestors": [NONE],
    "base-uri": [NONE],
}
# Unfold's menus use Alpine, which evaluates code in attributes; Unfold has fonts of its own.
ADMIN: Policy = {
    **PAGE,
    "script-src": [SELF, UNSAFE_EVAL],
    "style-src": [SELF, UNSAFE_INLINE],
    "font-src": [SELF],
}
# Swagger UI sets styles from its script.
DOCS: Policy = {
    **PAGE,
    "style-src": [SELF, UNSAFE_INLINE],
    "img-src": [SELF, "data:"],
    "form-action": [NONE],
}
