"""How stock follows an order, as the inventory documents tell it, sentence by sentence, over HTTP.

Every test's first line is one sentence of theirs in our words. The merchant keeps the stock with an
administrator's token; buyers come through a storefront.
"""

import itertools
from typing import Any, NamedTuple

import pytest

from payments import gateways
from payments.gateways.base import Answer
from payments.models import Gateway, Payment
from tests.concurrency import run_together
from tests.fake_gateway import DECLINED, OK, FakeGateway
from tests.http import administrator, shopper

pytestmark = pytest.mark.django_db

WARNING = "Insufficient stock"

_carts = itertools.count(1)


class Numbers(NamedTuple):
    total: int
    available: int
    allocated: int


class Merchant:
    """Keeps the stock, ships and cancels."""

    def __init__(self) -> None:
        self.api = administrator()

    def offers(self, name: str, stock: int, *, manage_stock: bool = True) -> str:
        body = {
            "type": "product",
            "name": name,
            "sku": name.upper().replace(" ", "-"),
            "price": [{"amount": 1000, "currency": "USD"}],
            "manage_stock": manage_stock,
            "stock": stock,
        }
        answer = self.api.post("/v2/products", body)
        assert answer.status_code == 201, answer.content
        product: str = answer.json()["data"]["id"]
        return product

    def numbers_of(self, product: str) -> Numbers:
        stock = self.api.get(f"/v2/inventories/{product}").json()["data"]
        return Numbers(stock["total"], stock["available"], stock["allocated"])

    def log_of(self, product: str) -> list[tuple[str, int]]:
        entries = self.api.get(f"/v2/inventories/{product}/transactions").json()["data"]
        return [(entry["action"], entry["quantity"]) for entry in entries]

    def records(self, product: str, action: str, quantity: int) -> Any:
        entry = {"type": "stock-transaction", "action": action, "quantity": quantity}
        return self.api.post(f"/v2/inventories/{product}/transactions", entry)

    def ships(self, order: str) -> Any:
        return self.api.put(f"/v2/orders/{order}", {"type": "order", "shipping": "fulfilled"})

    def cancels(self, order: str) -> Any:
        return self.api.put(f"/v2/orders/{order}", {"type": "order", "status": "cancelled"})

    def order(self, order: str) -> dict[str, Any]:
        shown: dict[str, Any] = self.api.get(f"/v2/orders/{order}").json()["data"]
        return shown


class Buyer:
    """Somebody with a cart."""

    def __init__(self) -> None:
        self.api = shopper()
        self.cart = f"cart-{next(_carts)}"

    def adds(self, product: str, quantity: int) -> Any:
        return self.api.add_to_cart(self.cart, product, quantity)

    def checks_out(self) -> Any:
        return self.api.check_out(self.cart)

    def orders(self, product: str, quantity: int) -> str:
        """Add and check out: an unpaid order."""
        assert self.adds(product, quantity).status_code == 201
        answer = self.checks_out()
        assert answer.status_code == 201, answer.content
        order: str = answer.json()["data"]["id"]
        return order

    def pays(self, order: str, amount: int | None = None) -> Any:
        part: dict[str, Any] = {} if amount is None else {"amount": amount}
        return self.api.pay(order, gateway="card", payment="tok_1", **part)

    def buys(self, product: str, quantity: int) -> str:
        order = self.orders(product, quantity)
        assert self.pays(order).status_code == 200
        return order


@pytest.fixture
def merchant() -> Merchant:
    return Merchant()


@pytest.fixture
def ada() -> Buyer:
    return Buyer()


@pytest.fixture
def bob() -> Buyer:
    return Buyer()


@pytest.fixture(autouse=True)
def card(books_agree: None, monkeypatch: pytest.MonkeyPatch) -> FakeGateway:
    """A gateway for cards: it writes down every charge and, unless told otherwise, accepts it."""
    fake = FakeGateway()
    monkeypatch.setattr(gateways, "adapters", lambda: {"card": fake})
    Gateway.objects.create(slug="card", name="Card", enabled=True)
    return fake


def declines(payment: Payment) -> Answer:
    return DECLINED


def accepts(payment: Payment) -> Answer:
    return OK


def test_total_is_what_is_available_and_what_is_allocated_together(merchant):
    """Three numbers tell how much of a product is there: total = available + allocated."""
    shirt = merchant.offers("Shirt", stock=30)

    merchant.records(shirt, "allocate", 10)

    assert merchant.numbers_of(shirt) == Numbers(total=30, available=20, allocated=10)


def test_every_change_stands_in_the_log(merchant, ada):
    """Besides the numbers, the service keeps a history of everything that moved them."""
    shirt = merchant.offers("Shirt", stock=30)

    merchant.records(shirt, "increment", 5)
    merchant.records(shirt, "decrement", 1)
    merchant.records(shirt, "allocate", 10)
    merchant.records(shirt, "deallocate", 4)
    merchant.ships(ada.buys(shirt, 2))

    assert merchant.log_of(shirt) == [
        ("increment", 30),
        ("increment", 5),
        ("decrement", 1),
        ("allocate", 10),
        ("deallocate", 4),
        # The order: allocated by its payment, then taken out of the total by its shipment.
        ("allocate", 2),
        ("deallocate", 2),
        ("decrement", 2),
    ]
    assert merchant.numbers_of(shirt) == Numbers(total=32, available=26, allocated=6)


def test_the_log_alone_gives_the_numbers(merchant, ada):
    """The history replays, entry by entry, to what the inventory says."""
    effects = {
        "increment": (1, 0),
        "decrement": (-1, 0),
        "allocate": (-1, 1),
        "deallocate": (1, -1),
    }
    shirt = merchant.offers("Shirt", stock=30)
    merchant.records(shirt, "allocate", 10)
    merchant.ships(ada.buys(shirt, 3))
    merchant.cancels(ada.buys(shirt, 2))

    available = allocated = 0
    for action, quantity in merchant.log_of(shirt):
        available += effects[action][0] * quantity
        allocated += effects[action][1] * quantity

    assert merchant.numbers_of(shirt) == Numbers(available + allocated, available, allocated)


def test_only_administrators_keep_inventory(merchant, ada):
    """The inventory API is not for storefronts: it answers administrators only."""
    shirt = merchant.offers("Shirt", stock=1)
    entry = {"type": "stock-transaction", "action": "increment", "quantity": 5}

    read = ada.api.get(f"/v2/inventories/{shirt}")
    written = ada.api.post(f"/v2/inventories/{shirt}/transactions", entry)

    assert (read.status_code, written.status_code) == (403, 403)
    assert merchant.numbers_of(shirt) == Numbers(1, 1, 0)


def test_stock_shows_in_the_inventory_and_on_the_product(merchant, ada):
    """Ask the inventory, which is the truth, or look at the product: here they always agree."""
    shirt = merchant.offers("Shirt", stock=3)

    ada.buys(shirt, 2)

    product = ada.api.get(f"/v2/products/{shirt}").json()["data"]
    assert merchant.numbers_of(shirt).available == 1
    assert product["meta"]["stock"] == {"availability": "in-stock", "level": 1}


def test_the_steps_of_an_order_are_cart_checkout_payment_and_shipment(merchant, ada):
    """An order is put into a cart, checked out and paid, and may then be shipped."""
    shirt = merchant.offers("Shirt", stock=5)

    added = ada.adds(shirt, 2)
    checked_out = ada.checks_out()
    order = checked_out.json()["data"]["id"]
    paid = ada.pays(order)
    shipped = merchant.ships(order)

    answers = [added, checked_out, paid, shipped]
    assert [answer.status_code for answer in answers] == [201, 201, 200, 200]
    assert merchant.order(order)["shipping"] == "fulfilled"


def test_the_steps_follow_one_another(merchant, ada):
    """What is not paid is not shipped, and what is not in the cart is not checked out."""
    shirt = merchant.offers("Shirt", stock=5)

    assert ada.checks_out().status_code == 400
    assert merchant.ships(ada.orders(shirt, 2)).status_code == 422
    assert merchant.numbers_of(shirt) == Numbers(5, 5, 0)


def test_adding_to_a_cart_asks_whether_there_is_enough(merchant, ada):
    """Products come into the cart only while enough of them are available."""
    shirt = merchant.offers("Shirt", stock=5)
    merchant.records(shirt, "allocate", 3)

    assert ada.adds(shirt, 3).status_code == 400
    assert ada.adds(shirt, 2).status_code == 201


def test_the_warning_names_neither_the_product_nor_what_is_left(merchant, ada):
    """Too much for the cart is a 400 with a warning that gives nothing away."""
    shirt = merchant.offers("Shirt", stock=7)
    scarf = merchant.offers("Scarf", stock=0)

    warned = ada.adds(shirt, 8)

    assert warned.status_code == 400
    assert warned.json()["errors"][0]["title"] == WARNING
    # The same words whatever it is and however many there are, so they cannot tell either.
    assert warned.json() == ada.adds(scarf, 1).json()
    for secret in (shirt, "Shirt", "SHIRT", "7", "8"):
        assert secret not in warned.content.decode()


def test_a_cart_reserves_nothing(merchant, ada, bob):
    """What lies in a cart is still available to everybody else."""
    shirt = merchant.offers("Shirt", stock=1)

    assert ada.adds(shirt, 1).status_code == 201

    assert merchant.numbers_of(shirt) == Numbers(total=1, available=1, allocated=0)
    assert bob.adds(shirt, 1).status_code == 201


def test_checking_out_makes_an_unpaid_order(merchant, ada):
    """Whoever got products into the cart can check out: an order that is not paid yet."""
    shirt = merchant.offers("Shirt", stock=5)

    order = merchant.order(ada.orders(shirt, 2))

    states = (order["status"], order["payment"], order["shipping"])
    assert states == ("incomplete", "unpaid", "unfulfilled")


def test_checking_out_asks_once_more_whether_there_is_enough(merchant, ada, bob):
    """At checkout the available stock is looked at a last time."""
    shirt = merchant.offers("Shirt", stock=5)
    ada.adds(shirt, 4)
    bob.buys(shirt, 3)

    warned = ada.checks_out()

    assert warned.status_code == 400
    assert warned.json()["errors"][0]["title"] == WARNING
    assert "Shirt" not in warned.content.decode()
    assert ada.api.get(f"/v2/carts/{ada.cart}/orders").json()["data"] == []


def test_checking_out_reserves_nothing(merchant, ada):
    """An unpaid order holds no stock."""
    shirt = merchant.offers("Shirt", stock=5)

    ada.orders(shirt, 5)

    assert merchant.numbers_of(shirt) == Numbers(total=5, available=5, allocated=0)


@pytest.mark.django_db(transaction=True)
def test_paying_reserves_the_stock_just_before_the_gateway_is_asked(merchant, ada, card):
    """Only the attempt to pay reserves stock: for this buyer, and before any money moves."""
    shirt = merchant.offers("Shirt", stock=5)
    order = ada.orders(shirt, 2)
    seen_by_others: list[Any] = []

    def look_while_charging(payment: Payment) -> Answer:
        # From a connection of its own, which sees only what is committed.
        seen_by_others.extend(run_together(lambda: merchant.numbers_of(shirt)))
        return OK

    card.on_charge = look_while_charging
    assert merchant.numbers_of(shirt) == Numbers(total=5, available=5, allocated=0)

    paid = ada.pays(order)

    assert seen_by_others == [Numbers(total=5, available=3, allocated=2)]
    assert paid.json()["data"]["status"] == "complete"


def test_until_then_a_faster_buyer_may_take_it(merchant, ada, bob, card):
    """Anybody may lose an order to somebody faster, up to the moment of paying."""
    shirt = merchant.offers("Shirt", stock=1)
    of_ada, of_bob = ada.orders(shirt, 1), bob.orders(shirt, 1)
    bob.pays(of_bob)

    lost = ada.pays(of_ada)

    assert lost.status_code == 400
    assert lost.json()["errors"][0]["title"] == WARNING
    assert len(card.charged) == 1, "no money is asked for where there are no goods"
    assert merchant.order(of_ada)["payment"] == "unpaid"
    assert merchant.numbers_of(shirt) == Numbers(total=1, available=0, allocated=1)


def test_a_failed_payment_gives_the_stock_back(merchant, ada, bob, card):
    """When the payment fails, what was reserved for it is available again, to anyone."""
    shirt = merchant.offers("Shirt", stock=1)
    order = ada.orders(shirt, 1)
    card.on_charge = declines

    failed = ada.pays(order)

    assert failed.status_code == 402
    assert merchant.log_of(shirt) == [("increment", 1), ("allocate", 1), ("deallocate", 1)]
    assert merchant.numbers_of(shirt) == Numbers(total=1, available=1, allocated=0)
    card.on_charge = accepts
    bob.buys(shirt, 1)


def test_after_a_failed_payment_the_buyer_may_try_again(merchant, ada, card):
    """The order is still there, and so is the race for it."""
    shirt = merchant.offers("Shirt", stock=1)
    order = ada.orders(shirt, 1)
    card.on_charge = declines
    ada.pays(order)
    card.on_charge = accepts

    assert ada.pays(order).status_code == 200
    assert merchant.order(order)["payment"] == "paid"


def test_a_paid_order_keeps_its_stock(merchant, ada, bob):
    """Once paid, the items are the buyer's: they stay allocated, in the warehouse, unsellable."""
    shirt = merchant.offers("Shirt", stock=3)

    ada.buys(shirt, 2)

    assert merchant.numbers_of(shirt) == Numbers(total=3, available=1, allocated=2)
    assert bob.adds(shirt, 2).status_code == 400


def test_a_cancelled_order_gives_its_stock_to_somebody_else(merchant, ada, bob):
    """Before shipment the units may go to others, for instance because the customer cancels."""
    shirt = merchant.offers("Shirt", stock=2)
    order = ada.buys(shirt, 2)

    assert merchant.cancels(order).status_code == 200

    assert merchant.numbers_of(shirt) == Numbers(total=2, available=2, allocated=0)
    bob.buys(shirt, 2)


def test_a_fraudulent_order_is_cancelled_and_refunded(merchant, ada):
    """Or because it is a fraud: the units come back once, the money apart from them."""
    shirt = merchant.offers("Shirt", stock=2)
    order = ada.buys(shirt, 2)
    merchant.cancels(order)
    [payment] = merchant.api.get(f"/v2/orders/{order}/transactions").json()["data"]

    refund = f"/v2/orders/{order}/transactions/{payment['id']}/refund"
    refunded = merchant.api.post(refund, {"amount": payment["amount"]})

    assert refunded.json()["data"]["transaction_type"] == "refund"
    assert merchant.numbers_of(shirt) == Numbers(total=2, available=2, allocated=0)
    assert merchant.cancels(order).status_code == 422
    assert merchant.numbers_of(shirt) == Numbers(total=2, available=2, allocated=0)


def test_shipping_takes_the_units_out_of_allocated_and_so_out_of_total(merchant, ada):
    """Marked as shipped, the units leave the warehouse: fewer allocated, and fewer in total."""
    shirt = merchant.offers("Shirt", stock=5)
    order = ada.buys(shirt, 2)
    assert merchant.numbers_of(shirt) == Numbers(total=5, available=3, allocated=2)

    merchant.ships(order)

    assert merchant.numbers_of(shirt) == Numbers(total=3, available=3, allocated=0)


def test_the_first_part_of_a_split_payment_reserves_for_all_of_them(merchant, ada):
    """Split payments: the first transaction allocates, and the later ones find it done."""
    shirt = merchant.offers("Shirt", stock=5)
    order = ada.orders(shirt, 3)

    ada.pays(order, 1000)

    assert merchant.numbers_of(shirt) == Numbers(total=5, available=2, allocated=3)
    assert merchant.order(order)["payment"] == "partially_paid"
    ada.pays(order, 1500)
    ada.pays(order)
    assert merchant.order(order)["payment"] == "paid"
    assert merchant.log_of(shirt) == [("increment", 5), ("allocate", 3)]


def test_a_first_part_that_fails_leaves_nothing_reserved(merchant, ada, card):
    """If that first transaction fails, the stock is deallocated."""
    shirt = merchant.offers("Shirt", stock=5)
    order = ada.orders(shirt, 3)
    card.on_charge = declines

    ada.pays(order, 1000)

    assert merchant.numbers_of(shirt) == Numbers(total=5, available=5, allocated=0)


def test_a_later_part_that_fails_leaves_the_reservation(merchant, ada, card):
    """A later transaction is not what holds the stock, so its failure does not let go of it."""
    shirt = merchant.offers("Shirt", stock=5)
    order = ada.orders(shirt, 3)
    ada.pays(order, 1000)
    card.on_charge = declines

    assert ada.pays(order, 2000).status_code == 402

    assert merchant.numbers_of(shirt) == Numbers(total=5, available=2, allocated=3)


def test_cancelling_a_partly_paid_order_gives_everything_back(merchant, ada):
    """When the order is cancelled its stock returns to available, once, however it was paid."""
    shirt = merchant.offers("Shirt", stock=5)
    order = ada.orders(shirt, 3)
    ada.pays(order, 1000)
    ada.pays(order, 500)

    merchant.cancels(order)

    assert merchant.log_of(shirt) == [("increment", 5), ("allocate", 3), ("deallocate", 3)]
    assert merchant.numbers_of(shirt) == Numbers(total=5, available=5, allocated=0)


def test_one_cart_may_hold_more_than_there_is(merchant, ada):
    """Of 100, sixty and then fifty fit into one cart: each request alone is compared."""
    shirt = merchant.offers("Shirt", stock=100)

    assert ada.adds(shirt, 60).status_code == 201
    answer = ada.adds(shirt, 50)

    assert answer.status_code == 201
    assert [line["quantity"] for line in answer.json()["data"]] == [110]


def test_several_carts_may_hold_more_than_there_is(merchant, ada, bob):
    """Of 100, one buyer may have eighty in the cart while another has thirty."""
    shirt = merchant.offers("Shirt", stock=100)

    assert ada.adds(shirt, 80).status_code == 201
    assert bob.adds(shirt, 30).status_code == 201


def test_unpaid_orders_may_want_more_than_there_is(merchant, ada, bob):
    """More may be checked out than there is in stock."""
    shirt = merchant.offers("Shirt", stock=100)

    ada.orders(shirt, 80)
    bob.orders(shirt, 30)

    assert merchant.numbers_of(shirt) == Numbers(total=100, available=100, allocated=0)


def test_never_is_more_paid_for_than_there_is(merchant, ada, bob):
    """It is not possible to pay for more than there is in stock."""
    shirt = merchant.offers("Shirt", stock=100)
    of_ada, of_bob = ada.orders(shirt, 80), bob.orders(shirt, 30)

    assert ada.pays(of_ada).status_code == 200
    assert bob.pays(of_bob).status_code == 400

    assert merchant.numbers_of(shirt) == Numbers(total=100, available=20, allocated=80)


@pytest.mark.django_db(transaction=True)
def test_paying_is_a_race(merchant, card):
    """Buyers race to pay; whoever does not pay fast enough is disappointed, and pays nothing."""
    shirt = merchant.offers("Shirt", stock=3)
    buyers = [Buyer() for _ in range(8)]
    races = [(buyer, buyer.orders(shirt, 1)) for buyer in buyers]

    answers = run_together(*(lambda race=race: race[0].pays(race[1]) for race in races))

    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] * 3 + [400] * 5
    assert len(card.charged) == 3
    assert merchant.numbers_of(shirt) == Numbers(total=3, available=0, allocated=3)


def test_without_manage_stock_nobody_checks(merchant, ada):
    """The checks are for products whose stock is managed; of the others there is always enough."""
    voucher = merchant.offers("Voucher", stock=0, manage_stock=False)

    order = ada.buys(voucher, 1000)

    assert merchant.ships(order).status_code == 200
    assert merchant.api.get(f"/v2/inventories/{voucher}").status_code == 404
