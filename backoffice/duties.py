"""What roles may do, in sentences: each stands for permissions that make sense only together."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.forms import CheckboxSelectMultiple
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from backoffice import roles

_BETWEEN = "."
_READ = {
    "Orders": {
        "See orders, carts, payments and customers": (
            "orders.view_customernote",
            *("orders.view_auditresult", "orders.view_cart", "orders.view_cartitem"),
            *("orders.view_order", "orders.view_orderevent", "orders.view_orderitem"),
            *("orders.view_return", "orders.view_returnline"),
            *("orders.view_shipment", "orders.view_shipmentline"),
            *("payments.view_attempt", "payments.view_payment"),
        ),
        "Make orders for customers": ("orders.add_order",),
        "Change, ship, cancel and take back orders": ("orders.change_order",),
        "Write notes about customers": ("orders.add_customernote",),
        "Undo a shipment": ("orders.undo_ship_order",),
        "Record and capture payments": ("payments.add_payment", "payments.change_payment"),
        "Give money back": ("payments.refund_payment",),
        "Settle a payment by hand, where its gateway is silent": ("payments.settle_payment",),
        "Export customers' names, addresses and e-mails": ("orders.export_customers",),
        "See the mails that were sent": ("events.view_mail",),
        "Send a mail again": ("events.send_mail",),
    },
    "Products": {
        "See products, prices, categories and pictures": (
            *("inventory.view_category", "inventory.view_picture", "inventory.view_parent"),
            *("inventory.view_price", "inventory.view_product", "inventory.view_productpicture"),
        ),
        "Add, change and delete products, their prices and variants": (
            *("inventory.add_product", "inventory.change_product", "inventory.delete_product"),
            *("inventory.add_price", "inventory.change_price", "inventory.delete_price"),
            *("inventory.add_parent", "inventory.change_parent", "inventory.delete_parent"),
        ),
        "Keep the categories": (
            *("inventory.add_category", "inventory.change_category", "inventory.delete_category"),
        ),
        "Upload and delete pictures": ("inventory.add_picture", "inventory.delete_picture"),
        "See what products cost, and what the stock is worth": ("inventory.view_cost",),
    },
    "Stock": {
        "See the stock and its log, deliveries, stocktakes and imports": (
            *("inventory.view_stock", "inventory.view_stocktransaction", "inventory.view_sheet"),
            *("inventory.view_delivery", "inventory.view_stocktake", "inventory.view_location"),
        ),
        "Move, count and import stock, and book deliveries": ("inventory.change_stock",),
        "Prepare and unpack deliveries": (
            *("inventory.add_delivery", "inventory.change_delivery", "inventory.delete_delivery"),
        ),
        "Count in stocktakes": ("inventory.add_stocktake", "inventory.change_stocktake"),
    },
    "The store": {
        "See the store's settings, its gateways and its API clients": (
            *("api.view_storesettings", "inventory.view_currency", "payments.view_gateway"),
            *("payments.view_gatewayevent", "api.view_apiclient"),
        ),
        "Change the store's settings": (
            *("api.change_storesettings", "inventory.change_location"),
            *("inventory.add_currency", "inventory.change_currency"),
        ),
        "Choose the payment gateways": ("payments.change_gateway",),
        "Keep the programs that call the API": ("api.add_apiclient", "api.change_apiclient"),
        "See the events, and what other programs were told of them": (
            *("events.view_event", "events.view_integration"),
            *("events.view_delivery", "events.view_deliveryattempt"),
        ),
        "See what is told by mail, to whom and in which words": (
            *("events.view_mailsettings", "events.view_mailtext"),
        ),
        "Say what is told by mail, to whom and in which words": (
            *("events.change_mailsettings", "events.change_mailtext"),
        ),
        "Keep the programs that are told of events": (
            *("events.add_integration", "events.change_integration", "events.delete_integration"),
        ),
    },
    "People": {
        "See people and roles": ("auth.view_group", "auth.view_user"),
        "Let people in, and say what they may do": (
            *("auth.add_group", "auth.change_group", "auth.add_user", "auth.change_user"),
        ),
        "See who changed what": ("api.view_change",),
    },
}
# What the four roles are for, where a store has not changed them.
MEANT_FOR = {
    roles.VIEWER: "Sees everything but costs, and changes nothing.",
    roles.STOCK_CLERK: "Keeps products and stock: deliveries, counts, prices. No orders, no money.",
    roles.ORDER_MANAGER: "Makes, ships, cancels and refunds orders. Changes no stock by hand.",
    roles.OWNER: "Does all of that, and keeps people, roles and the store's settings.",
}


@dataclass(frozen=True)
class Duty:
    sentence: str
    permissions: frozenset[str]

    def held(self, names: Collection[str]) -> bool:
        return self.permissions <= set(names)


DUTIES: Mapping[str, list[Duty]] = {
    work: [Duty(sentence, frozenset(names)) for sentence, names in duties.items()]
    for work, duties in _READ.items()
}
ALL = frozenset(name for duties in DUTIES.values() for duty in duties for name in duty.permissions)


def name_of(permission: Permission) -> str:
    return f"{permission.content_type.app_label}.{permission.codename}"


def sentences(role: Group) -> dict[str, list[str]]:
    """Say what a role may do, by kinds of work; what it may do in part is left out."""
    names = {name_of(each) for each in role.permissions.select_related("content_type")}
    said = {
        work: [duty.sentence for duty in duties if duty.held(names)]
        for work, duties in DUTIES.items()
    }
    return {work: duties for work, duties in said.items() if duties}


class DutiesWidget(CheckboxSelectMultiple):
    """A switch for each sentence, and what is in none of them, or held in part, one by one.

    A switch sends the keys of all its permissions in one value.
    """

    offered: Iterable[Permission] = ()

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:
        sent = super().value_from_datadict(data, files, name) or []
        return [key for each in sent for key in str(each).split(_BETWEEN)]

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        held = {str(each) for each in value or []}
        keys = {name_of(each): str(each.pk) for each in self.offered}
        titles = {str(each.pk): each.name for each in self.offered}
        # A right that no role has is asked for by no page.
        alone = [
            key
            for permission, key in keys.items()
            if permission not in ALL and (key in held or roles.MAY.get(permission))
        ]
        groups = []
        for work, duties in DUTIES.items():
            switches = []
            for duty in duties:
                own = [keys[each] for each in sorted(duty.permissions) if each in keys]
                if held.isdisjoint(own) or held.issuperset(own):
                    is_on = bool(own) and held.issuperset(own)
                    switches.append((_BETWEEN.join(own), duty.sentence, is_on))
                else:
                    alone += own
            groups.append((work, switches))
        singles = [(key, titles[key], key in held) for key in alone]
        context = {"name": name, "groups": groups, "singles": singles}
        return render_to_string("admin/auth/duties.html", context)
