import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from api.authentication import Administrator
from api.filtering import listed, require_unsorted, value_of
from api.idempotency import Key, once
from api.pagination import OFFSET_MAX, Page, PositionRefused, paginated
from api.views import JSON, ApiView, deleted, envelope
from events import answers, serializers
from events.errors import JobNotFound
from events.filters import IntegrationFilters, JobFilters, LogFilters, types_asked_for
from events.models import Delivery, DeliveryAttempt, Integration
from events.services import feed, integrations

_AFTER, _AFTER_ID = "page[after]", "page[after_id]"


class EventsView(ApiView):
    permission_classes = [Administrator]

    def get(self, request: Request) -> HttpResponse:
        asked, types = Page.of(request), types_asked_for(request)
        require_unsorted(request)
        if not asked.walks:
            raise PositionRefused("The feed goes on by page[after] alone.", source="page[offset]")
        after = None if asked.after is None else _position(asked.after)
        found = feed.page(after, asked.limit, types, after_id=_id(value_of(request, _AFTER_ID)))
        return HttpResponse(serializers.page(found, self._links(asked, found)), content_type=JSON)

    def _links(self, asked: Page, found: feed.Page) -> answers.FeedLinks:
        def link(place: Mapping[str, Any]) -> str:
            query = dict(self.request.query_params.lists())
            for name in ("page[limit]", _AFTER, _AFTER_ID):
                query.pop(name, None)
            query["page[limit]"] = [str(asked.limit)]
            query |= {name: [str(value)] for name, value in place.items()}
            return f"{self.request.path}?{urlencode(query, safe='[](),:*', doseq=True)}"

        given = self.request.query_params
        last = found.events[-1] if found.more else None
        return {
            "current": link({name: given[name] for name in (_AFTER, _AFTER_ID) if name in given}),
            "first": link({}),
            "next": link({_AFTER: last.position, _AFTER_ID: last.id}) if last else None,
        }


def _position(text: str) -> int:
    """Raises: PositionRefused."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise PositionRefused(
            "page[after] must be a position of the feed, a whole number.", source=_AFTER
        )
    return int(text)


def _id(text: str | None) -> uuid.UUID | None:
    """Raises: PositionRefused."""
    try:
        return uuid.UUID(text) if text else None
    except ValueError as error:
        raise PositionRefused(
            "page[after_id] must be the id of an event, a UUID.", source=_AFTER_ID
        ) from error


class _IntegrationAnswers(ApiView):
    permission_classes = [Administrator]

    def represented(
        self, integration: Integration, signing_secret: str = ""
    ) -> answers.Integration:
        url = self.absolute(f"/v2/integrations/{integration.pk}")
        return serializers.integration(integration, url, signing_secret)

    def answered(self, integration_id: uuid.UUID | str, signing_secret: str = "") -> Response:
        integration = integrations.found(uuid.UUID(str(integration_id)))
        return envelope(self.represented(integration, signing_secret))


class IntegrationsView(_IntegrationAnswers):
    def get(self, request: Request) -> Response:
        rows = listed(request, Integration.objects.order_by("pk"), IntegrationFilters)
        return paginated(request, rows, self.represented)

    # Made again, the answer is without the secret, which is kept for nobody to read.
    @once(again=_IntegrationAnswers.answered)
    def post(self, request: Request, key: Key | None) -> Response:
        fields = self.validated(serializers.IntegrationBody)
        made, secret = integrations.create(**fields, actor=self.caller.actor, key=key)
        return envelope(self.represented(made, secret))


class IntegrationView(_IntegrationAnswers):
    def get(self, request: Request, integration_id: uuid.UUID) -> Response:
        return self.answered(integration_id)

    @once(again=_IntegrationAnswers.answered)
    def put(self, request: Request, key: Key | None, integration_id: uuid.UUID) -> Response:
        fields = self.validated(serializers.IntegrationChanges)
        integrations.change(integration_id, **fields, actor=self.caller.actor, key=key)
        return self.answered(integration_id)

    @once(again=deleted)
    def delete(self, request: Request, key: Key | None, integration_id: uuid.UUID) -> Response:
        integrations.delete(integration_id, actor=self.caller.actor, key=key)
        return deleted()


class SecretView(_IntegrationAnswers):
    """`POST /v2/integrations/{id}/secret`: not in the source API, which signs nothing."""

    @once(again=_IntegrationAnswers.answered)
    def post(self, request: Request, key: Key | None, integration_id: uuid.UUID) -> Response:
        secret = integrations.renew_secret(integration_id, actor=self.caller.actor, key=key)
        return self.answered(integration_id, secret)


def _newest_first(
    request: Request, rows: "QuerySet[Any]", filters: Any, represent: Any
) -> Response:
    """Answer with a list that is too long to be counted: no further than offsets go."""
    found = listed(request, rows.order_by("-pk"), filters)
    total = found.order_by()[:OFFSET_MAX].count()
    return paginated(request, found, represent, total=total)


class JobsView(ApiView):
    permission_classes = [Administrator]

    def get(self, request: Request, integration_id: uuid.UUID) -> Response:
        rows = Delivery.objects.filter(integration=integrations.found(integration_id))
        return _newest_first(request, rows, JobFilters, serializers.job)


class _Logs(ApiView):
    permission_classes = [Administrator]

    def logs(self, **of: object) -> Response:
        rows = DeliveryAttempt.objects.filter(**of).select_related("delivery")
        return _newest_first(self.request, rows, LogFilters, serializers.log)


class StoreLogsView(_Logs):
    """The logs of all integrations, and of those that are deleted."""

    def get(self, request: Request) -> Response:
        return self.logs()


class IntegrationLogsView(_Logs):
    def get(self, request: Request, integration_id: uuid.UUID) -> Response:
        return self.logs(integration=integrations.found(integration_id))


class JobLogsView(_Logs):
    def get(self, request: Request, integration_id: uuid.UUID, job_id: uuid.UUID) -> Response:
        integration = integrations.found(integration_id)
        if not Delivery.objects.filter(pk=job_id, integration=integration).exists():
            raise JobNotFound
        return self.logs(delivery=job_id)
