"""What others are told of the store's settings and of integrations: what the API shows of them."""

from collections.abc import Collection, Mapping

from api import settings_views
from api.models import StoreSettings
from events import serializers
from events.models import Integration
from events.services import kinds
from events.services.kinds import Document


def register() -> None:
    kinds.renders("settings", _settings)
    kinds.renders("integration", _integrations)


def _settings(ids: Collection[str]) -> Mapping[str, Document]:
    return {
        str(row.pk): {
            "data": settings_views.store_settings(row),
            "included": {"cart": settings_views.cart_settings(row)},
        }
        for row in StoreSettings.objects.filter(pk__in=ids)
    }


def _integrations(ids: Collection[str]) -> Mapping[str, Document]:
    return {
        str(row.pk): {"data": _integration(row)} for row in Integration.objects.filter(pk__in=ids)
    }


def _integration(row: Integration) -> Document:
    """Represent an integration to others, who must not learn what it knows deliveries by."""
    url = kinds.absolute(f"/v2/integrations/{row.pk}")
    return {**serializers.integration(row, url), "configuration": {"url": row.url}}
