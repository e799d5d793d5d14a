"""Files, which are the pictures of products: told of, sent, and served."""

import re
import uuid
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.http import require_safe
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from api.authentication import Administrator
from api.errors import FieldError, Invalid, NotSupported
from api.filtering import listed
from api.idempotency import Key, once
from api.pagination import paginated
from api.views import MULTIPART, ApiView, deleted, envelope
from inventory import answers, serializers
from inventory.errors import PictureNotFound, PictureTooLarge, PictureUnreadable
from inventory.filters import FileFilters
from inventory.models import Picture
from inventory.services import picture_files, pictures
from inventory.services.images import BYTES_MAX

# What surrounds the file in a form.
AROUND_A_FILE = 65_536


class _FileAnswers(ApiView):
    permission_classes = [Administrator]

    def represented(self, picture: Picture) -> answers.File:
        return serializers.file(picture, self.absolute)

    def answered(self, file_id: uuid.UUID | str, status: int = 200) -> Response:
        picture = Picture.objects.filter(pk=file_id).first()
        if picture is None:
            raise PictureNotFound
        return envelope(self.represented(picture), status)

    def created(self, file_id: uuid.UUID | str) -> Response:
        return self.answered(file_id, 201)


class FilesView(_FileAnswers):
    parser_classes = [MultiPartParser]
    reads = re.compile(MULTIPART)
    body_max = BYTES_MAX + AROUND_A_FILE

    def get(self, request: Request) -> Response:
        files = listed(request, Picture.objects.order_by("-pk"), FileFilters)
        return paginated(request, files, self.represented)

    @once(again=_FileAnswers.created)
    def post(self, request: Request, key: Key | None) -> Response:
        """Keep a file. The same content is the same file."""
        sent = _sent(request)
        try:
            kept = pictures.take(str(sent.name), sent.read(), actor=self.caller.actor, key=key)
        except (PictureTooLarge, PictureUnreadable) as refusal:
            raise type(refusal)(str(refusal), source="file") from refusal
        return self.created(kept.pk)


def _sent(request: Request) -> "UploadedFile[bytes]":
    """Raises: Invalid, where there is no file, or something else is asked for."""
    form: Any = request.data
    asked_for = {"file_location"} & form.keys()
    if form.get("public", "true") != "true":
        asked_for.add("public")
    if asked_for:
        code = NotSupported.code
        raise Invalid(*(FieldError(name, code, NotSupported.detail, code) for name in asked_for))
    file = request.FILES.get("file")
    if not isinstance(file, UploadedFile):
        raise Invalid(FieldError("file", "required", "file is required", "field_required"))
    return file


class FileView(_FileAnswers):
    def get(self, request: Request, file_id: uuid.UUID) -> Response:
        return self.answered(file_id)

    @once(again=deleted)
    def delete(self, request: Request, key: Key | None, file_id: uuid.UUID) -> Response:
        pictures.delete(file_id, actor=self.caller.actor, key=key)
        return deleted()


@require_safe
def media(request: HttpRequest, name: str) -> HttpResponseBase:
    """Serve a file to anybody, who may keep it for good: no name comes again."""
    content = picture_files.read(name)
    if content is None:
        return HttpResponse(status=404, headers={"Cache-Control": "no-store"})
    answer = HttpResponse(content, content_type=Picture.MIME_TYPE)
    answer["Cache-Control"] = "public, max-age=31536000, immutable"
    # So that pages of other sites may show it, too.
    answer["Cross-Origin-Resource-Policy"] = "cross-origin"
    return answer
