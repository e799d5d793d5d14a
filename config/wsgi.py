import os
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
_django = get_wsgi_application()


def application(environ: dict[str, Any], start_response: Any) -> Any:
    """Give a chunked body a Content-Length, without which Django would read nothing of it.

    A file may be longer than what is read here, and must not be taken for whole: it stays unread.
    """
    is_file = environ.get("CONTENT_TYPE", "").startswith("multipart/")
    in_chunks = "HTTP_TRANSFER_ENCODING" in environ and environ.get("wsgi.input_terminated")
    if in_chunks and not is_file:
        # One byte more than Django accepts, so that it refuses a longer body.
        body = environ["wsgi.input"].read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
        environ.update({"CONTENT_LENGTH": str(len(body)), "wsgi.input": BytesIO(body)})
    return _django(environ, start_response)
