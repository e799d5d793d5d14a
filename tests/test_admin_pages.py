"""Every page of the admin, asked for by every role: the pages are found, not listed.

A page that is not of Django's own kinds stands in PAGES, with what it takes to see it and to send
its form; one that does not fails here until somebody has decided that.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import unescape
from typing import Any
from urllib.parse import urljoin

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import connection, transaction
from django.db.models import Model
from django.test import Client
from django.urls import URLPattern, URLResolver

from api import clock, store
from backoffice.roles import APPS, MAY, OWNER, ROLES, VIEWER
from events.models import Mail
from events.services import mail_settings
from inventory.models import Product
from inventory.services import stocktakes
from inventory.services.sheets import processing
from inventory.services.variants import Option
from orders.models import AuditResult, Order
from payments.models import GatewayEvent
from tests.backoffice.events import making as made
from tests.drawn import picture
from tests.factories import (
    MERCHANT,
    api_client,
    category,
    delivery,
    filled_cart,
    paid_order,
    parent,
    product,
    unpaid_order,
)

pytestmark = [pytest.mark.django_db, pytest.mark.thorough]

# Whoever may log in at all.
ANYBODY = ""
# What Django's own pages of a model take: to see them, and to send their form.
KINDS = {
    "changelist": ("view", None),
    "history": ("view", None),
    "change": ("view", "change"),
    "add": ("add", "add"),
    "delete": ("delete", "delete"),
}
# Any other page: the permission to see it, and the one to send its form, if it has any.
PAGES: dict[str, tuple[str, str | None]] = {
    "index": (ANYBODY, None),
    "search": (ANYBODY, None),
    "jsi18n": (ANYBODY, None),
    "password_change": (ANYBODY, None),
    "password_change_done": (ANYBODY, None),
    "view_on_site": (ANYBODY, None),
    "api_apiclient_rotate": ("api.change_apiclient", "api.change_apiclient"),
    "api_apiclient_revoke": ("api.change_apiclient", "api.change_apiclient"),
    "api_apiclient_restore": ("api.change_apiclient", "api.change_apiclient"),
    "auth_user_let_in": ("auth.change_user", "auth.change_user"),
    "auth_user_password_change": ("auth.change_user", "auth.change_user"),
    **dict.fromkeys(
        [
            *("events_integration_test", "events_integration_send_since"),
            *("events_integration_renew", "events_integration_enable"),
            *("events_integration_disable", "events_delivery_resend"),
        ],
        ("events.change_integration", "events.change_integration"),
    ),
    "events_mail_send_again": ("events.send_mail", "events.send_mail"),
    "events_mailsettings_send_test": ("events.change_mailsettings", "events.change_mailsettings"),
    "events_mailtext_take_ours": ("events.change_mailtext", "events.change_mailtext"),
    "events_mailtext_preview": ("events.view_mailtext", "events.change_mailtext"),
    "inventory_category_changelist": ("inventory.view_category", "inventory.change_category"),
    "inventory_parent_add_value": ("inventory.add_product", "inventory.add_product"),
    "inventory_parent_put_in": ("inventory.change_parent", "inventory.change_parent"),
    "inventory_parent_rename": ("inventory.change_parent", "inventory.change_parent"),
    "inventory_parent_take_out": ("inventory.change_parent", "inventory.change_parent"),
    "inventory_sheet_add": ("inventory.change_stock", "inventory.change_stock"),
    "inventory_sheet_apply": ("inventory.change_stock", "inventory.change_stock"),
    "inventory_sheet_again": ("inventory.change_stock", "inventory.change_stock"),
    "inventory_sheet_change_columns": ("inventory.change_stock", "inventory.change_stock"),
    "inventory_sheet_columns": ("inventory.change_stock", "inventory.change_stock"),
    "inventory_sheet_refused": ("inventory.view_sheet", None),
    "inventory_sheet_discard": ("inventory.change_stock", "inventory.change_stock"),
    "inventory_sheet_progress": ("inventory.view_sheet", None),
    "inventory_sheet_revert": ("inventory.change_stock", "inventory.change_stock"),
    "inventory_delivery_goods": ("inventory.view_delivery", "inventory.change_delivery"),
    "inventory_delivery_line": ("inventory.change_delivery", "inventory.change_delivery"),
    "inventory_delivery_book": ("inventory.change_stock", "inventory.change_stock"),
    "inventory_delivery_undo": ("inventory.change_stock", "inventory.change_stock"),
    "inventory_stock_value": ("inventory.view_cost", None),
    "inventory_stock_value_export": ("inventory.view_cost", None),
    "inventory_stock_value_products": ("inventory.view_cost", None),
    "inventory_labels": ("inventory.view_product", None),
    "inventory_labels_print": ("inventory.view_product", None),
    "inventory_stocktake_counting": ("inventory.view_stocktake", "inventory.change_stocktake"),
    "inventory_stocktake_line": ("inventory.change_stocktake", "inventory.change_stocktake"),
    "inventory_stocktake_close": ("inventory.change_stock", "inventory.change_stock"),
    "inventory_stocktake_discard": ("inventory.change_stocktake", "inventory.change_stocktake"),
    "inventory_stocktake_reopen": ("inventory.change_stocktake", "inventory.change_stocktake"),
    "inventory_product_export": ("inventory.view_stock", None),
    "inventory_product_export_products": ("inventory.view_product", None),
    "orders_auditresult_compare_now": ("orders.view_auditresult", "orders.view_auditresult"),
    "figures": ("payments.view_payment", None),
    **dict.fromkeys(
        [
            *("figures_revenue", "figures_best-sellers", "figures_refunds", "figures_months"),
            *("figures_taken", "figures_refunded", "figures_sold", "figures_cancelled"),
            *("figures_shipped", "figures_product-sold"),
        ],
        ("payments.view_payment", None),
    ),
    **dict.fromkeys(
        ["figures_cover", "figures_movements", "figures_moved", "figures_ordered"],
        ("inventory.view_stocktransaction", None),
    ),
    "orders_order_export": ("orders.export_customers", None),
    "orders_order_export_lines": ("orders.export_customers", None),
    "inventory_product_archived": ("inventory.view_product", None),
    "inventory_product_archived_product": ("inventory.view_product", None),
    "inventory_product_many_publish": ("inventory.change_product", "inventory.change_product"),
    "inventory_product_many_unpublish": ("inventory.change_product", "inventory.change_product"),
    "inventory_product_many_set_price": ("inventory.change_product", "inventory.change_product"),
    "inventory_product_many_change_prices": (
        "inventory.change_product",
        "inventory.change_product",
    ),
    "inventory_product_many_threshold": ("inventory.change_product", "inventory.change_product"),
    "inventory_product_many_categories": ("inventory.change_product", "inventory.change_product"),
    "inventory_product_many_delete": ("inventory.delete_product", "inventory.delete_product"),
    "inventory_product_many_restore": ("inventory.delete_product", "inventory.delete_product"),
    "inventory_product_restore": ("inventory.delete_product", "inventory.delete_product"),
    "inventory_product_inventory": ("inventory.view_product", "inventory.change_stock"),
    "inventory_product_inventory_live": ("inventory.view_product", None),
    "inventory_product_inventory_then": ("inventory.view_product", None),
    "inventory_picture_delete_unused": ("inventory.delete_picture", "inventory.delete_picture"),
    "inventory_product_pictures": ("inventory.view_product", "inventory.change_product"),
    "inventory_product_prices": ("inventory.view_product", "inventory.change_product"),
    "inventory_product_stock_history": ("inventory.view_stocktransaction", None),
    "inventory_product_stock_history_export": ("inventory.view_stocktransaction", None),
    "inventory_product_stock_sheet": ("inventory.change_stock", "inventory.change_stock"),
    "inventory_product_stop_managing": ("inventory.change_stock", "inventory.change_stock"),
    "orders_cart_desk": ("orders.add_order", "orders.add_order"),
    "orders_cart_check_out": ("orders.add_order", "orders.add_order"),
    "orders_cart_discard": ("orders.add_order", "orders.add_order"),
    "orders_order_ship": ("orders.change_order", "orders.change_order"),
    "orders_order_lines": ("orders.change_order", "orders.change_order"),
    "orders_order_customer": ("orders.change_order", "orders.change_order"),
    "orders_order_shipping_address": ("orders.change_order", "orders.change_order"),
    "orders_order_billing_address": ("orders.change_order", "orders.change_order"),
    "orders_order_cancel_items": ("orders.change_order", "orders.change_order"),
    "orders_order_take_back": ("orders.change_order", "orders.change_order"),
    "orders_order_inspect": ("orders.change_order", "orders.change_order"),
    "orders_order_cancel": ("orders.change_order", "orders.change_order"),
    "orders_order_ship_selected": ("orders.change_order", "orders.change_order"),
    "orders_order_of_customer": ("orders.view_order", "orders.add_customernote"),
    "orders_order_views": ("orders.view_order", "orders.view_order"),
    "orders_order_view": ("orders.view_order", "orders.view_order"),
    "orders_order_print": ("orders.view_order", None),
    "orders_order_undo_ship": ("orders.undo_ship_order", "orders.undo_ship_order"),
    "orders_order_note": ("orders.change_order", "orders.change_order"),
    "orders_order_leave_be": ("orders.change_order", "orders.change_order"),
    "orders_order_record_payment": ("payments.add_payment", "payments.add_payment"),
    "orders_order_capture": ("payments.change_payment", "payments.change_payment"),
    "orders_order_refund": ("payments.refund_payment", "payments.refund_payment"),
    "orders_order_check_now": ("payments.change_payment", "payments.change_payment"),
    "orders_order_settle_by_hand": ("payments.settle_payment", "payments.settle_payment"),
    "orders_order_void": ("payments.refund_payment", "payments.refund_payment"),
}
# Pages that answer for themselves: the door, and the choices of a field, which name a model.
ASIDE = {"login", "logout", "autocomplete"}

# Something of everything that a form of the admin asks for.
TYPED = {
    "action": "increment",
    "quantity": "3",
    "reason": "typed by somebody",
    "code": "typed by somebody",
    "number": "D-4711",
    "name": "Renamed",
    "amount": "1.00",
    "note": "typed by somebody",
    "text": "typed by somebody",
    "tracking": "typed by somebody",
    "active": "on",
    "enabled": "on",
    "refund": "on",
    "post": "yes",
    "index": "0",
}


@dataclass(frozen=True)
class Page:
    name: str
    path: str
    sees: str = ANYBODY
    sends: str | None = None


Samples = dict[type[Model], Model | None]


def patterns(known: Any = None, before: str = "/admin/") -> Iterator[tuple[str, URLPattern]]:
    for pattern in admin.site.urls[0] if known is None else known:
        if isinstance(pattern, URLResolver):
            yield from patterns(pattern.url_patterns, before + str(pattern.pattern))
        else:
            yield before + str(pattern.pattern), pattern


def pages() -> list[Page]:
    rows = samples()
    return [page for route, pattern in patterns() for page in of_pattern(route, pattern, rows)]


def of_pattern(route: str, pattern: URLPattern, rows: Samples) -> Iterator[Page]:
    if pattern.name == "app_list":
        yield from (Page("app_list", f"/admin/{app}/") for app in APPS)
    elif pattern.name is None:
        # Django's redirect to a change page, and what catches everything that is no page.
        path = "/admin/nothing/" if "(?P<url>" in route else filled(route, route, rows)
        yield Page("redirect", path)
    elif pattern.name not in ASIDE:
        yield replace(needs(pattern.name), path=filled(route, pattern.name, rows))


def needs(name: str) -> Page:
    """Tell what a page takes."""
    named = name.removesuffix("_export") if name.startswith("figures_") else name
    if named in PAGES:
        return Page(name, "", *PAGES[named])
    model = model_of(name)
    kind = name.removeprefix(f"{model._meta.app_label}_{model._meta.model_name}_") if model else ""
    assert kind in KINDS, f"say in PAGES who may see {name}, and who may send its form"
    sees, sends = (
        action and f"{model._meta.app_label}.{action}_{model._meta.model_name}"  # type: ignore[union-attr]
        for action in KINDS[kind]
    )
    return Page(name, "", sees, sends)  # type: ignore[arg-type]


def model_of(name: str) -> type[Model] | None:
    """Find the model that a page is about, by the page's name or by its path."""
    for model in admin.site._registry:
        app, model_name = model._meta.app_label, model._meta.model_name
        if name.startswith((f"{app}_{model_name}_", f"/admin/{app}/{model_name}/")):
            return model
    return None


def filled(route: str, name: str, rows: Samples) -> str:
    """Put the id of something that exists into the path of a page about one."""
    model = model_of(name)
    if "<" not in route or model is None:
        return re.sub(r"<[^>]+>", "1", route)
    row = rows[model]
    assert row is not None, f"the walk needs a {model.__name__}"
    return re.sub(r"<[^>]+>", str(row.pk), route)


def samples() -> Samples:
    return {model: model._default_manager.order_by("pk").first() for model in admin.site._registry}


@pytest.fixture(autouse=True)
def shop(books_agree: None) -> None:
    """Something for every page to be about."""
    shirt = product(stock=9, category_ids=[category("Clothes").pk])
    parent(Option("Size", ["S"]))
    paid_order({shirt: 2})
    unpaid_order({shirt: 1})
    filled_cart({shirt: 1})
    api_client()
    store.change(name="Harbour Goods", actor=MERCHANT)
    GatewayEvent.objects.create(
        id="evt_1", gateway="test", type="charge.succeeded", body={}, received_at=clock.now()
    )
    made.attempt(made.delivery(made.integration(), made.event("product.updated", shirt.pk)), 500)
    mail_settings.change(actor=MERCHANT, sender_address="shop@example.com")
    mail_settings.write("order-placed", actor=MERCHANT, subject="Thanks")
    Mail.objects.create(
        notice="order-placed",
        sender="shop@example.com",
        recipient="ada@example.com",
        subject="Thanks",
        text="Thanks",
        state=Mail.State.IN_DOUBT,
        created_at=clock.now(),
    )
    delivery({shirt: 3})
    sheet, _ = processing.upload("shelf.csv", b"sku,count\nNONE,1\n", actor=MERCHANT)
    processing.take_a_batch(sheet.pk)
    stocktakes.begin("Yearly count", actor=MERCHANT)
    picture()
    AuditResult.objects.create(checked_at=clock.now(), differences=0)
    User.objects.create(username="somebody")
    Group.objects.create(name="Some of them")


class Reader(Client):
    """Reads each file that it asks for to its end, which is when its turn is over."""

    def request(self, **request: Any) -> Any:
        answer: Any = super().request(**request)
        if answer.streaming:
            b"".join(answer.streaming_content)
        return answer


def somebody(role: str | None) -> Client:
    """Log in as somebody with a role; None is a member of staff without any."""
    user = User.objects.create(username=f"the {role}", is_staff=True)
    if role:
        user.groups.add(Group.objects.get(name=role))
    client = Reader()
    client.force_login(user)
    return client


def may(role: str | None, permission: str) -> bool:
    return permission == ANYBODY or role in MAY[permission]


def everything() -> dict[str, str]:
    """Sum up every table of ours, to see whether anything has changed."""
    tables = {
        model._meta.db_table for app in APPS for model in apps.get_app_config(app).get_models()
    }
    sums = {}
    with connection.cursor() as cursor:
        for table in tables - {"api_callcount"}:
            cursor.execute(
                f"SELECT md5(coalesce(string_agg(t::text, '' ORDER BY t::text), '')) FROM {table} t"
            )
            sums[table] = cursor.fetchone()[0]
    return sums


@pytest.mark.parametrize("role", [*ROLES, None])
def test_a_page_opens_for_those_who_may_see_it(role):
    client = somebody(role)
    before = everything()

    answers = {page.path: client.get(page.path) for page in pages()}

    refused = {page.name for page in pages() if answers[page.path].status_code == 403}
    assert refused == {page.name for page in pages() if not may(role, page.sees)}
    assert offered_in_vain(client, answers) == []
    assert everything() == before


# What is refused for a while says what to do first; and what is scanned makes it possible without
# the page being drawn anew.
SAYS_WHY = {
    *("inventory_product_delete", "inventory_category_delete"),
    *("inventory_delivery_book", "inventory_stocktake_close"),
}
_LINKS = re.compile(r'<a\b[^>]*?\bhref="([^"#]+)')


def offered_in_vain(client: Client, answers: dict[str, Any]) -> list[str]:
    """Follow the links of these pages, and name those that refuse whoever follows them."""
    offered = {
        # However a list is filtered, one may see it or not.
        urljoin(path, unescape(link)).partition("?")[0]: path
        for path, answer in answers.items()
        if answer.status_code == 200 and answer["Content-Type"].startswith("text/html")
        for link in _LINKS.findall(answer.text)
    }
    found = []
    for link, path in offered.items():
        if link.startswith("/admin/") and link != "/admin/logout/":
            answer = answers.get(link) or client.get(link)
            why = (answer.context or {}).get("refusal")
            is_said = answer.resolver_match.url_name in SAYS_WHY
            if answer.status_code >= 400 or (why and not is_said):
                found.append(f"{path} offers {link}: {answer.status_code} {why or ''}")
    return found


@pytest.mark.parametrize("role", [*ROLES, None])
def test_nothing_is_changed_by_those_who_may_not(role):
    client = somebody(role)
    before = everything()

    for page in pages():
        if page.sends is None:
            client.post(page.path, TYPED)
        elif not may(role, page.sends):
            assert client.post(page.path, TYPED).status_code == 403, page.path

    assert everything() == before


@pytest.mark.parametrize("role", [VIEWER, None])
def test_bulk_actions_change_nothing_without_a_permission(role):
    client = somebody(role)
    before = everything()

    for model, row in samples().items():
        assert row is not None
        page = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        for action in admin.site._registry[model].actions or []:
            name = action if isinstance(action, str) else action.__name__
            client.post(page, {**TYPED, "action": name, "_selected_action": [row.pk]})

    assert everything() == before


def test_owner_may_see_whatever_a_superuser_may():
    owner, superuser = somebody(OWNER), Reader()
    superuser.force_login(User.objects.create_superuser("superuser"))

    for page in pages():
        seen = owner.get(page.path).status_code
        assert seen == superuser.get(page.path).status_code, page.path
        assert seen in {200, 302, 403, 404, 405}, page.path


@pytest.mark.parametrize("typed", [{}, TYPED, dict.fromkeys(TYPED, "\N{SNOWMAN}" * 300)])
def test_no_page_fails_whatever_an_owner_sends(typed):
    owner = somebody(OWNER)

    for page in pages():
        before = transaction.savepoint()
        assert owner.post(page.path, typed).status_code < 500, page.path
        transaction.savepoint_rollback(before)


@pytest.mark.parametrize(
    "made_up", ["nothing", "00000000-0000-0000-0000-000000000000", "9" * 30, "%00"]
)
def test_no_page_fails_for_what_does_not_exist(made_up):
    owner = somebody(OWNER)

    for route, _ in patterns():
        if "<" in route:
            path = re.sub(r"(\(\?P)?<[^>]+>[^/]*", made_up, route)
            assert owner.get(path).status_code < 500, path


def test_whoever_has_no_role_learns_nothing_of_the_shop():
    client = somebody(None)
    secrets = ["ada@example.com", *Product.objects.values_list("name", flat=True)]
    secrets += [str(order) for order in Order.objects.all()]

    for page in pages():
        shown = client.get(page.path).content.decode()
        assert [secret for secret in secrets if secret in shown] == [], page.path


def test_whoever_is_refused_reads_why(client):
    viewer = somebody(VIEWER)

    refused = viewer.get("/admin/auth/user/add/")
    nothing = viewer.get("/admin/nothing/")

    assert "Your role does not allow it" in refused.content.decode()
    assert (nothing.status_code, "no such page" in nothing.content.decode()) == (404, True)
    assert client.get("/nothing").json()["errors"][0]["code"] == "not_found"


def test_nobody_sees_a_page_without_logging_in():
    client = Client()
    before = everything()

    for page in pages():
        for response in (client.get(page.path), client.post(page.path, TYPED)):
            assert response.status_code == 302, page.path
            assert response["Location"].startswith("/admin/"), page.path

    assert everything() == before


@pytest.mark.parametrize("lost", ["is_staff", "is_active"])
def test_a_login_opens_no_page_once_its_person_is_no_more_of_the_staff(lost):
    """Whatever role it had, and though it was let in while it was."""
    client = somebody(OWNER)
    assert client.get("/admin/").status_code == 200
    User.objects.filter(username=f"the {OWNER}").update(**{lost: False})
    before = everything()

    for page in pages():
        sent = client.post(page.path, TYPED) if page.sends else client.get(page.path)
        assert sent.status_code == 302, page.path

    assert everything() == before


def test_a_role_that_is_taken_away_opens_nothing_from_then_on():
    client = somebody(OWNER)
    assert client.get("/admin/auth/user/add/").status_code == 200

    User.objects.get(username=f"the {OWNER}").groups.clear()

    assert client.get("/admin/auth/user/add/").status_code == 403
    assert client.post("/admin/auth/user/add/", TYPED).status_code == 403
