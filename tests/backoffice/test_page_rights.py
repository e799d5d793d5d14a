"""Which role sees which pages and sends their forms, said of pages and roles alone.

`backoffice/roles.py` says of each permission who has it, and tests/test_admin_pages.py of each page
which one it takes and asks for all of them as each role. This is the same from the other end, as a
merchant would put it; a page that a wrong permission opens shows here.
"""

import re

import pytest

from backoffice.roles import MAY, ORDER_MANAGER, OWNER, STOCK_CLERK, VIEWER
from tests.test_admin_pages import ANYBODY, ASIDE, Page, needs, patterns

LETTERS = {VIEWER: "v", STOCK_CLERK: "c", ORDER_MANAGER: "m", OWNER: "o"}
ALL, CLERKS, SELLERS, OWNERS, NOBODY = "vcmo", "co", "mo", "o", ""

# Of each group of pages, who sees them and who sends their form. The first row that fits counts.
# fmt: off
TABLE = {
    # What is one's own, and finds the rest.
    "index|search|jsi18n|view_on_site|password_change.*":                       (ALL, NOBODY),

    # The secrets of programs, people, roles, and who changed what.
    "api_apiclient_(rotate|revoke|restore|add)":                                (OWNERS, OWNERS),
    "auth_user_(add|password_change|let_in)|auth_group_add":                    (OWNERS, OWNERS),
    "(api_apiclient|auth_user|auth_group)_change":                              (ALL, OWNERS),
    "api_change_(changelist|change|history)":                                   (OWNERS, NOBODY),

    # How the store is set up.
    "(api_storesettings|payments_gateway|inventory_location)_change":           (ALL, OWNERS),
    "inventory_currency_add":                                                   (OWNERS, OWNERS),
    "inventory_currency_change":                                                (ALL, OWNERS),

    # Goods. What they cost is for those who buy them.
    "inventory_stock_value.*":                                                  (CLERKS, NOBODY),
    "inventory_(product|parent|category|delivery|picture)_(add|delete)":        (CLERKS, CLERKS),
    "inventory_(product|parent|category|delivery)_change":                      (ALL, CLERKS),
    "inventory_category_changelist":                                            (ALL, CLERKS),
    "inventory_product_(inventory|prices|pictures)":                            (ALL, CLERKS),
    "inventory_(product|picture)_(many_.*|restore|stop_managing|stock_sheet|delete_unused)":
                                                                                (CLERKS, CLERKS),
    "inventory_parent_(rename|add_value|put_in|take_out)":                      (CLERKS, CLERKS),
    "inventory_(delivery_goods|stocktake_counting)":                            (ALL, CLERKS),
    "inventory_delivery_(line|book|undo)":                                      (CLERKS, CLERKS),
    "inventory_stocktake_change":                                               (ALL, CLERKS),
    "inventory_stocktake_(add|line|close|discard|reopen)":                      (CLERKS, CLERKS),
    "inventory_sheet_(add|columns|apply|revert|discard|change_columns|again)":  (CLERKS, CLERKS),
    "inventory_(labels.*|sheet_(refused|progress))":                            (ALL, NOBODY),
    "inventory_product_(archived.*|inventory_.*|stock_history.*|export.*)":     (ALL, NOBODY),

    # Orders and money. Customers leave the house in files of those who sell.
    "orders_order_settle_by_hand":                                              (OWNERS, OWNERS),
    "orders_order_export.*":                                                    (SELLERS, NOBODY),
    "orders_order_(views?)|orders_auditresult_compare_now":                     (ALL, ALL),
    "orders_order_print":                                                       (ALL, NOBODY),
    "orders_order_(change|of_customer)":                                        (ALL, SELLERS),
    "orders_order_(?!changelist|history|delete).*":                             (SELLERS, SELLERS),
    "orders_cart_(desk|check_out|discard)":                                     (SELLERS, SELLERS),
    "figures.*":                                                                (ALL, NOBODY),

    # What others were told.
    "events_(event|delivery)_change":                                           (ALL, NOBODY),
    "events_integration_change":                                                (ALL, OWNERS),
    "events_integration_(add|delete|test|send_since|renew|enable|disable)":     (OWNERS, OWNERS),
    "events_delivery_resend":                                                   (OWNERS, OWNERS),

    # What is told by mail.
    "events_mail_change":                                                       (ALL, NOBODY),
    "events_mail_send_again":                                                   (SELLERS, SELLERS),
    "events_(mailsettings_change|mailtext_(change|preview))":                   (ALL, OWNERS),
    "events_(mailsettings_send_test|mailtext_take_ours)":                       (OWNERS, OWNERS),

    # What is listed, and what was done with it, is for all who work here; the rest for nobody.
    ".*_(changelist|history)":                                                  (ALL, NOBODY),
    "(orders_cart|payments_gatewayevent|inventory_(picture|stocktransaction|sheet))_change":
                                                                                (ALL, NOBODY),
    ".*_(add|delete)":                                                          (NOBODY, NOBODY),
}
# fmt: on


def pages() -> list[Page]:
    names = {str(pattern.name) for _, pattern in patterns() if pattern.name}
    return [needs(name) for name in sorted(names - ASIDE - {"app_list"})]


def letters(permission: str | None) -> str:
    if permission is None:
        return NOBODY
    return "".join(
        letter
        for role, letter in LETTERS.items()
        if permission == ANYBODY or role in MAY[permission]
    )


def row(page: Page) -> str:
    return next((row for row in TABLE if re.fullmatch(row, page.name)), "")


@pytest.mark.parametrize("asked", pages(), ids=lambda page: page.name)
def test_a_page_is_for_the_roles_that_it_was_made_for(asked):
    assert row(asked), f"say in TABLE whom {asked.name} is for"
    assert (letters(asked.sees), letters(asked.sends)) == TABLE[row(asked)]


def test_every_row_is_about_a_page():
    assert {row(page) for page in pages()} == TABLE.keys()
