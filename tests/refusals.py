"""Writes the list of refusals in docs/api.md from the classes themselves.

HOLDFAST_DEMO=1 .venv/bin/python -m tests.refusals
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from api.errors import Refusal

DOCUMENT = Path(__file__).parent.parent / "docs" / "api.md"
MARKER = "<!-- refusals -->"
AFTER = "<!-- end of refusals -->"

AGAIN = "Send the same call again after `Retry-After` seconds."
MISTAKE = "A mistake in the program: correct the call. `detail` says what is wrong."
SHOW_CART = "Read the cart again and show it."
SHOW_ORDER = "Read the order again and show its state."
GONE = "Stop showing it."
MERCHANT = "Show `detail` to the merchant."

# What a frontend should do. Where the API words a case anew each time, also what it means.
ADVICE: dict[str, str | tuple[str, str]] = {
    "amount_not_payable": (
        "The amount is not above zero, or is more than is owing.",
        "Leave `amount` out to pay all that is owing.",
    ),
    "amount_not_capturable": "Leave `amount` out to capture all that is authorized.",
    "bad_request": ("The call makes no sense as it stands.", MISTAKE),
    "cart_currency_differs": "Keep the carts apart.",
    "cart_empty": SHOW_CART,
    "cart_expires_too_late": MERCHANT,
    "cart_into_itself": MISTAKE,
    "currency_differs": "Leave `X-Moltin-Currency` out, or begin a new cart.",
    "filter_characters": MISTAKE,
    "filter_not_parsed": MISTAKE,
    "filter_not_supported": ("The list has no such filter.", MISTAKE),
    "filter_too_long": "Ask in several calls.",
    "filter_value_wrong": ("The field wants another sort of value.", MISTAKE),
    "insufficient_stock": "Say that there is not enough, find out [which line is short]"
    "(frontend.md#which-line-is-short), and let the shopper change the quantity.",
    "negative_amount": MISTAKE,
    "no_price": ("The product has no price in the cart's currency.", "Do not offer it there."),
    "not_for_sale": (
        "A line's product is no longer offered, or has lost its price, or the cart's currency is "
        "disabled. At a payment: it went off sale after checkout, and nothing was charged.",
        f"{SHOW_CART} `meta` names the product, which has to be removed, or the currency, for "
        "which a new cart is needed; an order with such a product cannot be paid any more, so "
        "check out again without it.",
    ),
    "position_refused": (
        "`page[after]` is no position of this list in this order.",
        "Begin the walk anew, without `page[after]`.",
    ),
    "sort_not_supported": ("The list cannot be sorted like that.", MISTAKE),
    "stock_exists": (
        "The product's stock is managed already, and has moved.",
        "Move it with a stock transaction.",
    ),
    "too_many_items": "Ask the shopper to check out first.",
    "bad_credentials": "Check the client's id and secret. Do not repeat the call by itself.",
    "bad_token": "Get a token, once, and send the call again.",
    "picture_too_large": ("It has too many bytes, or too many pixels.", "Send a smaller one."),
    "picture_unreadable": (
        "It is no whole picture, or of a kind that is not taken.",
        "Show `detail` to the merchant.",
    ),
    "pictures_busy": AGAIN,
    "pictures_unavailable": AGAIN,
    "payment_declined": "Nothing is lost: let the shopper choose another way to pay, and pay the "
    "same order again, with a new key.",
    "payment_returned": "Say that the money is on its way back. " + SHOW_ORDER,
    "forbidden": ("The token is good, and not for this.", "Do not repeat the call."),
    "manual_gateway_not_for_shoppers": "Offer another gateway.",
    "custom_items_not_allowed": "Add it from a server of your own, or have the store allow it "
    "(`custom_items_by_shoppers`).",
    "category_below_itself": MERCHANT,
    "category_has_children": ("Other categories are below this one.", MERCHANT),
    "category_name_wrong": ("The name is empty, too long, or holds a sign of paths.", MERCHANT),
    "category_not_found": GONE,
    "category_slug_taken": MERCHANT,
    "category_taken": MERCHANT,
    "category_too_full": MERCHANT,
    "too_many_categories": MERCHANT,
    "too_many_categories_of_product": MERCHANT,
    "too_many_levels": MERCHANT,
    "options_wrong": ("Options, values or patterns make no variants.", MERCHANT),
    "parent_in_use": MERCHANT,
    "parent_not_found": GONE,
    "variant_elsewhere": MERCHANT,
    "variant_taken": MERCHANT,
    "variants_not_possible": ("Some of the variants cannot be made, so none is.", MERCHANT),
    "custom_item_is_a_product": "Add the product, or leave `sku` out. At checkout `meta` names the "
    "line, which has to be removed.",
    "custom_item_currency_differs": "Price it in the cart's currency. A new cart has that of "
    "`X-Moltin-Currency`, or the store's own.",
    "cart_item_not_found": SHOW_CART,
    "currency_not_found": GONE,
    "file_not_found": GONE,
    "file_in_use": MERCHANT,
    "gateway_not_found": GONE,
    "cart_gone": SHOW_CART,
    "item_not_in_cart": SHOW_CART,
    "not_found": ("There is nothing at this address.", "Correct the address."),
    "order_item_not_found": "Read the order with its items again.",
    "shipment_not_found": GONE,
    "return_not_found": GONE,
    "units_not_left": (
        "Fewer units of an item are neither shipped nor cancelled.",
        "Read the order's items again. `source` names the item, `meta.left` what is left of it.",
    ),
    "ship_not_undoable": (
        "It was undone already, or units of it were taken back.",
        "Read the order's shipments and returns again.",
    ),
    "not_put_back": (
        "Fewer units are away, the item has no stock, or the line was inspected already.",
        "Read the order's items and returns again. `source` names the item.",
    ),
    "counted_since_shipped": (
        "A product of the shipment was counted since, and nobody says where its units were.",
        "Ask somebody, and send `whereabouts`: `shelf` if the count has them, `back` if they came "
        "back after it.",
    ),
    "found_by_count": (
        "A count since the shipment found more than there should be: perhaps these units.",
        "Count the product. Then undo with `whereabouts: shelf`, or take back as `discarded`.",
    ),
    "order_not_found": "Check the id; a shopper finds its orders through their cart.",
    "product_not_found": GONE,
    "promotion_not_found": "Say that the code is unknown.",
    "stock_not_found": "Treat the product as always in stock: its stock is not managed.",
    "stock_transaction_not_found": GONE,
    "transaction_not_found": GONE,
    "unsupported_media_type": (
        "The body is a form, a file or compressed.",
        "Send JSON as it is, with `Content-Type: application/json`; for a token, a form.",
    ),
    "cart_exists": "Use it, or leave the id out.",
    "conflict": (
        "Somebody else changed or deleted at that moment what this call is about.",
        AGAIN,
    ),
    "currency_gone": "Begin a new cart.",
    "currency_in_use": MERCHANT,
    "currency_taken": MERCHANT,
    "idempotency_key_in_use": AGAIN + " The key sees to it that it happens once.",
    "payment_pending": "Wait: read the order until its payment is settled. One that only waits for "
    "its buyer is given up by paying anew; then this says that the gateway did not answer.",
    "payment_under_way": AGAIN,
    "sku_taken": MERCHANT,
    "slug_taken": MERCHANT,
    "total_changed": "Show the cart with its new total, and let the shopper confirm it.",
    "currency_ambiguous": MERCHANT,
    "currency_is_default": MERCHANT,
    "currency_not_enabled": MERCHANT,
    "currency_unknown": "Offer the currencies of `GET /v2/currencies` only.",
    "gateway_not_enabled": "Offer another gateway.",
    "gateways_closed": "Say that nobody can pay just now; nothing was charged. The shop is being "
    "restored, and who runs it has to say when it goes on.",
    "gateway_not_configured": MERCHANT,
    "currency_not_chargeable": "Offer another gateway, or begin a new cart in another currency.",
    "payment_token_required": "Send what the gateway's own script made of the card as `payment`.",
    "gateway_refused": MERCHANT,
    "events_forgotten": "Read everything anew, as for a mirror that begins, and go on after the "
    "`meta.last_position` that a call of the feed told before that. `meta` tells the first and the "
    "last position that there are.",
    "feed_set_back": "Read everything anew, and go on after the `meta.last_position` that a call "
    "of the feed told before that: events that you know may not have happened any more, and others "
    "may have taken their positions.",
    "integration_not_found": GONE,
    "integration_job_not_found": GONE,
    "too_many_integrations": MERCHANT,
    "event_not_kept": MERCHANT,
    "result_gone": "Nothing, if it was deleted on purpose; else send the call with a new key.",
    "idempotency_key_reused": "Make a new key for each new thing to be done.",
    "not_supported": "Leave the field that `source` names out: it would have no effect here.",
    "unknown_field": (
        "A name that the call does not know, where to pass it over could cost money.",
        "A mistake in the program: correct the field that `source` names. Nothing was done.",
    ),
    "order_not_cancellable": (
        "It is shipped, or cancelled already. A part of it is shipped, and so only the rest can be "
        "cancelled; or none is, and then all of it is cancelled as a whole.",
        SHOW_ORDER,
    ),
    "order_not_changeable": SHOW_ORDER,
    "order_not_payable": SHOW_ORDER,
    "order_not_shippable": ("It is not paid, or shipped or cancelled already.", SHOW_ORDER),
    "too_much_written": "Let the shopper write less.",
    "location_unknown": "Leave `location` out, or name one that there is.",
    "quantity_too_large": "Let the shopper change the quantity.",
    "reorder_unsupported": "Add the products one by one.",
    "stock_too_low": "Read the stock again, show it, and let the merchant decide.",
    "too_many_currencies": MERCHANT,
    "too_many_units": MERCHANT,
    "total_too_large": "Let the shopper change the quantity.",
    "transaction_not_cancellable": SHOW_ORDER,
    "transaction_not_capturable": SHOW_ORDER,
    "transaction_not_refundable": SHOW_ORDER,
    "units_allocated": MERCHANT,
    "unsupported_gateway_operation": "Refund or cancel the order instead.",
    "too_many_requests": AGAIN,
    "too_many_payments": "Let the shopper check out again: a new order begins anew.",
    "too_many_unpaid_orders": "Pay one of the orders of `GET /v2/carts/{cart}/orders` instead of "
    "making another one.",
    "busy": AGAIN,
    "database_away": "Send the same call again after `Retry-After` seconds, with the same "
    "`Idempotency-Key`: what was done is not done again. Of one without a key nobody knows; read "
    "what became of it first.",
    "body_too_large": "Send less at once. A mistake in the program, if a shopper meets it.",
    "malformed": ("The body cannot be read as JSON.", MISTAKE),
    "method_not_allowed": ("This address does not take the method.", MISTAKE),
    "server_error": (
        "Something broke on the server, which has logged it.",
        "Apologize and show `request_id`. Repeat a call that changes something only with its "
        "`Idempotency-Key`.",
    ),
    "field_…": (
        "A field is missing or of the wrong type (400), or breaks a rule (422). There is one entry "
        "for each field; the rest of the code names the rule, such as `field_required`, "
        "`field_max_length` or `field_min_value`.",
        "Show `detail` beside the field that `source` names.",
    ),
}
# Never sent: the first two consist of entries with codes of their own, the next ones are met in the
# admin only, two are for gateways that send messages, and whatever media types a call names, it
# gets JSON.
UNSEEN = {
    "invalid",
    "several_refused",
    "client_id_taken",
    "beyond_own_rights",
    "nobody_left",
    "own_rights",
    "person_gone",
    "username_taken",
    "role_taken",
    "passwords_busy",
    "search_too_long",
    "storefront_has_no_secret",
    "cost_currency_unknown",
    "count_too_low",
    "counted_later",
    "away_then",
    "booked_anew",
    "counted_too_early",
    "lines_marked",
    "selection_refused",
    "columns_unclear",
    "sheet_forbidden",
    "sheet_not_ready",
    "sheet_unreadable",
    "pictures_moved",
    "too_many_pictures",
    "not_undoable",
    "code_ambiguous",
    "code_unknown",
    "many_units",
    "delivery_number_taken",
    "delivery_not_ready",
    "delivery_not_undoable",
    "delivery_too_long",
    "lines_not_bookable",
    "nothing_to_count",
    "stocktake_not_ready",
    "stocktake_too_long",
    "transaction_not_open",
    "transaction_under_way",
    "signature_refused",
    "no_message",
    "moved",
    "no_units",
    "stock_moved",
    "nothing_to_leave_be",
    "mail_not_sendable",
    "not_acceptable",
}


class Row(NamedTuple):
    status: int
    code: str
    title: str
    detail: str


def rows() -> list[Row]:
    """Return every refusal that a client can meet, by status and code."""
    # All the apps' modules are loaded with it.
    import config.urls  # noqa: F401
    from api.errors import _FOREIGN, INVALID, SERVER_ERROR, Refusal

    found = {
        Row(SERVER_ERROR.status, "server_error", SERVER_ERROR.title, ""),
        Row(INVALID.status, "field_…", "the rule, or Failed Validation", ""),
    }
    for kind, code in _FOREIGN.values():
        found.add(Row(kind.status, code, kind.title, _words_of(code, Refusal)))
    for refusal in _below(Refusal):
        if not refusal.__module__.startswith("tests") and hasattr(refusal, "code"):
            title = refusal.__new__(refusal).title
            found.add(Row(refusal.kind.status, refusal.code, title, refusal.detail))
    return sorted(row for row in found if row.code not in UNSEEN)


def _words_of(code: str, refusal: "type[Refusal]") -> str:
    """What DRF raises is answered like the class of our own that has the code, if there is one."""
    same = [known.detail for known in _below(refusal) if getattr(known, "code", "") == code]
    return same[0] if same else ""


def _below(refusal: "type[Refusal]") -> "Iterator[type[Refusal]]":
    for child in refusal.__subclasses__():
        yield child
        yield from _below(child)


def table() -> str:
    lines = ["| `code` | Status and title | What it means | What to do |", "|---|---|---|---|"]
    for row in rows():
        told = ADVICE[row.code]
        means, advice = (row.detail, told) if isinstance(told, str) else told
        lines.append(f"| `{row.code}` | {row.status} {row.title} | {means} | {advice} |")
    return "\n".join(lines)


def written() -> str:
    """Return the document as it should be."""
    document = DOCUMENT.read_text()
    before, _, rest = document.partition(MARKER)
    after = rest.partition(AFTER)[2]
    return f"{before}{MARKER}\n{table()}\n{AFTER}{after}"


if __name__ == "__main__":
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    DOCUMENT.write_text(written())
