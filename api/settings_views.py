from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api import answers, store
from api.authentication import Administrator
from api.bodies import PublishedBody
from api.errors import BAD_REQUEST, Refusal
from api.fields import Flag, WholeNumber
from api.idempotency import Key, once
from api.models import CART_EXPIRY_DAYS_MAX, PAGE_LENGTH_MAX, StoreSettings
from api.pagination import OFFSET_MAX
from api.views import ApiView, deleted, envelope


class ExpiresTooLate(Refusal):
    kind = BAD_REQUEST
    code = "cart_expires_too_late"
    detail = f"Must be less than or equal to {CART_EXPIRY_DAYS_MAX}"

    @property
    def title(self) -> str:
        return "number_lte"


class CartExpiryDays(WholeNumber):
    def to_internal_value(self, data: Any) -> int:
        days = super().to_internal_value(data)
        if days > CART_EXPIRY_DAYS_MAX:
            raise ExpiresTooLate(source="data.cart_expiry_days", meta={"value": days})
        return days


# Mandatory in an order's addresses, beside a county or a region. See orders.serializers.
ADDRESS_MANDATORY_FIELDS = ["first_name", "last_name", "line_1", "postcode", "country"]


# The source API's other settings, but for those that it passes over itself.
FIXED: answers.FixedSettings = {
    "address_mandatory_fields": ADDRESS_MANDATORY_FIELDS,
    "shopper_address_limit": 1,
    "list_child_products": False,
    "additional_languages": [],
    "calculation_method": "line",
}


class SettingsChanges(PublishedBody):
    fixed = FIXED

    page_length = WholeNumber(min_value=1, max_value=PAGE_LENGTH_MAX, required=False)


class InventoriesChanges(serializers.Serializer[Any]):
    defer_inventory_check = Flag(required=False)


class DiscountsChanges(PublishedBody):
    not_supported = frozenset({"custom_discounts_enabled", "use_rule_promotions"})


class ItemsChanges(PublishedBody):
    not_supported = frozenset({"separate_items_by_location"})


class CartSettingsChanges(serializers.Serializer[Any]):
    cart_expiry_days = CartExpiryDays(min_value=1, required=False)
    show_all_carts = Flag(required=False)
    # Not in the source API, where every shopper may add custom items.
    custom_items_by_shoppers = Flag(required=False)
    inventories = InventoriesChanges(required=False)
    discounts = DiscountsChanges(required=False)
    items = ItemsChanges(required=False)

    def validate(self, fields: dict[str, Any]) -> dict[str, Any]:
        fields.pop("discounts", None)
        fields.pop("items", None)
        return {**fields.pop("inventories", {}), **fields}


class _SettingsAnswers(ApiView):
    permission_classes = [Administrator]
    changes: type[serializers.Serializer[Any]]

    def answered(self) -> Response:
        raise NotImplementedError

    def get(self, request: Request) -> Response:
        return self.answered()

    @once(again=lambda view, _: view.answered())
    def put(self, request: Request, key: Key | None) -> Response:
        store.change(actor=self.caller.actor, key=key, **self.validated(self.changes))
        return self.answered()


def store_settings(row: StoreSettings) -> answers.Settings:
    return {
        "type": "settings",
        "page_length": row.page_length,
        **FIXED,
        "page_offset_limit": OFFSET_MAX,
        "currency_limit": 10,
        "filter_limit": 10,
        "tax_item_limit": 0,
        "promotions_limit": 0,
        "integration_limit": 100,
        "event_limit": 100,
    }


def cart_settings(row: StoreSettings) -> answers.CartSettings:
    return {
        "type": "settings",
        "cart_expiry_days": row.cart_expiry_days,
        "discounts": {"custom_discounts_enabled": False, "use_rule_promotions": False},
        "inventories": {"defer_inventory_check": row.defer_inventory_check},
        "show_all_carts": row.show_all_carts,
        "custom_items_by_shoppers": row.custom_items_by_shoppers,
    }


class SettingsView(_SettingsAnswers):
    changes = SettingsChanges

    def answered(self) -> Response:
        return envelope(store_settings(store.current()))

    @once(again=deleted)
    def delete(self, request: Request, key: Key | None) -> Response:
        """Go back to the defaults."""
        store.reset_page_length(actor=self.caller.actor, key=key)
        return deleted()


class CartSettingsView(_SettingsAnswers):
    changes = CartSettingsChanges

    def answered(self) -> Response:
        return envelope(cart_settings(store.current()))
