"""Who may send files. A file is written to the disk before any view has seen it, so this is asked
before anything is read."""

from collections.abc import Callable, Collection
from typing import Any, NoReturn, TypeVar

from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.core.files.uploadhandler import FileUploadHandler
from django.http import HttpRequest

from api import incoming

View = TypeVar("View", bound=Callable[..., Any])

# What surrounds the file in a form.
AROUND_A_FILE = 65_536
# A form of somebody who has not logged in, such as the login's own.
STRANGERS_BYTES_MAX = 16_384


class _NoFiles(FileUploadHandler):
    """Refuses a form with a file at the file's first byte."""

    def new_file(self, *args: Any, **options: Any) -> NoReturn:
        raise PermissionDenied

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Never asked for: no file was begun."""

    def file_complete(self, file_size: int) -> None:
        """Never asked for, either."""


class _AtMost(FileUploadHandler):
    """Refuses a form with too many files at the first byte of the one too many."""

    def __init__(self, request: HttpRequest, files: int) -> None:
        super().__init__(request)
        self.left = files

    def new_file(self, *args: Any, **options: Any) -> None:
        self.left -= 1
        if self.left < 0:
            raise RequestDataTooBig("The form has too many files.")
        super().new_file(*args, **options)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        """Leave it to the next one, which keeps it."""
        return raw_data

    def file_complete(self, file_size: int) -> None:
        """Leave that to the next one, too."""


def takes_files(permissions: Collection[str], most: int, files: int = 1) -> Callable[[View], View]:
    """Let a page take so many files, of at most so many bytes together, from whoever has one of
    the permissions."""

    def mark(view: View) -> View:
        view.takes_files = (permissions, most, files)  # type: ignore[attr-defined]
        return view

    return mark


def require_allowed(request: HttpRequest, view: Callable[..., Any]) -> None:
    """Decide how much of a form is read, and whether with a file.

    Raises: RequestDataTooBig.
    """
    permissions, most, files = getattr(view, "takes_files", ((), 0, 0))
    if request.user.is_authenticated:
        if any(map(request.user.has_perm, permissions)):
            incoming.require_at_most(request, most + files * AROUND_A_FILE)
            request.upload_handlers = [_AtMost(request, files), *request.upload_handlers]
            return
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    else:
        most = STRANGERS_BYTES_MAX
    incoming.require_at_most(request, most)
    request.upload_handlers = [_NoFiles(request)]
