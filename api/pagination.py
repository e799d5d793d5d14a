"""Lists: pages by `page[limit]` and `page[offset]` in records, with `meta` and `links`.

An offset goes only so far, since the database counts up to it each time. Whoever wants all of a
list walks it: `links.next` carries a position, `page[after]`, from which the next page is found at
once, at any depth.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from urllib.parse import urlencode

from django.core.exceptions import ValidationError
from django.db.models import F, Field, GeneratedField, Model, Q, QuerySet
from django.db.models.expressions import OrderBy
from django.db.models.fields.tuple_lookups import Tuple, TupleGreaterThan, TupleLessThan
from rest_framework.request import Request
from rest_framework.response import Response

from api import answers, store
from api.errors import BadRequest
from api.fields import AMOUNT_MAX, storable
from api.filtering import value_of
from api.models import PAGE_LENGTH_MAX

LIMIT_MAX = PAGE_LENGTH_MAX
OFFSET_MAX = 10_000
# A position of more characters is not given out: it would make too long an address.
POSITION_LENGTH_MAX = 2_000

Row = TypeVar("Row", bound=Model)


class PositionRefused(BadRequest):
    code = "position_refused"


# Walking.


@dataclass(frozen=True)
class Walk:
    """An order in which a list can be walked: columns, each running up or down, the last unique."""

    fields: "Sequence[Field[Any, Any]]"
    downwards: Sequence[bool]

    @classmethod
    def through(cls, rows: "QuerySet[Any, Any]") -> "Walk | None":
        """Return how the rows are walked in their order, or None if that has to be computed."""
        columns = [_column(entry) for entry in rows.query.order_by]
        named = [column for column in columns if column]
        if not named or len(named) < len(columns):
            return None
        options = rows.model._meta
        fields = [options.pk if name == "pk" else options.get_field(name) for name, _ in named]
        return cls(fields, [downwards for _, downwards in named])

    @property
    def signature(self) -> str:
        each = zip(self.fields, self.downwards, strict=True)
        return ",".join(f"-{field.name}" if downwards else field.name for field, downwards in each)

    def position(self, row: Model, passed: int) -> str:
        """Write down where the row stands, and how many rows have been passed with it."""
        values = [field.value_to_string(row) for field in self.fields]
        text = json.dumps([self.signature, passed, *values], separators=(",", ":"))
        return urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def read(self, position: str) -> "tuple[int, list[Any]]":
        """Read a position: how many rows were passed, and the values of the last of them.

        Raises: PositionRefused for one that is malformed, or was given out in another order.
        """
        try:
            if len(position) > POSITION_LENGTH_MAX:
                raise ValueError
            signature, passed, *texts = json.loads(urlsafe_b64decode(position + "=" * 3))
            if type(passed) is not int or not 0 <= passed <= AMOUNT_MAX:
                raise ValueError
            if signature != self.signature:
                raise _of_another_order()
            return passed, [_value(*each) for each in zip(self.fields, texts, strict=True)]
        except (ValueError, TypeError, OverflowError, RecursionError, ValidationError) as error:
            raise PositionRefused(
                "page[after] must be as links.next gave it.", source="page[after]"
            ) from error

    def beyond(self, rows: "QuerySet[Any, Row]", values: Sequence[Any]) -> "QuerySet[Any, Row]":
        """Leave the rows after the one with these values.

        Where all columns run one way, an index is enough for that.
        """
        names = [field.attname for field in self.fields]
        if len(set(self.downwards)) == 1:
            compare = TupleLessThan if self.downwards[0] else TupleGreaterThan
            return rows.filter(compare(Tuple(*map(F, names)), values))
        after, alike = Q(), Q()
        for name, downwards, value in zip(names, self.downwards, values, strict=True):
            after |= alike & Q(**{f"{name}__{'lt' if downwards else 'gt'}": value})
            alike &= Q(**{name: value})
        return rows.filter(after)


def _of_another_order() -> PositionRefused:
    return PositionRefused(
        "page[after] goes on in the order in which it was given out: leave sort as it was.",
        source="page[after]",
    )


def _column(entry: Any) -> tuple[str, bool] | None:
    """Return a column's name and whether it runs downwards, unless it has to be computed."""
    if isinstance(entry, str):
        return entry.removeprefix("-"), entry.startswith("-")
    if isinstance(entry, OrderBy) and isinstance(entry.expression, F):
        return entry.expression.name, bool(entry.descending)  # type: ignore[attr-defined]
    return None


def _value(field: "Field[Any, Any]", text: Any) -> Any:
    """Raises: ValueError, ValidationError."""
    if not isinstance(text, str) or not storable(text):
        raise ValueError(text)
    stored = field.output_field if isinstance(field, GeneratedField) else field
    assert stored
    value = stored.to_python(text)
    stored.run_validators(value)
    return value


# Pages.


@dataclass(frozen=True)
class Page:
    limit: int
    offset: int = 0
    # The position to go on from, and whether links are to go by positions rather than offsets.
    after: str | None = None
    walks: bool = False

    @classmethod
    def of(cls, request: Request, limit_max: int = LIMIT_MAX) -> "Page":
        """Raises: BadRequest for anything but whole numbers within the limits."""
        # 0 stands for the default: one of the SDKs sends it.
        limit = _number(request, "page[limit]", f"from 0 to {limit_max}", limit_max)
        offset = _number(
            request,
            "page[offset]",
            f"from 0 to {OFFSET_MAX}: to go further, follow links.next page by page, or filter",
            OFFSET_MAX,
        )
        after = value_of(request, "page[after]")
        if after is not None and offset is not None:
            raise PositionRefused(
                "page[after] and page[offset] exclude each other.", source="page[after]"
            )
        length = limit or min(store.current().page_length, limit_max)
        return cls(length, offset or 0, after, walks=offset is None)

    def envelope(
        self,
        request: Request,
        data: Sequence[Mapping[str, object]],
        total: int,
        *,
        more: bool,
        position: str = "",
    ) -> Response:
        """Lay a page of `total` rows into the envelope: `position` is where it ends.

        The offset of a page that was walked to is the number of rows that were passed.
        """
        meta: answers.Page = {
            "results": {"total": total},
            "page": {
                "limit": self.limit,
                "offset": self.offset,
                "current": self.offset // self.limit + 1,
                "total": self._pages(total),
            },
        }
        links = self._links(request, total, position)
        return Response(
            {"data": data, "meta": meta, "links": links if more else {**links, "next": None}}
        )

    def _pages(self, total: int) -> int:
        return max(1, -(-total // self.limit))

    def _links(self, request: Request, total: int, position: str) -> answers.Links:
        def link(**place: object) -> str:
            query = dict(request.query_params.lists())
            for name in ("limit", "offset", "after"):
                query.pop(f"page[{name}]", None)
            place = {"limit": self.limit, **place}
            query |= {f"page[{name}]": [str(value)] for name, value in place.items()}
            return f"{request.path}?{urlencode(query, safe='[](),:*', doseq=True)}"

        last, before = (self._pages(total) - 1) * self.limit, self.offset - self.limit
        after, by_offset = self.offset + self.limit, self.after is None
        goes_on_by_position = position and (self.walks or after > OFFSET_MAX)
        return {
            "current": link(offset=self.offset) if by_offset else link(after=self.after),
            "first": link(offset=0),
            "last": link(offset=last) if 0 < last <= OFFSET_MAX else None,
            "next": link(after=position) if goes_on_by_position else link(offset=after),
            "prev": link(offset=max(0, before)) if self.offset and by_offset else None,
        }


def _number(request: Request, name: str, wanted: str, most: int) -> int | None:
    text = value_of(request, name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) <= most):
        raise BadRequest(f"{name} must be a whole number {wanted}.", source=name)
    return int(text)


def paginated(
    request: Request,
    rows: "QuerySet[Any, Row]",
    represent: Callable[[Row], Mapping[str, object]],
    **reading: Any,
) -> Response:
    return paginated_together(
        request, rows, lambda found: [represent(row) for row in found], **reading
    )


def paginated_together(
    request: Request,
    rows: "QuerySet[Any, Row]",
    represent: Callable[[Sequence[Row]], Sequence[Mapping[str, object]]],
    *,
    limit_max: int = LIMIT_MAX,
    total: int | None = None,
    window: Callable[[int, int], Sequence[Row]] | None = None,
) -> Response:
    """Answer with a page of the rows, represented all at once.

    `limit_max` is less for a list whose rows are large. A list that knows its length tells it as
    `total`, and one that finds rows by their number has a `window` of offset and length. Any other
    is counted, and sliced.

    Raises: BadRequest.
    """
    page, walk = Page.of(request, limit_max), Walk.through(rows)
    if total is None:
        total = rows.count()
    if page.after is not None:
        if walk is None:
            raise _of_another_order()
        passed, values = walk.read(page.after)
        page = replace(page, offset=passed)
        found: Sequence[Row] | QuerySet[Any, Row] = walk.beyond(rows, values)[: page.limit + 1]
    elif window:
        found = window(page.offset, page.limit + 1)
    else:
        found = rows[page.offset : page.offset + page.limit + 1]
    # One more was asked for, to know whether any follow.
    shown, more = list(found)[: page.limit], len(found) > page.limit
    position = walk.position(shown[-1], page.offset + len(shown)) if walk and more else ""
    if len(position) > POSITION_LENGTH_MAX:
        position = ""
    return page.envelope(request, represent(shown), total, more=more, position=position)
