// What went wrong, in words for somebody who only wanted a mug.

import { Refused, Unanswered } from "./api.js";
import { productsOf } from "./calls.js";

const FASTER = "Somebody was faster.";
const NO_ANSWER = "There was no answer. Please try again: nothing is done twice.";
const WORDS = {
  bad_credentials: "This shop is not set up yet: the server does not know its API client.",
  gateway_not_enabled: "This shop takes no test payments.",
  not_for_sale: "Something in your cart is no longer sold. Please take it out.",
  order_not_payable: "There is nothing left to pay for this order.",
  payment_declined: "Your bank declined. Nothing was charged; you can try another way.",
  payment_pending: "A payment for this order is still on its way. Please wait for it.",
  payment_returned: "The payment came too late. Your money is on its way back to you.",
  product_not_found: "This is no longer sold.",
  total_changed: "A price has just changed. Please look at the new total and check out again.",
  too_many_items: "Your cart is full. Please check out first.",
};

export function explain(error) {
  if (error instanceof Refused) return WORDS[error.code] ?? error.message;
  if (error instanceof Unanswered) return NO_ANSWER;
  console.error(error);
  return "Something broke on this page. Please reload it.";
}

/**
 * Say what is missing, after "insufficient_stock". That refusal tells neither product nor
 * quantity, so the products are looked at again: `wanted` is [{ product_id, quantity }].
 */
export async function explainShortage(wanted) {
  const ids = idsOf(wanted);
  const products = await productsOf(ids).catch(() => null);
  if (!products) return FASTER;
  const found = new Map(products.map((product) => [product.id, product]));
  const missing = ids.map((id) => shortage(found.get(id), unitsOf(wanted, id)));
  return [FASTER, ...missing.filter(Boolean)].join(" ");
}

function shortage(product, units) {
  if (!product) return "One product is no longer sold.";
  const { availability, level } = product.meta.stock;
  if (availability === "out-stock") return `${product.name} is sold out.`;
  if (product.manage_stock && level < units) return `Only ${level} of ${product.name} left.`;
  return "";
}

function idsOf(wanted) {
  return [...new Set(wanted.map((line) => line.product_id).filter(Boolean))];
}

function unitsOf(wanted, id) {
  return wanted.reduce((sum, line) => sum + (line.product_id === id ? line.quantity : 0), 0);
}
