"""Who may do what in the admin: four roles, which are Django's groups, and one table.

The roles stand in the back office, because they reach into all apps. A migration lays them with
`grant`; one that brings a permission is followed by another that calls it again. What a store has
changed in its groups since then stays as it is.
"""

from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission

VIEWER, STOCK_CLERK, ORDER_MANAGER, OWNER = "viewer", "stock clerk", "order manager", "owner"
ROLES = (VIEWER, STOCK_CLERK, ORDER_MANAGER, OWNER)

EVERYBODY = ROLES
CLERKS = (STOCK_CLERK, OWNER)
SELLERS = (ORDER_MANAGER, OWNER)
OWNERS = (OWNER,)
NOBODY: tuple[str, ...] = ()

# fmt: off
_ROWS = {
    # what                        view       add      change   delete
    "api.apiclient":             (EVERYBODY, OWNERS,  OWNERS,  NOBODY),
    "api.callcount":             (NOBODY,    NOBODY,  NOBODY,  NOBODY),
    "api.change":                (OWNERS,    NOBODY,  NOBODY,  NOBODY),
    "api.idempotencykey":        (NOBODY,    NOBODY,  NOBODY,  NOBODY),
    "api.storesettings":         (EVERYBODY, NOBODY,  OWNERS,  NOBODY),
    # Neither is deleted: people are deactivated, and roles emptied. See backoffice.rights.
    "auth.group":                (EVERYBODY, OWNERS,  OWNERS,  NOBODY),
    "auth.permission":           (NOBODY,    NOBODY,  NOBODY,  NOBODY),
    "auth.user":                 (EVERYBODY, OWNERS,  OWNERS,  NOBODY),
    # Whom to tell, of what. What was told follows from that.
    "events.integration":        (EVERYBODY, OWNERS,  OWNERS,  OWNERS),
    "events.event":              (EVERYBODY, NOBODY,  NOBODY,  NOBODY),
    "events.delivery":           (EVERYBODY, NOBODY,  NOBODY,  NOBODY),
    "events.deliveryattempt":    (EVERYBODY, NOBODY,  NOBODY,  NOBODY),
    # They name buyers, as orders do.
    "events.mail":               (EVERYBODY, NOBODY,  NOBODY,  NOBODY),
    "events.mailsettings":       (EVERYBODY, NOBODY,  OWNERS,  NOBODY),
    "events.mailtext":           (EVERYBODY, NOBODY,  OWNERS,  NOBODY),
    "inventory.category":        (EVERYBODY, CLERKS,  CLERKS,  CLERKS),
    # To upload, apply and revert one is to change stock.
    "inventory.sheet":       (EVERYBODY, NOBODY,  NOBODY,  NOBODY),
    "inventory.currency":        (EVERYBODY, OWNERS,  OWNERS,  NOBODY),
    # What is expected and received. To book it, or to undo that, is to change stock.
    "inventory.delivery":        (EVERYBODY, CLERKS,  CLERKS,  CLERKS),
    "inventory.location":        (EVERYBODY, NOBODY,  OWNERS,  NOBODY),
    # To upload one is to add it. Which product shows which is a change of the product.
    "inventory.picture":         (EVERYBODY, CLERKS,  NOBODY,  CLERKS),
    "inventory.productpicture":  (EVERYBODY, NOBODY,  NOBODY,  NOBODY),
    # To make a parent is to make products, too, and to change it may be.
    "inventory.parent":          (EVERYBODY, CLERKS,  CLERKS,  CLERKS),
    # To delete a product is to archive it; its prices go with it, its stock moves, nothing else.
    "inventory.price":           (EVERYBODY, CLERKS,  CLERKS,  CLERKS),
    "inventory.product":         (EVERYBODY, CLERKS,  CLERKS,  CLERKS),
    "inventory.stock":           (EVERYBODY, NOBODY,  CLERKS,  NOBODY),
    # What was counted. To close one is to make a sheet of counts, which takes change_stock.
    "inventory.stocktake":       (EVERYBODY, CLERKS,  CLERKS,  NOBODY),
    "inventory.stocktransaction": (EVERYBODY, NOBODY, NOBODY,  NOBODY),
    "orders.auditresult":        (EVERYBODY, NOBODY,  NOBODY,  NOBODY),
    "orders.cart":               (EVERYBODY, NOBODY,  NOBODY,  NOBODY),
    "orders.cartitem":           (EVERYBODY, NOBODY,  NOBODY,  NOBODY),
    # To add one is to make it for a customer.
    # To write one is to add it.
    "orders.customernote":       (EVERYBODY, SELLERS, NOBODY,  NOBODY),
    "orders.order":              (EVERYBODY, SELLERS, SELLERS, NOBODY),
    "orders.orderevent":         (EVERYBODY, NOBODY,  NOBODY,  NOBODY),
    "orders.orderitem":          (EVERYBODY, NOBODY,  NOBODY,  NOBODY),
    # Changed through their order only: see orders.services.
    "orders.return":             (EVERYBODY, NOBODY,  NOBODY,  NOBODY),
    "orders.returnline":         (EVERYBODY, NOBODY,  NOBODY,  NOBODY),
    "orders.shipment":           (EVERYBODY, NOBODY,  NOBODY,  NOBODY),
    "orders.shipmentline":       (EVERYBODY, NOBODY,  NOBODY,  NOBODY),
    "payments.attempt":          (EVERYBODY, NOBODY,  NOBODY,  NOBODY),
    "payments.gateway":          (EVERYBODY, NOBODY,  OWNERS,  NOBODY),
    "payments.gatewayevent":     (EVERYBODY, NOBODY,  NOBODY,  NOBODY),
    # To add a payment is to record money that came in elsewhere; to change one, to capture it.
    "payments.payment":          (EVERYBODY, SELLERS, SELLERS, NOBODY),
}
# fmt: on

# Each permission and the roles that have it, by the name that `has_perm` takes.
MAY: dict[str, tuple[str, ...]] = {
    f"{app}.{action}_{model}": roles
    for (app, model), row in ((name.split("."), row) for name, row in _ROWS.items())
    for action, roles in zip(("view", "add", "change", "delete"), row, strict=True)
} | {
    # Once more, to whom it went before.
    "events.send_mail": SELLERS,
    # What products cost the store, and so what its stock is worth.
    "inventory.view_cost": CLERKS,
    # To take them out of the house. To see them on one page after the other is view_order.
    "orders.export_customers": SELLERS,
    "orders.undo_ship_order": SELLERS,
    "payments.refund_payment": SELLERS,
    # By hand, against what a gateway says or in its silence.
    "payments.settle_payment": OWNERS,
}

APPS = ("api", "auth", "events", "inventory", "orders", "payments")


def grant(*also: str) -> None:
    """Make the roles, and give them what this database has not known before.

    `also` names what it has known, but nobody had, because there was nothing to do with it.

    Django makes permissions only when a whole `migrate` is done, so this makes them where it is
    called.
    """
    known = set(_permissions()) - set(also)
    for label in APPS:
        create_permissions(apps.get_app_config(label), verbosity=0)
    permissions = _permissions()
    for role in ROLES:
        group, is_new = Group.objects.get_or_create(name=role)
        group.permissions.add(
            *(
                permission
                for name, permission in permissions.items()
                if role in MAY.get(name, NOBODY) and (is_new or name not in known)
            )
        )


def _permissions() -> dict[str, Permission]:
    found = Permission.objects.filter(content_type__app_label__in=APPS)
    return {
        f"{permission.content_type.app_label}.{permission.codename}": permission
        for permission in found.select_related("content_type")
    }
