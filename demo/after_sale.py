"""What becomes of the demo's goods and money once an order is paid: in parts, and back again."""

from demo.catalogue import PRODUCTS
from demo.people import CUSTOMERS, customer_named
from demo.replay import ComesBack, Purchase, Story, by_hand


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
    """Take back what does not fit: most of it is on the shelf again, some has to be looked at."""
    for days_ago, sku, lines in [
        (43, "TROUSERS-SAND-32", ["restocked"]),
        (29, "SHIRT-WHITE-M", ["restocked", "inspection"]),
        (20, "SHIRT-NAVY-XL", ["discarded", "missing"]),
        (14, "HOODIE-GREEN-M", ["inspection"]),
    ]:
        customer = story.random.choice(CUSTOMERS)
        sold = {sku: len(lines)}
        purchase = Purchase(story, customer, sold, story.some_time(days_ago, 8, 21)).ordered()
        payment_id = purchase.paid()
        purchase.shipped(story.some_time(days_ago - 1, 9, 17))
        purchase.taken_back(
            story.at(days_ago - 9, 11, 5),
            [ComesBack(sku, 1, becomes) for becomes in lines],
            "Sent back: too small",
            refunds=payment_id,
            amount=purchase.total,
        )
        if days_ago == 29:
            purchase.inspected(story.at(18, 15, 10), sku, "discarded", "A stain that stays")


def in_two_parcels(story: Story) -> None:
    """Send what is there, and the rest when it is packed. The rest of the last one waits."""
    first = {"MUG-WHITE": 2}
    for days_ago, days_between, rest in [
        (48, 2, {"HOODIE-GREY-L": 1}),
        (33, 3, {"SHIRT-RED-M": 1, "CAP-BLACK": 1}),
        (16, 1, {"BOTTLE-STEEL": 2}),
        (7, 2, {"TROUSERS-SAND-30": 1}),
        (3, 0, {"POSTER-HARBOUR": 2}),
    ]:
        customer = story.random.choice(CUSTOMERS)
        at = story.some_time(days_ago, 8, 21)
        purchase = Purchase(story, customer, {**first, **rest}, at).ordered()
        purchase.paid()
        purchase.shipped(story.at(days_ago - 1, 10, 35), first)
        if days_between:
            purchase.shipped(story.at(days_ago - 1 - days_between, 14, 5))


def rest_cancelled(story: Story) -> None:
    """Send two bottles of three: the third was dented, and its money goes back."""
    lines = {"BOTTLE-STEEL": 3, "STICKERS": 1}
    purchase = Purchase(story, customer_named("Lars"), lines, story.at(10, 19, 30)).ordered()
    payment_id = purchase.paid()
    purchase.shipped(story.at(9, 11, 20), {"BOTTLE-STEEL": 2, "STICKERS": 1})
    why = "No further one without a dent"
    purchase.cancelled_in_part(story.at(8, 9, 15), {"BOTTLE-STEEL": 1}, why)
    one = PRODUCTS["BOTTLE-STEEL"].family.price
    purchase.refunded(payment_id, one, story.at(8, 9, 16), why)


def refunded_in_cash(story: Story) -> None:
    purchase = Purchase(
        story, customer_named("Amara"), {"CANDLE": 2}, story.at(19, 15, 40)
    ).ordered()
    payment_id = purchase.paid(by_hand("Cash at the counter"))
    purchase.shipped(story.at(19, 15, 42), over_the_counter=True)
    purchase.refunded(payment_id, None, story.at(18, 10, 30), "Money back in cash at the counter")


def paid_too_much(story: Story) -> None:
    """Have a customer transfer five dollars too many, which nobody has sent back yet."""
    lines = {"NOTEBOOK-RED": 3, "TOTE-NATURAL": 2}
    purchase = Purchase(story, customer_named("Elif"), lines, story.at(4, 13, 20)).ordered()
    transfer = by_hand("Bank transfer 70412", purchase.total + 5_00, takes_excess=True)
    purchase.paid(transfer, at=story.at(2, 9, 5))
    purchase.shipped(story.at(2, 10, 50))
