"""Events and integrations as the wire spells them."""

import json
import re
from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from api.bodies import PublishedBody
from api.clock import at
from api.errors import NotSupported
from api.fields import Flag, Text
from events import answers
from events.models import Delivery, DeliveryAttempt, Event, Integration
from events.services import addresses, feed, kinds

NAME_MAX = 200
DESCRIPTION_MAX = 2000
URL_MAX = 2000
SECRET_KEY_MAX = 500
OBSERVES_MAX = 100


def _not_supported(detail: str) -> serializers.ValidationError:
    return serializers.ValidationError(detail, NotSupported.code)


class ObservedType(Text):
    def to_internal_value(self, data: Any) -> str:
        kind = super().to_internal_value(data)
        if kind in kinds.PUBLISHED_ONLY:
            raise _not_supported(f"{kind} is never told here.")
        if kind not in kinds.TYPES:
            raise serializers.ValidationError("There is no such event.", "invalid_choice")
        return kind


class ObservedTypes(serializers.ListField):
    """Types of events, each once: a second mention says nothing new."""

    child = ObservedType(max_length=100)
    default_error_messages = {"max_length": f"At most {OBSERVES_MAX} events."}

    def __init__(self, **options: Any) -> None:
        super().__init__(min_length=1, max_length=OBSERVES_MAX, **options)

    def to_internal_value(self, data: Any) -> list[str]:
        # Of too many none is looked at: each could be an error of its own.
        if isinstance(data, list) and len(data) > OBSERVES_MAX:
            self.fail("max_length")
        return list(dict.fromkeys(super().to_internal_value(data)))


class IntegrationType(Text):
    def to_internal_value(self, data: Any) -> str:
        kind = super().to_internal_value(data)
        if kind in {"aws_sqs", "aws-sqs", "stomp"}:
            raise _not_supported("Events are delivered by webhook only.")
        if kind not in Integration.Type.values:
            raise serializers.ValidationError("This must be webhook.", "invalid_choice")
        return kind


class WebhookUrl(Text):
    def to_internal_value(self, data: Any) -> str:
        url = super().to_internal_value(data)
        if fault := addresses.fault_of(url):
            raise serializers.ValidationError(fault, "url")
        return url


class ConfigurationChanges(PublishedBody):
    # Of the types that are not delivered by.
    not_supported = frozenset(
        {
            *("aws_access_key_id", "aws_secret_access_key", "region"),
            *("addresses", "destination", "password", "username"),
        }
    )

    url = WebhookUrl(max_length=URL_MAX, required=False)
    secret_key = Text(max_length=SECRET_KEY_MAX, allow_blank=True, allow_null=True, required=False)

    def validate_secret_key(self, secret: str | None) -> str:
        # It goes into a header as it is.
        if secret and not re.fullmatch("[!-~]([ -~]*[!-~])?", secret):
            raise serializers.ValidationError("Printable ASCII characters only.", "characters")
        return secret or ""


class Configuration(ConfigurationChanges):
    url = WebhookUrl(max_length=URL_MAX)


class IntegrationChanges(PublishedBody):
    """Any of an integration's fields: what is left out stays as it is."""

    name = Text(max_length=NAME_MAX, required=False)
    description = Text(
        max_length=DESCRIPTION_MAX, allow_blank=True, allow_null=True, required=False
    )
    enabled = Flag(required=False)
    integration_type = IntegrationType(max_length=100, required=False)
    observes = ObservedTypes(required=False)
    # As the published description calls them once, where all its examples say `observes`.
    observers = ObservedTypes(required=False)
    configuration = ConfigurationChanges(required=False)

    def validate_description(self, text: str | None) -> str:
        return text or ""

    def validate(self, fields: dict[str, Any]) -> dict[str, Any]:
        if "observers" in fields:
            also = fields.pop("observers")
            if set(fields.setdefault("observes", also)) != set(also):
                differs = ErrorDetail("This is observes by another name, which differs.", "differs")
                raise serializers.ValidationError({"observers": [differs]})
        fields.pop("integration_type", None)
        return {**fields.pop("configuration", {}), **fields}


class IntegrationBody(IntegrationChanges):
    name = Text(max_length=NAME_MAX)
    configuration = Configuration()

    def missing(self, data: Mapping[str, Any]) -> set[str]:
        return {"observes"} if data.keys().isdisjoint({"observes", "observers"}) else set()


def page(found: feed.Page, links: answers.FeedLinks) -> str:
    """Write a page of the feed: each payload as it is kept, which is JSON already."""
    meta: answers.FeedMeta = {
        "first_position": found.first_position,
        "last_position": found.last_position,
        "last_id": str(found.last_id) if found.last_id else None,
    }
    beside = json.dumps({"meta": meta, "links": links})
    return f'{{"data":[{",".join(map(event, found.events))}],{beside[1:]}'


def event(row: Event) -> str:
    told = {
        "type": "event",
        "id": str(row.id),
        "position": row.position,
        "triggered_by": row.type,
        "occurred_at": at(row.occurred_at),
    }
    return f'{json.dumps(told)[:-1]},"payload":{row.payload}}}'


def integration(row: Integration, url: str, signing_secret: str = "") -> answers.Integration:
    meta: answers.IntegrationMeta = {
        "timestamps": {"created_at": at(row.created_at), "updated_at": at(row.updated_at)}
    }
    if signing_secret:
        meta["signing_secret"] = signing_secret
    return {
        "id": str(row.pk),
        "type": "integration",
        "name": row.name,
        "description": row.description,
        "enabled": row.enabled,
        "integration_type": row.integration_type,
        "observes": row.observes,
        "configuration": {"url": row.url, "secret_key": row.secret_key},
        "links": {"self": url},
        "meta": meta,
    }


def _event_of(delivery: Delivery) -> answers.EventOfJob:
    return {
        "id": str(delivery.event_id),
        "position": delivery.position,
        "triggered_by": delivery.type,
    }


def job(row: Delivery) -> answers.IntegrationJob:
    return {
        "id": str(row.pk),
        "type": "integration-job",
        "state": row.state,
        "origin": row.origin,
        "attempts": row.attempts,
        "event": _event_of(row),
        "created_at": at(row.created_at),
        "next_at": at(row.next_at) if row.next_at else None,
        "ended_at": at(row.ended_at) if row.ended_at else None,
    }


def log(row: DeliveryAttempt) -> answers.IntegrationLog:
    """Represent an attempt, whose delivery must be loaded."""
    answer: answers.IntegrationLog = {
        "id": str(row.pk),
        "type": "integration",
        "succeeded": row.succeeded,
        "attempt": row.number,
        "body": row.body,
        "error_detail": row.error_detail,
        "milliseconds": row.milliseconds,
        "created_at": at(row.at),
        "event": _event_of(row.delivery),
        "relationships": {
            "integration": {"data": {"type": "integration", "id": str(row.integration_id)}},
            "job": {"data": {"type": "integration-job", "id": str(row.delivery_id)}},
        },
    }
    if row.status_code is not None:
        answer["status_code"] = row.status_code
    return answer
