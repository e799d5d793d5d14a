"""Who is told of events: the pages of it that the demo has nothing for."""

from playwright.sync_api import expect

from api import clock
from events.models import Integration
from tests.backoffice.events.making import attempt, delivery, event, integration
from tests.browser.accessibility import obstacles, wider_than_the_screen
from tests.factories import paid_order, product


def test_an_integration_and_what_it_was_sent_can_be_read_by_everybody(browse):
    order = paid_order({product(9): 2})
    told = event("order.paid", order.pk, {"address": "x" * 200})
    made = integration({"failing_since": clock.now()}, name="Shipping at the harbour")
    sent = delivery(made, told, next_at=clock.now())
    attempt(sent, 500, body="<h1>broken</h1>" * 9)
    page = browse("owner")

    for path in (
        f"integration/{made.pk}/change/",
        f"delivery/{sent.pk}/change/",
        f"event/{told.pk}/change/",
    ):
        page.goto(f"/admin/events/{path}")
        for summary in page.locator("#main summary").all():
            summary.click()
        page.set_viewport_size({"width": 390, "height": 844})
        assert obstacles(page) == []
        assert not wider_than_the_screen(page)
        page.set_viewport_size({"width": 1280, "height": 900})


def test_all_events_of_a_kind_are_ticked_at_once(browse):
    made = integration(observes=["order.paid", "stock.low"])
    page = browse("owner")
    page.goto(f"/admin/events/integration/{made.pk}/change/")
    levels = page.get_by_role("group", name="Stock levels")
    every = levels.get_by_label("All of these")

    expect(every).not_to_be_checked()
    every.check()
    expect(levels.get_by_label("Stock is out")).to_be_checked()
    levels.get_by_label("Stock is back").uncheck()
    expect(every).not_to_be_checked()
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.get_by_text("was changed successfully")).to_be_visible()
    made = Integration.objects.get()
    assert set(made.observes) == {"order.paid", "stock.low", "stock.out"}
