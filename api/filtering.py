"""What a list is asked for: `filter`, plain query parameters, `sort` and `include`.

`filter=eq(status,live):like(name,*shirt*)` holds terms, all of which must be true: an operator, a
field, and values, which may stand in quotes of either kind; a backslash takes the next character as
it is. `?status=live` says the same as `eq(status,live)`, and `?stock__gt=5` as `gt(stock,5)`. A
`ListFilters` says which fields a list takes, with which operators. Anything else is refused.

A parameter may be repeated: all of its values count, for every caller writes lists in its own way.
"""

import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, NamedTuple, TypeVar

from django.db.models import F, Model, Q, QuerySet
from django.db.models.expressions import Combinable, Expression, OrderBy, Subquery
from django_filters import Filter, FilterSet
from rest_framework.request import Request

from api.errors import BadRequest
from api.fields import storable

TERMS_MAX = 10
BYTES_MAX = 8192

EQ, LIKE, IN, IS_NULL = "eq", "like", "in", "is_null"
COMPARISONS = ("gt", "ge", "lt", "le")

_LOOKUPS = {"eq": "exact", "in": "in", "gt": "gt", "ge": "gte", "lt": "lt", "le": "lte"}
# How many values an operator takes, where that is not exactly one.
_VALUES_OF = {IN: range(1, BYTES_MAX), IS_NULL: range(1)}

Row = TypeVar("Row", bound=Model)
Condition = Q | Combinable
Where = str | Expression | Callable[[str, Any], Condition]


class FilterNotParsed(BadRequest):
    code = "filter_not_parsed"
    detail = "Could not parse the supplied filter"


class FilterCharacters(BadRequest):
    code = "filter_characters"
    detail = "The supplied filter contained unsupported characters"


class FilterTooLong(BadRequest):
    code = "filter_too_long"
    detail = f"A filter holds at most {TERMS_MAX} terms in {BYTES_MAX} bytes."


class FilterNotSupported(BadRequest):
    code = "filter_not_supported"


class FilterValueWrong(BadRequest):
    code = "filter_value_wrong"


class SortNotSupported(BadRequest):
    code = "sort_not_supported"


# The grammar.


class Term(NamedTuple):
    operator: str
    field: str
    # Without their quotes, still with their backslashes: `like` must tell \* from *.
    values: list[str]


# Each pattern reads on from where the last one stopped, and none can match one text in two ways, so
# that the time for a filter grows with its length alone.
_OPENING = re.compile(r"([A-Za-z_]{1,20})\(([\w.-]{1,64})", re.ASCII)
_VALUE = re.compile(
    r"""
    ,\ *(?:
        "((?:[^"\\]|\\.)+)"\ *
        | '((?:[^'\\]|\\.)+)'\ *
        | ((?:[^\\,()"'\ ]|\\.)(?:[^\\,()]|\\.)*)
    )
    """,
    re.VERBOSE,
)


def parse(text: str) -> list[Term]:
    """Raises: FilterNotParsed, FilterCharacters, FilterTooLong."""
    if not _supported(text):
        raise FilterCharacters(source="filter")
    if len(text.encode()) > BYTES_MAX:
        raise FilterTooLong(source="filter")
    terms = list(_terms(text))
    if len(terms) > TERMS_MAX:
        raise FilterTooLong(source="filter")
    return terms


def _supported(text: str) -> bool:
    return storable(text) and not any(letter < " " or letter == "\x7f" for letter in text)


def _terms(text: str) -> Iterator[Term]:
    position = 0
    while True:
        term, position = _term(text, position)
        yield term
        if position == len(text):
            return
        position = _past(":", text, position)


def _term(text: str, position: int) -> tuple[Term, int]:
    opening = _OPENING.match(text, position)
    if not opening:
        raise FilterNotParsed(source="filter")
    operator, field = opening.groups()
    position, values = opening.end(), []
    while value := _VALUE.match(text, position):
        values.append(next(filter(None, value.groups())))
        position = value.end()
    if len(values) not in _VALUES_OF.get(operator, range(1, 2)):
        raise FilterNotParsed(source="filter")
    return Term(operator, field, values), _past(")", text, position)


def _past(sign: str, text: str, position: int) -> int:
    if not text.startswith(sign, position):
        raise FilterNotParsed(source="filter")
    return position + len(sign)


# What a field takes.


class Takes:
    """A field of a list: where its value is found, and the operators that it takes.

    `where` names a column, is an expression, or makes a condition of a lookup and a value.
    """

    wants = "text"

    def __init__(self, where: Where, *operators: str) -> None:
        self.where, self.operators = where, operators

    def read(self, text: str) -> Any:
        """Raises: ValueError, OverflowError."""
        return text

    def condition(self, operator: str, values: Sequence[str]) -> Condition:
        """Raises: ValueError, OverflowError for a value that is not what the field wants."""
        if operator == IS_NULL:
            return self.holds("isnull", True)
        if operator == LIKE:
            return self.holds(*_pattern(values[0]))
        operands = [self.read(_plain(value)) for value in values]
        return self.compares(_LOOKUPS[operator], operands if operator == IN else operands[0])

    def compares(self, lookup: str, value: Any) -> Condition:
        return self.holds(lookup, value)

    def holds(self, lookup: str, value: Any) -> Condition:
        if isinstance(self.where, str):
            return Q(**{f"{self.where}__{lookup}": value})
        if isinstance(self.where, Expression):
            return compared(self.where, lookup, value)
        return self.where(lookup, value)


def compared(expression: Expression, lookup: str, value: Any) -> Q:
    lookup_class = expression.get_lookup(lookup)
    assert lookup_class, lookup
    return Q(lookup_class(expression, value))


class Text(Takes): ...


class Id(Takes):
    wants = "a UUID"

    def read(self, text: str) -> uuid.UUID:
        return uuid.UUID(text)


class Number(Takes):
    wants = "a whole number"

    def read(self, text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,20}", text):
            raise ValueError(text)
        return int(text)


class Flag(Takes):
    wants = "true or false"

    def read(self, text: str) -> bool:
        if text not in {"true", "false"}:
            raise ValueError(text)
        return text == "true"


class Moment(Takes):
    """A moment lasts as long as its precision: a day, a second, a millisecond.

    `eq` means within the moment; the other operators compare with its beginning.
    """

    wants = "a date (YYYY-MM-DD), milliseconds since 1970, or a moment as in RFC 3339"

    def read(self, text: str) -> tuple[datetime, datetime]:
        return _moment(text)

    def compares(self, lookup: str, value: Any) -> Condition:
        begin, end = value
        if lookup == "exact":
            return Q(self.holds("gte", begin), self.holds("lt", end))
        return self.holds(lookup, begin)


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


_PATTERN = re.compile(r"(\*?)((?:\\.|[^\\])*?)(\*?)")
_LIKE = {("*", "*"): "icontains", ("*", ""): "iendswith", ("", "*"): "istartswith"}


def _pattern(text: str) -> tuple[str, str]:
    """Return the lookup that `*` at either end, or none, stands for, and the text without it."""
    match = _PATTERN.fullmatch(text)
    assert match, text
    before, within, after = match.groups()
    return _LIKE.get((before, after), "iexact"), _plain(within)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_RFC_3339 = re.compile(
    # A plus sign that nobody encoded arrives as a space.
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+ -]\d\d:\d\d))?",
    re.ASCII | re.IGNORECASE,
)


def _moment(text: str) -> tuple[datetime, datetime]:
    """Return a moment's beginning and end. Raises: ValueError, OverflowError."""
    if re.fullmatch(r"-?[0-9]{1,15}", text):
        begin = _EPOCH + int(text) * _MILLISECOND
        return begin, begin + _MILLISECOND
    match = _RFC_3339.fullmatch(text)
    if not match:
        raise ValueError(text)
    day, time, fraction, offset = match.groups()
    if time is None:
        begin = datetime.fromisoformat(day).replace(tzinfo=UTC)
        return begin, begin + timedelta(days=1)
    digits = (fraction or "")[:6]
    iso_text = f"{day}T{time}.{digits:0<6}{offset.replace(' ', '+').upper()}"
    begin = datetime.fromisoformat(iso_text).astimezone(UTC)
    return begin, begin + timedelta(microseconds=10 ** (6 - len(digits)))


# Query parameters.


def values_of(request: Request, name: str) -> list[str]:
    """Return what a query parameter says, each time that it is there and not empty."""
    return [text for text in request.query_params.getlist(name) if text]


def value_of(request: Request, name: str) -> str | None:
    """Return what a query parameter says that can have one value only. Raises: BadRequest."""
    values: list[str] = request.query_params.getlist(name)
    if len(values) > 1:
        raise BadRequest(f"{name} can be said only once.", source=name)
    return values[0] if values else None


def moment_parameter(request: Request, name: str) -> datetime | None:
    """Read a query parameter that names a moment, by its beginning. Raises: BadRequest."""
    text = value_of(request, name)
    if text is None:
        return None
    try:
        return _moment(text)[0]
    except (ValueError, OverflowError) as error:
        raise BadRequest(f"{name} wants {Moment.wants}.", source=name) from error


# What a list takes.


class OperatorFilter(Filter):  # type: ignore[misc]
    """One operator of one field, in the words of django-filter."""

    def __init__(self, field: str, takes: Takes, operator: str) -> None:
        super().__init__(field, _LOOKUPS.get(operator, operator), label=f"{operator}({field})")
        self.takes, self.operator = takes, operator

    def filter(self, rows: "QuerySet[Row]", value: str) -> "QuerySet[Row]":
        """Filter by one value, as django-filter itself would call it."""
        return rows.filter(self.condition([value], self.field_name)) if value else rows

    def condition(self, values: Sequence[str], source: str) -> Condition:
        """Raises: FilterValueWrong."""
        try:
            return self.takes.condition(self.operator, values)
        except (ValueError, OverflowError) as error:
            raise FilterValueWrong(
                f"{self.label} wants {self.takes.wants}.", source=source
            ) from error


class ListFilters(FilterSet):  # type: ignore[misc]
    """What a list may be filtered and sorted by: nothing, until a subclass says so.

    `sorts` names the columns that stand for a field. Ties are broken by the primary key, so that
    no row is on two pages.
    """

    takes: ClassVar[Mapping[str, Takes]] = {}
    sorts: "ClassVar[Mapping[str, Sequence[str | Expression | Subquery[Any]]]]" = {}

    @classmethod
    def get_filters(cls) -> dict[str, OperatorFilter]:
        """Name one filter for each operator: `stock` for eq, `stock__gt` for gt."""
        return {
            _name(field, operator): OperatorFilter(field, takes, operator)
            for field, takes in cls.takes.items()
            for operator in takes.operators
        }


def _name(field: str, operator: str) -> str:
    return field if operator == EQ else f"{field}__{operator}"


def listed(
    request: Request,
    rows: "QuerySet[Row]",
    filters: type[ListFilters] = ListFilters,
) -> "QuerySet[Row]":
    """Filter and sort as the request asks; without a `sort`, the order of `rows` stays.

    Raises: BadRequest for anything that this list does not take.
    """
    criteria = conditions(request, filters)
    return _sorted(request, rows.filter(*criteria) if criteria else rows, filters)


def require_whole(request: Request) -> None:
    """Refuse `filter` and `sort` where a list is always told as it is. Raises: BadRequest."""
    conditions(request, ListFilters)
    require_unsorted(request)


def require_unsorted(request: Request) -> None:
    """Raises: SortNotSupported."""
    if values_of(request, "sort"):
        _require_sortable([], ListFilters)


def conditions(request: Request, filters: type[ListFilters]) -> list[Condition]:
    """Return what `filter` and the plain query parameters ask for: all of it must be true.

    Raises: BadRequest.
    """
    filters_said = values_of(request, "filter")
    terms = [term for text in filters_said for term in parse(text)]
    plain = [
        (name, operator_filter, text)
        for name in request.query_params
        if (operator_filter := filters.base_filters.get(name))
        for text in values_of(request, name)
    ]
    size = sum(len(text.encode()) for text in filters_said)
    if size > BYTES_MAX or len(terms) + len(plain) > TERMS_MAX:
        raise FilterTooLong(source="filter")
    return [
        *(_operator_filter(term, filters).condition(term.values, "filter") for term in terms),
        *(
            operator_filter.condition(_plain_values(operator_filter, name, text), name)
            for name, operator_filter, text in plain
        ),
    ]


def _operator_filter(term: Term, filters: type[ListFilters]) -> OperatorFilter:
    takes = filters.takes.get(term.field)
    if takes is None:
        raise FilterNotSupported(f"There is no filter by {term.field} here.", source="filter")
    if term.operator not in takes.operators:
        operators = ", ".join(takes.operators)
        raise FilterNotSupported(
            f"{term.field} can be filtered by {operators}, not by {term.operator}.", source="filter"
        )
    operator_filter: OperatorFilter = filters.base_filters[_name(term.field, term.operator)]
    return operator_filter


def _plain_values(operator_filter: OperatorFilter, name: str, text: str) -> list[str]:
    """Split a plain parameter, in which a backslash is an ordinary character."""
    if not _supported(text):
        raise FilterCharacters(source=name)
    text = text.replace("\\", "\\\\")
    return text.split(",") if operator_filter.operator == IN else [text]


def _sorted(request: Request, rows: "QuerySet[Row]", filters: type[ListFilters]) -> "QuerySet[Row]":
    keys = [key for text in values_of(request, "sort") for key in text.split(",")]
    if not keys:
        return rows
    _require_sortable([key.removeprefix("-") for key in keys], filters)
    columns = [
        OrderBy(F(column) if isinstance(column, str) else column, descending=key.startswith("-"))
        for key in keys
        for column in filters.sorts[key.removeprefix("-")]
    ]
    return rows.order_by(*columns, OrderBy(F("pk"), descending=keys[-1].startswith("-")))


def _require_sortable(fields: Sequence[str], filters: type[ListFilters]) -> None:
    """Raises: SortNotSupported."""
    if not filters.sorts:
        message = "This list has an order of its own: leave out sort."
        raise SortNotSupported(message, source="sort")
    if not filters.sorts.keys() >= set(fields):
        choices = ", ".join(filters.sorts)
        message = f"This list can be sorted by {choices}, downwards with a - before it."
        raise SortNotSupported(message, source="sort")
    if len(set(fields)) < len(fields):
        raise SortNotSupported("A list is sorted by each field only once.", source="sort")


def included(request: Request) -> set[str]:
    """Return the names in `include`. An answer shows those that it has."""
    names = ",".join(values_of(request, "include")).lower().split(",")
    return {name.strip() for name in names}
