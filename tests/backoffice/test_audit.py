"""The page of what the last comparison found."""

from datetime import timedelta

import pytest
from procrastinate.contrib.django.models import ProcrastinateJob

from api import clock
from api.ids import uuid7
from backoffice.products.page import archived_url, inventory_url
from inventory.services import products
from inventory.services.audit import Difference
from orders.models import AuditResult
from payments.services import audit
from tests.backoffice.orders.looking import page
from tests.backoffice.pages import client_with, text
from tests.factories import MERCHANT, paid_order, product, stock_of, unpaid_order

AUDIT = "/admin/orders/auditresult/"
NOW = f"{AUDIT}compare-now/"


@pytest.mark.django_db
def test_before_the_first_comparison_the_page_says_who_makes_it(admin_client):
    assert "Not compared yet" in text(admin_client.get(AUDIT))


@pytest.mark.django_db
def test_t22_whoever_wants_to_compare_now_leaves_it_to_the_worker_once(admin_client):
    assert "Compare now" in text(admin_client.get(AUDIT))

    first, second = (text(admin_client.post(NOW, follow=True)) for _ in range(2))

    assert "The worker compares now." in first
    assert "Compare now" not in first
    assert "It is being compared already." in second
    [job] = ProcrastinateJob.objects.all()
    assert (job.task_name, job.queueing_lock) == (audit.JOB, audit.LOCK)


@pytest.mark.django_db
def test_only_those_compare_who_may_see_what_is_found():
    stranger = client_with("view_order")

    assert [stranger.get(AUDIT).status_code, stranger.post(NOW).status_code] == [403, 403]
    assert not ProcrastinateJob.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_t22_how_much_was_compared_is_told(admin_client):
    for _ in range(2):
        paid_order({product(9): 2})
    audit.run()

    shown = text(admin_client.get(AUDIT))

    assert "All agrees" in shown
    assert "2 products with stock and 4 movements of them were compared" in shown


@pytest.mark.django_db
def test_t22_each_difference_is_told(admin_client):
    found = ["MUG: orders hold 1 units", "TIN: orders hold <b>3</b> units"]
    AuditResult.objects.create(
        checked_at=clock.now(), differences=2, example=found[0], found=found, stocks=7, entries=1
    )

    shown = admin_client.get(AUDIT).content.decode()

    assert "2 differences found" in shown
    assert "MUG: orders hold 1 units" in shown
    assert "TIN: orders hold &lt;b&gt;3&lt;/b&gt; units" in shown


@pytest.mark.django_db
def test_a_difference_leads_to_the_product_or_the_order_that_it_is_about(admin_client):
    mug, gone = product(9, sku="MUG"), product(sku="GONE")
    products.archive(gone.pk, actor=MERCHANT)
    order = unpaid_order({mug: 1})
    found = [
        str(Difference(stock_of(mug).pk, "MUG", "one is missing")),
        str(Difference(stock_of(gone).pk, "GONE", "two are missing")),
        str(Difference(order.pk, "<b>", "its money differs", row="order")),
        str(Difference(uuid7(), "?", "there is a log but no stock")),
        "TIN: a payment differs (payment 7)",
    ]
    AuditResult.objects.create(checked_at=clock.now(), differences=5, example=found[0], found=found)

    shown = admin_client.get(AUDIT).content.decode()

    for address, words in (
        (inventory_url(mug.pk), found[0]),
        (archived_url(gone.pk), found[1]),
        (page(order), "&lt;b&gt;: its money differs"),
    ):
        assert f'<a href="{address}">{words}' in shown
        assert admin_client.get(address).status_code == 200
    assert all(f">{words}</span>" in shown for words in found[3:])


@pytest.mark.django_db(transaction=True)
def test_both_kinds_of_comparison_are_told_with_what_each_looked_at(admin_client):
    shirt = product(9)
    paid_order({shirt: 2})
    audit.compare()
    paid_order({shirt: 1})
    audit.compare()

    shown = text(admin_client.get(AUDIT))

    assert "1 product with stock and 2 movements of them were compared with each other" in shown
    assert "1 product with stock and 1 movement of them were compared with each other" in shown
    assert "and with 2 orders" in shown
    assert "all of it was checked just now" in text(admin_client.get("/admin/"))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("whole", "new", "is_overdue"), [(25, 1, False), (27, 1, True), (25, 3, True), (1, 3, False)]
)
def test_it_is_told_when_one_of_both_is_overdue(admin_client, whole, new, is_overdue):
    for kind, hours in ((AuditResult.Kind.WHOLE, whole), (AuditResult.Kind.INCREMENTAL, new)):
        AuditResult.objects.create(
            pk=kind, checked_at=clock.now() - timedelta(hours=hours), differences=0
        )

    assert ("does the worker run?" in text(admin_client.get(AUDIT))) == is_overdue
    assert ("does the worker run?" in text(admin_client.get("/admin/"))) == is_overdue


@pytest.mark.django_db
def test_what_differed_as_a_whole_stands_though_nothing_new_differs(admin_client):
    found = ["MUG: entry 2 should be entry 1"]
    long_ago = clock.now() - timedelta(hours=9)
    AuditResult.objects.create(checked_at=long_ago, differences=1, example=found[0], found=found)
    AuditResult.objects.create(
        pk=AuditResult.Kind.INCREMENTAL, checked_at=clock.now(), differences=0
    )

    home = text(admin_client.get("/admin/"))
    assert "1 difference" in home
    assert "MUG: entry 2" in home
    assert "1 difference found" in text(admin_client.get(AUDIT))
