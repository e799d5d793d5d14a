"""What the demo's customers send back, and get money back for."""

from demo.catalogue import PRODUCTS
from demo.people import CUSTOMERS, JONAS, customer_named
from demo.replay import Purchase, Story, by_hand
from inventory.models import Action


def arrived_broken(story: Story) -> None:
    for days_ago in [49, 34, 27, 11]:
        customer = story.random.choice(CUSTOMERS)
        lines = {"MUG-WHITE": 2, "TOTE-NATURAL": 1}
        purchase = Purchase(story, customer, lines, story.some_time(days_ago, 8, 21)).ordered()
        payment_id = purchase.paid()
        purchase.shipped(story.some_time(days_ago - 1, 9, 17))
        one_mug = PRODUCTS["MUG-WHITE"].family.price
        purchase.refunded(
            payment_id, one_mug, story.at(days_ago - 5, 14, 20), "One mug arrived broken"
        )


def sent_back(story: Story) -> None:
    """Refund an order in whole, and put its units back on the shelf."""
    for days_ago, sku in [(43, "TROUSERS-SAND-32"), (29, "SHIRT-WHITE-M"), (14, "HOODIE-GREEN-M")]:
        customer = story.random.choice(CUSTOMERS)
        purchase = Purchase(story, customer, {sku: 1}, story.some_time(days_ago, 8, 21)).ordered()
        payment_id = purchase.paid()
        purchase.shipped(story.some_time(days_ago - 1, 9, 17))
        back_at = story.at(days_ago - 9, 11, 5)
        story.by_hand(back_at, JONAS, Action.INCREMENT, 1, sku, "Sent back unworn, too small")
        purchase.refunded(payment_id, purchase.total, back_at, "Sent back: too small")


def refunded_in_cash(story: Story) -> None:
    purchase = Purchase(
        story, customer_named("Amara"), {"CANDLE": 2}, story.at(19, 15, 40)
    ).ordered()
    payment_id = purchase.paid(by_hand("Cash at the counter"))
    purchase.shipped(story.at(19, 15, 42))
    purchase.refunded(payment_id, None, story.at(18, 10, 30), "Money back in cash at the counter")
