"""The page of what the last comparison found."""

import pytest
from procrastinate.contrib.django.models import ProcrastinateJob

from api import clock
from orders.models import AuditResult
from payments.services import audit
from tests.backoffice.pages import client_with, text
from tests.factories import paid_order, product

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
