"""Lists: `page[limit]` and `page[offset]` in records, with `meta` and `links`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from api import answers, store
from api.errors import BadRequest
from api.filtering import value_of
from api.models import PAGE_LENGTH_MAX

LIMIT_MAX = PAGE_LENGTH_MAX
OFFSET_MAX = 10_000

Row = TypeVar("Row")


@dataclass(frozen=True)
class Page:
    limit: int
    offset: int

    @classmethod
    def of(cls, request: Request) -> "Page":
        """Raises: BadRequest for anything but whole numbers within the limits."""
        # 0 stands for the default: one of the SDKs sends it.
        limit = _number(request, "page[limit]", LIMIT_MAX) or store.current().page_length
        return cls(limit, _number(request, "page[offset]", OFFSET_MAX))

    def envelope(
        self, request: Request, data: Sequence[Mapping[str, object]], total: int
    ) -> Response:
        pages = max(1, -(-total // self.limit))
        meta: answers.Page = {
            "results": {"total": total},
            "page": {
                "limit": self.limit,
                "offset": self.offset,
                "current": self.offset // self.limit + 1,
                "total": pages,
            },
        }
        return Response({"data": data, "meta": meta, "links": self._links(request, total, pages)})

    def _links(self, request: Request, total: int, pages: int) -> answers.Links:
        def link(offset: int) -> str:
            query = dict(request.query_params.lists())
            query |= {"page[offset]": [str(offset)], "page[limit]": [str(self.limit)]}
            return f"{request.path}?{urlencode(query, safe='[](),:*', doseq=True)}"

        next_offset, previous_offset = self.offset + self.limit, max(0, self.offset - self.limit)
        return {
            "current": link(self.offset),
            "first": link(0),
            "last": link((pages - 1) * self.limit) if pages > 1 else None,
            "next": link(next_offset) if next_offset < total else None,
            "prev": link(previous_offset) if self.offset else None,
        }


def _number(request: Request, name: str, most: int) -> int:
    text = value_of(request, name)
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) <= most):
        raise BadRequest(f"{name} must be a whole number from 0 to {most}.", source=name)
    return int(text)


def paginated(
    request: Request, rows: "QuerySet[Any, Row]", represent: Callable[[Row], Mapping[str, object]]
) -> Response:
    page = Page.of(request)
    data = [represent(row) for row in rows[page.offset : page.offset + page.limit]]
    return page.envelope(request, data, rows.count())
