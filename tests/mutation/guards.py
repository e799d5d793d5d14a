"""The guards, each with how it is taken away and which tests ought to notice."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.database_catalog import Constraint
from tests.mutation import found
from tests.mutation.found import Found, Replacement


@dataclass(frozen=True)
class Statement:
    """What is said to the database, after it is migrated."""

    sql: str


@dataclass(frozen=True)
class Guard:
    kind: str
    name: str
    change: Replacement | Statement
    # Files, or tests in them, and options such as `-k`: as pytest takes them.
    tests: Sequence[str]

    @property
    def is_run(self) -> bool:
        """Tell whether it takes the changed source to run, and not only to read it."""
        return isinstance(self.change, Replacement) and list(self.tests) != CLAIMS

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"


@dataclass(frozen=True)
class Catalog:
    """What the database enforces, as tests.database_catalog has found it."""

    constraints: Mapping[str, Constraint]
    triggers: Mapping[str, str]
    # The permissions that not every role has.
    permissions: Sequence[str]


# They read the source.
CLAIMS = ["tests/api/test_claims.py"]
LOCKS = ["tests/test_locks.py"]
MEETINGS = ["tests/test_interleavings.py"]
# Whoever has no role opens no page, and a viewer changes nothing: the first failure is enough.
PAGES = [
    "tests/test_admin_pages.py::test_a_page_opens_for_those_who_may_see_it[None]",
    "tests/test_admin_pages.py::test_nothing_is_changed_by_those_who_may_not[viewer]",
    "--maxfail=1",
]


def all_guards(catalog: Catalog) -> list[Guard]:
    return [
        *(Guard("rule", name, change, tests) for name, change, tests in RULES),
        *_found("row lock", found.locks(), LOCKS),
        *_found("strength of a lock", found.strengths(), LOCKS),
        *_found("order of locks", found.orders_of_locks(), LOCKS),
        *_found("idempotency key", found.claims(), CLAIMS),
        *_constraints(catalog),
        *_triggers(catalog),
        *_found("deploy check", found.deploy_checks(), ["tests/api/test_checks.py",
                                                        "tests/demo/test_checks.py"]),
        *_found("view of the API", found.views(), ["tests/test_permissions.py"]),
        *_permissions(catalog),
        *_found("refusal of a page", found.refusals_of_pages(), PAGES),
        *_found("right on a page", found.rights_of_pages(), PAGES),
    ]  # fmt: skip


def _found(kind: str, places: Iterator[Found], tests: Sequence[str]) -> Iterator[Guard]:
    """Name each place; the second one in a function, and so on, by its number."""
    seen: dict[str, int] = {}
    for place in places:
        seen[place.where] = seen.get(place.where, 0) + 1
        number = f" ({seen[place.where]})" if seen[place.where] > 1 else ""
        name = f"{place.where}{number}"
        if name in DOUBLED:
            continue
        own = _own_tests(place.change.path) if tests is PAGES else []
        yield Guard(kind, name, place.change, INSTEAD.get(name, [*tests, *own]))


def _own_tests(path: str) -> list[str]:
    """Find the tests that bear a module's name, which are asked if no others notice."""
    module = Path("tests", path)
    tests = module.with_name(f"test_{module.name}")
    return [str(tests)] if (found.PROJECT / tests).exists() else []


def _constraints(catalog: Catalog) -> Iterator[Guard]:
    for name, constraint in catalog.constraints.items():
        tests = ["tests/test_database_refuses.py", "-k", name]
        yield Guard(
            constraint.kind, f"{constraint.table}.{name}", Statement(constraint.drop), tests
        )


def _triggers(catalog: Catalog) -> Iterator[Guard]:
    for name, drop in catalog.triggers.items():
        yield Guard("trigger", name, Statement(drop), TRIGGER_TESTS)


NUMBERING = ["tests/events/test_sequencing.py", "--maxfail=1"]
TOLD = ["tests/inventory/test_telling.py", "--maxfail=1"]
TRIGGER_TESTS = [
    "tests/events/test_triggers.py",
    "tests/inventory/test_database_net.py",
    "tests/orders/test_orders.py",
    "tests/api/test_changes.py",
    "tests/test_kept.py",
]


def _permissions(catalog: Catalog) -> Iterator[Guard]:
    """Each permission that not every role has: here all have it."""
    for name in catalog.permissions:
        app, codename = name.split(".")
        sql = f"""
        INSERT INTO auth_group_permissions (group_id, permission_id)
        SELECT role.id, permission.id FROM auth_group AS role, auth_permission AS permission
        JOIN django_content_type AS content ON content.id = permission.content_type_id
        WHERE permission.codename = '{codename}' AND content.app_label = '{app}'
        ON CONFLICT DO NOTHING
        """
        yield Guard("permission", name, Statement(sql), ["tests/backoffice/test_roles.py"])


def _line(path: str, old: str, new: str = "") -> Replacement:
    return Replacement(path, old, new)


# What no syntax tells: name, change, tests.
RULES: list[tuple[str, Replacement, Sequence[str]]] = [
    # Locks that are asked for in SQL.
    (
        "the order's lock",
        _line("orders/models.py", '"WHERE id = %s FOR NO KEY UPDATE", [order_id]',
              '"WHERE id = %s", [order_id]'),
        MEETINGS,
    ),
    (
        "the cart's lock",
        _line("orders/models.py", "AND expires_at > %s FOR NO KEY UPDATE", "AND expires_at > %s"),
        [*LOCKS, "tests/orders/test_races.py"],
    ),
    (
        "the stock's lock",
        _line("inventory/models.py", " ORDER BY id FOR NO KEY UPDATE", " ORDER BY id"),
        MEETINGS,
    ),
    (
        "the order of stocks' locks",
        _line("inventory/models.py", " ORDER BY id FOR NO KEY UPDATE", " FOR NO KEY UPDATE"),
        [*LOCKS, "tests/inventory/test_models.py"],
    ),
    (
        "the order of carts' locks",
        _line("orders/models.py", 'self.filter(pk__in=cart_ids).order_by("pk")',
              "self.filter(pk__in=cart_ids)"),
        LOCKS,
    ),
    (
        "the order of products' locks",
        _line("inventory/services/product_rows.py",
              'locked.filter(pk__in=product_ids).order_by("pk")',
              "locked.filter(pk__in=product_ids)"),
        LOCKS,
    ),
    (
        "the strength of the order's lock",
        _line("orders/models.py", '"WHERE id = %s FOR NO KEY UPDATE", [order_id]',
              '"WHERE id = %s FOR UPDATE", [order_id]'),
        LOCKS,
    ),
    (
        "the strength of the cart's lock",
        _line("orders/models.py", "expires_at > %s FOR NO KEY UPDATE",
              "expires_at > %s FOR UPDATE"),
        LOCKS,
    ),
    (
        "the strength of the stock's lock",
        _line("inventory/models.py", " ORDER BY id FOR NO KEY UPDATE", " ORDER BY id FOR UPDATE"),
        LOCKS,
    ),
    (
        "orders from one place take turns",
        _line("orders/models.py", '_TAKE_TURNS = "SELECT pg_advisory_xact_lock(%s)"',
              '_TAKE_TURNS = "SELECT %s::bigint"'),
        ["tests/orders/test_races.py", "-k", "t39"],
    ),
    (
        "the tree's lock",
        _line("inventory/models.py", 'cursor.execute(f"SELECT {lock}(%s)", [_TREE])', "lock"),
        [*LOCKS, "tests/inventory/test_category_races.py"],
    ),
    (
        "the tree's lock keeps out those who only put products into it",
        _line("inventory/models.py", 'if shared else "pg_advisory_xact_lock"',
              'if shared else "pg_advisory_xact_lock_shared"'),
        [*LOCKS, "tests/inventory/test_category_races.py"],
    ),
    (
        "two who add up days take turns",
        _line("backoffice/figures/days.py",
              "\"SELECT pg_advisory_xact_lock(hashtext('backoffice_addedup'))\"", '"SELECT 1"'),
        ["tests/backoffice/figures/test_days.py"],
    ),
    (
        "who purges skips what others hold",
        _line("api/limits.py", "LIMIT %s FOR UPDATE SKIP LOCKED", "LIMIT %s"),
        ["tests/api/test_limits.py", *LOCKS],
    ),
    (
        "who purges jobs skips what others hold",
        _line("api/finished_jobs.py", "LIMIT %s FOR UPDATE SKIP LOCKED", "LIMIT %s"),
        ["tests/api/test_finished_jobs.py", *LOCKS],
    ),
    # Writing stock.
    (
        "a row is written only as it was read",
        _line("inventory/services/writing.py", " AND stock.sequence = new.read_at_sequence"),
        ["tests/inventory/test_writing.py", *MEETINGS],
    ),
    (
        "whoever writes fewer rows than entries is told",
        _line("inventory/services/writing.py", "raise RowMoved", "pass"),
        ["tests/inventory/test_writing.py", *MEETINGS],
    ),
    (
        "no more is taken than is available",
        _line("inventory/models.py", "if available < 0:", "if False:"),
        ["tests/inventory/test_models.py", *MEETINGS],
    ),
    (
        "no more is let go by hand than is held",
        _line("inventory/models.py", "if held < 0:", "if False:"),
        ["tests/inventory/test_models.py", "tests/inventory/test_stock.py"],
    ),
    (
        "orders give no more back than they hold",
        _line("inventory/models.py", "if allocated < held:", "if False:"),
        ["tests/inventory/test_models.py", "tests/inventory/test_stock.py"],
    ),
    (
        "no row holds more units than can be told",
        _line("inventory/models.py", "if available + allocated > UNITS_MAX:", "if False:"),
        ["tests/inventory/test_models.py", "tests/inventory/test_stock.py"],
    ),
    (
        "stock that is not managed moves for nobody",
        _line("inventory/models.py", "if not self.managed:", "if False:"),
        ["tests/inventory/test_stock.py", "tests/inventory/test_stock_counts.py"],
    ),
    (
        "what stopped being managed is looked at again",
        _line("inventory/services/stock.py",
              "if len(stocks) < len(quantities) or not all(stock.managed for stock in stocks):",
              "if False:"),
        MEETINGS,
    ),
    (
        "what somebody saw is compared",
        _line("api/errors.py", "        raise Moved\n", "        pass\n"),
        ["tests/api/test_errors.py", "tests/backoffice/test_two_at_once.py"],
    ),
    # Transactions.
    (
        "no transaction in another one",
        _line("api/transactions.py", "transaction.atomic(durable=True)", "transaction.atomic()"),
        ["tests/api/test_transactions.py"],
    ),
    (
        "what collided is tried again",
        _line("api/transactions.py", "if not _may_try_again(error):", "if True:"),
        ["tests/api/test_transactions.py"],
    ),
    (
        "what was lost at COMMIT is not tried again",
        _line("api/transactions.py", "if not _may_try_again(error):", "if False:"),
        ["tests/api/test_transactions.py"],
    ),
    (
        "no gateway is asked in a transaction",
        _line("payments/services/gateway_calls.py", "    assert_no_transaction()\n", ""),
        ["tests/payments/test_payments.py", "tests/payments/test_gateways.py"],
    ),
    # Keys.
    (
        "a key is taken once",
        _line("api/idempotency.py", "    if not claimed:\n        raise Answered(_record_of(key))",
              ""),
        ["tests/payments/test_keys.py", "tests/api/test_idempotency.py"],
    ),
    (
        "a key that is being used is refused",
        _line("api/idempotency.py", "    if not free:\n        raise KeyInUse", ""),
        ["tests/api/test_idempotency.py", "tests/payments/test_keys.py"],
    ),
    (
        "a key is for one body",
        _line("api/idempotency.py", "if record.fingerprint != key.fingerprint:", "if False:"),
        ["tests/api/test_idempotency.py", "tests/payments/test_keys.py"],
    ),
    (
        "a key belongs to its caller and to what they asked",
        _line("api/idempotency.py", "self.key, *self.within]", "self.key]"),
        ["tests/api/test_idempotency.py", "tests/test_another_shopper.py"],
    ),
    # Carts and orders.
    (
        "what is put into a cart is there",
        _line("orders/services/offers.py",
              "if self.available is not None and quantity > self.available:", "if False:"),
        ["tests/orders/test_cart_lines.py", "tests/orders/test_orders.py"],
    ),
    (
        "what is checked out is there",
        _line("orders/services/orders.py", "products[product_id].require_enough(quantity)",
              "products[product_id]"),
        ["tests/orders/test_orders.py"],
    ),
    (
        "what is checked out is for sale",
        _line("orders/services/orders.py", "if not offer.is_for_sale:", "if False:"),
        ["tests/orders/test_orders.py"],
    ),
    (
        "a total that changed is refused",
        _line("orders/services/orders.py",
              "if expected_total is not None and expected_total != total:", "if False:"),
        ["tests/orders/test_orders.py"],
    ),
    (
        "what is paid is for sale",
        _line("orders/services/orders.py", "        if not line.is_live:", "        if False:"),
        ["tests/orders/test_orders.py", "tests/payments/test_payments.py"],
    ),
    (
        "what is paid is there",
        _line("orders/services/orders.py",
              "            inventory.allocate(quantities, order_id=order.pk, actor=actor)",
              "            pass"),
        MEETINGS,
    ),
    (
        "what a line holds is on record (released)",
        _line("orders/services/orders.py",
              "OrderItem.objects.filter(order=order).update(allocated=0, stocked=False)",
              "OrderItem.objects.filter(order=order)"),
        MEETINGS,
    ),
    (
        "what a line holds is on record (given back by that)",
        _line("orders/services/orders.py", 'filter(order=order, allocated__gt=0)',
              "filter(order=order, product__isnull=False)"),
        ["tests/orders/test_orders.py", "tests/inventory/test_races.py", "-k", "f29 or orders"],
    ),
    (
        "no order is cancelled while it is paid",
        _line("orders/models.py",
              'Cancel the rest instead.")\n        if self.attempts_open:',
              'Cancel the rest instead.")\n        if False:'),
        MEETINGS,
    ),
    (
        "no order is cancelled twice, nor after it was shipped",
        _line("orders/models.py",
              '    def require_cancellable(self) -> None:\n'
              '        """Raises: OrderNotCancellable, PaymentUnderWay."""\n'
              "        if self.is_cancelled or self.is_shipped:",
              '    def require_cancellable(self) -> None:\n'
              '        """Raises: OrderNotCancellable, PaymentUnderWay."""\n'
              "        if False:"),
        MEETINGS,
    ),
    (
        "no order of which a part is shipped is cancelled as a whole",
        _line("orders/models.py", "        if self.is_partly_shipped:\n            raise OrderNot",
              "        if False:\n            raise OrderNot"),
        ["tests/orders/test_models.py", "tests/orders/test_shipments.py",
         "tests/orders/test_cancelling.py"],
    ),
    (
        "no order is shipped that is cancelled or shipped",
        _line("orders/models.py",
              '        """Raises: OrderNotShippable, PaymentUnderWay."""\n'
              "        if self.is_cancelled or self.is_shipped:",
              '        """Raises: OrderNotShippable, PaymentUnderWay."""\n        if False:'),
        MEETINGS,
    ),
    (
        "no order is shipped while money is under way",
        _line("orders/models.py", "if self.attempts_open or self.refunds_open:", "if False:"),
        ["tests/orders/test_models.py", "tests/orders/test_shipments.py",
         "tests/payments/test_refunds.py", "tests/payments/test_authorizing.py"],
    ),
    (
        "only what is paid is shipped",
        _line("orders/models.py", "if self.payment != self.Payment.PAID:", "if False:"),
        ["tests/orders/test_models.py", "tests/orders/test_shipments.py"],
    ),
    (
        "no more is shipped or cancelled of a line than is left",
        _line("orders/services/units.py", "if quantity > item.left:", "if False:"),
        ["tests/orders/test_part_races.py", "tests/orders/test_shipments.py"],
    ),
    (
        "no shipment is undone twice",
        _line("orders/models.py", "        if self.undone_at:\n            raise ShipNot",
              "        if False:\n            raise ShipNot"),
        ["tests/orders/test_shipments.py", "tests/orders/test_races.py", "-k", "undo"],
    ),
    (
        "units that were counted since come back only by a word",
        _line("inventory/services/stock.py",
              "if shipment.counted_at and whereabouts is None:", "if False:"),
        MEETINGS,
    ),
    # Money.
    (
        "no more is paid than is owed",
        _line("payments/services/payments.py", "if amount > order.payable or (amount",
              "if (amount"),
        MEETINGS,
    ),
    (
        "what is pending is not paid again",
        _line("payments/services/payments.py",
              "if not order.payable and order.attempts_open:", "if False:"),
        MEETINGS,
    ),
    (
        "nobody pays what is paid or cancelled",
        _line("payments/services/payments.py",
              "if order.is_cancelled or order.fully_paid_at or (order.total and not "
              "order.balance_owing):", "if False:"),
        MEETINGS,
    ),
    (
        "no more goes back than came",
        _line("payments/services/payments.py",
              "if not may_go_back or not 0 < amount <= payment.refundable_amount:",
              "if not may_go_back:"),
        MEETINGS,
    ),
    (
        "one capture or void at a time (capture)",
        _line("payments/services/payments.py",
              "if not capturable or has_open_attempt(payment):", "if not capturable:"),
        ["tests/payments/test_races.py", "-k", "f09"],
    ),
    (
        "one capture or void at a time (void)",
        _line("payments/services/payments.py",
              "if not payment.authorized_amount or has_open_attempt(payment):",
              "if not payment.authorized_amount:"),
        ["tests/payments/test_authorizing.py", "tests/payments/test_races.py", "-k",
         "f09 or void"],
    ),
    (
        "an order that was paid meanwhile does not expire",
        _line("payments/services/payments.py",
              "if while_payment and order.payment != while_payment:", "if False:"),
        MEETINGS,
    ),
    (
        "late money that the order cannot take goes back",
        _line("payments/services/settling.py",
              "if order.is_cancelled or order.fully_paid_at or payment.amount > order.payable:",
              "if False:"),
        MEETINGS,
    ),
    (
        "an answer is written down once",
        _line("payments/services/settling.py",
              "transition = TRANSITIONS.get((state_of(payment), answer.outcome))\n"
              "    if transition is not None:\n"
              "        transition(order, payment, answer, actor)",
              "transition = TRANSITIONS.get((State.PENDING, answer.outcome))\n"
              "    if transition is not None:\n"
              "        transition(order, payment, answer, actor)"),
        MEETINGS,
    ),
    (
        "a refund that is under way settles by itself",
        _line("payments/services/settling.py",
              "    if attempt and attempt.is_pending:\n        return\n", ""),
        MEETINGS,
    ),
    (
        "nobody asks about what somebody waits for",
        _line("payments/services/recovery.py", "raise StillUnderWay", "pass"),
        MEETINGS,
    ),
    (
        "recovery leaves alone what somebody waits for",
        _line("payments/services/recovery.py", " & ~Q(charging_until__gt=clock.now())", ""),
        ["tests/payments/test_recovery.py"],
    ),
    (
        "recovery leaves alone what a worker will charge",
        _line("payments/services/recovery.py", "filter(these, _not_queued())", "filter(these)"),
        ["tests/payments/test_recovery.py"],
    ),
    (
        "recovery settles under the order's lock",
        _line("payments/services/bookkeeping.py", "    order = Order.objects.lock(order_id)\n",
              "    order = Order.objects.get(pk=order_id)\n"),
        MEETINGS,
    ),
    (
        "what was settled meanwhile is not charged",
        _line("payments/services/payments.py",
              "        if not payment.is_pending:\n            return payment\n    return settle",
              "    return settle"),
        ["tests/payments/test_stripe.py", "-k", "settled_meanwhile"],
    ),
    (
        "a queued payment is taken up once",
        _line("payments/services/payments.py",
              "if not payment.is_pending or payment.queued_until is None:", "if False:"),
        ["tests/payments/test_payments.py", "tests/payments/test_recovery.py"],
    ),
    (
        "a payment that waits for its buyer has a deadline",
        _line("payments/services/gateway_calls.py",
              "and clock.now() > deadline", "and False"),
        ["tests/payments/test_recovery.py"],
    ),
    (
        "shoppers do not say that they have paid by hand",
        _line("payments/services/payments.py",
              "if not settings.MANUAL_GATEWAY_FOR_SHOPPERS:", "if False:"),
        ["tests/payments/test_views.py"],
    ),
    (
        "only so many payments of an order are tried",
        _line("payments/services/payments.py", "if order.updated_at > order.created_at and ",
              "if False and "),
        ["tests/payments/test_payments.py", "tests/payments/test_views.py"],
    ),
    (
        "a disabled gateway charges nothing",
        _line("payments/services/installation.py", "if not is_enabled:", "if False:"),
        ["tests/payments/test_payments.py"],
    ),
    (
        "a copy of the shop takes no payments",
        _line("payments/services/installation.py",
              "if slug not in gateways.ASKING_NOBODY:\n        _require_open(Remembered(*row))",
              "if False:\n        _require_open(Remembered(*row))"),
        ["tests/payments/test_installation.py"],
    ),
    (
        "a copy of the shop asks no gateway, whoever would",
        _line("payments/services/gateway_calls.py", "if why := installation.why_closed():",
              'if why := "":'),
        ["tests/payments/test_installation.py"],
    ),
    (
        "a copy of the shop cancels nobody's order",
        _line("payments/services/recovery.py",
              'does not know of.\n    """\n    if installation.are_closed():',
              'does not know of.\n    """\n    if False:'),
        ["tests/payments/test_installation.py"],
    ),
    # Callers, and what they may ask of lists.
    (
        "a token is of a known client and in force",
        _line("api/authentication.py", "return tokens.read(bearer_token(request)), None",
              'return tokens.Caller(client_id="any", shopper=""), None'),
        ["tests/test_permissions.py"],
    ),
    (
        "administrators alone (Administrator)",
        _line("api/authentication.py",
              "        return caller_of(request).is_administrator\n\n\nclass",
              "        return True\n\n\nclass"),
        ["tests/test_permissions.py"],
    ),
    (
        "shoppers only read (ShoppersMayRead)",
        _line("api/authentication.py", 'return request.method in {"GET", "HEAD"} or caller_of('
              "request).is_administrator", "return True"),
        ["tests/test_permissions.py"],
    ),
    (
        "shoppers do not filter by how many are left",
        _line("inventory/views.py",
              "filters = ProductFilters if knows_levels else PublicProductFilters",
              "filters = ProductFilters"),
        ["tests/test_another_shopper.py", "tests/inventory/test_filters.py"],
    ),
    (
        "whoever knows a cart does not filter its orders by people",
        _line("payments/views.py", "BuyersOrderFilters)\n        return paginated",
              "OrderFilters)\n        return paginated"),
        ["tests/test_another_shopper.py", "tests/payments/test_views.py"],
    ),
    (
        "a list is filtered by what it declares (field)",
        _line("api/filtering.py", "    if takes is None:", "    if False:"),
        ["tests/api/test_filtering.py"],
    ),
    (
        "a list is filtered by what it declares (operator)",
        _line("api/filtering.py", "if term.operator not in takes.operators:", "if False:"),
        ["tests/api/test_filtering.py"],
    ),
    (
        "a list is sorted by what it declares",
        _line("api/filtering.py", "if not filters.sorts.keys() >= set(fields):", "if False:"),
        ["tests/api/test_filtering.py"],
    ),
    (
        "a filter is only so long",
        _line("api/filtering.py", "if size > BYTES_MAX or len(terms) + len(plain) > TERMS_MAX:",
              "if False:"),
        ["tests/api/test_filtering.py"],
    ),
    # What is told, once and in order.
    (
        "one sends a mail at a time",
        _line("events/services/posting.py", "LIMIT 1 FOR UPDATE SKIP LOCKED", "LIMIT 1"),
        ["tests/events/test_posting.py", "--maxfail=1"],
    ),
    (
        "one tells an integration at a time",
        _line("events/services/turns.py", " FOR NO KEY UPDATE OF free SKIP LOCKED", ""),
        ["tests/events/test_turns.py", "--maxfail=1"],
    ),
    (
        "one numbers at a time",
        _line("events/services/sequencing.py", "SELECT pg_try_advisory_xact_lock(%s), ",
              "SELECT %s::bigint IS NOT NULL, "),
        NUMBERING,
    ),
    (
        "a transaction is told whole",
        _line("events/services/sequencing.py", "AND xid = ANY(%s::xid8[]) ORDER BY ordinal",
              "AND xid = ANY(%s::xid8[]) AND false"),
        NUMBERING,
    ),
    (
        "what is not committed is not passed over",
        _line("events/services/sequencing.py", "bool(oldest >= self._next[1])", "True"),
        NUMBERING,
    ),
    (
        "what waits is not passed over",
        _line("events/services/sequencing.py", "min(highest, rows[0].ordinal - 1) if rows else ",
              ""),
        NUMBERING,
    ),
    (
        "a log is told from where it was told to",
        _line("events/services/sequencing.py", "until.get(each.stock, 0) + 1", "each.first"),
        NUMBERING,
    ),
    (
        "a new log is told from its first entry",
        _line("events/services/sequencing.py", "until.get(each.stock, 0) + 1",
              "until.get(each.stock, each.first - 1) + 1"),
        NUMBERING,
    ),
    (
        "what was made is not changed besides",
        _line("events/services/kinds.py", '{"updated"} if "created" in changes else set()',
              "set()"),
        NUMBERING,
    ),
    (
        "what was made and deleted was never there",
        _line("events/services/kinds.py", 'return [] if "created" in changes else ["deleted"]',
              'return ["deleted"]'),
        NUMBERING,
    ),
    (
        "the audit sees what waits to be told",
        _line("inventory/services/telling.py",
              "OR waiting.first <> coalesce(told.last, 0) + 1 OR NOT waiting.in_a_row", ""),
        TOLD,
    ),
    (
        "the audit sees that what waits follows one another",
        _line("inventory/services/telling.py", " OR NOT waiting.in_a_row", ""),
        TOLD,
    ),
    (
        "the audit sees logs that go on untold",
        _line("inventory/services/telling.py",
              "stock.sequence <> coalesce(waiting.last, told.last, 0)\n    OR ", ""),
        TOLD,
    ),
    (
        "the audit sees gaps in the feed",
        _line("inventory/services/telling.py", "WHERE number <> last - first + 1", "WHERE false"),
        TOLD,
    ),
    (
        "the audit sees entries out of order",
        _line("inventory/services/telling.py", "WHERE event.sequence <> event.before + 1",
              "WHERE false"),
        TOLD,
    ),
    (
        "the audit sees where the feed ends",
        _line("inventory/services/telling.py", "ELSE event.sequence <> told.last END",
              "ELSE false END"),
        TOLD,
    ),
]  # fmt: skip

# What notices, where it is not what notices others of its kind.
INSTEAD: Mapping[str, Sequence[str]] = {
    "backoffice.actions.RowActionAdmin.row_action_view": [
        "tests/backoffice/test_people.py", "-k", "superuser_in",
    ],
    "backoffice.logins.PublishedPasswords.authenticate": [
        "tests/demo/test_checks.py", "-k", "opens_no_door",
    ],
    "backoffice.sheets.admin.SheetAdmin._view_of.view": [
        "tests/backoffice/test_sheets.py", "-k", "sees_none",
    ],
    "backoffice.sheets.admin.SheetAdmin._view_of.view (2)": [
        "tests/backoffice/test_product_sheets.py", "--maxfail=1",
    ],
    "backoffice.urls.choices": ["tests/backoffice/test_lookups.py", "--maxfail=1"],
    # No button that is refused is offered.
    "backoffice.deliveries.admin.DeliveryAdmin.has_delete_permission": [
        "tests/test_admin_pages.py::test_a_page_opens_for_those_who_may_see_it[viewer]",
    ],
    # Every role may see orders; a role of the store's own need not.
    "backoffice.orders.admin.OrderAdmin.action_view (2)": [
        "tests/backoffice/orders/test_actions.py", "-k", "may_not_see",
    ],
}  # fmt: skip

# What another guard refuses as well, and why it is there: without it alone, nobody sees a change.
DOUBLED: Mapping[str, str] = {
    "backoffice.products.pictures_tab.PicturesTab._changed": (
        "A file of whoever may not upload is refused before it is read: backoffice.uploads."
    ),
    "backoffice.actions.RowActionAdmin.has_row_action_permission": (
        "Unfold wants to be told; the view behind it asks for the right to change this row."
    ),
    "backoffice.carts.CartItemInline.has_add_permission": (
        "The form would have a row more; the page of a cart, which nobody changes, takes none."
    ),
}
