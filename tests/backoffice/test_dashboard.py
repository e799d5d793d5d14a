"""The admin's first page."""

import re
from datetime import date, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from api import clock, store
from api.ids import uuid7
from backoffice import attention, base, dashboard
from inventory.models import Currency
from inventory.services.products import Money
from orders.models import AuditResult
from orders.services import orders, shipments
from payments.services import payments
from payments.services.payments import PaymentRequest
from tests.backoffice.pages import text
from tests.factories import MERCHANT, delivery, filled_cart, paid_order, product, unpaid_order

pytestmark = pytest.mark.django_db

HOME = "/admin/"
# To ship, holding units, needing attention, for what reason, with money that is held, due, low, and
# out of stock.
FIGURES = sorted([2, 2, 1, 1, 1, 1, 4, 2])


def home(client: Client) -> str:
    return " ".join(text(client.get(HOME)).split())


def later(**passed: float) -> Any:
    moment = clock.now() + timedelta(**passed)
    return clock.replaced(lambda: moment)


def test_the_dashboard_of_a_new_store_says_what_each_part_will_tell(admin_client):
    shown = home(admin_client)

    for part in (
        "have not been compared yet",
        "Every paid order is on its way.",
        "No payment is stuck",
        "was given back",
        "more than enough of everything",
        "No order holds any units.",
    ):
        assert part in shown


def test_stock_is_low_by_the_products_own_threshold_or_the_stores():
    store.change(low_stock_threshold=5, actor=MERCHANT)
    out, low = product(0, name="B"), product(5, name="C")
    product(6)
    early, late = product(50, low_stock_threshold=50), product(2, low_stock_threshold=1)
    never = product(0, managed=False)
    draft = product(0, status="draft")

    found = dashboard.low_stock()

    assert [stock.product_id for stock in found.stocks] == [out.pk, low.pk, early.pk]
    assert (found.low, found.out) == (3, 1)
    assert not {late.pk, never.pk, draft.pk} & {stock.product_id for stock in found.stocks}


def test_more_products_are_low_than_there_is_room_for():
    for _ in range(dashboard.ROWS + 2):
        product(0)

    found = dashboard.low_stock()

    assert len(found.stocks) == dashboard.ROWS
    assert (found.low, found.out) == (dashboard.ROWS + 2, dashboard.ROWS + 2)


def test_orders_to_ship_are_counted_and_the_longest_waiting_named(admin_client):
    shirt = product(20)
    made = [paid_order({shirt: 1}) for _ in range(dashboard.ROWS + 1)]
    shipments.ship(made[0].pk, actor=MERCHANT)

    to_ship = admin_client.get(HOME).context["to_ship"]

    assert to_ship["count"] == str(dashboard.ROWS)
    assert [order.number for order in to_ship["orders"]] == [each.number for each in made[1:]]


def test_money_held_on_cancelled_orders_is_never_summed_over_currencies():
    Currency.objects.create(
        code="JPY",
        format="¥{price}",
        decimal_places=0,
        created_at=clock.now(),
        updated_at=clock.now(),
    )
    shirt = product(
        20,
        prices=[Money("USD", 1250), Money("JPY", 900)],
    )
    for currency in ("USD", "JPY", "JPY"):
        order, _ = orders.checkout(
            filled_cart({shirt: 1}, currency=currency), orders.Buyer("A", "a@b.c")
        )
        payments.pay(order.pk, PaymentRequest("manual"), actor=MERCHANT)
        payments.cancel(order.pk, actor=MERCHANT)

    assert [(held.amount, held.orders) for held in dashboard.money_held()] == [
        ("¥1,800", 2),
        ("$12.50", 1),
    ]


def test_what_needs_attention_is_counted_by_its_reason():
    shirt = product(20, price=1000)
    for _ in range(2):
        order = paid_order({shirt: 1})
        payments.cancel(order.pk, actor=MERCHANT)
    partly = unpaid_order({shirt: 1})
    payments.pay(partly.pk, PaymentRequest("manual", amount=1), actor=MERCHANT)

    with later(days=4):
        found = dashboard.needing_attention()

    assert found.count == "3"
    assert {reason.words: reason.orders for reason in found.reasons} == {
        attention.HELD: "2",
        attention.PARTLY_PAID: "1",
    }


def test_many_orders_with_one_reason_hide_none_with_another(monkeypatch):
    monkeypatch.setattr(base, "COUNTED", 2)
    monkeypatch.setattr(dashboard, "COUNTED", 2)
    shirt = product(20, price=1000)
    for _ in range(3):
        payments.cancel(paid_order({shirt: 1}).pk, actor=MERCHANT)
    partly = unpaid_order({shirt: 1})
    payments.pay(partly.pk, PaymentRequest("manual", amount=1), actor=MERCHANT)

    with later(days=4):
        found = dashboard.needing_attention()

    assert found.count == "2+"
    assert {reason.words: reason.orders for reason in found.reasons} == {
        attention.HELD: "2+",
        attention.PARTLY_PAID: "1",
    }


def test_the_orders_that_hold_units_longest_come_first():
    shirt, download = product(20), product(managed=False)
    paid_order({download: 1})
    first, second = paid_order({shirt: 2}), paid_order({shirt: 3})
    shipments.ship(paid_order({shirt: 1}).pk, actor=MERCHANT)

    found: Any = dashboard.held_longest()

    assert [(order.number, order.units) for order in found.orders] == [
        (first.number, 2),
        (second.number, 3),
    ]
    assert found.count == "2"


# The audit's last result.


def audited(*, minutes_ago: int) -> None:
    checked_at = clock.now() - timedelta(minutes=minutes_ago)
    AuditResult.objects.create(checked_at=checked_at, differences=0)


def test_the_audit_tells_when_it_last_found_all_in_agreement(admin_client):
    audited(minutes_ago=2)

    assert "The log agrees with the stock, checked 2 minutes ago." in home(admin_client)


def test_an_audit_that_is_overdue_makes_one_wonder(admin_client):
    audited(minutes_ago=180)

    assert "does the worker run?" in home(admin_client)


def test_a_difference_is_told_first_thing(admin_client):
    AuditResult.objects.create(checked_at=clock.now(), differences=2, example="SHIRT: 5, not 4")

    shown = home(admin_client)

    assert "<strong>2 differences</strong> between log, stock and orders" in shown
    assert "SHIRT: 5, not 4" in shown


def test_deliveries_that_are_late_or_due_are_named(admin_client):
    today = clock.now().date()
    delivery(number="D-1", expected_on=today - timedelta(days=3), supplier="Harbour Mills")
    delivery(number="D-2", expected_on=today + timedelta(days=3))
    delivery(number="D-3")

    due = admin_client.get(HOME).context["due"]

    assert ([each.number for each in due.deliveries], due.count) == (["D-1"], "1")
    assert "Harbour Mills" in home(admin_client)


# Each figure leads to its list.

FIGURE = re.compile(r'href="([^"?]+\?[^"]+)"[^>]*>(\d+)')


def test_t22_every_figure_is_a_link_to_a_list_of_as_many(admin_client):
    store.change(low_stock_threshold=5, actor=MERCHANT)
    shirt = product(20)
    for units in (0, 0, 3):
        product(units)
    product(0, status="draft")
    product(0, managed=False)
    product(8, low_stock_threshold=9)
    paid_order({shirt: 1})
    paid_order({shirt: 1})
    payments.cancel(paid_order({shirt: 1}).pk, actor=MERCHANT)
    delivery(number="D-1", expected_on=clock.now().date())
    delivery(number="D-2", expected_on=clock.now().date() + timedelta(days=9))

    figures = FIGURE.findall(text(admin_client.get(HOME)))

    lists = {link: admin_client.get(link).context["cl"] for link, _ in figures}
    assert {link: int(figure) for link, figure in figures} == {
        link: len(found.result_list) for link, found in lists.items()
    }
    assert sorted(int(figure) for _, figure in figures) == FIGURES


# Who sees what, and what it costs.


def test_each_part_is_for_those_who_may_see_what_it_tells_of():
    def parts(*permissions: str) -> set[str]:
        user = User.objects.create_user("-".join(permissions) or "nobody", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client = Client()
        client.force_login(user)
        context = client.get(HOME).context
        names = ("audit", "to_ship", "holding", "attention", "money_held", "low_stock", "troubled")
        return {name for name in names if name in context}

    assert parts() == set()
    assert parts("view_product", "view_stock") == {"low_stock"}
    assert parts("view_order") == {"to_ship", "holding"}
    assert "attention" in parts("view_order", "view_payment")
    assert parts("view_integration") == {"troubled"}


def test_the_dashboard_costs_the_same_however_much_there_is(
    admin_client, django_assert_num_queries
):
    def fill(times: int) -> None:
        shirt = product(100)
        for _ in range(times):
            product(0)
            delivery(number=str(uuid7()), expected_on=date(2026, 1, 1))
            paid_order({shirt: 1})
            payments.cancel(paid_order({shirt: 1}).pk, actor=MERCHANT)

    audited(minutes_ago=2)
    admin_client.get(HOME)
    fill(1)
    with django_assert_num_queries(14):
        admin_client.get(HOME)

    fill(10)
    with django_assert_num_queries(14):
        admin_client.get(HOME)
