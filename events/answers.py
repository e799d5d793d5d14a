"""What the API answers about events and integrations."""

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from api.answers import Data, Id, Keywords, Link, Moment, Reference, Timestamps, component
from events import models

Position = Annotated[
    int, Keywords(minimum=1), "Its place in the feed, which has no gaps; one number for each event."
]


@component
class Event(TypedDict):
    type: Literal["event"]
    id: Annotated[Id, "The same in every delivery of it, as `id` and `webhook-id`."]
    position: Position
    triggered_by: Annotated[str, "What happened, such as `order.paid`."]
    occurred_at: Moment
    payload: Annotated[
        dict[str, Any],
        "What it happened to, as the API answers it: `{data, included}`. Of what is gone `{type, "
        "id}`.",
    ]


class FeedMeta(TypedDict):
    first_position: Annotated[int, "The oldest that is kept; 0 while there is none."]
    last_position: Annotated[int, "The newest; 0 while there is none."]
    last_id: Annotated[Id | None, "Of the newest."]


class FeedLinks(TypedDict):
    current: str
    first: str
    next: str | None


class Feed(TypedDict):
    data: list[Event]
    meta: FeedMeta
    links: FeedLinks


class WebhookConfiguration(TypedDict):
    url: str
    secret_key: Annotated[str, "Sent with each delivery as `X-MOLTIN-SECRET-KEY`, if there is one."]


class IntegrationMeta(TypedDict):
    timestamps: Timestamps
    signing_secret: NotRequired[
        Annotated[str, "What deliveries are signed with. Told here once, and never again."]
    ]


@component
class Integration(TypedDict):
    id: Id
    type: Literal["integration"]
    name: str
    description: str
    enabled: bool
    integration_type: Annotated[str, Keywords(enum=models.Integration.Type.values)]
    observes: list[str]
    configuration: WebhookConfiguration
    links: Link
    meta: IntegrationMeta


class EventOfJob(TypedDict):
    id: Id
    position: Annotated[int | None, "None of a test, which is in no feed."]
    triggered_by: str


@component
class IntegrationJob(TypedDict):
    id: Id
    type: Literal["integration-job"]
    state: Annotated[str, Keywords(enum=models.Delivery.State.values)]
    origin: Annotated[str, Keywords(enum=models.Delivery.Origin.values)]
    attempts: int
    event: EventOfJob
    created_at: Moment
    next_at: Annotated[Moment | None, "When it is tried again, while it waits for that."]
    ended_at: Moment | None


class LogRelationships(TypedDict):
    integration: Data[Reference[Literal["integration"]]]
    job: Data[Reference[Literal["integration-job"]]]


@component
class IntegrationLog(TypedDict):
    id: Id
    type: Literal["integration"]
    succeeded: bool
    attempt: int
    status_code: NotRequired[Annotated[int, "Of the answer, if there was one."]]
    body: Annotated[str, "The first 2 kB of the answer."]
    error_detail: str
    milliseconds: int
    created_at: Moment
    event: EventOfJob
    relationships: LogRelationships
