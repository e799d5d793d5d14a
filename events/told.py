"""What others are told of the store's settings: what the API shows of them."""

from collections.abc import Collection, Mapping

from api import settings_views
from api.models import StoreSettings
from events.services import kinds
from events.services.kinds import Document


def register() -> None:
    kinds.renders("settings", _settings)


def _settings(ids: Collection[str]) -> Mapping[str, Document]:
    return {
        str(row.pk): {
            "data": settings_views.store_settings(row),
            "included": {"cart": settings_views.cart_settings(row)},
        }
        for row in StoreSettings.objects.filter(pk__in=ids)
    }
