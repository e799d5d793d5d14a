"""What the API answers, as types: mypy checks the code against them, and they make the description.

A `TypedDict` is a plain dict when the server runs. What a type cannot say stands beside it in
`Annotated`: as keywords of JSON Schema, or as a text, which is its description.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Generic, Literal, Never, NotRequired, TypedDict, TypeVar

from api.fields import AMOUNT_MAX, UNITS_MAX


class Keywords:
    """Keywords of JSON Schema that belong to a type; not a dict, since a type must be hashable."""

    def __init__(self, **values: Any) -> None:
        self.values = values


Id = Annotated[str, Keywords(format="uuid")]
Moment = Annotated[str, Keywords(format="date-time")]
Units = Annotated[int, Keywords(minimum=0, maximum=UNITS_MAX)]
Amount = Annotated[int, Keywords(minimum=0, maximum=AMOUNT_MAX), "In the currency's smallest unit."]
NoneYet = Annotated[list[str], Keywords(maxItems=0), "There are none here."]
Empty = Annotated[dict[str, Never], Keywords(maxProperties=0)]

COMPONENTS: list[type] = []
Answer = TypeVar("Answer", bound=type)


def component(answer: Answer) -> Answer:
    """Give an answer a name in the description; others are described where they are used."""
    COMPONENTS.append(answer)
    return answer


T = TypeVar("T")


class Data(TypedDict, Generic[T]):
    data: T


class Reference(TypedDict, Generic[T]):
    type: T
    id: Id


class Link(TypedDict):
    self: str


@component
class Timestamps(TypedDict):
    created_at: Moment
    updated_at: Moment


class Results(TypedDict):
    total: int
    all: NotRequired[int]


class PageNumbers(TypedDict):
    limit: int
    offset: int
    current: Annotated[int, "The page's number, from 1."]
    total: Annotated[int, "How many pages there are."]


@component
class Page(TypedDict):
    results: Results
    page: PageNumbers


@component
class Links(TypedDict):
    current: str
    first: str
    last: str | None
    next: str | None
    prev: str | None


class PageOf(TypedDict, Generic[T]):
    data: list[T]
    meta: Page
    links: Links


class Included(TypedDict, Generic[T], total=False):
    """What `include` asks for."""

    items: list[T]
    tax_items: NoneYet
    promotions: NoneYet
    custom_discounts: NoneYet


class ErrorDetails(TypedDict, total=False):
    detail: Annotated[str, "For people."]
    source: Annotated[str, "The field or parameter at fault."]
    meta: Mapping[str, Any]
    request_id: str


@component
class Error(ErrorDetails):
    status: Annotated[int, "The HTTP status, again."]
    title: str
    code: Annotated[str, "The reason, in a word to branch on."]


@component
class Errors(TypedDict):
    errors: Annotated[list[Error], Keywords(minItems=1)]


@component
class Token(TypedDict):
    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    expires: int
    identifier: Annotated[str, Keywords(enum=["client_credentials", "implicit"])]


class FixedSettings(TypedDict):
    address_mandatory_fields: list[str]
    shopper_address_limit: Annotated[int, Keywords(minimum=1)]
    list_child_products: bool
    additional_languages: list[str]
    calculation_method: Literal["line", "simple"]


@component
class Settings(FixedSettings):
    type: Literal["settings"]
    page_length: int
    page_offset_limit: int
    currency_limit: int
    filter_limit: int
    tax_item_limit: int
    promotions_limit: int
    integration_limit: int
    event_limit: int


class DiscountSettings(TypedDict):
    custom_discounts_enabled: bool
    use_rule_promotions: bool


class InventorySettings(TypedDict):
    defer_inventory_check: bool


@component
class CartSettings(TypedDict):
    type: Literal["settings"]
    cart_expiry_days: int
    discounts: DiscountSettings
    inventories: InventorySettings
    show_all_carts: bool
    custom_items_by_shoppers: bool
